"""The closed loop: wrk keeps a number of connections busy; its figures and the server's CPU and memory make a `Run`."""

import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Run
from benchmarks.processes import Server, ServerError
from benchmarks.requests import Request

# A request that waits longer than this is counted as an error.
_TIMEOUT_SECONDS = 10
# Reading the memory of a large process takes milliseconds of the processor that is being measured.
_MEMORY_SAMPLE_SECONDS = 1.0

# The request is built once; the figures come back as one line of JSON, times in microseconds.
_SCRIPT = """
local body = assert(io.open("%(body)s", "rb"))
wrk.method = "POST"
wrk.body = body:read("*a")
body:close()
%(headers)s
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests":%%d,"duration":%%d,"p50":%%d,"p99":%%d,"status":%%d,"connect":%%d,"read":%%d,"write":%%d,"timeout":%%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
"""


@dataclass(frozen=True)
class Counted:
    """What wrk says about a run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    status_errors: int
    socket_errors: int


def missing() -> str | None:
    """Say how to get wrk, if it is not there."""
    if shutil.which("wrk"):
        return None
    return "wrk is missing. On Debian and Ubuntu: apt-get install wrk; on Fedora: dnf install wrk."


def measure(server: Server, request: Request, port: int, connections: int, seconds: float) -> Run:
    """Keep `connections` busy with one request for some seconds.

    Raises:
        ServerError: wrk could not connect or ended with an error.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = _command(Path(folder), request, port, connections, seconds)
        cpu_before = server.cpu_seconds()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as wrk:  # noqa: S603
            peak_bytes = _watch_memory(server, wrk, seconds)
            cpu_seconds = server.cpu_seconds(wrk.pid) - cpu_before
            output = wrk.communicate()[0]
    if wrk.returncode:
        msg = f"wrk ended with {wrk.returncode}: {output.strip()}"
        raise ServerError(msg)
    counted = parse(output)
    return Run(
        requests=counted.requests,
        seconds=counted.seconds,
        p50_ms=counted.p50_ms,
        p99_ms=counted.p99_ms,
        status_errors=counted.status_errors,
        socket_errors=counted.socket_errors,
        cpu_seconds=cpu_seconds,
        peak_bytes=peak_bytes,
    )


def parse(output: str) -> Counted:
    """Read the line of JSON that wrk's script printed last.

    Raises:
        ServerError: There is none.
    """
    lines = [line for line in output.splitlines() if line.startswith('{"requests"')]
    if not lines:
        msg = f"wrk gave no figures: {output.strip()}"
        raise ServerError(msg)
    figures = json.loads(lines[-1])
    return Counted(
        requests=figures["requests"],
        seconds=figures["duration"] / 1e6,
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
        status_errors=figures["status"],
        socket_errors=sum(figures[kind] for kind in ("connect", "read", "write", "timeout")),
    )


def _command(folder: Path, request: Request, port: int, connections: int, seconds: float) -> list[str]:
    body, script = folder / "body", folder / "request.lua"
    body.write_bytes(request.body)
    headers = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers)
    script.write_text(_SCRIPT % {"body": body, "headers": headers})
    url = f"http://127.0.0.1:{port}{request.path}"
    options = [f"-c{connections}", f"-d{seconds:g}s", f"--timeout={_TIMEOUT_SECONDS}s"]
    return ["wrk", "-t1", *options, "-s", str(script), url]


def _watch_memory(server: Server, wrk: subprocess.Popen[str], seconds: float) -> int:
    """Wait for wrk to end; give the greatest memory seen.

    Raises:
        ServerError: wrk takes much longer than it should.
    """
    deadline = time.monotonic() + seconds + 2 * _TIMEOUT_SECONDS
    peak_bytes = 0
    while wrk.poll() is None:
        if time.monotonic() > deadline:
            wrk.kill()
            msg = f"wrk did not end {2 * _TIMEOUT_SECONDS} seconds after it should have"
            raise ServerError(msg)
        peak_bytes = max(peak_bytes, server.memory_bytes(wrk.pid))
        try:
            wrk.wait(_MEMORY_SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return peak_bytes

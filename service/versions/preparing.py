"""Runs `service.prepare` in a process of its own, with a timeout, and reads its report.

`loading` decides which worker prepares which version, and when.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence

from service.versions.manifest import VersionRejected

# One line of JSON is expected; output beyond this limit is not read.
_MAX_REPORT_BYTES = 64 * 1024
# A killed process is gone in milliseconds, unless it waits for a disk or a mount that does not answer.
_END_SECONDS = 5.0

log = logging.getLogger("digits.preparing")


class LoadPostponed(Exception):
    """A version that could not be loaded now, by no fault of its own; its message is the reason."""


class NoVerdict(Exception):
    """A preparing process gave no verdict on its version; the message is the reason."""


async def run_preparing(command: Sequence[str], timeout_seconds: float, end_seconds: float = _END_SECONDS) -> None:
    """Run a command that prepares a version, and leave nothing of it behind.

    Args:
        command: Prints its report as its last line, like `service.prepare`.
        timeout_seconds: The process is killed when it takes longer.
        end_seconds: How long to wait for a killed process to end.

    Raises:
        VersionRejected: The version may not serve.
        LoadPostponed: This machine cannot prepare it now.
        NoVerdict: The process was killed, took too long, lacked memory or failed unexpectedly.
    """
    async with _temporary_folder() as variables:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                report = await _read_report(process)
                await process.wait()
        except TimeoutError:
            msg = f"preparing it took longer than {timeout_seconds:g} seconds"
            raise NoVerdict(msg) from None
        finally:
            await _end(process, end_seconds)
    _raise_if_rejected(report, process.returncode)


@contextlib.asynccontextmanager
async def _temporary_folder() -> AsyncIterator[dict[str, str]]:
    """Make a folder for the temporary files that a killed process would leave behind; yields it as TMPDIR.

    If none can be made, there is no such variable: the process knows whether it needs a folder, and says so.
    """
    try:
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="digits-preparing-")
    except OSError:
        yield {}
        return
    try:
        yield {"TMPDIR": folder}
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _read_report(process: asyncio.subprocess.Process) -> bytes:
    report = b""
    while process.stdout and len(report) < _MAX_REPORT_BYTES:
        part = await process.stdout.read(_MAX_REPORT_BYTES)
        if not part:
            break
        report += part
    return report


async def _end(process: asyncio.subprocess.Process, end_seconds: float) -> None:
    """Kill the preparing process and all that it started, if it still runs; wait for its end for a limited time."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(end_seconds):
                await process.wait()
        except TimeoutError:
            log.warning("the process %d that prepared a version is killed and has not ended yet", process.pid)


def _raise_if_rejected(report: bytes, exit_code: int | None) -> None:
    try:
        said = json.loads(report.splitlines()[-1])
        rejected, postponed, failed = said["rejected"], said["postponed"], said["failed"]
    except (IndexError, ValueError, KeyError, TypeError):
        how = f"was ended by signal {-exit_code}" if exit_code and exit_code < 0 else f"ended with {exit_code}"
        msg = f"the process that prepared it {how}; `python -m service.prepare` with its folder shows why"
        raise NoVerdict(msg) from None
    if postponed is not None:
        raise LoadPostponed(str(postponed))
    if failed is not None:
        raise NoVerdict(str(failed))
    if rejected is not None:
        raise VersionRejected(str(rejected))

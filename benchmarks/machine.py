"""The machine and the versions that figures were taken with."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Conditions

# The system's names and the usual ones; two processors of the same name may differ in these.
_VECTORS = (("avx512f", "AVX-512"), ("avx2", "AVX2"))

_VERSIONS_PROGRAM = """
import importlib.metadata, json, platform, sys
versions = {"python": platform.python_version()}
for package in sys.argv[1:]:
    try:
        versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""


def conditions(repeats: int, seconds: float, arguments: Sequence[str]) -> Conditions:
    """Describe this machine at this moment, and the command that was given."""
    return Conditions(
        processor=processor(Path("/proc/cpuinfo").read_text()),
        cores=cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        commit=_commit(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        load_before=round(os.getloadavg()[0], 2),
        repeats=repeats,
        seconds=seconds,
        command=shlex.join(["python", "-m", "benchmarks", *arguments]),
    )


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def package_versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """The version of the interpreter `python`, and those of the `packages` that are installed for it."""
    command = [str(python), "-c", _VERSIONS_PROGRAM, *packages]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout  # noqa: S603 - our own program
    versions: dict[str, str] = json.loads(output)
    return versions


def processor(cpu_info: str) -> str:
    """The processor's name and its widest vectors, which the network uses, from the text of /proc/cpuinfo."""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in cpu_info.splitlines())}
    name, flags = facts.get("model name", platform.machine()), facts.get("flags", "").split()
    widest = next((shown for flag, shown in _VECTORS if flag in flags), None)
    return f"{name} with {widest}" if widest else name


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, check=True, timeout=10, text=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()

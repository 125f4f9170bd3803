"""How much memory this process may still take: what its container has left."""

from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def memory_left_bytes(cgroup_root: Path = CGROUP_ROOT) -> int | None:
    """How much may be taken before the container reaches its limit, by cgroup version 2 or 1; None without one.

    Pages of files that the kernel can drop at any time count as left.
    """
    version_1 = cgroup_root / "memory"
    try:
        limit, used = cgroup_root / "memory.max", cgroup_root / "memory.current"
        return _left(limit, used, cgroup_root / "memory.stat", "inactive_file")
    except OSError:
        pass
    try:
        limit, used = version_1 / "memory.limit_in_bytes", version_1 / "memory.usage_in_bytes"
        return _left(limit, used, version_1 / "memory.stat", "total_inactive_file")
    except OSError:
        return None


def _left(limit: Path, used: Path, statistics: Path, droppable: str) -> int | None:
    try:
        limit_bytes, used_bytes = int(limit.read_text()), int(used.read_text())
        counted = dict(line.split() for line in statistics.read_text().splitlines())
        return max(0, limit_bytes - used_bytes + int(counted.get(droppable, 0)))
    except ValueError:  # "max": no limit
        return None

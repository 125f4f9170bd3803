import os
from pathlib import Path

import pytest

from service.cores import usable_cores

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("110000 100000", min(2, ALLOWED)),
        ("9900000 100000", ALLOWED),
        ("max 100000", ALLOWED),
        ("nonsense", ALLOWED),
    ],
)
def test_quota_of_the_container_counts(cpu_max: str, cores: int, tmp_path: Path) -> None:
    """A container's quota is rounded up to whole cores, and never exceeds those of the machine."""
    (tmp_path / "cpu.max").write_text(cpu_max + "\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", ALLOWED)])
def test_older_control_groups_are_read_too(quota: str, cores: int, tmp_path: Path) -> None:
    """Version 1 of control groups has quota and period in separate files; -1 means no quota."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores(tmp_path) == cores


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    """Outside a container the process may use all cores that its affinity allows."""
    assert usable_cores(tmp_path / "nothing") == ALLOWED

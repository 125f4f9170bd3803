from pathlib import Path

import pytest

from service.memory import memory_left_bytes

MIB = 1024**2


def write_version_2(root: Path, limit: str, used: int, statistics: str) -> None:
    (root / "memory.max").write_text(limit + "\n")
    (root / "memory.current").write_text(f"{used}\n")
    (root / "memory.stat").write_text(statistics)


@pytest.mark.parametrize(
    ("limit", "left"),
    [(str(2048 * MIB), 1648 * MIB), (str(450 * MIB), 50 * MIB), (str(100 * MIB), 0), ("max", None), ("nonsense", None)],
)
def test_what_the_container_has_left_counts(limit: str, left: int | None, tmp_path: Path) -> None:
    """The limit minus the memory in use, not counting pages that the kernel can drop; "max" is no limit."""
    write_version_2(
        tmp_path, limit, 500 * MIB, f"anon {350 * MIB}\ninactive_file {100 * MIB}\nactive_file {50 * MIB}\n"
    )
    assert memory_left_bytes(tmp_path) == left


def test_the_memory_of_older_control_groups_is_read_too(tmp_path: Path) -> None:
    """Version 1 of control groups has a folder for memory, and totals that include all groups below."""
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text(f"{2048 * MIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{500 * MIB}\n")
    (folder / "memory.stat").write_text(f"inactive_file 0\ntotal_inactive_file {100 * MIB}\n")
    assert memory_left_bytes(tmp_path) == 1648 * MIB


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    """Outside a container no limit is known."""
    assert memory_left_bytes(tmp_path / "nothing") is None

import os
import time
from pathlib import Path

from service.rejections import Rejections

SHA = "a" * 64
FILES = (("saved_model.pb", 3, 1_700_000_000_000_000_001),)


def test_a_reason_counts_for_the_files_it_was_found_with(tmp_path: Path) -> None:
    """Other files, another manifest and another engine are another matter."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it hangs")
    assert Rejections(tmp_path, "litert").reason(SHA, FILES) == "it hangs"
    assert kept.reason(SHA, (("saved_model.pb", 3, 2),)) is None
    assert kept.reason("b" * 64, FILES) is None
    assert Rejections(tmp_path, "tensorflow").reason(SHA, FILES) is None


def test_an_old_reason_does_not_count_and_is_removed(tmp_path: Path) -> None:
    """After an hour a version is tried again: what was too slow on a busy machine may not be on an idle one."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it took too long")
    (file,) = tmp_path.iterdir()
    os.utime(file, (time.time() - 3700, time.time() - 3700))
    assert kept.reason(SHA, FILES) is None
    kept.keep("b" * 64, FILES, "other")
    assert not file.exists()


def test_a_damaged_or_unwritable_cache_costs_another_try_only(tmp_path: Path) -> None:
    """What cannot be read is no reason, and what cannot be written raises nothing."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it hangs")
    (file,) = tmp_path.iterdir()
    for damage in (b"", b"{", b"[]", b"\xff"):
        file.write_bytes(damage)
        assert kept.reason(SHA, FILES) is None
    Rejections(tmp_path / "missing", "litert").keep(SHA, FILES, "it hangs")

import math
import os
import time
from pathlib import Path

import pytest

from service.versions.model_store import Fingerprint
from service.versions.rejections import Rejections

SHA = "a" * 64
FILES = (("saved_model.pb", 3, 1_700_000_000_000_000_001, 5),)


def reason(kept: Rejections, sha: str = SHA, files: Fingerprint = FILES) -> str | None:
    found = kept.find(sha, files)
    return found.reason if found else None


def age(folder: Path, seconds: float) -> None:
    """Make the only kept reason that old."""
    (file,) = folder.iterdir()
    os.utime(file, (time.time() - seconds, time.time() - seconds))


def test_a_reason_counts_for_the_files_it_was_found_with(tmp_path: Path) -> None:
    """It does not count for other files, another manifest or another engine."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it differs", final=True)
    assert reason(Rejections(tmp_path, "litert")) == "it differs"
    assert reason(kept, files=(("saved_model.pb", 3, 2, 5),)) is None
    assert reason(kept, sha="b" * 64) is None
    assert reason(Rejections(tmp_path, "tensorflow")) is None


def test_a_reason_counts_for_every_copy_of_a_version(tmp_path: Path) -> None:
    """Replicas that share a cache, each with its own copy of the store, know of each other's rejections."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it hangs", final=False)
    assert reason(kept, files=tuple((*entry[:3], 6) for entry in FILES)) == "it hangs"


def test_an_old_reason_does_not_count(tmp_path: Path) -> None:
    """After an hour a service that starts tries a version again."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it differs", final=True)
    age(tmp_path, 3700)
    assert reason(kept) is None


def test_a_verdict_is_final(tmp_path: Path) -> None:
    """A version rejected for its own fault is not tried again by a running service."""
    kept = Rejections(tmp_path, "litert")
    assert kept.keep(SHA, FILES, "it differs", final=True).again_in_seconds == math.inf
    found = kept.find(SHA, FILES)
    assert found is not None
    assert found.again_in_seconds == math.inf


def test_what_is_not_final_is_tried_again_ever_later(tmp_path: Path) -> None:
    """The wait begins at five minutes and doubles with each try, up to an hour; with other files it begins anew."""
    kept = Rejections(tmp_path, "litert")
    waits = []
    for _ in range(7):
        wait = kept.keep(SHA, FILES, "it hangs", final=False).again_in_seconds
        waits.append(wait / 60)
        age(tmp_path, wait - 10)
        found = kept.find(SHA, FILES)
        assert found is not None
        assert found.reason == "it hangs"
        assert found.again_in_seconds == pytest.approx(10, abs=5)
        age(tmp_path, wait + 1)
        assert kept.find(SHA, FILES) is None
    assert waits == [5, 10, 20, 40, 60, 60, 60]
    assert kept.keep(SHA, (("saved_model.pb", 3, 2, 5),), "it hangs", final=False).again_in_seconds == 300


def test_a_clock_that_was_put_back_keeps_no_reason_for_ever(tmp_path: Path) -> None:
    """A reason from the future does not count, like one that is too old."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it hangs", final=False)
    age(tmp_path, -1e6)
    assert kept.find(SHA, FILES) is None


def test_a_damaged_or_unwritable_cache_costs_another_try_only(tmp_path: Path) -> None:
    """A reason that cannot be read does not count, and failing to write one raises nothing."""
    kept = Rejections(tmp_path, "litert")
    kept.keep(SHA, FILES, "it hangs", final=False)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damage in (b"", b"{", b"[]", b"\xff", whole.replace(b"300.0", b'"soon"')):
        file.write_bytes(damage)
        assert kept.find(SHA, FILES) is None
        assert kept.keep(SHA, FILES, "it hangs", final=False).again_in_seconds == 300
    assert Rejections(tmp_path / "missing", "litert").keep(SHA, FILES, "it hangs", final=False).reason == "it hangs"

import errno
import time
from pathlib import Path

import pytest

from service.versions.loading import PreparingFailed
from service.versions.manifest import VersionRejected
from service.versions.model_store import StoredVersion
from service.versions.preparing import LoadPostponed
from service.versions.verdicts import Verdicts


def version(number: int = 1, size: int = 3) -> StoredVersion:
    return StoredVersion(number, Path(), (("saved_model.pb", size, 1, 1),))


def test_a_quarantine_counts_for_the_files_it_was_found_with() -> None:
    """Other files are worth a try; the reason is shown until they have proved themselves."""
    verdicts = Verdicts()
    verdicts.quarantine(version(), "it differs")
    assert verdicts.is_quarantined(version())
    assert not verdicts.may_be_tried(version())
    assert not verdicts.is_quarantined(version(size=4))
    assert verdicts.may_be_tried(version(size=4))
    assert verdicts.reason(1) == verdicts.why_quarantined(1) == "it differs"
    verdicts.acquit(1)
    assert verdicts.may_be_tried(version())
    assert verdicts.reason(1) is None


def test_a_quarantine_that_is_over_stays_until_it_is_lifted() -> None:
    """It may be tried again, and does not serve meanwhile."""
    verdicts = Verdicts()
    verdicts.quarantine(version(), "it was killed", for_seconds=0.0)
    assert verdicts.may_be_tried(version())
    assert verdicts.is_quarantined(version())


@pytest.mark.parametrize(("seconds", "postponed"), [(60.0, True), (0.0, False)])
def test_a_postponed_version_waits_for_its_time(seconds: float, *, postponed: bool) -> None:
    """Nothing is held against it, and it says what it waits for."""
    verdicts = Verdicts()
    verdicts.postpone(version(), "the disk is full", seconds)
    assert verdicts.is_postponed(version()) is postponed
    assert not verdicts.is_postponed(version(size=4))
    assert verdicts.may_be_tried(version())
    assert (verdicts.reason(1), verdicts.why_quarantined(1)) == ("the disk is full", None)


def test_a_postponement_takes_the_place_of_a_quarantine_for_other_files() -> None:
    """The fault of files that are no longer there is not the reason why the version waits now."""
    verdicts = Verdicts()
    verdicts.quarantine(version(), "it differs")
    verdicts.postpone(version(size=4), "the disk is full", 60.0)
    assert (verdicts.reason(1), verdicts.why_quarantined(1)) == ("the disk is full", None)


def test_a_postponement_keeps_the_quarantine_for_the_same_files() -> None:
    """A bad version stays in quarantine if this machine cannot make the next try."""
    verdicts = Verdicts()
    verdicts.quarantine(version(), "it was killed", for_seconds=0.0)
    verdicts.postpone(version(), "the disk is full", 60.0)
    assert verdicts.is_quarantined(version())
    assert verdicts.reason(1) == "it was killed"


def test_what_is_gone_is_forgotten() -> None:
    """A number that is used again begins without a verdict."""
    verdicts = Verdicts()
    for number in (1, 2):
        verdicts.quarantine(version(number), "it differs")
        verdicts.postpone(version(number), "the disk is full", 60.0)
    verdicts.forget_all_but([2])
    assert (verdicts.reason(1), verdicts.is_postponed(version(1))) == (None, False)
    assert (verdicts.why_quarantined(2), verdicts.is_postponed(version(2))) == ("it differs", True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LoadPostponed("the disk is full"), "the disk is full"),
        (OSError(errno.EMFILE, "Too many open files"), "loading it failed: Too many open files"),
        (OSError(), "loading it failed: OSError"),
        (MemoryError(), "loading it failed: Cannot allocate memory"),
    ],
)
def test_what_is_this_machine_s_fault_postpones(error: Exception, reason: str) -> None:
    """It is not held against the version, which waits for its next try."""
    verdicts = Verdicts()
    assert verdicts.judge(version(), error) == "postponed"
    assert verdicts.is_postponed(version())
    assert (verdicts.reason(1), verdicts.why_quarantined(1)) == (reason, None)


def test_what_is_put_off_again_and_again_is_tried_ever_later() -> None:
    """The wait doubles up to a bound, and is short again once the files have changed or the version has been loaded."""

    def waits(stored: StoredVersion) -> float:
        before = time.monotonic()
        verdicts.judge(stored, LoadPostponed("the disk is full"))
        return next(verdict.until_seconds for verdict in verdicts._postponed.values()) - before

    verdicts = Verdicts(postponed_seconds=10.0)
    assert [round(waits(version())) for _ in range(4)] == [10, 20, 40, 40]
    assert round(waits(version(size=4))) == 10
    assert round(waits(version(size=4))) == 20
    verdicts.acquit(1)
    assert round(waits(version(size=4))) == 10


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        (VersionRejected("it differs"), "it differs", False),
        (PreparingFailed("it was killed", again_in_seconds=0.0), "it was killed", True),
        (PreparingFailed("it was killed", again_in_seconds=60.0), "it was killed", False),
        (RuntimeError("inside"), "loading it failed: RuntimeError", True),
    ],
)
def test_what_may_be_the_version_s_fault_is_a_quarantine(error: Exception, reason: str, *, again: bool) -> None:
    """It lasts for good, or for the time that the error states; of an unforeseen error only the type is told."""
    verdicts = Verdicts(unforeseen_seconds=0.0)
    assert verdicts.judge(version(), error) == "rejected"
    assert (verdicts.is_quarantined(version()), verdicts.why_quarantined(1)) == (True, reason)
    assert verdicts.may_be_tried(version()) is again

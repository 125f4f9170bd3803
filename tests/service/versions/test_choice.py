from pathlib import Path

import pytest

from service.versions.choice import LOADED_VERSIONS, Choice
from service.versions.loading import LoadedVersion
from service.versions.model_store import Policy, Snapshot, StoredVersion
from service.versions.verdicts import Verdicts
from tests.service.fakes import loaded_version


def version(number: int, size: int = 3) -> StoredVersion:
    return StoredVersion(number, Path(), (("saved_model.pb", size, 1, 1),))


def snapshot(*numbers: int, policy: Policy | None = None) -> Snapshot:
    """A store that holds these versions; its policy is to serve the latest, unless another one is given."""
    return Snapshot(tuple(version(number) for number in sorted(numbers, reverse=True)), policy or Policy())


def choice(
    seen: Snapshot,
    *,
    loaded: tuple[int, ...] = (),
    verdicts: Verdicts | None = None,
    serving: int | None = None,
    served: int | None = None,
) -> Choice:
    return Choice(seen, by_number(*loaded), verdicts or Verdicts(), serving, serving or served)


def by_number(*numbers: int) -> dict[int, LoadedVersion]:
    return {number: loaded_version(number, stored=version(number)) for number in numbers}


def numbers_of(versions: list[StoredVersion]) -> list[int]:
    return [stored.number for stored in versions]


def test_the_newest_versions_that_may_serve_are_wanted() -> None:
    """Only a few are wanted, however many there are, the one to serve first; quarantined ones are not among them."""
    verdicts = Verdicts()
    verdicts.quarantine(version(9), "it differs")
    wanted = choice(snapshot(*range(1, 10)), verdicts=verdicts).wanted()
    assert numbers_of(wanted) == [8, 7, 6, 5][:LOADED_VERSIONS]


def test_a_pinned_version_comes_first() -> None:
    """The newest others are wanted beside it, so that the pin can be taken away again."""
    seen = snapshot(*range(1, 10), policy=Policy(serve=2))
    assert numbers_of(choice(seen, serving=9).wanted()) == [2, 9, 8]


def test_a_pinned_version_that_is_in_memory_only_is_wanted() -> None:
    """Its folder is gone, but it serves on from memory, and the trouble is told."""
    chosen = choice(snapshot(1, 3, policy=Policy(serve=2)), loaded=(2, 3), serving=2)
    assert numbers_of(chosen.wanted()) == [2, 3, 1]
    expected = "policy.json pins version 2, which is not in the model store and serves on from memory"
    assert chosen.trouble_with_pin() == expected


@pytest.mark.parametrize(("serving", "served"), [(1, None), (None, 1)], ids=["here", "at the other workers"])
@pytest.mark.parametrize("is_readable", [True, False])
def test_a_policy_that_cannot_be_followed_leaves_what_serves(
    serving: int | None, served: int | None, *, is_readable: bool
) -> None:
    """A pin to nowhere, or a file that cannot be read, is no reason to serve the newest version."""
    versions = snapshot(1, 2, 3).versions
    chosen = choice(Snapshot(versions, Policy(serve=9) if is_readable else None), serving=serving, served=served)
    assert numbers_of(chosen.wanted()) == [1, 3, 2]
    assert chosen.trouble_with_pin() == (
        "policy.json pins version 9, which is not in the model store" if is_readable else None
    )


def test_a_pin_to_a_bad_version_is_told_with_the_reason() -> None:
    """It does not serve, and the trouble says why."""
    verdicts = Verdicts()
    verdicts.quarantine(version(1), "it differs")
    chosen = choice(snapshot(1, 2, policy=Policy(serve=1)), verdicts=verdicts, serving=2)
    assert numbers_of(chosen.wanted()) == [2]
    assert chosen.trouble_with_pin() == "policy.json pins version 1, which is quarantined: it differs"


def test_a_pinned_version_is_waited_for_unless_this_machine_cannot_load_it() -> None:
    """No other version serves before it, unless it is postponed; the newest version without a pin is not waited for."""
    verdicts = Verdicts()
    pinned = choice(snapshot(1, 2, policy=Policy(serve=1)), verdicts=verdicts)
    assert pinned.must_be_waited_for(version(1))
    assert not choice(snapshot(1, 2)).must_be_waited_for(version(2))
    assert pinned.trouble_with_pin() is None
    verdicts.postpone(version(1), "the disk is full", 60.0)
    assert not pinned.must_be_waited_for(version(1))
    told = "policy.json pins version 1, which could not be loaded yet: the disk is full"
    assert pinned.trouble_with_pin() == told


def test_a_pinned_version_that_serves_is_no_trouble_when_its_new_files_are_put_off() -> None:
    """It goes on with the files that it was loaded with."""
    verdicts = Verdicts()
    verdicts.postpone(version(1), "the disk is full", 60.0)
    chosen = choice(snapshot(1, 2, policy=Policy(serve=1)), verdicts=verdicts, serving=1)
    assert chosen.trouble_with_pin() is None


@pytest.mark.parametrize(("seconds", "again"), [(0.0, [3]), (60.0, [])])
def test_a_quarantine_that_is_over_is_worth_another_try(seconds: float, again: list[int]) -> None:
    """The version is not wanted before it has proved itself."""
    verdicts = Verdicts()
    verdicts.quarantine(version(3), "it was killed", seconds)
    chosen = choice(snapshot(1, 2, 3), loaded=(1, 2), verdicts=verdicts, serving=2)
    assert numbers_of(chosen.wanted()) == [2, 1]
    assert numbers_of(chosen.worth_another_try()) == again


def test_a_version_that_nobody_would_ask_for_is_not_tried_again() -> None:
    """With enough newer versions, an old one stays in quarantine."""
    verdicts = Verdicts()
    verdicts.quarantine(version(1), "it was killed", 0.0)
    newer = range(2, 2 + LOADED_VERSIONS)
    assert choice(snapshot(1, *newer), verdicts=verdicts).worth_another_try() == []


def test_files_that_are_loaded_need_no_loading() -> None:
    """Other files of the same number do, unless they are in quarantine; the loaded ones serve on from memory."""
    verdicts = Verdicts()
    chosen = choice(snapshot(1), loaded=(1,), verdicts=verdicts, serving=1)
    assert not chosen.needs_loading(version(1))
    assert chosen.needs_loading(version(1, size=4))
    verdicts.quarantine(version(1, size=4), "it differs")
    assert not chosen.needs_loading(version(1, size=4))
    assert not chosen.is_quarantined(version(1, size=4))

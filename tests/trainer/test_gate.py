"""The quality gate: what passes, what is refused and why, and what happens to versions that can't answer."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.errors import MachineError
from trainer.gate import Compared, Gate, GateRefusedError, judge, mcnemar_p_value
from trainer.versions.damage import DamagedVersionError
from trainer.versions.store import ModelStore

COUNTS = st.integers(0, 200)
LABELS = (np.arange(1_000) % 10).astype(np.uint8)


def wrong(*indices: int, images: int = 1_000) -> NDArray[np.bool_]:
    """Says that exactly these images are read wrong."""
    return np.isin(np.arange(images), indices)


def unheard(warning: str) -> None:
    """Takes warnings, and fails because none is expected."""
    pytest.fail(warning)


def answers(*indices: int) -> NDArray[np.float32]:
    """Probabilities that read every image right but these."""
    digits = (LABELS + wrong(*indices)) % 10
    return np.eye(10, dtype=np.float32)[digits]


@pytest.mark.parametrize(
    ("one", "other", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (10, 2, 158 / 4096),  # 2 (1 + 12 + 66) / 2^12
        (6, 0, 2 / 64),
        (8, 0, 2 / 256),
    ],
)
def test_known_p_values(one: int, other: int, p_value: float) -> None:
    """Small cases have the value that was worked out on paper."""
    assert mcnemar_p_value(one, other) == p_value


@given(one=COUNTS, other=COUNTS)
def test_p_value_is_the_binomial_sum(one: int, other: int) -> None:
    """It is twice the smaller tail of a fair coin's throws, at most 1, and the same from either side."""
    throws, fewer = one + other, min(one, other)
    tail = math.fsum(math.comb(throws, heads) / 2**throws for heads in range(fewer + 1))
    assert mcnemar_p_value(one, other) == pytest.approx(min(1.0, 2 * tail), rel=1e-12)
    assert mcnemar_p_value(one, other) == mcnemar_p_value(other, one)


@given(fewer=COUNTS, more=COUNTS)
def test_p_value_falls_as_the_split_grows_uneven(fewer: int, more: int) -> None:
    """One more error of the worse network makes chance a less likely explanation."""
    fewer, more = sorted((fewer, more))
    assert mcnemar_p_value(more + 1, fewer) <= mcnemar_p_value(more, fewer)


def test_p_value_of_a_whole_test_set_is_a_number() -> None:
    """Ten thousand differing images neither overflow nor take long."""
    assert mcnemar_p_value(10_000, 0) == 0.0
    assert mcnemar_p_value(5_000, 5_000) == 1.0
    assert 0.3 < mcnemar_p_value(5_050, 4_950) < 0.33  # the normal approximation gives 0.322


def test_first_version_needs_only_its_accuracy() -> None:
    """With no version to compare with, exactly the minimum accuracy passes and one error more does not."""
    facts, reasons = judge(wrong(*range(10)), None, 0.99)
    assert not reasons
    assert facts == {
        "min_accuracy": 0.99,
        "compared_version": None,
        "only_new_wrong": 0,
        "only_compared_wrong": 0,
        "p_value": None,
        "passed": True,
        "forced": False,
    }
    facts, reasons = judge(wrong(*range(11)), None, 0.99)
    assert not facts["passed"]
    assert reasons == ["test accuracy 98.90% (11 errors in 1000) is below --min-accuracy, 99.00%"]


@pytest.mark.parametrize(
    ("only_new", "only_compared", "passed"),
    [
        (0, 0, True),
        (7, 0, True),  # p = 0.016
        (8, 0, False),  # p = 0.0078
        (0, 8, True),  # significantly better
        (10, 2, True),  # p = 0.039
    ],
)
def test_significantly_worse_is_refused(only_new: int, only_compared: int, passed: bool) -> None:  # noqa: FBT001 - parameter
    """A version that is worse by more than chance explains is refused; a better or equal one is not."""
    both = range(900, 910)
    compared = Compared(3, wrong(*both, *range(100, 100 + only_compared)))
    facts, reasons = judge(wrong(*both, *range(only_new)), compared, 0)
    assert (facts["compared_version"], facts["passed"], not reasons) == (3, passed, passed)
    assert (facts["only_new_wrong"], facts["only_compared_wrong"]) == (only_new, only_compared)
    assert facts["p_value"] == mcnemar_p_value(only_new, only_compared)


def test_both_reasons_are_given() -> None:
    """If a version fails for both reasons, both are given, with the numbers."""
    _, reasons = judge(wrong(*range(50)), Compared(3, wrong()), 0.99)
    assert len(reasons) == 2
    assert "50 test images are read wrong by the new one only, 0 by version 3 only" in reasons[1]


class FakeStore:
    """A store of versions that answer from memory; one that is None is damaged."""

    def __init__(self, root: Path, versions: dict[int, NDArray[np.float32] | None]) -> None:
        self.store = ModelStore(root, "digits")
        self.asked: list[int] = []
        self._versions = versions
        for number in versions:
            (self.store.folder / str(number)).mkdir(parents=True)

    def ask(self, folder: Path) -> NDArray[np.float32]:
        self.asked.append(int(folder.name))
        probabilities = self._versions[int(folder.name)]
        if probabilities is None:
            raise DamagedVersionError("saved_model.pb is not as its manifest states")
        return probabilities


def test_newest_version_is_asked(tmp_path: Path) -> None:
    """Only the newest version is compared with, however good older ones are."""
    fake = FakeStore(tmp_path, {9: answers(), 10: answers(*range(100))})
    facts = Gate(unheard, 0.9).check(answers(*range(100, 150)), LABELS, fake.store, fake.ask)
    assert fake.asked == [10]
    assert (facts["compared_version"], facts["only_new_wrong"], facts["only_compared_wrong"]) == (10, 50, 100)


def test_damaged_version_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    """The newest version that can answer is compared with, and warnings name the damaged ones."""
    fake = FakeStore(tmp_path, {1: answers(), 2: None, 3: None})
    warnings: list[str] = []
    facts = Gate(warnings.append).check(answers(), LABELS, fake.store, fake.ask)
    assert facts["compared_version"] == 1
    assert [warning.split(":")[1] for warning in warnings] == [
        " not compared with version 3",
        " not compared with version 2",
    ]


def test_fault_of_the_machine_ends_the_run(tmp_path: Path) -> None:
    """If this machine can't run the newest version now, it is not skipped: nothing is published without comparing."""
    fake = FakeStore(tmp_path, {1: answers(*range(500)), 2: answers()})

    def ask(folder: Path) -> NDArray[np.float32]:
        raise MachineError(f"version {folder.name} can't be run on this machine now")

    with pytest.raises(MachineError, match="version 2"):
        Gate(unheard, force=True).check(answers(*range(5)), LABELS, fake.store, ask)


def test_store_of_damaged_versions_compares_with_none(tmp_path: Path) -> None:
    """If no version can answer, the accuracy alone decides."""
    fake = FakeStore(tmp_path, {1: None})
    warnings: list[str] = []
    facts = Gate(warnings.append).check(answers(), LABELS, fake.store, fake.ask)
    assert (facts["passed"], facts["p_value"], len(warnings)) == (True, None, 1)


def test_refusal_says_why_and_what_to_do(tmp_path: Path) -> None:
    """The message has the reasons, with their numbers, and the way out."""
    fake = FakeStore(tmp_path, {1: answers()})
    with pytest.raises(GateRefusedError, match="worse than version 1") as refusal:
        Gate(unheard, 0.9, way_out="--over-there").check(answers(*range(20)), LABELS, fake.store, fake.ask)
    first, reason, last = str(refusal.value).splitlines()
    assert first == "refused: nothing was published"
    assert "20 test images are read wrong by the new one only, 0 by version 1 only" in reason
    assert last.endswith(" with --over-there")


def test_refusal_for_accuracy_names_the_option_that_decides(tmp_path: Path) -> None:
    """The tutorial promises less than the gate asks for: the refusal names the option with which it passes."""
    fake = FakeStore(tmp_path, {})
    with pytest.raises(GateRefusedError, match=r"accuracy 98\.80% .* is below --min-accuracy, 99\.00%"):
        Gate(unheard).check(answers(*range(12)), LABELS, fake.store, fake.ask)


def test_force_is_recorded_only_where_it_was_needed(tmp_path: Path) -> None:
    """A refused version goes through with a warning and `forced`; a good one is not called forced."""
    fake = FakeStore(tmp_path, {1: answers()})
    warnings: list[str] = []
    gate = Gate(warnings.append, force=True)
    facts = gate.check(answers(*range(20)), LABELS, fake.store, fake.ask)
    assert (facts["passed"], facts["forced"]) == (False, True)
    assert len(warnings) == 2
    facts = gate.check(answers(), LABELS, fake.store, fake.ask)
    assert (facts["passed"], facts["forced"]) == (True, False)

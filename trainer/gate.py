"""The quality gate: decides whether a trained network is good enough to become the next version.

It must reach a minimum accuracy on the test images, and must not be significantly worse on them than the newest version
in the store. The caller passes in how to run a stored version.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.errors import TrainerError
from trainer.evaluation import wrong_answers
from trainer.versions.damage import DamagedVersionError
from trainer.versions.manifest import GateFacts
from trainer.versions.store import ModelStore

MIN_ACCURACY = 0.99  # every profile but `tutorial` (which needs --min-accuracy) promises it; less means a failed run
# The test is two-sided, but only the worse side is refused: of equally good networks, one in 200 is refused by chance.
SIGNIFICANCE = 0.01

Predict: TypeAlias = Callable[[Path], NDArray[np.float32]]
"""Runs the version in a folder on the test images: probabilities float32 [N, 10].

Raises DamagedVersionError if the version is at fault; the gate then skips it. Any other error ends the run."""


@dataclass(frozen=True, eq=False)
class Compared:
    """The version to compare with, and which of the test images it reads wrong: bool [N]."""

    version: int
    wrong: NDArray[np.bool_]


class GateRefusedError(TrainerError):
    """The trained network is not good enough; the message has the reasons."""

    def __init__(self, reasons: list[str], way_out: str) -> None:
        lines = ["refused: nothing was published", *(f"  {reason}" for reason in reasons)]
        lines.append(f"train for more epochs or with another profile; or publish it all the same with {way_out}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Gate:
    """The gate of one run.

    Attributes:
        warn: Called for versions that could not be compared with, and for reasons that were overridden.
        min_accuracy: The share of the test images that a version must read right.
        force: Whether a version that does not pass is published all the same.
        way_out: The options with which the same command would publish a refused version.
    """

    warn: Callable[[str], None]
    min_accuracy: float = MIN_ACCURACY
    force: bool = False
    way_out: str = "--force"

    def check(
        self, probabilities: NDArray[np.float32], labels: NDArray[np.uint8], store: ModelStore, predict: Predict
    ) -> GateFacts:
        """Judges probabilities float32 [N, 10] on the test images, against the store's newest version that can be run.

        Raises:
            GateRefusedError: They are not good enough, and `force` is not set.
        """
        compared = self._newest(labels, store, predict)
        facts, reasons = judge(wrong_answers(probabilities, labels), compared, self.min_accuracy)
        if facts["passed"]:
            return facts
        if not self.force:
            raise GateRefusedError(reasons, self.way_out)
        for reason in reasons:
            self.warn(f"warning: published by --force: {reason}")
        return {**facts, "forced": True}

    def _newest(self, labels: NDArray[np.uint8], store: ModelStore, predict: Predict) -> Compared | None:
        for number in reversed(store.versions()):
            try:
                return Compared(number, wrong_answers(predict(store.folder / str(number)), labels))
            except DamagedVersionError as error:
                self.warn(f"warning: not compared with version {number}: {error}")
        return None


def judge(new_wrong: NDArray[np.bool_], compared: Compared | None, min_accuracy: float) -> tuple[GateFacts, list[str]]:
    """Judges a network by which of the test images it reads wrong: bool [N].

    Returns:
        The facts, and a sentence for each reason to refuse it: none if it passes.
    """
    facts: GateFacts = {
        "min_accuracy": min_accuracy,
        "compared_version": None,
        "only_new_wrong": 0,
        "only_compared_wrong": 0,
        "p_value": None,
        "passed": False,
        "forced": False,
    }
    reasons = _too_inaccurate(new_wrong, min_accuracy)
    if compared is not None:
        only_new = int(np.count_nonzero(new_wrong & ~compared.wrong))
        only_compared = int(np.count_nonzero(compared.wrong & ~new_wrong))
        p_value = mcnemar_p_value(only_new, only_compared)
        facts["compared_version"] = compared.version
        facts["only_new_wrong"], facts["only_compared_wrong"] = only_new, only_compared
        facts["p_value"] = p_value
        reasons += _worse_than(compared.version, only_new, only_compared, p_value)
    facts["passed"] = not reasons
    return facts, reasons


def _too_inaccurate(wrong: NDArray[np.bool_], min_accuracy: float) -> list[str]:
    errors = int(np.count_nonzero(wrong))
    accuracy = (len(wrong) - errors) / len(wrong)
    if accuracy >= min_accuracy:
        return []
    return [
        f"test accuracy {accuracy:.2%} ({errors} errors in {len(wrong)}) is below --min-accuracy, {min_accuracy:.2%}"
    ]


def _worse_than(version: int, only_new: int, only_compared: int, p_value: float) -> list[str]:
    if only_new <= only_compared or p_value >= SIGNIFICANCE:
        return []
    split = f"{only_new} test images are read wrong by the new one only, {only_compared} by version {version} only"
    test = f"McNemar's exact test: p = {p_value:.2g}, below {SIGNIFICANCE}"
    return [f"worse than version {version}: {split} ({test})"]


def mcnemar_p_value(only_one_wrong: int, only_other_wrong: int) -> float:
    """McNemar's exact two-sided test: how likely a split this uneven is between two equally good networks.

    If they are equally good, then for each image that only one of them reads wrong, which one is a fair coin's throw.
    """
    throws = only_one_wrong + only_other_wrong
    ways = term = 1  # of throwing 0 heads; integers, because 0.5 ** 2,000 is too small for a float
    for heads in range(min(only_one_wrong, only_other_wrong)):
        term = term * (throws - heads) // (heads + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << throws))

"""The quality gate: whether what was trained is good enough to become the next version.

It must reach an accuracy on the test images, and must not be significantly worse than the newest
version in the store, which answers the same images. How a version is asked is passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.damage import DamagedVersionError
from trainer.errors import TrainerError
from trainer.manifest import GateFacts
from trainer.store import ModelStore

MIN_ACCURACY = 0.99  # what all profiles promise but `tutorial`, which needs the option; less is a run that went wrong
# Two-sided, and refused on one side only: of networks that are just as good, one in 200 is refused.
SIGNIFICANCE = 0.01

Ask: TypeAlias = Callable[[Path], NDArray[np.float32]]
"""Asks the version in a folder for its probabilities float32 [N, 10] on the test images.

Raises DamagedVersionError if it can't answer; anything else ends the run, for nobody knows then whether it can."""


@dataclass(frozen=True, eq=False)
class Compared:
    """The version to compare with, and which of the test images it reads wrong: bool [N]."""

    version: int
    wrong: NDArray[np.bool_]


class GateRefusedError(TrainerError):
    """What was trained is not good enough; the message has the reasons, the facts have the numbers."""

    def __init__(self, facts: GateFacts, reasons: list[str], way_out: str) -> None:
        lines = ["refused: nothing was published", *(f"  {reason}" for reason in reasons)]
        lines.append(f"train for more epochs or with another profile; or publish it all the same with {way_out}")
        super().__init__("\n".join(lines))
        self.facts = facts


@dataclass(frozen=True)
class Gate:
    """The gate of one run: how accurate a version must be, whether it is published in any case, who is warned.

    `way_out` are the options by which the same command publishes what was refused.
    """

    warn: Callable[[str], None]
    min_accuracy: float = MIN_ACCURACY
    force: bool = False
    way_out: str = "--force"

    def check(
        self, probabilities: NDArray[np.float32], labels: NDArray[np.uint8], store: ModelStore, ask: Ask
    ) -> GateFacts:
        """Judges probabilities float32 [N, 10] on the test images, beside the store's newest version that can answer.

        Raises:
            GateRefusedError: They are not good enough, and nobody forces them through.
        """
        facts, reasons = judge(
            wrong_answers(probabilities, labels), self._newest(labels, store, ask), self.min_accuracy
        )
        if facts["passed"]:
            return facts
        if not self.force:
            raise GateRefusedError(facts, reasons, self.way_out)
        for reason in reasons:
            self.warn(f"warning: published by --force: {reason}")
        return {**facts, "forced": True}

    def _newest(self, labels: NDArray[np.uint8], store: ModelStore, ask: Ask) -> Compared | None:
        for number in reversed(store.versions()):
            try:
                return Compared(number, wrong_answers(ask(store.folder / str(number)), labels))
            except DamagedVersionError as error:
                self.warn(f"warning: not compared with version {number}: {error}")
        return None


def judge(new_wrong: NDArray[np.bool_], compared: Compared | None, min_accuracy: float) -> tuple[GateFacts, list[str]]:
    """Judges a network by which of the test images it reads wrong: bool [N].

    Returns:
        The facts, and a sentence for each reason to refuse it: none if it passes.
    """
    errors = int(np.count_nonzero(new_wrong))
    accuracy = (len(new_wrong) - errors) / len(new_wrong)
    reasons = []
    if accuracy < min_accuracy:
        reasons.append(
            f"test accuracy {accuracy:.2%} ({errors} errors in {len(new_wrong)}) "
            f"is below --min-accuracy, {min_accuracy:.2%}"
        )
    facts: GateFacts = {
        "min_accuracy": min_accuracy,
        "compared_version": None,
        "only_new_wrong": 0,
        "only_compared_wrong": 0,
        "p_value": None,
        "passed": not reasons,
        "forced": False,
    }
    if compared is None:
        return facts, reasons
    only_new = int(np.count_nonzero(new_wrong & ~compared.wrong))
    only_compared = int(np.count_nonzero(compared.wrong & ~new_wrong))
    p_value = mcnemar_p_value(only_new, only_compared)
    if only_new > only_compared and p_value < SIGNIFICANCE:
        reasons.append(
            f"worse than version {compared.version}: {only_new} of the test images it alone reads wrong, "
            f"{only_compared} version {compared.version} alone (McNemar's exact test: p = {p_value:.2g}, "
            f"below {SIGNIFICANCE})"
        )
    return {
        **facts,
        "compared_version": compared.version,
        "only_new_wrong": only_new,
        "only_compared_wrong": only_compared,
        "p_value": p_value,
        "passed": not reasons,
    }, reasons


def wrong_answers(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Says of probabilities float32 [N, 10] which rows' likeliest digit is not the label: bool [N]."""
    wrong: NDArray[np.bool_] = probabilities.argmax(axis=1) != labels
    return wrong


def mcnemar_p_value(only_one_wrong: int, only_other_wrong: int) -> float:
    """McNemar's exact two-sided test: how likely so uneven a split is between two equally good networks.

    Under that hypothesis each image that only one of them reads wrong is a fair coin's throw.
    """
    throws = only_one_wrong + only_other_wrong
    ways = term = 1  # of throwing 0 heads; integers, because 0.5 ** 2,000 is no float
    for heads in range(min(only_one_wrong, only_other_wrong)):
        term = term * (throws - heads) // (heads + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << throws))

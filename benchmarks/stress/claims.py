"""A claim that a load test decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Claim:
    """A claim, the figure that was measured, and whether it holds."""

    text: str
    figure: str
    holds: bool

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{'pass' if self.holds else 'FAIL'}  {self.text}: {self.figure}"


def at_most(text: str, measured: float, bound: float, unit: str) -> Claim:
    """A claim that a measured value is at most `bound`, which was measured for comparison or is fixed."""
    return Claim(text, f"{measured:.3g} / {bound:.3g} {unit}", measured <= bound)


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    """A percentile of latencies, in milliseconds; NaN if there are none, so that no claim about it holds."""
    return float(np.percentile(seconds, percent)) * 1000 if seconds else float("nan")

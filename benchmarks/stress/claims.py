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
    """A claim that something measured is at most what was measured, or set, for comparison."""
    return Claim(text, f"{measured:.3g} / {bound:.3g} {unit}", measured <= bound)


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    """A percentile of latencies, in milliseconds; not a number if there are none, and no claim holds of that."""
    return float(np.percentile(seconds, percent)) * 1000 if seconds else float("nan")

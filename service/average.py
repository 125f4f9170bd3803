"""A running average of measured times, in which recent ones count most."""


class RunningAverage:
    """An exponentially weighted mean; `value` is None before anything has been measured."""

    __slots__ = ("_count", "_weight", "value")

    def __init__(self, weight: float) -> None:
        """Make it empty; `weight` is the share of the newest value, so that about the last 1 / weight count."""
        self._weight = weight
        self._count = 0
        self.value: float | None = None

    def add(self, value: float) -> None:
        """Take one more value into account; the first 1 / weight values all count the same."""
        self._count += 1
        before = self.value or 0.0
        self.value = before + max(self._weight, 1 / self._count) * (value - before)

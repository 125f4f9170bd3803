"""A running average of measured times, in which recent ones count most."""


class RunningAverage:
    """An exponentially weighted mean; `value` is None before anything has been measured."""

    __slots__ = ("_weight", "value")

    def __init__(self, weight: float) -> None:
        """Make it empty; `weight` is the share of the newest value, so that about the last 1 / weight count."""
        self._weight = weight
        self.value: float | None = None

    def add(self, value: float) -> None:
        """Take one more value into account."""
        self.value = value if self.value is None else self.value + self._weight * (value - self.value)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.average import RunningAverage

SECONDS = st.floats(0, 1000)


def test_nothing_measured_is_no_value() -> None:
    """A caller that needs a value before the first measurement has to choose one."""
    assert RunningAverage(0.1).value is None


@given(st.lists(SECONDS, min_size=1), st.floats(0.01, 1))
def test_a_mean_lies_among_what_was_measured(values: list[float], weight: float) -> None:
    """The first value counts fully, and later ones keep the mean between the smallest and the largest."""
    average = RunningAverage(weight)
    for value in values:
        average.add(value)
    assert average.value is not None
    assert min(values) - 1e-9 <= average.value <= max(values) + 1e-9


@given(st.lists(SECONDS, min_size=1, max_size=20))
def test_the_first_values_count_the_same(values: list[float]) -> None:
    """An odd first value does not dominate the mean until later ones have displaced it."""
    average = RunningAverage(0.05)
    for value in values:
        average.add(value)
    assert average.value == pytest.approx(sum(values) / len(values))


@given(SECONDS, SECONDS)
def test_it_forgets(before: float, after: float) -> None:
    """After many different values, the first ones hardly count."""
    average = RunningAverage(0.1)
    for value in [before] * 10 + [after] * 100:
        average.add(value)
    assert average.value is not None
    assert abs(average.value - after) <= 1e-4 * abs(before - after) + 1e-9

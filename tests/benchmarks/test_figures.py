"""Statistics, and the file that figures are kept in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.figures import (
    EngineFigures,
    Figures,
    Session,
    percentile,
    read_figures,
    spread,
    spread_of,
    write_figures,
)
from tests.benchmarks.made_up import conditions, point, run, server

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(sorted)


@given(values, st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_the_least_value_that_covers_the_share(ordered: list[float], share: float) -> None:
    """At least that share of the values lies at or below it, and it is the smallest such value."""
    found = percentile(ordered, share)
    needed = share * len(ordered) - 1e-9
    assert sum(value <= found for value in ordered) >= needed
    assert all(sum(value <= smaller for value in ordered) < needed for smaller in ordered if smaller < found)


def test_a_spread_is_median_least_and_greatest() -> None:
    """The order of the runs does not matter."""
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.least, found.greatest) == (2.0, 1.0, 3.0)


def test_rates_count_only_what_was_answered_well() -> None:
    """Answers of 400 and above are errors, not throughput."""
    measured = run(requests=1000, status_errors=100, socket_errors=5, seconds=3.0)
    assert measured.requests_per_second == pytest.approx(300)
    assert measured.errors == 105


def test_cpu_is_spread_over_the_requests() -> None:
    """Half a second of processor for a thousand requests is half a millisecond each; no request, no cost."""
    assert spread_of(point(run()), lambda one: one.cpu_ms_per_request).median == pytest.approx(0.5)
    assert run(requests=0).cpu_ms_per_request == 0.0


def test_figures_come_back_as_they_were_kept(tmp_path: Path) -> None:
    """Writing and reading changes nothing."""
    figures = Figures(Session(conditions(), (server("Digits", point()),), EngineFigures(2, 64, (1.0, 2.0))), None)
    write_figures(tmp_path / "new" / "bench.json", figures)
    assert read_figures(tmp_path / "new" / "bench.json") == figures


def test_no_file_is_no_figures(tmp_path: Path) -> None:
    """Before the first measurement the figures are empty."""
    assert read_figures(tmp_path / "bench.json") == Figures()


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that holds something else is not taken for figures."""
    (tmp_path / "bench.json").write_text('{"service": 1}')
    with pytest.raises(ValidationError):
        read_figures(tmp_path / "bench.json")

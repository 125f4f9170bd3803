from pathlib import Path

import pytest

from benchmarks.capacity import Round, Scrape, _growth, _scrape, _spread
from benchmarks.figures import Run
from tests.service.running import running_service


def test_scrape_counts_the_series(tmp_path: Path) -> None:
    """The series, the bytes and the time are those of a service's /metrics."""
    with running_service(tmp_path) as client:
        shown = client.get("/metrics").text
        scraped = _scrape(client.base_url.port or 0)
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    # The requests for /metrics may themselves add series of a route and a status between the two.
    assert len(lines) <= scraped.series <= len(lines) + 40
    assert scraped.size_bytes >= len(shown)
    assert scraped.milliseconds > 0


def test_spread_is_the_median_between_least_and_greatest() -> None:
    """An outlier does not move the figure that is quoted, but is shown."""
    assert _spread([3.0, 100.0, 2.0], ".1f") == "3.0 (2.0-100.0)"


def test_growth_is_what_was_answered_and_not_what_cpu_would_allow() -> None:
    """4,000 requests a second by one worker and 6,400 by two are a growth of 1.6; the medians are compared."""
    rounds = {
        workers: [Round({"JSON": _run(requests)}, 0, Scrape(0, 0, 0)) for requests in (100, middle, 9000)]
        for workers, middle in ((1, 4000), (2, 6400))
    }
    assert _growth(rounds, "JSON") == pytest.approx(1.6)


def _run(requests: int) -> Run:
    return Run(requests, 1.0, 1.0, 1.0, 0, 0, 0.3, 0)

from pathlib import Path

from benchmarks.capacity import _scrape, _spread
from tests.service.running import running_service


def test_scrape_counts_the_series(tmp_path: Path) -> None:
    """The series, the bytes and the time are those of what a service shows."""
    with running_service(tmp_path) as client:
        shown = client.get("/metrics").text
        scraped = _scrape(client.base_url.port or 0)
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    # The looks themselves may add a route and a status between the two.
    assert len(lines) <= scraped.series <= len(lines) + 40
    assert scraped.size_bytes >= len(shown)
    assert scraped.milliseconds > 0


def test_spread_is_the_median_between_least_and_greatest() -> None:
    """An outlier does not move the figure that is quoted, but is shown."""
    assert _spread([3.0, 100.0, 2.0], ".1f") == "3.0 (2.0-100.0)"

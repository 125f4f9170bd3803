"""The page and the picture say what the figures say."""

from dataclasses import replace
from xml.etree import ElementTree

from benchmarks import chart, results
from benchmarks.figures import EngineFigures, Figures, Idle, OpenPoint, Profile, Profiles, Session, Share, Spread
from tests.benchmarks.made_up import conditions, point, run, server

FAST = server("Digits", point(run(requests=4000), run(requests=6000), run(requests=5000)))
SLOW = server("Other", point(run(requests=500)), failure=None)
BROKEN = server("Broken", failure="it ended | at once")


def test_a_table_has_a_row_for_each_line() -> None:
    """A vertical bar in a cell does not end the cell."""
    assert results.table(("a", "b"), [["1|2", "3"]]) == "| a | b |\n| --- | ---: |\n| 1\\|2 | 3 |"


def test_a_range_is_shown_where_there_is_one() -> None:
    """One run, or runs that agree, have no range."""
    assert results.ranged(Spread(1234.6, 1000.0, 2000.0), 0) == "1,235 (1,000-2,000)"
    assert results.ranged(Spread(1.25, 1.25, 1.25), 2) == "1.25"


def test_peers_are_ordered_by_speed_and_none_is_left_out() -> None:
    """The fastest comes first; one that failed is listed with its reason."""
    page = results.written(Figures(peers=Session(conditions(), (SLOW, FAST, BROKEN))))
    digits = page.index("| Digits | 2,500 (2,000-3,000) |")
    assert digits < page.index("| Other | 250 |")
    assert "| Broken | one worker | python 3.11 | it ended \\| at once |" in page


def test_the_bulk_rate_is_given_as_a_share_of_the_engine() -> None:
    """500 requests/s of a thousand images each are half of an engine's million images/s."""
    bulk = server("Digits", point(run(), load="octet-stream, 1000 images", rows=1000, connections=4))
    session = Session(conditions(), (bulk,), EngineFigures(2, 64, (1e6, 9e5, 1.1e6)))
    page = results.written(Figures(service=session))
    assert "50% as octet-stream, 1000 images a request, 4 connections" in page
    assert "500,000 |" in page


def test_a_reference_point_has_the_services_shares_of_it() -> None:
    """250 requests a second against 500, each for twice the CPU; a load that only the reference had gets no share."""
    bare = server("Bare endpoint", point(run(requests=1000)), point(run(), load="other"))
    session = Session(conditions(), (server("Digits", point(run(requests=500))), bare))
    page = results.written(Figures(service=session))
    assert "| JSON, one image | 32 | 50% | 100% | 200% |" in page
    assert page.count("100% |") == 1


def test_open_loop_points_are_rows() -> None:
    """Offered and achieved rate stand beside each other."""
    open_point = OpenPoint("JSON, one image", 64, 1000.0, 998.4, 0.5, 4.25, 9.0, 2, 0.3)
    ours = server("Digits", point())
    session = Session(conditions(), (replace(ours, open_points=(open_point,)),))
    page = results.written(Figures(service=session))
    assert "| JSON, one image | 64 | 1,000 | 998 | 0.50 | 4.2 | 9.0 | 2 | 30% |" in page


def test_the_network_s_share_of_a_request_is_given() -> None:
    """Two threads that do 8,000 images a second take 0.25 ms for each: half of a request's 0.5 ms."""
    session = Session(conditions(), (server("Digits", point()),), EngineFigures(2, 64, (8000.0,)))
    page = results.written(Figures(service=session))
    assert "takes the network 0.250 ms of a core: 50% of 0.500 ms as JSON, one image, 32 connections" in page


def test_idle_figures_are_shares_of_a_core_and_megabytes() -> None:
    """0.15 seconds in 30 are half a percent."""
    ours = replace(server("Digits", point()), idle=Idle(30.0, 0.15, (46_000_000, 27_000_000)))
    page = results.written(Figures(service=Session(conditions(), (ours,))))
    assert "Idle: **0.50%** of a core over 30 s; 46, 27 MB a process." in page


def test_a_profile_s_first_ten_functions_are_shown() -> None:
    """Each load has its table."""
    shares = tuple(Share(f"function_{number}", 0.05) for number in range(12))
    page = results.written(Figures(profiles=Profiles(conditions(), (Profile("JSON, one image", 32, shares),))))
    assert "| JSON, one image, 32 connections | own time |" in page
    assert page.count("| 5.0% |") == 10


def test_a_service_that_failed_is_said_to_have() -> None:
    """The reason stands in place of the tables."""
    assert "It failed: no port" in results.written(
        Figures(service=Session(conditions(), (server("Digits", failure="no port"),)))
    )


def test_bars_are_the_medians_fastest_first() -> None:
    """A server without figures has no bar."""
    assert chart.bars_of(Session(conditions(), (SLOW, FAST, BROKEN))) == [("Digits", 2500.0), ("Other", 250.0)]


def test_the_picture_is_well_formed_and_to_scale() -> None:
    """Bars are as long as their values say; names may hold anything."""
    document = ElementTree.fromstring(chart.drawn([("Digits", 3000.0), ("<Other> & co", 1000.0)]))  # noqa: S314 - our own
    bars = document.findall("{http://www.w3.org/2000/svg}rect")[1:]
    first, second = (float(bar.attrib["width"]) for bar in bars)
    assert abs(first - 3 * second) < 0.5
    assert "<Other> & co" in {text.text for text in document.iter("{http://www.w3.org/2000/svg}text")}


def test_a_part_switched_off_has_its_share_of_the_cpu() -> None:
    """0.4 ms a request instead of 0.5 saves a fifth; a part that failed says why."""
    whole = server("nothing", point(run(cpu_seconds=0.5)))
    parts = (whole, server("the log", point(run(cpu_seconds=0.4))), server("the rest", failure="it ended"))
    page = results.written(Figures(parts=Session(conditions(), parts)))
    assert "| nothing | 500 | 1.50 | 0.500 |  |" in page
    assert "| the log | 500 | 1.50 | 0.400 | 20% |" in page
    assert "| the rest |  |  |  | failed: it ended |" in page

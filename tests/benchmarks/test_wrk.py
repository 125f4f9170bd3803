"""Parsing of wrk's output."""

import pytest

from benchmarks import wrk
from benchmarks.processes import ServerError

FIGURES = (
    '{"requests":1234,"duration":2000000,"p50":1500,"p99":9250,"status":3,"connect":1,"read":2,"write":0,"timeout":4}'
)
OUTPUT = f"Running 2s test @ http://127.0.0.1:1/\n  1 threads and 8 connections\nRequests/sec:  617\n{FIGURES}\n"


def test_figures_are_read_from_the_line_of_json() -> None:
    """Microseconds become milliseconds and seconds; all ways in which a connection fails are summed up."""
    assert wrk.parse(OUTPUT) == wrk.Counted(1234, 2.0, 1.5, 9.25, 3, 7)


def test_output_without_figures_is_an_error_that_shows_it() -> None:
    """The reported reason is wrk's message in place of figures."""
    with pytest.raises(ServerError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_missing_wrk_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without wrk on the path the message names the package."""
    monkeypatch.setenv("PATH", "")
    assert "apt-get install wrk" in (wrk.missing() or "")

"""The arithmetic of docs/capacity.md: its worked numbers follow from the figures that it states."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from service.telemetry.drift import MINIMUM_ROWS
from service.telemetry.metrics import Metrics
from service.versions.statuses import State
from tests.service.fakes import FirstPixelEngine, loaded_version, row_of

_LINES = (Path(__file__).parents[2] / "docs/capacity.md").read_text().replace("*", "").splitlines()
_TEXT = " ".join(" ".join(_LINES).split())
_ROWS = {
    label: cells
    for label, *cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in _LINES if "|" in line)
}
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_PER_ONE = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "MB": 1e6, "GB": 1e9, "GiB": 2**30, "images": 1, "": 1}


def stated(words: str) -> float:
    """The one number that the page has in place of the `#` in these words."""
    before, after = map(re.escape, words.split("#"))
    (number,) = set(re.findall(f"{before}({_NUMBER}){after}", _TEXT))
    return _value(number)


def shown(cell: str) -> list[tuple[float, float]]:
    """The numbers of a cell in seconds, bytes or pieces, each with the place value of its last significant digit."""
    unit = _PER_ONE[re.split(_NUMBER, cell)[-1].removesuffix("/s").strip()]
    return [(_value(number) * unit, _step(number) * unit) for number in re.findall(_NUMBER, cell)]


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _step(number: str) -> float:
    """The place value of the last digit: 10 for 250 and 0.1 for 2.5, as zeros at the end may come from rounding."""
    _, point, decimals = number.partition(".")
    digits = number.replace(",", "")
    return 10.0 ** (-len(decimals) if point else len(digits) - len(digits.rstrip("0")))


def assert_rounded(cell: str, *values: float) -> None:
    """Assert that the cell has these values, each rounded to the digits that it shows."""
    for (number, step), value in zip(shown(cell), values, strict=True):
        assert abs(number - value) <= step / 2 * (1 + 1e-9), f"{cell} should be {value}"


@pytest.mark.parametrize("body", [label for label, cells in _ROWS.items() if cells[0].endswith(" ms")])
def test_a_core_carries_what_its_milliseconds_allow_and_half_of_it_is_planned(body: str) -> None:
    """The number that a core carries is a maximum and so is rounded down; half of it is planned with."""
    cpu, most, planned = _ROWS[body]
    images = stated("octet-stream, # images a request") if "images a request" in body else 1
    ((seconds, _),), ((carried, step),) = shown(cpu), shown(most)
    assert 0 <= images / seconds - carried < step
    assert_rounded(planned, carried / 2)


@pytest.mark.parametrize(("column", "rate"), [(0, 1_000), (1, 100_000), (2, 10_000_000)])
def test_worked_numbers_follow_from_what_a_replica_costs(column: int, rate: int) -> None:
    """Replicas, cores, memory, bytes, CPU, files and series."""
    worked = {label.partition(" (")[0]: cells[column] for label, cells in _ROWS.items() if len(cells) == 3}
    for_load = math.ceil(rate / stated("planned with # JSON requests a second"))
    replicas = max(2, math.ceil(1.5 * for_load))
    looked_at = 2 * (stated("| # file operations") + 3 * stated("file operations and # for each version"))
    version_bytes, series = 1e6 * stated("one version (# MB a replica"), stated("# series a replica.")
    expected: dict[str, list[float]] = {
        "replicas for the load": [for_load],
        "replicas with a zone lost": [replicas],
        "cores": [2 * replicas],
        "memory, as used": [
            1e6 * stated("as used (# MB)") * replicas,
            2**20 * stated("as requested (# MiB)") * replicas,
        ],
        "requests' bytes in": [1e3 * stated("JSON (# kB on the wire)") * rate],
        "CPU to take over one version": [stated("| # s of one core, once a replica") * replicas],
        "bytes from the store for one version": [version_bytes * replicas, 4 * version_bytes * replicas],
        "file operations on the store, 3 versions, every 2 s": [looked_at / 2 * replicas],
        "the same every 30 s": [looked_at / 30 * replicas],
        "series": [series * replicas],
        "samples/s": [series * replicas / stated("Prometheus scrapes every # s")],
    }
    assert expected.keys() <= worked.keys()
    for label, values in expected.items():
        assert_rounded(worked[label], *values)


def test_figures_that_stand_twice_agree() -> None:
    """Figures that the text takes from the tables agree with them."""
    ((planned, _),) = shown(_ROWS["JSON (3.8 kB on the wire)"][2])
    assert stated("planned with # JSON requests a second") == 2 * planned
    assert stated("| memory | # MB after start") == stated("as used (# MB)")
    assert stated("; # MB read and checked by each worker") == stated("one version (# MB a replica")
    measured = re.findall(
        rf"({_NUMBER}) times[^:;]*: ({_NUMBER})(?: requests a second \(.*?\))? against ({_NUMBER})", _TEXT
    )
    assert len(measured) == 2
    for times, two, one in measured:
        assert_rounded(times, _value(two) / _value(one))
    ((bulk, _), (planned_bulk, _)) = shown(" ".join(_ROWS["octet-stream, 1000 images a request"][1:]))
    assert stated("a core carries # images a second") == bulk
    assert stated("images a second take # replicas") == 10e6 / (2 * planned_bulk)


def test_series_are_as_many_as_the_service_shows() -> None:
    """The page is right about the series that are always there, and those that a version, a route and drift add."""
    metrics = Metrics()
    metrics.serve(loaded_version())
    metrics.note_condition(ready=True, versions=dict.fromkeys(State, 0), trouble=False)
    always = _series(metrics)
    metrics.predicted(1, FirstPixelEngine().run(np.stack([row_of(digit) for digit in range(10)])), [True] * 10)
    version = _series(metrics) - always
    metrics.request_duration.observe(0.1, "/v1/predict")
    route = _series(metrics) - always - version
    for _ in range(MINIMUM_ROWS):
        metrics.predicted(1, FirstPixelEngine().run(row_of(0)[None]), [True])
    drift = _series(metrics) - always - version - route

    assert stated("The series are # that are always there") == always
    assert stated("always there, # or") == version
    assert stated("or # for each version") == version + 1  # the series of non-digits
    assert stated("# for each route that was asked") == route
    assert stated("# of drift") == drift
    # The probe has a route too; both were answered with 200, and the probe with 503 before.
    assert stated("| # series in") == always + version + 2 * route + drift + 3


def _series(metrics: Metrics) -> int:
    return sum(len(list(family.samples)) for family in metrics.registry.collect())

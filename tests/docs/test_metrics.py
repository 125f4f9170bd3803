"""docs/metrics.md agrees with the metrics that the service exports."""

import re
from pathlib import Path

from prometheus_client.metrics_core import Metric

from service.telemetry.drift import MINIMUM_ROWS, WINDOW_MINUTES
from service.telemetry.metrics import Metrics
from tests.service.fakes import loaded_version

_DOCUMENT = (Path(__file__).parents[2] / "docs/metrics.md").read_text()


def test_every_metric_is_documented_as_it_is() -> None:
    """The table names each metric with its labels, its type and its own description, and no other."""
    metrics = Metrics()
    metrics.serve(loaded_version())
    metrics.note_condition(ready=True, versions={"serving": 1}, trouble=False)
    expected = {_line(family) for family in metrics.registry.collect() if family.name.startswith("digits_")}
    assert set(re.findall(r"^\| `digits_.*$", _DOCUMENT, re.MULTILINE)) == expected


def test_window_and_minimum_sample_of_drift_are_stated() -> None:
    """The text states the numbers that the service uses."""
    assert f"last {WINDOW_MINUTES} minutes" in _DOCUMENT
    assert f"{MINIMUM_ROWS} predictions" in _DOCUMENT


def _line(family: Metric) -> str:
    labels = ",".join(getattr(family, "_labelnames", ()))
    name = family.name + ("_total" if family.type == "counter" else "")
    return f"| `{name}{{{labels}}}` | {family.type} | {family.documentation} |".replace("{}", "")

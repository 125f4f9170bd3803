"""Grafana's dashboard: the document is complete, and a real Prometheus answers its queries after a load."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from service.telemetry.drift import MINIMUM_ROWS
from tests.prometheus.conftest import Start
from tests.prometheus.server import Prometheus
from tests.service.running import wait_until

_GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
_DASHBOARD: dict[str, Any] = json.loads((_GRAFANA / "dashboards/digits.json").read_text())
_PANELS = [panel for panel in _DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", _PANELS, ids=lambda panel: panel["title"])
def test_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Each panel has a title, a sentence, a unit, a query, and the provisioned data source."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    (source,) = yaml.safe_load((_GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


def test_panels_are_in_order_and_do_not_overlap() -> None:
    """Objectives come first; no two panels share an id or a place."""
    rows = [panel["title"] for panel in _DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        *("Objectives", "Traffic", "Errors", "Latency"),
        *("Batching", "Versions", "Predictions and drift", "Process"),
    ]
    ids = [panel["id"] for panel in _DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    places = [
        (place["x"] + column, place["y"] + line)
        for place in (panel["gridPos"] for panel in _DASHBOARD["panels"])
        for column in range(place["w"])
        for line in range(place["h"])
    ]
    assert len(places) == len(set(places))
    assert max(column for column, _ in places) < 24


@pytest.mark.prometheus
def test_every_query_returns_data(prometheus: Prometheus, start: Start) -> None:
    """After a load with good, bad and unknown requests no query is empty, and none gives only NaN."""
    service = start()
    queries = {_asked(target["expr"]) for panel in _PANELS for target in panel["targets"]}
    missing = dict.fromkeys(queries, 0)

    def load_and_ask() -> bool:
        service.client.post("/v1/predict", content=np.zeros((MINIMUM_ROWS, 784), np.uint8).tobytes(), headers=_BYTES)
        service.client.post("/v1/predict", content=b"{", headers={"Content-Type": "application/json"})
        service.client.get("/no-such-path")
        service.predict()
        for query in list(missing):
            values = [float(series["value"][1]) for series in prometheus.query(query)]
            if not all(np.isnan(values)):
                del missing[query]
        return not missing

    try:
        wait_until(load_and_ask)
    except AssertionError:
        pytest.fail(f"no data for {list(missing)}")


@pytest.mark.prometheus
def test_variables_find_what_there_is_to_choose(prometheus: Prometheus, start: Start) -> None:
    """Prometheus answers the query that Grafana makes for each variable: the job, and no namespace here."""
    start()
    found, variables = {}, _DASHBOARD["templating"]["list"]
    for variable in variables:
        asked = re.fullmatch(r"label_values\((?P<series>.+), (?P<label>\w+)\)", variable["query"]["query"])
        assert asked
        found[variable["name"]] = prometheus.values(asked["label"], asked["series"].replace("$job", "digits"))
    assert found == {"job": ["digits"], "namespace": []}
    # Only Kubernetes has namespaces; elsewhere the variable matches everything.
    assert {"namespace": ".*"}.items() <= {each["name"]: each.get("allValue") for each in variables}.items()


@pytest.mark.prometheus
def test_durations_lead_to_a_request(prometheus: Prometheus, start: Start) -> None:
    """The panels of durations ask for exemplars, and Prometheus has kept that of a request."""
    service = start()
    queries = [_asked(target["expr"]) for panel in _PANELS for target in panel["targets"] if target.get("exemplar")]
    assert len(queries) == 2
    request_id = service.predict().headers["X-Request-ID"]
    wait_until(lambda: all({"request_id": request_id} in prometheus.exemplars(query) for query in queries))


_BYTES = {"Content-Type": "application/octet-stream"}


def _asked(expression: str) -> str:
    """The query as Grafana asks it, over windows that the short-lived Prometheus has data for."""
    chosen = {"$job": "digits", "$namespace": ".*"}
    for written, asked in {**chosen, "$__rate_interval": "5s", "[15m]": "[12s]", "[5m]": "[5s]"}.items():
        expression = expression.replace(written, asked)
    return expression

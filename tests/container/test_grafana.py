"""Profile `dashboards`: a real Grafana, on a machine that has its image, shows the provisioned dashboard."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.container.stack import Stack, poll, running
from tests.prometheus.server import free_port

pytestmark = pytest.mark.container

_REPOSITORY = Path(__file__).parents[2]
_IMAGE: str = yaml.safe_load((_REPOSITORY / "docker-compose.yml").read_text())["services"]["grafana"]["image"]


@pytest.fixture
def grafana_port() -> int:
    """Where Grafana will listen; the test is skipped if there is no image to start it from."""
    if subprocess.run(["docker", "image", "inspect", _IMAGE], capture_output=True, check=False).returncode:
        pytest.skip(f"{_IMAGE} is not on this machine; docker pull {_IMAGE}")
    return free_port()


@pytest.fixture
def stack(tmp_path: Path, grafana_port: int) -> Iterator[Stack]:
    """Everything running, with the profile."""
    data = tmp_path / "data"
    data.mkdir()
    chosen = {"COMPOSE_PROFILES": "dashboards", "GRAFANA_PORT": str(grafana_port)}
    with running(f"digits-grafana-test-{os.getpid()}", tmp_path, data, environment=chosen) as stack:
        yield stack


def test_grafana_shows_the_dashboard(stack: Stack, grafana_port: int) -> None:
    """A visitor who is not logged in sees the repository's dashboard and Prometheus's data on the service."""
    ours = json.loads((_REPOSITORY / "deploy/grafana/dashboards/digits.json").read_text())
    with httpx.Client(base_url=f"http://127.0.0.1:{grafana_port}") as grafana:
        poll(lambda: grafana.get("/api/health").status_code, lambda status: status == 200, 120)

        def ask_for_dashboard() -> httpx.Response:
            return grafana.get(f"/api/dashboards/uid/{ours['uid']}")

        answer = poll(ask_for_dashboard, lambda answer: answer.status_code == 200, 60).json()
        assert answer["meta"]["provisioned"]
        shown = [panel["title"] for panel in answer["dashboard"]["panels"]]
        assert shown == [panel["title"] for panel in ours["panels"]]

        source = ours["templating"]["list"][0]["datasource"]["uid"]

        def ask_for_targets() -> list[object]:
            asked = grafana.get(
                f"/api/datasources/proxy/uid/{source}/api/v1/query", params={"query": "digits_ready == 1"}
            )
            found: list[object] = asked.raise_for_status().json()["data"]["result"]
            return found

        poll(ask_for_targets, bool, 120)
    assert stack.inspect("grafana", "{{.State.OOMKilled}} {{.RestartCount}}") == "false 0"

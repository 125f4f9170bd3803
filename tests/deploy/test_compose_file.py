"""What docker-compose.yml promises, read without Docker."""

from pathlib import Path
from typing import Any

import pytest
import yaml

_REPOSITORY = Path(__file__).parents[2]
_COMPOSE: dict[str, Any] = yaml.safe_load((_REPOSITORY / "docker-compose.yml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


@pytest.mark.parametrize("name", _SERVICES)
def test_container_is_hardened(name: str) -> None:
    """Every container has a read-only root, no capabilities, no way to new ones, and bounds."""
    service = _SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "pids_limit", "logging"} <= service.keys()


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing is reachable from another machine unless an operator says so."""
    ports = [port for service in _SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_only_the_trainer_writes_the_model_store() -> None:
    """The service, and whoever takes it over, cannot change a model."""
    mounts = {name: _mount(name, "models") for name in _SERVICES}
    assert {name: mount for name, mount in mounts.items() if mount} == {
        "trainer": "models:/models",
        "service": "models:/models:ro",
    }


def test_nothing_waits_for_the_trainer() -> None:
    """The service answers with the released model while training goes on."""
    assert all("trainer" not in service.get("depends_on", ()) for service in _SERVICES.values())


def test_prometheus_scrapes_the_service() -> None:
    """The scrape target is the service's name in the Compose network and its port in the container."""
    config = yaml.safe_load((_REPOSITORY / "deploy/prometheus/prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
    ]
    container_port = _SERVICES["service"]["ports"][0].rpartition(":")[2]
    assert targets == [f"service:{container_port}"]


def test_dashboards_are_a_choice() -> None:
    """Grafana runs in its profile only, and finds Prometheus and the dashboard where they are mounted."""
    grafana = _SERVICES["grafana"]
    assert {name for name in _SERVICES if "profiles" in _SERVICES[name]} == {"grafana"}
    assert grafana["profiles"] == ["dashboards"]
    folders = dict(mount.split(":")[1::-1] for mount in grafana["volumes"])
    provisioning = _REPOSITORY / folders["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/digits.yml").read_text())["providers"]
    assert (_REPOSITORY / folders[provider["options"]["path"]] / "digits.json").exists()


def test_images_are_pinned() -> None:
    """An image that is not built here has a version."""
    images = [service["image"] for service in _SERVICES.values() if "image" in service]
    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)


def _mount(name: str, volume: str) -> str | None:
    return next((mount for mount in _SERVICES[name].get("volumes", []) if mount.startswith(f"{volume}:")), None)

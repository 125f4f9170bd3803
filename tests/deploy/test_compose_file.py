"""What docker-compose.yml and deploy/scale.yml promise, read without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

_REPOSITORY = Path(__file__).parents[2]
_COMPOSE: dict[str, Any] = yaml.safe_load((_REPOSITORY / "docker-compose.yml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_CONTAINER_PORT: str = _SERVICES["service"]["ports"][0].rpartition(":")[2]
_SCALE_FILE = (_REPOSITORY / "deploy/scale.yml").read_text()
# `!reset`, which removes what another file sets, is Compose's own tag, not YAML's.
_SCALED: dict[str, dict[str, Any]] = yaml.safe_load(_SCALE_FILE.replace("!reset", ""))["services"]


@pytest.mark.parametrize("service", [*_SERVICES.values(), _SCALED["proxy"]], ids=[*_SERVICES, "proxy"])
def test_container_is_hardened(service: dict[str, Any]) -> None:
    """Every container has a read-only root, no capabilities, no way to gain any, and limits."""
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "pids_limit", "logging"} <= service.keys()


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing is reachable from another machine unless an operator says so."""
    ports = [port for service in _SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_only_the_trainers_write_the_model_store() -> None:
    """The service cannot change a model, even if an attacker takes it over."""
    mounts = {name: _mount(name, "models") for name in _SERVICES}
    assert {name: mount for name, mount in mounts.items() if mount} == {
        "trainer": "models:/models",
        "nightly-trainer": "models:/models",
        "service": "models:/models:ro",
    }


def test_nothing_waits_for_the_trainer() -> None:
    """The service answers with the released model while training goes on."""
    assert all("trainer" not in service.get("depends_on", ()) for service in _SERVICES.values())


def test_prometheus_scrapes_every_replica() -> None:
    """The targets are all addresses of the service's name in the Compose network, at its port in the container."""
    config = yaml.safe_load((_REPOSITORY / "deploy/prometheus/prometheus.yml").read_text())
    (targets,) = [targets for job in config["scrape_configs"] for targets in job["dns_sd_configs"]]
    assert (targets["names"], targets["type"], targets["port"]) == (["service"], "A", int(_CONTAINER_PORT))


def test_prometheus_keeps_what_it_is_asked_for() -> None:
    """Prometheus uses the mounted configuration and volume, and keeps the objectives' 30 days and exemplars."""
    flags = dict(flag.removeprefix("--").split("=") for flag in _SERVICES["prometheus"]["command"])
    mounted = [mount.split(":")[1] for mount in _SERVICES["prometheus"]["volumes"]]
    assert {flags["config.file"], flags["storage.tsdb.path"]} <= set(mounted)
    assert int(flags["storage.tsdb.retention.time"].removesuffix("d")) > 30
    assert flags["enable-feature"] == "exemplar-storage"


def test_the_proxy_takes_the_service_s_place() -> None:
    """The proxy takes the host's port and forwards to the service's name and port; nothing else changes."""
    assert _SCALED.keys() == {"service", "proxy"}
    assert _SCALED["service"] == {"ports": []}
    assert "ports: !reset []" in _SCALE_FILE
    assert _SCALED["proxy"]["ports"] == _SERVICES["service"]["ports"]
    assert _SCALED["proxy"]["healthcheck"] == _SERVICES["service"]["healthcheck"]
    configuration = (_REPOSITORY / "deploy/proxy/haproxy.cfg").read_text()
    assert f"service:{_CONTAINER_PORT} check" in configuration
    assert f"bind :{_CONTAINER_PORT}\n" in configuration


def test_what_is_a_choice_runs_in_its_profile_only() -> None:
    """A plain `up` starts neither Grafana nor the nightly training."""
    profiles = {name: service["profiles"] for name, service in _SERVICES.items() if "profiles" in service}
    assert profiles == {"grafana": ["dashboards"], "nightly-trainer": ["train-nightly"]}


def test_the_nightly_trainer_trains_as_the_trainer_does() -> None:
    """It has the trainer's image, volumes, limits and environment, and adds only its schedule."""
    trainer, nightly = _SERVICES["trainer"], _SERVICES["nightly-trainer"]
    assert nightly["build"] == trainer["build"]
    assert nightly["mem_limit"] == trainer["mem_limit"]
    assert set(trainer["volumes"]) == set(nightly["volumes"]) - {"./deploy/train-nightly.sh:/train-nightly.sh:ro"}
    assert trainer["environment"].items() <= nightly["environment"].items()


def test_settings_reach_the_service() -> None:
    """Settings of the service and of OpenTelemetry are passed on by name, so that an unset one stays unset.

    The number of workers is an exception, because the memory limit is made for it.
    """
    passed_on = list(_SERVICES["service"]["environment"])
    passed_on.remove("DIGITS_WORKERS=${DIGITS_WORKERS:-2}")
    assert "DIGITS_API_KEYS" in passed_on
    settings = {f"DIGITS_{name.upper()}" for name in Settings.model_fields}
    assert all(name in settings or name.startswith("OTEL_") for name in passed_on)


def test_what_the_page_on_traces_names_reaches_the_service() -> None:
    """Each variable of OpenTelemetry that docs/tracing.md names is passed on, and no other."""
    passed_on = {name for name in _SERVICES["service"]["environment"] if name.startswith("OTEL_")}
    assert passed_on == set(re.findall(r"OTEL_[A-Z_]+", (_REPOSITORY / "docs/tracing.md").read_text()))


def test_neighbours_allow_for_the_longest_request() -> None:
    """Docker and the proxy wait longer than a request may last, and Docker waits longer than the proxy."""
    fields = Settings.model_fields
    request_seconds = fields["request_timeout_seconds"].default
    assert _seconds(_SERVICES["service"]["stop_grace_period"]) >= fields["drain_seconds"].default + request_seconds
    configuration = (_REPOSITORY / "deploy/proxy/haproxy.cfg").read_text()
    durations = dict(re.findall(r"^ +(timeout server|hard-stop-after) +(\w+)", configuration, re.MULTILINE))
    timeout, hard_stop = _seconds(durations["timeout server"]), _seconds(durations["hard-stop-after"])
    assert request_seconds < timeout <= hard_stop < _seconds(_SCALED["proxy"]["stop_grace_period"])


def test_grafana_finds_what_is_mounted() -> None:
    """Grafana finds Prometheus and the dashboard where they are."""
    grafana = _SERVICES["grafana"]
    folders = dict(mount.split(":")[1::-1] for mount in grafana["volumes"])
    provisioning = _REPOSITORY / folders["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/digits.yml").read_text())["providers"]
    assert (_REPOSITORY / folders[provider["options"]["path"]] / "digits.json").exists()


def test_images_are_told_what_they_are_built_from() -> None:
    """The shell's SOURCE and REVISION reach each image's labels."""
    built = [service["build"] for service in [*_SERVICES.values(), *_SCALED.values()] if "build" in service]
    assert [build["args"] for build in built] == [["SOURCE", "REVISION"]] * 4


def test_images_are_pinned() -> None:
    """An image that is not built here has a version."""
    images = [service["image"] for service in _SERVICES.values() if "image" in service]
    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _mount(name: str, volume: str) -> str | None:
    return next((mount for mount in _SERVICES[name].get("volumes", []) if mount.startswith(f"{volume}:")), None)

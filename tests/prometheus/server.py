"""A real Prometheus with the project's own rules, in which a day takes seconds."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

_RULES = Path(__file__).parents[2] / "deploy/prometheus/rules"
# The windows in brackets in the rules, and their lengths here. They keep their order and hold at least four scrapes.
# The quarter of an hour is the longest: workers that a busy machine starts one after the other must fit into it.
_WINDOWS = {
    "2m": "2s",
    "5m": "2s",
    "30m": "2500ms",
    "1h": "3s",
    "2h": "3s",
    "6h": "4s",
    "1d": "5s",
    "3d": "6s",
    "15m": "12s",
}
# An alert must hold in two evaluations.
_INTERVAL = "500ms"
_CONFIG = {
    "global": {"scrape_interval": _INTERVAL, "scrape_timeout": _INTERVAL, "evaluation_interval": _INTERVAL},
    "rule_files": ["rules/*.yml"],
    "scrape_configs": [
        {"job_name": "digits", "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": _INTERVAL}]}
    ],
}
_WAIT_SECONDS = 30.0


@dataclass
class Prometheus:
    """A running server; `log` has the alerts that fired and cleared, with the seconds since it started."""

    folder: Path
    client: httpx.Client
    log: list[tuple[float, str, str]] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _firing: set[str] = field(default_factory=set)

    def scrape(self, ports: Sequence[int]) -> None:
        """Scrape the services on these ports from now on, and no others."""
        written = self.folder / "targets.json.new"
        written.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]))
        written.rename(self.folder / "targets.json")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an instant query gives."""
        answer = self.client.get("/api/v1/query", params={"query": expression}).raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """The labels of the last minute's exemplars for the series of an expression."""
        now = time.time()
        asked: dict[str, str | float] = {"query": expression, "start": now - 60, "end": now}
        answer = self.client.get("/api/v1/query_exemplars", params=asked).raise_for_status()
        return [exemplar["labels"] for series in answer.json()["data"] for exemplar in series["exemplars"]]

    def values(self, label: str, series: str) -> list[str]:
        """The values that a label of these series has."""
        answer = self.client.get(f"/api/v1/label/{label}/values", params={"match[]": series}).raise_for_status()
        found: list[str] = answer.json()["data"]
        return found

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        alerts = self.client.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        assert not any("<error expanding" in text for alert in alerts for text in alert["annotations"].values()), alerts
        now = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        seconds = time.monotonic() - self._started
        self.log += [(seconds, alert, "fired") for alert in sorted(now - self._firing)]
        self.log += [(seconds, alert, "cleared") for alert in sorted(self._firing - now)]
        self._firing = now
        return now

    def wait_for(self, *alerts: str) -> None:
        """Wait until these have fired, each at some time from now on."""
        missing = set(alerts)
        deadline = time.monotonic() + _WAIT_SECONDS
        while missing := missing - self.firing():
            assert time.monotonic() < deadline, f"{missing} did not fire; these do: {self._firing}"
            time.sleep(0.1)

    def wait_for_silence(self) -> None:
        """Wait until the scraped services answer and no alert fires."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while self.firing() or not self.query("up == 1") or self.query("up == 0"):
            assert time.monotonic() < deadline, f"{self._firing} did not clear"
            time.sleep(0.1)


@contextmanager
def running_prometheus(folder: Path) -> Iterator[Prometheus]:
    """Prometheus with short windows, which scrapes nothing yet."""
    (folder / "rules").mkdir()
    for file in _RULES.glob("*.yml"):
        (folder / "rules" / file.name).write_text(shortened(file.read_text()))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_CONFIG))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                _wait_until_ready(client)
                yield Prometheus(folder, client)
        finally:
            process.terminate()


def shortened(rules: str) -> str:
    """The same rules over windows of seconds, evaluated twice a second."""
    rules = re.sub(r"\[(\w+)\]", lambda window: f"[{_WINDOWS[window[1]]}]", rules)
    rules = re.sub(r"^( +for: )(?!0m).*$", rf"\g<1>{_INTERVAL}", rules, flags=re.MULTILINE)
    return re.sub(r"^( +interval: ).*$", rf"\g<1>{_INTERVAL}", rules, flags=re.MULTILINE)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "Prometheus does not start; its log is in the test's folder"
        time.sleep(0.1)

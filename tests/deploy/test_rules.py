"""The rules of Prometheus: their text is checked, and their behaviour is tried with promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

_REPOSITORY = Path(__file__).parents[2]
_RULES = _REPOSITORY / "deploy/prometheus/rules"
_CASES = Path(__file__).parent / "rules_test.yml"
_GROUPS: list[dict[str, Any]] = [
    group for file in sorted(_RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]
]
_RECORDED = {rule["record"] for group in _GROUPS for rule in group["rules"] if "record" in rule}
_ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in _GROUPS for rule in group["rules"] if "alert" in rule
}


@pytest.mark.parametrize("name", _ALERTS)
def test_alert_says_what_to_do(name: str) -> None:
    """Each alert has a severity, a description, and a section of the runbook that says what to do."""
    alert = _ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "{{ $labels." in alert["annotations"]["description"] or "{{ $value" in alert["annotations"]["description"]
    document, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    _, _, rest = (_REPOSITORY / document).read_text().lower().partition(f"\n## {anchor}\n")
    section, _, _ = rest.partition("\n## ")
    assert re.findall(r"\*\*(means|look|do)\*\*", section) == ["means", "look", "do"]


def test_every_section_of_the_runbook_is_of_an_alert() -> None:
    """The runbook explains no alert that was removed or renamed."""
    sections = re.findall(r"^## (.+)$", (_REPOSITORY / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sections == list(_ALERTS)


def test_every_alert_fires_and_clears_in_a_case() -> None:
    """Every alert has a case in which it fires and later clears."""
    cases = yaml.safe_load(_CASES.read_text())["tests"]
    cleared = {
        alert
        for case in cases
        for earlier, later in zip(case["promql_expr_test"], case["promql_expr_test"][1:], strict=False)
        for alert in _fired(earlier) - _fired(later)
    }
    assert cleared == _ALERTS.keys()


def test_every_alert_is_waited_for_in_earnest() -> None:
    """For each alert there is a test in which a real Prometheus sees the real service go wrong."""
    faults = (_REPOSITORY / "tests/prometheus/test_faults.py").read_text()
    assert set(re.findall(r'"(Digits\w+)"', faults)) == _ALERTS.keys()


def test_rules_use_metrics_that_exist() -> None:
    """Every metric in a rule is exported by the service, recorded by another rule, or Prometheus' own."""
    documented = set(re.findall(r"^\| `(digits_\w+)", (_REPOSITORY / "docs/metrics.md").read_text(), re.MULTILINE)) | {
        "up",
        "process_start_time_seconds",
    }
    shown = documented | {f"{name}_{part}" for name in documented for part in ("bucket", "count")}
    for group in _GROUPS:
        for rule in group["rules"]:
            used = set(re.findall(r"\b(?:namespace_job:)?(?:digits|process)_[\w:]+|\bup\b", rule["expr"]))
            assert used, rule
            assert used <= shown | _RECORDED


def test_compose_gives_prometheus_the_rules() -> None:
    """The rules are mounted where prometheus.yml reads them."""
    config = yaml.safe_load((_REPOSITORY / "deploy/prometheus/prometheus.yml").read_text())
    compose = yaml.safe_load((_REPOSITORY / "docker-compose.yml").read_text())
    assert config["rule_files"] == ["/etc/prometheus/rules/*.yml"]
    assert "./deploy/prometheus/rules:/etc/prometheus/rules:ro" in compose["services"]["prometheus"]["volumes"]


@pytest.mark.prometheus
def test_promtool_accepts_the_rules() -> None:
    """Prometheus itself finds nothing wrong with the rules."""
    _promtool("check", "rules", *map(str, sorted(_RULES.glob("*.yml"))))


@pytest.mark.prometheus
def test_alerts_fire_when_they_should_and_only_then() -> None:
    """Every case of rules_test.yml holds, run by Prometheus' own evaluation."""
    _promtool("test", "rules", str(_CASES))


def _fired(moment: dict[str, Any]) -> set[str]:
    return {re.findall(r'"(\w+)"', sample["labels"])[0] for sample in moment["exp_samples"]}


def _promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr

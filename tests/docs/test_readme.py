"""The README agrees with the code."""

import re
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
import typer.main

from service.problems import BY_STATUS
from service.settings import Settings
from service.versions.golden import GOLDEN_TOLERANCE
from tests.service.process import READY_SECONDS, Process
from tests.service.running import wait_until
from trainer.cli import app
from trainer.profiles import Profile

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_documented_as_it_is() -> None:
    """The table of settings names each one with its default and its own description."""
    expected = [
        f"| `DIGITS_{name.upper()}` | `{field.default}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    assert re.findall(r"^\| `DIGITS_.*$", README, re.MULTILINE) == expected


def test_every_make_target_is_real() -> None:
    """Each `make` command of the README is a target of the Makefile, also one with a hyphen."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README))
    assert {"serve", "test", "train", "bench-peers"} <= named <= targets


def test_the_first_answer_is_the_released_model_s(released_store: Path, program_cache: Path) -> None:
    """A fresh checkout answers docs/digit.png as the section Start shows, as far as two processors agree."""
    digit, confidence, is_digit, version = re.findall(
        r'{"predictions":\[{"digit":(\d),"confidence":([\d.]+),.*"is_digit":(\w+)}.*"version":(\d+)}', _section("Start")
    )[0]

    with closing(Process(released_store, program_cache, DIGITS_WORKERS="1")) as service:
        wait_until(service.ready, READY_SECONDS)
        picture = (ROOT / "docs/digit.png").read_bytes()
        answer = service.client.post("/v1/predict", files={"file": ("digit.png", picture)}).json()

    (prediction,) = answer["predictions"]
    assert (str(prediction["digit"]), prediction["is_digit"]) == (digit, is_digit == "true")
    assert prediction["confidence"] == pytest.approx(float(confidence), abs=GOLDEN_TOLERANCE)
    assert str(answer["model"]["version"]) == version


def test_tests_that_make_test_leaves_out_are_named() -> None:
    """The README says which tests `make test` does not run, and CONTRIBUTING how to run them."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    left_out = set(re.findall(r"not (\w+)", options))
    sentence = _section("Start").partition("$ make test\n")[2]
    assert left_out <= set(re.findall(r"`(\w+)`", sentence))
    assert left_out == set(re.findall(r"pytest -m (\w+)", (ROOT / "CONTRIBUTING.md").read_text()))


def test_every_variable_of_compose_is_documented() -> None:
    """The README names each variable that docker-compose.yml takes from the shell."""
    variables = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert {name for name in variables if f"`{name}`" not in README} == set()


def test_commands_run_in_a_fresh_checkout() -> None:
    """Commands name the Python of .venv, because any other lacks the packages."""
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        assert not re.findall(r"(?:`|^\$ )python -m.*", document.read_text(), re.MULTILINE), document.name


def test_every_problem_is_documented() -> None:
    """The table of statuses has each status that the service answers a request with."""
    documented = {int(status) for status in re.findall(r"\b[45]\d\d\b", _section("Ask"))}
    assert documented == set(BY_STATUS) - {500}


def test_every_profile_is_documented() -> None:
    """The table of profiles has each profile of the trainer."""
    assert re.findall(r"^\| `(\w+)` \|", _section("Train"), re.MULTILINE) == [profile.value for profile in Profile]


def test_every_trainer_command_is_documented() -> None:
    """The table of commands has each command of the trainer."""
    documented = re.findall(r"^\| `\.venv/bin/python -m trainer ([a-z-]+)", _section("Train"), re.MULTILINE)
    commands = typer.main.get_group(app).commands
    assert sorted(documented) == sorted(commands)


def test_every_link_leads_somewhere() -> None:
    """Links to files of the repository lead to files."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def _section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)

"""The README is held to what the code does."""

import re
from pathlib import Path

import typer.main

from service.problems import BY_STATUS
from service.settings import Settings
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
    """Each `make` command of the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", README))
    assert {"serve", "test", "train"} <= named <= targets


def test_every_problem_is_documented() -> None:
    """The table of statuses has each status that the service answers a request with."""
    documented = {int(status) for status in re.findall(r"\b[45]\d\d\b", _section("Ask"))}
    assert documented == set(BY_STATUS) - {500}


def test_every_profile_is_documented() -> None:
    """The table of profiles has each profile of the trainer."""
    assert re.findall(r"^\| `(\w+)` \|", _section("Train"), re.MULTILINE) == [profile.value for profile in Profile]


def test_every_trainer_command_is_documented() -> None:
    """The table of commands has each command of the trainer."""
    documented = re.findall(r"^\| `python -m trainer ([a-z-]+)", _section("Train"), re.MULTILINE)
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

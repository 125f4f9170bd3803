import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.__main__ import main
from service.settings import Settings
from service.versions.manifest import MANIFEST_PATH
from tests.service.failing import fail, needs_a_failing_file
from tests.service.fakes import write_version


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_setting() -> None:
    """`--help` lists each setting as its environment variable."""
    shown = run("--help").stdout
    assert all(f"DIGITS_{name.upper()} " in shown for name in Settings.model_fields)


def test_check_says_which_versions_are_whole(
    released_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` names each version, says what is wrong with a bad one, and ends with 0 if one is whole."""
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    shutil.copytree(released_store / "digits", tmp_path / "digits")
    (write_version(tmp_path, 2) / "saved_model.pb").write_bytes(b"damaged")
    assert main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "version 1: whole" in shown
    assert "version 2: saved_model.pb has 7 bytes" in shown


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, "policy: the newest version; a start serves version 1"),
        ('{"serve": "latest"}', "policy: the newest version; a start serves version 1"),
        ('{"serve": 1}', "policy.json pins version 1, which a start serves"),
        ('{"serve": 2}', "policy.json pins version 2, which is not whole: a start serves version 1, the newest"),
        ('{"serve": 3}', "policy.json pins version 3, which is not in the model store: a start serves version 1"),
        ("serve 1", "policy.json cannot be followed: a start serves version 1, the newest"),
    ],
)
def test_check_says_what_the_policy_leads_to(
    released_store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    policy: str | None,
    said: str,
) -> None:
    """`check` reports a pin that cannot be followed before a start serves the version that it was to keep out."""
    shutil.copytree(released_store / "digits", tmp_path / "digits")
    (write_version(tmp_path, 2) / "saved_model.pb").write_bytes(b"damaged")
    if policy is not None:
        (tmp_path / "digits" / "policy.json").write_text(policy)
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    assert main(["check"]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "number", "reason"),
    [
        ("digits", "7", "version 7: the manifest says version 1, the folder is 7"),
        ("numerals", "1", "version 1: the manifest says model digits, the folder is numerals"),
    ],
)
def test_check_refuses_a_version_that_was_copied_to_another_place(
    released_store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    number: str,
    reason: str,
) -> None:
    """`check` does not call a version whole that the service would reject for its number or its model."""
    shutil.copytree(released_store / "digits" / "1", tmp_path / model / number)
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    monkeypatch.setenv("DIGITS_MODEL_NAME", model)
    assert main(["check"]) == 1
    assert reason in capsys.readouterr().out


def test_check_reads_the_golden_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that match the manifest are not enough: invalid golden images keep a version from serving."""
    write_version(tmp_path, 1)
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    assert main(["check"]) == 1
    assert "version 1: assets.extra/golden.npz cannot be read" in capsys.readouterr().out


@needs_a_failing_file
def test_check_says_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` reports a version on a failing disk, instead of ending with a traceback."""
    fail(write_version(tmp_path, 1) / MANIFEST_PATH)
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    assert main(["check"]) == 1
    assert "version 1: [Errno 5] Input/output error" in capsys.readouterr().out


def test_check_of_an_empty_store_fails_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` ends with 1 when nothing can serve, and names the command that changes that."""
    monkeypatch.setenv("DIGITS_MODEL_STORE", str(tmp_path))
    assert main(["check"]) == 1
    assert "python -m trainer release" in capsys.readouterr().out


def test_wrong_setting_is_named() -> None:
    """A setting out of its range ends the start with 2 and is named."""
    ended = run(DIGITS_PORT="99999")
    assert ended.returncode == 2
    assert "DIGITS_PORT" in ended.stderr


def test_wrong_settings_together_are_named_as_they_are_set() -> None:
    """An error in two settings together names both environment variables, not their names in the code."""
    ended = run(DIGITS_QUEUE_LIMIT="9")
    assert ended.returncode == 2
    assert ended.stderr == "DIGITS_QUEUE_LIMIT (9) must be at least DIGITS_MAX_INSTANCES (10000)\n"


def test_an_app_that_cannot_start_ends_with_1() -> None:
    """Not with uvicorn's own 3, which here means that the quality gate has refused a version."""
    without_threads = (
        "import sys, service.pool\n"
        "def none(count, name): raise RuntimeError('no thread')\n"
        "service.pool.background_threads = none\n"
        "from service.__main__ import main\n"
        "sys.exit(main([]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", without_threads],
        env={"PATH": "/usr/bin:/bin", "DIGITS_PORT": "0", "DIGITS_WORKERS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "no thread" in ended.stderr


def test_taken_port_is_said_plainly() -> None:
    """A port that another program uses ends the start with 1 and a sentence, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(DIGITS_PORT=str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "Choose another DIGITS_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "fe80::1"])
def test_an_address_that_this_machine_does_not_have_is_said_plainly(host: str) -> None:
    """An unknown host name, or another machine's address, ends the start with 1 and names the setting to change."""
    ended = run(DIGITS_HOST=host)
    assert ended.returncode == 1
    assert "Choose another DIGITS_HOST" in ended.stderr
    assert "Unknown error" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_several_workers_are_for_linux(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections would not be spread over workers, the start says so instead of leaving all but one idle."""
    monkeypatch.setenv("DIGITS_WORKERS", "2")
    assert main([], system="Darwin") == 2
    assert "on Darwin one worker serves; leave it unset or choose 1" in capsys.readouterr().err

"""The commands on versions: what they print, what they change, how they fail."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.trainer.made_versions import damage, store_of
from trainer.cli import app
from trainer.release import release
from trainer.versions.manifest import MANIFEST_PATH, Metrics, read
from trainer.versions.policy import read_pin
from trainer.versions.store import ModelStore


def run(store: ModelStore, *arguments: str) -> Result:
    """Runs a command on a store in this process."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, [*arguments, "--store", str(store.root), "--name", store.name])


def test_versions_are_listed_newest_first(tmp_path: Path) -> None:
    """Each version has its accuracy, date, profile and size, and the one that serves is marked."""
    store = store_of(tmp_path, 3)
    assert run(store, "serve-version", "2").exit_code == 0
    done = run(store, "versions")
    assert done.exit_code == 0, done.output
    heading, *rows = [line.split() for line in done.stdout.splitlines()]
    assert heading == ["version", "accuracy", "made", "profile", "size", "state"]
    manifest = read(store.folder / "2")
    facts = [
        f"{manifest['metrics']['test_accuracy']:.2%}",
        manifest["created"],
        str(manifest["recipe"]["profile"]),
        "0.0",
        "MB",
    ]
    assert rows == [["3", *facts], ["2", *facts, "serving"], ["1", *facts]]


def test_damaged_versions_are_marked(tmp_path: Path) -> None:
    """A damaged version is marked, a warning says what is wrong with it, and the next one serves."""
    store = store_of(tmp_path, 2)
    damage(store, 2)
    (store.folder / "3").mkdir()
    done = run(store, "versions")
    assert done.exit_code == 0, done.output
    third, second, first = (line.split() for line in done.stdout.splitlines()[1:])
    assert third == ["3", "?", "?", "?", "0.0", "MB", "damaged"]
    assert (second[-1], first[-1]) == ("damaged", "serving")
    assert done.stderr.splitlines() == [
        "warning: version 3 can't serve: its manifest can't be read",
        "warning: version 2 can't serve: saved_model.pb is not as its manifest states",
    ]


def test_policy_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """The list comes with a warning if policy.json is unusable, or pins a version that can't serve."""
    store = store_of(tmp_path, 1)
    (store.folder / "policy.json").write_text("{")
    done = run(store, "versions")
    assert (done.exit_code, "serving" in done.stdout) == (0, False)
    assert "it is not known which version serves" in done.stderr
    (store.folder / "policy.json").write_text('{"serve": 9}')
    done = run(store, "versions")
    assert (done.exit_code, "serving" in done.stdout) == (0, False)
    assert "pins version 9, which can't serve" in done.stderr


@pytest.mark.parametrize("document", [{"files": {}}, {"created": 1763844000}, {"metrics": []}, []])
def test_manifest_of_any_form_is_listed(tmp_path: Path, document: Any) -> None:
    """Whatever JSON a manifest holds, the versions are listed, and the previous one serves."""
    store = store_of(tmp_path, 2)
    path = store.folder / "2" / MANIFEST_PATH
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, **document} if "files" not in document and document else document))
    done = run(store, "versions")
    assert done.exit_code == 0, done.output
    second, first = (line.split() for line in done.stdout.splitlines()[1:])
    assert (second[-1], first[-1]) == ("damaged", "serving")


def test_prune_in_doubt_removes_nothing(tmp_path: Path) -> None:
    """A pin on a missing version ends `prune` with 1 and the reason."""
    store = store_of(tmp_path, 3)
    (store.folder / "policy.json").write_text('{"serve": 99}')
    done = run(store, "prune", "--keep", "1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nothing was removed" in done.stderr
    assert "pins version 99" in done.stderr
    assert store.versions() == [1, 2, 3]


def test_serve_version_writes_the_policy(tmp_path: Path) -> None:
    """A number pins that version, and `latest` removes the pin."""
    store = store_of(tmp_path, 2)
    done = run(store, "serve-version", "1")
    assert (done.exit_code, done.stdout) == (0, "will serve    version 1\n")
    assert read_pin(store) == 1
    done = run(store, "serve-version", "latest")
    assert (done.exit_code, done.stdout) == (0, "will serve    the latest version\n")
    assert read_pin(store) is None


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["serve-version", "9"], 1, "there are: 1, 2"),
        (["serve-version", "newest"], 2, "'latest'"),
        (["serve-version", "0"], 2, "'latest'"),
        (["serve-version", "1" * 5000], 2, "'latest'"),
        (["serve-version"], 2, "VERSION"),
        (["evaluate", "9"], 1, "there are: 1, 2"),
        (["evaluate", "0"], 2, "VERSION"),
        (["prune", "--keep", "0"], 2, "--keep"),
        (["prune"], 2, "--keep"),
    ],
)
def test_mistakes_change_nothing(tmp_path: Path, arguments: list[str], code: int, complaint: str) -> None:
    """A request that can't be met ends with 1, wrong usage with 2, each with the reason; the store stays as it is."""
    store = store_of(tmp_path, 2)
    done = run(store, *arguments)
    assert done.exit_code == code
    assert complaint in done.stderr
    assert {path.name for path in store.folder.iterdir()} == {"1", "2"}


def test_empty_store_is_an_error(tmp_path: Path) -> None:
    """Without a version the error names the command that provides one."""
    done = run(ModelStore(tmp_path, "digits"), "versions")
    assert done.exit_code == 1
    assert "python -m trainer release" in done.stderr


def test_prune_says_what_it_removed(tmp_path: Path) -> None:
    """The numbers removed and left are printed; with nothing to remove it says none."""
    store = ModelStore(tmp_path, "digits")
    release(store)
    manifest = read(store.folder / "1")
    for _ in range(3):
        with store.publication() as folder:
            shutil.copytree(store.folder / "1", folder, dirs_exist_ok=True)
            store.publish(folder, manifest)
    run(store, "serve-version", "1")
    done = run(store, "prune", "--keep", "2")
    assert (done.exit_code, done.stdout) == (0, "removed       2\nleft          1, 3, 4\n")
    done = run(store, "prune", "--keep", "2")
    assert (done.exit_code, done.stdout) == (0, "removed       none\nleft          1, 3, 4\n")


def test_evaluate_measures_what_was_measured(trained: tuple[Path, Metrics], mnist_npz: Path) -> None:
    """On the same test images a version scores what its manifest says, digit by digit."""
    folder, metrics = trained
    done = run(ModelStore(folder.parents[1], "digits"), "evaluate", "1", "--data", str(mnist_npz))
    assert done.exit_code == 0, done.output
    accuracy, nll, ece, heading, *rows = done.stdout.splitlines()
    assert accuracy.startswith(f"test accuracy {metrics['test_accuracy']:.2%} (95 % interval ")
    assert f"{metrics['test_errors']} errors in 100)" in accuracy
    assert nll.split() == ["NLL", f"{metrics['test_nll']:.4f}"]
    assert ece.split() == ["ECE", f"{metrics['test_ece']:.2%}"]
    assert heading.split() == ["digit", "images", "precision", "recall"]
    assert [row.split() for row in rows] == [
        [str(digit["digit"]), str(digit["images"]), f"{digit['precision']:.2%}", f"{digit['recall']:.2%}"]
        for digit in metrics["per_class"]
    ]


def test_damaged_version_is_not_evaluated(tmp_path: Path, mnist_npz: Path) -> None:
    """A version that is not what was published has no score."""
    store = store_of(tmp_path, 1)
    damage(store, 1)
    done = run(store, "evaluate", "1", "--data", str(mnist_npz))
    assert done.exit_code == 1
    assert "version 1 can't be evaluated: saved_model.pb is not as its manifest states" in done.stderr

"""The commands, as people and Compose run them: exit codes, last lines, and nothing left half done."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.synthetic import draw_arrays, write_npz
from trainer import cli
from trainer.data import Dataset
from trainer.gate import Gate
from trainer.profiles import Profile, recipe_facts, recipe_for
from trainer.release import release
from trainer.run import Run
from trainer.training import _run_key
from trainer.versions.manifest import code_sha256, read
from trainer.versions.policy import serving_version
from trainer.versions.store import ModelStore


def environment(home: Path) -> dict[str, str]:
    """This process's environment with an empty home, no data, and a proxy that leads nowhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIGITS_", "KERAS_", "XDG_"))}
    nowhere = "http://127.0.0.1:9"
    return {**kept, "HOME": str(home), "https_proxy": nowhere, "HTTPS_PROXY": nowhere, "NO_COLOR": "1"}


def trainer(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m trainer` in an empty home."""
    return subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=Path(__file__).parents[2],
        env=environment(home) | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def interrupt(process: subprocess.Popen[str]) -> str:
    """Presses Ctrl-C until the process ends, for two minutes at the most, and returns the rest of its standard error.

    Python loses a Ctrl-C that comes while an object is being destroyed ("Exception ignored in ...").
    """
    for _ in range(24):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=5)[1]
    process.kill()
    pytest.fail("Ctrl-C does not end it")


def test_train_publishes_and_says_what_next(tmp_path: Path, mnist_npz: Path) -> None:
    """A run ends with the accuracy, the version, and the next command; settings come from the environment."""
    done = trainer(
        tmp_path,
        *("train", "--profile", "fast", "--epochs", "1", "--min-accuracy", "0"),
        DIGITS_MNIST=str(mnist_npz),
        DIGITS_MODEL_STORE=str(tmp_path / "models"),
        DIGITS_MODEL_NAME="numerals",
    )
    assert done.returncode == 0, done.stderr
    accuracy, gate, published, following = done.stdout.splitlines()[-4:]
    assert accuracy.startswith("test accuracy")
    assert "errors in 100" in accuracy
    assert gate == "quality gate  passed; there was no version to compare with"
    assert published == f"published     version 1: {tmp_path / 'models' / 'numerals' / '1'}"
    assert f"DIGITS_MODEL_STORE={tmp_path / 'models'} DIGITS_MODEL_NAME=numerals make serve" in following
    assert "not MNIST as published" in done.stderr
    assert "epoch 1/1" in done.stderr
    assert "oneDNN" not in done.stderr
    assert read(tmp_path / "models" / "numerals" / "1")["recipe"]["epochs"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["train", "--profile", "slow"], 2, "slow"),
        (["train", "--epochs", "0"], 2, "epochs"),
        (["train", "--min-accuracy", "99"], 2, "min-accuracy"),
        (["train", "--min-accuracy", "nan"], 2, "min-accuracy"),
        (["train", "--name", "../up"], 2, "name"),
        (["fly"], 2, "fly"),
        (["train", "--data", "missing.npz"], 1, "missing.npz does not exist"),
        (["bootstrap", "--data", "missing.npz"], 1, "missing.npz does not exist"),
        (["train"], 1, "DIGITS_MNIST"),
        (["train", "--store", "LICENSE"], 1, "--store"),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: list[str], code: int, complaint: str) -> None:
    """Wrong usage is 2, failure is 1, each with a line that says why and no traceback."""
    store = [] if "--store" in arguments or arguments == ["fly"] else ["--store", str(tmp_path / "models")]
    done = trainer(tmp_path, *arguments, *store)
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_refused_version_is_not_published(tmp_path: Path, mnist_npz: Path) -> None:
    """A run that fails the quality gate ends with 3 and the numbers; the released model keeps serving."""
    store = ModelStore(tmp_path / "models", "digits")
    command = ["bootstrap", "--profile", "tutorial", "--min-accuracy", "1"]
    done = trainer(tmp_path, *command, "--data", str(mnist_npz), "--store", str(store.root))
    assert done.returncode == 3, done.stderr
    assert "published" not in done.stdout
    assert "refused: nothing was published\n  test accuracy " in done.stderr
    assert done.stderr.splitlines()[-1].endswith(" all the same with --force")  # bootstrap has no --resume
    assert store.versions() == [serving_version(store)] == [1]
    assert list(store.folder.glob(".publishing-*")) == []


def test_forced_version_is_published_and_says_so(tmp_path: Path, mnist_npz: Path) -> None:
    """With --force a version below the gate is published, with a warning, and its manifest records it."""
    store = tmp_path / "models"
    command = ["train", "--profile", "tutorial", "--epochs", "1", "--min-accuracy", "1", "--force"]
    done = trainer(tmp_path, *command, "--data", str(mnist_npz), "--store", str(store))
    assert done.returncode == 0, done.stderr
    assert "warning: published by --force: test accuracy" in done.stderr
    assert "quality gate  not passed, published by --force; there was no version to compare with" in done.stdout
    gate = read(store / "digits" / "1")["gate"]
    assert gate is not None
    assert (gate["passed"], gate["forced"], gate["min_accuracy"]) == (False, True, 1)


def test_interrupted_run_goes_on(tmp_path: Path, mnist_npz: Path) -> None:
    """Ctrl-C in training ends with 130 and one line; nothing is published, and --resume continues from there."""
    store = tmp_path / "models"
    command = ["train", "--profile", "fast", "--epochs", "40", "--data", str(mnist_npz), "--store", str(store)]
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", *command], env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 2"):  # so the first is saved
                break
        rest = interrupt(process)
    assert process.returncode == 130
    assert (
        rest.splitlines()[-1]
        == "interrupted: nothing was published; add --resume to continue after the last complete epoch"
    )
    assert "Traceback" not in rest
    assert ModelStore(store, "digits").versions() == []
    done = trainer(tmp_path, *command, "--min-accuracy", "0", "--resume", "--tensorboard", str(tmp_path / "logs"))
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch" in done.stderr
    assert "epoch 1/40" not in done.stderr
    assert [path.name for path in (store / "digits").iterdir()] == ["1"]
    assert len(list((tmp_path / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    ("profile", "way_out", "to_continue"),
    [
        (Profile.FAST, "--resume --force", "; add --resume to continue after the last complete epoch"),
        (Profile.TUTORIAL, "--force", ""),
    ],
)
def test_only_what_was_kept_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile, way_out: str, to_continue: str
) -> None:
    """A refused or interrupted run names --resume only if its epochs are kept, which the tutorial's are not."""
    gates: list[Gate] = []

    def interrupted(*arguments: object, **_: object) -> None:
        gates.extend(argument for argument in arguments if isinstance(argument, Gate))
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_train", interrupted)
    data = write_npz(tmp_path / "mnist.npz")
    command = ["train", "--profile", profile.value, "--data", str(data), "--store", str(tmp_path / "models")]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == f"interrupted: nothing was published{to_continue}"
    assert [gate.way_out for gate in gates] == [way_out]


def test_bootstrap_without_data_serves_the_released_model(tmp_path: Path) -> None:
    """Without data, the released model is published, the reason is given, and the command succeeds."""
    done = trainer(tmp_path, "bootstrap", "--store", str(tmp_path / "models"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("released")
    assert done.stdout.splitlines()[1].startswith("not training  MNIST is not on this machine")
    assert ModelStore(tmp_path / "models", "digits").versions() == [1]


def test_bootstrap_that_needs_data_fails_without(tmp_path: Path) -> None:
    """A nightly run that finds no data has failed, and says why; the released model is published all the same."""
    done = trainer(tmp_path, "bootstrap", "--needs-data", "--store", str(tmp_path / "models"))
    assert done.returncode == 1
    assert "MNIST is not on this machine" in done.stderr
    assert ModelStore(tmp_path / "models", "digits").versions() == [1]


def store_with_default(folder: Path, dataset: Dataset, seed: int) -> ModelStore:
    """A store with the released model, and with version 2 as a run of the default profile would leave it."""
    store = ModelStore(folder, "digits")
    store.prepare()
    release(store)
    with store.publication() as publication:
        (publication / "saved_model.pb").touch()
        (publication / "assets.extra").mkdir()
        (publication / "assets.extra" / "golden.npz").touch()
        manifest = read(store.folder / "1")
        manifest["recipe"] = recipe_facts(recipe_for(Profile.DEFAULT))
        manifest["seed"] = seed
        manifest["code_sha256"] = code_sha256()
        manifest["dataset"]["sha256"] = dataset.sha256
        store.publish(publication, manifest)
    return store


@pytest.mark.parametrize("options", [[], ["--seed", "5"], ["--force"]])
def test_bootstrap_twice_trains_once(tmp_path: Path, mnist_npz: Path, dataset: Dataset, options: list[str]) -> None:
    """A store that has this recipe, code and data is up to date, whatever its seed; --force is for the gate alone."""
    store = store_with_default(tmp_path / "models", dataset, seed=5)
    done = trainer(tmp_path, "bootstrap", *options, "--store", str(store.root), "--data", str(mnist_npz))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(
        "up to date    version 2 has this recipe, code and data, with seed 5;"
    )
    assert "TensorFlow" not in done.stderr
    assert store.versions() == [1, 2]


def test_bootstrap_trains_another_seed_that_is_asked_for(tmp_path: Path, mnist_npz: Path, dataset: Dataset) -> None:
    """If a seed is named that no version has, the store is not up to date."""
    store = store_with_default(tmp_path / "models", dataset, seed=5)
    run = Run(store.run_folder(_run_key(recipe_for(Profile.DEFAULT), dataset, 0)))
    with run.taken():  # so that it goes as far as training, which would take a minute, and no further
        done = trainer(tmp_path, "bootstrap", "--seed", "0", "--store", str(store.root), "--data", str(mnist_npz))
    assert done.returncode == 0, done.stderr
    assert "up to date" not in done.stdout
    assert "not training  another process trains" in done.stdout


def test_bootstrap_beside_the_same_training_is_no_failure(tmp_path: Path, mnist_npz: Path, dataset: Dataset) -> None:
    """While another process trains with the same recipe, seed and data, a nightly run leaves it to that one."""
    store = ModelStore(tmp_path / "models", "digits")
    run = Run(store.run_folder(_run_key(recipe_for(Profile.DEFAULT), dataset, 0)))
    with run.taken():
        done = trainer(tmp_path, "bootstrap", "--store", str(store.root), "--data", str(mnist_npz))
    assert done.returncode == 0, done.stderr
    assert "not training  another process trains" in done.stdout
    assert store.versions() == [1]


@pytest.mark.parametrize("command", ["train", "release", "bootstrap", "evaluate", "versions", "serve-version", "prune"])
def test_help_has_an_example(tmp_path: Path, command: str) -> None:
    """Every command explains itself with an example."""
    done = trainer(tmp_path, command, "--help")
    assert done.returncode == 0
    assert f"python -m trainer {command}" in done.stdout


def test_user_file_is_never_touched(tmp_path: Path) -> None:
    """A file with unusual content is used or refused, but keeps its bytes and its place."""
    path = write_npz(tmp_path / "mnist.npz", y_test=draw_arrays()["y_test"] + 1)
    before = path.read_bytes()
    done = trainer(tmp_path, "train", "--data", str(path), "--store", str(tmp_path / "models"))
    assert done.returncode == 1
    assert path.read_bytes() == before

"""A whole run: from drawn digits to a version that knows them and says so."""

import io
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from tensorflow.lite.python.convert import ConverterError

from tests.trainer.made_up import GATE, full_findings
from tests.trainer.made_versions import store_of
from trainer.data import Dataset, scale
from trainer.export import load, save
from trainer.fitting import DivergedError, fit
from trainer.gate import Gate, GateRefusedError
from trainer.images.outliers import make_outliers
from trainer.interruption import Interruption
from trainer.profiles import StridedRecipe, TutorialRecipe, recipe_facts
from trainer.progress import FittingProgress, Watchers
from trainer.run import Run
from trainer.training import _publish_compared, _time_image, train
from trainer.versions.manifest import EpochMetrics, GateFacts, Metrics, code_sha256, describe_files, read
from trainer.versions.store import Disk, ModelStore, StoreError


def test_run_learns_and_says_so(trained: tuple[Path, Metrics], dataset: Dataset, recipe: StridedRecipe) -> None:
    """The version reads drawn digits far better than chance, and its manifest states what it is."""
    folder, metrics = trained
    manifest = read(folder)
    assert metrics["test_accuracy"] > 0.5
    assert manifest["metrics"] == metrics
    assert (manifest["name"], manifest["version"], folder.name) == ("digits", 1, "1")
    assert manifest["recipe"] == recipe_facts(recipe)
    assert manifest["seed"] == 7
    assert manifest["code_sha256"] == code_sha256()
    assert manifest["files"] == describe_files(folder)
    assert manifest["dataset"] == {
        "name": "mnist",
        "canonical": False,
        "sha256": dataset.sha256,
        "training_images": 550,
        "held_out_images": 50,
        "test_images": 100,
    }
    assert sum(manifest["baseline"]["class_counts"]) == 100


def test_version_brings_what_tells_about_it(trained: tuple[Path, Metrics]) -> None:
    """Beside the SavedModel lie a report, a card and a line of metrics for each epoch; the run's folder is gone."""
    folder, _ = trained
    extras = {path.name for path in (folder / "assets.extra").iterdir()}
    assert extras == {"golden.npz", "manifest.json", "metrics.jsonl", "model_card.md", "report.html"}
    epochs = [json.loads(line) for line in (folder / "assets.extra" / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_version_is_measured_beyond_clean_digits(trained: tuple[Path, Metrics]) -> None:
    """Corruptions are measured for every version; non-digits only for one that tells them from digits."""
    folder, metrics = trained
    assert len(metrics["corruption_errors"]) == 15
    assert metrics["is_digit_threshold"] is None
    assert metrics["non_digits_accepted"] == {}
    assert 0 < (read(folder)["microseconds_per_image"] or 0) < 10_000


@pytest.mark.parametrize("error", [ConverterError("no such operation"), ValueError(), tf.errors.InternalError])
def test_network_that_cannot_be_timed_is_not_lost(tmp_path: Path, error: Exception | type[Exception]) -> None:
    """Whatever the compiler or the interpreter raises, a finished training goes on without a time."""

    def fail(_: Path) -> float:
        raise error if isinstance(error, Exception) else error(None, None, "no such operation")

    assert _time_image(tmp_path, fail) is None


class PressingDisk(Disk):
    """Presses Ctrl-C as soon as a version is in its place."""

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_after_the_rename_is_too_late(recipe: StridedRecipe, dataset: Dataset, tmp_path: Path) -> None:
    """The version is published, so the run says so and leaves nothing that --resume would publish once more."""
    store = ModelStore(tmp_path, "digits", PressingDisk())
    store.prepare()
    console = Console(file=io.StringIO())
    with Interruption() as interruption, FittingProgress(console) as progress:
        watchers = Watchers([progress, interruption])
        short = replace(recipe, epochs=1)
        folder, _ = train(short, dataset, 7, store, watchers, Gate(console.print, min_accuracy=0))
    assert folder.name == "1"
    assert [path.name for path in store.folder.iterdir()] == ["1"]


class RivalDisk(Disk):
    """Lets another trainer publish its version under the first number at the last instant."""

    def __init__(self, rival: Path) -> None:
        self._rival = rival

    def rename(self, source: Path, target: Path) -> None:
        if target.name == "1" and not target.exists():
            shutil.copytree(self._rival, target)
        super().rename(source, target)


def test_version_that_came_meanwhile_is_compared_with(
    trained: tuple[Path, Metrics], recipe: StridedRecipe, dataset: Dataset, tmp_path: Path
) -> None:
    """A version published while another is measured is compared with, and the other's report and card say so."""
    store = ModelStore(tmp_path, "digits", RivalDisk(trained[0]))
    store.prepare()
    console = Console(file=io.StringIO())
    gate = Gate(console.print, min_accuracy=0.5)
    folder, _ = train(recipe, dataset, 7, store, FittingProgress(console), gate)
    facts = read(folder)["gate"]
    assert folder.name == "2"
    assert facts is not None
    assert (facts["compared_version"], facts["p_value"]) == (1, 1.0)
    assert "version 1" in (folder / "assets.extra" / "model_card.md").read_text()
    assert read(folder)["files"] == describe_files(folder)


def test_worse_than_what_came_meanwhile_is_not_published(
    trained: tuple[Path, Metrics], recipe: StridedRecipe, dataset: Dataset, tmp_path: Path
) -> None:
    """If a version is worse than one published meanwhile, it is refused, and that one stays the latest."""
    store = ModelStore(tmp_path, "digits", RivalDisk(trained[0]))
    store.prepare()
    gate = Gate(lambda _: None, min_accuracy=0)
    hardly = replace(recipe, epochs=1, peak_learning_rate=1e-9)
    with pytest.raises(GateRefusedError, match="worse than version 1"):
        train(hardly, dataset, 7, store, FittingProgress(Console(file=io.StringIO())), gate)
    assert store.versions() == [1]


def test_comparing_ends(tmp_path: Path) -> None:
    """A trainer that is overtaken each time is told how to go on, with nothing published."""
    store = store_of(tmp_path, 1)
    compared = []

    def compare() -> tuple[int, GateFacts]:
        compared.append(store.versions())
        return 1, GATE

    with store.publication() as folder, pytest.raises(StoreError, match="--resume"):
        _publish_compared(folder, full_findings(), store, 1, compare, Watchers([]))
    assert len(compared) == 10
    assert store.versions() == [1]


class Listening(FittingProgress):
    """Progress that keeps the loss of each step."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.losses: list[float] = []

    def step(self, loss: float) -> None:
        super().step(loss)
        self.losses.append(loss)


def test_loss_of_an_epoch_is_that_of_all_its_steps(dataset: Dataset, recipe: StridedRecipe, tmp_path: Path) -> None:
    """The loss noted for an epoch is the mean over its steps, not that of the last batch."""
    with Listening(Console(file=io.StringIO())) as progress:
        fitted = fit(replace(recipe, epochs=2), dataset, 3, progress, Run(tmp_path / "run"))
    steps = len(progress.losses) // 2
    assert steps > 10
    first, second = (epoch["loss"] for epoch in fitted.history)
    assert first == pytest.approx(np.mean(progress.losses[:steps]))
    assert second == pytest.approx(np.mean(progress.losses[steps:]))


class Copying(FittingProgress):
    """Progress that copies a run's files at one instant: all that a kill would leave of it."""

    def __init__(self, console: Console, run: Run, kept: Run) -> None:
        super().__init__(console)
        self._run, self._kept = run, kept

    def epoch(self, metrics: EpochMetrics) -> None:
        """Copies the run's folder when the second of three epochs is over but only the first is saved."""
        super().epoch(metrics)
        if metrics["epoch"] == 2:
            shutil.copytree(self._run.folder, self._kept.folder)


def test_killed_run_goes_on_as_if_nothing_had_been(dataset: Dataset, recipe: StridedRecipe, tmp_path: Path) -> None:
    """A run that was killed before its second epoch was saved loses that epoch, and ends in the same weights."""
    everything = replace(recipe, drawn_fraction=0.1, disturbed_fraction=0.3, outliers_per_batch=8)
    run, killed = Run(tmp_path / "run"), Run(tmp_path / "killed")
    with Copying(Console(file=io.StringIO()), run, killed) as progress:
        through = fit(everything, dataset, 3, progress, run)
    output = io.StringIO()
    with FittingProgress(Console(file=output)) as progress:
        resumed = fit(everything, dataset, 3, progress, killed, resume=True)
    assert "continuing after epoch 1 of 3" in output.getvalue()
    for expected, actual in zip(through.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, actual)
    assert [epoch["epoch"] for epoch in resumed.history] == [1, 2, 3]


def test_network_tells_digits_from_other_things(dataset: Dataset, recipe: StridedRecipe, tmp_path: Path) -> None:
    """A network that learned from outliers tells them from digits, and its SavedModel says so in `is_digit`."""
    telling = replace(recipe, outliers_per_batch=16, outlier_weight=1.0, epochs=8)
    with FittingProgress(Console(file=io.StringIO())) as progress:
        fitted = fit(telling, dataset, 3, progress, Run(tmp_path / "run"))
    (tmp_path / "version").mkdir()
    save(fitted.network, 1.0, tmp_path / "version")
    answer = load(tmp_path / "version")
    digits = answer(scale(dataset.x_test)).is_digit
    others = answer(scale(make_outliers(200, dataset.x_test, np.random.default_rng(5)))).is_digit
    assert digits is not None
    assert others is not None
    assert digits.shape == (100,)
    assert np.median(digits) > np.quantile(others, 0.8)


def test_tutorial_goes_through_keras_fit(dataset: Dataset, progress: FittingProgress, tmp_path: Path) -> None:
    """The tutorial fits four fifths of the images and reports each epoch, like Keras."""
    with progress:
        fitted = fit(TutorialRecipe(epochs=1), dataset, 0, progress, Run(tmp_path / "run"))
    assert fitted.training_images == 480
    assert fitted.held_out_outputs.shape == (50, 10)


def test_divergence_is_an_error(
    dataset: Dataset, recipe: StridedRecipe, progress: FittingProgress, tmp_path: Path
) -> None:
    """A loss that is not a number stops the run with the reason and what to do about it; nothing is published."""
    advice = "in epoch 1: try another --seed, or a lower peak_learning_rate in trainer/profiles.py"
    with progress, pytest.raises(DivergedError, match=advice):
        fit(replace(recipe, peak_learning_rate=1e30, epochs=1), dataset, 0, progress, Run(tmp_path / "run"))


def test_divergence_of_the_tutorial_is_an_error_too(
    dataset: Dataset, progress: FittingProgress, tmp_path: Path
) -> None:
    """Keras' `fit` ends with the same error at the first such step, and it names the tutorial's rate."""
    advice = "in epoch 1: try another --seed, or a lower learning_rate in trainer/profiles.py"
    with progress, pytest.raises(DivergedError, match=advice):
        fit(TutorialRecipe(learning_rate=1e30, epochs=3), dataset, 0, progress, Run(tmp_path / "run"))

"""A whole run: from drawn digits to a version that knows them and says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.data import Dataset
from trainer.fitting import DivergedError, fit
from trainer.manifest import Metrics, code_sha256, describe_files, read
from trainer.profiles import StridedRecipe, TutorialRecipe, recipe_facts
from trainer.progress import FittingProgress
from trainer.run import Run


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


def test_tutorial_goes_through_keras_fit(dataset: Dataset, progress: FittingProgress, tmp_path: Path) -> None:
    """The tutorial fits four fifths of the images and reports each epoch, like Keras."""
    with progress:
        fitted = fit(TutorialRecipe(epochs=1), dataset, 0, progress, Run(tmp_path / "run"))
    assert fitted.training_images == 480
    assert fitted.held_out_outputs.shape == (50, 10)


def test_divergence_is_an_error(
    dataset: Dataset, recipe: StridedRecipe, progress: FittingProgress, tmp_path: Path
) -> None:
    """A loss that is no number stops the run with the reason; nothing is published of it."""
    with progress, pytest.raises(DivergedError, match="learning rate"):
        fit(replace(recipe, peak_learning_rate=1e30, epochs=1), dataset, 0, progress, Run(tmp_path / "run"))

"""Fixtures for the trainer's tests: small drawn images, and one version trained on them for the whole run."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.synthetic import write_npz
from trainer.data import Dataset, read
from trainer.gate import Gate
from trainer.profiles import RECIPES, Profile, StridedRecipe
from trainer.progress import FittingProgress
from trainer.runtime import prepare_tensorflow
from trainer.versions.manifest import Metrics
from trainer.versions.store import ModelStore

prepare_tensorflow()  # before any test module imports it


@pytest.fixture(scope="session")
def mnist_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 600 drawn training images and 100 test images; don't change it."""
    return write_npz(tmp_path_factory.mktemp("data") / "mnist.npz")


@pytest.fixture(scope="session")
def dataset(mnist_npz: Path) -> Dataset:
    """The data set in that file."""
    return read(mnist_npz)


@pytest.fixture(scope="session")
def recipe() -> StridedRecipe:
    """The fast recipe, made small enough to train in a second."""
    recipe = RECIPES[Profile.FAST]
    assert isinstance(recipe, StridedRecipe)
    return replace(recipe, epochs=3, batch_size=32, filters=(8, 8, 16, 16))


@pytest.fixture
def progress() -> FittingProgress:
    """Progress that nobody sees."""
    return FittingProgress(Console(file=io.StringIO()))


@pytest.fixture(scope="session")
def trained(recipe: StridedRecipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    """One version, really trained and published, and its metrics; don't change it."""
    from trainer.training import train  # here, because it imports TensorFlow

    store = ModelStore(tmp_path_factory.mktemp("trained"), "digits")
    store.prepare()
    console = Console(file=io.StringIO())
    return train(recipe, dataset, 7, store, FittingProgress(console), Gate(console.print, min_accuracy=0.5))

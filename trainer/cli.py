"""The command line: `train`, `release` and `bootstrap`.

TensorFlow takes four seconds to import, so only a run that trains does it.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer import data, download
from trainer.data import Dataset, DataUnavailableError
from trainer.errors import TrainerError
from trainer.manifest import Metrics, code_sha256, same_training
from trainer.profiles import Profile, Recipe, recipe_facts, recipe_for
from trainer.progress import DownloadProgress, FittingProgress
from trainer.release import release as release_into
from trainer.runtime import prepare_tensorflow, silenced_stderr
from trainer.store import ModelStore

_INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended: 128 + SIGINT
_DEFAULT_STORE = Path("models")
_DEFAULT_NAME = "digits"

app = typer.Typer(
    help="Trains a digit network on MNIST and publishes it into a model store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise typer.BadParameter("a model's name has letters, digits, '.', '_' and '-' only")
    return name


ProfileOption = Annotated[
    Profile,
    typer.Option(
        envvar="DIGITS_PROFILE", help="tutorial: at least 98.5 %; fast: 99.0 %; default: 99.5 %; best: 99.7 %."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="DIGITS_MNIST",
        help="An mnist.npz, or a folder of MNIST's four IDX files; else Keras' cache or a download.",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of weights, order, variation.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Passes over the images, in place of the profile's.")]
StoreOption = Annotated[Path, typer.Option(envvar="DIGITS_MODEL_STORE", help="The model store.")]
NameOption = Annotated[str, typer.Option(envvar="DIGITS_MODEL_NAME", callback=_checked_name, help="The model's name.")]


@app.command(
    epilog="Examples: python -m trainer train --profile fast   |   "
    "python -m trainer train --data mnist.npz --seed 1 --store /srv/models"
)
def train(
    profile: ProfileOption = Profile.DEFAULT,
    data_path: DataOption = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    store: StoreOption = _DEFAULT_STORE,
    name: NameOption = _DEFAULT_NAME,
) -> None:
    """Train on MNIST and publish the next version."""
    with _reported() as console:
        model_store = ModelStore(store, name)
        model_store.prepare()
        dataset = _load(data_path, console)
        _train(recipe_for(profile, epochs), dataset, seed, model_store, console)


@app.command(epilog="Example: python -m trainer release --store /srv/models")
def release(store: StoreOption = _DEFAULT_STORE, name: NameOption = _DEFAULT_NAME) -> None:
    """Publish the released model, if the store is empty; takes no data and no time."""
    with _reported():
        _release(ModelStore(store, name))


@app.command(epilog="Example: python -m trainer bootstrap --store /srv/models   (docker compose runs it)")
def bootstrap(
    profile: ProfileOption = Profile.DEFAULT,
    data_path: DataOption = None,
    seed: SeedOption = 0,
    store: StoreOption = _DEFAULT_STORE,
    name: NameOption = _DEFAULT_NAME,
) -> None:
    """Release into an empty store at once; then train, unless the store is up to date."""
    with _reported() as console:
        model_store = ModelStore(store, name)
        model_store.prepare()
        _release(model_store)
        try:
            dataset = _load(data_path, console)
        except DataUnavailableError as error:
            typer.echo(f"not training  {error}")
            return
        recipe = recipe_for(profile)
        facts, code = recipe_facts(recipe), code_sha256()
        for manifest in model_store.manifests():
            if same_training(manifest, facts, code, dataset.sha256):
                typer.echo(f"up to date    version {manifest['version']} has this recipe, code and data")
                return
        _train(recipe, dataset, seed, model_store, console)


def _release(store: ModelStore) -> None:
    folder = release_into(store)
    if folder is None:
        typer.echo(f"not released  {store.folder} has versions already: {_listed(store.versions())}")
    else:
        typer.echo(f"released      {folder}")


def _load(given: Path | None, console: Console) -> Dataset:
    def fetch(path: Path) -> None:
        with DownloadProgress(console) as progress:
            download.fetch(path, download.Origin(), progress.update)

    dataset = data.load(given, os.environ, fetch)
    if not dataset.canonical:
        console.print(f"warning: {dataset.source} is not MNIST as published; the manifest will say so")
    return dataset


def _train(recipe: Recipe, dataset: Dataset, seed: int, store: ModelStore, console: Console) -> None:
    console.print(f"training {recipe.profile} on {dataset.source} (starting TensorFlow) ...")
    prepare_tensorflow()
    with silenced_stderr():
        from trainer import training  # here, because it imports TensorFlow

    with FittingProgress(console) as progress:
        folder, metrics = training.train(recipe, dataset, seed, store, progress)
    _conclude(folder, metrics, len(dataset.x_test), store)


def _conclude(folder: Path, metrics: Metrics, test_images: int, store: ModelStore) -> None:
    low, high = metrics["test_accuracy_interval"]
    typer.echo(
        f"test accuracy {metrics['test_accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}; "
        f"{metrics['test_errors']} errors in {test_images})"
    )
    typer.echo(f"published     version {folder.name}: {folder}")
    settings = ""
    if store.root != _DEFAULT_STORE:
        settings += f"DIGITS_MODEL_STORE={store.root} "
    if store.name != _DEFAULT_NAME:
        settings += f"DIGITS_MODEL_NAME={store.name} "
    typer.echo(
        f"next          {settings}make serve   (serving already? curl http://127.0.0.1:8000/v1/models/{store.name})"
    )


def _listed(versions: list[int]) -> str:
    return ", ".join(str(number) for number in versions)


@contextmanager
def _reported() -> Iterator[Console]:
    """Gives the console for people, and turns failures into one line and an exit code."""
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    try:
        yield console
    except KeyboardInterrupt:
        console.print("interrupted: nothing was published")
        raise typer.Exit(_INTERRUPTED) from None
    except (TrainerError, OSError) as error:
        console.print(f"error: {error}")
        raise typer.Exit(1) from error

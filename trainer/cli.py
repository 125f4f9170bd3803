"""The command line: `train`, `release` and `bootstrap`; the commands on versions are in `store_cli`.

TensorFlow takes four seconds to import, so only commands that run a network import it.
"""

from pathlib import Path

import typer
from rich.console import Console

from trainer import store_cli
from trainer.console import load_dataset, reported, say_accuracy
from trainer.data import Dataset, DataUnavailableError
from trainer.gate import MIN_ACCURACY, Gate
from trainer.interruption import Interruption
from trainer.options import (
    DEFAULT_NAME,
    DEFAULT_STORE,
    AnySeedOption,
    DataOption,
    EpochsOption,
    ForceOption,
    MinAccuracyOption,
    NameOption,
    NeedsDataOption,
    ProfileOption,
    ResumeOption,
    SeedOption,
    StoreOption,
    TensorBoardOption,
)
from trainer.profiles import Profile, Recipe, recipe_facts, recipe_for
from trainer.progress import FittingProgress, Watchers
from trainer.release import release as release_into
from trainer.run import RunTakenError
from trainer.runtime import prepare_tensorflow, silenced_stderr
from trainer.versions.manifest import Manifest, Metrics, code_sha256, read, same_training
from trainer.versions.store import ModelStore

app = typer.Typer(
    help="Trains a digit network on MNIST and publishes it into a model store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog="Examples: python -m trainer train --profile fast   |   "
    "python -m trainer train --data mnist.npz --seed 1 --store /srv/models   |   "
    "python -m trainer train --min-accuracy 0.995"
)
def train(
    profile: ProfileOption = Profile.DEFAULT,
    data_path: DataOption = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    min_accuracy: MinAccuracyOption = MIN_ACCURACY,
    force: ForceOption = False,  # noqa: FBT002 - typer passes it by name
    resume: ResumeOption = False,  # noqa: FBT002
    tensorboard: TensorBoardOption = None,
    store: StoreOption = DEFAULT_STORE,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """Train on MNIST and publish the next version.

    It is published only if it passes the quality gate; the exit code is 3 if it does not.
    """
    keeps_epochs = profile != Profile.TUTORIAL
    to_continue = "; add --resume to continue after the last complete epoch" if keeps_epochs else ""
    with reported(f"interrupted: nothing was published{to_continue}") as console:
        model_store = ModelStore(store, name)
        model_store.prepare()
        dataset = load_dataset(data_path, console)
        gate = Gate(console.print, min_accuracy, force, "--resume --force" if keeps_epochs else "--force")
        recipe = recipe_for(profile, epochs)
        _train(recipe, dataset, seed, model_store, gate, console, resume=resume, tensorboard=tensorboard)


@app.command(epilog="Example: python -m trainer release --store /srv/models")
def release(store: StoreOption = DEFAULT_STORE, name: NameOption = DEFAULT_NAME) -> None:
    """Publish the released model into an empty store.

    That needs no data and no training.
    """
    with reported():
        _release(ModelStore(store, name))


@app.command(epilog="Example: python -m trainer bootstrap --store /srv/models   (docker compose runs it)")
def bootstrap(
    profile: ProfileOption = Profile.DEFAULT,
    data_path: DataOption = None,
    seed: AnySeedOption = None,
    min_accuracy: MinAccuracyOption = MIN_ACCURACY,
    force: ForceOption = False,  # noqa: FBT002 - typer passes it by name
    needs_data: NeedsDataOption = False,  # noqa: FBT002 - as above
    store: StoreOption = DEFAULT_STORE,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """Publish the released model into an empty store, then train.

    Nothing is trained if the store is up to date, that is, if a version was made with this recipe, code and data (and
    with --seed, if given). --force overrides the quality gate only; it does not retrain an up-to-date store.
    """
    with reported() as console:
        model_store = ModelStore(store, name)
        model_store.prepare()
        _release(model_store)
        try:
            dataset = load_dataset(data_path, console)
        except DataUnavailableError as error:
            if needs_data:
                raise
            typer.echo(f"not training  {error}")
            return
        recipe = recipe_for(profile)
        made = _made_by(recipe, dataset, seed, model_store)
        if made is not None:
            typer.echo(
                f"up to date    version {made['version']} has this recipe, code and data, "
                f"with seed {made['seed']}; name another --seed to train once more"
            )
            return
        gate = Gate(console.print, min_accuracy, force)
        try:
            # A container that was stopped during a training continues where it left off.
            _train(recipe, dataset, seed or 0, model_store, gate, console, resume=True)
        except RunTakenError as error:
            typer.echo(f"not training  {error}")


app.add_typer(store_cli.app)


def _release(store: ModelStore) -> None:
    folder = release_into(store)
    if folder is None:
        listed = ", ".join(str(number) for number in store.versions())
        typer.echo(f"not released  {store.folder} has versions already: {listed}")
    else:
        typer.echo(f"released      {folder}")


def _made_by(recipe: Recipe, dataset: Dataset, seed: int | None, store: ModelStore) -> Manifest | None:
    """Finds the newest version made by this same training; if `seed` is None, any seed counts."""
    facts, code = recipe_facts(recipe), code_sha256()
    manifests = store.manifests()
    return next((made for made in manifests if same_training(made, facts, code, dataset.sha256, seed)), None)


def _train(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    store: ModelStore,
    gate: Gate,
    console: Console,
    *,
    resume: bool,
    tensorboard: Path | None = None,
) -> None:
    console.print(f"training {recipe.profile} on {dataset.source} (starting TensorFlow) ...")
    prepare_tensorflow()
    with silenced_stderr():
        from trainer import training  # here, because it imports TensorFlow
        from trainer.tensorboard import TensorBoardLog

    with Interruption() as interruption:
        with FittingProgress(console, resume=resume) as progress:
            watchers = Watchers([progress, interruption, *([TensorBoardLog(tensorboard)] if tensorboard else [])])
            folder, metrics = training.train(recipe, dataset, seed, store, watchers, gate, resume=resume)
        # Still inside `Interruption`, which ignores Ctrl-C by now: the version is published, and the user must be told.
        _conclude(folder, metrics, len(dataset.x_test), store)


def _conclude(folder: Path, metrics: Metrics, test_images: int, store: ModelStore) -> None:
    say_accuracy(metrics["test_accuracy"], metrics["test_accuracy_interval"], metrics["test_errors"], test_images)
    typer.echo(f"quality gate  {_gate_result(folder)}")
    typer.echo(f"published     version {folder.name}: {folder}")
    settings = ""
    if store.root != DEFAULT_STORE:
        settings += f"DIGITS_MODEL_STORE={store.root} "
    if store.name != DEFAULT_NAME:
        settings += f"DIGITS_MODEL_NAME={store.name} "
    typer.echo(
        f"next          {settings}make serve   (serving already? curl http://127.0.0.1:8000/v1/models/{store.name})"
    )


def _gate_result(folder: Path) -> str:
    facts = read(folder)["gate"]
    if facts is None:
        return "none"
    result = "passed" if facts["passed"] else "not passed, published by --force"
    if facts["p_value"] is None:
        return f"{result}; there was no version to compare with"
    return (
        f"{result}; {facts['only_new_wrong']} test images are read wrong by this version only, "
        f"{facts['only_compared_wrong']} by version {facts['compared_version']} only (p = {facts['p_value']:.2g})"
    )

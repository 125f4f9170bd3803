"""The commands on existing versions: `evaluate`, `versions`, `serve-version` and `prune`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from trainer.console import load_dataset, reported, say_accuracy
from trainer.data import scale
from trainer.evaluation import measure
from trainer.options import DEFAULT_NAME, DEFAULT_STORE, DataOption, NameOption, StoreOption
from trainer.runtime import prepare_tensorflow, silenced_stderr
from trainer.versions import pruning
from trainer.versions.damage import DamagedVersionError, damage_of
from trainer.versions.manifest import ClassMetrics, read
from trainer.versions.policy import serving_version, write_pin
from trainer.versions.store import VERSION_NAME, ModelStore, StoreError

app = typer.Typer(rich_markup_mode=None)


def _parse_choice(choice: str) -> str:
    if choice != "latest" and not VERSION_NAME.fullmatch(choice):
        raise typer.BadParameter("must be a version's number, or 'latest'")
    return choice


VersionArgument = Annotated[
    int, typer.Argument(min=1, metavar="VERSION", help="A version's number.", show_default=False)
]
ChoiceArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="A version's number, or 'latest'.", callback=_parse_choice, show_default=False
    ),
]
KeepOption = Annotated[int, typer.Option(min=1, help="How many of the newest stay.", show_default=False)]


@app.command(epilog="Example: python -m trainer evaluate 1 --data mnist.npz")
def evaluate(
    version: VersionArgument,
    data_path: DataOption = None,
    store: StoreOption = DEFAULT_STORE,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """Measure a stored version on the data's test images."""
    with reported() as console:
        model_store = ModelStore(store, name)
        folder = model_store.require(version)
        dataset = load_dataset(data_path, console)
        console.print(f"evaluating version {version} on {dataset.source} (starting TensorFlow) ...")
        prepare_tensorflow()
        with silenced_stderr():
            from trainer.answering import stored_probabilities  # here, because it imports TensorFlow

        try:
            probabilities = stored_probabilities(folder, scale(dataset.x_test))
        except DamagedVersionError as error:
            raise StoreError(f"version {version} can't be evaluated: {error}") from error
        metrics = measure(probabilities, dataset.y_test)
        say_accuracy(
            metrics["test_accuracy"], metrics["test_accuracy_interval"], metrics["test_errors"], len(dataset.y_test)
        )
        typer.echo(f"NLL           {metrics['test_nll']:.4f}")
        typer.echo(f"ECE           {metrics['test_ece']:.2%}")
        _print(_per_class_table(metrics["per_class"]))


@app.command(epilog="Example: python -m trainer versions --store /srv/models")
def versions(store: StoreOption = DEFAULT_STORE, name: NameOption = DEFAULT_NAME) -> None:
    """List the versions, newest first, and say which one serves.

    Judged by the files alone. The service also checks the answers to the golden images, and may refuse a version that
    is listed here as serving: GET /v1/models says what it serves.
    """
    with reported() as console:
        model_store = ModelStore(store, name)
        if not model_store.versions():
            raise StoreError(f"{model_store.folder} holds no version: publish one with `python -m trainer release`")
        _print(_versions_table(model_store, _serving(model_store, console), console))


@app.command(epilog="Examples: python -m trainer serve-version 2   |   python -m trainer serve-version latest")
def serve_version(choice: ChoiceArgument, store: StoreOption = DEFAULT_STORE, name: NameOption = DEFAULT_NAME) -> None:
    """Choose the version to serve.

    A running service follows within seconds.
    """
    with reported():
        model_store = ModelStore(store, name)
        write_pin(model_store, None if choice == "latest" else int(choice))
        typer.echo(f"will serve    {'the latest version' if choice == 'latest' else f'version {int(choice)}'}")


@app.command(epilog="Example: python -m trainer prune --keep 5 --store /srv/models")
def prune(keep: KeepOption, store: StoreOption = DEFAULT_STORE, name: NameOption = DEFAULT_NAME) -> None:
    """Remove the oldest versions, but never the one that serves.

    The serving version is found by its files and its answers to the golden images. The service checks more: it may
    refuse the newest version because it does not compile, and still serve one that is removed here. GET /v1/models
    says what it serves.
    """
    with reported():
        model_store = ModelStore(store, name)
        removed = pruning.prune(model_store, keep, _trouble_of)
        typer.echo(f"removed       {_listed(removed)}")
        typer.echo(f"left          {_listed(model_store.versions())}")


def _trouble_of(version_folder: Path) -> str | None:
    prepare_tensorflow()
    with silenced_stderr():
        from trainer.answering import trouble_of  # here, because it imports TensorFlow
    return trouble_of(version_folder)


def _serving(store: ModelStore, console: Console) -> int | None:
    try:
        return serving_version(store)
    except StoreError as error:
        console.print(f"warning: it is not known which version serves: {error}")
        return None


def _versions_table(store: ModelStore, serving: int | None, console: Console) -> Table:
    table = Table("version", "accuracy", "made", "profile", "size", "state", box=None, pad_edge=False)
    for number in reversed(store.versions()):
        folder = store.folder / str(number)
        damage = damage_of(folder)
        if damage is not None:
            console.print(f"warning: version {number} can't serve: {damage}")
        state = "serving" if number == serving else "damaged" if damage else ""
        table.add_row(str(number), *_facts_of(folder), _size_of(folder), state)
    return table


def _facts_of(folder: Path) -> tuple[str, str, str]:
    try:
        manifest = read(folder)
        accuracy = f"{manifest['metrics']['test_accuracy']:.2%}"
        return accuracy, str(manifest["created"]), str(manifest["recipe"]["profile"])
    except (OSError, ValueError, KeyError, TypeError):
        return "?", "?", "?"


def _size_of(folder: Path) -> str:
    total_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total_bytes / 1e6:.1f} MB"


def _per_class_table(per_class: list[ClassMetrics]) -> Table:
    table = Table("digit", "images", "precision", "recall", box=None, pad_edge=False)
    for digit in per_class:
        table.add_row(str(digit["digit"]), str(digit["images"]), f"{digit['precision']:.2%}", f"{digit['recall']:.2%}")
    return table


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"


def _print(table: Table) -> None:
    Console(markup=False, highlight=False, soft_wrap=True).print(table)

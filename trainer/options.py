"""The options that several commands share, with their environment variables and their words for `--help`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from trainer.profiles import Profile

DEFAULT_STORE = Path("models")
DEFAULT_NAME = "digits"


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise typer.BadParameter("a model's name has letters, digits, '.', '_' and '-' only")
    return name


ProfileOption = Annotated[
    Profile,
    typer.Option(
        envvar="DIGITS_PROFILE",
        help="tutorial: at least 98.5 %, with --min-accuracy 0.985; fast: 99.0 %; default: 99.5 %; best: 99.5 %.",
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
_MAX_SEED = 2**31 - 1
SeedOption = Annotated[int, typer.Option(min=0, max=_MAX_SEED, help="Of weights, order, variation.")]
AnySeedOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=_MAX_SEED, help="As for train, 0 if not named; if named, only a version of it is up to date."
    ),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Passes over the images, in place of the profile's.")]
MinAccuracyOption = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the test images that a version must read right.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Publish whatever the quality gate says; the manifest will say so.")
]
NeedsDataOption = Annotated[
    bool,
    typer.Option("--needs-data", help="Fail if there is no MNIST to be had, in place of leaving it at the release."),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on after the last whole epoch of the same run, if it was interrupted; tutorial keeps none.",
    ),
]
TensorBoardOption = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        help="Folder for TensorBoard's event files; with --resume the same one again, which has the epochs before.",
    ),
]
StoreOption = Annotated[Path, typer.Option(envvar="DIGITS_MODEL_STORE", help="The model store.")]
NameOption = Annotated[str, typer.Option(envvar="DIGITS_MODEL_NAME", callback=_checked_name, help="The model's name.")]

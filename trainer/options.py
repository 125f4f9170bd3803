"""The options that several commands share, with their environment variables and help texts."""

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
        help="Recipe, with the test accuracy it reaches: tutorial 98.5 % (needs --min-accuracy 0.985), fast 99.0 %, "
        "default 99.5 %, best 99.5 %.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="DIGITS_MNIST",
        help="An mnist.npz, or a folder of MNIST's four IDX files; without it, Keras' cache or a download.",
    ),
]
_MAX_SEED = 2**31 - 1
SeedOption = Annotated[
    int,
    typer.Option(min=0, max=_MAX_SEED, help="Seed of the first weights, the images' order and their augmentation."),
]
AnySeedOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=_MAX_SEED,
        help="Seed, as for train. If given, only a version with this seed is up to date; if not, any version is, and "
        "training uses 0.",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Passes over the training images, instead of the profile's number.")
]
MinAccuracyOption = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the test images that a version must read right.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Publish even if the quality gate refuses; the manifest records it.")
]
NeedsDataOption = Annotated[
    bool,
    typer.Option("--needs-data", help="Fail if MNIST cannot be had, instead of stopping after the released model."),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue the same run after its last complete epoch, if it was interrupted (tutorial starts anew).",
    ),
]
TensorBoardOption = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        help="Folder for TensorBoard's event files. With --resume, name the same one: it has the earlier epochs.",
    ),
]
StoreOption = Annotated[Path, typer.Option(envvar="DIGITS_MODEL_STORE", help="The model store.")]
NameOption = Annotated[str, typer.Option(envvar="DIGITS_MODEL_NAME", callback=_checked_name, help="The model's name.")]

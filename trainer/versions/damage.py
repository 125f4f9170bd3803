"""Finds what is wrong with a stored version's files, without TensorFlow.

A server makes the same checks before it serves a version; `trainer.answering` checks whether the network itself runs.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from trainer.errors import TrainerError, is_machine_fault
from trainer.versions.documents import parse
from trainer.versions.manifest import MANIFEST_PATH, SCHEMA_VERSION, FileFacts, Manifest
from trainer.versions.schema import misfit

_REQUIRED_FILES = ("saved_model.pb", "assets.extra/golden.npz")  # servers require the same
_EXTRA_FOLDER = "assets.extra"  # TensorFlow reads nothing in it
_MAX_MANIFEST_BYTES = 1024 * 1024  # servers read no larger one


class DamagedVersionError(TrainerError):
    """A version that can't be used; the message says what is wrong with it."""


def damage_of(version_folder: Path) -> str | None:
    """Says why a server would refuse a version; None if its manifest is valid, its own, and true of every file.

    Raises:
        OSError: This machine can't read it now; that says nothing about the version.
    """
    try:
        content = (version_folder / MANIFEST_PATH).read_bytes()
        manifest = parse(content)
    except OSError as error:
        if is_machine_fault(error):
            raise
        return "its manifest can't be read"
    except ValueError:
        return "its manifest can't be read"
    place = misfit(manifest, Manifest)
    if place is not None or len(content) > _MAX_MANIFEST_BYTES:
        return f"its manifest is not valid ({place or 'its size'})"
    return _contradiction(version_folder, cast("Manifest", manifest))


def _contradiction(version_folder: Path, manifest: Manifest) -> str | None:
    """The manifest's first false statement or omission; None if there is none."""
    stated: list[tuple[str, Any, Any]] = [
        ("schema", manifest["schema_version"], SCHEMA_VERSION),
        ("model", manifest["name"], version_folder.parent.name),
        ("version", str(manifest["version"]), version_folder.name),
    ]
    for what, said, expected in stated:
        if said != expected:
            return f"its manifest says {what} {said}"
    for name in _REQUIRED_FILES:
        if name not in manifest["files"]:
            return f"its manifest does not list {name}"
    for name, facts in manifest["files"].items():
        if not _is_as_stated(version_folder / name, facts):
            return f"{name} is not as its manifest states"
    for name in _loadable_files(version_folder):
        if name not in manifest["files"]:
            return f"its manifest does not list {name}"
    return None


def _loadable_files(version_folder: Path) -> Iterator[str]:
    """The files that TensorFlow might read with the network; not those that file managers leave, such as .DS_Store.

    A folder that cannot be listed, or has just been pruned, counts as an empty one.
    """
    for parent, _, names in os.walk(version_folder):
        inner = Path(parent).relative_to(version_folder)
        if _EXTRA_FOLDER not in inner.parts[:1]:
            yield from ((inner / name).as_posix() for name in names if not name.startswith("."))


def _is_as_stated(file: Path, facts: FileFacts) -> bool:
    try:
        content = file.read_bytes()
    except OSError as error:
        if is_machine_fault(error):
            raise
        return False
    return (len(content), hashlib.sha256(content).hexdigest()) == (facts["bytes"], facts["sha256"])

"""The trainer writes manifests and the service reads them; neither imports the other, so tests keep them consistent."""

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

from service.versions import golden
from service.versions import manifest as read
from service.versions.loading import read_whole
from service.versions.model_store import StoredVersion
from trainer import answering, errors
from trainer.versions import manifest as written
from trainer.versions.damage import damage_of

LEFT_OUT = object()

PAIRS = [
    (read.Manifest, written.Manifest),
    (read.Metrics, written.Metrics),
    (read.Baseline, written.Baseline),
    (read.Gate, written.GateFacts),
    (read.Dataset, written.DatasetFacts),
    (read.DigitMetrics, written.ClassMetrics),
    (read.FileEntry, written.FileFacts),
]


@pytest.mark.parametrize(("reader", "writer"), PAIRS)
def test_writer_and_reader_name_the_same_members(reader: type[BaseModel], writer: type) -> None:
    """The trainer writes exactly the members that the service reads."""
    assert set(reader.model_fields) == set(get_type_hints(writer))


def test_released_manifest_is_read_whole(released_store: Path) -> None:
    """The manifest that the trainer publishes is valid for the service, and is read without loss."""
    folder = released_store / "digits" / "1"
    manifest, _ = read.read_manifest(folder)
    read.verify_files(folder, manifest)
    document = json.loads((folder / read.MANIFEST_PATH).read_text())
    assert manifest.model_dump(mode="json") == document


def parts_of(document: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path to every part of a document."""
    if path:
        yield path
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from parts_of(document[key], *path, key)


def test_trainer_takes_no_version_that_the_service_refuses(released_store: Path, tmp_path: Path) -> None:
    """Whichever part of a manifest is left out or replaced: if the service refuses it, the trainer does too."""
    folder = tmp_path / "digits" / "1"
    shutil.copytree(released_store / "digits" / "1", folder)
    text = (folder / read.MANIFEST_PATH).read_text()
    refused = taken = 0
    for *place, key in parts_of(json.loads(text)):
        for value in (LEFT_OUT, None, "x", True, -1, 0, 1.5, [], {}):
            document = part = json.loads(text)
            for step in place:
                part = part[step]
            if value is LEFT_OUT:
                del part[key]
            else:
                part[key] = value
            (folder / read.MANIFEST_PATH).write_text(json.dumps(document))
            if damage_of(folder) is None:
                read_whole(StoredVersion(1, folder, ()))
                taken += 1
            else:
                refused += 1
    assert taken > 100
    assert refused > 500


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_both_refuse_other_encodings(released_store: Path, tmp_path: Path, encoding: str) -> None:
    """A manifest saved with a byte order mark, or in an encoding other than UTF-8, is damage to both."""
    folder = tmp_path / "digits" / "1"
    shutil.copytree(released_store / "digits" / "1", folder)
    path = folder / read.MANIFEST_PATH
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(read.VersionRejected):
        read.read_manifest(folder)
    assert damage_of(folder) == "its manifest can't be read"


@pytest.mark.parametrize("note", ['"\\ud800"', "[" * 100_000 + "]" * 100_000], ids=["half a character", "nested"])
def test_both_refuse_what_is_hardly_json(released_store: Path, tmp_path: Path, note: str) -> None:
    """Half a surrogate pair or very deep nesting is refused, even in a member that neither knows."""
    folder = tmp_path / "digits" / "1"
    shutil.copytree(released_store / "digits" / "1", folder)
    path = folder / read.MANIFEST_PATH
    path.write_text(f'{{"note": {note}, {path.read_text().lstrip("{")}')
    with pytest.raises(read.VersionRejected):
        read.read_manifest(folder)
    assert damage_of(folder) == "its manifest can't be read"
    with pytest.raises(ValueError, match=r"nested|surrogates"):
        written.read(folder)


@pytest.mark.parametrize("number", [None, *errno.errorcode])
def test_both_blame_a_version_for_the_same_errors(number: int | None) -> None:
    """An error for which the service postpones a version is not damage to the trainer, and vice versa."""
    error = OSError("as a library says") if number is None else OSError(number, "as the system says")
    assert errors.is_machine_fault(error) == read.is_machine_fault(error)


def test_both_allow_golden_images_the_same_difference() -> None:
    """`prune` does not take a version for the serving one if the service would refuse its answers."""
    assert answering.GOLDEN_TOLERANCE == golden.GOLDEN_TOLERANCE


def test_released_model_says_how_it_was_made(released_store: Path) -> None:
    """The released model is a real one: canonical MNIST, at least 99.6 % on its test images, under 2 MiB."""
    folder = released_store / "digits" / "1"
    manifest, _ = read.read_manifest(folder)
    assert manifest.dataset.canonical
    assert manifest.metrics.test_accuracy >= 0.996
    assert manifest.metrics.test_errors == round(10_000 * (1 - manifest.metrics.test_accuracy))
    assert manifest.recipe["profile"] == "best"
    assert manifest.tells_is_digit
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 2 * 1024**2

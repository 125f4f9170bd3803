import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.versions.manifest import (
    GOLDEN_PATH,
    MANIFEST_PATH,
    Manifest,
    VersionRejected,
    is_machine_fault,
    read_manifest,
    verify_files,
)
from tests.service.failing import fail, needs_a_failing_file, no_descriptors
from tests.service.fakes import manifest_document, write_version

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this number")
FILES = ("saved_model.pb", GOLDEN_PATH)
MEMBERS = sorted(manifest_document())
MALFORMED = [
    ("schema_version", 2),
    ("name", 5),
    ("version", 0),
    ("created", "yesterday"),
    ("git_commit", 5),
    ("code_sha256", "0" * 63),
    ("recipe", []),
    ("seed", "x"),
    ("dataset", {}),
    ("libraries", {"numpy": 2}),
    ("parameters", 0),
    ("multiply_accumulates", -1),
    ("training_seconds", -0.1),
    ("metrics", manifest_document()["metrics"] | {"test_accuracy": 1.01}),
    ("baseline", {"class_counts": [1] * 9, "confidence_counts": [1] * 20}),
    ("files", {"saved_model.pb": {"bytes": -1, "sha256": "0" * 64}}),
]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The folder of a whole version."""
    return write_version(tmp_path, 1)


def written(version: Path, document: object) -> Path:
    """The version with another manifest."""
    (version / MANIFEST_PATH).write_text(json.dumps(document))
    return version


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit flipped."""
    byte = bit // 8 % len(content)
    return content[:byte] + bytes([content[byte] ^ (1 << bit % 8)]) + content[byte + 1 :]


def test_a_manifest_is_read_as_it_was_written(version: Path) -> None:
    """Every member of the document is in the manifest, and nothing else."""
    document = manifest_document(files={"saved_model.pb": {"bytes": 1, "sha256": "a" * 64}})

    manifest, _ = read_manifest(written(version, document))

    assert json.loads(manifest.model_dump_json(exclude_unset=True)) == document


def test_the_hash_names_the_content(version: Path) -> None:
    """The same bytes have the same SHA-256, other bytes a different one."""
    _, first = read_manifest(version)
    _, again = read_manifest(version)
    _, other = read_manifest(written(version, manifest_document(seed=1)))

    assert first == again
    assert first != other
    assert len(other) == 64


@pytest.mark.parametrize("member", MEMBERS)
def test_a_missing_member_is_named(version: Path, member: str) -> None:
    """A manifest that lacks a member is rejected with the member's name."""
    document = manifest_document()
    del document[member]

    with pytest.raises(VersionRejected, match=rf"{MANIFEST_PATH} is not valid: {member}: Field required"):
        read_manifest(written(version, document))


@pytest.mark.parametrize(("member", "value"), MALFORMED, ids=[member for member, _ in MALFORMED])
def test_a_malformed_member_is_named(version: Path, member: str, value: Any) -> None:
    """A member of another type or range is rejected with the path to it."""
    with pytest.raises(VersionRejected, match=rf"{MANIFEST_PATH} is not valid: {member}"):
        read_manifest(written(version, manifest_document(**{member: value})))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "\x00"])
def test_what_is_no_json_object_is_rejected(version: Path, content: str) -> None:
    """A manifest cut short, or of another kind, is rejected with a sentence."""
    (version / MANIFEST_PATH).write_text(content)

    with pytest.raises(VersionRejected, match=f"{MANIFEST_PATH} is not valid: the document: "):
        read_manifest(version)


@pytest.mark.parametrize("path", ["/etc/passwd", "../1/saved_model.pb", "variables/../../2/x", "", "."])
def test_paths_stay_inside_the_version(version: Path, path: str) -> None:
    """A manifest that lists a file outside its folder is rejected."""
    files = {path: {"bytes": 1, "sha256": "0" * 64}}

    with pytest.raises(VersionRejected, match="must be a relative path inside the version's folder"):
        read_manifest(written(version, manifest_document(files=files)))


def test_a_version_without_manifest_is_not_completely_written(version: Path) -> None:
    """The manifest is written last: without it the rest may be half there."""
    (version / MANIFEST_PATH).unlink()

    with pytest.raises(VersionRejected, match="is missing: the version is not completely written"):
        read_manifest(version)


def test_a_manifest_that_cannot_be_opened_is_rejected(version: Path) -> None:
    """A folder in the manifest's place is a reason, not a crash."""
    (version / MANIFEST_PATH).unlink()
    (version / MANIFEST_PATH).mkdir()

    with pytest.raises(VersionRejected, match="cannot be read: Is a directory"):
        read_manifest(version)


@needs_a_failing_file
def test_a_disk_that_fails_is_no_fault_of_the_version(version: Path) -> None:
    """A failing disk makes neither the manifest nor a file that it lists count as bad."""
    manifest, _ = read_manifest(version)
    files = manifest.files | {GOLDEN_PATH: manifest.files[GOLDEN_PATH].model_copy(update={"bytes": 0})}
    fail(version / GOLDEN_PATH)
    with pytest.raises(OSError, match="Input/output error"):
        verify_files(version, manifest.model_copy(update={"files": files}))

    fail(version / MANIFEST_PATH)
    with pytest.raises(OSError, match="Input/output error"):
        read_manifest(version)


def test_a_process_without_descriptors_finds_no_version_bad(version: Path) -> None:
    """Too many open files say nothing about the version, which is whole as soon as there are fewer."""
    manifest, _ = read_manifest(version)

    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        read_manifest(version)
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        verify_files(version, manifest)

    verify_files(version, manifest)


@pytest.mark.parametrize("number", ["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EACCES", "EPERM"])
def test_what_a_version_can_be_blamed_for(number: str) -> None:
    """Files that are missing, may not be read or are not files are the version's fault."""
    assert not is_machine_fault(OSError(getattr(errno, number), "as the system says"))


@pytest.mark.parametrize(
    "number",
    [
        *("EMFILE", "ENFILE", "ENOMEM", "EIO", "EAGAIN", "ENODEV", "ENXIO"),
        *("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "ESHUTDOWN", "ECONNREFUSED"),
        *(pytest.param(only, marks=needs_linux) for only in ("EREMOTEIO", "EUCLEAN")),
    ],
)
def test_what_a_version_cannot_be_blamed_for(number: str) -> None:
    """Errors of a disk, a network or a limit are the machine's fault, and go away when that works again."""
    assert is_machine_fault(OSError(getattr(errno, number), "as the system says"))


def test_what_no_system_call_has_said_is_the_version_s_fault() -> None:
    """A library that finds content wrong raises OSError too, without a number."""
    assert not is_machine_fault(OSError("Invalid data stream"))


def test_an_oversized_manifest_is_not_read(version: Path) -> None:
    """A file of more than a mebibyte is not a manifest."""
    limit = 1024 * 1024
    (version / MANIFEST_PATH).write_text(json.dumps(manifest_document()).ljust(limit))
    read_manifest(version)

    (version / MANIFEST_PATH).write_text(json.dumps(manifest_document()).ljust(limit + 1))
    with pytest.raises(VersionRejected, match="is larger than 1048576 bytes"):
        read_manifest(version)


def test_whole_files_are_accepted(version: Path) -> None:
    """A version as it was written is whole."""
    manifest, _ = read_manifest(version)

    verify_files(version, manifest)


@pytest.mark.parametrize("path", FILES)
def test_a_missing_file_is_named(version: Path, path: str) -> None:
    """A listed file that is not there is rejected, and the reason names its path."""
    manifest, _ = read_manifest(version)
    (version / path).unlink()

    with pytest.raises(VersionRejected, match=f"{path} cannot be read: No such file or directory"):
        verify_files(version, manifest)


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_another_size_is_named_with_both_sizes(version: Path, path: str) -> None:
    """A file that was cut or extended is rejected before it is hashed."""
    manifest, _ = read_manifest(version)
    (version / path).write_bytes(b"cut")

    expected = rf"{path} has 3 bytes, the manifest says {manifest.files[path].bytes}"
    with pytest.raises(VersionRejected, match=expected):
        verify_files(version, manifest)


@pytest.mark.parametrize("path", FILES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(min_value=0, max_value=10_000))
def test_any_flipped_bit_is_noticed(version: Path, path: str, bit: int) -> None:
    """A file of the right size that differs in one bit is rejected, and the reason names its path."""
    manifest, _ = read_manifest(version)
    file = version / path
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, bit))
    try:
        with pytest.raises(VersionRejected, match=f"{path} does not have the SHA-256"):
            verify_files(version, manifest)
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("path", FILES)
def test_a_necessary_file_must_be_listed(version: Path, path: str) -> None:
    """A file that the manifest does not vouch for could be anything."""
    manifest, _ = read_manifest(version)
    files = {listed: entry for listed, entry in manifest.files.items() if listed != path}

    with pytest.raises(VersionRejected, match=f"{MANIFEST_PATH} does not list {path}"):
        verify_files(version, manifest.model_copy(update={"files": files}))


@pytest.mark.parametrize("path", ["variables/variables.index", "fingerprint.pb", "assets/words.txt"])
def test_what_may_be_loaded_must_be_listed(version: Path, path: str) -> None:
    """Weights that the manifest leaves out would be loaded unchecked."""
    (version / path).parent.mkdir(exist_ok=True)
    (version / path).write_bytes(b"anything")

    with pytest.raises(VersionRejected, match=f"{MANIFEST_PATH} does not list {path}"):
        verify_files(version, read_manifest(version)[0])


@pytest.mark.parametrize("path", [".DS_Store", "assets.extra/notes.txt", "variables/.nfs01"])
def test_what_is_never_loaded_need_not_be_listed(version: Path, path: str) -> None:
    """A file manager's traces and notes beside a version are no reason to refuse it."""
    (version / path).parent.mkdir(exist_ok=True)
    (version / path).write_bytes(b"anything")

    verify_files(version, read_manifest(version)[0])


@pytest.mark.parametrize("path", ["variables", "a\x00b", "x" * 300])
def test_a_path_that_names_no_file_is_rejected(version: Path, path: str) -> None:
    """A listed path that is a folder, or that no file can have, is a reason and not a crash."""
    (version / "variables").mkdir()
    size = (version / "variables").stat().st_size
    manifest, _ = read_manifest(version)
    document = manifest.model_dump(mode="json")
    document["files"][path] = {"bytes": size, "sha256": "0" * 64}

    with pytest.raises(VersionRejected):
        verify_files(version, read_manifest(written(version, document))[0])


def test_manifests_are_frozen() -> None:
    """A version's manifest does not change while the version serves."""
    manifest = Manifest.model_validate(manifest_document())

    with pytest.raises(ValueError, match="frozen"):
        setattr(manifest, "seed", 1)  # noqa: B010 - mypy knows that a plain assignment is wrong

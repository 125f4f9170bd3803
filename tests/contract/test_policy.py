"""The trainer writes policy.json and the service follows it; these tests keep the two consistent."""

from pathlib import Path

import pytest

from service.versions.model_store import ModelStore as ReadStore
from trainer.release import release
from trainer.versions.policy import read_pin, write_pin
from trainer.versions.store import ModelStore, StoreError


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with the released model."""
    store = ModelStore(tmp_path, "digits")
    release(store)
    return store


@pytest.mark.parametrize(("pin", "serve"), [(1, 1), (None, "latest")])
def test_service_reads_what_the_trainer_writes(store: ModelStore, pin: int | None, serve: int | str) -> None:
    """The service reads the pinned version, or that the latest is to be served, as the trainer wrote it."""
    write_pin(store, pin)
    seen = ReadStore(store.root, store.name).look()
    assert seen.trouble is None
    assert seen.policy is not None
    assert seen.policy.serve == serve
    assert [version.number for version in seen.versions] == [1]


@pytest.mark.parametrize("name", ["2", "02", "0", "-2", "v2", "\u0662", "9" * 18, "9" * 19, "1700000000000000000"])
@pytest.mark.parametrize("kind", ["folder", "file", "link to a folder", "link to nowhere"])
def test_both_see_the_same_versions(store: ModelStore, name: str, kind: str) -> None:
    """The trainer and the service agree on which entries of the store are versions."""
    path = store.folder / name
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to("1" if kind == "link to a folder" else "nowhere")
    seen = ReadStore(store.root, store.name).look().versions
    assert store.versions() == sorted(version.number for version in seen)


@pytest.mark.parametrize(
    "document",
    [
        '{"serve": "latest"}',
        '{"serve": 2}',
        "{}",
        '{"serve": "2"}',
        '{"serve": "newest"}',
        '{"serve": 0}',
        '{"serve": -1}',
        '{"serve": 2.0}',
        '{"serve": true}',
        '{"serve": null}',
        '{"serve": [2]}',
        '{"serve": 2, "note": "rolled back"}',
        "[]",
        "2",
        "",
        "{",
        "\0",
        '\ufeff{"serve": 2}',
        '{"serve": 2}'.encode("utf-16"),
        '{"serve": 2}'.encode("utf-16-le"),
        '{"serve": 2}'.encode("utf-32"),
        '{"s\xe9rve": 2}'.encode("latin-1"),
        '{"serve": "\\ud800"}',
        '{"serve": 2}' + " " * 65_524,
        '{"serve": 2}' + " " * 65_525,
        "[" * 100_000,
        '{"serve": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda document: repr(document)[:40],
)
def test_both_read_alike(store: ModelStore, document: str | bytes) -> None:
    """Whatever an operator's editor writes, the trainer and the service read it alike, or both find it unusable."""
    (store.folder / "policy.json").write_bytes(document.encode() if isinstance(document, str) else document)
    policy = ReadStore(store.root, store.name).look().policy
    if policy is None:
        with pytest.raises(StoreError):
            read_pin(store)
    else:
        pin = read_pin(store)
        assert policy.serve == ("latest" if pin is None else pin)


def test_a_link_to_nowhere_is_no_absent_policy(store: ModelStore, tmp_path: Path) -> None:
    """Neither the service nor the trainer takes it to mean the latest version: it may be a pin."""
    (store.folder / "policy.json").symlink_to(tmp_path / "elsewhere.json")

    assert ReadStore(store.root, store.name).look().policy is None
    with pytest.raises(StoreError, match="can't be used"):
        read_pin(store)

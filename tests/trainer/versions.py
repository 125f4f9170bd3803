"""Stores of small versions, for tests that need no network in them."""

from pathlib import Path

from trainer.manifest import read
from trainer.release import RELEASED_FOLDER
from trainer.store import ModelStore


def store_of(root: Path, count: int) -> ModelStore:
    """Makes a store with versions 1 to `count`, each of one small file and a real manifest."""
    store = ModelStore(root, "digits")
    store.prepare()
    for number in range(1, count + 1):
        with store.publication() as folder:
            (folder / "saved_model.pb").write_bytes(b"graph %d" % number)
            store.publish(folder, read(RELEASED_FOLDER))
    return store


def damage(store: ModelStore, number: int) -> None:
    """Changes a version's file behind its manifest's back."""
    (store.folder / str(number) / "saved_model.pb").write_bytes(b"other")

"""Stores of small versions, for tests that need no network in them."""

import json
from pathlib import Path
from typing import Any

from trainer.release import RELEASED_FOLDER
from trainer.versions.manifest import MANIFEST_PATH, read
from trainer.versions.store import ModelStore


def store_of(root: Path, count: int) -> ModelStore:
    """Makes a store with versions 1 to `count`, each of two small files and a real manifest."""
    store = ModelStore(root, "digits")
    store.prepare()
    for number in range(1, count + 1):
        with store.publication() as folder:
            (folder / "saved_model.pb").write_bytes(b"graph %d" % number)
            (folder / "assets.extra").mkdir()
            (folder / "assets.extra" / "golden.npz").write_bytes(b"images")
            store.publish(folder, read(RELEASED_FOLDER))
    return store


def rewrite_manifest(store: ModelStore, number: int, **members: Any) -> None:
    """Puts other members into a version's manifest."""
    path = store.folder / str(number) / MANIFEST_PATH
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


def damage(store: ModelStore, number: int) -> None:
    """Changes a version's file, so that its manifest no longer matches."""
    (store.folder / str(number) / "saved_model.pb").write_bytes(b"other")

"""The released model: a version that comes with the package, for a store that has none.

It needs no data, no network and no TensorFlow, so a server can answer seconds after its first
start.
"""

import shutil
from pathlib import Path

from trainer.versions.manifest import describe_files, read
from trainer.versions.store import ModelStore, OvertakenError, StoreError

RELEASED_FOLDER = Path(__file__).parent / "released"


def release(store: ModelStore, released: Path = RELEASED_FOLDER) -> Path | None:
    """Publishes the released model into an empty store.

    Returns:
        The version's folder; None if the store has versions already, or another process publishes one meanwhile.

    Raises:
        StoreError: The store can't be written to, or the package lacks its released model.
    """
    number = store.next_number()  # first: a version published in between is seen by the next line
    if store.versions():
        return None
    try:
        manifest = read(released)
    except (OSError, ValueError) as error:
        raise StoreError(f"the released model in {released} can't be read: {error}") from error
    store.prepare()
    with store.publication() as folder:
        for name in manifest["files"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(released / name, folder / name)
        if describe_files(folder) != manifest["files"]:
            raise StoreError(f"the released model in {released} is damaged: install Digits anew")
        try:
            return store.publish(folder, manifest, number)
        except OvertakenError:
            return None

"""Old versions make room: which of them may go, and their removal."""

from trainer.policy import read_pin, serving_version
from trainer.store import ModelStore


def prune(store: ModelStore, keep: int) -> list[int]:
    """Removes the versions older than the newest `keep`, but none that serves or is pinned.

    Args:
        store: Where they are.
        keep: At least 1, so that no number is given twice.

    Returns:
        The numbers removed, oldest first.

    Raises:
        StoreError: policy.json can't be used, so what serves is not known.
    """
    kept = {serving_version(store), read_pin(store)}
    removed = [number for number in store.versions()[:-keep] if number not in kept]
    for number in removed:
        store.remove(number)
    return removed

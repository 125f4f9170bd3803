"""Removes old versions to make room, but only those that certainly do not serve."""

from functools import cache

from trainer.versions.damage import damage_of
from trainer.versions.policy import TroubleOf, newest_whole, serving_version
from trainer.versions.store import ModelStore, StoreError


def prune(store: ModelStore, keep: int, trouble_of: TroubleOf = damage_of) -> list[int]:
    """Removes the versions older than the newest `keep`, but none that serves or may serve.

    Args:
        store: Where the versions are.
        keep: At least 1: with no version left, the next one would get a number that was used before.
        trouble_of: Judges a version. Called for the newest ones until one is whole, and only if any could be removed.

    Returns:
        The numbers removed, oldest first.

    Raises:
        StoreError: It is not known which version serves, so nothing was removed: policy.json can't be used or pins
            a version that can't serve, or no version is whole.
    """
    versions = store.versions()
    judge = cache(trouble_of) if versions[:-keep] else damage_of
    try:
        serving, newest = serving_version(store, judge), newest_whole(store, judge)
    except StoreError as error:
        raise StoreError(f"nothing was removed, because it is not known which version serves: {error}") from error
    if versions and newest is None:
        raise StoreError("nothing was removed, because every version is damaged: it is not known which one serves")
    # Versions newer than the newest whole one look damaged from here, but a server may have loaded one before.
    removed = [number for number in versions[:-keep] if number < (newest or 0) and number != serving]
    for number in removed:
        store.remove(number)
    return removed

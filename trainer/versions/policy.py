"""Which version serves: policy.json beside the versions, as the service reads it.

A pin names one version; without a pin the latest serves, which is the newest that is whole. If the pinned one can't
serve, a running service keeps the version that it has, which can't be seen from here.
"""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from trainer.errors import is_machine_fault
from trainer.versions.damage import damage_of
from trainer.versions.documents import parse
from trainer.versions.store import UNWRITTEN_POLICY_PREFIX, ModelStore, StoreError

_POLICY_FILE = "policy.json"
_LATEST = "latest"
_MAX_POLICY_BYTES = 64 * 1024  # servers read no larger one

TroubleOf: TypeAlias = Callable[[Path], str | None]
"""Says why a server would refuse the version in a folder; None if the checks find no reason."""


def read_pin(store: ModelStore) -> int | None:
    """Reads which version policy.json pins; None if the latest is to serve.

    Raises:
        StoreError: It can't be read, or holds something else.
        OSError: This machine can't read it now.
    """
    path = store.folder / _POLICY_FILE
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_POLICY_BYTES + 1)
        policy = parse(content)
    except FileNotFoundError as error:
        if path.is_symlink():  # a dangling link: there is a policy, and it may be a pin
            raise _unusable(path) from error
        return None
    except IsADirectoryError as error:
        raise _is_a_folder(path) from error
    except OSError as error:
        if is_machine_fault(error):
            raise
        raise _unusable(path) from error
    except ValueError as error:
        raise _unusable(path) from error
    if len(content) > _MAX_POLICY_BYTES or not isinstance(policy, dict) or not set(policy) <= {"serve"}:
        raise _unusable(path)
    return _pin_in(policy.get("serve", _LATEST), path)


def write_pin(store: ModelStore, version: int | None) -> None:
    """Pins a version, or with None lets the latest serve; servers see either the old policy or the new one, whole.

    Raises:
        StoreError: That version is not in the store, or is damaged; or policy.json is a folder.
        OSError: It can't be written.
    """
    if not store.versions():
        raise StoreError(f"{store.folder} holds no version: publish one with `python -m trainer release`")
    if version is not None:
        damage = damage_of(store.require(version))
        if damage is not None:
            raise StoreError(f"version {version} can't serve: {damage}")
    _replace(store, json.dumps({"serve": _LATEST if version is None else version}) + "\n")


def serving_version(store: ModelStore, trouble_of: TroubleOf = damage_of) -> int | None:
    """Says which version a server of this store serves: the pinned one, or else the newest that is whole.

    Args:
        store: Where the versions are.
        trouble_of: Judges a version; a server also refuses one that does not answer its golden images as it did.

    Raises:
        StoreError: policy.json can't be used, or pins a version that can't serve.
    """
    pin = read_pin(store)
    if pin is None:
        return newest_whole(store, trouble_of)
    trouble = trouble_of(store.folder / str(pin)) if pin in store.versions() else "it is not in the store"
    if trouble is not None:
        raise StoreError(
            f"policy.json pins version {pin}, which can't serve ({trouble}): choose another with "
            "`python -m trainer serve-version`"
        )
    return pin


def newest_whole(store: ModelStore, trouble_of: TroubleOf = damage_of) -> int | None:
    """Finds the newest version that a server would accept, as far as `trouble_of` can tell; None if there is none."""
    versions = reversed(store.versions())
    return next((number for number in versions if trouble_of(store.folder / str(number)) is None), None)


def _replace(store: ModelStore, text: str) -> None:
    path = store.folder / _POLICY_FILE
    try:
        _write_beside(store, text, path)
    except IsADirectoryError as error:
        raise _is_a_folder(path) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the file beside it, which is gone
    store.disk.synchronise(store.folder)


def _write_beside(store: ModelStore, text: str, path: Path) -> None:
    unfinished = path.with_name(f"{UNWRITTEN_POLICY_PREFIX}{secrets.token_hex(8)}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        store.disk.synchronise(unfinished)
        store.disk.rename(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _pin_in(serve: Any, path: Path) -> int | None:  # noqa: ANN401 - whatever JSON holds
    if serve == _LATEST:
        return None
    if type(serve) is int and serve > 0:  # a bool is an int to Python, but not a number to the service
        return serve
    raise _unusable(path)


def _is_a_folder(path: Path) -> StoreError:
    return StoreError(f"{path} is a folder: remove it")


def _unusable(path: Path) -> StoreError:
    return StoreError(f"{path} can't be used: write it anew with `python -m trainer serve-version latest`, or a number")

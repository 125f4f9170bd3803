"""Limits the program cache, the folder of compiled programs that all workers share.

`loading`, `rejections` and `service.prepare` decide what is put into it, and when it is tidied.
"""

import contextlib
import itertools
import os
import shutil
import time
from pathlib import Path

# A program is about 0.8 MB: the cache stays under 20 MB however many versions come.
MAX_PROGRAMS = 24
# Nothing is in use for this long: preparing takes minutes, a lock gets a new time whenever it is opened, and a
# rejection counts for an hour.
_LEFT_SECONDS = 24 * 3600.0
_SHA256 = "[0-9a-f]" * 64
# Names that only this service uses: `DIGITS_CACHE` may be a folder that other programs use too.
_MAY_BE_LEFT = (".preparing-*", f"{_SHA256}.lock", f"{_SHA256}-*.rejected", f"{_SHA256}-*.writing")


def prune(cache: Path, program: Path) -> None:
    """Note that `program` has been loaded, and remove the least recently loaded programs beyond the limit.

    Another worker may do so at the same time. If the cache is read-only, nothing is noted, and the program serves.
    """
    now_seconds = time.time()
    loaded_seconds = {}
    for file in cache.glob("*.tflite"):
        if file != program:
            with contextlib.suppress(OSError):
                loaded_seconds[file] = _not_ahead(file, now_seconds)
    with contextlib.suppress(OSError):
        os.utime(program)
    for old in sorted(loaded_seconds, key=loaded_seconds.__getitem__, reverse=True)[MAX_PROGRAMS - 1 :]:
        with contextlib.suppress(OSError):
            old.unlink(missing_ok=True)
            old.with_suffix(".lock").unlink(missing_ok=True)


def _not_ahead(file: Path, now_seconds: float) -> float:
    """When the program was last loaded; a time in the future becomes just before now, so that later loads are newer.

    Raises:
        OSError: The file is gone.
    """
    noted_seconds = file.stat().st_mtime
    if noted_seconds <= now_seconds:
        return noted_seconds
    with contextlib.suppress(OSError):
        os.utime(file, (now_seconds - 1,) * 2)
    return now_seconds - 1


def remove_leftovers(cache: Path) -> None:
    """Remove files that are a day old and are not programs: leftovers of killed processes, locks and rejections."""
    for entry in itertools.chain.from_iterable(map(cache.glob, _MAY_BE_LEFT)):
        with contextlib.suppress(OSError):
            if time.time() - entry.lstat().st_mtime > _LEFT_SECONDS:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()

"""`python -m service`: serve the model store. `python -m service check`: say whether that would work."""

import argparse
import contextlib
import errno
import functools
import os
import platform
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pydantic import ValidationError

from service.cores import usable_cores
from service.settings import Settings
from service.telemetry import logs
from service.versions.manifest import VersionRejected
from service.versions.model_store import ModelStore, Snapshot, StoredVersion

if TYPE_CHECKING:
    from service.worker import Serve

DONE, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None, system: str = platform.system()) -> int:
    """Run the command that the command line names, on the operating system `system`; return the exit code."""
    command = _parser().parse_args(arguments).command
    try:
        settings = Settings()
    except ValidationError as error:
        _complain(error)
        return USAGE
    return check(settings) if command == "check" else _serve(settings, system)


def check(settings: Settings) -> int:
    """Print the settings, whether the model store holds a version that is whole, and which one a start would serve."""
    for name, value in settings.model_dump().items():
        _say(f"DIGITS_{name.upper()}={value}")
    snapshot = ModelStore(settings.model_store, settings.model_name).look()
    if snapshot.trouble:
        _say(f"{snapshot.trouble} ({settings.model_store / settings.model_name})")
    whole = [stored.number for stored in snapshot.versions if _check_version(stored)]
    if whole:
        _say(_followed(snapshot, whole))
        return DONE
    _say("No version can serve. Publish one with `python -m trainer release` or `python -m trainer train`.")
    return FAILED


def _followed(snapshot: Snapshot, whole: list[int]) -> str:
    """Say what the policy asks for and which version a start would serve, judged by files; `whole` is newest first."""
    asked_for = snapshot.policy.serve if snapshot.policy else None
    if asked_for is None:
        return f"policy.json cannot be followed: a start serves version {whole[0]}, the newest"
    if asked_for == "latest":
        return f"policy: the newest version; a start serves version {whole[0]}"
    if asked_for in whole:
        return f"policy.json pins version {asked_for}, which a start serves"
    is_there = any(stored.number == asked_for for stored in snapshot.versions)
    why = "not whole" if is_there else "not in the model store"
    return f"policy.json pins version {asked_for}, which is {why}: a start serves version {whole[0]}, the newest"


def _check_version(stored: StoredVersion) -> bool:
    # Imported here: the process that only supervises the workers needs no NumPy.
    from service.versions.loading import read_whole

    try:
        manifest, _, _ = read_whole(stored)
    except (VersionRejected, OSError) as error:
        _say(f"version {stored.number}: {error}")
        return False
    _say(f"version {stored.number}: whole; test accuracy {manifest.metrics.test_accuracy:.2%}")
    return True


def _serve(settings: Settings, system: str) -> int:
    # Imported here: `check` and `--help` need none of it.
    from service.connections.listeners import address, listen

    # Only Linux spreads connections over the sockets of several workers.
    workers = settings.workers or (usable_cores() if system == "Linux" else 1)
    if workers > 1 and system != "Linux":
        _say(f"DIGITS_WORKERS: on {system} one worker serves; leave it unset or choose 1.", sys.stderr)
        return USAGE
    logs.configure(settings.log_format)
    _end_well_until_serving()
    try:
        listeners = listen(settings.host, settings.port, workers)
    except OSError as error:
        _say(f"Cannot listen on {settings.host}:{settings.port}: {_what_to_choose(error)}", sys.stderr)
        return FAILED
    _say(f"Digits listens on {address(listeners[0])}")
    sys.stdout.flush()
    from service.server import serve

    if workers > 1:
        return _serve_in_workers(settings, listeners, functools.partial(serve, settings))
    from service.telemetry.metrics import Metrics

    try:
        with contextlib.suppress(KeyboardInterrupt):
            serve(settings, listeners[0], Metrics())
    except SystemExit:  # uvicorn exits with 3, the quality gate's code, if the app could not start
        return FAILED
    return DONE


def _serve_in_workers(settings: Settings, listeners: list[socket.socket], serve: "Serve") -> int:
    from service.workers import Workers

    if settings.engine == "litert":
        import service.engines.litert  # noqa: F401 - once for all workers; TensorFlow must not be loaded before a fork
    return Workers(listeners, serve, settings.drain_seconds + settings.request_timeout_seconds).run()


def _end_well_until_serving() -> None:
    """Exit with 0 on SIGTERM or Ctrl-C while there is nothing to finish; serving installs its own handlers later.

    At once: an exception such as KeyboardInterrupt would be raised amid imports, which take seconds on a busy machine.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(DONE))


def _what_to_choose(error: OSError) -> str:
    """What is wrong with the address, and which setting to change."""
    if not isinstance(error, socket.gaierror) and error.errno in (errno.EADDRINUSE, errno.EACCES):
        return f"{os.strerror(error.errno)}. Choose another DIGITS_PORT."
    return f"{error.strerror}. Choose another DIGITS_HOST."


def _complain(error: ValidationError) -> None:
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(["DIGITS", *(str(part).upper() for part in problem["loc"])])
        said = problem["msg"].removeprefix("Value error, ")
        # A message about several settings names them itself.
        _say(f"{name}: {said}" if problem["loc"] else said, sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve handwritten-digit predictions over HTTP from the versions in a model store.",
        epilog=_settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["check"],
        help="print the settings and say whether the store holds a servable version",
    )
    return parser


def _settings_help() -> str:
    lines = ["settings, as environment variables:"]
    for name, field in Settings.model_fields.items():
        lines += [
            f"  DIGITS_{name.upper()} (default {field.default})",
            f"      {field.description}",
        ]
    return "\n".join(lines)


def _say(text: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

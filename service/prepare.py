"""`python -m service.prepare VERSION CACHE`: turn one version of the model store into a program that can serve.

A short-lived process of its own, the only one that uses TensorFlow unless `DIGITS_ENGINE` is tensorflow: a SavedModel
that crashes, hangs or eats memory takes this process down and no other. It prints one line of JSON,
`{"rejected": null, "postponed": null, "failed": null}` or one of the three with a reason, and exits with 0 or 1.
"""

import argparse
import contextlib
import ctypes
import json
import os
import resource
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from service.memory import CGROUP_ROOT, memory_left_bytes
from service.versions.golden import GoldenImages, read_golden
from service.versions.manifest import VersionRejected, first_line, first_line_without, read_manifest, verify_files

# How far the compiled program may be from the SavedModel on the same machine; measured: at most 3e-7.
PROGRAM_TOLERANCE = 1e-5
# TensorFlow and a digit network take 0.35 GB of private memory; a graph that wants more than this is not one of ours.
MAX_MEMORY_BYTES = 3 * 1024**3
# Share of its container's remaining memory that preparing may take; requests that arrive meanwhile use the rest. A
# container over its limit is killed with all that serves in it, and again when it restarts and prepares that version.
_MEMORY_SHARE = 0.8
# The name of TensorFlow's out-of-memory error: TensorFlow may not be imported yet when another error is raised.
_NO_MEMORY = "ResourceExhaustedError"
# TensorFlow starts several threads for each core of the node, not of the container. Each one's stack of 8 MiB counts as
# private memory, used or not: on 64 cores half a gigabyte even with the number of threads set, as here, and 1 GB
# without. This size is four times what is enough for TensorFlow on macOS.
_THREAD_STACK_BYTES = 2 * 1024**2
_THREADS = "2"
# This project's programs take 0.8 MB. That a larger one does not fit is found only when it is written.
_PROGRAM_BYTES = 1024**2
# While another version serves, its requests come first.
NICENESS = 10


class PreparingPostponed(Exception):
    """This machine cannot read the version, or write to the program cache, now; the message is the reason."""


def main() -> int:
    """Prepare the version named on the command line; return the exit code."""
    arguments = _parse_arguments()
    limit_bytes = memory_limit_bytes()
    _limit_this_process(limit_bytes)
    if arguments.background:
        _give_way()
    if arguments.until_stdin_closes:
        threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        prepare(arguments.version, arguments.cache, arguments.engine)
    except VersionRejected as error:
        return _report(rejected=str(error))
    except PreparingPostponed as error:
        return _report(postponed=str(error))
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; whatever it is, the version may not serve
        return _report_unforeseen(error, arguments.version, limit_bytes)
    return _report()


def prepare(version: Path, cache: Path, engine: str) -> None:
    """Verify the version in the folder `version` and put its compiled program into the folder `cache`.

    With `engine` "tensorflow" the version is verified and nothing is compiled.

    Raises:
        VersionRejected: The version is not whole, not sane, or cannot be compiled.
        PreparingPostponed: The version could not be read, or its program could not be put into the cache, by no fault
            of its own.
    """
    try:
        manifest, manifest_sha256 = read_manifest(version)
        verify_files(version, manifest)
        golden = read_golden(version)
    except OSError as error:
        msg = f"reading it failed: {error.strerror}"
        raise PreparingPostponed(msg) from error
    if engine == "litert":
        _find_temporary_folder()
        _find_room(cache)
    # Imported only once the files are known to be what the trainer wrote, because TensorFlow takes four seconds.
    from service.engines.tensorflow import TensorFlowEngine, rejecting_what_cannot_run

    saved_model = TensorFlowEngine(version)
    with rejecting_what_cannot_run():
        golden.check(saved_model.run, "the SavedModel", tells_is_digit=manifest.tells_is_digit)
    if engine == "litert":
        program = _compile(saved_model.signature)
        try:
            _publish(program, cache / program_name(manifest_sha256), golden.answered_by(saved_model.run))
        except OSError as error:
            raise _postponed_by_cache(error) from error


def _find_temporary_folder() -> None:
    """Raise `PreparingPostponed` if there is none: TensorFlow's converter needs one, but looks for it late."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        msg = "there is no folder for temporary files that can be written to"
        raise PreparingPostponed(msg) from error


def _find_room(cache: Path) -> None:
    """Raise `PreparingPostponed` if a program does not fit into the cache, before seconds of a core are spent on it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as room:
            room.write(bytes(_PROGRAM_BYTES))
    except OSError as error:
        raise _postponed_by_cache(error) from error


def _postponed_by_cache(error: OSError) -> PreparingPostponed:
    return PreparingPostponed(f"the program cache cannot be written to: {error.strerror}")


def program_name(manifest_sha256: str) -> str:
    """Name of a version's program in the cache: a function of everything the version consists of."""
    return f"{manifest_sha256}.tflite"


def _compile(signature: Any) -> bytes:  # noqa: ANN401 - TensorFlow has no types
    """Compile the signature's outputs, side by side in one array, into a LiteRT program, float32.

    A single output needs no name: freezing loses the signature's output names.

    The variables are frozen into constants first: converting the SavedModel directly silently loses Keras 3's
    weights, and every output is NaN.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from service.engines.tensorflow import outputs_of

    def outputs(pixels: Any) -> Any:  # noqa: ANN401 - a symbolic tensor
        return outputs_of(signature, pixels)

    function = tf.function(outputs, input_signature=[tf.TensorSpec([None, 784], tf.float32, "pixels")])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    try:
        program: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError) as error:
        msg = f"LiteRT cannot run this network ({first_line(error)}); DIGITS_ENGINE=tensorflow can"
        raise VersionRejected(msg) from error
    return program


def _publish(program: bytes, destination: Path, by_saved_model: GoldenImages) -> None:
    """Check the program against the SavedModel's answers and move it into place with one rename."""
    from service.engines.litert import LiteRTEngine

    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".preparing-") as folder:
        unproven = Path(folder, destination.name)
        unproven.write_bytes(program)
        compiled = LiteRTEngine(unproven, max_batch_size=len(by_saved_model.pixels))
        tells = by_saved_model.is_digit is not None
        by_saved_model.check(compiled.run, "the compiled program", PROGRAM_TOLERANCE, tells_is_digit=tells)
        unproven.replace(destination)


def memory_limit_bytes(cgroup_root: Path = CGROUP_ROOT) -> int:
    """How much private memory preparing may take: a maximum, or less under an earlier limit or in a small container."""
    limits = [MAX_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]]
    left_bytes = memory_left_bytes(cgroup_root)
    if left_bytes is not None:
        limits.append(int(_MEMORY_SHARE * left_bytes))
    return min(limit for limit in limits if limit != resource.RLIM_INFINITY)


def _limit_this_process(limit_bytes: int) -> None:
    """Limit private memory, not address space, into which TensorFlow maps gigabytes of files that take no memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _make_small_stacks()


def _make_small_stacks() -> None:
    """Give every thread started from now on a small stack, whoever starts it; the main thread keeps its own."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "pthread_setattr_default_np"):  # Linux has it
        attributes = ctypes.create_string_buffer(256)  # pthread_attr_t takes 56 or 64
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(_THREAD_STACK_BYTES))
        libc.pthread_setattr_default_np(attributes)


def _give_way() -> None:
    """Let everything else have the processor first, in this process's session and in others."""
    os.nice(NICENESS)
    # Where no control group limits the processor, Linux divides it among sessions first. Preparing has a session of its
    # own, and niceness alone would only count within that.
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def _end_with_the_server() -> None:
    """Exit when standard input closes: the server holds its other end, which closes when the server ends in any way."""
    sys.stdin.buffer.read()
    os._exit(1)


def _report_unforeseen(error: Exception, version: Path, limit_bytes: int) -> int:
    """Report an unforeseen error as failed or postponed, not as rejected: it may be this machine's fault.

    TensorFlow's modules raise ImportError, SystemError, TypeError and others when they get no memory.
    """
    memory = f"{limit_bytes // 1024**2} MiB of memory"
    if isinstance(error, MemoryError) or type(error).__name__ == _NO_MEMORY:
        return _report(failed=f"preparing it needs more than the {memory} that it may take")
    if isinstance(error, OSError) and error.errno is not None:  # raised by the system, not by a library
        return _report(postponed=f"preparing it failed: {os.strerror(error.errno)}")
    what = first_line_without(error, version)
    return _report(failed=f"preparing it failed, with {memory} to take: {type(error).__name__}: {what}")


def _report(rejected: str | None = None, postponed: str | None = None, failed: str | None = None) -> int:
    sys.stdout.write(json.dumps({"rejected": rejected, "postponed": postponed, "failed": failed}) + "\n")
    return 1 if rejected or postponed or failed else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m service.prepare",
        description="Verify one version of the model store and compile it into the program cache.",
    )
    parser.add_argument("version", type=Path, help="folder of the version, such as models/digits/3")
    parser.add_argument("cache", type=Path, help="folder for compiled programs")
    parser.add_argument("--engine", choices=["litert", "tensorflow"], default="litert")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when the process at the other end of stdin is gone"
    )
    parser.add_argument("--background", action="store_true", help="give way to whatever else runs")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow looks for a graphics card even where there is none; preparing never needs one.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.update(TF_NUM_INTRAOP_THREADS=_THREADS, TF_NUM_INTEROP_THREADS=_THREADS)
    sys.exit(main())

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.engines.litert import LiteRTEngine
from service.engines.tensorflow import TensorFlowEngine
from service.prepare import MAX_MEMORY_BYTES, PROGRAM_TOLERANCE, PreparingPostponed, memory_limit_bytes, prepare
from service.versions.golden import read_golden
from service.versions.manifest import MANIFEST_PATH, VersionRejected
from tests.service.failing import fail, needs_a_failing_file
from tests.service.wrapping import write_wrapped

MIB = 1024**2


@pytest.fixture
def released(released_store: Path) -> Path:
    return released_store / "digits" / "1"


# A library that reports 128 cores to every caller.
MANY_CORES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>
int get_nprocs(void) { return 128; }
int get_nprocs_conf(void) { return 128; }
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
    memset(set, 0, size);
    for (size_t core = 0; core < 128 && core < 8 * size; core++) CPU_SET_S(core, size, set);
    return 0;
}
long sysconf(int name) {
    if (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF) return 128;
    return ((long (*)(int))dlsym(RTLD_NEXT, "sysconf"))(name);
}
"""


def run_prepare(
    version: Path,
    cache: Path,
    limit_bytes: int | None = None,
    *,
    most_bytes: int | None = None,
    without_tensorflow: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Prepare a version in a separate process, as the service does, with at most `limit_bytes` of private memory.

    It may write files of up to `most_bytes`. In the folder `without_tensorflow` a module that raises ImportError
    takes TensorFlow's place.
    """
    variables = {}
    if without_tensorflow is not None:
        (without_tensorflow / "tensorflow.py").write_text("raise ImportError")
        variables["PYTHONPATH"] = str(without_tensorflow)

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "service.prepare", str(version), str(cache)],
        preexec_fn=limit,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("in_golden", [True, False])
def test_the_score_is_part_of_the_program(released: Path, tmp_path: Path, *, in_golden: bool) -> None:
    """A version with the output is_digit gets a program that gives both outputs, as TensorFlow does."""
    version = write_wrapped(released, tmp_path / "2", in_golden=in_golden)

    prepare(version, tmp_path / "cache", "litert")

    (program,) = (tmp_path / "cache").glob("*.tflite")
    pixels = read_golden(version).pixels
    outputs = LiteRTEngine(program, max_batch_size=16).run(pixels)
    assert outputs.shape == (len(pixels), 11)
    np.testing.assert_allclose(outputs[:, 10], outputs[:, :10].max(axis=1), atol=1e-6)
    np.testing.assert_allclose(outputs, TensorFlowEngine(version).run(pixels), atol=PROGRAM_TOLERANCE)


@pytest.mark.parametrize("engine", ["litert", "tensorflow"])
def test_a_threshold_without_the_output_is_rejected(released: Path, tmp_path: Path, engine: str) -> None:
    """A manifest that states a threshold for an output that the SavedModel lacks is wrong."""
    version = write_wrapped(released, tmp_path / "2", has_output=False)

    with pytest.raises(VersionRejected, match="states is_digit_threshold, but the SavedModel has no output is_digit"):
        prepare(version, tmp_path / "cache", engine)


def test_the_output_without_a_threshold_is_rejected(released: Path, tmp_path: Path) -> None:
    """A score without a threshold to judge it by is wrong, too."""
    version = write_wrapped(released, tmp_path / "2", threshold=None)

    with pytest.raises(VersionRejected, match="has the output is_digit, but the manifest states no"):
        prepare(version, tmp_path / "cache", "litert")


def test_the_process_rejects_damage_without_tensorflow(released: Path, tmp_path: Path) -> None:
    """`python -m service.prepare` exits with 1 and the reason if a version's files are not those of its manifest."""
    version = shutil.copytree(released, tmp_path / "1")
    (version / "saved_model.pb").write_bytes(b"damaged")

    ended = run_prepare(version, tmp_path / "cache")

    assert ended.returncode == 1
    assert ended.stdout.startswith('{"rejected": "saved_model.pb has 7 bytes')


@needs_a_failing_file
def test_a_version_that_cannot_be_read_now_is_postponed(released: Path, tmp_path: Path) -> None:
    """A disk error while a version is prepared postpones it, and leaves nothing in the cache."""
    version = shutil.copytree(released, tmp_path / "1")
    fail(version / MANIFEST_PATH)

    with pytest.raises(PreparingPostponed, match="reading it failed: Input/output error"):
        prepare(version, tmp_path / "cache", "litert")

    assert not (tmp_path / "cache").exists()


@needs_a_failing_file
def test_the_process_reports_what_is_postponed(released: Path, tmp_path: Path) -> None:
    """`python -m service.prepare` says so in its line of JSON, and exits with 1."""
    version = shutil.copytree(released, tmp_path / "1")
    fail(version / MANIFEST_PATH)

    ended = run_prepare(version, tmp_path / "cache")

    assert ended.returncode == 1
    reason = "reading it failed: Input/output error"
    assert json.loads(ended.stdout) == {"rejected": None, "postponed": reason, "failed": None}


def write_cgroup(root: Path, limit_mib: int, used_mib: int) -> None:
    (root / "memory.max").write_text(f"{limit_mib * MIB}\n")
    (root / "memory.current").write_text(f"{used_mib * MIB}\n")
    (root / "memory.stat").write_text("inactive_file 0\n")


@pytest.mark.parametrize(
    ("limit_mib", "used_mib", "allowed_mib"),
    [(2048, 548, 1200), (1024, 224, 640), (64 * 1024, 500, 3072), (512, 600, 0)],
)
def test_preparing_takes_no_more_than_its_container_has_left(
    limit_mib: int, used_mib: int, allowed_mib: int, tmp_path: Path
) -> None:
    """It may take four fifths of what is left, as the whole container is killed if over its limit; 3 GiB at most."""
    write_cgroup(tmp_path, limit_mib, used_mib)
    assert memory_limit_bytes(tmp_path) == pytest.approx(allowed_mib * MIB, abs=1)


def test_without_a_container_preparing_takes_3_gib(tmp_path: Path) -> None:
    """No graph of this project needs that much."""
    assert memory_limit_bytes(tmp_path) == MAX_MEMORY_BYTES


def test_a_version_is_prepared_in_a_container_of_2_gib(released: Path, tmp_path: Path) -> None:
    """Beside workers under load, which take half a gigabyte, an ordinary version has room enough."""
    write_cgroup(tmp_path, 2048, 548)
    limit_bytes = memory_limit_bytes(tmp_path)

    ended = run_prepare(released, tmp_path / "cache", limit_bytes)

    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("limit_mib", [60, 90, 150])
def test_a_version_that_does_not_fit_is_not_to_blame(released: Path, tmp_path: Path, limit_mib: int) -> None:
    """Too little memory says nothing about the version: it is tried again later.

    TensorFlow's own modules then raise any of ImportError, SystemError, MemoryError and OSError.
    """
    ended = run_prepare(released, tmp_path / "cache", limit_mib * MIB)

    assert ended.returncode != 0
    if ended.stdout:
        report = json.loads(ended.stdout)
        assert report["rejected"] is None
        assert report["postponed"] or f"{limit_mib} MiB of memory" in report["failed"]


def test_without_a_folder_for_temporary_files_a_version_is_postponed(released: Path, tmp_path: Path) -> None:
    """The converter needs one; a missing or full folder says nothing about the version."""
    ended = run_prepare(released, tmp_path / "cache", most_bytes=0)

    assert ended.returncode == 1
    reason = "there is no folder for temporary files that can be written to"
    assert json.loads(ended.stdout) == {"rejected": None, "postponed": reason, "failed": None}


def test_a_cache_without_room_is_found_out_before_tensorflow(released: Path, tmp_path: Path) -> None:
    """Each retry while the disk is full takes only a moment, and leaves nothing behind."""
    half_a_program = 512 * 1024

    ended = run_prepare(released, tmp_path / "cache", most_bytes=half_a_program, without_tensorflow=tmp_path)

    assert ended.returncode == 1
    reason = "the program cache cannot be written to: File too large"
    assert json.loads(ended.stdout) == {"rejected": None, "postponed": reason, "failed": None}
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="compiles what pretends to be many cores")
def test_the_cores_of_the_node_take_no_memory(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in a small container, TensorFlow counts the node's cores and makes threads for each of them."""
    (tmp_path / "many.c").write_text(MANY_CORES)
    library = tmp_path / "many.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "many.c", "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))

    ended = run_prepare(released, tmp_path / "cache", 800 * MIB)

    assert ended.returncode == 0, ended.stderr[:500]


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="needs Linux' groups of sessions")
def test_preparing_gives_way_to_other_sessions(tmp_path: Path) -> None:
    """Linux divides a core among sessions first: a niceness within its own session does not help the others."""
    show = "import runpy, sys, atexit; atexit.register(lambda: print(open('/proc/self/autogroup').read())); "
    command = ["service.prepare", str(tmp_path), str(tmp_path), "--background"]
    program = f"{show} sys.argv = {command}; runpy.run_module('service.prepare', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", program], start_new_session=True, capture_output=True, text=True, timeout=60, check=False
    )
    group = ended.stdout.splitlines()[-2]
    if not group.startswith("/autogroup"):
        pytest.skip("sessions are no groups here")
    assert group.endswith("nice 10")

"""Workers are forked in a separate process, because the one that runs the tests has threads."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux has several workers")

# Forks one worker that runs the statements in `serve`, and prints its exit code.
PROGRAM = """
import os, signal, socket, sys
from pathlib import Path
from service.telemetry import tally
from service.worker import Place, fork

def serve(listener, metrics):
    {serve}

signal.signal(signal.SIGTERM, lambda *_: print("the parent handles it"))
one, another = socket.socket(), socket.socket()
forked = fork(Place(0, 2, one, tally.file_for(2), restarts=0), serve)
{parent}
print(os.waitstatus_to_exitcode(os.waitpid(forked.pid, 0)[1]))
"""
SECONDS = 60


def run(serve: str, parent: str = "") -> tuple[list[str], str]:
    """Lines of standard output, the last of which is the worker's exit code, and standard error."""
    program = PROGRAM.format(serve=serve, parent=parent)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=SECONDS)
    return done.stdout.splitlines(), done.stderr


def test_a_worker_has_its_own_files_and_no_others() -> None:
    """It keeps open neither another worker's socket nor its parent's end of the pipe."""
    # The listing has a descriptor of its own, which is closed when the links are read.
    links = "[file for file in Path('/proc/self/fd').iterdir() if int(file.name) > 2 and file.is_symlink()]"
    (*files, code), _ = run(f"[print(os.readlink(file)) for file in {links}]")
    # The mapped file is open a second time.
    assert sorted(file.partition(":")[0] for file in files) == ["/memfd", "/memfd", "pipe", "socket"]
    assert code == "0"


@pytest.mark.parametrize(("serve", "code"), [("pass", 0), ("sys.exit(3)", 3), ("sys.exit('no')", 1), ("1 / 0", 1)])
def test_the_exit_code_is_what_serving_came_to(serve: str, code: int) -> None:
    """The exit code tells the parent how serving ended."""
    assert run(serve)[0] == [str(code)]


def test_what_ends_a_worker_is_told() -> None:
    """An unforeseen error is on standard error with its traceback."""
    _, errors = run("1 / 0")
    assert "Traceback" in errors
    assert "ZeroDivisionError" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_comes_at_once_ends_a_worker(number: signal.Signals) -> None:
    """A worker that is told to stop before it serves stops; it does not run its parent's signal handler."""
    assert run("signal.pause()", f"os.kill(forked.pid, {number})")[0] == [str(-number)]


def test_ctrl_c_that_comes_at_once_is_no_failure() -> None:
    """If the service is stopped before it serves, it shows no traceback and exits with 0."""
    lines, errors = run("signal.pause()", f"os.kill(forked.pid, {signal.SIGINT})")
    assert (lines, errors) == (["0"], "")


@pytest.mark.parametrize("lost", ["sys.stderr", "sys.stdout"])
def test_a_worker_ends_although_nobody_reads_what_it_says(lost: str) -> None:
    """As behind `| head -1`: the forked copy must not go on with what its parent does after forking."""
    lines, _ = run(f"read, write = os.pipe(); os.close(read); {lost} = os.fdopen(write, 'w'); {lost}.write('lost')")
    assert lines == ["0"]


def test_a_worker_stops_when_nobody_holds_its_lifeline() -> None:
    """The end of the pipe tells it that its parent is gone."""
    assert run("signal.pause()", "os.close(forked.lifeline)")[0] == [str(-signal.SIGTERM)]


def test_the_parent_goes_on_as_before() -> None:
    """Forking leaves the parent's signal handlers and files as they were."""
    lines, _ = run("pass", "os.kill(os.getpid(), signal.SIGTERM); one.getsockname(); another.getsockname()")
    assert lines == ["the parent handles it", "0"]

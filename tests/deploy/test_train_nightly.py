"""deploy/train-nightly.sh, run by a shell with the test's own clock, sleep and trainer."""

import re
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy/train-nightly.sh"
# A nightly run without data is a failure.
_COMMAND = "python -m trainer bootstrap --needs-data"
# A clock that only sleeping advances; the real `date` formats dates. After the last run the script is killed.
_DATE = """
if [ "$*" = +%s ]; then cat "$CLOCK"; else exec /bin/date "$@"; fi
"""
_SLEEP = """
echo "sleeps $1" >> "$SEEN"
echo $(($(cat "$CLOCK") + $1)) > "$CLOCK"
"""
_PYTHON = """
echo "python $*" >> "$SEEN"
read -r status < "$STATUSES" || kill $PPID
sed -i 1d "$STATUSES"
exit "${status:-0}"
"""

# The script runs in a Linux container; here it needs the same `date`, which macOS does not have.
pytestmark = pytest.mark.skipif(
    subprocess.run(["date", "--utc", "--date", "@0"], capture_output=True, check=False).returncode != 0,
    reason="needs GNU date",
)


def test_a_run_comes_every_day_at_its_time(tmp_path: Path) -> None:
    """The script waits until the set time today or tomorrow, and then a day after each run."""
    seen, _ = _run(tmp_path, "0 0", clock="2026-03-01 01:30", DIGITS_TRAIN_AT="02:30")
    assert [line for line in seen if line.startswith("sleeps")] == ["sleeps 3600", "sleeps 86400", "sleeps 86400"]
    seen, said = _run(tmp_path, "0", clock="2026-03-01 03:30", DIGITS_TRAIN_AT="02:30")
    assert seen[0] == f"sleeps {23 * 3600}"
    assert "next run      2026-03-02 02:30:00 UTC" in said


def test_a_shorter_round_is_counted_from_the_time(tmp_path: Path) -> None:
    """With an interval of an hour a run comes at half past every hour."""
    seen, _ = _run(tmp_path, "0", clock="2026-03-01 07:10", DIGITS_TRAIN_AT="02:30", DIGITS_TRAIN_EVERY_SECONDS="3600")
    assert seen == ["sleeps 1200", _COMMAND, "sleeps 3600", _COMMAND]


@pytest.mark.parametrize(
    ("statuses", "told", "failed"),
    [
        ("0", "", False),
        ("3", "refused       by the quality gate", False),
        ("1", "failed        with 1", True),
        ("1 3", "refused", False),
    ],
)
def test_the_next_run_comes_whatever_becomes_of_one(tmp_path: Path, statuses: str, told: str, *, failed: bool) -> None:
    """A refusal is reported and is no failure; a failure is reported, and marked until the next run without one."""
    seen, said = _run(tmp_path, statuses, clock="2026-03-01 00:00")
    assert seen.count(_COMMAND) == len(statuses.split()) + 1
    assert told in said
    assert (tmp_path / "failed").exists() == failed


def test_a_time_that_is_none_ends_it(tmp_path: Path) -> None:
    """A DIGITS_TRAIN_AT that is no time of day is refused at once."""
    seen, done = _ended(tmp_path, "0", clock="2026-03-01 00:00", DIGITS_TRAIN_AT="tonight")
    assert (seen, done.returncode) == ([], 2)


def _run(folder: Path, statuses: str, clock: str, **environment: str) -> tuple[list[str], str]:
    """Run the script until its trainer has ended once with each status; return the commands it ran and its output."""
    seen, done = _ended(folder, statuses, clock, **environment)
    return seen, done.stdout


def _ended(
    folder: Path, statuses: str, clock: str, **environment: str
) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """Run the script; return the commands it ran and how it ended."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, program in (("date", _DATE), ("sleep", _SLEEP), ("python", _PYTHON)):
        (programs / name).write_text(f"#!/bin/sh{program}")
        (programs / name).chmod(0o755)
    seen = folder / "seen"
    seen.write_text("")
    (folder / "statuses").write_text("".join(f"{status}\n" for status in statuses.split()))
    epoch = subprocess.run(["date", "--utc", "--date", clock, "+%s"], capture_output=True, text=True, check=True).stdout
    (folder / "clock").write_text(epoch)
    script = folder / "train-nightly.sh"
    # The file that marks a failure lies in the test's own folder.
    script.write_text(re.sub(r"/\w+/failed\b", str(folder / "failed"), _SCRIPT.read_text()))
    done = subprocess.run(
        ["sh", str(script)],
        env={
            "PATH": f"{programs}:/usr/bin:/bin",
            "CLOCK": str(folder / "clock"),
            "SEEN": str(seen),
            "STATUSES": str(folder / "statuses"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return seen.read_text().splitlines(), done

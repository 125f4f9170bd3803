import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.tally import OTHER, Memory, beats, file_for, has_served, note_closed, note_ended


def shared(workers: int) -> list[Memory]:
    """The shared memory as each of these workers sees it; here all are in one process."""
    file = file_for(workers)
    try:
        return [Memory(workers, worker, file) for worker in range(workers)]
    finally:
        os.close(file)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(1, 9)), max_size=30))
def test_sums_are_those_of_all_workers(written: list[tuple[int, str, int]]) -> None:
    """Whichever worker is asked, its sums are of what all workers have written, by labels."""
    tables = [memory.table(rows=8, width=1) for memory in shared(3)]
    expected: dict[tuple[str, ...], float] = {}
    for worker, label, amount in written:
        tables[worker].row(label)[0] += amount
        expected[(label,)] = expected.get((label,), 0) + amount

    for table in tables:
        assert {labels: float(numbers[0]) for labels, numbers in table.sums().items()} == expected


def test_a_worker_goes_on_where_the_one_before_stopped() -> None:
    """The numbers of a worker that died stay, and its replacement adds to them."""
    file = file_for(2)
    Memory(2, 1, file).table(8, 1).row("a")[0] += 5

    replacement = Memory(2, 1, file).table(8, 1)
    replacement.row("a")[0] += 1
    replacement.row("b")[0] += 1

    sums = Memory(2, 0, file).table(8, 1).sums()
    assert {labels: float(numbers[0]) for labels, numbers in sums.items()} == {("a",): 6, ("b",): 1}
    os.close(file)


def test_labels_without_a_row_share_the_last_one() -> None:
    """A full table counts all labels that have no row together, and loses nothing."""
    table = Memory().table(rows=3, width=1)
    for label in ("a", "b", "c", "d", "e", "c"):
        table.row(label)[0] += 1

    sums = {labels: float(numbers[0]) for labels, numbers in table.sums().items()}
    assert sums == {("a",): 1, ("b",): 1, (OTHER,): 4}


@pytest.mark.parametrize("labels", [(), ("",), ("a", ""), ("é", "b")])
def test_labels_come_back_as_they_were(labels: tuple[str, ...]) -> None:
    """No labels, empty labels and non-ASCII letters are distinguished."""
    table = Memory().table(4, 2)
    table.row(*labels)[1] = 7
    ((found, numbers),) = table.sums().items()
    assert (found, numbers.tolist()) == (labels, [0, 7])


def test_everyone_has_served_only_when_each_has() -> None:
    """One worker that serves does not speak for the others."""
    first, second = shared(2)
    first.note_served(1)
    assert not second.all_have_served
    second.note_served(1)
    assert first.all_have_served
    assert first.processes == [os.getpid()] * 2


def test_a_place_that_gets_no_connections_is_not_waited_for() -> None:
    """Its worker has not served, yet it does not keep the others from being ready, nor does its replacement."""
    file = file_for(2)
    first, second = (Memory(2, worker, file) for worker in range(2))
    first.note_served(7)
    note_closed(file, 2, 1)
    Memory(2, 1, file)
    assert first.all_have_served
    assert not has_served(file, 2, 1, os.getpid())
    assert first.served_by_others is None
    second.note_served(7)
    assert has_served(file, 2, 1, os.getpid())
    os.close(file)


def test_what_the_others_serve_is_known() -> None:
    """It is the newest version that another serving worker has: not the worker's own, nor that of an ended one."""
    file = file_for(3)
    first, second, third = (Memory(3, worker, file) for worker in range(3))
    first.note_served(7)
    assert (first.served_by_others, second.served_by_others) == (None, 7)
    third.note_served(8)
    assert second.served_by_others == 8
    note_ended(file, 2)
    assert (first.served_by_others, second.served_by_others) == (None, 7)
    os.close(file)


def test_a_worker_that_has_only_begun_serves_nothing() -> None:
    """It does not inherit the version of the worker before it in its place, however that one ended."""
    file = file_for(2)
    program = "import sys; from service.telemetry.tally import Memory; Memory(2, 0, int(sys.argv[1])).note_served(7)"
    subprocess.run([sys.executable, "-c", program, str(file)], pass_fds=(file,), check=True, timeout=60)
    assert Memory(2, 1, file).served_by_others == 7  # nobody has noticed yet that it has ended
    Memory(2, 0, file)
    assert Memory(2, 1, file).served_by_others is None
    os.close(file)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 2), st.integers(1, 9)), max_size=40))
def test_ring_sums_the_last_minutes_of_all_workers(written: list[tuple[int, int, int, int]]) -> None:
    """Minutes older than the ring is long, and other subjects, do not count; all else does."""
    rings = [memory.ring(minutes=4, width=1) for memory in shared(3)]
    newest: dict[tuple[int, int], tuple[int, int]] = {}  # (worker, slot) -> (minute, subject)
    amounts: dict[tuple[int, int, int], int] = {}
    for worker, minute, subject, amount in sorted(written, key=lambda entry: entry[1]):
        slot = (worker, minute % 4)
        if newest.get(slot) != (minute, subject):
            newest[slot] = (minute, subject)
            amounts[(worker, minute, subject)] = 0
        rings[worker].row(minute + 100, subject)[0] += amount
        amounts[(worker, minute, subject)] += amount

    expected = sum(
        amounts[(worker, minute, subject)]
        for (worker, _), (minute, subject) in newest.items()
        if minute > 12 - 4 and subject == 1
    )
    assert [float(ring.sum(112, 1)[0]) for ring in rings] == [expected] * 3


def test_ring_of_a_dead_worker_goes_on() -> None:
    """Its replacement adds to the minute that was begun."""
    file = file_for(2)
    Memory(2, 1, file).ring(4, 1).row(7, 1)[0] += 5

    Memory(2, 1, file).ring(4, 1).row(7, 1)[0] += 2

    assert Memory(2, 0, file).ring(4, 1).sum(8, 1).tolist() == [7]
    os.close(file)


def test_whether_a_process_has_served_is_told_from_outside() -> None:
    """The parent sees it for each worker's place, and only for the process that it asks about."""
    file = file_for(3)
    served = [Memory(3, worker, file) for worker in range(3)][1]
    assert not has_served(file, 3, 1, os.getpid())
    served.note_served(1)

    assert [has_served(file, 3, worker, os.getpid()) for worker in range(3)] == [False, True, False]
    assert not has_served(file, 3, 1, os.getpid() + 1)
    os.close(file)


def test_whether_an_event_loop_runs_is_told_from_outside() -> None:
    """Each worker has beats of its own."""
    file = file_for(3)
    memories = [Memory(3, worker, file) for worker in range(3)]
    before = [beats(file, 3, worker) for worker in range(3)]
    memories[1].note_alive()

    assert [beats(file, 3, worker) != before[worker] for worker in range(3)] == [False, True, False]
    os.close(file)


def test_what_an_ended_worker_was_doing_is_no_longer_counted() -> None:
    """Sums over the living leave out a worker that has ended; all other sums keep it."""
    file = file_for(2)
    tables = [Memory(2, worker, file).table(8, 1) for worker in range(2)]
    for table in tables:
        table.row("a")[0] += 5
    note_ended(file, 1)

    assert tables[0].sums(living_only=True)[("a",)].tolist() == [5]
    assert tables[0].sums()[("a",)].tolist() == [10]
    Memory(2, 1, file)
    assert tables[0].sums(living_only=True)[("a",)].tolist() == [10]
    os.close(file)


def test_cpu_seconds_never_fall() -> None:
    """What an ended worker had used stays in the sum, and its replacement starts from there."""
    file = file_for(2)
    first = Memory(2, 0, file)
    Memory(2, 1, file)
    first.note_cpu_seconds(0, 3.0)
    first.note_cpu_seconds(1, 4.0)
    note_ended(file, 1)
    assert first.cpu_seconds == 7
    Memory(2, 1, file)
    first.note_cpu_seconds(1, 0.5)
    assert first.cpu_seconds == 7.5
    os.close(file)

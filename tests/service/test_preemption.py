import os
import sys
import threading

import pytest

from service.preemption import Preemption, give_way

# These tests make a real system call that only Linux has; elsewhere `give_way` does nothing.
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a thread a policy of its own")


class Story:
    """A clock that can be set, and what the event loop's thread was told."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.told: list[bool] = []
        self.preemption = Preemption(self._note, lambda: self.seconds)

    def _note(self, *, gives_way: bool) -> None:
        self.told.append(gives_way)


def test_the_event_loop_gives_way_while_pictures_are_refused() -> None:
    """It is told once for many refusals, and again once pictures have been accepted for a while without any."""
    story = Story()
    for _ in range(5):
        story.preemption.picture_was_refused()
        story.preemption.picture_was_taken()
        story.seconds += 0.1
    assert story.told == [True]
    story.seconds += 1
    story.preemption.picture_was_taken()
    assert story.told == [True, False]


def test_arrays_end_it_at_once() -> None:
    """A client that sends arrays does not wait for other clients' pictures, however many of them are refused."""
    story = Story()
    story.preemption.picture_was_refused()
    for _ in range(5):
        story.seconds += 0.5
        story.preemption.array_has_come()
        story.preemption.picture_was_refused()
    assert story.told == [True, False]
    story.seconds += 1
    story.preemption.picture_was_refused()
    assert story.told == [True, False, True]


def test_nothing_changes_without_refusals() -> None:
    """Most services never have too many pictures; they never make the system call."""
    story = Story()
    story.preemption.picture_was_taken()
    story.preemption.array_has_come()
    assert not story.told


@needs_linux
def test_only_the_thread_that_asks_gives_way() -> None:
    """The system changes one thread's policy, and lets that thread undo it; the other threads keep theirs."""
    policies: list[int] = []

    def ask() -> None:
        give_way(gives_way=True)
        policies.append(os.sched_getscheduler(0))
        give_way(gives_way=False)
        policies.append(os.sched_getscheduler(0))

    before = os.sched_getscheduler(0)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_BATCH, os.SCHED_OTHER]
    assert os.sched_getscheduler(0) == before


@needs_linux
def test_a_policy_that_was_chosen_for_the_service_stays() -> None:
    """A service that is to run only when nothing else does would otherwise get the same share as others."""
    policies: list[int] = []

    def ask() -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        for gives_way in (True, False):
            give_way(gives_way=gives_way)
            policies.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_IDLE] * 2

"""Stacks summed up by own time."""

from benchmarks.figures import Share
from benchmarks.profiling import own_times
from service.worker import _stop_when_closed


def test_own_time_is_that_of_the_innermost_function() -> None:
    """Callers get nothing, waiting is left out, the greatest comes first."""
    stacks = [
        "main (a.py:1);read (b.py:2) 3",
        "main (a.py:1) 1",
        "main (a.py:1);write (c.py:3);read (b.py:2) 4",
        "main (a.py:1);Condition.wait (threading.py:1) 90",
    ]
    assert own_times(stacks) == [Share("read (b.py:2)", 0.875), Share("main (a.py:1)", 0.125)]


def test_a_worker_s_watch_over_its_parent_is_waiting() -> None:
    """py-spy reports the thread in which each worker waits for a pipe's end as busy; it is left out."""
    assert own_times([f"run (threading.py);{_stop_when_closed.__name__} (service/worker.py) 90"]) == []


def test_no_samples_are_no_shares() -> None:
    """A profile of nothing is empty."""
    assert own_times([]) == []

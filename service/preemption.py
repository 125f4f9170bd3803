"""Whether arriving requests interrupt the threads that decode pictures.

They do, so that an array is answered at once. But while only pictures come, and some are refused because they are too
many, each refusal would only take time from a picture that is being decoded. `pool` decides how many may wait.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable

# The first array after this long may find the event loop giving way, and take 8 ms instead of 1 (medians, beside five
# times as many pictures as one core cleans up); the arrays that follow do not.
_QUIET_SECONDS = 1.0
# Many times the interval between two refusals while pictures come too fast.
_CALM_SECONDS = 1.0


def give_way(*, gives_way: bool) -> None:
    """Let the calling thread wait until those that run have had their share of time, where the system can do so.

    A service that was started with another policy, such as `chrt --idle`, keeps that.
    """
    with contextlib.suppress(OSError, AttributeError):  # only Linux tells threads apart
        if os.sched_getscheduler(0) in (os.SCHED_OTHER, os.SCHED_BATCH):
            os.sched_setscheduler(0, os.SCHED_BATCH if gives_way else os.SCHED_OTHER, os.sched_param(0))


class Preemption:
    """Makes the event loop give way to decoding threads while nothing but pictures comes, and too many of them.

    With one core, and five times as many pictures as it can clean up, 106, 77 and 94 % of that capacity are answered in
    three runs; alternating runs in which each refusal interrupts answer 74, 70 and 76 %.
    """

    def __init__(self, give_way: Callable[..., None] = give_way, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it; nothing gives way yet.

        Args:
            give_way: Makes the calling thread, which is the event loop's, give way or not, by `gives_way`.
            clock: Gives seconds.
        """
        self._give_way = give_way
        self._clock = clock
        self._gives_way = False
        self._array_seconds = self._refusal_seconds = -math.inf

    def array_has_come(self) -> None:
        """Give way no longer: arrays are answered at once."""
        self._array_seconds = self._clock()
        self._change(gives_way=False)

    def picture_was_refused(self) -> None:
        """Give way, unless an array has come lately."""
        self._refusal_seconds = self._clock()
        if self._refusal_seconds >= self._array_seconds + _QUIET_SECONDS:
            self._change(gives_way=True)

    def picture_was_taken(self) -> None:
        """Give way no longer if none has been refused lately."""
        if self._gives_way and self._clock() >= self._refusal_seconds + _CALM_SECONDS:
            self._change(gives_way=False)

    def _change(self, *, gives_way: bool) -> None:
        if gives_way != self._gives_way:
            self._gives_way = gives_way
            self._give_way(gives_way=gives_way)

"""Bounds the memory of all request bodies together, while they arrive, wait and are decoded.

Rows that an answer shows count too. `reader` and `service.pool` tell it what is read and who uses it.
"""

import time
from collections.abc import Callable

from service.average import RunningAverage
from service.problems import QueueFull

# Weight of the newest body in the average time that bodies are held: about the last ten count.
_WEIGHT = 0.1


class BodyMemory:
    """How many bytes of bodies are held, and by which bodies."""

    def __init__(self, limit_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it empty.

        Args:
            limit_bytes: Most bytes that all bodies together may hold.
            clock: Gives seconds, on the same scale as the bodies' deadlines.
        """
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._size_bytes = 0
        self._bodies = set[HeldBody]()
        self._held_seconds = RunningAverage(_WEIGHT)

    def take(self, body: "HeldBody", more_bytes: int) -> None:
        """Count more bytes of a body.

        Raises:
            QueueFull: All bodies together would hold too much; `Retry-After` is when the first of the others may end.
        """
        if self._size_bytes + more_bytes > self._limit_bytes:
            now = self._clock()
            left = min((self._seconds_left(other, now) for other in self._bodies if other is not body), default=0.0)
            detail = "Too much is being sent by all clients together; try again later."
            raise QueueFull(detail, retry_after_seconds=left)
        self._size_bytes += more_bytes
        if body not in self._bodies:
            self._bodies.add(body)
            body.since = self._clock()

    def _seconds_left(self, body: "HeldBody", now: float) -> float:
        """Estimate how long a body will still be held, from the recent average, but not past its deadline.

        A body that has already been held for longer than the average is assumed to be half done.
        """
        until_deadline = max(0.0, body.deadline - now)
        usual = self._held_seconds.value
        if usual is None:
            return until_deadline
        age = now - body.since
        return min(until_deadline, usual - age if age < usual else age)

    def give_back(self, body: "HeldBody") -> None:
        """Stop counting a body."""
        if body not in self._bodies:
            return
        self._size_bytes -= body.size_bytes
        self._bodies.remove(body)
        self._held_seconds.add(self._clock() - body.since)


class HeldBody:
    """The bytes of one body, counted until every user has let go of them."""

    def __init__(self, memory: BodyMemory, deadline: float) -> None:
        """Hold nothing yet, for one user.

        Args:
            memory: Where the bytes are counted.
            deadline: When the body's request is over at the latest, in the clock's seconds.
        """
        self.deadline = deadline
        self.since = 0.0
        self.size_bytes = 0
        self._memory = memory
        self._users = 1

    def grow_to(self, size_bytes: int) -> None:
        """Hold this many bytes in total.

        Raises:
            QueueFull: Others hold too much.
        """
        self._memory.take(self, size_bytes - self.size_bytes)
        self.size_bytes = size_bytes

    def use(self) -> None:
        """Add a user: a thread keeps using the bytes after its caller has gone."""
        self._users += 1

    def let_go(self) -> None:
        """Remove a user; when the last one goes, the bytes are given back."""
        self._users -= 1
        if self._users == 0:
            self._memory.give_back(self)

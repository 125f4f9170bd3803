"""The memory that request bodies take while they are sent, wait and are decoded: counted, with a bound on all together.

What is read, and who uses it, is for `bodies` and `pool` to say.
"""

import math
import time
from collections.abc import Callable

from service.problems import QueueFull


class BodyMemory:
    """How many bytes of bodies are held, and by which bodies."""

    def __init__(self, limit_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it empty.

        Args:
            limit_bytes: Most bytes that all bodies together may hold.
            clock: Gives seconds, as the deadlines of bodies do.
        """
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._size_bytes = 0
        self._bodies = set[HeldBody]()

    def take(self, body: "HeldBody", more_bytes: int) -> None:
        """Count more bytes of that body.

        Raises:
            QueueFull: All bodies together hold too much; by the time that it tells one of the others is over.
        """
        if self._size_bytes + more_bytes > self._limit_bytes:
            now = self._clock()
            over = min((other.deadline for other in self._bodies if other is not body), default=now)
            detail = "Too much is being sent by all clients together; try again later."
            raise QueueFull(detail, retry_after_seconds=math.ceil(over - now))
        self._size_bytes += more_bytes
        self._bodies.add(body)

    def give_back(self, body: "HeldBody") -> None:
        """Count that body no longer."""
        self._size_bytes -= body.size_bytes
        self._bodies.discard(body)


class HeldBody:
    """The bytes of one body: counted until everyone who uses them has let go."""

    def __init__(self, memory: BodyMemory, deadline: float) -> None:
        """Hold nothing yet, for one user.

        Args:
            memory: Where the bytes are counted.
            deadline: When the body's request is over at the latest, in the clock's seconds.
        """
        self.deadline = deadline
        self.size_bytes = 0
        self._memory = memory
        self._users = 1

    def grow_to(self, size_bytes: int) -> None:
        """Hold so many bytes in all.

        Raises:
            QueueFull: Others hold too much.
        """
        self._memory.take(self, size_bytes - self.size_bytes)
        self.size_bytes = size_bytes

    def use(self) -> None:
        """One more needs the bytes: a thread goes on with them when its caller has gone."""
        self._users += 1

    def let_go(self) -> None:
        """One needs them no longer; with the last of them they are given back."""
        self._users -= 1
        if self._users == 0:
            self._memory.give_back(self)

"""Threads that do something again and again while a context is open."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def threads_of(loops: Sequence[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Run each loop in its own thread; it is passed an event that is set when the context ends, and then has to end."""
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()

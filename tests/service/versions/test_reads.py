import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from service.versions.reads import Reads


@pytest.fixture
def stalled() -> Iterator[threading.Event]:
    """The event that a stalled store waits for."""
    answers = threading.Event()
    yield answers
    answers.set()


def test_a_read_gives_its_result_or_what_it_raised() -> None:
    """It behaves like a plain call."""

    def fails() -> None:
        raise FileNotFoundError

    async def story() -> None:
        reads = Reads(1)
        assert await reads.run("file", lambda: 3, 5) == 3
        with pytest.raises(FileNotFoundError):
            await reads.run("file", fails, 5)
        assert await reads.run("file", lambda: 4, 5) == 4

    asyncio.run(story())


def test_a_read_that_hangs_has_a_deadline_and_holds_up_no_end(stalled: threading.Event) -> None:
    """Its caller is told in time, and the event loop ends while the thread still waits."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(Reads(1).run("file", stalled.wait, 0.05))
    assert time.monotonic() - started < 5


def test_reads_that_hang_keep_their_places(stalled: threading.Event) -> None:
    """No more threads wait for a store than there are places; when it answers, the next reads run."""
    begun: list[int] = []

    def hang() -> None:
        begun.append(1)
        stalled.wait()

    async def story() -> None:
        reads = Reads(2)
        for file in range(4):
            with pytest.raises(TimeoutError):
                await reads.run(file, hang, 0.1)
        assert len(begun) == 2
        stalled.set()
        assert await reads.run("file", lambda: "read", 5) == "read"

    asyncio.run(story())


def test_what_hangs_keeps_one_place_and_is_told_at_once(stalled: threading.Event) -> None:
    """A caller that asks for the same file joins the running read and its deadline; other files are read meanwhile."""

    async def story() -> None:
        reads = Reads(2)
        asked = [reads.run("hung", stalled.wait, 0.2) for _ in range(4)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in told] == [TimeoutError] * 4
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await reads.run("hung", stalled.wait, 0.2)
        assert time.monotonic() - started < 0.1
        assert await reads.run("whole", lambda: "read", 5) == "read"
        stalled.set()
        assert await reads.run("hung", lambda: "read", 5) in ("read", True)
        assert await reads.run("hung", lambda: "read", 5) == "read"

    asyncio.run(story())


def test_who_has_more_time_waits_on_for_the_same_read(stalled: threading.Event) -> None:
    """One caller's short deadline does not end the read for another caller, which gets the result of the same read."""

    async def story() -> None:
        reads = Reads(1)
        with pytest.raises(TimeoutError):
            await reads.run("slow", stalled.wait, 0.05)
        asyncio.get_running_loop().call_later(0.05, stalled.set)
        assert await reads.run("slow", lambda: False, 5)

    asyncio.run(story())


def test_no_thread_to_be_had_is_the_machine_s_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised as an `OSError`, like any other failure to read, and takes no place."""

    def refuse(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    async def story() -> None:
        reads = Reads(1)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(OSError, match="unavailable"):
                await reads.run("file", lambda: 3, 5)
        assert await reads.run("file", lambda: 3, 5) == 3

    asyncio.run(story())

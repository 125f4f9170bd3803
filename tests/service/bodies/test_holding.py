import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bodies.holding import BodyMemory, HeldBody
from service.problems import QueueFull
from tests.service.fakes import Clock


def held(memory: BodyMemory, size_bytes: int, deadline: float = 0.0) -> HeldBody:
    """A body of that size."""
    body = HeldBody(memory, deadline)
    body.grow_to(size_bytes)
    return body


@given(st.lists(st.integers(1, 50), max_size=20))
def test_memory_is_full_exactly_at_its_limit(sizes: list[int]) -> None:
    """A body is refused if and only if its bytes and those of the held bodies exceed the limit together."""
    memory, size_bytes = BodyMemory(limit_bytes=100), 0
    for size in sizes:
        if size_bytes + size > 100:
            with pytest.raises(QueueFull):
                held(memory, size)
        else:
            held(memory, size)
            size_bytes += size


def test_a_body_is_counted_once_while_it_grows() -> None:
    """Its current size counts, not the sum of its sizes; a refused growth changes nothing."""
    memory = BodyMemory(limit_bytes=100)
    body = held(memory, 30)

    body.grow_to(60)
    with pytest.raises(QueueFull):
        body.grow_to(101)

    held(memory, 40)


def test_a_body_counts_until_its_last_user_lets_go() -> None:
    """Whichever user lets go first, the others still have the bytes."""
    memory = BodyMemory(limit_bytes=100)
    body = held(memory, 100)

    body.use()
    body.let_go()
    with pytest.raises(QueueFull):
        held(memory, 1)
    body.let_go()

    held(memory, 100)


def retry_after_seconds(memory: BodyMemory, size_bytes: int) -> int:
    """The Retry-After of a refused body."""
    with pytest.raises(QueueFull) as refused:
        held(memory, size_bytes)
    return int(refused.value.headers["Retry-After"])


def test_a_refusal_tells_when_the_first_of_the_others_has_to_be_over() -> None:
    """Before any body has been released, the soonest deadline tells when there is room at the latest."""
    memory = BodyMemory(limit_bytes=100, clock=lambda: 1000.0)
    held(memory, 50, deadline=1009.5)
    held(memory, 10, deadline=1007.4)

    growing = held(memory, 40, deadline=1003)
    with pytest.raises(QueueFull) as refused:
        growing.grow_to(41)

    assert refused.value.headers["Retry-After"] == "7"


@pytest.mark.parametrize("held_seconds", [0.2, 2.0, 7.0])
def test_a_refusal_tells_when_there_is_room(held_seconds: float) -> None:
    """If bodies come one by one and each is held for about as long, the wait is about as long as the refusal says."""
    clock = Clock(1000.0)
    memory = BodyMemory(limit_bytes=100, clock=clock)
    shares = itertools.cycle([1.1, 0.9, 1.0, 0.95, 1.05, 1.0])
    bodies: list[tuple[float, HeldBody]] = []
    differences = []
    for _ in range(60):
        bodies.append((clock() + held_seconds * next(shares), held(memory, 20, clock() + 30)))
        bodies.sort(key=lambda entry: entry[0])
        if len(bodies) == 5:
            told = retry_after_seconds(memory, 20)
            over, body = bodies.pop(0)
            differences.append(told - (over - clock()))
            clock.advance(over - clock())
            body.let_go()
        else:
            clock.advance(held_seconds / 5)

    assert max(map(abs, differences[1:])) <= max(1.0, 0.3 * held_seconds)


def test_a_body_that_takes_long_is_not_expected_past_its_deadline() -> None:
    """While bodies stall, refusals tell ever longer waits, but none beyond the deadline of these bodies."""
    clock = Clock(1000.0)
    memory = BodyMemory(limit_bytes=100, clock=clock)
    held(memory, 100, deadline=1010).let_go()
    held(memory, 100, deadline=1010)

    told = []
    for _ in range(4):
        clock.advance(2.0)
        told.append(retry_after_seconds(memory, 1))

    assert told == [2, 4, 4, 2]

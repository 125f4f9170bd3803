import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.holding import BodyMemory, HeldBody
from service.problems import QueueFull


def held(memory: BodyMemory, size_bytes: int, deadline: float = 0.0) -> HeldBody:
    """A body of that size."""
    body = HeldBody(memory, deadline)
    body.grow_to(size_bytes)
    return body


@given(st.lists(st.integers(1, 50), max_size=20))
def test_memory_is_full_exactly_at_its_limit(sizes: list[int]) -> None:
    """A body is refused when it and those that are held have more bytes than may be, and only then."""
    memory, size_bytes = BodyMemory(limit_bytes=100), 0
    for size in sizes:
        if size_bytes + size > 100:
            with pytest.raises(QueueFull):
                held(memory, size)
        else:
            held(memory, size)
            size_bytes += size


def test_a_body_is_counted_once_while_it_grows() -> None:
    """What it has grown to counts, not the sum of its sizes; a refused growth changes nothing."""
    memory = BodyMemory(limit_bytes=100)
    body = held(memory, 30)

    body.grow_to(60)
    with pytest.raises(QueueFull):
        body.grow_to(101)

    held(memory, 40)


def test_a_body_counts_until_its_last_user_lets_go() -> None:
    """Whoever lets go first, the bytes are there for the others."""
    memory = BodyMemory(limit_bytes=100)
    body = held(memory, 100)

    body.use()
    body.let_go()
    with pytest.raises(QueueFull):
        held(memory, 1)
    body.let_go()

    held(memory, 100)


def test_a_refusal_tells_when_the_first_of_the_others_is_over() -> None:
    """The soonest deadline says when there is room at the latest; those that are gone do not count."""
    memory = BodyMemory(limit_bytes=100, clock=lambda: 1000.0)
    gone = held(memory, 40, deadline=1001)
    held(memory, 50, deadline=1009.5)
    held(memory, 10, deadline=1006.4)
    gone.let_go()

    growing = held(memory, 40, deadline=1003)
    with pytest.raises(QueueFull) as refused:
        growing.grow_to(41)

    assert refused.value.headers["Retry-After"] == "7"

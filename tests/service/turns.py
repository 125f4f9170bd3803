"""Counts the turns that another task gets in the event loop while some work runs in it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def turns_of_others(work: Coroutine[Any, Any, Result]) -> tuple[Result, int]:
    """Run the work in an event loop of its own; gives its result, and how many turns another task had."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def beside_another() -> Result:
        other = asyncio.create_task(take_turns())
        try:
            return await work
        finally:
            other.cancel()

    return asyncio.run(beside_another()), turns

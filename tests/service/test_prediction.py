import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from service.inference import Inference
from service.prediction import answer_headers, choose_version, unless_client_leaves
from service.problems import NotFound, NotReady, Problem
from service.versions.registry import Registry
from tests.service.fakes import loaded_version


def registry(*numbers: int) -> Registry:
    """Versions as the registry would hold them: the newest serves."""
    versions = {number: loaded_version(number) for number in numbers}
    serving = versions[max(numbers)] if numbers else None
    held = SimpleNamespace(serving=serving, loaded=versions.get, waiting_for=lambda: "No version yet.")
    return cast("Registry", held)


def test_without_a_number_the_serving_version_answers() -> None:
    """The newest loaded version answers."""
    assert choose_version(registry(1, 2), None).number == 2


def test_a_loaded_version_may_be_asked_by_its_number() -> None:
    """It answers whether or not it serves."""
    assert choose_version(registry(1, 2), 1).number == 1


def test_a_version_that_is_not_loaded_is_not_found() -> None:
    """The problem has the version's number."""
    with pytest.raises(NotFound, match="Version 7 is not loaded"):
        choose_version(registry(1), 7)


def test_before_any_version_serves_the_client_is_told_to_come_again() -> None:
    """The problem says what the service waits for."""
    with pytest.raises(NotReady, match="No version yet"):
        choose_version(registry(), None)


async def never() -> dict[str, Any]:
    """A client that stays."""
    await asyncio.Event().wait()
    return {}


async def at_once() -> dict[str, Any]:
    """A client that has left."""
    return {"type": "http.disconnect"}


class Rows:
    """Stands for the rows that a request holds."""


def test_what_the_work_held_goes_when_it_is_refused() -> None:
    """No reference cycle keeps the body or the rows until the garbage collector runs."""

    async def work(_: Rows) -> int:
        await asyncio.sleep(0)
        msg = "no rows"
        raise ValueError(msg)

    async def refused(rows: Rows) -> None:
        try:
            await unless_client_leaves(never, work(rows))
        except ValueError:
            return

    async def story() -> None:
        rows = Rows()
        seen = weakref.ref(rows)
        await refused(rows)
        del rows
        await asyncio.sleep(0)
        assert seen() is None

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def test_an_answer_reaches_a_client_that_stays() -> None:
    """The result of the work is returned."""

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(unless_client_leaves(never, work())) == 7


def test_an_error_of_the_work_is_passed_on() -> None:
    """It is raised unchanged."""

    async def work() -> int:
        raise NotFound("nothing here")

    with pytest.raises(NotFound, match="nothing here"):
        asyncio.run(unless_client_leaves(never, work()))


def test_work_for_a_client_that_has_left_is_dropped() -> None:
    """The work is cancelled, and the request ends with 499."""
    dropped = []

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dropped.append(True)
            raise
        return 7

    async def ask() -> None:
        with pytest.raises(Problem) as raised:
            await unless_client_leaves(at_once, work())
        assert raised.value.status == 499
        await asyncio.sleep(0)

    asyncio.run(ask())
    assert dropped == [True]


def test_headers_tell_the_version_and_the_parts_of_the_time() -> None:
    """Times are milliseconds."""
    inference = Inference(np.zeros((1, 10), np.float32), is_digit=None, queue_seconds=0.001, run_seconds=0.0005)

    headers = dict(answer_headers(loaded_version(3), 120, 0.002, inference))

    assert headers == {
        b"content-type": b"application/json",
        b"content-length": b"120",
        b"x-model-version": b"3",
        b"server-timing": b"decode;dur=2.000, queue;dur=1.000, infer;dur=0.500",
    }

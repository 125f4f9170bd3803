"""What the routes share: the parts of one running service, made by `app` and passed with each request.

Also how a request names a version.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from service.batching import Batcher
from service.bodies.reader import BodyReader
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.versions.model_store import ModelStore
from service.versions.reads import Reads
from service.versions.registry import Registry


class Drain:
    """Whether the service has been told to stop and is draining."""

    def __init__(self) -> None:
        self.draining = False


@dataclass(frozen=True)
class ServiceState:
    """The parts of one running service."""

    settings: Settings
    store: ModelStore
    registry: Registry
    reads: Reads
    batcher: Batcher
    reader: BodyReader
    metrics: Metrics
    drain: Drain

    def why_not_ready(self) -> str | None:
        """Why the process should get no new requests, as a sentence; None while it should."""
        if self.drain.draining:
            return "The service is stopping; it answers what it has and what still arrives."
        if not self.registry.serving:
            return self.registry.waiting_for()
        if not self.metrics.memory.all_have_served:
            return "Not all workers have a version yet; that takes a moment."
        return None


def _state(request: Request) -> ServiceState:
    state: ServiceState = request.state.service
    return state


State = Annotated[ServiceState, Depends(_state)]


def _plain(sent: str) -> str:
    """Refuse a text that is a number for Python but no version for the model store: `007`, `+1`, `1_0`, `1.0`."""
    if not re.fullmatch("[1-9][0-9]*", sent):
        kind, detail = "version", "Input should be a version's number, digits without a sign or a leading zero"
        raise PydanticCustomError(kind, detail)
    return sent


PLAIN_NUMBER = BeforeValidator(_plain)
"""Validates a route's parameter that is a version's number."""

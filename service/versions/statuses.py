"""The states of a model's versions, as the registry reports them."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a version."""

    SERVING = "serving"
    LOADED = "loaded"
    LOADING = "loading"
    QUARANTINED = "quarantined"
    STORED = "stored"


@dataclass(frozen=True)
class VersionStatus:
    """A version and its state; `reason` says why it is quarantined, or not loaded yet."""

    number: int
    state: State
    reason: str | None = None

"""What was measured: plain values, the statistics that sum them up, and the file that keeps them.

Tables and the chart are made from that file alone, so that what is written cannot drift from what was measured.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Run:
    """One closed-loop run; CPU and memory are those of the server's processes, not of the load generator."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    status_errors: int
    socket_errors: int
    cpu_seconds: float
    peak_bytes: int

    @property
    def requests_per_second(self) -> float:
        """Requests answered with 2xx or 3xx, per second."""
        return (self.requests - self.status_errors) / self.seconds

    @property
    def cpu_ms_per_request(self) -> float:
        """CPU milliseconds of all the server's processes per request; 0 if there was none."""
        return 1000 * self.cpu_seconds / self.requests if self.requests else 0.0

    @property
    def errors(self) -> int:
        """Answers of 400 and above, and connections that failed or waited too long."""
        return self.status_errors + self.socket_errors


@dataclass(frozen=True)
class Point:
    """The runs of one load at one number of connections; `rows` are images per request."""

    load: str
    rows: int
    connections: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class OpenPoint:
    """One open-loop run: requests sent on a schedule, latency counted from the intended time of sending."""

    load: str
    connections: int
    offered_per_second: float
    achieved_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    errors: int
    client_cpu_share: float
    """Share of one core; near 1, the client was measured rather than the server."""


@dataclass(frozen=True)
class Idle:
    """What a server takes without any requests: CPU of all its processes, and the memory of each process."""

    seconds: float
    cpu_seconds: float
    process_bytes: tuple[int, ...]


@dataclass(frozen=True)
class ServerFigures:
    """One server: how it was started, its packages' versions, its figures, and why it failed if it did."""

    name: str
    title: str
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    points: tuple[Point, ...] = ()
    open_points: tuple[OpenPoint, ...] = ()
    failure: str | None = None
    idle: Idle | None = None


@dataclass(frozen=True)
class EngineFigures:
    """The network alone, in one process: rows a second with an engine in each of `threads` threads."""

    threads: int
    batch_rows: int
    rows_per_second: tuple[float, ...]


@dataclass(frozen=True)
class Conditions:
    """Where, when and how the figures were taken."""

    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    commit: str
    started: str
    load_before: float
    repeats: int
    seconds: float
    command: str


@dataclass(frozen=True)
class Session:
    """What one command measured under the same conditions."""

    conditions: Conditions
    servers: tuple[ServerFigures, ...]
    engine: EngineFigures | None = None


@dataclass(frozen=True)
class Share:
    """A function and the share of the samples in which it was running; samples of waiting threads are left out."""

    function: str
    share: float


@dataclass(frozen=True)
class Profile:
    """Where a load's time goes: the functions by own time, greatest first."""

    load: str
    connections: int
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Profiles:
    """The profiles that one command took under the same conditions."""

    conditions: Conditions
    loads: tuple[Profile, ...]


@dataclass(frozen=True)
class Figures:
    """Everything measured: the service by itself, where its time goes, with parts switched off, beside its peers."""

    service: Session | None = None
    profiles: Profiles | None = None
    parts: Session | None = None
    peers: Session | None = None


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some runs."""

    median: float
    least: float
    greatest: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def spread_of(point: Point, measure: Callable[[Run], float]) -> Spread:
    """Sum up one measure of a point's runs."""
    return spread([measure(run) for run in point.runs])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the smallest value that at least `share` (0 to 1) of the ascending values do not exceed."""
    place = -(-len(ordered) * round(share * 1000) // 1000)
    return ordered[max(place, 1) - 1]


_FILE_FORMAT = TypeAdapter(Figures)


def read_figures(file: Path) -> Figures:
    """Read what was measured before; nothing, if the file does not exist.

    Raises:
        ValidationError: The file holds something else.
    """
    return _FILE_FORMAT.validate_json(file.read_bytes()) if file.exists() else Figures()


def write_figures(file: Path, figures: Figures) -> None:
    """Keep what was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_FILE_FORMAT.dump_json(figures, indent=1) + b"\n")

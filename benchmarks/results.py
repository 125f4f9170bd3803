"""RESULTS.md: the figures as tables, written from build/bench.json and from nothing else."""

from collections.abc import Callable, Iterable, Sequence

from benchmarks.figures import (
    Conditions,
    EngineFigures,
    Figures,
    Idle,
    OpenPoint,
    Point,
    Profiles,
    Run,
    ServerFigures,
    Session,
    Spread,
    spread,
    spread_of,
)

HEADLINE_LOAD = "JSON, one image"
HEADLINE_CONNECTIONS = 32
SINGLE_LOADS = (HEADLINE_LOAD, "octet-stream, one image")
_FUNCTIONS_SHOWN = 10

_HOW_SURE = "The CPU saved is that of the medians; the runs behind them differ by more than most parts cost."
_HOW_PROFILED = (
    "py-spy's samples, by the innermost Python function; its calls into C count as its own time, waiting is left out."
)
_REFERENCE = """\
The bare endpoint is one written carefully by hand for uvicorn, with the same engine, but without batches, checks,
limits and metrics. It is not a lower bound: the service has all of these, but reads bodies, shares batches and writes
answers in faster ways."""
_HOW_TO_READ = """\
Each number is the median of its runs, with the least and the greatest in brackets. CPU and memory are of all the
server's processes; CPU is user and system time, memory the greatest sum of proportional set sizes (what processes share
is counted once), looked at once a second. Errors are answers of 400 and above, and connections that failed or waited
longer than ten seconds. The load generator runs on the same cores as the server: compare the rows with each other, not
with figures of another machine. In the closed loop a slow server is asked less often, which its latencies do not show;
those of the open loop do."""


def written(figures: Figures) -> str:
    """The whole page."""
    parts = [
        "# Results",
        "Written by `python -m benchmarks report`; do not edit. Commands are in the README.",
        _HOW_TO_READ,
    ]
    if figures.service:
        parts += ["## The service", *_service(figures.service)]
    if figures.profiles:
        parts += ["## Where the time goes", *_profiles(figures.profiles)]
    if figures.parts:
        parts += ["## Parts switched off", *_switched_off(figures.parts)]
    if figures.peers:
        parts += ["## Beside other servers", *_peers(figures.peers)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns but the first are aligned to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def ranged(values: Spread, digits: int) -> str:
    """A median with its range; without the range if all values are equal."""
    if values.least == values.greatest:
        return f"{values.median:,.{digits}f}"
    return f"{values.median:,.{digits}f} ({values.least:,.{digits}f}-{values.greatest:,.{digits}f})"


def point_at(server: ServerFigures, load: str, connections: int) -> Point | None:
    """The server's runs of that load at that number of connections, if there are any."""
    return next((point for point in server.points if (point.load, point.connections) == (load, connections)), None)


def _service(session: Session) -> list[str]:
    ours = session.servers[0]
    parts = [_conditions(session.conditions), _server_line(ours)]
    if ours.failure:
        return [*parts, f"It failed: {ours.failure}"]
    parts += ["### Closed loop", _points([ours])]
    if ours.open_points:
        parts += ["### Open loop: latency from the intended time of sending", _open_points(ours.open_points)]
    references = [server for server in session.servers[1:] if server.points]
    if references or session.engine:
        parts.append("### Reference points")
    if references:
        parts += [_REFERENCE, *(_server_line(server) for server in references), _points(references)]
        parts += [_beside_reference(ours, server) for server in references]
    if session.engine:
        parts += [_engine(session.engine, ours), _bound(session.engine, ours)]
    if ours.idle:
        parts.append(_idle(ours.idle))
    return parts


def _profiles(profiles: Profiles) -> list[str]:
    """The functions that take most time, for each load."""
    parts = [_conditions(profiles.conditions), _HOW_PROFILED]
    for profile in profiles.loads:
        head = (f"{profile.load}, {_connections(profile.connections)}", "own time")
        rows = [(share.function, f"{share.share:.1%}") for share in profile.shares[:_FUNCTIONS_SHOWN]]
        parts.append(table(head, rows))
    return parts


def _switched_off(session: Session) -> list[str]:
    """A table for each load: the whole service, then without each part, and how much CPU that saves."""
    whole, *others = session.servers
    parts = [_conditions(session.conditions), f"Digits: {whole.settings}. {_HOW_SURE}"]
    if whole.failure:
        return [*parts, f"It failed: {whole.failure}"]
    for point in whole.points:
        rows = [[whole.title, *_chosen_cells(point), ""]]
        rows += [_without_row(server, point) for server in others]
        parts += [
            f"### {point.load}, {_connections(point.connections)}: without a part",
            table(("switched off", *_CHOSEN, "CPU saved"), rows),
        ]
    return parts


def _without_row(server: ServerFigures, whole: Point) -> list[str]:
    point = point_at(server, whole.load, whole.connections)
    if point is None:
        return [server.title, *([""] * len(_CHOSEN)), f"failed: {server.failure}"]
    saved = 1 - spread_of(point, _cpu).median / spread_of(whole, _cpu).median
    return [server.title, *_chosen_cells(point), f"{saved:.0%}"]


def _peers(session: Session) -> list[str]:
    parts = [_conditions(session.conditions), "![Requests a second](results.svg)"]
    loads = dict.fromkeys((point.load, point.connections) for server in session.servers for point in server.points)
    for load, connections in loads:
        measured = [(server, point) for server in session.servers if (point := point_at(server, load, connections))]
        parts += [f"### {load}, {_connections(connections)}", _beside(measured)]
    parts += ["### How they were run", table(("server", "settings", "versions", "failed"), _how(session.servers))]
    return parts


def _beside(measured: Sequence[tuple[ServerFigures, Point]]) -> str:
    fastest_first = sorted(measured, key=lambda pair: -spread_of(pair[1], _rate).median)
    return table(("server", *_MEASURES), ([server.title, *_cells(point)] for server, point in fastest_first))


def _how(servers: Sequence[ServerFigures]) -> Iterable[list[str]]:
    for server in servers:
        versions = ", ".join(f"{name} {version}" for name, version in server.versions.items())
        yield [server.title, server.settings, versions, server.failure or ""]


def _points(servers: Sequence[ServerFigures]) -> str:
    rows = [
        [point.load, str(point.connections), *_cells(point), _rows(point)]
        for server in servers
        for point in server.points
    ]
    return table(("body", "connections", *_MEASURES, "images/s"), rows)


def _rate(run: Run) -> float:
    return run.requests_per_second


def _p50(run: Run) -> float:
    return run.p50_ms


def _cpu(run: Run) -> float:
    return run.cpu_ms_per_request


_MEASURES: dict[str, tuple[Callable[[Run], float], int]] = {
    "requests/s": (_rate, 0),
    "p50 ms": (_p50, 2),
    "p99 ms": (lambda run: run.p99_ms, 1),
    "CPU ms/request": (_cpu, 3),
    "peak MB": (lambda run: run.peak_bytes / 1e6, 0),
    "errors": (lambda run: run.errors, 0),
}


_CHOSEN = ("requests/s", "p50 ms", "CPU ms/request")


def _cells(point: Point) -> list[str]:
    return [ranged(spread_of(point, measure), digits) for measure, digits in _MEASURES.values()]


def _chosen_cells(point: Point) -> list[str]:
    return [ranged(spread_of(point, measure), digits) for measure, digits in map(_MEASURES.__getitem__, _CHOSEN)]


def _rows(point: Point) -> str:
    return f"{point.rows * spread_of(point, _rate).median:,.0f}"


def _open_points(points: Sequence[OpenPoint]) -> str:
    head = ("body", "connections", "offered/s", "achieved/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "client's core")
    rows = [
        [
            *(point.load, str(point.connections)),
            *(f"{point.offered_per_second:,.0f}", f"{point.achieved_per_second:,.0f}"),
            *(f"{point.p50_ms:.2f}", f"{point.p99_ms:.1f}", f"{point.p999_ms:.1f}"),
            *(str(point.errors), f"{point.client_cpu_share:.0%}"),
        ]
        for point in points
    ]
    return table(head, rows)


def _beside_reference(ours: ServerFigures, reference: ServerFigures) -> str:
    """The service's figures as shares of the reference's: its extra work costs, its faster ways of working save."""
    rows = []
    for point in reference.points:
        own = point_at(ours, point.load, point.connections)
        if own:
            shares = [
                f"{spread_of(own, measure).median / spread_of(point, measure).median:.0%}"
                for measure in (_rate, _p50, _cpu)
            ]
            rows.append([point.load, str(point.connections), *shares])
    head = (f"the service, of the {reference.title.lower()}'s", "connections", "requests/s", "p50", "CPU/request")
    return table(head, rows)


def _engine(alone: EngineFigures, ours: ServerFigures) -> str:
    rate = spread(alone.rows_per_second)
    text = (
        f"The engine in one process, {alone.threads} threads, batches of {alone.batch_rows}: "
        f"**{ranged(rate, 0)} images/s**."
    )
    bulk = [point for point in ours.points if point.rows > 1]
    shares = [f"{point.rows * spread_of(point, _rate).median / rate.median:.0%} as {_named(point)}" for point in bulk]
    return f"{text} Through HTTP the service reaches {'; '.join(shares)}." if shares else text


def _bound(alone: EngineFigures, ours: ServerFigures) -> str:
    """The network's share of a request with one image, which no server around it can save."""
    row_ms = 1000 * alone.threads / spread(alone.rows_per_second).median
    points = [point_at(ours, load, HEADLINE_CONNECTIONS) for load in SINGLE_LOADS]
    shares = [
        f"{row_ms / spread_of(point, _cpu).median:.0%} of {spread_of(point, _cpu).median:.3f} ms as {point.load}"
        for point in points
        if point
    ]
    if not shares:
        return ""
    taken = f"{row_ms:.3f} ms of a core: {'; '.join(shares)}, {HEADLINE_CONNECTIONS} connections"
    return (
        f"An image takes the network {taken}."
        " No server around it saves any of that. The rest are two system calls, reading and writing HTTP, reading the "
        "body, and what the section on parts switches off."
    )


def _idle(idle: Idle) -> str:
    each = ", ".join(f"{process_bytes / 1e6:.0f}" for process_bytes in idle.process_bytes)
    return f"Idle: **{idle.cpu_seconds / idle.seconds:.2%}** of a core over {idle.seconds:.0f} s; {each} MB a process."


def _named(point: Point) -> str:
    return f"{point.load} a request, {_connections(point.connections)}"


def _connections(number: int) -> str:
    return "1 connection" if number == 1 else f"{number} connections"


def _server_line(server: ServerFigures) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in server.versions.items())
    return f"{server.title}: {server.settings}; {versions}."


def _conditions(under: Conditions) -> str:
    length = f"{under.repeats} {'run' if under.repeats == 1 else 'runs'} of {under.seconds:g} s"
    return (
        f"`{under.command}`, {under.started}, commit {under.commit}: {length} each, on {under.processor}, "
        f"{under.cores} cores, {under.memory_bytes / 1024**3:.0f} GiB, {under.kernel}, Python {under.python}; "
        f"load average before: {under.load_before}."
    )

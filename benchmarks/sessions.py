"""What each command measures, from beginning to end: the service by itself, or beside its peers."""

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import engine, open_loop
from benchmarks.contenders import Contender, Load, Say, serving, take_turns
from benchmarks.digits import Released, all_loads, bare, digits, single_loads, without
from benchmarks.environments import Environments
from benchmarks.figures import Idle, OpenPoint, ServerFigures, Session
from benchmarks.machine import conditions
from benchmarks.parts import PARTS
from benchmarks.peers import PEERS, Peer
from benchmarks.processes import ServerError
from benchmarks.rivals import rival
from service.versions.golden import GoldenImages

# Fixed, so that two sessions can be compared; the first rate that is not reached ends the series.
_RATES_PER_SECOND = (250.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0, 12000.0)
_REACHED_SHARE = 0.95
_OPEN_CONNECTIONS = 64
_PEER_CONNECTIONS = (32, 1)
# The system counts CPU time in hundredths of a second: at 0.5 % of a core, 15 of them in this time.
_SETTLING_SECONDS, _IDLE_SECONDS = 2.0, 30.0


@dataclass(frozen=True)
class Plan:
    """How long to measure, where to leave files, and the command that asked for it."""

    repeats: int
    seconds: float
    folder: Path
    arguments: Sequence[str]

    @property
    def logs(self) -> Path:
        """Where each server's output goes."""
        return self.folder / "logs"


def measure_service(plan: Plan, say: Say) -> Session:
    """Measure Digits under every load, the bare endpoint, the engine alone, and Digits in the open loop."""
    under = conditions(plan.repeats, plan.seconds, plan.arguments)
    released = Released(plan.folder)
    golden = released.publish()
    ours = digits(released, all_loads(golden))
    (measured,) = take_turns([ours], golden, plan.logs, plan.repeats, plan.seconds, say)
    if measured.failure:
        return Session(under, (measured,))
    (reference,) = take_turns(
        [bare(released, single_loads(golden, _PEER_CONNECTIONS))], golden, plan.logs, plan.repeats, plan.seconds, say
    )
    say("the engine in this process")
    alone = engine.measure(released.program(), plan.repeats, plan.seconds)
    measured = replace(measured, idle=_idle(ours, golden, plan, say), open_points=_open_loop(ours, golden, plan, say))
    return Session(under, (measured, reference), alone)


def measure_parts(plan: Plan, say: Say) -> Session:
    """Measure Digits whole, and with each of its parts switched off, in turn."""
    under = conditions(plan.repeats, plan.seconds, plan.arguments)
    released = Released(plan.folder)
    golden = released.publish()
    loads = single_loads(golden, _PEER_CONNECTIONS)
    switched_off = {"nothing": (), **{title: (part,) for part, title in PARTS.items()}, "all of these": tuple(PARTS)}
    contenders = [without(title, off, released, loads) for title, off in switched_off.items()]
    return Session(under, take_turns(contenders, golden, plan.logs, plan.repeats, plan.seconds, say))


def measure_peers(plan: Plan, names: Sequence[str], environments: Path, say: Say) -> Session:
    """Measure Digits and its peers in turn; `names` chooses some of them, none means all."""
    under = conditions(plan.repeats, plan.seconds, plan.arguments)
    released = Released(plan.folder)
    golden = released.publish()
    wanted = [peer for peer in PEERS if not names or peer.name in names]
    contenders: list[Contender] = [digits(released, single_loads(golden, _PEER_CONNECTIONS))]
    absent: list[ServerFigures] = []
    for peer in wanted:
        say(f"environment of {peer.title}")
        try:
            contenders.append(rival(peer, released, golden, Environments(environments), plan.folder / "scratch"))
        except ServerError as error:
            say(f"  failed: {error}")
            absent.append(_absent(peer, str(error)))
    figures = take_turns(contenders, golden, plan.logs, plan.repeats, plan.seconds, say)
    return Session(under, (*figures, *absent))


def _absent(peer: Peer, reason: str) -> ServerFigures:
    return ServerFigures(peer.name, peer.title, settings=peer.settings, failure=reason)


def _idle(contender: Contender, golden: GoldenImages, plan: Plan, say: Say) -> Idle | None:
    """Measure a server that has just answered and gets no more requests."""
    try:
        with serving(contender, golden, plan.logs) as (server, _):
            time.sleep(_SETTLING_SECONDS)
            started, used = time.monotonic(), server.cpu_seconds()
            time.sleep(_IDLE_SECONDS)
            seconds, used = time.monotonic() - started, server.cpu_seconds() - used
            idle = Idle(seconds, used, server.process_bytes())
    except (ServerError, OSError, http.client.HTTPException) as error:
        say(f"  failed: {error}")
        return None
    say(f"  idle: {idle.cpu_seconds / idle.seconds:.2%} of a core")
    return idle


def _open_loop(contender: Contender, golden: GoldenImages, plan: Plan, say: Say) -> tuple[OpenPoint, ...]:
    points: list[OpenPoint] = []
    try:
        with serving(contender, golden, plan.logs) as (_, port):
            for load in single_loads(golden, (_OPEN_CONNECTIONS,)):
                points += _rising_rates(load, port, plan.seconds, say)
    except (ServerError, OSError, http.client.HTTPException) as error:
        say(f"  failed: {error}")
    return tuple(points)


def _rising_rates(load: Load, port: int, seconds: float, say: Say) -> list[OpenPoint]:
    points: list[OpenPoint] = []
    open_loop.offer(port, load.request, load.connections[0], _RATES_PER_SECOND[0], 1)
    for per_second in _RATES_PER_SECOND:
        point = open_loop.offer(port, load.request, load.connections[0], per_second, seconds)
        points.append(point)
        say(
            f"  open loop, {point.load}: {per_second:,.0f} offered, {point.achieved_per_second:,.0f} achieved, "
            f"p50 {point.p50_ms:.2f} ms, p99 {point.p99_ms:.1f} ms, p99.9 {point.p999_ms:.1f} ms, "
            f"{point.errors} errors, client {point.client_cpu_share:.0%} of a core"
        )
        if point.achieved_per_second < _REACHED_SHARE * per_second:
            break
    return points

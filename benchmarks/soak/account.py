"""The account of a soak, on one page: requests, failures by kind, latencies by phase, a curve of the memory."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.soak.faults import Phase
from benchmarks.soak.load import Exchange
from benchmarks.stress.claims import percentile_ms

_BARS = "▁▂▃▄▅▆▇█"
_CURVE_POINTS = 60
_QUIET = "between faults"


@dataclass(frozen=True)
class Account:
    """What happened: each exchange, each fault, and the resident memory in bytes, sampled at even intervals."""

    began: float
    ended: float
    exchanges: Sequence[Exchange]
    phases: Sequence[Phase]
    resident: Sequence[int]

    @property
    def unexpected(self) -> list[Exchange]:
        """Failures that no fault explains."""
        return [exchange for exchange in self._failures if self._fault_of(exchange) is None]

    @property
    def stuck(self) -> list[Phase]:
        """Faults from which the service did not recover in time."""
        return [phase for phase in self.phases if not phase.healed]

    def page(self) -> str:
        """The page as Markdown."""
        return "\n".join(
            itertools.chain(
                self._summary(), self._by_kind(), self._failures_by_outcome(), self._latencies(), self._memory(), [""]
            )
        )

    @property
    def _failures(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if not exchange.is_as_expected]

    def _fault_of(self, exchange: Exchange) -> str | None:
        return next((phase.name for phase in self.phases if phase.explains(exchange)), None)

    def _summary(self) -> list[str]:
        unexpected = len(self.unexpected)
        explained = len(self._failures) - unexpected
        done = (
            f"{(self.ended - self.began) / 60:.1f} minutes, {len(self.phases)} faults, {len(self.exchanges):,} requests"
        )
        failed = f"{explained} failures that a fault explains, **{unexpected} unexpected**"
        stuck = [f"**After {phase.name} the service was not as before in time.**" for phase in self.stuck]
        return ["# Soak", "", f"{done}; {failed}.", *stuck]

    def _by_kind(self) -> list[str]:
        asked = Counter((exchange.kind, exchange.expected) for exchange in self.exchanges)
        right = Counter(exchange.kind for exchange in self.exchanges if exchange.is_as_expected)
        rows = [f"| {kind} | {count:,} | {status} | {right[kind]:,} |" for (kind, status), count in asked.items()]
        return ["", "| request | sent | should be | was |", "| --- | ---: | ---: | ---: |", *rows]

    def _failures_by_outcome(self) -> list[str]:
        told = Counter((each.outcome, each.kind, self._fault_of(each) or "**nothing**") for each in self._failures)
        rows = [f"| {outcome} | {kind} | {fault} | {count} |" for (outcome, kind, fault), count in told.most_common()]
        return ["", "| failure | request | explained by | times |", "| --- | --- | --- | ---: |", *rows]

    def _latencies(self) -> list[str]:
        """Of single images only: a thousand rows simply take longer."""
        seconds: dict[str, list[float]] = {}
        for exchange in self.exchanges:
            if exchange.is_as_expected and exchange.expected == 200 and "images" not in exchange.kind:
                seconds.setdefault(self._phase_at(exchange.began), []).append(exchange.ended - exchange.began)
        rows = [
            f"| {phase} | {len(took):,} | "
            + " | ".join(f"{percentile_ms(took, at):.1f}" for at in (50, 99, 99.9))
            + " |"
            for phase, took in seconds.items()
        ]
        head = ["| phase | single images | p50 ms | p99 ms | p99.9 ms |", "| --- | ---: | ---: | ---: | ---: |"]
        return ["", *head, *rows]

    def _phase_at(self, time: float) -> str:
        return next((phase.name for phase in self.phases if phase.began <= time <= phase.ended), _QUIET)

    def _memory(self) -> list[str]:
        megabytes = [size / 1e6 for size in self.resident]
        sizes = f"from {min(megabytes):.0f} to {max(megabytes):.0f} MB, {megabytes[-1]:.0f} at the end"
        return ["", f"Resident memory of the serving processes, {sizes}:", "", f"    {curve(megabytes)}"]


def curve(values: Sequence[float]) -> str:
    """A line of bars; each is the greatest value of its part, on a scale from the least bar to the greatest."""
    parts = min(_CURVE_POINTS, len(values))
    edges = [len(values) * part // parts for part in range(parts + 1)]
    tops = [max(values[start:end]) for start, end in itertools.pairwise(edges)]
    least, greatest = min(tops), max(tops)
    step = (greatest - least) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((top - least) / step)] for top in tops)

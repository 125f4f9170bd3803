"""Keeps the ids of a recent request for each bucket of a histogram: they lead from a slow bucket to a log or a trace.

They are in the memory that workers share, without a lock, and written at most once a second for each bucket.
"""

import struct
import time
from collections.abc import Callable

from prometheus_client.samples import Exemplar

from service.telemetry.tally import Memory

# OpenMetrics allows an exemplar 128 characters, names included: the two names take 18 and a trace's id 32. The
# service's own request ids have 32; a client's id is left out if it is longer than this.
_REQUEST_ID_BYTES = 64
# Unix seconds, value, request id, trace id, and the seconds again, which reveals a half-written record.
_RECORD = struct.Struct(f"=dd{_REQUEST_ID_BYTES}s32sd")
_WORDS = _RECORD.size // 8
# Scrapes are further apart than this, and writing an exemplar takes five times as long as counting a request.
_SECONDS_BETWEEN = 1.0

_Record = tuple[float, float, bytes, bytes, float]


class Exemplars:
    """The exemplars of a histogram with `buckets` buckets and at most `rows` combinations of labels."""

    def __init__(
        self, memory: Memory, buckets: int, rows: int, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = buckets
        self._table = memory.table(rows, buckets * _WORDS)
        self._now_seconds = now_seconds
        # When the next exemplar of each bucket is due.
        self._due: dict[tuple[str, ...], list[float]] = {}

    def note(self, bucket: int, value: float, request_id: str, trace_id: str, labels: tuple[str, ...]) -> None:
        """Keep this request as the bucket's exemplar, if it is time for another; `trace_id` may be empty."""
        due = self._due.get(labels)
        if due is None:
            due = self._due[labels] = [0.0] * self._buckets
        now = self._now_seconds()
        if now < due[bucket]:
            return
        due[bucket] = now + _SECONDS_BETWEEN
        if len(request_id) > _REQUEST_ID_BYTES:
            request_id = ""
        if request_id or trace_id:
            record, at = self._table.row(*labels).cast("B"), bucket * _RECORD.size
            written = time.time()
            _RECORD.pack_into(record, at, written, value, request_id.encode(), trace_id.encode(), written)

    def newest(self) -> dict[tuple[str, ...], list[Exemplar | None]]:
        """For each combination of labels and each bucket: the newest exemplar of any worker, if there is one."""
        found: dict[tuple[str, ...], list[_Record | None]] = {}
        for labels, numbers in self._table.each():
            kept = found.setdefault(labels, [None] * self._buckets)
            # A record that is the same when it is read again was not being written meanwhile.
            once, again = numbers.tobytes(), numbers.tobytes()
            pairs = zip(_RECORD.iter_unpack(once), _RECORD.iter_unpack(again), strict=True)
            for bucket, (record, same) in enumerate(pairs):
                before = kept[bucket]
                if record == same and _is_whole(record) and (before is None or before[0] < record[0]):
                    kept[bucket] = record
        return {labels: [record and _exemplar(record) for record in kept] for labels, kept in found.items()}


def _is_whole(record: _Record) -> bool:
    """Whether the record has been written completely."""
    return record[0] == record[4] != 0


def _exemplar(record: _Record) -> Exemplar:
    seconds, value, request_id, trace_id, _ = record
    ids = {"request_id": request_id, "trace_id": trace_id}
    labels = {name: padded.rstrip(b"\0").decode() for name, padded in ids.items() if any(padded)}
    return Exemplar(labels, value, seconds)

"""uvicorn's HTTP/1.1 connections, and what this service does differently.

- Bytes that are not HTTP are answered with a problem, and counted. If they come within a request's body,
  `service.exchange` answers that request; a whole request before them is answered as usual.
- The received part of a body that was refused unread is dropped at once: otherwise each connection would keep a quarter
  of a megabyte until its next request.
- A whole answer is written at once, without uvicorn's look at each of its headers.
- Each answer has the date at which it is written; no timer has to wake up for it.
- A connection is closed if its header never ends, or if the client does not read its answer.
- Only a bounded number of pipelined requests is taken.

`pieces` sends the answers, and ends a connection whose client is still sending.
"""

import asyncio
from collections.abc import Callable, Sized
from typing import NoReturn, cast

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.connections import refusals
from service.connections.dates import DateFirst, Dates
from service.connections.lingering import Turns
from service.connections.pieces import InOnePiece
from service.connections.wire import BoundedHeads
from service.exchange import BODY_IS_THERE, BROKEN_BODY, CONNECTION, UNMATCHED
from service.problems import Problem
from service.telemetry.metrics import Metrics

# Clients that pipeline send 16 requests or so at once. Each takes 2 KB and 15 us, and one read may bring 14,000.
_MOST_QUEUED = 32
# Reading this much of a body that is refused unread costs no more than the refusal: a picture has some 20 kB.
_MOST_UNREAD_BYTES = 64 * 1024


def counting_protocol(metrics: Metrics, header_seconds: float) -> type[HttpToolsProtocol]:
    """Make the class of uvicorn's connections; a header may take `header_seconds` to arrive."""

    class CountingProtocol(_WrittenWhole):
        longest_header_seconds = header_seconds
        turns = Turns()
        dates = Dates()
        first_headers = DateFirst(dates)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """Begin; called by uvicorn's server."""
            self.pieces = InOnePiece(transport, self.loop, self.turns)
            super().connection_made(cast("asyncio.Transport", self.pieces))

        def send_400_response(self, _msg: str) -> None:
            """Answer bytes that are not a request; called by uvicorn."""
            self.refuse_bytes(self.refusal)

        def refuse_bytes(self, problem: Problem) -> None:
            """Answer with that problem, unless the client would take it for an earlier request's answer, and close."""
            if self.is_cut:
                return  # the last request that was taken is still to be answered
            cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
            if cycle is None or cycle.response_complete:
                metrics.requests.inc("other", UNMATCHED, str(problem.status))
                metrics.rejected.inc(problem.reason)
                self.transport.write(refusals.answer(problem, self.dates.line(self.loop.time())))
                self.pieces.linger()
            else:
                self._end_with(cycle)

        def on_response_complete(self) -> None:
            """Send the answer, and drop the unread part of the body; called by uvicorn when all is written."""
            self.pieces.send()
            unread_bytes = 0
            if self.cycle.response_complete:  # else the body is that of the next request, which has begun
                unread_bytes = self.forget_body()
            super().on_response_complete()
            self.make_up_for(unread_bytes)

        def _end_with(self, cycle: RequestResponseCycle) -> None:
            """End when the requests taken so far are answered, the last with a problem if the bytes are in its body."""
            self.is_cut = True
            cycle.keep_alive = False
            self.flow.pause_reading()
            self.read_no_more()
            if cycle.more_body and not cycle.response_started:
                _break_off(cycle)

    return CountingProtocol


class _FewQueued(BoundedHeads):
    """A connection that queues a bounded number of requests behind the one that is being answered.

    If more come, the connection ends with the last queued one, and the client has to send unanswered requests again
    (RFC 9112, 9.3.2). While any is queued, nothing is read: the answers that are owed need no more bytes, and no limit
    would count a queued request's body.
    """

    is_cut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by uvicorn's server."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.flow = _PausedWhileQueued(self.transport, self.pipeline, self.unparsed)

    def end_with_queue(self) -> NoReturn:
        """Take no more requests: raises an error, so that uvicorn's parser stops."""
        self.is_cut = True
        self.cycle.keep_alive = False
        msg = f"more than {_MOST_QUEUED} requests wait on one connection"
        raise OverflowError(msg)


class _PausedWhileQueued(FlowControl):
    """uvicorn's flow control, which reads on after each answer and for each request; here not while any is queued."""

    def __init__(self, transport: asyncio.Transport, queue: Sized, unparsed: Sized) -> None:
        super().__init__(transport)
        self._queue = queue
        self._unparsed = unparsed

    def resume_reading(self) -> None:
        """Read on, unless requests are queued or received bytes are still unparsed."""
        if self.read_paused and not self._queue and not self._unparsed:
            super().resume_reading()


class _ClosedWhenLate(_FewQueued):
    """A connection that is closed when a header, or the rest of a body that was answered, takes too long to arrive.

    It is also closed if its client reads nothing of an answer for as long, because the answer would stay in memory. It
    is checked a few times a minute, because a timer for each request costs too much. The rest has its own limits: a
    request its deadline, and an idle connection uvicorn's keep-alive timeout.
    """

    longest_header_seconds: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by uvicorn's server."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.late_seconds = self.loop.time() + self.longest_header_seconds
        self._unread_bytes, self._unread_since = 0, 0.0
        self._look = self.loop.call_later(self._look_seconds, self._close_if_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; called by uvicorn's server."""
        self._look.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note when a header begins to arrive; called by uvicorn's parser."""
        if len(self.pipeline) >= _MOST_QUEUED:
            self.end_with_queue()
        self.late_seconds = self.loop.time() + self.longest_header_seconds
        super().on_message_begin()

    def _close_if_late(self) -> None:
        now = self.loop.time()
        if self._is_unread(now):
            self.transport.abort()  # to close it would wait for the client to read
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        is_waiting = (cycle is None or cycle.response_complete) and self.timeout_keep_alive_task is None
        if is_waiting and now >= self.late_seconds:
            self.transport.close()
            is_waiting = False
        due_seconds = now + self._look_seconds
        if is_waiting:
            due_seconds = min(due_seconds, self.late_seconds)
        self._look = self.loop.call_at(due_seconds, self._close_if_late)

    @property
    def _look_seconds(self) -> float:
        return min(self.longest_header_seconds, self.timeout_keep_alive)

    def _is_unread(self, now: float) -> bool:
        """Whether the client has read nothing of an answer for as long as a header may take."""
        unread_bytes = self.transport.get_write_buffer_size()
        if not unread_bytes or unread_bytes != self._unread_bytes:
            self._unread_bytes, self._unread_since = unread_bytes, now
            return False
        return now >= self._unread_since + self.longest_header_seconds


class _WrittenWhole(_ClosedWhenLate):
    """A connection that also takes whole answers, mostly predictions, and goes on after them as after uvicorn's."""

    pieces: InOnePiece
    dates: Dates
    """The same for all connections of a service."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and break the reference cycles of requests that were not answered; called by uvicorn's server."""
        super().connection_lost(exc)
        queued = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        for cycle in queued:
            cycle.on_response = _nothing
            cycle.scope["state"].pop(BROKEN_BODY, None)
        for scope in (self.scope, *(cycle.scope for cycle in queued)):
            if scope:
                scope["state"].pop(CONNECTION, None)

    def on_message_begin(self) -> None:
        """Give the request's exchange its connection; called by uvicorn's parser."""
        super().on_message_begin()
        self.scope["state"][CONNECTION] = self

    def on_message_complete(self) -> None:
        """Tell the exchange that it need not wait for the body; called by uvicorn's parser."""
        super().on_message_complete()
        self.scope["state"][BODY_IS_THERE] = True

    @property
    def is_sent_more(self) -> bool:
        """Whether the client may still be sending: the rest of the body that was answered last, or more requests."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if cycle is None or not cycle.response_complete:
            return False
        return self.is_amid_body or self.is_cut or bool(self.pipeline) or bool(self.unparsed)

    @property
    def is_lost(self) -> bool:
        """Whether the client can no longer be reached."""
        return self.transport.is_closing()

    @property
    def is_alone(self) -> bool:
        """Whether the request that begins is the only one that this process is busy with.

        Of the requests that arrive in one turn of the event loop, the first on each connection has its task before any
        of them begins.
        """
        return len(self.tasks) == 1

    def whole_writer(self, scope: Scope) -> Callable[[int, bytes], None] | None:
        """A function that writes the answer to that request now; None if others wait behind it, or it is the last.

        Also None if its body has not arrived completely, if it asks for the headers only, or if the client is gone or
        does not read.
        """
        cycle, flow = self.cycle, self.flow
        if cycle.scope is not scope or cycle.disconnected or not cycle.keep_alive:
            return None
        if cycle.more_body or scope["method"] == "HEAD":
            return None
        if flow.write_paused or self.transport.is_closing():
            return None
        return self._write_whole

    def forget_body(self) -> int:
        """Drop the body of a request that was refused unread; returns how many bytes of it had come."""
        unread_bytes = len(self.cycle.body)
        self.cycle.body = bytearray()
        return unread_bytes

    def make_up_for(self, unread_bytes: int) -> None:
        """Let other connections go on if many unread bytes have come: the client may send as many again at once."""
        if unread_bytes > _MOST_UNREAD_BYTES:
            self.read_on_in_turn(unread_bytes)

    def _write_whole(self, status: int, answer: bytes) -> None:
        """Write an answer and end it as uvicorn does, except that the keep-alive timeout is noted, without a timer."""
        self.cycle.response_started = self.cycle.response_complete = True
        self.cycle.message_event.set()
        unread_bytes = self.forget_body()
        now_seconds = self.loop.time()
        self.pieces.write_at_once(STATUS_LINE[status] + self.dates.line(now_seconds) + answer)
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.make_up_for(unread_bytes)
        idle_until_seconds = now_seconds + self.timeout_keep_alive
        is_next_there = self.scope is not self.cycle.scope  # its header has begun, and has its own deadline
        self.late_seconds = max(self.late_seconds, idle_until_seconds) if is_next_there else idle_until_seconds


def _nothing() -> None:
    pass


def _break_off(cycle: RequestResponseCycle) -> None:
    """Stop a request as if its client had left, except that its exchange can still answer it."""

    def take_an_answer() -> None:
        cycle.disconnected = False

    cycle.disconnected = True
    cycle.message_event.set()
    cycle.scope["state"][BROKEN_BODY] = take_an_answer

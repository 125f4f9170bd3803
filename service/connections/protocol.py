"""uvicorn's HTTP/1.1 connections, and what this service does differently.

- Bytes that are no HTTP are answered with a problem, and counted. If they come within a request's body, that request is
  left to `service.exchange` to answer; a whole request before them is answered as usual.
- What came of a body that was refused unread is dropped at once: it would be a quarter of a megabyte for each
  connection, kept until its next request.
- An answer that comes whole is written without uvicorn's look at each of its headers.
- Each answer has the date of when it is written, for which nothing has to wake up.
- A connection is closed if its header never ends, or if nobody reads its answer.
- Of requests that are sent without waiting for answers, only some are taken.

How answers are sent, and how a connection ends whose client is still sending, is for `pieces` to say.
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

# Clients that pipeline send 16 or so at once. Each takes 2 KB and 15 us, and one read may bring 14,000.
_MOST_QUEUED = 32
# Of a body that was refused unread, that costs no more than the refusal: one picture has some 20 kB.
_MOST_UNREAD_BYTES = 64 * 1024


def counting_protocol(metrics: Metrics, header_seconds: float) -> type[HttpToolsProtocol]:
    """Make the class of uvicorn's connections; a header may take so long."""

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
            """Answer bytes that are no request; called by uvicorn."""
            self.refuse_bytes(self.refusal)

        def refuse_bytes(self, problem: Problem) -> None:
            """Answer with that problem, as far as an answer would be taken for one to these bytes, and close."""
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
            """Send the answer, and forget what nobody has read of the body; called by uvicorn when all is written."""
            self.pieces.send()
            unread_bytes = 0
            if self.cycle.response_complete:  # else it is of the next request, which is there already
                unread_bytes = self.forget_body()
            super().on_response_complete()
            self.make_up_for(unread_bytes)

        def _end_with(self, cycle: RequestResponseCycle) -> None:
            """Answer what was taken, the last with a problem if the bytes are of its body, and end."""
            self.is_cut = True
            cycle.keep_alive = False
            self.flow.pause_reading()
            self.read_no_more()
            if cycle.more_body and not cycle.response_started:
                _break_off(cycle)

    return CountingProtocol


class _FewQueued(BoundedHeads):
    """A connection of which only some requests wait behind the one that is being answered.

    With the last of them it ends, and the client has to send again what was not answered (RFC 9112, 9.3.2). While any
    waits nothing is read: the answers that are owed need no more, and a queued request's body would count nowhere.
    """

    is_cut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by uvicorn's server."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.flow = _PausedWhileQueued(self.transport, self.pipeline, self.unparsed)

    def end_with_queue(self) -> NoReturn:
        """Take no more requests: raises what makes uvicorn's parser stop."""
        self.is_cut = True
        self.cycle.keep_alive = False
        msg = f"more than {_MOST_QUEUED} requests wait on one connection"
        raise OverflowError(msg)


class _PausedWhileQueued(FlowControl):
    """uvicorn's control of reading, which reads on after each answer and for each request, but not while any waits."""

    def __init__(self, transport: asyncio.Transport, queue: Sized, unparsed: Sized) -> None:
        super().__init__(transport)
        self._queue = queue
        self._unparsed = unparsed

    def resume_reading(self) -> None:
        """Read on, unless requests wait, or a rest of what has come does."""
        if self.read_paused and not self._queue and not self._unparsed:
            super().resume_reading()


class _ClosedWhenLate(_FewQueued):
    """A connection that is closed when a header takes too long to come, or the rest of a body that was answered.

    So is one whose client has read nothing of an answer for as long, which would stay in memory. It is looked at a
    few times a minute, because a timer for each request costs too much. All else has limits of its own: a request its
    deadline, and what is idle after an answer uvicorn's.
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
        """Note when a header begins to come; called by uvicorn's parser."""
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
    """A connection that takes answers whole, and goes on after them as after uvicorn's: most are predictions."""

    pieces: InOnePiece
    dates: Dates
    """The same for all connections of a service."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and leave of what was not answered no ring for the garbage collector; called by uvicorn's server."""
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
        """Tell the request's exchange; called by uvicorn's parser."""
        super().on_message_begin()
        self.scope["state"][CONNECTION] = self

    def on_message_complete(self) -> None:
        """Tell the exchange that it need not wait for the body; called by uvicorn's parser."""
        super().on_message_complete()
        self.scope["state"][BODY_IS_THERE] = True

    @property
    def is_sent_more(self) -> bool:
        """Whether the client may still be sending what is behind the head that was answered last."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if cycle is None or not cycle.response_complete:
            return False
        return self.is_amid_body or self.is_cut or bool(self.pipeline) or bool(self.unparsed)

    @property
    def is_lost(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self.transport.is_closing()

    @property
    def is_alone(self) -> bool:
        """Whether the request that begins is the only one that this process is busy with.

        The first on each connection that came in one turn of the event loop has a task before any of these begins.
        """
        return len(self.tasks) == 1

    def whole_writer(self, scope: Scope) -> Callable[[int, bytes], None] | None:
        """What writes an answer to that request now; None if others wait behind it, or it is the last one.

        Nor is it for a request that is answered before its body is there, or that asks for the headers only.
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
        """Keep nothing of a request that was refused unread; gives how many bytes of it have come."""
        unread_bytes = len(self.cycle.body)
        self.cycle.body = bytearray()
        return unread_bytes

    def make_up_for(self, unread_bytes: int) -> None:
        """Let others go on if much has come for nothing: the client may send the same again at once."""
        if unread_bytes > _MOST_UNREAD_BYTES:
            self.read_on_in_turn(unread_bytes)

    def _write_whole(self, status: int, answer: bytes) -> None:
        """Write, and end as uvicorn ends an answer; but the time to be idle is noted, without a timer."""
        self.cycle.response_started = self.cycle.response_complete = True
        self.cycle.message_event.set()
        unread_bytes = self.forget_body()
        now_seconds = self.loop.time()
        self.pieces.write_at_once(STATUS_LINE[status] + self.dates.line(now_seconds) + answer)
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.make_up_for(unread_bytes)
        idle_until_seconds = now_seconds + self.timeout_keep_alive
        is_next_there = self.scope is not self.cycle.scope  # the beginning of its header, which has its own time
        self.late_seconds = max(self.late_seconds, idle_until_seconds) if is_next_there else idle_until_seconds


def _nothing() -> None:
    pass


def _break_off(cycle: RequestResponseCycle) -> None:
    """Stop a request as one whose client has left, but for the answer that its exchange gives."""

    def take_an_answer() -> None:
        cycle.disconnected = False

    cycle.disconnected = True
    cycle.message_event.set()
    cycle.scope["state"][BROKEN_BODY] = take_an_answer

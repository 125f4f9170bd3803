"""Why bytes are not a request that this service reads, and the answer that says so.

httptools' objections are put into this service's own words: nothing that a client sent is ever repeated.
"""

import secrets

from httptools import HttpParserCallbackError, HttpParserError, HttpParserInvalidMethodError, HttpParserInvalidURLError
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service import problems
from service.exchange import headers_of_every_answer
from service.problems import HeadTooLong, MalformedBody, Problem

# A TLS handshake begins with these: the record's type and major version.
_TLS_RECORD = b"\x16\x03"

_METHOD = "its method is not known; send one such as GET or POST, in capitals"
_TARGET = "its target is neither a path nor a URL; percent-encode spaces, control characters and letters beyond ASCII"
_VERSION = "its version is not known; send HTTP/1.1"
_NO_NUMBER = "its Content-Length is not a whole number; send the body's length in bytes"
_TWO_LENGTHS = "it has both Content-Length and Transfer-Encoding; send one of the two"
_CODING = "its Transfer-Encoding does not end in chunked, once; send that or a Content-Length"
_LINE_END = "a line does not end in CR and LF where it should; end each with both, and nothing else with either"
_FOLDED = "a header begins with a space; send each in one line"
_OBJECTIONS = {
    "Invalid method for HTTP/x.x request": _METHOD,
    "Expected HTTP/, RTSP/ or ICE/": "what follows its path is not HTTP/1.1; write a space in a path as %20",
    "Expected SOURCE method for ICE/x.x request": _VERSION,
    "Invalid method for RTSP/x.x request": _VERSION,
    "Invalid HTTP version": _VERSION,
    "Invalid major version": _VERSION,
    "Invalid minor version": _VERSION,
    "Expected dot": _VERSION,
    "Pause on PRI/Upgrade": "it begins with HTTP/2's preface; send HTTP/1.1",
    "Expected CRLF after version": _LINE_END,
    "Missing expected CR after header value": _LINE_END,
    "Missing expected LF after header value": _LINE_END,
    "Expected LF after headers": _LINE_END,
    "Unexpected space after start line": _FOLDED,
    "Unexpected whitespace after header value": _FOLDED,
    "Invalid header token": "a header's name is empty, or has a character that no name may have; leave that out",
    "Invalid header value char": "a header's value has a control character; leave that out",
    "Invalid character in Content-Length": _NO_NUMBER,
    "Empty Content-Length": _NO_NUMBER,
    "Content-Length overflow": "its Content-Length is too large a number; send the body's length in bytes",
    "Duplicate Content-Length": "its Content-Length comes more than once; send it once",
    "Content-Length can't be present with Transfer-Encoding": _TWO_LENGTHS,
    "Transfer-Encoding can't be present with Content-Length": _TWO_LENGTHS,
    "Invalid `Transfer-Encoding` header value": _CODING,
    "Empty Transfer-Encoding": _CODING,
}


def no_http(error: HttpParserError, begins_with: bytes) -> Problem:
    """What the parser objects to; `begins_with` is the first two bytes that it was given."""
    if isinstance(error, HttpParserInvalidMethodError):
        if begins_with == _TLS_RECORD:
            return MalformedBody(
                "The bytes sent are not an HTTP/1.1 request but TLS; send one without TLS, to http://."
            )
        return _not_read(_METHOD)
    if isinstance(error, HttpParserCallbackError):  # uvicorn reads the target once more, in a callback
        is_target = isinstance(error.__context__, HttpParserInvalidURLError)
    else:
        is_target = isinstance(error, HttpParserInvalidURLError)
    return _not_read(_TARGET if is_target else _OBJECTIONS.get(str(error)))


def head_too_long(most_bytes: int) -> Problem:
    """The request line or the headers are longer than that."""
    return HeadTooLong(f"The request's head is over {most_bytes} bytes; send a shorter path or shorter headers.")


def part_too_long(most_bytes: int) -> Problem:
    """A chunk's size line, or the trailer section, is longer than that."""
    return MalformedBody(f"A chunk's first line, or the trailer, is over {most_bytes} bytes; send less.")


def answer(problem: Problem, date_line: bytes) -> bytes:
    """The whole answer to bytes that are not a request; the connection ends with it."""
    request_id = secrets.token_hex(16)
    response = problems.answer(problem, "/", request_id)
    headers = [*headers_of_every_answer(response.raw_headers, request_id), (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[problem.status], date_line, *lines, b"\r\n", bytes(response.body)])


def _not_read(objection: str | None) -> Problem:
    return MalformedBody(
        f"The bytes sent are not an HTTP/1.1 request{f': {objection}' if objection else '; send one'}."
    )

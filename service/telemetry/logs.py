"""Log lines on standard error: text for people, JSON for machines; they never contain anything of a picture."""

import json
import logging
import logging.config
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

# Limits uvicorn's warnings: clients can cause most of them at will, for example with bytes that are not HTTP.
_UVICORN_LINES_PER_SECOND = 10
# The fields that the service adds to a record by `extra=`; all others are the logging module's own.
_FIELDS = (
    *("request_id", "trace_id", "method", "route", "status", "duration_ms", "rows", "version", "reason"),
    *("decode_ms", "queue_ms", "infer_ms", "left_out"),
)
# Those that a text line has after a request's message; the message contains the others.
_BEHIND = ("reason", "rows", "version", "decode_ms", "queue_ms", "infer_ms", "trace_id")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of the service."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as JSON; line breaks inside are escaped, so that a line is always one record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {field: getattr(record, field) for field in _FIELDS if hasattr(record, field)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for people; a request's line ends with all that is known about the request."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        line = super().format(record)
        if not hasattr(record, "duration_ms"):
            return line
        return line + "".join(f", {field} {getattr(record, field)}" for field in _BEHIND if hasattr(record, field))


class Sampler:
    """Lets `lines_per_second` lines a second through, and counts the others."""

    def __init__(self, lines_per_second: int, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._lines_per_second = lines_per_second
        self._now_seconds = now_seconds
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def admits(self) -> bool:
        """Whether one more line may be written now."""
        second = int(self._now_seconds())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        admitted = self._lines <= self._lines_per_second
        self._left_out += not admitted
        return admitted

    def left_out(self) -> int:
        """How many lines have been left out since the last call."""
        left_out, self._left_out = self._left_out, 0
        return left_out


def configure(log_format: Literal["text", "json"]) -> None:
    """Send the lines of the service and of uvicorn to standard error."""
    formatters = {
        "text": {"()": TextFormatter, "fmt": "%(asctime)s %(levelname)-7s %(message)s", "datefmt": "%H:%M:%S"},
        "json": {"()": JsonFormatter},
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {log_format: formatters[log_format]},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
            "root": {"handlers": ["stderr"], "level": "INFO"},
        }
    )
    # uvicorn announces each start and stop, as this service does itself.
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(logging.WARNING)
    sampler = Sampler(_UVICORN_LINES_PER_SECOND)
    uvicorn.addFilter(lambda _: sampler.admits())
    # It warns of each malformed form, and quotes bytes of it; the client is told with a 400.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)

"""Log lines on standard error: text for people, JSON for machines; nothing of a picture is ever in one."""

import json
import logging
import logging.config
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

# Of uvicorn's warnings, most of which clients can cause at will: bytes that are no HTTP, for one.
_UVICORN_LINES_PER_SECOND = 10
# What the service adds to a line by `extra=`; everything else of a record is the logging module's own.
_FIELDS = (
    *("request_id", "trace_id", "method", "route", "status", "duration_ms", "rows", "version", "reason"),
    *("decode_ms", "queue_ms", "infer_ms", "left_out"),
)
# Of these, what a person is told of a request behind its message, which has the others.
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
    """A line for people; that of a request ends with all that is known of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        line = super().format(record)
        if not hasattr(record, "duration_ms"):
            return line
        return line + "".join(f", {field} {getattr(record, field)}" for field in _BEHIND if hasattr(record, field))


class Sampler:
    """Lets so many lines a second through, and counts the others."""

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
        """How many lines have not been written since this was asked last."""
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
    # uvicorn says of each start and stop what this service says itself.
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(logging.WARNING)
    sampler = Sampler(_UVICORN_LINES_PER_SECOND)
    uvicorn.addFilter(lambda _: sampler.admits())
    # It warns of each malformed form, with bytes of it; whoever sent one is told so with 400.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)

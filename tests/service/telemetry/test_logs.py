import io
import itertools
import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bodies.media_types import BYTES
from service.telemetry.logs import JsonFormatter, Sampler, TextFormatter
from service.telemetry.metrics import Metrics
from tests.service.conftest import StartService
from tests.service.fakes import Clock
from tests.service.running import wait_until
from tests.service.test_exchange import ask, example
from tests.service.test_read import picture


def formatted(message: str, **fields: Any) -> str:
    """One record as the JSON formatter writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    record = logging.getLogger("digits.test").makeRecord(
        *("digits.test", logging.WARNING, __file__, 1, message, (), None), extra=fields
    )
    handler.emit(record)
    return stream.getvalue()


def configured(log_format: str, statements: str) -> str:
    """What a process with this log format writes to standard error."""
    program = f"import logging; from service.telemetry import logs; logs.configure({log_format!r}); {statements}"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stderr


def test_a_line_has_time_level_logger_and_message() -> None:
    """Every line has these four members."""
    line = json.loads(formatted("hello"))

    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "digits.test", "message": "hello"}


def test_the_service_s_fields_are_members() -> None:
    """Fields that the service adds are searchable; fields that others add are left out."""
    line = json.loads(formatted("hello", request_id="a", status=200, rows=3, password="x"))  # noqa: S106 - an example

    assert (line["request_id"], line["status"], line["rows"]) == ("a", 200, 3)
    assert "password" not in line


@settings(max_examples=60)
@given(message=st.text(), reason=st.text())
def test_a_record_is_always_one_line(message: str, reason: str) -> None:
    """Line breaks of every kind, in message or fields, stay inside the JSON."""
    written = formatted(message, reason=reason)

    assert len(written.splitlines()) == 1
    assert json.loads(written)["message"] == message
    assert json.loads(written)["reason"] == reason


def test_an_exception_is_in_its_line() -> None:
    """A traceback has many lines, its record has one."""
    written = configured(
        "json",
        "\ntry: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('digits').exception('failed')",
    )

    (line,) = written.splitlines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]
    assert json.loads(line)["message"] == "failed"


def test_text_is_for_people() -> None:
    """The text format has time, level and message on a line."""
    written = configured("text", "logging.getLogger('digits.access').info('hello')")

    assert written.endswith(" INFO    hello\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_uvicorn_s_own_notes_are_left_out(log_format: str) -> None:
    """Uvicorn's warnings are shown, its notes of each start and stop are not."""
    written = configured(log_format, "logging.getLogger('uvicorn.error').info('note')")

    assert written == ""
    assert "careful" in configured(log_format, "logging.getLogger('uvicorn.error').warning('careful')")


@pytest.mark.parametrize(
    "sent",
    [b"a\nINFO forged", b"a\r\nforged", b'a","level":"info', b"\x1b[31mred", "a\u2028b".encode()],
)
def test_a_request_id_cannot_forge_a_line(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """An id that is not plain is not in the log at all, so neither format can be deceived."""
    with caplog.at_level(logging.INFO, "digits.access"):
        ask(example(Metrics()), "GET", "/fine/x", {"X-Request-ID": sent})

    (record,) = (record for record in caplog.records if record.name == "digits.access")
    for formatter in (JsonFormatter(), logging.Formatter("%(message)s")):
        written = formatter.format(record)
        assert len(written.splitlines()) == 1
        assert "forged" not in written
        assert "\x1b" not in written


def test_the_access_log_has_the_route_and_not_the_path(caplog: pytest.LogCaptureFixture) -> None:
    """A path may hold anything, even what must not be found in a log."""
    with caplog.at_level(logging.INFO, "digits.access"):
        ask(example(Metrics()), "GET", "/fine/private%0Aname?token=secret")

    written = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert "private" not in written
    assert "secret" not in written
    assert "/fine/{name}" in written


def test_clients_cannot_fill_the_log_by_way_of_uvicorn() -> None:
    """Of the warnings about bytes that are no HTTP, ten a second are written."""
    flood = "[logging.getLogger('uvicorn.error').warning('Invalid HTTP request received.') for _ in range(500)]"

    written = configured("text", f"import time; time.sleep(1 - time.monotonic() % 1); {flood}")

    assert 10 <= len(written.splitlines()) <= 30


MALFORMED_FORM = """
from python_multipart.multipart import MultipartParser, MultipartParseError
parser = MultipartParser(b"x")
try: parser.write(b"--x\\r\\nContent Disposition: secret\\r\\n\\r\\n")
except MultipartParseError: print("malformed")
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_clients_cannot_fill_the_log_with_malformed_forms(log_format: str) -> None:
    """The form parser's messages, which have bytes of the form, are left out: the client is told with 400."""
    assert configured(log_format, MALFORMED_FORM) == ""


@given(st.lists(st.floats(0, 0.6), max_size=60))
def test_a_sampler_writes_so_many_lines_a_second_and_forgets_none(pauses: list[float]) -> None:
    """No second of the clock has more; the lines written and the lines left out add up to all."""
    clock = Clock()
    sampler = Sampler(3, clock)
    written: dict[int, int] = {}
    left_out = 0
    for pause in pauses:
        clock.seconds += pause
        if sampler.admits():
            written[int(clock.seconds)] = written.get(int(clock.seconds), 0) + 1
            left_out += sampler.left_out()

    assert all(lines <= 3 for lines in written.values())
    assert sum(written.values()) + left_out + sampler.left_out() == len(pauses)
    assert len(written) == len({int(second) for second in itertools.accumulate(pauses)})


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict?version=1", "/v1/read"])
def test_an_answer_s_line_tells_how_many_rows_which_version_and_where_the_time_went(
    start_service: StartService, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Both formats have rows, version, and the durations of the client's Server-Timing header."""
    client = start_service()
    content, media_type = (picture(60), "image/png") if path == "/v1/read" else (bytes(3 * 784), BYTES)
    with caplog.at_level(logging.INFO, "digits.access"):
        caplog.clear()
        answer = client.post(path, content=content, headers={"Content-Type": media_type})
        wait_until(lambda: any(record.name == "digits.access" for record in caplog.records))

    (record,) = (record for record in caplog.records if record.name == "digits.access")
    timing = {part: float(spent) for part, spent in re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"])}
    expected = {"rows": 3, "version": 1, **{f"{part}_ms": pytest.approx(timing[part], abs=1e-3) for part in timing}}
    assert timing.keys() == {"decode", "queue", "infer"}
    line = json.loads(JsonFormatter().format(record))
    assert {field: line[field] for field in expected} == expected
    assert sum(timing.values()) <= line["duration_ms"]
    written = TextFormatter("%(message)s").format(record)
    assert written.startswith(f"{line['message']}, ")
    assert {field: float(value) for field, value in re.findall(r", (\w+) ([\d.]+)(?=,|$)", written)} == expected


def test_a_refusal_s_line_for_people_has_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The text has the reason too, and leaves out the fields that the record does not have."""
    with caplog.at_level(logging.INFO, "digits.access"):
        ask(example(Metrics()), "GET", "/problem", {"X-Request-ID": "mine"})

    (record,) = (record for record in caplog.records if record.name == "digits.access")
    assert TextFormatter("%(message)s").format(record).endswith(" ms, request mine, reason not-ready")


@pytest.mark.usefixtures("store")
def test_nothing_that_a_client_sends_is_logged(start_service: StartService, caplog: pytest.LogCaptureFixture) -> None:
    """Pictures, names of files, keys, cookies, paths and queries stay out of every line, whether valid or not."""
    client = start_service(api_keys="secret-key")
    damaged = b"\x89PNG\r\n\x1a\nsecret-picture"
    with caplog.at_level(logging.INFO):
        for key in ("secret-key", "secret-guess"):
            headers = {"X-API-Key": key, "Cookie": "secret-cookie", "X-Request-ID": "an id of\tsecret"}
            for content, media_type in (
                (b'{"pixels": "secret"}', "application/json"),
                (b"{secret", "application/json"),
                (damaged, "image/png"),
                (b"secret", "application/octet-stream"),
                (b"secret", "text/secret"),
            ):
                for path in ("/v1/predict", "/v1/predict?version=1", "/v1/read", "/v1/read?q=secret", "/v1/secret"):
                    client.post(path, content=content, headers=headers | {"Content-Type": media_type})
            files = {"file": ("secret-name.png", damaged, "image/png")}
            assert client.post("/v1/predict", files=files, headers=headers).status_code in (401, 422)

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert len([line for line in lines if "digits.access" in line]) == 52
    assert not [line for line in lines if "secret" in line and "httpx" not in json.loads(line)["logger"]]

"""A client that sends bulk requests in a loop, and its effect on single images."""

from collections.abc import Iterator

from benchmarks.requests import json_bulk, json_grids, octet_image
from benchmarks.stress.answers import Question, bulk_question, own_questions
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import Clients
from benchmarks.stress.running import Running

_ROWS = 10_000
_JSON_ROWS = 2_000  # 8 MB, half of the largest body
_SECONDS = 5.0
# The kernel gives each connection to a random worker: with two, in 1 of 256 runs none is on the one with the bulk.
_SINGLES = 8


def bulk(running: Running) -> Iterator[Claim]:
    """Ask for single images alone, then beside bodies of thousands of rows, of each kind."""
    alone = Clients(running.port, own_questions(running.golden, _SINGLES, (octet_image,))).ask_for(_SECONDS)
    yield from _beside(running, alone, bulk_question(running.golden, _ROWS))
    for builder in (json_bulk, json_grids):
        yield from _beside(running, alone, bulk_question(running.golden, _JSON_ROWS, builder))


def _beside(running: Running, alone: Clients, question: Question) -> Iterator[Claim]:
    heavy = Clients(running.port, (question,))
    with heavy.asking():
        beside = Clients(running.port, alone.questions).ask_for(2 * _SECONDS)
    yield Claim(
        f"singles' p99 beside {question.request.load}, at most three times that without",
        f"{beside.p99_ms():.1f} / {alone.p99_ms():.1f} ms, {len(heavy.seconds)} bulk answers",
        beside.p99_ms() <= 3 * alone.p99_ms(),
    )
    yield Claim("failed among both", f"{heavy.account}, {beside.account}", not heavy.failures + beside.failures)

"""A client that sends bulk in a loop, and what single images notice of it."""

from collections.abc import Iterator

import numpy as np

from benchmarks.requests import octet_image, octets
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import Clients
from benchmarks.stress.running import Running

_ROWS = 10_000
_SECONDS = 5.0
# The kernel gives each to one of the workers at random: of two, one in 256 runs has none on the worker with the bulk.
_SINGLES = 8


def bulk(running: Running) -> Iterator[Claim]:
    """Ask for single images alone, then beside bodies of 10,000 rows."""
    row = running.golden.pixels[0]
    alone = Clients(running.port, (octet_image(row),), _SINGLES).ask_for(_SECONDS)
    heavy = Clients(running.port, (octets(np.tile(row, (_ROWS, 1))),), 1)
    with heavy.asking():
        beside = Clients(running.port, alone.requests, _SINGLES).ask_for(2 * _SECONDS)
    yield Claim(
        f"singles' p99 beside {_ROWS:,}-row bodies, at most three times that without",
        f"{beside.p99_ms():.1f} / {alone.p99_ms():.1f} ms, {len(heavy.seconds)} bulk answers",
        beside.p99_ms() <= 3 * alone.p99_ms(),
    )
    yield Claim("failed among both", f"{heavy.account}, {beside.account}", not heavy.failures + beside.failures)

from pathlib import Path

import pytest

from benchmarks.counters import ENVIRONMENT, OUTCOMES, compare
from service.versions.golden import read_golden
from tests.service.process import Process


@pytest.mark.parametrize("workers", [1, 2])
def test_each_counter_equals_what_the_client_saw_of_every_outcome(
    workers: int, released_store: Path, program_cache: Path, tmp_path: Path
) -> None:
    """In a real service with one worker or two, from its first request on, no series is off by even one."""
    released = released_store / "digits" / "1"
    folder = tmp_path / "store" / "digits"
    folder.mkdir(parents=True)
    service = Process(folder.parent, program_cache, **ENVIRONMENT, DIGITS_WORKERS=str(workers))
    try:
        port = service.client.base_url.port
        assert port
        lines = compare(port, read_golden(released), lambda: (folder / "1").symlink_to(released))
    finally:
        service.close()

    assert [line for line in lines if line.saw != line.counted] == []
    assert {int(line.series[1]) for line in lines if line.series[0] == "requests" and line.saw} == OUTCOMES
    assert {line.series[0] for line in lines} == {"requests", "timed", "rejected", "predictions"}

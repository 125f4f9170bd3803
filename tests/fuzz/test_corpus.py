import warnings
from pathlib import Path

import pytest

from tests.fuzz.corpus import KEPT, MOST_BYTES, keep, kept
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_has_learned_is_survived(target: str) -> None:
    """Each kept input gives rows or a problem, and nothing else, when it runs without the fuzzer."""
    inputs = [*seeds(target), *kept(target)]
    assert len(inputs) > len(seeds(target))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # as the service does
        for data in inputs:
            TARGETS[target](data)


def test_what_is_kept_is_small() -> None:
    """Its size is bounded, because it is in every clone."""
    assert {folder.name for folder in KEPT.iterdir()} == set(TARGETS)
    assert all(sum(map(len, kept(target))) <= MOST_BYTES for target in TARGETS)


def test_the_smallest_inputs_that_reach_something_new_are_kept(tmp_path: Path) -> None:
    """Of two inputs that reach the same lines the smaller is kept; none that the seeds cover, and none without room."""
    (tmp_path / "learned").mkdir()
    (seed, *_) = seeds("arrays")
    for number, data in enumerate([b"{[[", b"{[", seed, b"1" * (MOST_BYTES + 1)]):
        (tmp_path / "learned" / str(number)).write_bytes(data)
    keep("arrays", tmp_path / "learned", tmp_path / "corpus")
    assert kept("arrays", tmp_path / "corpus") == [b"{["]
    keep("arrays", tmp_path / "learned", tmp_path / "corpus")
    assert kept("arrays", tmp_path / "corpus") == [b"{["]

"""The soak's account: which failures a fault explains, and what its page shows."""

import itertools
import time

import numpy as np
import pytest

from benchmarks.requests import Request
from benchmarks.soak.account import Account, curve
from benchmarks.soak.faults import Phase, every
from benchmarks.soak.load import Exchange, Kind, Load
from benchmarks.stress.answers import Question
from benchmarks.stress.running import wait_until
from tests.benchmarks.made_up import SEVEN, answering, prediction

KILL = Phase("kill", 10.0, 11.0, frozenset({"ConnectionResetError"}), allowed_seconds=2.0)
RELOAD = Phase("reload", 20.0, 25.0)


def exchange(outcome: str, began: float, expected: int = 200) -> Exchange:
    return Exchange("JSON, one image", expected, outcome, began, began + 0.1)


@pytest.mark.parametrize(
    ("outcome", "began", "explained"),
    [
        ("ConnectionResetError", 10.5, True),
        ("ConnectionResetError", 9.95, True),  # in flight when the fault began
        ("ConnectionResetError", 12.9, True),
        ("ConnectionResetError", 13.1, False),
        ("ConnectionResetError", 9.0, False),
        ("500", 10.5, False),
        ("wrong answer", 10.5, False),
        ("ConnectionResetError", 21.0, False),
    ],
)
def test_a_fault_explains_its_own_failures_only(outcome: str, began: float, *, explained: bool) -> None:
    """A failure of another kind, at another time, or during a fault that may cause none is unexpected."""
    account = Account(0, 60, [exchange(outcome, began)], [KILL, RELOAD], [1])
    assert account.unexpected == ([] if explained else list(account.exchanges))


def test_a_fault_that_does_not_heal_is_told() -> None:
    """The page is written, names the fault, and the soak has failed."""
    stuck = Phase("store vanishes", 20.0, 140.0, healed=False)
    account = Account(0, 145, [exchange("200", 1)], [KILL, stuck], [1])
    assert account.stuck == [stuck]
    assert "After store vanishes the service was not as before in time." in account.page()
    assert not Account(0, 60, [], [KILL], [1]).stuck


def test_the_page_tells_what_happened() -> None:
    """It has the requests, the failures with the fault that explains them, the latencies by phase, and the memory."""
    right = [exchange("200", 1), exchange("200", 10.2), exchange("400", 2, 400)]
    wrong = [exchange("ConnectionResetError", 10.5), exchange("500", 30)]
    page = Account(0, 120, right + wrong, [KILL, RELOAD], [200_000_000, 300_000_000]).page()
    assert "2.0 minutes, 2 faults, 5 requests; 1 failures that a fault explains, **1 unexpected**." in page
    assert "| ConnectionResetError | JSON, one image | kill | 1 |" in page
    assert "| 500 | JSON, one image | **nothing** | 1 |" in page
    assert "| between faults | 1 | 100.0 | 100.0 | 100.0 |" in page
    assert "| kill | 1 | 100.0 | 100.0 | 100.0 |" in page
    assert "from 200 to 300 MB, 300 at the end" in page


def test_the_curve_keeps_its_peaks() -> None:
    """However many values there are, it is at most a line long and shows the greatest of them."""
    values = [1.0] * 1000
    values[500] = 9.0
    assert curve([1.0, 1.0]) == "▁▁"
    assert (len(curve(values)), curve(values).count("█")) == (60, 1)


def test_the_load_compares_predictions_and_statuses() -> None:
    """Expected answers, expected refusals and answers of another network are told apart."""
    turns = itertools.cycle([SEVEN, SEVEN[::-1]])

    def answer(body: bytes) -> tuple[int, object]:
        if body == b"bad":
            return 422, {}
        return 200, prediction(next(turns) if body == b"odd" else SEVEN)

    def kind(name: str, status: int) -> Kind:
        request = Request(name, "/", (), name.encode())
        return Kind(name, request, status, Question(request, np.array([SEVEN], np.float32)) if status == 200 else None)

    with answering(answer) as port:
        load = Load(port, (kind("good", 200), kind("bad", 422), kind("odd", 200)), {1: False})
        with load.running():
            wait_until(lambda: len(load.exchanges) > 20)
    outcomes = {(each.kind, each.outcome) for each in load.exchanges}
    assert outcomes == {("good", "200"), ("bad", "422"), ("odd", "200"), ("odd", "wrong answer")}


def test_faults_come_until_the_time_is_over() -> None:
    """Some are due before the end, none after it."""
    end = time.monotonic() + 0.5
    began = [time.monotonic() for _ in every(0.05, until=end)]
    assert 1 <= len(began) <= 10
    assert list(every(0.02, until=0.0)) == []

"""Ctrl-C ends training, wherever it comes."""

import signal

import pytest

from trainer.interruption import Interruption


class Tensor:
    """Raises Ctrl-C while it is being destroyed, so that Python loses the exception."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_comes_at_once() -> None:
    """The exception is raised where the program is, as without `Interruption`."""
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_python_loses_ends_the_next_step() -> None:
    """In a destructor the exception is ignored; the step after it raises it again."""
    with Interruption() as interruption:
        interruption.step(0.5)
        Tensor()
        with pytest.raises(KeyboardInterrupt):
            interruption.step(0.5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_python_loses_after_the_last_step_prevents_publication() -> None:
    """No step follows while a version is measured, so a lost Ctrl-C is checked for once more before publication."""
    with Interruption() as interruption:
        Tensor()
        with pytest.raises(KeyboardInterrupt):
            interruption.publishing()


def test_ctrl_c_comes_too_late_for_what_is_published() -> None:
    """From publication on Ctrl-C raises nothing, unless another comparison comes in between: the next try raises it."""
    with Interruption() as interruption:
        interruption.publishing()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.publishing()


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    """The previous handler is restored."""
    before = signal.getsignal(signal.SIGINT)
    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) is before

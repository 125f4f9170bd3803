"""How a version does beyond clean digits: on corrupted digits and on non-digits. Plain NumPy, no network."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions import CORRUPTIONS
from trainer.data import scale
from trainer.evaluation import Answerer, count_errors
from trainer.images.nondigits import NON_DIGITS

# Of each corruption: 2,000 tell 2 % from 3 %, in ten seconds for all fifteen.
_CORRUPTED_IMAGES = 2_000
# Of each kind of non-digit: 500 tell 5 % from 7.5 %, and all kinds are drawn within five seconds.
NON_DIGITS_OF_A_KIND = 500

Rows = TypeVar("Rows", bound=np.generic)


def sample(rows: NDArray[Rows]) -> NDArray[Rows]:
    """Takes the part of the test set, [N, ...], that is corrupted: every fifth of 10,000.

    Not the first 2,000: the two halves of MNIST's test set are by different writers.
    """
    return rows[:: max(1, len(rows) // _CORRUPTED_IMAGES)]


def corruption_errors(
    answer: Answerer, images: NDArray[np.uint8], labels: NDArray[np.uint8], seed: int
) -> dict[str, float]:
    """Measures what share of images uint8 [N, 28, 28] with labels uint8 [N] is read wrong under each corruption."""
    errors = {}
    for name, corrupt in CORRUPTIONS.items():
        corrupted = corrupt(images, _generator(seed, name))
        errors[name] = count_errors(answer(scale(corrupted)).probabilities, labels) / len(labels)
    return errors


def non_digits_accepted(
    answer: Answerer, threshold: float, digits: NDArray[np.uint8], seed: int, count: int = NON_DIGITS_OF_A_KIND
) -> dict[str, float]:
    """Measures what share of non-digits is taken for digits, by kind.

    Args:
        answer: The version; it must have the output `is_digit`.
        threshold: An image counts as a digit from this `is_digit` on.
        digits: uint8 [N, 28, 28], to be put side by side.
        seed: The same seed draws the same pictures.
        count: How many pictures of each kind.

    Raises:
        ValueError: The version has no output `is_digit`.
    """
    accepted = {}
    for name, make in NON_DIGITS.items():
        is_digit = answer(scale(make(count, digits, _generator(seed, name)))).is_digit
        if is_digit is None:
            raise ValueError("this version does not tell is_digit: there is nothing to measure")
        accepted[name] = float(np.mean(is_digit >= threshold))
    return accepted


def _generator(seed: int, name: str) -> np.random.Generator:
    """Gives each name its own generator, so that added or reordered names change nothing for the others."""
    return np.random.default_rng([seed, *name.encode()])

"""The temperature: the hidden one is found, and no other is better. The threshold: it lets 99 % through."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.calibration import choose_threshold, fit_temperature
from trainer.evaluation import negative_log_likelihood


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turns logits into probabilities."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def draw(temperature: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draws logits, and labels by the probabilities that they mean at this temperature."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (4000, 10))
    cumulative = softmax(logits / temperature).cumsum(axis=1)
    labels = (generator.random((4000, 1)) > cumulative[:, :-1]).sum(axis=1)
    return logits.astype(np.float32), labels.astype(np.uint8)


@settings(max_examples=10)
@given(temperature=st.floats(0.3, 3.0), seed=st.integers(0, 1000))
def test_hidden_temperature_is_found(temperature: float, seed: int) -> None:
    """The temperature at which labels were drawn is found again, as precisely as 4,000 of them allow."""
    logits, labels = draw(temperature, seed)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.15)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), factor=st.floats(0.5, 2.0))
def test_no_other_temperature_is_better(seed: int, factor: float) -> None:
    """Any other temperature makes the labels less likely."""
    logits, labels = draw(1.5, seed)
    best = fit_temperature(logits, labels)

    def loss(temperature: float) -> float:
        return negative_log_likelihood(softmax(logits.astype(np.float64) / temperature).astype(np.float32), labels)

    assert loss(best) <= loss(best * factor) + 1e-6


def test_all_right_stays_within_bounds() -> None:
    """With no error to learn from, the temperature stops at its bound instead of zero."""
    logits = 5 * np.eye(10, dtype=np.float32)
    assert fit_temperature(logits, np.arange(10, dtype=np.uint8)) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("images", [100, 1_000, 5_000])
def test_threshold_accepts_99_of_100_digits(images: int) -> None:
    """It is the highest value that at least 99 % of the digits reach, and one of their own values."""
    is_digit = (np.random.default_rng(0).permutation(images) / images).astype(np.float32)
    threshold = choose_threshold(is_digit)
    assert threshold in is_digit
    assert np.mean(is_digit >= threshold) >= 0.99
    assert np.mean(is_digit > threshold) <= 0.99

"""The measures: their definitions hold for any probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.evaluation import (
    baseline,
    count_errors,
    expected_calibration_error,
    measure,
    negative_log_likelihood,
    wilson_interval,
    wrong_answers,
)


@st.composite
def scored(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Any probabilities float32 [N, 10] with any labels."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 200))
    logits = generator.normal(0, draw(st.sampled_from([0.1, 3.0, 50.0])), (count, 10))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities, generator.integers(0, 10, count).astype(np.uint8)


@settings(max_examples=50)
@given(trials=st.integers(1, 10_000), data=st.data())
def test_wilson_interval_holds_the_proportion(trials: int, data: st.DataObject) -> None:
    """The interval lies in 0 to 1, holds the proportion, and never has zero width."""
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert high - low > 0


def test_wilson_interval_is_the_published_formula() -> None:
    """81 of 263 gives the interval of Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@settings(max_examples=50)
@given(scored())
def test_measures_agree_with_each_other(sample: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> None:
    """Accuracy, errors, recall, precision and the histograms count the same rows."""
    probabilities, labels = sample
    metrics, counts = measure(probabilities, labels), baseline(probabilities)
    assert metrics["test_accuracy"] == pytest.approx(1 - metrics["test_errors"] / len(labels))
    assert metrics["test_errors"] == count_errors(probabilities, labels)
    right = sum(entry["recall"] * entry["images"] for entry in metrics["per_class"])
    assert right == pytest.approx(len(labels) - metrics["test_errors"])
    answered = zip(metrics["per_class"], counts["class_counts"], strict=True)
    assert sum(entry["precision"] * count for entry, count in answered) == pytest.approx(right)
    assert sum(entry["images"] for entry in metrics["per_class"]) == len(labels)
    assert sum(counts["class_counts"]) == sum(counts["confidence_counts"]) == len(labels)
    assert len(counts["confidence_counts"]) == 20
    assert 0 <= metrics["test_ece"] <= 1
    assert metrics["test_nll"] >= 0


@settings(max_examples=50)
@given(scored())
def test_one_bin_bounds_calibration_error(sample: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> None:
    """The error over bins is at least the distance of mean confidence from accuracy."""
    probabilities, labels = sample
    distance = abs(probabilities.max(axis=1).mean() - (1 - count_errors(probabilities, labels) / len(labels)))
    assert expected_calibration_error(probabilities, labels) >= distance - 1e-6


def test_wrong_answers_are_those_with_another_likeliest_digit() -> None:
    """The likeliest digit is the answer, however unsure."""
    labels = np.array([3, 4, 5], np.uint8)
    probabilities = np.full((3, 10), 0.09, np.float32)
    probabilities[[0, 1, 2], [3, 5, 5]] = 0.19
    assert wrong_answers(probabilities, labels).tolist() == [False, True, False]


def test_certain_and_right_is_perfect() -> None:
    """One-hot probabilities of the labels have no loss and no calibration error."""
    labels = np.arange(10, dtype=np.uint8)
    probabilities = np.eye(10, dtype=np.float32)
    assert negative_log_likelihood(probabilities, labels) == 0
    assert expected_calibration_error(probabilities, labels) == 0


def test_certain_and_wrong_is_finite() -> None:
    """A probability of zero for the right digit gives a large but finite loss."""
    assert 20 < negative_log_likelihood(np.eye(10, dtype=np.float32), np.full(10, 3, np.uint8)) < 30


def test_confidence_above_one_by_rounding_is_counted() -> None:
    """A row whose largest probability rounds to just over 1 is still in the last bin."""
    probabilities = np.zeros((1, 10), np.float32)
    probabilities[0, 4] = np.nextafter(np.float32(1), np.float32(2))
    assert baseline(probabilities)["confidence_counts"][-1] == 1

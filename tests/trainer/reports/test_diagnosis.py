"""Where a version goes wrong: the counts agree with the metrics of the manifest."""

import numpy as np
import pytest

from tests.trainer.made_up import bare_findings
from trainer.evaluation import count_errors, expected_calibration_error, per_class
from trainer.reports.diagnosis import confident_mistakes, confusion, reliability


def test_confusion_rows_are_true_digits() -> None:
    """Two 3s, of which one is read as 5, and a 7."""
    labels = np.array([3, 3, 7], np.uint8)
    counts = confusion(np.eye(10, dtype=np.float32)[[3, 5, 7]], labels)
    expected = np.zeros((10, 10), np.int64)
    expected[3, 3] = expected[3, 5] = expected[7, 7] = 1
    np.testing.assert_array_equal(counts, expected)


def test_confusion_agrees_with_recall_and_precision() -> None:
    """Rows and columns of the matrix give each digit's recall and precision, as in the manifest."""
    findings = bare_findings()
    counts = confusion(findings.answers.probabilities, findings.labels)
    for metrics in per_class(findings.answers.probabilities, findings.labels):
        digit = metrics["digit"]
        assert counts[digit, digit] / counts[digit].sum() == pytest.approx(metrics["recall"])
        assert counts[digit, digit] / counts[:, digit].sum() == pytest.approx(metrics["precision"])


def test_bins_agree_with_the_calibration_error() -> None:
    """The 15 bins hold every answer once, and their distances are the calibration error."""
    probabilities, labels = bare_findings().answers.probabilities, bare_findings().labels
    bins = reliability(probabilities, labels)
    assert len(bins) == 15
    assert sum(each.images for each in bins) == len(labels)
    assert sum(each.right for each in bins) == len(labels) - count_errors(probabilities, labels)
    error = sum(abs(each.images * each.confidence - each.right) for each in bins) / len(labels)
    assert error == pytest.approx(expected_calibration_error(probabilities, labels))
    assert all(each.low - 1e-6 <= each.confidence <= each.high + 1e-6 for each in bins if each.images)


def test_mistakes_are_the_most_confident_ones() -> None:
    """Only wrong answers are listed, at most as many as wanted, the most confident first."""
    findings = bare_findings(0.3)
    probabilities, labels = findings.answers.probabilities, findings.labels
    every = confident_mistakes(probabilities, labels, len(labels))
    assert len(every) == count_errors(probabilities, labels)
    assert all(mistake.label == labels[mistake.index] != mistake.answer for mistake in every)
    assert [mistake.confidence for mistake in every] == sorted((m.confidence for m in every), reverse=True)
    assert confident_mistakes(probabilities, labels, 3) == every[:3]

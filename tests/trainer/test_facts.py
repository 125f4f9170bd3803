"""What is told of a version: of how many images each share is, and of which."""

from dataclasses import replace

import numpy as np

from tests.trainer.made_up import bare_findings, full_findings
from trainer import facts
from trainer.evaluation import Answers


def test_clean_images_are_those_that_are_corrupted() -> None:
    """The row `clean` is of the images that the other rows are of, so that only the corruption differs."""
    labels = np.zeros(10_000, np.uint8)
    answers = np.zeros(10_000, int)
    answers[0:1000:5] = 1  # 200 of every fifth
    answers[5001:5101] = 1  # and others, of which 20 are
    findings = full_findings()
    findings = replace(findings, labels=labels, answers=Answers(np.eye(10, dtype=np.float32)[answers], None))
    table = facts.corruptions(findings)
    assert table.heads == ("Test images", "Read wrong of 2,000")
    assert table.rows[0] == ("clean", "11.00 %")
    assert list(facts.with_clean(findings)) == ["clean", "motion_blur", "thin_pen"]


def test_shares_say_of_how_many() -> None:
    """A small test set is corrupted whole; of each kind of non-digit there are 500."""
    assert facts.corruptions(full_findings()).heads[1] == "Read wrong of 200"
    assert facts.non_digits(full_findings().manifest).heads[1] == "Taken for digits of 500 each"


def test_what_was_not_measured_has_no_rows() -> None:
    """Without corruptions and non-digits both tables are empty."""
    assert not facts.corruptions(bare_findings()).rows
    assert not facts.non_digits(bare_findings().manifest).rows

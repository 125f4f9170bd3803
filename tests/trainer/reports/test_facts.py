"""The facts about a version: each share says of how many images it is, and of which."""

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.made_up import bare_findings, full_findings
from trainer.evaluation import Answers
from trainer.images.nondigits import NON_DIGITS
from trainer.reports import facts


def test_clean_images_are_those_that_are_corrupted() -> None:
    """The row `clean` is about the same images as the other rows, so that only the corruption differs."""
    labels = np.zeros(10_000, np.uint8)
    answers = np.zeros(10_000, int)
    answers[0:1000:5] = 1  # 200 images, all of every fifth
    answers[5001:5101] = 1  # 100 others, 20 of them of every fifth
    findings = full_findings()
    findings = replace(findings, labels=labels, answers=Answers(np.eye(10, dtype=np.float32)[answers], None))
    table = facts.corruptions(findings)
    assert table.heads == ("Test images", "Read wrong of 2,000", "How strong, as in MNIST-C")
    assert table.rows[0] == ("clean", "11.00 %", "")
    assert [row[0] for row in table.rows] == ["clean", "motion blur", "thin pen", "mean of 2"]


def test_corruptions_say_how_strong_they_are_and_what_they_come_to() -> None:
    """Each corruption has its strength beside its share, and the last row is the mean of them all, without `clean`."""
    findings = full_findings()
    findings.manifest["metrics"]["corruption_errors"] = {"rotate": 0.01, "stripe": 0.02, "of_another_time": 0.06}
    assert list(facts.corruptions(findings).rows[1:]) == [
        ("rotate", "1.00 %", "by 23 degrees"),
        ("stripe", "2.00 %", "7 columns at each side"),
        ("of another time", "6.00 %", ""),
        ("mean of 3", "3.00 %", ""),
    ]
    assert list(facts.corruption_shares(findings).values())[1:] == pytest.approx([0.01, 0.02, 0.06, 0.03])


def test_time_says_how_it_was_taken() -> None:
    """The time names its engine and machine, because alone it would seem to hold for any."""
    assert ("Time for an image", "43.2 µs (LiteRT, one thread, on the machine that trained it)") in list(
        facts.cost(full_findings().manifest).rows
    )


def test_shares_say_of_how_many() -> None:
    """A small test set is corrupted whole; of each kind of non-digit there are 500."""
    assert facts.corruptions(full_findings()).heads[1] == "Read wrong of 200"
    assert facts.non_digits(full_findings().manifest).heads[1] == "Taken for digits of 500 each"


def test_kinds_are_shown_as_words_however_a_version_names_them() -> None:
    """Underscores in a manifest's names become spaces; versions older than the name `two_digits` show the same."""
    findings = full_findings()
    findings.manifest["metrics"]["non_digits_accepted"] = dict.fromkeys([*NON_DIGITS, "two digits"], 0.5)
    assert not [name for name in NON_DIGITS if " " in name]
    shown = [row[0] for row in facts.non_digits(findings.manifest).rows]
    assert shown == ["letters", "words", "two digits", "noise", "textures", "scribbles", "two digits"]


def test_what_was_not_measured_has_no_rows() -> None:
    """Without corruptions and non-digits both tables are empty."""
    assert not facts.corruptions(bare_findings()).rows
    assert not facts.non_digits(bare_findings().manifest).rows

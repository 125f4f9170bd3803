"""What a run found, as tables of words and numbers for people; the report and the card lay them out.

A table without rows stands for something that was not measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions import STRENGTHS
from trainer.evaluation import CALIBRATION_BINS, count_errors, wilson_interval
from trainer.reports.findings import Findings
from trainer.robustness import NON_DIGITS_OF_A_KIND, sample
from trainer.versions.manifest import Manifest

_TIMED = "LiteRT, one thread, on the machine that trained it"  # as `trainer.cost` does it


@dataclass(frozen=True)
class Table:
    """Rows of text; `heads` is empty where the first column explains the rest. The name is unique in a document."""

    name: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def headline(findings: Findings) -> Table:
    """How good the version is, each share with its interval."""
    manifest, metrics = findings.manifest, findings.manifest["metrics"]
    held_out = manifest["dataset"]["held_out_images"]
    images = manifest["dataset"]["test_images"]
    rows = [
        ("Test accuracy", share(images - metrics["test_errors"], images)),
        ("Test errors", f"{metrics['test_errors']:,} of {images:,} images"),
        ("Held-out accuracy", share(round(metrics["held_out_accuracy"] * held_out), held_out)),
        ("Test loss", f"{metrics['test_nll']:.4f} nats (negative log-likelihood)"),
        ("Calibration error", f"{percent(metrics['test_ece'])} ({CALIBRATION_BINS} bins)"),
        ("Temperature", f"{metrics['temperature']:.3f}"),
    ]
    return Table("Headline", (), rows + _refusals(findings))


def per_class(confusion: NDArray[np.int64]) -> Table:
    """Precision and recall of each digit from a confusion matrix int64 [10, 10]."""
    rows = []
    for digit, (images, answers) in enumerate(zip(confusion.sum(axis=1), confusion.sum(axis=0), strict=True)):
        right = int(confusion[digit, digit])
        rows.append((str(digit), f"{images:,}", share(right, int(answers)), share(right, int(images))))
    return Table("Precision and recall", ("Digit", "Images", "Precision", "Recall"), rows)


def corruptions(findings: Findings) -> Table:
    """Error shares on the same test images: clean first, then under each corruption, and last the corruptions' mean."""
    shares = corruption_shares(findings)
    if not shares:
        return Table("Robustness", (), [])
    heads = ("Test images", f"Read wrong of {len(sample(findings.labels)):,}", "How strong, as in MNIST-C")
    rows = [(*row, STRENGTHS.get(name, "")) for name, row in zip(shares, _shares(shares), strict=True)]
    return Table("Robustness", heads, rows)


def corruption_shares(findings: Findings) -> dict[str, float]:
    """The error share of the same images clean, under each corruption, and these shares' mean; empty if unmeasured."""
    errors = findings.manifest["metrics"]["corruption_errors"]
    if not errors:
        return {}
    probabilities, labels = sample(findings.answers.probabilities), sample(findings.labels)
    clean = count_errors(probabilities, labels) / len(labels)
    return {"clean": clean, **errors, f"mean of {len(errors)}": fmean(errors.values())}


def non_digits(manifest: Manifest) -> Table:
    """The share of non-digits that are taken for digits, by kind."""
    accepted = manifest["metrics"]["non_digits_accepted"]
    return Table("Non-digits", ("Kind", f"Taken for digits of {NON_DIGITS_OF_A_KIND:,} each"), _shares(accepted))


def cost(manifest: Manifest) -> Table:
    """What an answer and the training cost."""
    rows = [
        ("Parameters", f"{manifest['parameters']:,}"),
        ("FLOPs for an image", f"{2 * manifest['multiply_accumulates']:,} (two for each multiply-accumulate)"),
    ]
    if manifest["microseconds_per_image"] is not None:
        rows.append(("Time for an image", f"{manifest['microseconds_per_image']:,.1f} µs ({_TIMED})"))
    return Table("Cost", (), [*rows, ("Training time", f"{manifest['training_seconds']:,.0f} s")])


def gate(manifest: Manifest) -> Table:
    """What the quality gate compared, and how it ended."""
    facts = manifest["gate"]
    if facts is None:
        return Table("Quality gate", (), [])
    ending = "passed" if facts["passed"] else "not passed"
    rows = [
        ("Result", f"{ending}, published by force" if facts["forced"] else ending),
        ("Minimum accuracy", percent(facts["min_accuracy"])),
    ]
    if facts["compared_version"] is not None:
        rows += [
            ("Compared with", f"version {facts['compared_version']}"),
            ("Wrong in this version only", f"{facts['only_new_wrong']:,} images"),
            ("Wrong in that version only", f"{facts['only_compared_wrong']:,} images"),
        ]
    if facts["p_value"] is not None:
        rows.append(("McNemar's p-value", f"{facts['p_value']:.3g}"))
    return Table("Quality gate", (), rows)


def recipe(manifest: Manifest) -> Table:
    """Every hyper-parameter, and the seed."""
    rows = [(name, _word(value)) for name, value in manifest["recipe"].items()]
    return Table("Recipe", (), [*rows, ("seed", str(manifest["seed"]))])


def data(manifest: Manifest) -> Table:
    """Which images there were, and how many."""
    dataset = manifest["dataset"]
    origin = "the published arrays" if dataset["canonical"] else "other arrays than the published ones"
    return Table(
        "Data set",
        (),
        [
            ("Name", f"{dataset['name']}, {origin}"),
            ("Training images", f"{dataset['training_images']:,}"),
            ("Held-out images", f"{dataset['held_out_images']:,}"),
            ("Test images", f"{dataset['test_images']:,}"),
        ],
    )


def digests(manifest: Manifest) -> Table:
    """SHA-256 of each array and of the sources, and the commit if there is one."""
    rows = list(manifest["dataset"]["sha256"].items())
    rows.append(("trainer's sources", manifest["code_sha256"]))
    if manifest["git_commit"] is not None:
        rows.append(("git commit", manifest["git_commit"]))
    return Table("SHA-256", (), rows)


def libraries(manifest: Manifest) -> Table:
    """The versions of Python and of the libraries that shape the result."""
    return Table("Libraries", (), list(manifest["libraries"].items()))


def percent(value: float) -> str:
    """A share from 0 to 1 as in `99.63 %`."""
    return f"{100 * value:.2f} %"


def share(successes: int, trials: int) -> str:
    """A proportion with its 95 % interval, as in `99.63 % (99.49 to 99.73)`; `none` if there were no trials."""
    if trials == 0:
        return "none"
    low, high = wilson_interval(successes, trials)
    return f"{percent(successes / trials)} ({100 * low:.2f} to {100 * high:.2f})"


def profile(manifest: Manifest) -> str:
    """The recipe's name."""
    return _word(manifest["recipe"].get("profile", "unnamed"))


def created(manifest: Manifest) -> str:
    """When it was made, as in `2026-11-22 20:40:00 UTC`."""
    return manifest["created"].replace("T", " ").replace("Z", " UTC")


def _refusals(findings: Findings) -> list[tuple[str, str]]:
    threshold, is_digit = findings.manifest["metrics"]["is_digit_threshold"], findings.answers.is_digit
    if threshold is None or is_digit is None:
        return []
    refused = int(np.count_nonzero(is_digit < threshold))
    return [
        ("Is-digit threshold", f"{threshold:.3f}"),
        ("Test digits refused", share(refused, len(is_digit))),
    ]


def _shares(shares: Mapping[str, float]) -> list[tuple[str, ...]]:
    return [(name.replace("_", " "), percent(value)) for name, value in shares.items()]


def _word(value: str | float | list[int]) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

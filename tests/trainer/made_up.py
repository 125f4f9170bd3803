"""Made-up findings about a version, from which tests write reports and cards."""

import numpy as np

from tests.synthetic import draw_digits
from trainer.evaluation import Answers, baseline, measure
from trainer.reports.findings import Findings
from trainer.versions.manifest import EpochMetrics, GateFacts, Manifest, RecipeFacts

GATE: GateFacts = {
    "min_accuracy": 0.985,
    "compared_version": 4,
    "only_new_wrong": 7,
    "only_compared_wrong": 11,
    "p_value": 0.4807,
    "passed": True,
    "forced": False,
}


def full_findings(wrong_share: float = 0.1, recipe: RecipeFacts | None = None) -> Findings:
    """Everything that can be known about a version, which reads `wrong_share` of 200 images wrong."""
    findings = bare_findings(wrong_share, recipe)
    manifest = findings.manifest
    metrics = manifest["metrics"]
    metrics["is_digit_threshold"] = 0.5
    metrics["non_digits_accepted"] = {"letters": 0.2125, "noise": 0.0}
    metrics["corruption_errors"] = {"motion_blur": 0.0625, "thin_pen": 0.03}
    manifest["microseconds_per_image"] = 43.21
    manifest["git_commit"] = "c0ffee" * 6 + "c0de"
    manifest["gate"] = GATE
    is_digit = np.linspace(0.495, 1, len(findings.labels), dtype=np.float32)
    history = [epoch(number, 1 / number) for number in range(1, 6)]
    answers = Answers(findings.answers.probabilities, is_digit)
    return Findings(manifest, history, findings.images, findings.labels, answers)


def bare_findings(wrong_share: float = 0.1, recipe: RecipeFacts | None = None) -> Findings:
    """The same without the optional parts."""
    images, labels = draw_digits(200, 5)
    generator = np.random.default_rng(3)
    wrong = generator.random(len(labels)) < wrong_share
    answers = np.where(wrong, (labels + 1) % 10, labels)
    confidence = generator.uniform(0.4, 1, len(labels))
    probabilities = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1)
    probabilities[np.arange(len(labels)), answers] = confidence
    rows = probabilities.astype(np.float32)
    manifest: Manifest = {
        "schema_version": 1,
        "name": "",
        "version": 0,
        "created": "2026-11-22T20:40:00Z",
        "git_commit": None,
        "code_sha256": "5eed" * 16,
        "recipe": recipe or {"profile": "fast", "epochs": 5, "filters": [8, 16]},
        "seed": 41,
        "dataset": {
            "name": "mnist",
            "canonical": False,
            "sha256": {"x_test": "d1ce" * 16},
            "training_images": 1100,
            "held_out_images": 100,
            "test_images": 200,
        },
        "libraries": {"numpy": "2.4.6"},
        "parameters": 12345,
        "multiply_accumulates": 500_000,
        "microseconds_per_image": None,
        "training_seconds": 61.4,
        "metrics": {
            **measure(rows, labels),
            "temperature": 0.8,
            "held_out_accuracy": 0.97,
            "is_digit_threshold": None,
            "non_digits_accepted": {},
            "corruption_errors": {},
        },
        "baseline": baseline(rows),
        "gate": None,
        "files": {},
    }
    return Findings(manifest, [], images, labels, Answers(rows, None))


def epoch(number: int, loss: float) -> EpochMetrics:
    """One epoch of a run that gets better."""
    return {
        "epoch": number,
        "loss": loss,
        "learning_rate": 1e-3,
        "held_out_accuracy": 1 - loss / 20,
        "held_out_nll": loss / 2,
        "seconds": 1.5,
    }

"""A training run, from images to a published version; the other modules do the work."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from trainer.answering import stored_probabilities
from trainer.calibration import choose_threshold, fit_temperature
from trainer.cost import NOT_TIMED, microseconds_per_image
from trainer.data import DIGITS, Dataset, scale
from trainer.evaluation import Answerer, Answers, baseline, count_errors, measure
from trainer.export import load, save, save_golden
from trainer.fitting import Fitted, fit
from trainer.gate import Gate
from trainer.network import multiply_accumulates
from trainer.profiles import Recipe, recipe_facts
from trainer.progress import Watcher
from trainer.reports.card import write_card
from trainer.reports.findings import Findings
from trainer.reports.report import write_report
from trainer.robustness import corruption_errors, non_digits_accepted, sample
from trainer.run import METRICS_FILE, Run, encode_history
from trainer.runtime import training_precision
from trainer.versions.manifest import (
    SCHEMA_VERSION,
    Baseline,
    GateFacts,
    Manifest,
    Metrics,
    code_sha256,
    git_commit,
    library_versions,
    now,
)
from trainer.versions.store import ModelStore, OvertakenError, StoreError
from trainer.writing import written_to

METRICS_PATH = Path("assets.extra") / METRICS_FILE
# A comparison takes seconds and a training minutes: being overtaken this often means that something is wrong.
_MAX_COMPARISONS = 10

Compare: TypeAlias = Callable[[], tuple[int, GateFacts]]
"""Asks the gate; returns the only number under which the version may now be published, and the gate's facts."""


def train(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    store: ModelStore,
    watcher: Watcher,
    gate: Gate,
    *,
    resume: bool = False,
) -> tuple[Path, Metrics]:
    """Trains, measures and publishes one version.

    Measures the SavedModel as written to disk, in float32 and calibrated: exactly what will be served.

    Returns:
        The version's folder and its metrics.

    Raises:
        DivergedError: Training failed.
        GateRefusedError: The version is not good enough; nothing was published.
        RunTakenError: Another process is training the same run.
        StoreError: The version could not be published.
    """
    run = Run(store.run_folder(_run_key(recipe, dataset, seed)))
    with run.taken():
        fitted = fit(recipe, dataset, seed, watcher, run, resume=resume)
        return _publish(fitted, recipe, dataset, seed, store, gate, watcher)


def _publish(
    fitted: Fitted, recipe: Recipe, dataset: Dataset, seed: int, store: ModelStore, gate: Gate, watcher: Watcher
) -> tuple[Path, Metrics]:
    """Writes the SavedModel, asks the gate, measures, and publishes."""
    temperature = fit_temperature(fitted.held_out_outputs[:, :DIGITS], dataset.y_held_out)
    with store.publication() as folder:
        save(fitted.network, temperature, folder)
        answer = load(folder)
        pixels = scale(dataset.x_test)
        answers = answer(pixels)

        def compare() -> tuple[int, GateFacts]:
            number = store.next_number()  # first: a version published during the comparison then takes this number
            return number, gate.check(
                answers.probabilities, dataset.y_test, store, lambda version: stored_probabilities(version, pixels)
            )

        number, gate_facts = compare()  # before measuring, which takes longer and is wasted if the gate refuses
        save_golden(folder, pixels, answers, dataset.y_test)
        metrics = _measure(answer, answers, dataset, temperature, seed)
        manifest = _describe(recipe, dataset, seed, fitted, metrics, baseline(answers.probabilities), gate_facts)
        manifest["microseconds_per_image"] = _time_image(folder)
        findings = Findings(manifest, fitted.history, dataset.x_test, dataset.y_test, answers)
        return _publish_compared(folder, findings, store, number, compare, watcher), metrics


def _publish_compared(
    folder: Path, findings: Findings, store: ModelStore, number: int, compare: Compare, watcher: Watcher
) -> Path:
    """Publishes under the number from the comparison; if another version has taken it, compares with that one."""
    for _ in range(_MAX_COMPARISONS):
        _write_beside(folder, findings)
        watcher.publishing()
        try:
            return store.publish(folder, findings.manifest, number)
        except OvertakenError:
            number, findings.manifest["gate"] = compare()
    raise StoreError(
        f"{store.folder}: others published {_MAX_COMPARISONS} versions meanwhile; publish it with --resume"
    )


def _time_image(folder: Path, timed: Callable[[Path], float] = microseconds_per_image) -> float | None:
    """Times an image in LiteRT; None if LiteRT cannot run the network, which is no reason to lose the version."""
    try:
        return round(timed(folder), 1)
    except NOT_TIMED:
        return None


def _measure(answer: Answerer, answers: Answers, dataset: Dataset, temperature: float, seed: int) -> Metrics:
    """Measures a version on the test images, the held-out images, corrupted images and non-digits."""
    held_out = answer(scale(dataset.x_held_out))
    held_out_errors = count_errors(held_out.probabilities, dataset.y_held_out)
    threshold = None if held_out.is_digit is None else choose_threshold(held_out.is_digit)
    images, labels = sample(dataset.x_test), sample(dataset.y_test)
    return {
        **measure(answers.probabilities, dataset.y_test),
        "temperature": temperature,
        "held_out_accuracy": 1 - held_out_errors / dataset.held_out_images,
        "is_digit_threshold": threshold,
        "non_digits_accepted": {} if threshold is None else non_digits_accepted(answer, threshold, images, seed),
        "corruption_errors": corruption_errors(answer, images, labels, seed),
    }


def _write_beside(folder: Path, findings: Findings) -> None:
    """Writes the files that describe the version to people: its report, its card, its metrics epoch by epoch."""
    write_report(folder, findings)
    write_card(folder, findings)
    with written_to(folder / METRICS_PATH):
        (folder / METRICS_PATH).write_bytes(encode_history(findings.history))


def _run_key(recipe: Recipe, dataset: Dataset, seed: int) -> str:
    """Hashes everything that decides a run's result: `--resume` continues a run only if none of it has changed."""
    decisive = [recipe_facts(recipe), seed, dataset.sha256, code_sha256(), library_versions(), training_precision()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _describe(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    fitted: Fitted,
    metrics: Metrics,
    expected: Baseline,
    gate_facts: GateFacts,
) -> Manifest:
    """States all facts of a version; its name, version and files are decided when it is published."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": "",
        "version": 0,
        "created": now(),
        "git_commit": git_commit(),
        "code_sha256": code_sha256(),
        "recipe": recipe_facts(recipe),
        "seed": seed,
        "dataset": {
            "name": "mnist",
            "canonical": dataset.canonical,
            "sha256": dataset.sha256,
            "training_images": fitted.training_images,
            "held_out_images": dataset.held_out_images,
            "test_images": len(dataset.x_test),
        },
        "libraries": library_versions(),
        "parameters": fitted.network.count_params(),
        "multiply_accumulates": multiply_accumulates(fitted.network),
        "microseconds_per_image": None,
        "training_seconds": round(fitted.seconds, 1),
        "metrics": metrics,
        "baseline": expected,
        "gate": gate_facts,
        "files": {},
    }

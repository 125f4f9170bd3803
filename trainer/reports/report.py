"""Writes a version's training report: one HTML file that needs no network and no script.

Its content comes from `facts.py` and `diagnosis.py`, its layout from `report.html.template`.
"""

import math
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from trainer.reports import facts
from trainer.reports.charts import Line, line_chart, reliability_chart
from trainer.reports.diagnosis import Bin, Mistake, confident_mistakes, confusion, reliability
from trainer.reports.facts import Table, percent
from trainer.reports.findings import Findings
from trainer.reports.markup import Html, element, figure, picture, scrolling, section, table, to_html
from trainer.versions.manifest import Manifest
from trainer.writing import written_to

REPORT_PATH = Path("assets.extra") / "report.html"
_TEMPLATE = Path(__file__).with_name("report.html.template")
_MOST_MISTAKES = 24
_INTERVALS = "In brackets: Wilson's interval at 95 %, in percent."
_STRONGEST_TINT = 0.3  # text on it keeps a contrast of 4.5 to 1 in both schemes


def write_report(folder: Path, findings: Findings) -> None:
    """Writes `assets.extra/report.html` into a version's folder.

    Raises:
        OSError: It can't be written.
    """
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        profile=to_html(facts.profile(findings.manifest)),
        seed=findings.manifest["seed"],
        created=to_html(facts.created(findings.manifest)),
        sections="\n".join(_sections(findings)),
    )
    path = folder / REPORT_PATH
    path.parent.mkdir(exist_ok=True)
    with written_to(path):
        path.write_text(page, encoding="utf-8")


def _sections(findings: Findings) -> list[Html]:
    """All parts of the page in order, without those that were not measured."""
    manifest, probabilities, labels = findings.manifest, findings.answers.probabilities, findings.labels
    metrics, counts = manifest["metrics"], confusion(probabilities, labels)
    parts = [
        _headline(findings),
        _facts("Quality gate", facts.gate(manifest)),
        _training(findings),
        _confusion(counts),
        _facts("Each digit", facts.per_class(counts), _INTERVALS),
        _mistakes(findings),
        _reliability(reliability(probabilities, labels), metrics["test_ece"]),
        _shares("Robustness", facts.corruptions(findings), list(facts.corruption_shares(findings).values())),
        _shares("Non-digits", facts.non_digits(manifest), list(metrics["non_digits_accepted"].values())),
        _facts("Cost", facts.cost(manifest)),
        _origin(findings),
    ]
    return [part for part in parts if part]


def _headline(findings: Findings) -> Html:
    metrics = findings.manifest["metrics"]
    return section(
        "How good it is",
        element(
            "p", element("strong", percent(metrics["test_accuracy"])), " of the test set is read right", class_="big"
        ),
        table(facts.headline(findings)),
        element("p", _INTERVALS, class_="quiet"),
    )


def _facts(title: str, content: Table, note: str = "") -> Html:
    if not content.rows:
        return Html()
    return section(title, table(content), *([element("p", note, class_="quiet")] if note else []))


def _shares(title: str, content: Table, shares: list[float]) -> Html:
    return section(title, table(content, shares)) if content.rows else Html()


def _training(findings: Findings) -> Html:
    # A chart can't show NaN or infinity, and the report must not make the whole run fail.
    history = [
        epoch
        for epoch in findings.history
        if all(math.isfinite(epoch[name]) for name in ("loss", "held_out_nll", "held_out_accuracy"))
    ]
    if not history:
        return Html()
    epochs = [epoch["epoch"] for epoch in history]
    losses = [
        Line("training", [epoch["loss"] for epoch in history]),
        Line("held-out", [epoch["held_out_nll"] for epoch in history]),
    ]
    accuracies = [Line("held-out", [epoch["held_out_accuracy"] for epoch in history])]
    loss = line_chart("loss", "Loss of each epoch", epochs, losses, "{:g}".format)
    accuracy = line_chart("accuracy", "Held-out accuracy of each epoch", epochs, accuracies, _short_percent)
    return section(
        "Training",
        element(
            "div",
            figure(loss, f"Loss (nats) of each epoch. {_loss_note(findings.manifest)}"),
            figure(accuracy, "Accuracy on the images held out, of each epoch."),
            class_="pair",
        ),
    )


def _loss_note(manifest: Manifest) -> str:
    """Says what the training loss includes that the held-out loss does not."""
    note = (
        "The training loss is the mean over the epoch's steps, on augmented images and smoothed labels where the "
        "recipe has them, so it may lie above."
    )
    recipe = manifest["recipe"]
    if recipe.get("outliers_per_batch"):
        weight = recipe.get("outlier_weight")
        note += f" It includes the loss of telling outliers from digits (is_digit), times {weight}; held-out does not."
    return note


def _confusion(counts: NDArray[np.int64]) -> Html:
    """The matrix as a table: right answers framed, wrong ones tinted by their number."""
    digits = [str(digit) for digit in range(len(counts))]
    worst = max(1, int((counts - np.diag(counts.diagonal())).max()))
    head = element("tr", element("td"), *(element("th", digit, scope="col") for digit in digits))
    rows = [
        element(
            "tr",
            element("th", digits[label], scope="row"),
            *(_confusion_cell(label, answer, int(count), worst) for answer, count in enumerate(row)),
        )
        for label, row in enumerate(counts)
    ]
    matrix = element("table", element("thead", head), element("tbody", *rows), class_="matrix")
    note = "Rows are the true digits, columns the answers. Framed: right; tinted: wrong."
    return section("Confusion matrix", element("p", note, class_="quiet"), scrolling("Confusion matrix", matrix))


def _confusion_cell(label: int, answer: int, count: int, worst: int) -> Html:
    if label == answer:
        return element("td", str(count), class_="right")
    if count == 0:
        return element("td", "·", class_="none")
    return element("td", str(count), class_="wrong", style=f"--tint:{_STRONGEST_TINT * count / worst:.3f}")


def _mistakes(findings: Findings) -> Html:
    mistakes = confident_mistakes(findings.answers.probabilities, findings.labels, _MOST_MISTAKES)
    if not mistakes:
        return Html()
    shown = [element("li", _mistake(mistake, findings.images[mistake.index])) for mistake in mistakes]
    errors = findings.manifest["metrics"]["test_errors"]
    note = f"{len(mistakes)} of {errors:,}, as the network sees them; the most confident first."
    return section("Most confident mistakes", element("p", note, class_="quiet"), element("ul", *shown, class_="wall"))


def _mistake(mistake: Mistake, image: NDArray[np.uint8]) -> Html:
    caption = element(
        "figcaption",
        element("span", f"{mistake.label} read as {mistake.answer}"),
        element("span", percent(mistake.confidence), class_="quiet"),
    )
    return element("figure", picture(image, f"Test image {mistake.index}"), caption)


def _reliability(bins: list[Bin], calibration_error: float) -> Html:
    rows = [
        (
            f"{100 * each.low:.1f} to {100 * each.high:.1f} %",
            f"{each.images:,}",
            percent(each.confidence) if each.images else "none",
            facts.share(each.right, each.images),
        )
        for each in bins
    ]
    numbers = Table("Bins", ("Confidence", "Answers", "Mean", "Accuracy"), rows)
    chart = reliability_chart("reliability", "Accuracy over confidence", bins)
    caption = (
        "Accuracy of the answers in each fifteenth of confidence, with its 95 % interval; on the dashed line the two "
        f"are equal. Mean distance: {percent(calibration_error)}. Below: how many answers, on a logarithmic scale."
    )
    parts = element("div", figure(chart, caption), table(numbers), class_="beside")
    return section("Can its confidence be trusted?", parts)


def _origin(findings: Findings) -> Html:
    manifest = findings.manifest
    tables = [facts.recipe(manifest), facts.data(manifest), facts.digests(manifest), facts.libraries(manifest)]
    parts = [part for each in tables for part in (element("h3", each.name), table(each))]
    return section("How it was made", *parts)


def _short_percent(share: float) -> str:
    return f"{round(100 * share, 3):g} %"

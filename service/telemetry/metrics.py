"""The service's Prometheus metrics: names, labels and buckets, in a registry of their own.

HTTP        digits_http_requests_total{method,route,status} · digits_http_request_duration_seconds{route}
            · digits_http_requests_in_progress · digits_rejected_total{reason}
decoding    digits_decodings_in_progress · digits_decoding_wait_seconds
batching    digits_queue_rows · digits_queue_limit_rows · digits_queue_wait_seconds · digits_batch_rows
            · digits_inference_duration_seconds
predictions digits_predictions_total{digit,version} · digits_confidence{version} · digits_not_digits_total{version}
            · digits_drift_rows · digits_class_share_divergence · digits_confidence_divergence
versions    digits_ready · digits_model_versions{state} · digits_model_store_trouble
            · digits_model_info{name,version,…} · digits_model_loads_total{outcome}
            · digits_model_load_duration_seconds · digits_model_loaded_timestamp_seconds
process     digits_worker_restarts_total · process_* of prometheus-client, added up over the workers

Labels are bounded: routes are templates, versions the first 50 that answer, reasons are problem types. With several
workers the numbers are those of all of them, but for what the worker that is scraped serves and whether it is ready:
the others have the same, or will within a poll. Only the event loop's thread writes them.
"""

import functools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.problems import BY_STATUS, ClientGone, Internal, QueueFull
from service.telemetry.drift import Drift
from service.telemetry.instruments import Counter, Gauge, Histogram, RequestHistogram
from service.telemetry.tally import OTHER, Memory
from service.versions.loading import LoadedVersion

# A request takes 0.3 ms alone and some milliseconds under load: the usual buckets start at 5 ms and would see nothing.
SECONDS_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
LOAD_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# The manifest's baseline counts confidences in the same 20 bins.
CONFIDENCE_BUCKETS = tuple(round(edge / 20, 2) for edge in range(1, 21))
# The objectives limit how many requests of these may fail.
_PROMISED_ROUTES = ("/v1/predict", "/v1/read")
_LOAD_OUTCOMES = ("loaded", "rejected", "postponed")
_MODEL_LABELS = ("name", "version", "profile", "created", "test_accuracy")
# For these, the smallest value of any worker tells more than the sum.
_NOT_ADDED_UP = ("process_start_time_seconds", "process_max_fds")
_CPU_SECONDS = "process_cpu_seconds"
_DIGITS = tuple(str(digit) for digit in range(10))
# Versions with series of their own, 34 each. Their digits, and those of all other versions together, fit into 512 rows.
_NAMED_VERSIONS = 50


class Metrics(Collector):
    """Every metric of one service; two services in one process don't share any."""

    def __init__(self, memory: Memory | None = None) -> None:
        """Make the metrics, in memory that workers share or in this process's own."""
        self.memory = memory = memory or Memory()
        self._serving: LoadedVersion | None = None
        self._condition: list[GaugeMetricFamily] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)

        self.requests = Counter(
            memory, "digits_http_requests", "Requests answered", labels=["method", "route", "status"]
        )
        self.request_duration = RequestHistogram(
            memory,
            "digits_http_request_duration_seconds",
            "From the request's header, read to its end, to the answer's last byte",
            SECONDS_BUCKETS,
            ["route"],
        )
        self.requests_in_progress = Gauge(memory, "digits_http_requests_in_progress", "Requests being answered")
        self.rejected = Counter(memory, "digits_rejected", "Requests answered with a problem", ["reason"])

        self.decodings_in_progress = Gauge(
            memory, "digits_decodings_in_progress", "Pictures and large bodies being decoded or waiting for it"
        )
        self.decoding_wait = Histogram(
            memory, "digits_decoding_wait_seconds", "How long pictures and bodies waited for a thread", SECONDS_BUCKETS
        )

        self.queue_rows = Gauge(memory, "digits_queue_rows", "Rows waiting for a batch")
        self.queue_limit = Gauge(memory, "digits_queue_limit_rows", "Rows that may wait; more are answered with 429")
        self.queue_wait = Histogram(
            memory, "digits_queue_wait_seconds", "How long rows waited for their batch", SECONDS_BUCKETS
        )
        self.batch_rows = Histogram(memory, "digits_batch_rows", "Rows in a batch", ROWS_BUCKETS)
        self.inference_duration = Histogram(
            memory, "digits_inference_duration_seconds", "Running the network on one batch", SECONDS_BUCKETS
        )

        self.predictions = Counter(memory, "digits_predictions", "Predicted digits", ["digit", "version"])
        self.confidence = Histogram(
            memory, "digits_confidence", "Confidence of predictions", CONFIDENCE_BUCKETS, ["version"]
        )
        self.not_digits = Counter(
            memory, "digits_not_digits", "Predictions of what does not look like a digit", ["version"]
        )

        self._version_names = {int(name): name for (name,) in self.confidence.known if name != OTHER}

        self.loads = Counter(memory, "digits_model_loads", "Versions loaded, rejected or postponed", ["outcome"])
        self.load_duration = Histogram(
            memory, "digits_model_load_duration_seconds", "Loading a version, preparing included", LOAD_SECONDS_BUCKETS
        )
        self.worker_restarts = Counter(memory, "digits_worker_restarts", "Workers started in the place of others")
        self.drift = Drift(memory)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show the series of the alerts from the start: a rate ignores the value that a counter has when first seen."""
        for problem in (*BY_STATUS.values(), ClientGone):
            self.rejected.inc(problem.reason, by=0)
        for route in _PROMISED_ROUTES:
            for status in BY_STATUS:
                if status >= Internal.status or status == QueueFull.status:
                    self.requests.inc("POST", route, str(status), by=0)
        for outcome in _LOAD_OUTCOMES:
            self.loads.inc(outcome, by=0)

    def serve(self, version: LoadedVersion) -> None:
        """Record the version that serves from now on."""
        self._serving = version
        self.drift.compare_with(version.number, version.manifest.baseline)
        self.memory.note_served(version.number)

    def predicted(self, version: int, probabilities: NDArray[np.float32], is_digit: list[bool] | None = None) -> None:
        """Count predictions; probabilities is float32 [n, 10], is_digit has a flag per row, if the version tells it."""
        number = self._version_names.get(version) or self._name(version)
        if is_digit is not None and False in is_digit:
            self.not_digits.inc(number, by=is_digit.count(False))
        if len(probabilities) == 1:  # most requests: avoids the overhead of four NumPy calls
            row = probabilities[0].tolist()
            confidence = max(row)
            digit = row.index(confidence)
            self.predictions.inc(_DIGITS[digit], number)
            self.confidence.observe(confidence, number)
            self.drift.predicted(version, digit, confidence)
            return
        counts = np.bincount(probabilities.argmax(axis=1), minlength=10).tolist()
        for label, count in zip(_DIGITS, counts, strict=True):
            if count:
                self.predictions.inc(label, number, by=count)
        confidences = probabilities.max(axis=1).astype(np.float64)
        self.confidence.observe_all(confidences, number)
        self.drift.predicted_all(version, counts, confidences)

    def _name(self, version: int) -> str:
        """The label of a version that has none yet: its number, or `OTHER` once there are too many versions."""
        if len(self._version_names) >= _NAMED_VERSIONS:
            return OTHER
        return self._version_names.setdefault(version, str(version))

    def note_condition(self, *, ready: bool, versions: Mapping[str, int], trouble: bool) -> None:
        """Record this worker's current state, for the scrape that is about to be answered.

        Args:
            ready: Whether /health/ready answers 200.
            versions: How many versions are in each state; every state is named.
            trouble: Whether the model store or its policy cannot be followed.
        """
        by_state = GaugeMetricFamily("digits_model_versions", "Versions by their state", labels=["state"])
        for state, count in versions.items():
            by_state.add_metric((state,), count)
        self._condition = [
            GaugeMetricFamily("digits_ready", "1 while a version serves and the process is not draining", int(ready)),
            by_state,
            GaugeMetricFamily(
                "digits_model_store_trouble", "1 while the model store or its policy cannot be followed", int(trouble)
            ),
        ]

    def collect(self) -> Iterator[Metric]:
        """Everything, for a scrape."""
        yield from (
            instrument.collect()
            for instrument in vars(self).values()
            if isinstance(instrument, Counter | Gauge | Histogram)
        )
        yield from self.drift.collect()
        yield from self._condition
        yield from self._collect_serving()
        yield from _collect_processes(self.memory)

    def _collect_serving(self) -> Iterator[Metric]:
        """The version that this worker serves; the others serve it too, or will within a poll."""
        info = GaugeMetricFamily("digits_model_info", "The version that serves", labels=_MODEL_LABELS)
        loaded = GaugeMetricFamily(
            "digits_model_loaded_timestamp_seconds", "When the version that serves was loaded", labels=()
        )
        if self._serving is not None:
            manifest = self._serving.manifest
            profile, accuracy = str(manifest.recipe.get("profile", "")), f"{manifest.metrics.test_accuracy:.4f}"
            info.add_metric(
                (manifest.name, str(self._serving.number), profile, manifest.created.isoformat(), accuracy), 1
            )
            loaded.add_metric((), self._serving.loaded_at_seconds)
        yield info
        yield loaded


def _collect_processes(memory: Memory) -> Iterator[Metric]:
    """prometheus-client's process metrics, for all workers together."""
    together: dict[str, Metric] = {}
    for worker, process in enumerate(memory.processes):
        if not process:
            continue
        for metric in ProcessCollector(pid=functools.partial(int, process), registry=None).collect():
            value = metric.samples[0].value
            if metric.name == _CPU_SECONDS:  # a counter: must not fall when a worker is replaced
                memory.note_cpu_seconds(worker, value)
                value = memory.cpu_seconds
            elif metric.name in together:
                before = together[metric.name].samples[0].value
                value = min(before, value) if metric.name in _NOT_ADDED_UP else before + value
            metric.samples = [metric.samples[0]._replace(value=value)]
            together[metric.name] = metric
    yield from together.values()

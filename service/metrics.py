"""The service's Prometheus metrics: names, labels and buckets, in a registry of their own.

HTTP        digits_http_requests_total{method,route,status} · digits_http_request_duration_seconds{route}
            · digits_http_requests_in_progress · digits_rejected_total{reason}
batching    digits_queue_rows · digits_queue_wait_seconds · digits_batch_rows · digits_inference_duration_seconds
predictions digits_predictions_total{digit,version} · digits_confidence{version}
versions    digits_model_info{name,version,…} · digits_model_loads_total{outcome}
            · digits_model_load_duration_seconds · digits_model_loaded_timestamp_seconds

Labels are bounded: routes are templates, versions are those that were loaded, reasons are problem types.
"""

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from service.loading import LoadedVersion

# A request takes 0.3 ms alone and some milliseconds under load: the usual buckets start at 5 ms and would see nothing.
SECONDS_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
LOAD_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# The manifest's baseline counts confidences in the same 20 bins.
CONFIDENCE_BUCKETS = tuple(round(edge / 20, 2) for edge in range(1, 21))
_MODEL_LABELS = ("name", "version", "profile", "created", "test_accuracy")


class Metrics:
    """Every metric of one service; two services in one process don't share any."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

        self.requests = self._counter("http_requests", "Requests answered", ["method", "route", "status"])
        self.request_duration = self._histogram(
            "http_request_duration_seconds",
            "From the request's first byte to the answer's last",
            ["route"],
        )
        self.requests_in_progress = self._gauge("http_requests_in_progress", "Requests being answered")
        self.rejected = self._counter("rejected", "Requests answered with a problem", ["reason"])

        self.queue_rows = self._gauge("queue_rows", "Rows waiting for a batch")
        self.queue_wait = self._histogram("queue_wait_seconds", "How long rows waited for their batch")
        self.batch_rows = self._histogram("batch_rows", "Rows in a batch", buckets=ROWS_BUCKETS)
        self.inference_duration = self._histogram("inference_duration_seconds", "Running the network on one batch")

        self.predictions = self._counter("predictions", "Predicted digits", ["digit", "version"])
        self.confidence = self._histogram(
            "confidence", "Confidence of predictions", ["version"], buckets=CONFIDENCE_BUCKETS
        )

        self.model = self._gauge("model_info", "The version that serves", list(_MODEL_LABELS))
        self.loads = self._counter("model_loads", "Versions loaded or rejected", ["outcome"])
        self.load_duration = self._histogram(
            "model_load_duration_seconds",
            "Loading a version, preparing included",
            buckets=LOAD_SECONDS_BUCKETS,
        )
        self.loaded_timestamp = self._gauge("model_loaded_timestamp_seconds", "When the version that serves was loaded")

    def serve(self, version: LoadedVersion) -> None:
        """Record the version that serves from now on."""
        manifest = version.manifest
        profile, accuracy = manifest.recipe.get("profile", ""), f"{manifest.metrics.test_accuracy:.4f}"
        self.model.clear()
        self.model.labels(manifest.name, version.number, profile, manifest.created.isoformat(), accuracy).set(1)
        self.loaded_timestamp.set(version.loaded_at_seconds)

    def predicted(self, version: int, probabilities: NDArray[np.float32]) -> None:
        """Count predictions; probabilities is float32 [n, 10]."""
        counts = np.bincount(probabilities.argmax(axis=1), minlength=10)
        for digit in np.flatnonzero(counts):
            self.predictions.labels(str(digit), str(version)).inc(int(counts[digit]))
        confidence = self.confidence.labels(str(version))
        for value in probabilities.max(axis=1).tolist():
            confidence.observe(value)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"digits_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"digits_{name}", text, labels or [], registry=self.registry)

    def _histogram(
        self,
        name: str,
        text: str,
        labels: list[str] | None = None,
        buckets: tuple[float, ...] = SECONDS_BUCKETS,
    ) -> Histogram:
        return Histogram(f"digits_{name}", text, labels or [], buckets=buckets, registry=self.registry)

"""Metrics for Prometheus: requests, latency, the queue, batches, what was predicted. No text, no token and no client is in them."""

from collections import Counter as Tally
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sparknlp_tx.inference.engine import EngineStats

LATENCIES = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
PREFIX = "sparknlp_tx_"


class ServerMetrics:
    """The metrics of a server, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        self.requests = counter("requests", "Requests, by path and status", "path", "status")
        self.latency = Histogram(
            PREFIX + "request_seconds", "Seconds of a request", ["path"], buckets=LATENCIES, registry=registry
        )
        self.queue = Gauge(PREFIX + "queue_texts", "Texts that wait", registry=registry)
        self.batch_rows = Histogram(
            PREFIX + "batch_rows", "Rows scored at once", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=registry
        )
        self.rows = counter("rows", "Rows scored, by model version", "version")
        self.tokens = counter("tokens", "Tokens scored")
        self.padding = counter("padding_tokens", "Tokens of padding")
        self.second_looks = counter("second_looks", "Texts scored again at full precision")
        self.labels = counter("predictions", "Rows by predicted label", "version", "label")
        self.confidence = Histogram(
            PREFIX + "confidence", "Probability of the predicted label", ["version"], buckets=CONFIDENCES, registry=registry
        )
        self.version = Gauge(PREFIX + "model", "1 for each version that serves", ["version", "role"], registry=registry)
        self.reloads = counter("reloads", "Looks at an alias that found another version, by outcome", "outcome")
        self.telemetry_dropped = Gauge(PREFIX + "telemetry_dropped_rows", "Rows of telemetry not written", registry=registry)
        self.shadow = counter("shadow_rows", "Rows scored by the shadow: agree, differ, dropped", "outcome")

    def batch(self, stats: EngineStats, rows: int) -> None:
        """Count a batch."""
        self.batch_rows.observe(rows)
        self.tokens.inc(stats.tokens)
        self.padding.inc(max(0, stats.padded_tokens - stats.tokens))
        self.second_looks.inc(stats.second_looks)

    def predicted(self, version: str, labels: Sequence[Any], confidence: np.ndarray | None) -> None:
        """Count the rows of a request by label and confidence; confidence: float64 [n], NaN where there is none."""
        self.rows.labels(version).inc(len(labels))
        lists = (label if isinstance(label, list) else (label,) for label in labels)
        for name, rows in Tally(chain.from_iterable(lists)).items():
            if isinstance(name, str):  # no numbers
                self.labels.labels(version, name).inc(rows)
        if confidence is not None:
            observe = self.confidence.labels(version).observe
            for value in confidence[~np.isnan(confidence)].tolist():
                observe(value)

    def serves(self, versions: dict[str, str]) -> None:
        """Set which versions serve, by role."""
        self.version.clear()
        for role, version in versions.items():
            self.version.labels(version, role).set(1)

    def page(self, waiting: int, dropped: int) -> bytes:
        """The page that Prometheus reads; waiting: texts in the queue, dropped: rows of telemetry."""
        self.queue.set(waiting)
        self.telemetry_dropped.set(dropped)
        return generate_latest(self.registry)

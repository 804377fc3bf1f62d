"""What Prometheus is told."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from imagefinder.serve.jobs import Job

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The figures of one service; each has a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "imagefinder_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "imagefinder_request_seconds",
            "From a request's first byte to the answer's last.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "imagefinder_stage_seconds",
            "The stages of a search: fetch, wait, decode, queue, embed, search.",
            ("stage",),
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "imagefinder_batch_size",
            "Images embedded together.",
            buckets=IMAGES,
            registry=registry,
        )
        self.rejected = Counter(
            "imagefinder_rejected",
            "Requests answered 503 because too many were waiting, or it took too long.",
            registry=registry,
        )
        self.dropped = Counter(
            "imagefinder_dropped",
            "Requests given up because their clients had gone.",
            registry=registry,
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A figure that is asked for when Prometheus asks."""
        Gauge(f"imagefinder_{name}", text, registry=self._registry).set_function(value)

    def observe(self, job: Job) -> None:
        """The stages that a job went through."""
        for stage, seconds in job.seconds.items():
            self.stage_seconds.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

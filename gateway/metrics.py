"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


class Metrics:
    """The numbers of one gateway.

    Attributes:
        requests: answers of HTTP, by method, route and status.
        jobs: jobs that ended, by workflow and state.
        seconds: of the GPU for each job that ended well.
        cost: $ of those seconds.
        restarts: how often ComfyUI was ended because its worker was dead.
        waiting, running: jobs now.
        ready: 1 or 0.
        stored: bytes of images.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_requests", "answers", ["method", "route", "status"], registry=self._registry
        )
        self.jobs = Counter("gateway_jobs", "jobs that ended", ["workflow", "state"], registry=self._registry)
        self.seconds = Histogram(
            "gateway_job_seconds", "GPU time", ["workflow"], buckets=_BUCKETS, registry=self._registry
        )
        self.cost = Counter("gateway_cost_dollars", "cost of GPU time", registry=self._registry)
        self.restarts = Counter("gateway_comfyui_restarts", "dead workers ended", registry=self._registry)
        self.waiting = Gauge("gateway_jobs_waiting", "jobs that wait", registry=self._registry)
        self.running = Gauge("gateway_jobs_running", "jobs that run", registry=self._registry)
        self.ready = Gauge("gateway_ready", "1 if an image can be made", registry=self._registry)
        self.stored = Gauge("gateway_stored_bytes", "bytes of images", registry=self._registry)

    def text(self) -> bytes:
        """Return all in Prometheus' format."""
        return generate_latest(self._registry)

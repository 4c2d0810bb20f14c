"""`GET /metrics`: numbers about runs, requests and processes, for Prometheus.

Labels are words of ours only (outcomes, model families, route templates), never a client's: their number is bounded. A
run is counted when it ends; its events cost nothing.

    with metrics.run("chat", id=completion.id) as observed:
        ...
        observed.took("warm")
        observed.first_text()
        observed.finished(end, model)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    exposition,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ccapi.errors import CcapiError
from ccapi.gateway import logs
from ccapi.redact import redact
from ccapi.wire.events import RunFailed, RunFinished, Usage

log = logging.getLogger(__name__)

Api = Literal["chat", "responses"]
Start = Literal["warm", "live", "cold"]
Load = tuple[int, int, int]  # runs that go on, slots, requests that wait

STARTS: tuple[Start, ...] = ("warm", "live", "cold")
FAMILIES = ("opus", "sonnet", "haiku")
OTHER = "other"
CLIENT_LEFT = "client_left"
CANCELLED = "cancelled"
UNEXPECTED = "error"
# Seconds. A warm first text takes 0.1, a question without tools some, an agent's work an hour.
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_SHORT = (0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_KINDS = ("input", "output", "cache_read", "cache_creation")


class Metrics:
    """The numbers of one gateway: a registry of its own, so that two gateways in a process do not share them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which nothing reads
        self._registry = CollectorRegistry()
        self.runs = self._counter("runs", "Runs by how they ended.", "api", "outcome", "model_family")
        self.first_text_seconds = self._histogram(
            "run_first_text_seconds", "From the request to the first text, by the kind of process.", _SHORT, "start"
        )
        self.run_seconds = self._histogram("run_seconds", "From the request to the end of its run.", _LONG, "api")
        self.queue_seconds = self._histogram("run_queue_seconds", "How long runs waited for a slot.", _LONG)
        self.tokens = self._counter("tokens", "Tokens, as Claude Code counts them.", "kind", "model_family")
        self.cost = self._counter("cost_usd", "US dollars, as Claude Code counts them.", "model_family")
        self.takes = self._counter("pool_takes", "Processes given to runs, by kind.", "result")
        self.requests = self._counter("http_requests", "HTTP requests that were answered.", "method", "route", "status")
        self.request_seconds = self._histogram("http_request_seconds", "Time to the end of an answer.", _LONG, "route")
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(registry=self._registry)
        for start in STARTS:  # a rate can only be told of a series that was there before
            self.takes.labels(start)
            self.first_text_seconds.labels(start)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"ccapi_{name}", words, labels, registry=self._registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"ccapi_{name}", words, labels, buckets=buckets, registry=self._registry)

    def watch(self, *, slots: Callable[[], Load], idle: Callable[[], Mapping[str, int]]) -> None:
        """What is asked at each scrape: `slots` as in `Load`, `idle` the processes that wait in the pool, by kind."""
        self._state.slots, self._state.idle = slots, idle

    def run(self, api: Api, *, id: str) -> ObservedRun:  # noqa: A002 -- it is the answer's id
        """Enter it before the run asks for its slot: the time in the queue, and a refusal, count as well."""
        return ObservedRun(self, api, id)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """For `logs.request_context`."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    async def handle(self, request: web.Request) -> web.Response:
        del request
        body, content_type = self.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    def render(self) -> tuple[bytes, str]:
        """The body, and its content type. Reads /proc: a few ms."""
        return exposition.generate_latest(self._registry), exposition.CONTENT_TYPE_LATEST


class ObservedRun:
    """One run from the request to the end, counted once, when the block is left; then its line is logged."""

    def __init__(self, metrics: Metrics, api: Api, id: str) -> None:  # noqa: A002
        self.api = api
        self.id = id
        self.messages = 0  # of the assistant; set by whoever counts them
        self.model: str | None = None  # may be set as soon as it is known: a run that fails has one, too
        self.start: Start | None = None
        self.end: RunFinished | RunFailed | None = None
        self._metrics = metrics
        self._queued: float | None = None
        self._first_text: float | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def admitted(self) -> None:
        """It has its slot."""
        self._queued = self._seconds()

    def took(self, start: Start) -> None:
        """It has a process, from there."""
        self.start = start
        self._metrics.takes.labels(start).inc()

    def first_text(self) -> None:
        """The first text for the client is there. Later calls mean nothing."""
        if self._first_text is None:
            self._first_text = self._seconds()

    def finished(self, end: RunFinished | RunFailed, model: str | None) -> None:
        """The terminal event, and the model that answered."""
        self.end, self.model = end, model or self.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome, reason = self._outcome(error)
        seconds, family = self._seconds(), model_family(self.model)
        self._metrics.runs.labels(self.api, outcome, family).inc()
        self._metrics.run_seconds.labels(self.api).observe(seconds)
        if self._queued is not None:
            self._metrics.queue_seconds.observe(self._queued)
        if self._first_text is not None:
            self._metrics.first_text_seconds.labels(self.start or "cold").observe(self._first_text)
        usage = self.end.usage if self.end else Usage()
        cost = max(0.0, self.end.cost_usd) if isinstance(self.end, RunFinished) else 0.0
        self._count_tokens(usage, family)
        self._metrics.cost.labels(family).inc(cost)
        self._log(outcome, reason, seconds, usage, cost)

    def _outcome(self, error: BaseException | None) -> tuple[str, str]:
        """The label, and the words for the log."""
        match self.end, error:
            case (RunFailed(error=failed), _) | (_, CcapiError() as failed):  # also of an answer that was no use
                return failed.code, f"{failed.code}: {redact(failed.message)}"
            case RunFinished(finish_reason=reason), _:
                return reason, reason
            case _, asyncio.CancelledError() | ConnectionError():
                return CLIENT_LEFT, "left by the client"
            case _, None:
                return CANCELLED, "cancelled"
        return UNEXPECTED, type(error).__name__

    def _count_tokens(self, usage: Usage, family: str) -> None:
        numbers = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_creation_tokens)
        for kind, number in zip(_KINDS, numbers, strict=True):
            self._metrics.tokens.labels(kind, family).inc(max(0, number))

    def _log(self, outcome: str, reason: str, seconds: float, usage: Usage, cost: float) -> None:
        facts = logs.fields(
            run=self.id,
            api=self.api,
            model=self.model,
            outcome=outcome,
            start=self.start,
            queue_seconds=_rounded(self._queued),
            first_text_seconds=_rounded(self._first_text),
            seconds=_rounded(seconds),
            messages=self.messages,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_creation_tokens=usage.cache_creation_tokens,
            cost_usd=cost,
            session=self.end.session_id if isinstance(self.end, RunFinished) else None,
        )
        failed = isinstance(self.end, RunFailed) or outcome == UNEXPECTED
        log.log(
            logging.WARNING if failed else logging.INFO,
            "%s model=%s seconds=%.1f: Aggregated %d assistant messages; %s",  # people search their logs for this
            *(self.id, self.model or "-", seconds, self.messages, reason),
            extra=facts,
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def model_family(model: str | None) -> str:
    """The label for a model, whatever its id."""
    name = (model or "").lower()
    return next((family for family in FAMILIES if family in name), OTHER)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# --- what is asked at each scrape


class _State(Collector):
    """Gauges of what is there at this moment."""

    def __init__(self) -> None:
        self.slots: Callable[[], Load] = lambda: (0, 0, 0)
        self.idle: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterable[Metric]:
        active, slots, waiting = self.slots()
        yield GaugeMetricFamily("ccapi_runs_active", "Runs that go on.", active)
        yield GaugeMetricFamily("ccapi_run_slots", "Runs that may go on at once.", slots)
        yield GaugeMetricFamily("ccapi_queue_length", "Requests that wait for a slot.", waiting)
        idle = GaugeMetricFamily("ccapi_pool_idle_processes", "Processes that wait for a run.", labels=("kind",))
        for kind, number in {"warm": 0, "live": 0, **self.idle()}.items():
            idle.add_metric([kind], number)
        yield idle
        if (sizes := [private_memory(pid) for pid in children()]) or Path("/proc/self/task").is_dir():
            yield GaugeMetricFamily("ccapi_children_processes", "Processes below the gateway's.", len(sizes))
            yield GaugeMetricFamily("ccapi_children_memory_bytes", "Memory that only these processes use.", sum(sizes))


def children(pid: int | str = "self") -> Iterator[int]:
    """The processes below a process, at any depth (Linux; none where /proc does not tell)."""
    for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text("ascii").split():
                yield int(child)
                yield from children(child)


def private_memory(pid: int) -> int:
    """Bytes that would be free without the process: what it shares with others, such as its program, does not count."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:")))
    return sum(int(words[1]) * 1024 for words in lines)

"""The numbers: what is counted when, under which labels, and the line that each run leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ccapi.errors import Busy, CcapiError, NotSignedIn, RunTimeout, StructuredOutputFailed
from ccapi.gateway.metrics import FAMILIES, OTHER, Metrics, ObservedRun, children, model_family, private_memory
from ccapi.wire.events import RunFailed, RunFinished, Usage
from tests.gateway.harness import await_that

USAGE = Usage(input_tokens=1, output_tokens=20, cache_read_tokens=300, cache_creation_tokens=4000)
FINISHED = RunFinished("session-1", "stop", USAGE, cost_usd=0.25)
SECRET = "sk-ant-oat01-0123456789abcdef"


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by its name and labels, such as `ccapi_runs_total{api=chat,outcome=stop}`."""
    body, _ = metrics.render()
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def outcomes(metrics: Metrics) -> dict[str, float]:
    """How many runs ended how."""
    pattern = re.compile(r"ccapi_runs_total\{api=chat,model_family=\w+,outcome=(\w+)\}")
    return {found[1]: value for name, value in samples(metrics).items() if (found := pattern.fullmatch(name))}


@contextlib.contextmanager
def run(metrics: Metrics, *, fails: BaseException | None = None) -> Iterator[ObservedRun]:
    """A run that `fails` inside, or not."""
    expected = contextlib.suppress(type(fails)) if fails else contextlib.nullcontext()
    with expected, metrics.run("chat", id="chatcmpl-1") as observed:
        yield observed
        if fails:
            raise fails


# --- runs


def test_a_run_that_ended_well_is_counted_once() -> None:
    """Outcome, times, tokens, cost, and where its process came from."""
    metrics = Metrics()
    with run(metrics) as observed:
        observed.admitted()
        observed.took("warm")
        observed.first_text()
        observed.first_text()
        observed.finished(FINISHED, "claude-sonnet-4-5")
    found = samples(metrics)
    expected = {
        "ccapi_runs_total{api=chat,model_family=sonnet,outcome=stop}": 1,
        "ccapi_run_seconds_count{api=chat}": 1,
        "ccapi_run_queue_seconds_count{}": 1,
        "ccapi_run_first_text_seconds_count{start=warm}": 1,
        "ccapi_run_first_text_seconds_count{start=cold}": 0,
        "ccapi_pool_takes_total{result=warm}": 1,
        "ccapi_pool_takes_total{result=cold}": 0,
        "ccapi_tokens_total{kind=input,model_family=sonnet}": 1,
        "ccapi_tokens_total{kind=output,model_family=sonnet}": 20,
        "ccapi_tokens_total{kind=cache_read,model_family=sonnet}": 300,
        "ccapi_tokens_total{kind=cache_creation,model_family=sonnet}": 4000,
        "ccapi_cost_usd_total{model_family=sonnet}": 0.25,
    }
    assert {name: found[name] for name in expected} == expected
    assert not any("_created" in name for name in found)


def test_times_begin_with_the_request() -> None:
    """What a client waits for is the queue, the start and the model together."""
    metrics = Metrics()
    with run(metrics) as observed:
        time.sleep(0.06)
        observed.first_text()
        time.sleep(0.06)
        observed.finished(FINISHED, "sonnet")
    found = samples(metrics)
    first_text = found["ccapi_run_first_text_seconds_sum{start=cold}"]
    assert 0.06 <= first_text <= found["ccapi_run_seconds_sum{api=chat}"] - 0.06


@pytest.mark.parametrize(
    ("end", "fails", "outcome"),
    [
        (FINISHED, None, "stop"),
        (RunFinished("s", "length"), None, "length"),
        (RunFinished("s", "content_filter"), None, "content_filter"),
        (RunFailed(RunTimeout("no sign of life")), None, "run_timeout"),
        (RunFailed(NotSignedIn("no")), NotSignedIn("no"), "not_signed_in"),
        (FINISHED, StructuredOutputFailed("the answer was no use"), "structured_output_failed"),
        (FINISHED, ConnectionResetError("it left when all was said"), "stop"),
        (None, Busy("all slots are taken"), "busy"),
        (None, asyncio.CancelledError(), "client_left"),
        (None, ConnectionResetError("the client does not read"), "client_left"),
        (None, None, "cancelled"),
        (None, ValueError("a mistake of ours"), "error"),
    ],
)
def test_every_way_to_end_has_a_name(
    end: RunFinished | RunFailed | None, fails: BaseException | None, outcome: str
) -> None:
    """And each run has exactly one."""
    metrics = Metrics()
    with run(metrics, fails=fails) as observed:
        if end:
            observed.finished(end, "sonnet")
    assert outcomes(metrics) == {outcome: 1}
    assert samples(metrics)["ccapi_run_seconds_count{api=chat}"] == 1


def test_a_run_without_text_has_no_first_text() -> None:
    """A run that failed must not make the times look good."""
    metrics = Metrics()
    with run(metrics) as observed:
        observed.took("cold")
        observed.finished(RunFailed(RunTimeout("no sign of life"), USAGE), None)
    found = samples(metrics)
    assert found["ccapi_run_first_text_seconds_count{start=cold}"] == 0
    assert found["ccapi_tokens_total{kind=output,model_family=other}"] == 20


@pytest.mark.parametrize("cost", [-1.0, math.nan])
def test_a_cost_that_is_none_counts_nothing(cost: float) -> None:
    """A counter only goes up."""
    metrics = Metrics()
    with run(metrics) as observed:
        observed.finished(RunFinished("s", "stop", cost_usd=cost), "opus")
    assert samples(metrics)["ccapi_cost_usd_total{model_family=opus}"] == 0


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("sonnet", "sonnet"),
        ("claude-3-5-haiku-20241022", "haiku"),
        ("opus[1m]", "opus"),
        ("us.anthropic.claude-Opus-4", "opus"),
        ("gpt-4o", OTHER),
        ("", OTHER),
        (None, OTHER),
    ],
)
def test_a_model_counts_with_its_family(model: str | None, family: str) -> None:
    """Whatever its id."""
    assert model_family(model) == family


@given(model=st.text())
def test_no_model_makes_a_label_of_its_own(model: str) -> None:
    """A client could otherwise fill the memory with series."""
    assert model_family(model) in {*FAMILIES, OTHER}


# --- the line


def test_a_run_leaves_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the sentence that people search for, and everything else as fields."""
    caplog.set_level(logging.INFO)
    with run(Metrics()) as observed:
        observed.took("live")
        observed.messages = 3
        observed.finished(FINISHED, "sonnet")
    (record,) = caplog.records
    line = r"chatcmpl-1 model=sonnet seconds=0\.\d: Aggregated 3 assistant messages; stop"
    assert re.fullmatch(line, record.getMessage())
    assert record.levelno == logging.INFO
    facts = vars(record)["fields"]
    assert facts.pop("seconds") < 30
    assert facts == {
        "run": "chatcmpl-1",
        "api": "chat",
        "model": "sonnet",
        "outcome": "stop",
        "start": "live",
        "messages": 3,
        "input_tokens": 1,
        "output_tokens": 20,
        "cache_read_tokens": 300,
        "cache_creation_tokens": 4000,
        "cost_usd": 0.25,
        "session": "session-1",
    }


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (RunFailed(RunTimeout(f"no sign with {SECRET}")), logging.WARNING),
        (Busy("all slots are taken"), logging.INFO),
        (asyncio.CancelledError(), logging.INFO),
        (ValueError("a mistake of ours"), logging.WARNING),
    ],
)
def test_a_failure_is_a_warning(error: RunFailed | BaseException, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """But not what the client did itself, or what a full queue is there for; no secret in either."""
    caplog.set_level(logging.INFO)
    with run(Metrics(), fails=None if isinstance(error, RunFailed) else error) as observed:
        observed.model = "haiku"
        if isinstance(error, RunFailed):
            observed.finished(error, None)
    (record,) = caplog.records
    assert record.levelno == level
    assert "model=haiku" in record.getMessage()
    assert "Aggregated 0 assistant messages" in record.getMessage()
    assert SECRET not in record.getMessage()


# --- all else


def test_two_gateways_do_not_share_numbers() -> None:
    """Each has a registry of its own."""
    one, other = Metrics(), Metrics()
    with run(one) as observed:
        observed.finished(FINISHED, "sonnet")
    assert outcomes(one) == {"stop": 1}
    assert outcomes(other) == {}


def test_what_is_there_now_is_asked_at_each_scrape() -> None:
    """Slots, queue and pool."""
    metrics = Metrics()
    idle = {"warm": 2}
    metrics.watch(slots=lambda: (3, 4, 5), idle=lambda: idle)
    idle["live"] = 1
    found = samples(metrics)
    assert found["ccapi_runs_active{}"] == 3
    assert found["ccapi_run_slots{}"] == 4
    assert found["ccapi_queue_length{}"] == 5
    assert found["ccapi_pool_idle_processes{kind=warm}"] == 2
    assert found["ccapi_pool_idle_processes{kind=live}"] == 1


def test_requests_are_counted_by_route_and_status() -> None:
    """With their time, by route only."""
    metrics = Metrics()
    metrics.request("POST", "/v1/responses", 200, 1.5)
    metrics.request("POST", "/v1/responses", 429, 0.1)
    found = samples(metrics)
    assert found["ccapi_http_requests_total{method=POST,route=/v1/responses,status=200}"] == 1
    assert found["ccapi_http_requests_total{method=POST,route=/v1/responses,status=429}"] == 1
    assert found["ccapi_http_request_seconds_count{route=/v1/responses}"] == 2


def test_the_memory_of_the_gateway_is_there() -> None:
    """As the standard metric that every dashboard knows."""
    assert samples(Metrics())["process_resident_memory_bytes{}"] > 10_000_000


HOG = "import sys, time; held = bytes(range(256)) * 160_000; print('there', flush=True); time.sleep(60)"


def test_the_memory_of_children_is_there_at_any_depth() -> None:
    """A child that holds 40 MB, below a child of ours; what was there before does not count here."""
    before = set(children())
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}], check=False)"
    child = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True)
    ours = {child.pid}
    try:
        assert child.stdout
        assert child.stdout.readline() == "there\n"
        ours = set(children()) - before
        assert child.pid in ours
        assert len(ours) == 2
        assert 40_960_000 <= sum(private_memory(pid) for pid in ours) < 80_000_000
        found = samples(Metrics())
        assert found["ccapi_children_processes{}"] >= 2
        assert found["ccapi_children_memory_bytes{}"] >= 40_960_000
    finally:
        for pid in ours:
            subprocess.run(["kill", str(pid)], check=True)
        child.communicate()
    await_that(lambda: not set(children()) - before, "no child is left")


def test_a_process_that_is_gone_takes_no_memory() -> None:
    """It may end while it is looked at."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert private_memory(gone.pid) == 0
    assert list(children(gone.pid)) == []


def test_every_error_is_a_label() -> None:
    """The codes are slugs: nothing in them must be quoted."""
    found, classes = set[str](), [CcapiError]
    while classes:
        one = classes.pop()
        found.add(one.code)
        classes += one.__subclasses__()
    assert all(re.fullmatch(r"[a-z_]+", code) for code in found)

"""How a run ended: results and API errors, as events and errors."""

from __future__ import annotations

from typing import Any

import pytest

from ccapi.agent import outcome
from ccapi.errors import (
    CcapiError,
    ClaudeFailed,
    ContextTooLong,
    InvalidRequest,
    ModelUnavailable,
    NotSignedIn,
    Overloaded,
    RateLimited,
    UpstreamDenied,
    UpstreamFailed,
)
from ccapi.wire.events import RunFailed, RunFinished, Usage
from tests.agent import streamjson as sj


def end(synthetic: str | None = None, *, slug: str = "", delay_ms: int = 0, **fields: Any) -> RunFinished | RunFailed:
    """What becomes of a `result` with these fields, after the CLI's own words (and its slug for them) if any."""
    lines = [sj.api_retry(529, delay_ms=delay_ms)] if delay_ms else []
    lines += [sj.synthetic(synthetic) | {"error": slug}] if synthetic else []
    _, decoder = sj.decode(sj.encoded([*lines, sj.result(**fields)]))
    assert decoder.result is not None
    return decoder.result


def failure(**options: Any) -> CcapiError:
    ended = end(**options)
    assert isinstance(ended, RunFailed)
    return ended.error


@pytest.mark.parametrize(
    ("status", "kind", "http", "openai_type"),
    [
        (400, InvalidRequest, 400, "invalid_request_error"),
        (401, NotSignedIn, 401, "authentication_error"),
        (403, UpstreamDenied, 403, "invalid_request_error"),
        (404, ModelUnavailable, 404, "invalid_request_error"),
        (413, InvalidRequest, 400, "invalid_request_error"),
        (429, RateLimited, 429, "rate_limit_error"),
        (500, UpstreamFailed, 502, "server_error"),
        (502, UpstreamFailed, 502, "server_error"),
        (503, Overloaded, 503, "server_error"),
        (529, Overloaded, 503, "server_error"),
        (None, UpstreamFailed, 502, "server_error"),
        (418, UpstreamFailed, 502, "server_error"),
    ],
)
def test_each_status_of_the_api_has_its_error(
    status: int | None, kind: type[CcapiError], http: int, openai_type: str
) -> None:
    """Class, HTTP status and OpenAI type, by the status that the model's API gave."""
    error = outcome.api_error(status, "API Error: text of the CLI", None)
    assert type(error) is kind
    assert (error.status, error.type) == (http, openai_type)


def test_a_missing_sign_in_says_how() -> None:
    """The hint names the command, the one without Docker too, and the variables."""
    error = outcome.api_error(401, "", None)
    for word in (
        "ccapi auth claude",
        "without Docker: `claude auth login`",
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
    ):
        assert word in (error.hint or "")


@pytest.mark.parametrize(("told", "answered"), [(1.217, 2), (60.0, 60), (None, 60)])
def test_a_rate_limit_says_when_to_come_back(told: float | None, answered: int) -> None:
    """Whole seconds, never less than the API asked for; a cautious default when it named none."""
    assert outcome.api_error(429, "API Error: 429", told).retry_after == answered


def test_a_success_is_finished_with_its_numbers() -> None:
    """Session, cost, turns and duration are Claude's own."""
    ended = end(session_id="s", total_cost_usd=0.25, num_turns=3, duration_ms=1234)
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_creation_tokens=2)
    assert ended == RunFinished("s", "stop", usage, cost_usd=0.25, turns=3, duration_ms=1234)


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        (None, "stop"),
        ("something_new", "stop"),
    ],
)
def test_the_finish_reason_follows_the_stop_reason(stop_reason: str | None, finish_reason: str) -> None:
    """OpenAI's three reasons for Claude's many."""
    ended = end(stop_reason=stop_reason)
    assert isinstance(ended, RunFinished)
    assert ended.finish_reason == finish_reason


def test_success_with_an_api_error_is_a_failure() -> None:
    """The CLI says `subtype: success` for an API error as well; `is_error` decides."""
    text = "API Error: 500 Internal server error"
    error = failure(synthetic=text, is_error=True, api_error_status=500, result=text)
    assert type(error) is UpstreamFailed
    assert "Internal server error" in error.message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Not logged in · Please run /login", NotSignedIn),
        ("Invalid API key · Fix external API key", NotSignedIn),
        ("API Error: Connection error.", UpstreamFailed),
        ("API Error: Unable to connect to API (ECONNREFUSED)", UpstreamFailed),
        ("something else", ClaudeFailed),
    ],
)
def test_an_error_without_a_status_is_told_by_its_text(text: str, kind: type[CcapiError]) -> None:
    """No credentials at all, an API that cannot be reached, and everything else."""
    assert type(failure(synthetic=text, is_error=True, result=text)) is kind


def test_an_error_in_the_run_names_its_reasons() -> None:
    """`errors` of the result, in one line."""
    error = failure(subtype="error_during_execution", is_error=True, errors=["first", "second"])
    assert type(error) is ClaudeFailed
    assert "first; second" in error.message


def test_a_result_without_any_reason_is_still_a_failure() -> None:
    """Nothing is known, and that is what it says."""
    message = failure(subtype="", is_error=True, errors=[], result=None).message
    assert message.endswith("no reason given")


def test_the_token_limit_is_told_by_its_slug() -> None:
    """The CLI gave up going on: what was said is the answer, cut at the limit."""
    ended = end("API Error: exceeded the 128000 output token maximum", slug="max_output_tokens", is_error=True)
    assert isinstance(ended, RunFinished)
    assert ended.finish_reason == "length"


def test_a_rate_limit_carries_the_last_delay_of_the_retries() -> None:
    """What the API asked for in its own retries is what the client is told."""
    error = failure(synthetic="API Error: 429", delay_ms=7400, is_error=True, api_error_status=429)
    assert type(error) is RateLimited
    assert error.retry_after == 8


def test_the_usage_of_a_failure_is_kept() -> None:
    """What was used until then counts."""
    ended = end(is_error=True, result="x")
    assert isinstance(ended, RunFailed)
    assert ended.usage.input_tokens == 10


@pytest.mark.parametrize("usage", [None, "many", [], {}, {"input_tokens": None}])
def test_missing_numbers_are_zero(usage: Any) -> None:
    """No number is invented, and none that is missing raises."""
    ended = end(usage=usage)
    assert isinstance(ended, RunFinished)
    assert ended.usage == Usage()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Prompt is too long", ContextTooLong),
        ("API Error: 400 prompt is too long: 250000 tokens > 200000 maximum", ContextTooLong),
    ],
)
def test_a_conversation_that_is_too_long_has_openais_code(text: str, kind: type[CcapiError]) -> None:
    """Clients look for it, to shorten what they send."""
    ended = end(synthetic=text, is_error=True)
    assert isinstance(ended, RunFailed)
    assert type(ended.error) is kind
    assert (ended.error.code, ended.error.status) == ("context_length_exceeded", 400)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Failed to authenticate. API Error: 403 OAuth authentication is not allowed", NotSignedIn),
        ("Please run /login · API Error: 403", NotSignedIn),
        ("Failed to authenticate. API Error: 403 Blocked by proxy", UpstreamDenied),
    ],
)
def test_a_403_is_a_missing_sign_in_only_if_it_says_so(text: str, kind: type[CcapiError]) -> None:
    """A proxy in between says 403 as well."""
    assert type(outcome.api_error(403, text, None)) is kind

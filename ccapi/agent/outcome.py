"""How a run ended: the CLI's `result` message and its API errors, as one of our events or errors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, TypeVar

from ccapi.errors import (
    CcapiError,
    ClaudeFailed,
    ContextTooLong,
    InvalidRequest,
    ModelUnavailable,
    NotSignedIn,
    Overloaded,
    RateLimited,
    SessionNotFound,
    StructuredOutputFailed,
    UpstreamDenied,
    UpstreamFailed,
)
from ccapi.wire.events import FinishReason, RunFailed, RunFinished, Usage

SIGN_IN_HINT = (
    "Sign in with `ccapi auth claude` (without Docker: `claude auth login`), "
    "or give the gateway ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN."
)
_End = TypeVar("_End", RunFinished, RunFailed)
# Seconds, when the API named no time: the CLI itself gives up at once if it is told to wait for longer than this.
DEFAULT_RETRY_AFTER = 60.0

# In a 403 that is about the account. (The CLI says "Failed to authenticate" of any, a proxy's included.)
_SIGN_IN = re.compile(r"/login|oauth|api[ -]?key|permission_error|authentication_error", re.IGNORECASE)
_NO_SESSION = re.compile(r"No (?:conversation|message) found with")
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
# Limits the caller set: the answer is as complete as the limit allows.
_LIMIT_SUBTYPES = frozenset({"error_max_turns", "error_max_budget_usd"})


@dataclass(frozen=True, slots=True)
class CliError:
    """The CLI's own (synthetic) message about an error: what it says, and the slug it gives it."""

    text: str
    slug: str


def from_result(
    message: Mapping[str, Any], *, cli_error: CliError | None, retry_after: float | None
) -> RunFinished | RunFailed:
    """The terminal event for a `result` message.

    `cli_error` is what the CLI said last about an error; `retry_after` the last delay it was told to wait, in seconds.
    """
    subtype = str(message.get("subtype", ""))
    if subtype in _LIMIT_SUBTYPES:
        return _finished(message, "length")
    reason = _FINISH_REASONS.get(str(message.get("stop_reason")))
    if subtype == "success" and (reason or not message.get("is_error")):
        return _finished(message, reason or "stop")
    if cli_error and cli_error.slug == "max_output_tokens":
        return _finished(message, "length")
    return RunFailed(_error(message, cli_error, retry_after), **_facts(message))


def _error(message: Mapping[str, Any], cli_error: CliError | None, retry_after: float | None) -> CcapiError:
    text = cli_error.text if cli_error else _error_text(message)
    status = message.get("api_error_status")
    if message.get("subtype") == "error_max_structured_output_retries":
        return StructuredOutputFailed("The model gave no output that fits the JSON schema", detail=text)
    if _NO_SESSION.search(text):
        return SessionNotFound("The session is no longer there", detail=text)
    if "prompt is too long" in text.lower():
        return ContextTooLong("The conversation is longer than the model can take", param="messages", detail=text)
    if isinstance(status, int):
        return api_error(status, text, retry_after)
    if "/login" in text or "Invalid API key" in text:  # no credentials at all: the CLI never asked the API
        return _not_signed_in(text)
    if "API Error" in text:  # the API was reached and broke off, or could not be reached
        return UpstreamFailed(text)
    return ClaudeFailed(f"Claude Code stopped with an error: {text}")


def api_error(status: int | None, text: str, retry_after: float | None) -> CcapiError:
    """Our error for a refusal of the model's API, by its HTTP status.

    Source: Anthropic API reference, "Errors".
    """
    detail = text or f"the model's API answered {status}"
    match status:
        case 401:
            return _not_signed_in(detail)
        case 403 if _SIGN_IN.search(text):
            return _not_signed_in(detail)
        case 403:
            return UpstreamDenied(f"The model's API refused access: {detail}")
        case 404:
            return ModelUnavailable("The model's API does not serve this model", param="model", detail=detail)
        case 429:
            wait = math.ceil(retry_after or DEFAULT_RETRY_AFTER)
            return RateLimited(f"The model's API refuses for its rate limit: {detail}", retry_after=wait)
        case 529 | 503:
            return Overloaded(f"The model's API is overloaded: {detail}", retry_after=math.ceil(retry_after or 1))
        case 400 | 413:
            return InvalidRequest(f"The model's API refused the request: {detail}")
        case _:
            return UpstreamFailed(f"The model's API failed: {detail}")


def _not_signed_in(detail: str) -> NotSignedIn:
    message = "Claude is not signed in, or its sign-in is no longer accepted"
    return NotSignedIn(message, hint=SIGN_IN_HINT, detail=detail)


def together(earlier: RunFinished | RunFailed | None, later: _End) -> _End:
    """Two results of one run as one: work in the background brings another turn after the first."""
    if not isinstance(earlier, RunFinished):
        return later
    columns = zip(astuple(earlier.usage), astuple(later.usage), strict=True)
    return replace(
        later,
        usage=Usage(*(sum(column) for column in columns)),
        cost_usd=earlier.cost_usd + later.cost_usd,
        turns=earlier.turns + later.turns,
        duration_ms=earlier.duration_ms + later.duration_ms,
    )


def usage_of(message: Mapping[str, Any]) -> Usage:
    """Tokens over all model calls since the last result, subagents' included; else those that `usage` has."""
    models = message.get(_SINCE_LAST_RESULT)
    if isinstance(models, Mapping) and models:
        counted = [_counts(one, *_BY_MODEL) for one in models.values()]
        return Usage(*(sum(column) for column in zip(*counted, strict=True)))
    return Usage(*_counts(message.get("usage"), *_BY_TURN))


# By model. (`modelUsage` and `total_cost_usd` count the whole session.)
_SINCE_LAST_RESULT = "model_usage_since_last_result"
# The CLI's names for the fields of `Usage`, in their order.
_BY_MODEL = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
_BY_TURN = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _counts(raw: Any, *names: str) -> list[int]:
    return [int(raw.get(name) or 0) if isinstance(raw, Mapping) else 0 for name in names]


def _finished(message: Mapping[str, Any], reason: FinishReason) -> RunFinished:
    return RunFinished(
        session_id=str(message.get("session_id", "")),
        finish_reason=reason,
        structured=message.get("structured_output"),
        **_facts(message),
    )


def _facts(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a run took, however it ended."""
    return {
        "usage": usage_of(message),
        "cost_usd": _cost(message),
        "turns": int(message.get("num_turns") or 0),
        "duration_ms": int(message.get("duration_ms") or 0),
    }


def _cost(message: Mapping[str, Any]) -> float:
    """US dollars, as the CLI reckons them by list price."""
    models = message.get(_SINCE_LAST_RESULT)
    if not isinstance(models, Mapping):
        return float(message.get("total_cost_usd") or 0.0)
    return sum(float(one.get("costUSD") or 0.0) for one in models.values() if isinstance(one, Mapping))


def _error_text(message: Mapping[str, Any]) -> str:
    errors = message.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(str(error) for error in errors)
    return str(message.get("result") or message.get("subtype") or "no reason given")

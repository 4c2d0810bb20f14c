"""The error tree: slugs, exit codes and statuses are promises to scripts and clients."""

from __future__ import annotations

import pytest

from ccapi import errors
from ccapi.errors import CcapiError, from_code

# slug: class, exit code of the command, HTTP status, OpenAI error type. A change here breaks somebody's script.
INVALID, SERVER = "invalid_request_error", "server_error"
TABLE = {
    "error": ("CcapiError", 1, 500, SERVER),
    "usage": ("UsageError", 2, 400, INVALID),
    "input_needed": ("InputNeeded", 3, 500, SERVER),
    "setting_invalid": ("SettingInvalid", 2, 500, SERVER),
    "invalid_request": ("InvalidRequest", 1, 400, INVALID),
    "not_found": ("NotFound", 1, 404, INVALID),
    "model_not_found": ("ModelNotFound", 1, 404, INVALID),
    "method_not_allowed": ("MethodNotAllowed", 1, 405, INVALID),
    "request_too_large": ("RequestTooLarge", 1, 413, INVALID),
    "unsupported_media_type": ("UnsupportedMediaType", 1, 415, INVALID),
    "request_refused": ("RequestRefused", 1, 403, INVALID),
    "wrong_host": ("WrongHost", 1, 421, INVALID),
    "not_signed_in": ("NotSignedIn", 4, 401, "authentication_error"),
    "rate_limited": ("RateLimited", 1, 429, "rate_limit_error"),
    "gateway_stopping": ("GatewayStopping", 1, 503, SERVER),
    "interrupted": ("Interrupted", 130, 500, SERVER),
    "unexpected": ("UnexpectedFailure", 1, 500, SERVER),
    "output_failed": ("OutputFailed", 1, 500, SERVER),
    "busy": ("Busy", 1, 429, "rate_limit_error"),
    "context_length_exceeded": ("ContextTooLong", 1, 400, INVALID),
    "upstream_denied": ("UpstreamDenied", 1, 403, INVALID),
    "upstream_failed": ("UpstreamFailed", 1, 502, SERVER),
    "upstream_overloaded": ("Overloaded", 1, 503, SERVER),
    "model_unavailable": ("ModelUnavailable", 1, 404, INVALID),
    "claude_not_found": ("ClaudeNotFound", 1, 503, SERVER),
    "claude_failed": ("ClaudeFailed", 1, 502, SERVER),
    "run_timeout": ("RunTimeout", 124, 504, SERVER),
    "docker_unavailable": ("DockerUnavailable", 5, 500, SERVER),
    "stack_failed": ("StackFailed", 1, 500, SERVER),
    "compose_failed": ("ComposeFailed", 1, 500, SERVER),
    "port_busy": ("PortBusy", 1, 409, INVALID),
    "stack_timeout": ("StackTimeout", 124, 500, SERVER),
    "gateway_unreachable": ("GatewayUnreachable", 1, 500, SERVER),
    "gateway_silent": ("GatewaySilent", 1, 500, SERVER),
    "gateway_protocol": ("GatewayProtocol", 1, 500, SERVER),
    "session_not_found": ("SessionNotFound", 1, 404, INVALID),
    "response_not_found": ("ResponseNotFound", 1, 404, INVALID),
    "invalid_api_key": ("KeyInvalid", 4, 401, "authentication_error"),
    "keys_unreadable": ("KeysUnreadable", 1, 503, SERVER),
    "not_permitted": ("NotPermitted", 1, 403, INVALID),
    "rate_limit_exceeded": ("TooManyRequests", 1, 429, "rate_limit_error"),
    "structured_output_failed": ("StructuredOutputFailed", 1, 502, SERVER),
    "no_code_block": ("NoCodeBlock", 1, 500, SERVER),
    "answer_incomplete": ("AnswerIncomplete", 1, 500, SERVER),
    "session_in_use": ("SessionInUse", 1, 409, INVALID),
    "store_failed": ("StoreFailed", 1, 503, SERVER),
    "workspace_unusable": ("WorkspaceUnusable", 1, 503, SERVER),
    "stack_secret_invalid": ("StackSecretInvalid", 1, 401, "authentication_error"),
    "login_refused": ("LoginRefused", 1, 400, INVALID),
    "login_known": ("LoginKnown", 1, 409, INVALID),
    "login_not_found": ("LoginNotFound", 1, 404, INVALID),
    "login_failed": ("LoginFailed", 1, 500, SERVER),
    "login_needed": ("LoginNeeded", 4, 500, SERVER),
    "no_registration": ("NoRegistration", 4, 500, SERVER),
    "code_incomplete": ("CodeIncomplete", 2, 400, INVALID),
    "login_timeout": ("LoginTimeout", 124, 500, SERVER),
    "proxy_unreachable": ("ProxyUnreachable", 1, 500, SERVER),
    "proxy_failed": ("ProxyFailed", 1, 500, SERVER),
    "scenario_invalid": ("ScenarioInvalid", 2, 500, SERVER),
}


def tree() -> list[type[CcapiError]]:
    """Every error class of `ccapi.errors`, the base included."""
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CcapiError)]


def test_slugs_exit_codes_and_statuses_stay_as_they_are() -> None:
    """The whole tree, as a table. A slug that two classes share would be missing here."""
    found = {kind.code: (kind.__name__, kind.exit_code, kind.status, kind.type) for kind in tree()}
    assert found == TABLE
    assert len(tree()) == len(TABLE)


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.code)
def test_a_slug_leads_back_to_its_class(kind: type[CcapiError]) -> None:
    """What crosses the wire as a slug is the same class on the other side."""
    assert from_code(kind.code) is kind


@pytest.mark.parametrize("code", [None, "", "of_a_newer_version"])
def test_an_unknown_slug_is_a_plain_failure(code: str | None) -> None:
    """An older command line survives a newer gateway."""
    assert from_code(code) is CcapiError


def test_two_classes_cannot_share_a_slug() -> None:
    """The mistake shows when the class is made, not when a user meets it."""
    with pytest.raises(TypeError, match="share the code 'usage'"):
        type("Another", (CcapiError,), {"code": "usage"})
    assert from_code("usage") is errors.UsageError


def test_what_an_error_carries() -> None:
    """The message is the exception's text; the rest is optional and stays apart from it."""
    error = errors.RateLimited("Too much", hint="Wait", param="model", retry_after=1.5, detail="secret")
    assert str(error) == error.message == "Too much"
    assert (error.hint, error.param, error.retry_after, error.detail) == ("Wait", "model", 1.5, "secret")
    bare = errors.RateLimited("Too much")
    assert (bare.hint, bare.param, bare.retry_after, bare.detail) == (None, None, None, None)


def test_exit_codes_are_the_documented_ones() -> None:
    """No error leaves the list that docs/operations.md gives."""
    assert {kind.exit_code for kind in tree()} <= {1, 2, 3, 4, 5, 124, 130}


def test_categories_and_retries() -> None:
    """Both are promises as well: the parts that there are, and when it is worth trying again unchanged."""
    assert {kind.category for kind in tree()} == {
        "general", "usage", "input", "settings", "request", "key", "sign-in", "model", "gateway", "claude", "docker",
        "stack", "proxy",
    }  # fmt: skip
    assert {kind.code for kind in tree() if kind.retryable} == {
        "busy", "gateway_silent", "gateway_stopping", "login_timeout", "rate_limit_exceeded", "rate_limited",
        "run_timeout", "session_in_use", "stack_timeout", "structured_output_failed", "upstream_failed",
        "upstream_overloaded",
    }  # fmt: skip

"""What can go wrong, as one tree.

Every failure a user can meet is one of these classes. `code` is a stable slug: the gateway sends it in its JSON error
and `from_code` turns it back into the same class on the host. `exit_code` is what the command line exits with,
`status` what the gateway answers with, `type` the OpenAI error type. `category` is the part of the whole that it is
about, for programs that read a command's JSON; `retryable` says whether the same may work a little later, with nothing
changed. The message says what happened, the hint what to do about it.
"""

from __future__ import annotations

from typing import ClassVar

_BY_CODE: dict[str, type[CcapiError]] = {}


class CcapiError(Exception):
    """Base of all failures that are shown to a person: one line, and a hint."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    category: ClassVar[str] = "general"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        """`param` names the request field at fault, `retry_after` is in seconds, `detail` is for logs and `--debug`."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after
        self.detail = detail

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__:
            if cls.code in _BY_CODE:
                raise TypeError(f"two error classes share the code {cls.code!r}")
            _BY_CODE[cls.code] = cls


def from_code(code: str | None) -> type[CcapiError]:
    """The class behind a slug that came over the wire; `CcapiError` when this version does not know it."""
    return _BY_CODE.get(code or "", CcapiError)


class OutputFailed(CcapiError):
    """A file, or standard output, cannot be written, or read."""

    code = "output_failed"


class Interrupted(CcapiError):
    """Somebody ended the command before it was done."""

    code = "interrupted"
    exit_code = 130


class UnexpectedFailure(CcapiError):
    """A defect of ccapi itself."""

    code = "unexpected"


# --- what the person typed, or the client sent


class UsageError(CcapiError):
    """The command line is wrong, or what was given to the command."""

    code = "usage"
    exit_code = 2
    status = 400
    type = "invalid_request_error"
    category = "usage"


class InputNeeded(CcapiError):
    """A question would have to be asked, and nobody is there to answer it."""

    code = "input_needed"
    exit_code = 3
    category = "input"


class SettingInvalid(CcapiError):
    """A setting is wrong; the message names the place."""

    code = "setting_invalid"
    exit_code = 2
    category = "settings"


class InvalidRequest(CcapiError):
    """The request to the gateway is wrong."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"
    category = "request"


class ContextTooLong(InvalidRequest):
    """Clients look for OpenAI's code, to shorten what they send."""

    code = "context_length_exceeded"


class NotFound(CcapiError):
    """There is no such thing; the message says which."""

    code = "not_found"
    status = 404
    type = "invalid_request_error"
    category = "request"


class ModelNotFound(NotFound):
    """No model is called so."""

    code = "model_not_found"


class SessionNotFound(NotFound):
    """There is no such session, or it is another key's."""

    code = "session_not_found"


class SessionInUse(InvalidRequest):
    """A run goes on in it."""

    code = "session_in_use"
    status = 409
    retryable = True


class ResponseNotFound(NotFound):
    """There is no such response, or it is another key's."""

    code = "response_not_found"


class KeyInvalid(CcapiError):
    """No API key, or one that the gateway does not know (any more)."""

    code = "invalid_api_key"
    exit_code = 4
    status = 401
    type = "authentication_error"
    category = "key"


class KeysUnreadable(CcapiError):
    """The gateway cannot tell which keys are good, so none is."""

    code = "keys_unreadable"
    status = 503
    category = "key"


class NotPermitted(InvalidRequest):
    """More than the policy of the caller's key, or of this gateway, allows."""

    code = "not_permitted"
    status = 403


class TooManyRequests(CcapiError):
    """More requests than the key's rate allows."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    category = "key"
    retryable = True


class MethodNotAllowed(InvalidRequest):
    """The address is right, the HTTP method is not."""

    code = "method_not_allowed"
    status = 405


class RequestTooLarge(InvalidRequest):
    """The request is larger than the gateway takes."""

    code = "request_too_large"
    status = 413


class UnsupportedMediaType(InvalidRequest):
    """The request's body is of a type that is not taken."""

    code = "unsupported_media_type"
    status = 415


class RequestRefused(InvalidRequest):
    """A request that a web page, not a client, would send: foreign Origin, foreign site."""

    code = "request_refused"
    status = 403


class WrongHost(InvalidRequest):
    """The Host header names another machine (DNS rebinding)."""

    code = "wrong_host"
    status = 421


# --- the run


class NotSignedIn(CcapiError):
    """Claude is not signed in, or no longer."""

    code = "not_signed_in"
    exit_code = 4
    status = 401
    type = "authentication_error"
    category = "sign-in"


class RateLimited(CcapiError):
    """The model's API takes no more questions of this account for now."""

    code = "rate_limited"
    status = 429
    type = "rate_limit_error"
    category = "model"
    retryable = True


class Busy(CcapiError):
    """More runs than this gateway does at once, and more waiting than its queue takes."""

    code = "busy"
    status = 429
    type = "rate_limit_error"
    category = "gateway"
    retryable = True


class UpstreamFailed(CcapiError):
    """The model's API failed and the CLI's retries did not help."""

    code = "upstream_failed"
    status = 502
    category = "model"
    retryable = True


class Overloaded(UpstreamFailed):
    """The model's API has too much to do."""

    code = "upstream_overloaded"
    status = 503


class UpstreamDenied(UpstreamFailed):
    """The model's API refuses this account the question."""

    code = "upstream_denied"
    status = 403
    type = "invalid_request_error"
    retryable = False


class ModelUnavailable(UpstreamFailed):
    """The model's API does not know the model (its 404)."""

    code = "model_unavailable"
    status = 404
    type = "invalid_request_error"
    retryable = False


class ClaudeNotFound(CcapiError):
    """Claude Code is not installed where it should be."""

    code = "claude_not_found"
    status = 503
    category = "claude"


class ClaudeFailed(CcapiError):
    """The `claude` process ended, or spoke, in a way that leaves the answer incomplete."""

    code = "claude_failed"
    status = 502
    category = "claude"


class StructuredOutputFailed(CcapiError):
    """The model did not give an output that fits the JSON schema."""

    code = "structured_output_failed"
    status = 502
    category = "model"
    retryable = True


class NoCodeBlock(CcapiError):
    """The answer has no code block, or none in that language."""

    code = "no_code_block"


class AnswerIncomplete(CcapiError):
    """The run ended in order, but not because the answer was complete: a limit was reached, or the model refused."""

    code = "answer_incomplete"
    category = "model"


class WorkspaceUnusable(CcapiError):
    """The directory of a workspace cannot be made or used: something for the person who looks after the gateway."""

    code = "workspace_unusable"
    status = 503
    category = "gateway"


class StoreFailed(CcapiError):
    """What must be stored cannot be, or what was stored cannot be read: disk full, read-only, damaged."""

    code = "store_failed"
    status = 503
    category = "gateway"


class GatewayStopping(CcapiError):
    """The gateway is being stopped."""

    code = "gateway_stopping"
    status = 503
    category = "gateway"
    retryable = True


class RunTimeout(CcapiError):
    """The answer took longer than it may."""

    code = "run_timeout"
    exit_code = 124
    status = 504
    category = "model"
    retryable = True


# --- the host's side


class DockerUnavailable(CcapiError):
    """Docker is not installed, not running, or not to be reached."""

    code = "docker_unavailable"
    exit_code = 5
    category = "docker"


class StackFailed(CcapiError):
    """The container could not be built, started, or made healthy."""

    code = "stack_failed"
    category = "stack"


class ComposeFailed(StackFailed):
    """`docker compose` said no; `detail` is the end of what it printed."""

    code = "compose_failed"

    @property
    def lines(self) -> list[str]:
        return (self.detail or "").splitlines()


class PortBusy(StackFailed):
    """Another program has the port."""

    code = "port_busy"
    status = 409
    type = "invalid_request_error"


def port_busy(host: str, port: int, error: OSError) -> CcapiError:
    """For an `OSError` of a server's start; asyncio puts a sentence of its own into `strerror`."""
    import os
    import socket

    if isinstance(error, socket.gaierror):
        return UsageError(f"--host {host}: {error.strerror}")
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = "Take another port with --port, or --port 0 for a free one."
    return PortBusy(f"Cannot listen on {host}:{port}: {reason}", hint=hint)


class StackTimeout(StackFailed):
    """The container was not healthy in time."""

    code = "stack_timeout"
    exit_code = 124
    retryable = True


class GatewayUnreachable(CcapiError):
    """Nobody answers at the gateway's address."""

    code = "gateway_unreachable"
    category = "gateway"


class GatewaySilent(GatewayUnreachable):
    """Somebody is there and says nothing."""

    code = "gateway_silent"
    retryable = True


class GatewayProtocol(CcapiError):
    """What answered is not a ccapi gateway, or the answer broke off."""

    code = "gateway_protocol"
    category = "gateway"


class StackSecretInvalid(CcapiError):
    """An internal endpoint was called without the stack's own secret."""

    code = "stack_secret_invalid"
    status = 401
    type = "authentication_error"
    category = "gateway"


# --- MCP logins


class LoginRefused(InvalidRequest):
    """An authorization URL, or a redirect URI, that is not relayed."""

    code = "login_refused"
    category = "sign-in"


class LoginKnown(LoginRefused):
    """A login with this state waits, or waited just now."""

    code = "login_known"
    status = 409


class LoginNotFound(NotFound):
    """No such login waits; it may be over."""

    code = "login_not_found"
    category = "sign-in"


class LoginFailed(CcapiError):
    """A login came to an end without success: denied, expired, refused by the server."""

    code = "login_failed"
    category = "sign-in"


class LoginNeeded(CcapiError):
    """A person must sign in, and nobody is there to do so."""

    code = "login_needed"
    exit_code = 4
    category = "sign-in"


class NoRegistration(LoginNeeded):
    """The server takes no client that it does not know; a person can be asked for a token or a client id instead."""

    code = "no_registration"


class CodeIncomplete(UsageError):
    """The code of a sign-in was not all there; another can be given."""

    code = "code_incomplete"


class LoginTimeout(LoginFailed):
    """Nobody signed in in time."""

    code = "login_timeout"
    exit_code = 124
    retryable = True


class ProxyUnreachable(CcapiError):
    """The OAuth proxy does not run, or what has its port is another program."""

    code = "proxy_unreachable"
    category = "proxy"


class ProxyFailed(CcapiError):
    """The OAuth proxy could not be started, stopped or installed."""

    code = "proxy_failed"
    category = "proxy"


class ScenarioInvalid(CcapiError):
    """A rehearsal scenario file does not follow the format; the message names file and place."""

    code = "scenario_invalid"
    exit_code = 2
    category = "usage"

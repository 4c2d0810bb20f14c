"""The typed events of a run. Every rendering (Chat Completions, logs, ...) is made from these and nothing else.

Ids are Claude Code's own. `parent` is the tool use id of the subagent call an event belongs to, None at the top level.
A run ends with exactly one `RunFinished` or `RunFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ccapi.errors import CcapiError

FinishReason = Literal["stop", "length", "content_filter"]
# Who pays: a subscription; an account of the Anthropic API, by the token; one with another provider (Bedrock, Vertex,
# ...); nobody, as the model is a script. Empty: not known.
Billing = Literal["subscription", "api", "cloud", "none", ""]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Claude Code counts them, over all model calls of the run."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RunStarted:
    session_id: str
    model: str


@dataclass(frozen=True, slots=True)
class MessageStarted:
    message_id: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """`block` is the position of the content block in its message: text of the next block but one stands apart."""

    message_id: str
    text: str
    parent: str | None = None
    block: int = 0


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    message_id: str
    text: str
    parent: str | None = None
    block: int = 0


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The model began to write a tool call; its arguments follow as `ToolInputDelta`s, whole in `ToolCalled`."""

    tool_use_id: str
    name: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    tool_use_id: str
    partial_json: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled:
    tool_use_id: str
    name: str
    input: Mapping[str, Any]
    message_id: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool's result. `full_size` (bytes) is set when the CLI kept only a part of the output in `output`.

    `stored` is the file in which the CLI keeps all of it; for the gateway alone, never sent to a client.
    """

    tool_use_id: str
    output: str
    is_error: bool = False
    full_size: int | None = None
    parent: str | None = None
    stored: str | None = None


@dataclass(frozen=True, slots=True)
class MessageFinished:
    """Nothing more will be said in this message; its tools may still be running."""

    message_id: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an operator or a waiting client wants to know, such as a retry; never part of the answer."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The end of an answer that is complete, or that stopped at a limit (`finish_reason`).

    Usage and cost are this run's alone. `structured` is the output that a JSON schema asked for, as a JSON value;
    `checkpoint` names the place in the session's history at which this answer ends. `billing` says who pays for it:
    see `Billing`.
    """

    session_id: str
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    turns: int = 0
    duration_ms: int = 0
    structured: Any = None
    checkpoint: str = ""
    billing: Billing = ""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The end of an answer that is not complete; what came before stays valid. The rest is as far as it is known."""

    error: CcapiError
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    turns: int = 0
    duration_ms: int = 0
    billing: Billing = ""


RunEvent = (
    RunStarted
    | MessageStarted
    | TextDelta
    | ThinkingDelta
    | ToolStarted
    | ToolInputDelta
    | ToolCalled
    | ToolFinished
    | MessageFinished
    | Notice
    | RunFinished
    | RunFailed
)

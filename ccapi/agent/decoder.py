"""What `claude --output-format=stream-json --include-partial-messages` prints, decoded into run events.

With partial messages on, the CLI says everything twice: token by token (`stream_event`), then whole (`assistant`). Text
is taken from the tokens, and from the whole message only what the tokens left out; tool calls are taken whole.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ccapi.agent import control, outcome
from ccapi.agent.toolresult import tool_finished
from ccapi.errors import ClaudeFailed
from ccapi.wire.events import (
    Billing,
    MessageFinished,
    MessageStarted,
    Notice,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolInputDelta,
    ToolStarted,
)

log = logging.getLogger(__name__)

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SYNTHETIC = "<synthetic>"  # the model of what the CLI says itself, in the assistant's place
_NO_KEY = "none"  # so the CLI says with a login, with a bearer token, and with another provider
_REFUSED = 401
# In the CLI's own prompt to the model after the stream broke, or hit a limit.
_RESUME = "Resume directly"


class _Message:
    """One assistant message as far as it was seen."""

    __slots__ = ("finished", "id", "parent", "position", "streamed", "streaming", "tool_blocks", "tools")

    def __init__(self, message_id: str, parent: str | None) -> None:
        self.id = message_id
        self.parent = parent
        self.streamed = {"text": 0, "thinking": 0}  # characters of the last block of that kind that came as tokens
        self.tool_blocks: dict[int, str] = {}  # content block index -> tool use id
        self.tools: set[str] = set()
        self.position = 0  # how many whole blocks of any kind came
        self.streaming = False  # between message_start and message_stop
        self.finished = False


class Decoder:
    """Stateful: feed it every line of one turn, in order.

    `result` holds the terminal event of the turn once the CLI announced it; more messages may still follow (work in the
    background), so the owner decides when the run is over.
    """

    def __init__(self, *, fixed_credential: bool = True) -> None:
        """`fixed_credential`: there is no stored login, which the CLI would renew after a first 401."""
        self._last_refusal = 1 if fixed_credential else 2
        self.result: RunFinished | RunFailed | None = None
        self.idle: bool | None = None  # whether no turn is owed any more; None while the CLI says nothing about it
        self.background = 0  # tasks that go on in the background and will bring another turn when they end
        self.session_id = ""
        self.billing: Billing = ""  # who pays, as far as the CLI says so in this turn
        self._checkpoint = ""  # the id of the last line that the conversation's own history got
        self._messages: dict[str, _Message] = {}
        self._current: dict[str | None, _Message] = {}  # the message being written, per parent
        self._cli_error: outcome.CliError | None = None
        self._retry_after: float | None = None

    def feed(self, line: bytes) -> list[RunEvent]:
        """The events of one line.

        Raises `ClaudeFailed` for a line that starts as JSON and is none, or that has not the shape it should have.
        """
        if not line.startswith(b"{"):
            if line.strip():
                log.debug("ignored a line of %d bytes that is no JSON", len(line))
            return []
        try:
            return self._message(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise ClaudeFailed("Claude Code printed a line that ccapi does not understand", detail=detail) from None

    def _message(self, message: Mapping[str, Any]) -> list[RunEvent]:
        match message.get("type"):
            case "stream_event":
                return self._stream_event(message["event"], message.get("parent_tool_use_id"))
            case "assistant":
                return self._assistant(message)
            case "user":
                return self._user(message)
            case "system":
                return self._system(message)
            case "result":
                return self._result(message)
            case "control_response":
                control.raise_if_refused(message)
                return []
            case "rate_limit_event":
                return self._rate_limit(message.get("rate_limit_info") or {})
            case other:
                log.debug("ignored a message of type %r", other)
                return []

    # --- system messages

    def _system(self, message: Mapping[str, Any]) -> list[RunEvent]:
        match message.get("subtype"):
            case "init":
                return self._init(message)
            case "api_retry":
                return self._api_retry(message)
            case "background_tasks_changed":
                self.background = len(message.get("tasks") or ())
                return []
            case "session_state_changed":
                self.idle = message.get("state") == "idle"
                return []
            case other:
                log.debug("ignored a system message of subtype %r", other)
                return []

    def _init(self, message: Mapping[str, Any]) -> list[RunEvent]:
        if message.get("apiKeySource", _NO_KEY) != _NO_KEY:
            self.billing = "api"
        if self.session_id:  # said again at every turn
            return []
        session_id = str(message.get("session_id", ""))
        # It becomes a header and a part of a file's name.
        self.session_id = session_id if _SESSION_ID.fullmatch(session_id) else ""
        return [RunStarted(self.session_id, str(message.get("model", "")))]

    def _api_retry(self, message: Mapping[str, Any]) -> list[RunEvent]:
        status = message.get("error_status")
        self._retry_after = float(message.get("retry_delay_ms") or 0) / 1000
        if status == _REFUSED and int(message.get("attempt") or 1) >= self._last_refusal:
            # The CLI would try a refused sign-in again for minutes.
            self.result = RunFailed(outcome.api_error(status, "", None))
            return []
        reason = f"{message.get('error') or 'error'} ({status or 'no answer'})"
        attempt, limit = message.get("attempt"), message.get("max_retries")
        text = f"the model's API failed: {reason}; retry {attempt} of {limit} in {self._retry_after:.1f} s"
        return [Notice("api_retry", text)]

    def _rate_limit(self, info: Mapping[str, Any]) -> list[RunEvent]:
        """Only a subscription has one. A limit that was hit says when it ends (`resetsAt`, Unix seconds).

        Beyond what the subscription includes, usage is paid for like the API's.
        """
        self.billing = "api" if info.get("isUsingOverage") else "subscription"
        if info.get("status") == "rejected" and isinstance(info.get("resetsAt"), int | float):
            self._retry_after = max(1.0, info["resetsAt"] - time.time())
        return []

    def _result(self, message: Mapping[str, Any]) -> list[RunEvent]:
        if not isinstance(self.result, RunFailed):
            result = outcome.from_result(message, cli_error=self._cli_error, retry_after=self._retry_after)
            if isinstance(result, RunFinished):
                self.result = replace(outcome.together(self.result, result), checkpoint=self._checkpoint)
            else:
                self.result = outcome.together(self.result, result)
        return [event for parent in list(self._current) for event in self._finish_open(parent)]

    # --- tokens

    def _stream_event(self, event: Mapping[str, Any], parent: str | None) -> list[RunEvent]:
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._delta(event, parent)
        if kind == "message_start":
            events = self._open(event["message"]["id"], parent)
            self._current[parent].streaming = True
            return events
        message = self._current.get(parent)
        if message is None:
            return []
        if kind == "content_block_start":
            return self._block_start(message, event)
        if kind == "message_stop":
            return self._finish(message)
        return []

    def _block_start(self, message: _Message, event: Mapping[str, Any]) -> list[RunEvent]:
        block = event["content_block"]
        if block["type"] in message.streamed:
            message.streamed[block["type"]] = 0
        if block["type"] == "tool_use":
            message.tool_blocks[event["index"]] = _string(block["id"])
            return [ToolStarted(block["id"], _string(block["name"]), message.parent)]
        return []

    def _delta(self, event: Mapping[str, Any], parent: str | None) -> list[RunEvent]:
        message = self._current.get(parent)
        if message is None:
            return []
        delta = event["delta"]
        match delta["type"]:
            case "text_delta":
                message.streamed["text"] += len(delta["text"])
                return [TextDelta(message.id, delta["text"], parent, event["index"])]
            case "thinking_delta":
                message.streamed["thinking"] += len(delta["thinking"])
                return [ThinkingDelta(message.id, delta["thinking"], parent, event["index"])]
            case "input_json_delta" if event["index"] in message.tool_blocks:
                return [ToolInputDelta(message.tool_blocks[event["index"]], delta["partial_json"], parent)]
            case _:
                return []

    # --- whole messages

    def _assistant(self, message: Mapping[str, Any]) -> list[RunEvent]:
        body = message["message"]
        if body.get("model") == SYNTHETIC:
            # The CLI's own words about an error (or an interrupt): a reason, never an answer.
            text = "".join(block.get("text", "") for block in body["content"] if block.get("type") == "text")
            self._cli_error = outcome.CliError(text, str(message.get("error", "")))
            return []
        self._note_checkpoint(message)
        events = self._open(body["id"], message.get("parent_tool_use_id"))
        state = self._messages[body["id"]]
        for block in body["content"]:
            events += self._whole_block(state, block)
            state.position += 1
        return events

    def _whole_block(self, message: _Message, block: Mapping[str, Any]) -> list[RunEvent]:
        match block.get("type"):
            case "text":
                rest = self._unstreamed(message, "text", block["text"])
                return [TextDelta(message.id, rest, message.parent, message.position)] if rest else []
            case "thinking":
                rest = self._unstreamed(message, "thinking", block["thinking"])
                return [ThinkingDelta(message.id, rest, message.parent, message.position)] if rest else []
            case "tool_use" if block["id"] not in message.tools:
                message.tools.add(_string(block["id"]))
                _string(block["name"])
                return [ToolCalled(block["id"], block["name"], block["input"], message.id, message.parent)]
            case _:
                return []

    @staticmethod
    def _unstreamed(message: _Message, kind: str, text: str) -> str:
        """The part of a whole block that its tokens did not bring: all of it when there were none.

        The CLI says a block whole before its content_block_stop, so it is the last that was started. (It does not say
        empty blocks whole: they cannot be counted.)
        """
        streamed, message.streamed[kind] = message.streamed[kind], 0
        return text[streamed:]

    def _note_checkpoint(self, message: Mapping[str, Any]) -> None:
        if message.get("parent_tool_use_id") is None and isinstance(message.get("uuid"), str):
            self._checkpoint = message["uuid"]

    def _user(self, message: Mapping[str, Any]) -> list[RunEvent]:
        content = message["message"].get("content")
        if not isinstance(content, list):
            return []
        self._note_checkpoint(message)
        if message.get("isSynthetic") and any(_RESUME in block.get("text", "") for block in content):
            return [Notice("resumed", "the model's message was cut off; Claude Code asked it to go on")]
        parent = message.get("parent_tool_use_id")
        results: list[RunEvent] = [
            tool_finished(block, message.get("tool_use_result"), parent)
            for block in content
            if block.get("type") == "tool_result"
        ]
        current = self._current.get(parent)
        if not results or (current and current.streaming):  # a tool may be done before its message is
            return results
        return self._finish_open(parent) + results

    # --- the life of a message

    def _open(self, message_id: str, parent: str | None) -> list[RunEvent]:
        if message_id in self._messages:
            self._current[parent] = self._messages[message_id]
            return []
        self._cli_error = None  # it went on
        events = self._finish_open(parent)
        self._messages[message_id] = self._current[parent] = _Message(message_id, parent)
        return [*events, MessageStarted(message_id, parent)]

    def _finish_open(self, parent: str | None) -> list[RunEvent]:
        message = self._current.get(parent)
        return self._finish(message) if message else []

    @staticmethod
    def _finish(message: _Message) -> list[RunEvent]:
        message.streaming = False
        if message.finished:
            return []
        message.finished = True
        return [MessageFinished(message.id, message.parent)]


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {type(value).__name__}")
    return value

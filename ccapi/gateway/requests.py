"""The Chat Completions request: what is accepted, and what it means as a question to Claude Code.

Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ccapi.errors import InvalidRequest


class _Lenient(BaseModel):
    """Types are strict (a number is no string); parameters that mean nothing to an agent are accepted."""

    model_config = ConfigDict(strict=True, extra="ignore")


class TextPart(_Lenient):
    type: Literal["text"]
    text: str


class RefusalPart(_Lenient):
    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class FunctionCall(_Lenient):
    name: str
    arguments: str = ""


class ToolCall(_Lenient):
    """A call of a client's function in the history of another model's making."""

    function: FunctionCall | None = None


class Message(_Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def text(self) -> str:
        """The content as one text; parts and calls are texts of their own, so they are set apart."""
        parts = [part.text for part in self.content] if isinstance(self.content, list) else [self.content or ""]
        called = [call.function for call in self.tool_calls or () if call.function]
        return "\n\n".join(filter(None, [*parts, *(f"[called {one.name}({one.arguments})]" for one in called)]))


class StreamOptions(_Lenient):
    include_usage: bool | None = None


class ChatRequest(_Lenient):
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def system(self) -> str | None:
        """What system and developer messages say, together."""
        texts = [message.text for message in self.messages if message.role in {"system", "developer"}]
        return "\n\n".join(texts) or None

    def prompt(self) -> str:
        """The user's last message, after what was said before it. Raises `InvalidRequest` without one."""
        turns = [message for message in self.messages if message.role not in {"system", "developer"}]
        if not any(message.role == "user" for message in turns):
            raise InvalidRequest("'messages' holds no user message", param="messages")
        if turns[-1].role != "user" or not turns[-1].text.strip():
            raise InvalidRequest("the last of 'messages' must be a user message with text", param="messages")
        return _with_history(turns[:-1], turns[-1].text)


def parse_chat(body: bytes) -> ChatRequest:
    """Raises `InvalidRequest`, which names the field at fault."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON") from None
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object")
    try:
        return ChatRequest.model_validate(document)
    except ValidationError as error:
        raise _invalid(error) from None


_REFUSED = {
    "tools": "'tools': functions of the client are not run; Claude Code uses tools of its own",
    "n": "'n': only one choice is made",
    "logprobs": "'logprobs' are not available",
}


def _invalid(error: ValidationError) -> InvalidRequest:
    # Of a union's complaints the one that got furthest: it speaks of the member that was meant.
    furthest = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
    field = _field(furthest["loc"])
    return InvalidRequest(_REFUSED.get(field) or f"'{field}': {_lowered(furthest['msg'])}", param=field)


def _field(location: tuple[int | str, ...]) -> str:
    """`("messages", 0, "content")` as `messages[0].content`, without pydantic's names for members of a union."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier() and step.islower() and step not in {"str", "list"}:
            path += f".{step}" if path else step
    return path


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _with_history(earlier: list[Message], question: str) -> str:
    """Clients send the whole conversation each time; what came before the question is replayed as text."""
    if not earlier:
        return question
    replay = "\n\n".join(f"<turn role={json.dumps(turn.role)}>\n{turn.text}\n</turn>" for turn in earlier)
    return f"<conversation_so_far>\n{replay}\n</conversation_so_far>\n\n{question}"

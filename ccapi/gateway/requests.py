"""The Chat Completions request: what is accepted, and what it means as a question to Claude Code.

Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ccapi.errors import InvalidRequest
from ccapi.gateway import content
from ccapi.gateway.content import Content
from ccapi.gateway.fields import FEW, MANY, Asked, Effort, Lenient, Off, Tokens, effort, parse
from ccapi.gateway.formats import Format
from ccapi.gateway.question import Question, Turn

MAX_ATTACHMENTS = 100  # in the whole conversation: the most that the model's API takes


class FunctionCall(Lenient):
    name: str
    arguments: str = ""


class ToolCall(Lenient):
    """A call of a client's function in the history of another model's making."""

    function: FunctionCall | None = None


class Message(Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MANY, fail_fast=True)] | None = None
    function_call: FunctionCall | None = None

    def turn(self, where: str) -> Turn:
        """What was said; parts, a refusal and calls are texts of their own, so they are set apart."""
        blocks = content.blocks(self.content, where)
        calls = [self.function_call, *(call.function for call in self.tool_calls or ())]
        called = (f"[called {one.name}({one.arguments})]" for one in calls if one)
        texts = [content.text(blocks), self.refusal, *called]
        return Turn(_ROLES[self.role], "\n\n".join(filter(None, texts)), content.attachments(blocks))


_ROLES: Mapping[str, Literal["user", "assistant", "tool"]] = {
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class StreamOptions(Lenient):
    include_usage: bool | None = None


class ChatRequest(Asked):
    messages: Annotated[list[Message], Field(min_length=1, max_length=MANY, fail_fast=True)]
    stream_options: StreamOptions | None = None
    response_format: Format | None = None
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = Field(None, description="The older name of max_completion_tokens.")
    reasoning_effort: Effort | None = None

    # Only what they mean here anyway is accepted; `_REFUSED` has the reasons.
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    logprobs: Off | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=FEW, fail_fast=True)] | None = None
    audio: None = None
    prediction: None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def question(self, *, session_id: str | None = None, transcript: str | None = None) -> Question:
        """What is asked; `session_id` and `transcript` are those of the headers. Raises `InvalidRequest`."""
        place = self._last()
        turns = [(number, one) for number, one in enumerate(self.messages[:place]) if one.role in _ROLES]
        history = [one.turn(f"messages[{number}].content") for number, one in turns]
        asked = content.turn(self.messages[place].content, f"messages[{place}].content")
        _check_attachments([*history, Turn("user", "", () if isinstance(asked, str) else content.attachments(asked))])
        if isinstance(asked, str) and not asked.strip():
            raise _no_question()
        return self.question_of(
            asked,
            history=history,
            system=self._system(),
            session_id=session_id,
            transcript=transcript,
            effort=effort(self.reasoning_effort),
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            json_schema=self.response_format and self.response_format.schema_text("response_format"),
        )

    def _last(self) -> int:
        """The place of the question among the messages."""
        places = [number for number, one in enumerate(self.messages) if one.role in _ROLES]
        if not any(self.messages[number].role == "user" for number in places):
            raise InvalidRequest("'messages' holds no user message", param="messages")
        if self.messages[places[-1]].role != "user":
            raise _no_question()
        return places[-1]

    def _system(self) -> str:
        """What system and developer messages say, together."""
        texts = []
        for number, message in enumerate(self.messages):
            if message.role in {"system", "developer"}:
                blocks = content.blocks(message.content, where := f"messages[{number}].content")
                if content.attachments(blocks):
                    raise InvalidRequest(f"'{where}': only text is taken from a {message.role} message", param=where)
                texts.append(content.text(blocks))
        return "\n\n".join(filter(None, texts))


def parse_chat(body: bytes) -> ChatRequest:
    """Raises `InvalidRequest`, which names the field at fault."""
    return parse(body, ChatRequest, _REFUSED)


_NO_FUNCTIONS = "functions of the client are not run; Claude Code uses tools of its own"
_REFUSED = {
    "tools": f"'tools': {_NO_FUNCTIONS}",
    "functions": f"'functions': {_NO_FUNCTIONS}",
    "tool_choice": "'tool_choice': must be none or auto; Claude Code chooses among tools of its own",
    "function_call": "'function_call': must be none or auto; Claude Code chooses among tools of its own",
    "n": "'n': only one choice is made",
    "logprobs": "'logprobs' are not available",
    "top_logprobs": "'top_logprobs' are not available",
    "modalities": "'modalities': answers are text",
    "audio": "'audio': answers are text",
    "prediction": "'prediction': predicted outputs are not supported",
}


def _no_question() -> InvalidRequest:
    return InvalidRequest("the last of 'messages' must be a user message with text", param="messages")


def _check_attachments(turns: list[Turn]) -> None:
    if sum(len(turn.attachments) for turn in turns) > MAX_ATTACHMENTS:
        raise InvalidRequest(f"'messages': more than {MAX_ATTACHMENTS} images and files", param="messages")

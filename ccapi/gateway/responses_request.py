"""The request for a response: what is accepted, and what it means as a question to Claude Code.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ccapi.errors import InvalidRequest
from ccapi.gateway import responses_input as given
from ccapi.gateway.fields import FEW, MANY, Asked, Effort, Lenient, SmallObject, Tokens, effort, parse
from ccapi.gateway.formats import Format
from ccapi.gateway.question import Question, Turn
from ccapi.gateway.responses_input import Item
from ccapi.wire.responseitems import Object, response_object

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
    SmallObject,
]

_NO_SUCH = {"message.output_text.logprobs"}
_IGNORED_INCLUDE = {"reasoning.encrypted_content"}
# Of tools and inputs that never come up here: there is nothing of them to include.
_EMPTY = {
    *("file_search_call.results", "web_search_call.results", "web_search_call.action.sources"),
    *("message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"),
}


class TextFormat(Format):
    """`text`, `json_object`, or a `json_schema` with its `name` and `schema`."""

    name: str | None = None
    strict: bool | None = None
    description: str | None = None


class TextConfig(Lenient):
    format: TextFormat | None = None
    verbosity: Any = Field(None, description="Accepted, without effect; named in the header X-CCAPI-Ignored.")


class Reasoning(Lenient):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ConversationRef(Lenient):
    id: str


class ResponsesRequest(Asked):
    IGNORED: ClassVar[tuple[str, ...]] = (*Asked.IGNORED, "max_tool_calls", "moderation", "context_management")

    input: str | Annotated[list[Item], Field(min_length=1, max_length=MANY, fail_fast=True)]
    instructions: str | None = None
    previous_response_id: str | None = Field(None, description="Go on after that response.")
    conversation: str | ConversationRef | None = Field(None, description="Go on in that conversation.")
    background: bool | None = Field(None, description="Do not wait for the answer; needs `store`.")
    abandon_after: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        None,
        description="Cancel a background response that nobody follows for so many seconds. Unset: never.",
    )
    include: Annotated[list[str], Field(max_length=FEW, fail_fast=True)] | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Tokens | None = None
    metadata: Metadata | None = Field(None, description="`session_id` goes on in that session.")

    max_tool_calls: Any = Field(None, description="Accepted, without effect; named in the header X-CCAPI-Ignored.")
    moderation: Any = Field(None, description="As above.")
    context_management: Any = Field(None, description="As above.")

    # Only what they mean here anyway is accepted; `_REFUSED` has the reasons.
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    prompt: None = None

    @property
    def stored(self) -> bool:
        return self.store is not False

    @property
    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationRef) else self.conversation

    def question(self, *, session_id: str | None = None, transcript: str | None = None) -> Question:
        """What is asked; `session_id` and `transcript` are those of the headers. Raises `InvalidRequest`."""
        items = [] if isinstance(self.input, str) else self.input
        told = given.turns(items)
        history, turn = given.split(told if items else [Turn("user", str(self.input))])
        question = self.question_of(
            turn,
            history=history,
            system=given.system(items, self.instructions),
            session_id=session_id,
            transcript=transcript,
            effort=effort(self.reasoning.effort) if self.reasoning else None,
            max_output_tokens=self.max_output_tokens,
            json_schema=self.text.format.schema_text("text.format") if self.text and self.text.format else None,
            persist=self.stored,
        )
        self._check(question)
        return question

    def ignored(self, question: Question) -> tuple[str, ...]:
        """The parameters that mean nothing here, by their names."""
        names = [*question.ignored]
        if self.text and self.text.verbosity is not None:
            names.append("text.verbosity")
        if _IGNORED_INCLUDE & set(self.include or ()):
            names.append("include")
        return tuple(names)

    def response(self, response_id: str) -> Object:
        """The response as it is before anything was answered: it repeats what was asked for."""
        reasoning = self.reasoning or Reasoning()
        return response_object(
            response_id,
            self.model,
            background=bool(self.background),
            conversation={"id": self.conversation_id} if self.conversation_id else None,
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
            metadata=self.metadata or {},
            previous_response_id=self.previous_response_id,
            reasoning={"effort": reasoning.effort, "summary": reasoning.summary or reasoning.generate_summary},
            safety_identifier=self.safety_identifier,
            store=self.stored,
            text={"format": self._format()},
            user=self.user,
        )

    def _format(self) -> Object:
        form = self.text.format if self.text else None
        if form is None or form.type != "json_schema":
            return {"type": form.type if form else "text"}
        schema = form.json_schema.schema_ if form.json_schema else form.schema_
        return {
            "type": "json_schema",
            "name": form.name or "response",
            "schema": schema,
            "strict": form.strict,
            "description": form.description,
        }

    def _check(self, question: Question) -> None:
        """What no field says alone."""
        before = {"previous_response_id": self.previous_response_id, "conversation": self.conversation}
        before = {name: value for name, value in before.items() if value is not None}
        if len(before) > 1:
            message = "'previous_response_id' and 'conversation' cannot both be given"
            raise InvalidRequest(message, param="previous_response_id")
        if before and question.session_id:
            name = next(iter(before))
            raise InvalidRequest(f"'{name}' and the id of a session cannot both be given", param=name)
        if self.background and not self.stored:
            raise InvalidRequest("'background': such a response must be stored ('store')", param="background")
        if self.abandon_after is not None and not self.background:
            raise InvalidRequest("'abandon_after' is for background responses", param="abandon_after")
        for number, name in enumerate(self.include or ()):
            if name not in _EMPTY | _IGNORED_INCLUDE:
                what = "is not available" if name in _NO_SUCH else "is nothing that can be included"
                raise InvalidRequest(f"'include[{number}]': {what}", param=f"include[{number}]")


def parse_responses(body: bytes) -> ResponsesRequest:
    """Raises `InvalidRequest`, which names the field at fault."""
    return parse(body, ResponsesRequest, _REFUSED)


_REFUSED = {
    "tools": "'tools': functions of the client are not run; Claude Code uses tools of its own",
    "tool_choice": "'tool_choice': must be none or auto; Claude Code chooses among tools of its own",
    "top_logprobs": "'top_logprobs' are not available",
    "prompt": "'prompt': stored prompts are not supported",
}

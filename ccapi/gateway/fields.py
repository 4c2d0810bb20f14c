"""What the requests of both APIs have in common: how a body is read and refused, and the fields beside OpenAI's own."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ccapi.errors import InvalidRequest, SessionNotFound
from ccapi.gateway.models import split
from ccapi.gateway.question import Block, Question, TranscriptMode, Turn
from ccapi.gateway.workspaces import ROOT, not_a_workspace, well_named
from ccapi.settings import PERMISSION_MODES, WORKSPACE_NAME
from ccapi.wire.keys import TRANSCRIPTS

MAX_TOOLS = 200  # names or rules in one list
_MAX_USER = 512  # characters

Model = TypeVar("Model", bound=BaseModel)


def _boolean(value: Any) -> bool:
    """Python's 0 equals its False; JSON's does not."""
    if not isinstance(value, bool):
        raise ValueError("must be a boolean")  # noqa: TRY004 -- pydantic takes no other for a finding of a validator
    return value


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
MaxTurns = Annotated[int, Field(ge=1, le=10_000)]
Budget = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Off = Annotated[Literal[False], BeforeValidator(_boolean)]
Ignored = Annotated[Any, Field(description="Accepted, without effect; named in the response's header X-CCAPI-Ignored.")]

_SURROGATE = re.compile(r"(?i)\\u+d[89a-f]")
_TOOL = re.compile(
    r"[A-Za-z][A-Za-z0-9_-]*(?:\([^,()\\\x00-\x1f\x7f-\x9f\u2028\u2029]+\))?|mcp__[A-Za-z0-9_-]+__\*"  # rule or server
)
_MAX_TOOL = 256
# As `/openapi.json` describes them; they are checked with the question, for the sake of the message.
_WORKSPACE = Field(json_schema_extra={"pattern": rf"^(\.|{WORKSPACE_NAME.pattern})$"})
Tools = Annotated[
    list[Annotated[str, Field(json_schema_extra={"pattern": f"^(?:{_TOOL.pattern})$", "maxLength": _MAX_TOOL})]],
    Field(max_length=MAX_TOOLS, fail_fast=True),
]


# Lists are read up to their first mistake, and only so far: a complaint per member would cost many times its size.
MANY, FEW = 10_000, 100


def _small(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > FEW:
        raise ValueError(f"more than {FEW} members")
    return value


SmallObject = BeforeValidator(_small)  # the same for objects, whose members are read to the last


class Lenient(BaseModel):
    """Types are strict (a number is no string); parameters that mean nothing to an agent are accepted."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Asked(Lenient):
    """The fields that both APIs take, with one meaning."""

    # What the model's API has no place for, or Claude Code no option.
    IGNORED: ClassVar[tuple[str, ...]] = (
        *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
        *("seed", "stop", "logit_bias", "verbosity", "parallel_tool_calls", "service_tier", "web_search_options"),
    )

    model: str = Field(description="A name from /v1/models, with `:full`, `:text` or `:final` for the transcript.")
    stream: bool | None = None
    user: Annotated[str, Field(max_length=_MAX_USER)] | None = Field(
        None, description="Your name for your user: keeps the conversations of different users apart."
    )
    safety_identifier: Annotated[str, Field(max_length=_MAX_USER)] | None = None
    metadata: dict[str, Any] | None = Field(None, description="`session_id` goes on in that session.")
    store: bool | None = None
    transcript: TranscriptMode | None = Field(None, description="How much of the agent's steps the answer shows.")
    workspace: Annotated[str, _WORKSPACE] | None = Field(
        None, description="The directory below the mounted root in which the agent works."
    )
    allowed_tools: Tools | None = Field(
        None, description="The only tools that the agent may use, such as `Read` or `Bash(git *)`; [] for none."
    )
    disallowed_tools: Tools | None = Field(None, description="Tools that it may not use, in any case.")
    permission_mode: str | None = Field(
        None, json_schema_extra={"enum": [*PERMISSION_MODES, None]}, description="At most the gateway's own."
    )
    max_turns: MaxTurns | None = Field(None, description="Steps of the agent; at the limit, the answer ends.")
    max_budget_usd: Budget | None = None

    temperature: Ignored = None
    top_p: Ignored = None
    top_k: Ignored = None
    min_p: Ignored = None
    presence_penalty: Ignored = None
    frequency_penalty: Ignored = None
    repetition_penalty: Ignored = None
    seed: Ignored = None
    stop: Ignored = None
    logit_bias: Ignored = None
    verbosity: Ignored = None
    parallel_tool_calls: Ignored = None
    service_tier: Ignored = None
    web_search_options: Ignored = None

    def question_of(
        self,
        turn: str | Sequence[Block],
        *,
        history: Sequence[Turn] = (),
        system: str | None = None,
        session_id: str | None = None,
        transcript: str | None = None,
        **fields: Any,
    ) -> Question:
        """The question, with what these fields say. `fields` are further ones of `Question`.

        `session_id` and `transcript` are those of the headers X-Session-Id and X-CCAPI-Transcript. The transcript that
        the body names wins over the header's, and that over the model's suffix. Raises `InvalidRequest` and
        `SessionNotFound`.
        """
        model, suffix = split(self.model)
        _check_workspace(self.workspace)
        question = Question(
            model=model,
            turn=turn,
            history=tuple(history),
            system=system if system and system.strip() else None,
            session_id=self._session(session_id),
            workspace=self.workspace,
            transcript=self.transcript or _mode(transcript) or suffix,
            tools=None if self.allowed_tools is None else _tools(self.allowed_tools, "allowed_tools"),
            denied_tools=_tools(self.disallowed_tools or (), "disallowed_tools"),
            permission_mode=_permission_mode(self.permission_mode),
            max_turns=self.max_turns,
            max_budget_usd=self.max_budget_usd,
            user=self.user or self.safety_identifier or None,
            ignored=tuple(name for name in self.IGNORED if getattr(self, name, None) is not None),
        )
        return replace(question, **fields)

    def _session(self, header: str | None) -> str | None:
        named = (self.metadata or {}).get("session_id")
        if named is not None and not isinstance(named, str):
            raise InvalidRequest("'metadata.session_id' must be a string", param="metadata.session_id")
        in_body = session_id(named, "metadata.session_id") if named else None
        in_header = session_id(header, "X-Session-Id") if header else None
        if in_body and in_header and in_body != in_header:
            message = "'metadata.session_id' and the header X-Session-Id name different sessions"
            raise InvalidRequest(message, param="metadata.session_id")
        return in_body or in_header


def effort(value: Effort | None) -> str | None:
    """OpenAI's name for an effort as Claude Code's."""
    return "low" if value == "minimal" else value


def session_id(value: str, param: str) -> str:
    """The id of a session, which is a UUID. Raises `SessionNotFound`: no other text is any session's id."""
    try:
        found = str(uuid.UUID(value))
    except ValueError:
        found = ""
    if found != value.lower():  # `uuid` takes other spellings, too
        raise SessionNotFound("There is no such session", param=param)
    return found


def _mode(header: str | None) -> TranscriptMode | None:
    if header is None:
        return None
    for mode in TRANSCRIPTS:
        if header.strip().lower() == mode:
            return mode  # type: ignore[return-value] # mypy sees a str in the tuple
    raise InvalidRequest("The header X-CCAPI-Transcript must be full, text or final", param="X-CCAPI-Transcript")


def _check_workspace(name: str | None) -> None:
    if name is not None and name != ROOT and not well_named(name):
        raise not_a_workspace()


def _permission_mode(mode: str | None) -> str | None:
    if mode is not None and mode not in PERMISSION_MODES:
        raise InvalidRequest(f"'permission_mode' must be one of {', '.join(PERMISSION_MODES)}", param="permission_mode")
    return mode


def _tools(rules: Sequence[str], param: str) -> tuple[str, ...]:
    """Tool names and rules, each once. They become items of a list with commas, in one argument of the CLI."""
    for number, rule in enumerate(rules):
        if len(rule) > _MAX_TOOL or not _TOOL.fullmatch(rule):
            place = f"{param}[{number}]"
            raise InvalidRequest(f"'{place}' is neither a tool's name nor a rule such as Bash(git *)", param=place)
    return tuple(dict.fromkeys(rules))


# --- reading a body


def parse(body: bytes, model: type[Model], refused: Mapping[str, str] | None = None) -> Model:
    """The request that a body is. Raises `InvalidRequest`, which names the field at fault and repeats no value.

    `refused` says more about fields of which only one value is accepted, by their name.
    """
    try:
        text = body.decode("utf-8-sig")
        document = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON") from None
    if _SURROGATE.search(text):
        _check_characters(document)
    return validated(document, model, refused)


def validated(document: Any, model: type[Model], refused: Mapping[str, str] | None = None) -> Model:
    """As `parse`, for what was read already."""
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _invalid(error, refused or {}) from None


def _no_number(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _check_characters(document: Any) -> None:
    """Half of a surrogate pair is no character: nothing further on could encode it."""
    rest = [document]
    while rest:
        match rest.pop():
            case str() as text if not _encodable(text):
                raise InvalidRequest("The body has a string that is not Unicode text (half of a surrogate pair)")
            case list() as items:
                rest += items
            case dict() as members:
                rest += members
                rest += members.values()


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _invalid(error: ValidationError, refused: Mapping[str, str]) -> InvalidRequest:
    # Of a union's complaints the one that got furthest: it speaks of the member that was meant.
    furthest = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
    field = _field(furthest["loc"])
    reason = refused.get(re.split(r"[.\[]", field)[0])
    return InvalidRequest(reason or f"'{field}': {_lowered(furthest['msg'])}", param=field)


def _field(location: Sequence[int | str]) -> str:
    """`("messages", 0, "content")` as `messages[0].content`, without pydantic's names for members of a union.

    A name that a client made up may be megabytes long: it is not repeated.
    """
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif len(step) <= _MAX_TOOL and step.isidentifier() and step.islower() and step not in {"str", "list"}:
            path += f".{step}" if path else step
    return path


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]

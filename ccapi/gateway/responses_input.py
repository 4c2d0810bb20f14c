"""The input of a response: items as turns of the conversation, and as they are kept to be listed.

A client that has no `previous_response_id` sends back what it was given. Such items are the same turns again, so that
the conversation is known by them; what tools did is told with them, for whom it is not known. Reasoning is not told.

Source: OpenAI API reference, "Create a model response", `input`; "List input items".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ccapi.errors import InvalidRequest
from ccapi.gateway import content
from ccapi.gateway.content import Content, Part
from ccapi.gateway.fields import Lenient
from ccapi.gateway.question import Block, Turn
from ccapi.wire import toolmarkdown
from ccapi.wire.responseitems import OWN_LABEL, Object, tool_name

MAX_ATTACHMENTS = 100  # in the whole conversation: the most that the model's API takes

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = {"function_call_output", "custom_tool_call_output"}
# What other models thought, or did with tools that are not here: nothing that could be told.
_SILENT = {
    *("reasoning", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "image_generation_call"),
    *("web_search_call", "file_search_call", "code_interpreter_call", "computer_call", "computer_call_output"),
    *("local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "tool_search_call"),
    *("tool_search_output", "apply_patch_call", "apply_patch_call_output"),
}
_TYPES = {"message", "mcp_call", *_CALLS, *_RESULTS, *_SILENT}
_REFUSED = {
    "item_reference": "items are not looked up; send the item itself, or 'previous_response_id'",
    "compaction": "what another model has compacted cannot be read",
    "compaction_trigger": "Claude Code compacts a conversation by itself",
}


class Item(Lenient):
    """A message, or anything that was an output item of a response."""

    model_config = ConfigDict(extra="allow")

    type: str | None = Field(
        None, json_schema_extra={"enum": [*sorted(_TYPES), None]}, description="By default message."
    )
    id: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Content | None = None
    name: str | None = None
    server_label: str | None = None
    arguments: Any = None
    output: Any = None
    error: Any = None
    ccapi: Any = None

    @property
    def kind(self) -> str:
        return self.type or "message"


# --- turns


def turns(items: Sequence[Item]) -> list[Turn]:
    """What was said and done, without system messages. Raises `InvalidRequest`, which names the item at fault."""
    try:
        found = [_turn(item, f"input[{number}]") for number, item in enumerate(items) if not _is_system(item)]
    except RecursionError:
        raise _too_deep() from None
    told = [turn for turn in found if turn]
    if sum(len(turn.attachments) for turn in told) > MAX_ATTACHMENTS:
        raise InvalidRequest(f"'input': more than {MAX_ATTACHMENTS} images and files", param="input")
    return told


def system(items: Sequence[Item], instructions: str | None) -> str | None:
    """The instructions, and what system and developer messages say."""
    texts = [instructions or ""]
    for number, item in enumerate(items):
        if _is_system(item):
            blocks = content.blocks(item.content, where := f"input[{number}].content")
            if content.attachments(blocks):
                raise InvalidRequest(f"'{where}': only text is taken from a {item.role} message", param=where)
            texts.append(content.text(blocks))
    return "\n\n".join(filter(str.strip, texts)) or None


def split(told: Sequence[Turn]) -> tuple[list[Turn], str | list[Block]]:
    """The history, and the question: all that the user said after the last answer. Raises `InvalidRequest`."""
    place = len(told)
    while place and told[place - 1].role == "user":
        place -= 1
    last = told[place:]
    text = "\n\n".join(turn.text for turn in last if turn.text.strip())
    attached = [block for turn in last for block in turn.attachments]
    if not text and not attached:
        raise InvalidRequest("the last of 'input' must be a user message with text, an image or a file", param="input")
    if not attached:
        return list(told[:place]), text
    return list(told[:place]), [*([{"type": "text", "text": text}] if text else []), *attached]


def answer_text(output: Iterable[Mapping[str, Any]]) -> str:
    """A response's output as the text of the turn that it will be when the client sends it back."""
    items = [Item.model_validate(dict(item)) for item in output]
    told = [_turn(item, "output") for item in items]
    return "\n\n".join(turn.text for turn in told if turn and turn.text)


def _turn(item: Item, where: str) -> Turn | None:
    kind = item.kind
    if kind == "message":
        return _message(item, where)
    if kind in _SILENT:
        return None
    if kind == "mcp_call":
        inner = isinstance(item.ccapi, dict) and "parent" in item.ccapi  # a subagent's: its report says it all
        return None if inner else Turn("assistant", _executed(item))
    if kind in _CALLS:
        arguments = (item.model_extra or {}).get("input") if kind == "custom_tool_call" else item.arguments
        return Turn("assistant", f"[called {item.name}({arguments or ''})]")
    if kind in _RESULTS:
        blocks = content.blocks(_parts(item.output, f"{where}.output"), f"{where}.output")
        return Turn("tool", content.text(blocks), content.attachments(blocks))
    problem = _REFUSED.get(kind, "is not the type of an item that can be sent here")
    raise InvalidRequest(f"'{where}.type': {problem}", param=f"{where}.type")


def _message(item: Item, where: str) -> Turn:
    if item.role is None:
        raise InvalidRequest(f"'{where}.role': field required", param=f"{where}.role")
    blocks = content.blocks(item.content, f"{where}.content")
    role: Literal["user", "assistant"] = "assistant" if item.role == "assistant" else "user"
    return Turn(role, content.text(blocks), content.attachments(blocks))


def _executed(item: Item) -> str:
    """A tool that Claude Code, or another server, ran."""
    try:
        arguments = json.loads(item.arguments) if isinstance(item.arguments, str) else item.arguments
    except (ValueError, RecursionError):
        arguments = item.arguments
    call = toolmarkdown.call(tool_name(item.server_label or OWN_LABEL, item.name or "tool"), arguments)
    if item.error is None and item.output is None:
        return call
    output = item.output if item.error is None else _error_text(item.error)
    return f"{call}\n\n{toolmarkdown.result(str(output), is_error=item.error is not None, full_size=None)}"


def _error_text(error: Any) -> str:
    found = error.get("content") or error.get("message") if isinstance(error, dict) else error
    if isinstance(found, list):
        return "\n".join(str(part.get("text", "")) for part in found if isinstance(part, dict))
    return str(found)


def _parts(output: Any, where: str) -> Content | None:
    if not isinstance(output, list):
        return output if isinstance(output, str) or output is None else json.dumps(output)
    try:
        return [Part.model_validate(part) for part in output]
    except ValidationError:
        raise InvalidRequest(f"'{where}' must be a text, or a list of texts, images and files", param=where) from None


def _is_system(item: Item) -> bool:
    return item.kind == "message" and item.role in {"system", "developer"}


# --- as they are kept


def kept(given: str | Sequence[Item]) -> list[Object]:
    """The items as they are listed later, each with an id; the data of images and files is not kept.

    Raises `InvalidRequest`.
    """
    if isinstance(given, str):
        given = [Item(type="message", role="user", content=given)]
    try:
        return [_kept(item) for item in given]
    except (ValueError, RecursionError):  # as pydantic says it
        raise _too_deep() from None


def _too_deep() -> InvalidRequest:
    return InvalidRequest("'input' is nested too deeply", param="input")


def _kept(item: Item) -> Object:
    if item.kind != "message":
        raw = item.model_dump(mode="json", exclude_unset=True)
        return {"id": f"item_{uuid.uuid4().hex}", "status": "completed", **_without_none(raw)}
    parts = [Part(type="input_text", text=item.content)] if isinstance(item.content, str) else item.content or []
    listed = [_kept_part(part, answer=item.role == "assistant") for part in parts]
    item_id = item.id or f"msg_{uuid.uuid4().hex}"
    return {"id": item_id, "type": "message", "role": item.role, "status": "completed", "content": listed}


def _without_none(raw: Object) -> Object:
    """Clients echo fields of which they know nothing but that they are null."""
    return {name: value for name, value in raw.items() if value is not None or name in {"output", "error"}}


def _kept_part(part: Part, *, answer: bool) -> Object:
    if part.type == "refusal":
        return {"type": "refusal", "refusal": part.refusal}
    if part.text is not None:
        return (
            {"type": "output_text", "text": part.text, "annotations": []}
            if answer
            else {"type": "input_text", "text": part.text}
        )
    if part.type in {"image_url", "input_image"}:
        url = part.image_url if isinstance(part.image_url, str) or part.image_url is None else part.image_url.url
        return {
            "type": "input_image",
            "detail": "auto",
            "image_url": url if url and url[:5].lower() != "data:" else None,
        }
    filename = part.file.filename if part.file else part.filename
    return {"type": "input_file", "filename": filename, "file_url": part.file_url}

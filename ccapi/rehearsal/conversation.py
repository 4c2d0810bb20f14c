"""What a Messages request says about the conversation so far.

The server keeps no conversation: everything that a turn's conditions ask for is read from the history in the request.
Claude Code mixes its own words into that history (reminders, notes on interruption, a request to resume an answer that
broke off, messages of role `system`); they are not part of the prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>\s*", re.DOTALL)
_COMMAND = re.compile(r"<(?P<tag>(?:local-)?command-[a-z]+)>.*?</(?P=tag)>\s*", re.DOTALL)
_NOTES = (
    "[Request interrupted",
    "[Your previous response had no visible output",
    "Output token limit hit.",
    "This session is being continued from a previous conversation",
    "Your response above was cut off mid-stream.",
    "Your response above was stopped by a safety classifier",
    "Your response was cut off because it exceeded",
    "Your tool call was malformed",
    "[structured-output-enforce]",
    "[Image: source:",
)
_CWD = re.compile(r"^[ \-]*(?:Primary )?working directory: *(?P<path>/.*?) *$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Conversation:
    """A request body, read. Raises `ValueError` at construction when it has the wrong shape."""

    body: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.body, dict):
            raise ValueError("the request body must be a JSON object")  # noqa: TRY004 - see below
        if not isinstance(self.body.get("model"), str):
            raise ValueError("model: Field required")  # noqa: TRY004 - the API's own words for any wrong shape
        if not self.messages or not all(isinstance(message, dict) for message in self.messages):
            raise ValueError("messages: at least one message is required")

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages = self.body.get("messages")
        return messages if isinstance(messages, list) else []

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def tools(self) -> list[str]:
        return [str(tool.get("name")) for tool in _dicts(self.body.get("tools"))]

    @cached_property
    def prompt(self) -> str:
        """The last text that a person wrote, stripped of what Claude Code put around it."""
        return next((text for _, text in self._prompts()), "")

    @cached_property
    def prompts(self) -> int:
        """How many prompts the history holds."""
        return sum(1 for _ in self._prompts())

    @cached_property
    def results(self) -> list[str]:
        """The tool results since that prompt, oldest first."""
        asked_at = next((index for index, _ in self._prompts()), None)
        if asked_at is None:
            return [result for message in self.messages for result in _results(message)]
        later = [result for message in self.messages[asked_at + 1 :] for result in _results(message)]
        return [*_results(_after_speech(self.messages[asked_at])), *later]

    @cached_property
    def cwd(self) -> str:
        """The workspace directory as Claude Code last stated it; `.` when it never did."""
        stated = [match["path"] for text in self._words_of_claude_code() for match in _CWD.finditer(text)]
        return stated[-1] if stated else "."

    def _prompts(self) -> Iterator[tuple[int, str]]:
        """Index and text of each message that holds words of a person, the latest first."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].get("role") == "user" and (text := _spoken(self.messages[index])):
                yield index, text

    def _words_of_claude_code(self) -> Iterator[str]:
        yield from _texts(self.body.get("system"))
        for message in self.messages:
            for text in _texts(message.get("content")):
                if message.get("role") == "system":
                    yield text
                elif message.get("role") == "user":
                    yield from _REMINDER.findall(text)


def _spoken(message: dict[str, Any]) -> str:
    """What a person wrote in this message."""
    parts = (_speech(text) for text in _texts(message.get("content")))
    return "\n".join(part for part in parts if part)


def _speech(text: str) -> str:
    """A text without the words of Claude Code in it."""
    speech = _COMMAND.sub("", _REMINDER.sub("", text)).strip()
    return "" if speech.startswith(_NOTES) else speech


def _after_speech(message: dict[str, Any]) -> dict[str, Any]:
    """The rest of a message: after an interruption, the results of the turn before stand in front of the new prompt."""
    blocks = list(_dicts(message.get("content")))
    spoken = [index for index, block in enumerate(blocks) if _spoken({"content": [block]})]
    return {"content": blocks[spoken[-1] + 1 :] if spoken else []}


def _results(message: dict[str, Any]) -> list[str]:
    return [_result_text(block) for block in _dicts(message.get("content")) if block.get("type") == "tool_result"]


def _result_text(block: dict[str, Any]) -> str:
    return _REMINDER.sub("", "\n".join(_texts(block.get("content")))).strip("\n")


def _texts(content: Any) -> Iterator[str]:
    """The texts of a `content` or `system` field: a string, or a list of blocks."""
    if isinstance(content, str):
        yield content
    for block in _dicts(content):
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            yield block["text"]


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())

"""Which model names clients may ask for, and what each means to the CLI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ccapi.errors import InvalidRequest, ModelNotFound
from ccapi.gateway.question import TranscriptMode

ALIASES = ("sonnet", "opus", "haiku")
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,126}(?:\[1m\])?")
_CLAUDE_ID = re.compile(r"claude-[a-z0-9][a-z0-9.@-]*(?:\[1m\])?")  # `[1m]` asks for the long context window
_SUFFIXES: Mapping[str, TranscriptMode] = {":full": "full", ":text": "text", ":final": "final"}


def split(name: str) -> tuple[str, TranscriptMode | None]:
    """`sonnet:final` as the model and the transcript, for clients that can choose a model and nothing else.

    Ids may hold a colon; only these three words are something else.
    """
    for suffix, mode in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), mode
    return name, None


class Models:
    """`mapping` holds the names that the settings add, such as gpt-4o."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping

    def resolve(self, name: str) -> str:
        """The CLI's name for a requested model.

        Raises `InvalidRequest` for what is no model name at all and `ModelNotFound` for an unknown one.
        """
        if name in self._mapping:
            return self._mapping[name]
        if not _WELL_FORMED.fullmatch(name):
            raise InvalidRequest("'model' is not a model name", param="model")
        if name.removesuffix("[1m]") in ALIASES or _CLAUDE_ID.fullmatch(name):
            return name
        raise ModelNotFound(
            f"The model '{name}' does not exist",
            hint="Ask for sonnet, opus, haiku or a claude-* id, or map the name in the settings (models.map).",
            param="model",
        )

    def names(self) -> list[str]:
        """What `GET /v1/models` lists: the aliases and the mapped names. Any claude-* id works as well."""
        return [*ALIASES, *(name for name in self._mapping if name not in ALIASES)]

    def describe(self, name: str, created: int) -> dict[str, Any]:
        """A model object (OpenAI API reference, "The model object"); also with a suffix. Raises like `resolve`."""
        means = {"model": self.resolve(split(name)[0])}
        return {"id": name, "object": "model", "created": created, "owned_by": "anthropic", "ccapi": means}

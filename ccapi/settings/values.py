"""What values of settings look like: how each kind is read, and how it is written.

A parser takes what TOML, the environment or a flag gave, and raises `ValueError` for anything that was not expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ccapi.settings import near

WORKSPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEFAULT_PROJECT = "default"  # the stack without a name of its own
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.post|\.dev)[0-9]+)*")
_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MOST_SILENCE = 30  # seconds; clients give up after a minute of it


class Kind(NamedTuple):
    """`expected` ends the sentence "expected ...". `near`: what was probably meant by what `parse` refuses."""

    expected: str
    parse: Callable[[Any], Any]
    near: Callable[[Any], str | None] = lambda _: None

    def suggestion(self, value: Any) -> str | None:
        """What to write in the place of a wrong value; None if nobody can tell."""
        try:
            found = self.near(value)
            return found if found is not None and self.parse(found) is not None else None
        except ValueError:
            return None


def one_of(*choices: str) -> Kind:
    """One of a few words, in any case."""

    def parse(value: Any) -> str:
        for choice in choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise ValueError

    return Kind(f"one of {', '.join(choices)}", parse, lambda value: near.word(str(value), choices))


def _integer(value: Any, least: int, most: float = float("inf")) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError  # noqa: TRY004 -- one exception means "not what was expected"
    number = int(value)
    if not least <= number <= most:
        raise ValueError
    return number


def _seconds(value: Any, *, most: float = 1e9, none: bool = False) -> float:
    """`none`: 0 is a value as well."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError  # noqa: TRY004 -- as above
    seconds = float(value)
    if not 0 <= seconds <= most or (seconds == 0 and not none):
        raise ValueError
    return seconds


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}[str(value).lower()]
    except KeyError:
        raise ValueError from None


def _address(value: Any) -> str:
    import ipaddress

    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else _text(value)))


def _workspace(value: Any) -> str:
    if value != "." and not (isinstance(value, str) and WORKSPACE_NAME.fullmatch(value)):
        raise ValueError
    return str(value)


def _project(value: Any) -> str:
    if not isinstance(value, str) or not _PROJECT_NAME.fullmatch(value):
        raise ValueError
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError
    try:
        return Path(value).expanduser().resolve()
    except RuntimeError as error:  # ~nobody, or links that lead in a circle
        raise ValueError from error


def _release(value: Any) -> str:
    if not isinstance(value, str) or not _RELEASE.fullmatch(value):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or any(c in value for c in "\n\r\0"):
        raise ValueError
    return value


def _model_map(value: Any) -> dict[str, str]:
    """A TOML table, or `name=model,name=model` from the environment."""
    if isinstance(value, str):
        value = dict(pair.split("=", 1) for pair in value.split(",") if pair.strip())
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004 -- as above
    pairs = {str(name).strip(): model for name, model in value.items()}
    if not all(name and isinstance(model, str) and model.strip() for name, model in pairs.items()):
        raise ValueError
    if any(set(",=") & set(name + model) for name, model in pairs.items()):
        raise ValueError  # they would not survive the way into the container's environment
    return {name: model.strip() for name, model in pairs.items()}


PORT = Kind("a port, 1 to 65535", partial(_integer, least=1, most=65535), near.port)
CALLBACK_PORT = Kind("a port, 1024 to 65535", partial(_integer, least=1024, most=65535), near.port)
WHOLE = Kind("a whole number", partial(_integer, least=0))
COUNT = Kind("a whole number, 1 or more", partial(_integer, least=1))
BYTES = COUNT._replace(near=near.size)
MEGABYTES = COUNT._replace(near=near.megabytes)
SECONDS = Kind("seconds, more than 0", _seconds, near.seconds)
MOMENT = Kind("seconds", partial(_seconds, none=True), near.seconds)
HEARTBEAT = Kind(
    f"seconds, more than 0 and at most {_MOST_SILENCE}", partial(_seconds, most=_MOST_SILENCE), near.seconds
)
SWITCH = Kind("true or false", _switch, near.switch)
ADDRESS = Kind("an IP address", _address)
IMAGE = Kind("an image name", _text)
MODEL = Kind("a model's name", _text)
MODEL_MAP = Kind("a table of names and Claude models", _model_map)
WORKSPACE = Kind("a workspace's name, or .", _workspace)
PROJECT = Kind("a name of a-z, 0-9, - and _, 32 at most", _project, near.project)
DIRECTORY = Kind("a directory", _path)
PEM = Kind("a PEM file", _path)
RELEASE = Kind("a release, such as 0.2.187", _release)


def environment(value: Any) -> str:
    """A value as the environment holds it; its kind's `parse` reads it back."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={model}" for name, model in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return format(value, ".15g") if isinstance(value, float) else str(value)


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_string(str(name))} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, ".15g") if isinstance(value, int | float) else _string(str(value))


def _string(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # which TOML does not take as it is


def quoted(value: Any) -> str:
    """A value in a message: on one line, and not too long."""
    if isinstance(value, bool):
        text = str(value).lower()
    else:
        text = repr(value) if isinstance(value, str | int | float | list | dict) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""What was probably meant by what cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_TIMES = {
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
}
_SIZES = {
    "b": 1,
    **{f"{unit}{b}": 1024**power for power, unit in enumerate("kmgt", 1) for b in ("", "b", "ib")},
}
_SWITCHES = {
    **dict.fromkeys(("yes", "y", "enable", "enabled", "t"), "true"),
    **dict.fromkeys(("no", "n", "disable", "disabled", "f", "never", "none"), "false"),
}


def word(text: str, words: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of `words` that looks like `text`, or alone begins like it, whatever the case."""
    import difflib

    known = {word.lower(): word for word in words}
    found = difflib.get_close_matches(text.lower(), known, 1, cutoff)
    if not found and len(text) > 2:
        beginning = [word for word in known if word.startswith(text.lower())]
        found = beginning if len(beginning) == 1 else []
    return known[found[0]] if found else None


def names(text: str, keys: Iterable[str]) -> list[str]:
    """The settings that are probably meant by this name, from a file, a command or the environment; at most three.

    Another spelling of one (`gateway-port`, `CCAPI_GATEWAY_PORT`), a slip (`gateway.prot`), or the right name in the
    wrong table (`gateway.level`).
    """
    known = {_plain(key): key for key in keys}
    wanted = _plain(text).removeprefix("ccapi_")
    if close := known.get(wanted) or word(wanted, known, cutoff=0.85):
        return [known.get(close, close)]
    elsewhere = [key for key in known.values() if f"_{wanted}".endswith(f"_{_plain(key.partition('.')[2])}")]
    if 1 <= len(elsewhere) <= 3:
        return elsewhere
    close = word(wanted, known)
    return [known[close]] if close else []


def _plain(name: str) -> str:
    return name.lower().replace('"', "").replace("-", "_").replace(".", "_")


def switch(value: Any) -> str | None:
    """`yes` for true."""
    return _SWITCHES.get(str(value).strip().lower())


def seconds(value: Any) -> str | None:
    """`5m` for 300."""
    return _measured(value, _TIMES)


def size(value: Any) -> str | None:
    """`32 MB` for 33554432."""
    return _measured(value, _SIZES)


def megabytes(value: Any) -> str | None:
    """`2g` for 2048."""
    found = _measured(value, _SIZES)
    return str(round(int(found) / 1024**2)) if found else None


def _measured(value: Any, units: Mapping[str, float]) -> str | None:
    text = str(value).strip().lower()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    try:
        return format(float(number) * units[unit], ".15g")
    except (ValueError, KeyError):
        return None


def port(value: Any) -> str | None:
    """The port in `127.0.0.1:8001`."""
    _, colon, found = str(value).strip().removesuffix("/").rpartition(":")
    return found if colon and found.isdigit() else None


def project(value: Any) -> str | None:
    """`web-shop` for `Web Shop`."""
    letters = (letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "-" for letter in str(value))
    return "".join(letters).lower().strip("-_")[:32] or None

"""What an answer was: one line below it, or several on a narrow terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ccapi.cli.answer.cells import cell_len
from ccapi.cli.answer.figures import dollars, duration, tokens

if TYPE_CHECKING:
    from ccapi.commands.ask import Summary
    from ccapi.wire.events import Usage

_BETWEEN = " · "


def lines(summary: Summary, width: int) -> list[str]:
    """Plain text in lines of at most `width` cells, as far as its parts allow; parted between them.

    What is not known is left out.
    """
    found: list[str] = []
    for part in _parts(summary):
        if found and cell_len(found[-1] + _BETWEEN + part) <= width:
            found[-1] += _BETWEEN + part
        else:
            found += _folded(part, width)
    return found


def _folded(part: str, width: int) -> list[str]:
    """At its spaces, if it is too long for one line."""
    found: list[str] = []
    for word in part.split(" "):
        if found and cell_len(f"{found[-1]} {word}") <= width:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _parts(summary: Summary) -> Iterator[str]:
    other = summary.answered_by not in {"", summary.model}
    yield f"{summary.model} ({summary.answered_by})" if other else summary.model
    if summary.turns:
        yield f"{summary.turns} turn{'s' if summary.turns > 1 else ''}"
    first = f", first text {duration(summary.first_text)}" if summary.first_text is not None else ""
    yield duration(summary.duration) + first
    usage = summary.usage
    if _input(usage) or usage.output_tokens:
        cached = f" ({tokens(usage.cache_read_tokens)} cached)" if usage.cache_read_tokens else ""
        yield f"{tokens(_input(usage))} in{cached}, {tokens(usage.output_tokens)} out"
    if paid := _paid(summary):
        yield paid
    if summary.session_id:
        yield f"session {summary.session_id}"


def _input(usage: Usage) -> int:
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_creation_tokens


def _paid(summary: Summary) -> str:
    """Claude Code reckons by the API's prices, whoever pays."""
    value = f"API value ≈ {dollars(summary.cost_usd)}" if summary.cost_usd > 0 else ""
    match summary.billing:
        case "none":
            return "scripted model"
        case "api":
            return dollars(summary.cost_usd) if value else ""
        case "subscription" | "cloud" as payer:
            return f"{payer} ({value})" if value else payer
        case _:
            return value

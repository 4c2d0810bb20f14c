"""From TOML files to a `Scenario`, with everything checked before the first request."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from ccapi.errors import ScenarioInvalid
from ccapi.rehearsal.failures import ERRORS
from ccapi.rehearsal.shipped import find
from ccapi.rehearsal.suggest import suggestion
from ccapi.rehearsal.table import Table
from ccapi.rehearsal.template import BUILT_IN, is_numbered, placeholders, strings
from ccapi.rehearsal.turns import Cut, Failure, Pause, Scenario, Step, Text, Thinking, ToolCall, Turn, When

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from pathlib import Path

STOP_REASONS = ("end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal")
_KINDS = ("text", "thinking", "tool", "pause", "error", "cut")


def read(path: Path, *, including: tuple[Path, ...] = ()) -> Scenario:
    """The scenario in `path`, with the turns of those it includes after its own, in the order of `include`."""
    path = path.resolve()
    if path in including:
        raise ScenarioInvalid(f"{path}: includes itself ({' -> '.join(p.name for p in (*including, path))})")
    root = Table(_parse(path), path)
    name = root.text("name") or path.stem
    description = root.text("description") or ""
    delay = root.seconds("delay") or 0.0
    shared = _when(root.table("when"))
    turns = [_turn(table, delay, shared) for table in root.tables("turn")]
    for other in root.texts("include"):
        turns += read(find(other, beside=path.parent), including=(*including, path)).turns
    root.done()
    if not turns:
        root.refuse("a scenario needs at least one [[turn]], or an 'include'")
    return Scenario(name, description, tuple(turns))


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioInvalid(f"{path}: is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioInvalid(f"{path}: is not TOML: {error}") from error


def _turn(table: Table, delay: float, shared: When) -> Turn:
    when = _when(table.table("when"), shared)
    steps = tuple(_step(step, delay, when) for step in table.tables("step"))
    reason = table.text("stop_reason")
    table.done()
    if not steps:
        table.refuse("a turn needs at least one [[turn.step]]")
    if reason is not None and reason not in STOP_REASONS:
        near = suggestion(reason, STOP_REASONS)
        table.refuse(f"'stop_reason' must be one of {', '.join(STOP_REASONS)}, not {reason!r}{near}")
    _refuse_steps_after_the_end(table, steps)
    return Turn(when, steps, reason)


def _refuse_steps_after_the_end(table: Table, steps: tuple[Step, ...]) -> None:
    for number, step in enumerate(steps[:-1], 1):
        if isinstance(step, Failure | Cut):
            table.refuse(f"step {number} ends the answer, so no step may follow it")


def _when(table: Table, shared: When | None = None) -> When:
    """The conditions of a turn; what it does not say itself comes from the file's own `when`."""
    shared = shared or When()
    own = When(
        prompt=table.pattern("prompt") or shared.prompt,
        result=table.pattern("result") or shared.result,
        model=table.pattern("model") or shared.model,
        results=_first(table.integer("results", least=0), shared.results),
        results_below=_first(table.integer("results_below", least=1), shared.results_below),
        attempt=_first(table.integer("attempt", least=1), shared.attempt),
        attempt_below=_first(table.integer("attempt_below", least=2), shared.attempt_below),
    )
    table.done()
    return own


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _step(table: Table, delay: float, when: When) -> Step:
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) > 1:
        table.refuse(f"a step does one thing, not {' and '.join(kinds)}: write one [[turn.step]] each")
    if not kinds:
        table.expect(*_KINDS, "input", "delay", "repeat", "message", "retry_after")
        table.done()  # names a mistyped kind, with its near miss
        table.refuse(f"a step needs one of: {', '.join(_KINDS)}")
    step = _STEPS[kinds[0]](table, delay)
    table.done()
    _check_placeholders(table, step, when)
    return step


def _text(table: Table, delay: float) -> Step:
    return Text(table.text("text") or "", _delay(table, delay), table.integer("repeat", least=1) or 1)


def _thinking(table: Table, delay: float) -> Step:
    return Thinking(table.text("thinking") or "", _delay(table, delay))


def _tool(table: Table, delay: float) -> Step:
    tool = table.text("tool")
    if not tool:
        table.refuse("'tool' must be the name of a tool")
    return ToolCall(tool, table.plain("input"), _delay(table, delay))


def _pause(table: Table, _: float) -> Step:
    return Pause(table.seconds("pause") or 0.0)


def _error(table: Table, _: float) -> Step:
    status = table.integer("error", least=400) or 0
    if status not in ERRORS:
        table.refuse(f"'error' must be one of {', '.join(map(str, ERRORS))}, not {status}")
    return Failure(status, table.text("message") or ERRORS[status].message, table.seconds("retry_after"))


def _cut(table: Table, _: float) -> Step:
    if table.boolean("cut") is not True:
        table.refuse("'cut' must be true: leave the step out if nothing is to be cut")
    return Cut()


_STEPS = {"text": _text, "thinking": _thinking, "tool": _tool, "pause": _pause, "error": _error, "cut": _cut}


def _delay(table: Table, default: float) -> float:
    own = table.seconds("delay")
    return default if own is None else own


def _check_placeholders(table: Table, step: Step, when: When) -> None:
    known = [*BUILT_IN, *_groups(when.prompt), *_groups(when.result), *_groups(when.model)]
    if isinstance(step, Text):
        known.append("number")
    for name in _placeholders(step):
        if name not in known and not is_numbered(name):
            near = suggestion(name, known) or f"; known here: {', '.join(known)}, result_N"
            table.refuse(f"unknown placeholder '@{{{name}}}'{near} (a literal one is written '@@{{')")


def _groups(pattern: re.Pattern[str] | None) -> Iterable[str]:
    return pattern.groupindex if pattern else ()


def _placeholders(step: Step) -> Iterable[str]:
    match step:
        case Text(text=text) | Thinking(text=text) | Failure(message=text):
            return placeholders(text)
        case ToolCall(input=given):
            return (name for text in strings(dict(given)) for name in placeholders(text))
        case _:
            return ()

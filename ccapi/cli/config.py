"""`ccapi config show`, `get`, `set`, `unset`, `path`, `edit` and `validate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi.cli import context, output, values
from ccapi.cli.options import Json

if TYPE_CHECKING:
    from ccapi.commands.config import Change, Origin
    from ccapi.settings import Resolved
    from ccapi.settings.problems import Problem

Key = Annotated[str, typer.Argument(help="The setting, such as gateway.port.", autocompletion=values.settings)]
Local = Annotated[
    bool, typer.Option("--local", help="In ./ccapi.toml, for this directory, not in the user's own file.")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Settings: look at them and change them.")
    group.command()(show)
    group.command()(get)
    group.command(name="set")(set_)
    group.command()(unset)
    group.command()(path)
    group.command()(edit)
    group.command()(validate)
    app.add_typer(group, name="config")


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting as it counts here and now, in TOML.

    The first that has a value wins: a command's own option, the environment (CCAPI_GATEWAY_PORT), ./ccapi.toml, the
    file of the stack (with --project), the user's file, the default.
    """
    from ccapi.commands import config
    from ccapi.settings import check

    found = context.settings().resolved
    origins = config.origins(found) if origin or as_json else {}
    for problem in check.unread():
        output.warn(_with_hint(problem))
    if as_json:
        output.write_json({key: _document(resolved, origins[key]) for key, resolved in found.items()})
        return
    lines = {key: _line(key, resolved.value) for key, resolved in found.items()}
    width = min(40, max(map(len, lines.values())))
    for key, line in lines.items():
        output.write(f"{line:<{width}}  # {output.printable(str(origins[key]))}\n" if origin else f"{line}\n")


def get(key: Key, as_json: Json = False) -> None:
    """Print one setting's value; an empty line where there is none."""
    from ccapi.commands import config

    resolved = config.value(context.settings(), key)
    if as_json:
        output.write_json({"key": key, **_document(resolved, config.origins({key: resolved})[key])})
    else:
        output.write(_plain(resolved.value) + "\n")


def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="Its value; a table as name=value,name=value.")],
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Set a setting. Comments in the file stay.

    With --project it is set for that stack, else in the user's file.
    """
    from ccapi.commands import config
    from ccapi.errors import UsageError

    if key == "stack.project" and context.mode.project and not local:
        raise UsageError(
            "stack.project says which stack is meant, and cannot be a setting of one",
            hint="For this directory: ccapi config set stack.project NAME --local\nElse leave --project out.",
        )
    change = config.set_value(context.home(), key, value, local=local, waiting=output.waiting)
    _say(change, f"{key} is set in {change.file}", f"{key} was already so in {change.file}", as_json=as_json)


def unset(key: Key, local: Local = False, as_json: Json = False) -> None:
    """Take a setting out of the file again.

    Then the next place that has a value counts, or the default.
    """
    from ccapi.commands import config

    change = config.unset(context.home(), key, local=local, waiting=output.waiting)
    _say(change, f"{key} is taken out of {change.file}", f"{key} was not set in {change.file}", as_json=as_json)


def path(local: Local = False, as_json: Json = False) -> None:
    """Print the path of the settings file."""
    from ccapi.commands import config

    file = config.file(context.home(), local=local)
    if as_json:
        output.write_json({"path": str(file), "exists": file.is_file()})
    else:
        output.write(f"{file}\n")


def edit(local: Local = False) -> None:
    """Edit the settings file with $VISUAL or $EDITOR.

    What you edit is a copy. It takes the file's place if there is nothing wrong with it; otherwise you are shown what
    is, and can go on.
    """
    from ccapi.cli import configdialogue

    configdialogue.edit(context.home(), local=local)


def validate(
    file: Annotated[Path | None, typer.Argument(help="Another file, in place of those that count here.")] = None,
    as_json: Json = False,
) -> None:
    """Check every settings file that counts, and the environment.

    All that is wrong is shown, with its line. The exit code is 2 then.
    """
    from ccapi.commands import config

    report = config.validate(context.home(), one=file)
    for problem in report.warnings:
        output.warn(_with_hint(problem))
    if as_json:
        document = {"files": [str(one) for one in report.files], "problems": [_problem(one) for one in report.problems]}
        output.write_json(document, ok=not report.problems)
    else:
        output.write(problem_lines(report.problems) or _fine(report.files))
    if report.problems:
        raise typer.Exit(2)


def problem_lines(problems: Iterable[Problem]) -> str:
    """One line a problem, and what to do about it below."""
    lines = []
    for problem in problems:
        lines.append(problem.text)
        lines.extend(f"  {line}" for line in (problem.hint or "").splitlines())
    return "".join(f"{output.printable(line)}\n" for line in lines)


def _fine(files: Iterable[Path]) -> str:
    named = [output.printable(str(file)) for file in files]
    return (
        "".join(f"{file}: nothing is wrong\n" for file in named) or "There is no file of settings; nothing is wrong\n"
    )


def _with_hint(problem: Problem) -> str:
    return f"{problem.text}. {problem.hint}" if problem.hint else problem.text


def _problem(problem: Problem) -> dict[str, Any]:
    return problem._replace(file=problem.file and str(problem.file))._asdict()  # type: ignore[arg-type] # for JSON


def _say(change: Change, done: str, nothing: str, *, as_json: bool) -> None:
    output.note(output.printable(done if change.changed else nothing))
    if change.problem:
        output.warn(change.problem.message)
    if effect := _effect(change):
        output.note(output.printable(effect))
    _warn_of_no_key(change)
    if as_json:
        document = {"key": change.key, "file": str(change.file), "changed": change.changed}
        output.write_json({**document, "apply": _command(change) if change.changed else None})


def _effect(change: Change) -> str | None:
    """What a change means for what runs already, or why it means nothing."""
    if change.value and change.overridden:
        from ccapi.commands import config

        origin = config.origins({change.key: change.value})[change.key]
        where = f"file {origin}" if origin.file else str(origin)
        return f"But what counts here is {_plain(change.value.value)!r}, from the {where}"
    if not change.changed or not change.row:
        return None
    command = _command(change)
    if change.row.takes == "next":
        return "It counts from the next command on"
    if change.row.takes == "proxy":
        return f"A running OAuth proxy takes it over with: {command}"
    without = " (a `ccapi gateway` when it is started again)" if change.row.key.startswith(_OF_GATEWAY) else ""
    return f"A running stack takes it over with: {command}{without}"


# The tables of which `ccapi gateway` reads something.
_OF_GATEWAY = ("gateway.", "api.", "pool.", "sessions.", "models.", "log.")


def _command(change: Change) -> str | None:
    """What must be run for a change to count where something runs already; None if nothing need be."""
    command = {"up": "ccapi up", "proxy": "ccapi proxy restart"}.get(change.row.takes) if change.row else None
    project = context.home().project
    return f"{command} --project {project}" if command and project else command


def _warn_of_no_key(change: Change) -> None:
    """Before a setting keeps everybody out."""
    from ccapi.commands import keys
    from ccapi.errors import CcapiError

    if change.key not in {"api.require_key", "gateway.host"}:
        return
    try:
        wanted = context.settings()
        if wanted.key_required and not keys.listed(wanted.home):
            output.note("Every request needs an API key then, and there is none yet. Make one: ccapi key create")
    except CcapiError as error:
        output.warn(error.message)


def _document(resolved: Resolved, origin: Origin) -> dict[str, Any]:
    value = resolved.value
    place = {"origin": origin.kind, "file": origin.file and str(origin.file), "line": origin.line}
    return {"value": str(value) if isinstance(value, Path) else value, **place, "variable": origin.variable}


def _plain(value: Any) -> str:
    """As the environment has it."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_plain(inner)}" for name, inner in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _line(key: str, value: Any) -> str:
    from ccapi.settings import values

    return f"# {key} is not set" if value is None else f"{key} = {values.toml(value)}"

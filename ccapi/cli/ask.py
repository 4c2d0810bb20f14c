"""`ccapi ask` and `ccapi demo`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, values
from ccapi.cli.answer.choose import Form, Wanted
from ccapi.cli.context import mode
from ccapi.cli.options import DEFAULT_MODEL, Json, OptionalLanguage, Port, positive
from ccapi.errors import (
    AnswerIncomplete,
    CcapiError,
    GatewayUnreachable,
    InvalidRequest,
    OutputFailed,
    SessionNotFound,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ccapi.client.question import Question
    from ccapi.commands.ask import Summary
    from ccapi.settings import Settings

_EFFORTS = Literal["none", "low", "medium", "high", "xhigh", "max"]
Transcript = Literal["full", "text", "final"]
_OPTIONS = {  # by the field of the request
    "model": "--model",
    "instructions": "--system",
    "workspace": "--workspace",
    "allowed_tools": "--allow",
    "disallowed_tools": "--deny",
    "max_turns": "--max-turns",
    "max_budget_usd": "--max-cost",
    "text.format.schema": "--schema",
}


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalLanguage)(ask)
    app.command()(demo)


def ask(
    prompt: Annotated[
        str | None,
        typer.Argument(help="The question. `-` reads it from standard input. Without one, you are asked for it."),
    ] = None,
    *,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="A text, image or PDF to go with it, once or several times; `-`: stdin.",
        ),
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the last session of this directory.")
    ] = False,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            metavar="ID",
            help="Go on with that session (ccapi sessions list).",
            autocompletion=values.sessions,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME", help="One of `ccapi models`, or a claude-* id.", show_default=True
        ),
    ] = DEFAULT_MODEL,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="Instructions besides the question.")] = None,
    workspace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Directory of the gateway's workspace to work in; made if need be."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOOL", help="A tool it has, such as Read or 'Bash(git *)', once or several times; then no others."
        ),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="TOOL", help="A tool that it does not have, whatever is allowed.")
    ] = None,
    effort: Annotated[_EFFORTS | None, typer.Option(help="How much it thinks.")] = None,
    max_turns: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Steps it may take; then it ends, with exit code 1.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(parser=positive, metavar="USD", help="What it may cost, by the API's prices.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(parser=positive, metavar="SECONDS", help="End the run after so long, with exit code 124."),
    ] = None,
    transcript: Annotated[
        Transcript | None,
        typer.Option(help="All steps, what is said in them, or what is said last.", show_default="full"),
    ] = None,
    final: Annotated[bool, typer.Option("--final", help="Only what is said last: --transcript final.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Do not fold what tools put out.")] = False,
    thinking: Annotated[bool, typer.Option("--thinking", help="Show what the model thinks.")] = False,
    extract: Annotated[
        str | None,
        typer.Option("--extract", "-x", metavar="[LANG]", help="Only code: the blocks of what is said last."),
    ] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="FILE|JSON", help="Answer with JSON that fits this JSON Schema.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file, not to standard output.")
    ] = None,
    as_json: Json = False,
    stream_json: Annotated[
        bool, typer.Option("--stream-json", help="Each event of the run as a line of JSON.")
    ] = False,
    port: Port = None,
) -> None:
    """Ask Claude Code and see every step of its answer.

    What is piped in belongs to the question. The answer goes to standard output: rendered on a terminal, the plain
    transcript in a pipe. Ctrl-C ends the run.
    """
    _check_text({
        "--model": [model], "--system": [system], "--workspace": [workspace], "--session": [session],
        "--allow": allow or [], "--deny": deny or [], "--extract": [extract],
    })  # fmt: skip
    json_schema = _schema(schema)
    wanted = Wanted(
        _transcript(transcript, final=final, extract=extract is not None or schema is not None),
        _form(as_json=as_json, stream_json=stream_json, extract=extract is not None, schema=schema),
        language=extract or None,
        file=_file(to),
        full=full,
        thinking=thinking,
    )
    if go_on and session is not None:
        raise UsageError("--continue and --session exclude each other")
    if session is not None and not session.strip():
        raise UsageError("--session names no session")
    from ccapi.cli.asked import question_parts
    from ccapi.client.question import Question

    settings = context.settings({"gateway.port": port})
    session_id = _session(settings, session, go_on=go_on)
    parts = question_parts(prompt, file or ())
    question = Question(
        parts,
        model,
        session_id=session_id,
        system=system,
        workspace=workspace,
        max_turns=max_turns,
        max_cost=max_cost,
        effort=effort,
        allow=None if allow is None else tuple(allow),
        deny=tuple(deny or ()),
        schema=json_schema,
    )
    summary = _answered(settings, question, wanted, timeout, port)
    if summary.finish_reason != "stop":
        raise _incomplete(summary, question)


def demo(
    docker: Annotated[
        bool, typer.Option("--docker", help="Run it in the container instead of local processes.")
    ] = False,
) -> None:
    """See it work: no account, no Docker, half a minute.

    The real Claude Code writes a program and really runs it; only the model's words come from a script.
    """
    from ccapi.commands import demo as demo_commands
    from ccapi.commands.ask import Summary

    output.note(demo_commands.INTRODUCTION)
    run = demo_commands.in_docker if docker else demo_commands.locally
    run(Wanted("full", "answer").view(Summary(demo_commands.MODEL)), on_step=output.note)
    output.note(demo_commands.CONCLUSION)


# --- what is wanted


def _check_text(options: Mapping[str, Sequence[str | None]]) -> None:
    """Raises `UsageError` for a value that no request could hold."""
    from ccapi.cli.asked import in_utf8

    for option, given in options.items():
        for value in given:
            in_utf8(value or "", option)


def _file(given: str | None) -> Path | None:
    """None: standard output."""
    if not given and given is not None:
        raise UsageError("--output names no file")
    if given and given.endswith("/"):
        raise UsageError(f"-o {given}: that names a directory")
    return None if given in {None, "-"} else Path(given)


def _transcript(asked: Transcript | None, *, final: bool, extract: bool) -> Transcript:
    if final and asked not in {None, "final"}:
        raise UsageError(f"--final and --transcript {asked} exclude each other")
    return asked or ("final" if final or extract else "full")


def _form(*, as_json: bool, stream_json: bool, extract: bool, schema: str | None) -> Form:
    """Raises `UsageError` for two at once."""
    asked = {"--json": as_json, "--stream-json": stream_json, "--extract": extract}
    given = [name for name, is_given in asked.items() if is_given]
    if extract and schema is not None:
        given.append("--schema")
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other")
    forms: Mapping[str, Form] = {"--json": "json", "--stream-json": "events", "--extract": "code"}
    return forms[given[0]] if given else "structured" if schema is not None else "answer"


def _schema(given: str | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    from ccapi.commands import answerschema

    return answerschema.read(given)


def _session(settings: Settings, given: str | None, *, go_on: bool) -> str | None:
    """The session to go on with. Raises `SessionNotFound`."""
    if not given and not go_on:
        return None
    from ccapi.commands import sessions

    return sessions.resolve(settings, given) if given else sessions.last(settings, context.directory())


# --- asking


def _answered(
    settings: Settings, question: Question, wanted: Wanted, timeout: float | None, port: int | None
) -> Summary:
    from ccapi.commands.ask import Summary

    summary = Summary(question.model)
    try:
        return _ask(settings, question, wanted, timeout, summary)
    except GatewayUnreachable as error:
        # One that was there and is gone may have done things: no question is asked twice.
        if summary.response_id or type(error) is not GatewayUnreachable or not _started(error, port):
            raise
    return _ask(settings, question, wanted, timeout, Summary(question.model))


def _started(problem: GatewayUnreachable, port: int | None) -> bool:
    """Whether there is a gateway now: a person who can be asked may have the container started."""
    if port is not None or mode.json or not output.interactive():
        return False
    from ccapi.cli import prompt
    from ccapi.cli.up import up

    if not prompt.confirm(f"{problem.message}. Start it now (ccapi up)?", default=True):
        return False
    up()
    return True


def _ask(settings: Settings, question: Question, wanted: Wanted, timeout: float | None, summary: Summary) -> Summary:
    from ccapi.commands import ask as asking

    try:
        return asking.ask(
            settings.base_url,
            question,
            wanted.view(summary),
            summary=summary,
            api_key=host_settings.api_key(),
            timeout=timeout,
            on_sent=wanted.prepare,
        )
    except (KeyboardInterrupt, SystemExit) as end:
        _say_interrupted(end, summary)
        raise
    except CcapiError as error:
        if option := _option(error):
            raise UsageError(error.message.replace(f"'{error.param}'", option), hint=error.hint) from None
        _say_way_on(error, summary, wanted)
        raise
    finally:  # it was answered, or not, and that was told: nothing here changes how the command ends
        with suppress(Exception):
            _remember(settings, question, summary)
        with suppress(Exception):
            _say_footer(summary, wanted)


def _option(error: CcapiError) -> str | None:
    """The option with a value that the gateway does not take; the error is about the field that became of it."""
    return _OPTIONS.get((error.param or "").partition("[")[0]) if type(error) is InvalidRequest else None


def _say_way_on(error: CcapiError, summary: Summary, wanted: Wanted) -> None:
    if isinstance(error, SessionNotFound):
        from ccapi.commands.sessions import LIST

        error.hint = LIST
    elif summary.begun and "ccapi ask" not in (error.hint or ""):
        unseen = "Look at it: ccapi sessions show --last" if wanted.form in {"code", "structured"} else None
        error.hint = "\n".join(filter(None, [error.hint, unseen, 'Go on: ccapi ask -c "..."']))


def _say_interrupted(end: BaseException, summary: Summary) -> None:
    from ccapi.commands.ask import interruption

    output.note(output.styled(output.printable(interruption(end)), "2"))
    if summary.session_id and summary.begun:
        output.note(output.styled('continue with: ccapi ask -c "..."', "2"))


def _remember(settings: Settings, question: Question, summary: Summary) -> None:
    """For --continue. It was answered also if that cannot be written down."""
    if not (summary.session_id and summary.begun):
        return
    from ccapi.commands import lastsession

    title = "" if question.session_id else str(question.parts[0].get("text", ""))
    try:
        lastsession.remember(settings.home, settings.base_url, context.directory(), summary.session_id, title=title)
    except (OutputFailed, UsageError) as error:
        output.note(output.printable(f"--continue will not know of this session: {error}"))


def _say_footer(summary: Summary, wanted: Wanted) -> None:
    """For a person; a pipe's other end may be writing to the same terminal."""
    if not summary.session_id or not (mode.verbose or (output.terminal(sys.stderr) and not wanted.piped)):
        return
    from ccapi.cli.answer import footer
    from ccapi.cli.answer.live import encodable, size

    if output.on_screen():
        output.note("")
    for line in footer.lines(summary, size(sys.stderr).columns):
        output.note(output.styled(encodable(output.printable(line), sys.stderr), "2"))


def _incomplete(summary: Summary, question: Question) -> AnswerIncomplete:
    if summary.finish_reason == "content_filter":
        return AnswerIncomplete("The model refused to answer")
    return AnswerIncomplete(
        f"The answer is not complete: {_limit(summary, question)}", hint='Go on: ccapi ask -c "Go on."'
    )


def _limit(summary: Summary, question: Question) -> str:
    """Which it was. The run tells no more than that there was one."""
    if question.max_turns is not None and summary.turns >= question.max_turns:
        return f"--max-turns {question.max_turns} is reached"
    if question.max_cost is not None and summary.cost_usd >= question.max_cost:
        return f"--max-cost {question.max_cost:g} is reached"
    return "the run has reached a limit (turns, cost or tokens)"

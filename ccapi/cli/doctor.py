"""`ccapi doctor`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi.cli import context, output, prompt, values
from ccapi.cli.doctorview import Looking, listing, results_text, verdict
from ccapi.cli.options import REPORT_DEFAULT, Json, OptionalReport
from ccapi.errors import InputNeeded, UsageError

if TYPE_CHECKING:
    from ccapi.doctor.check import Check
    from ccapi.doctor.facts import Facts
    from ccapi.doctor.runner import Result


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalReport)(doctor)


def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECK]...", help="Checks or categories, see --list. Default: all.", autocompletion=values.checks
        ),
    ] = None,
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely; asks before each.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask.")] = False,
    as_list: Annotated[bool, typer.Option("--list", help="Show what there is to be looked at.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no machine on the internet.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a check may take.")] = 5,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as failures: exit code 1.")] = False,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help=f"Write a report for an issue, without secrets, to FILE ({REPORT_DEFAULT}; - is standard output).",
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also ask a scripted model a real question, through the real container.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong, and how to mend it.

    Exit code 0: nothing, or warnings only. 1: something does not work.
    """
    from ccapi.doctor import registry
    from ccapi.doctor.document import listed

    if yes and not fix:
        raise UsageError("--yes goes with --fix")
    known = registry.every()
    wanted = registry.select(names or [], known, deep=deep)
    if as_list:
        wanted = registry.select(names or [], known, deep=True)
        _say_list(wanted, listed(wanted), as_json=as_json)
        return
    began = time.monotonic()
    with Looking() as view:
        facts = _facts(offline=offline, timeout=timeout, view=view)
        results = _run(wanted, known, facts, timeout, view)
    view.took = time.monotonic() - began
    if not as_json and report != "-":
        output.write(results_text(results, every=bool(names) or context.mode.verbose > 0))
    if fix:
        results = _mended(results, known, facts, timeout=timeout, yes=yes)
    _end(results, facts, view, strict=strict, report=report, as_json=as_json)


def _facts(*, offline: bool, timeout: float, view: Looking) -> Facts:
    from ccapi.doctor.facts import Facts

    return Facts(context.home(), offline=offline, timeout=timeout, say=view.say)


def _run(wanted: Sequence[Check], known: Sequence[Check], facts: Facts, timeout: float, view: Looking) -> list[Result]:
    from ccapi.doctor import runner

    return runner.run(wanted, known, facts, timeout=timeout, on_progress=view)


def _say_list(wanted: Sequence[Check], document: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.write_json({"checks": document})
    else:
        output.write(listing(wanted))


def _mended(results: list[Result], known: Sequence[Check], facts: Facts, *, timeout: float, yes: bool) -> list[Result]:
    """The results after what can be mended safely was mended, one after the other."""
    from ccapi.doctor import runner

    after = []
    for result in results:
        fix = result.finding.fix
        if fix is None or not fix.safe or not _agreed(result, yes=yes):
            after.append(result)
            continue
        mended = runner.mend(result, known, facts, timeout=timeout)
        word = output.styled("fixed", "32") if mended.fixed else output.styled("not fixed", "31")
        output.note(f"{word}: {result.check.id}: {output.printable(mended.finding.summary)}")
        after.append(mended)
    if not any(result.finding.fix and result.finding.fix.safe for result in results):
        output.note("There is nothing that could be mended safely")
    return after


def _agreed(result: Result, *, yes: bool) -> bool:
    fix = result.finding.fix
    assert fix is not None
    if yes:
        return True
    if not output.interactive():
        raise InputNeeded("mending needs a yes for each fix", hint="To have all that is safe: ccapi doctor --fix --yes")
    what = f"{fix.text} ({fix.command})" if fix.command else fix.text
    return prompt.confirm(f"{result.check.id}: {what}?", default=True)


def _end(
    results: list[Result], facts: Facts, view: Looking, *, strict: bool, report: str | None, as_json: bool
) -> None:
    """What goes out last: the verdict, the document or the report; and the exit code."""
    from ccapi.doctor.document import document, unsound

    failed = unsound(results, strict=strict)
    if report is not None:
        _report(results, facts, report)
    if as_json:
        output.write_json(document(results, facts, strict=strict), ok=not failed)
    elif report != "-":
        output.write(f"{verdict(results, view.took)}\n")
    raise typer.Exit(1 if failed else 0)


def _report(results: list[Result], facts: Facts, file: str) -> None:
    from pathlib import Path

    from ccapi import files
    from ccapi.doctor.report import report

    text = report(results, facts)
    if file == "-":
        output.write(text)
        return
    files.replace(Path(file), text, mode=0o600)
    output.note(f"Report written: {file}\nRead it before you pass it on: it names directories, ports and settings.")

"""`ccapi ask` and `ccapi demo`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.answer import AnswerPrinter
from ccapi.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(ask)
    app.command()(demo)


def ask(
    prompt: Annotated[str, typer.Argument(help="The question. `-` reads it from standard input.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="sonnet, opus, haiku, or a claude-* id.", show_default=True)
    ] = "sonnet",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway.")] = None,
) -> None:
    """Ask Claude Code and see every step of its answer.

    The answer goes to standard output: rendered on a terminal, the plain transcript in a pipe. Ctrl-C ends the run.
    """
    from ccapi.commands.ask import ask as ask_gateway

    question = _question(prompt)
    settings = context.settings({"gateway.port": port})
    with AnswerPrinter() as printer:
        ask_gateway(
            settings.base_url,
            question,
            model=model,
            api_key=host_settings.api_key(),
            on_text=printer.text,
            on_comment=printer.comment,
        )


def demo(
    docker: Annotated[
        bool, typer.Option("--docker", help="Run it in the container instead of local processes.")
    ] = False,
) -> None:
    """See it work: no account, no Docker, half a minute.

    The real Claude Code writes a program and really runs it; only the model's words come from a script.
    """
    from ccapi.commands import demo as demo_commands

    output.note(demo_commands.INTRODUCTION)
    run = demo_commands.in_docker if docker else demo_commands.locally
    with AnswerPrinter() as printer:
        run(on_step=output.note, on_text=printer.text, on_comment=printer.comment)
    output.note(demo_commands.CONCLUSION)


def _question(prompt: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if prompt == "-" else prompt.encode("utf-8", "surrogateescape")
        question = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("The question is not valid UTF-8") from None
    if not question.strip():
        raise UsageError("The question is empty")
    return question

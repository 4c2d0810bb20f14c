"""What is asked, from all the places it may come from: the command line, files, standard input, a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from ccapi.cli import context, output
from ccapi.cli.asking import standardinput
from ccapi.client.question import Part, text_part
from ccapi.errors import InputNeeded, UsageError

STDIN = "-"
_NONE = "there is no question"
_EMPTY = "the question is empty"
_HOW = 'ccapi ask "QUESTION"'


def question_parts(prompt: str | None, files: Sequence[str]) -> tuple[Part, ...]:
    """The question, then the files in their order, then what is piped in.

    `prompt` None: it is piped in, or asked for at the terminal. `-`, as the prompt or as one of the files, is standard
    input, and is waited for. Files are looked at first: a wrong name is said before anybody types, or waits.
    Raises `UsageError`, `InputNeeded`, and `KeyboardInterrupt` when the person leaves without a question.
    """
    insisted = list(files).count(STDIN)
    if insisted + (prompt == STDIN) > 1:
        raise UsageError("standard input can be read once; - stands there twice")
    found = [_file(path) if path != STDIN else None for path in files]
    question = _question(prompt, taken=bool(insisted))
    context_parts = _context() if prompt not in {None, STDIN} and not insisted else ()
    attached = [part if part is not None else _insisted_file() for part in found]
    return _whole(question, [*files, *(standardinput.NAME for _ in context_parts)], [*attached, *context_parts])


def in_utf8(given: str, what: str) -> str:
    """What was given on the command line, as text. Raises `UsageError`."""
    try:
        return given.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise UsageError(f"{what} is not valid UTF-8") from None


def _whole(question: str, names: Sequence[str], attached: Sequence[Part]) -> tuple[Part, ...]:
    """Raises `UsageError` if it is too much."""
    parts: tuple[Part, ...] = (text_part(question), *attached)
    if not attached:
        return parts
    from ccapi.commands import attachments

    names = [standardinput.NAME if name == STDIN else name for name in names]
    images = [name for name, part in zip(names, attached, strict=True) if part["type"] == "input_image"]
    if len(images) > 1:
        parts = (*parts, attachments.in_order(images))
    attachments.check(parts, context.settings().value("gateway.max_body"))
    return parts


def _question(prompt: str | None, *, taken: bool) -> str:
    """`taken`: standard input is something else."""
    if prompt is None:
        return _typed() if standardinput.is_terminal() and not taken else _piped(taken=taken)
    if prompt == STDIN:
        return _text(standardinput.insisted("the question"))
    return _asked(prompt)


def _typed() -> str:
    if not output.interactive():
        raise InputNeeded("somebody would have to type the question", hint=_HOW)
    from ccapi.cli.asking import multiline

    return _asked(multiline.ask(context.home()))


def _piped(*, taken: bool) -> str:
    """Standard input is the question where there is no other, but nobody said that something would come."""
    data = b"" if taken else standardinput.offered()
    if data is None:
        grace = f"{standardinput.GRACE:g} s"
        raise UsageError(f"{_NONE}: nothing came on standard input within {grace}", hint="To wait for it: ccapi ask -")
    if not data.strip():
        raise UsageError(_NONE, hint=_HOW)
    return _text(data)


def _context() -> tuple[Part, ...]:
    """What is piped in beside a question: text as it is, or an image, or a PDF."""
    data = standardinput.offered()
    if data is None:
        output.warn(
            f"nothing came on standard input within {standardinput.GRACE:g} s, so it is not part of the question "
            "(to wait for it: -f -)"
        )
    if not data or not data.strip():
        return ()
    from ccapi.commands import attachments
    from ccapi.wire import media

    if media.media_type(data):
        return (attachments.from_bytes(data, standardinput.NAME),)
    return (text_part(attachments.text(data, standardinput.NAME)),)


def _file(path: str) -> Part:
    if not path:
        raise UsageError("--file names no file")
    from ccapi.commands import attachments

    return attachments.from_file(path)


def _insisted_file() -> Part:
    from ccapi.commands import attachments

    return attachments.from_bytes(standardinput.insisted("what is to be sent"), standardinput.NAME)


def _text(data: bytes) -> str:
    """Standard input as the question."""
    from ccapi.commands import attachments
    from ccapi.wire import media

    if not data.strip():
        raise UsageError(_EMPTY, hint=_HOW)
    if media.media_type(data):
        raise UsageError(f"{_NONE}: standard input is an image or a PDF", hint=f"{_HOW} -f FILE")
    return attachments.text(data, standardinput.NAME)


def _asked(question: str) -> str:
    """Raises `UsageError` for what is no text, or none that says anything."""
    question = in_utf8(question, "the question")
    if not question.strip():
        raise UsageError(_EMPTY, hint=_HOW)
    return question

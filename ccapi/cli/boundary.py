"""The one boundary where exceptions become a line on stderr, a JSON document for a program, and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from typer.exceptions import Abort, TyperException

from ccapi.cli import output
from ccapi.cli.context import mode, own
from ccapi.errors import CcapiError, Interrupted, UnexpectedFailure, UsageError

ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT")  # the signals that end a command beside Ctrl-C, as far as the system has them
_INTERRUPTED = Interrupted.exit_code
_TERMINATED = {128 + number for name in ENDING if (number := getattr(signal, name, None))}


def run(args: list[str]) -> int:
    """Run the command line and return the exit code."""
    mode.begin()
    output.prepare()
    if args[:1] == ["__complete"]:
        return _complete(args[1:])
    end_in_order()
    try:
        code = _outcome(args)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as end:  # a signal, where typer is not there to take it
        code = end.code if isinstance(end.code, int) else 1
    try:
        _tell_who_ended_it(code, args)
    finally:
        _interrupt_is_handled()
    return code


def _outcome(args: list[str]) -> int:
    try:
        return _command(args)
    except CcapiError as error:
        return _failed(error)
    except TyperException as error:
        return _failed(_mistyped(error, args))
    except Abort:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 # a defect of ours is one line, too
        from ccapi.redact import redact

        message = redact(f"ccapi failed unexpectedly: {type(error).__name__}: {error}")
        failure = UnexpectedFailure(message, hint="Run it again with --debug to see where.")
        failure.__cause__ = error
        return _failed(failure)


def _tell_who_ended_it(code: int, args: Sequence[str]) -> None:
    """A program that asked for JSON gets a document of a command that was ended, too, unless it has one.

    Nobody else's exit code is one of these where there is JSON.
    """
    if code != _INTERRUPTED and code not in _TERMINATED:
        return
    with suppress(Exception, KeyboardInterrupt, SystemExit):  # whoever ends it once more does not even want that
        if not mode.command:  # it was not read yet
            _note_json(args)
        if mode.json:
            output.hurry()
            output.write_failure(Interrupted("interrupted" if code == _INTERRUPTED else "terminated"))
            output.write("")  # the rest of a document that was interrupted in itself


def _interrupt_is_handled() -> None:
    """Have `python -m ccapi` exit with the code that it is given.

    Ctrl-C while a text is executed, as dataclasses are made, is noted as one that nobody handles, and whoever catches
    it later does not change that: the process would end by SIGINT in the end. The next text that is executed does.
    """
    exec("")  # noqa: S102 # there is no other way to it


def end_in_order() -> None:
    """A terminated command cleans up like an interrupted one (and exits with 128 + the signal, as shells expect)."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `main` has it
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for name in ENDING:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` means it
            signal.signal(number, leave)


def _command(args: list[str]) -> int:
    from ccapi.cli import app

    code = app.run(args)
    if not code:
        from ccapi.cli import notice

        notice.offer()
    return code


def _complete(args: list[str]) -> int:
    """For the shell: whatever goes wrong, the person is in the middle of a line."""
    from ccapi.cli import complete

    try:
        complete.answer(args)
    except Exception:  # noqa: BLE001 # see above
        return 1
    return 0


def _failed(error: CcapiError) -> int:
    """Tell of it; the exit code, which is the same when nobody can be told."""
    with suppress(Exception):
        _keep(error)
    output.failure(error)
    return error.exit_code


def _keep(error: CcapiError) -> None:
    from ccapi.cli import trail

    unexpected = isinstance(error, UnexpectedFailure)
    cause = error.__cause__ if unexpected and error.__cause__ else error
    if mode.debug:
        output.say(output.printable(trail.text(cause).rstrip()))
    if (unexpected or mode.debug) and (file := trail.keep(cause)):
        error.hint = f"The whole of it is in {file}"


def _mistyped(error: TyperException, args: list[str]) -> UsageError:
    """What typer has to say of a command line, in our words: with how it is meant, and where to read on."""
    _note_json(args)
    mode.port = None  # of no gateway has anything been asked
    context, message = getattr(error, "ctx", None), error.format_message()
    hints = [context.get_usage(), f"Help: {context.command_path} --help"] if context else ["Help: ccapi --help"]
    if context and context.command.name == "ask" and "extra argument" in message:
        hints.insert(0, 'If it is all one question, quote it: ccapi ask "..."')
    return UsageError(message, hint="\n".join(hints))


def _note_json(args: Sequence[str]) -> None:
    """Also where there is no command yet that would have the option."""
    before = own(args)
    mode.json = mode.json or "--json" in before or "--stream-json" in before
    mode.stream = mode.stream or "--stream-json" in before

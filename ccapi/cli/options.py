"""Option forms that typer does not know, and options that several commands have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from ccapi.cli.context import mode

REHEARSAL_DEFAULT = "default"
REPORT_DEFAULT = "ccapi-report.md"
DEFAULT_MODEL = "sonnet"  # what is asked unless somebody says otherwise
JSON = "One JSON document on standard output."
JSON_LINES = "JSON on standard output, one document a line."

_LANGUAGE = re.compile(r"[A-Za-z0-9+#_.][A-Za-z0-9+#_.-]{0,19}")

Json = Annotated[bool, typer.Option("--json", help=JSON)]
JsonLines = Annotated[bool, typer.Option("--json", help=JSON_LINES)]


def _port(port: int | None) -> int | None:
    mode.port = port
    return port


Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway.", callback=_port)]


def positive(text: str) -> float:
    """The value of an option that is an amount of something: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise typer.BadParameter(f"{text!r} is not a number above 0.")
    return number


class OptionalValue(TyperCommand):
    """A command with an option that can stand without a value: click's `flag_value` has no way through typer.

    What stands behind a `=`, or behind the option's letter (`-xpython`), is its value. The next argument is, if
    `is_value` says so.
    """

    option: ClassVar[str]  # `--name`
    default: ClassVar[str]  # what it means without a value

    def is_value(self, following: str, others: int) -> bool:
        """Whether this argument, which is no option, is the value; `others` are the other arguments of that kind."""
        raise NotImplementedError

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The option gets its value here, so that click never takes the next argument for it."""
        end = args.index("--") if "--" in args else len(args)
        words = self._words({name: one for one in self.get_params(ctx) for name in one.opts}, args[:end])
        count = sum(map(_is_positional, words)) + max(0, len(args) - end - 1)
        given: list[str] = []
        while words:
            word = words.pop(0)
            if word[-1] is not None:
                given += word
                continue
            value = self.default
            if words and _is_positional(words[0]) and self.is_value(words[0][0], count - 1):
                value = words.pop(0)[0]
                count -= 1
            if not word[0].startswith("--") and len(word[0]) > len("-x"):
                given.append(word[0][:-1])  # `-c` of `-cx`
            given.append(f"{self.option}={value}")
        return super().parse_args(ctx, [*given, *args[end:]])

    def _words(self, options: Mapping[str, Any], args: Iterable[str]) -> list[list[Any]]:
        """Each argument with the value that click would give it of the next one; for our option that is None."""
        rest = iter(args)
        words: list[list[Any]] = []
        for word in rest:
            needed = _needing(word, options)
            if needed is not None and self.option in needed.opts:
                words.append([word, None])
            else:
                words.append([word, *islice(rest, 0 if needed is None else 1)])
        return words


def _is_positional(word: Sequence[Any]) -> bool:
    return len(word) == 1 and (not word[0].startswith("-") or word[0] == "-")


def _needing(word: str, options: Mapping[str, Any]) -> Any:
    """The option that takes the next argument as its value; None if this one brings all that it needs."""
    names = [word] if word.startswith("--") else [f"-{letter}" for letter in word[1:]] if word[:1] == "-" else []
    for number, name in enumerate(names, 1):
        option = options.get(name)
        if option is None:
            return None
        if not (option.is_flag or option.count):
            return option if number == len(names) else None
    return None


class OptionalScenario(OptionalValue):
    """Lets `--rehearsal` stand without a value."""

    option = "--rehearsal"
    default = REHEARSAL_DEFAULT

    def is_value(self, following: str, others: int) -> bool:
        """No command that has it has arguments as well."""
        del others
        return following != "-"


class OptionalReport(OptionalValue):
    """Lets `--report` stand without a value."""

    option = "--report"
    default = REPORT_DEFAULT

    def is_value(self, following: str, others: int) -> bool:
        """Checks stand before it."""
        del following, others
        return True


class OptionalLanguage(OptionalValue):
    """Lets `--extract` stand without a value."""

    option = "--extract"
    default = ""

    def is_value(self, following: str, others: int) -> bool:
        """A language is one word, or "" for any; something must be left that is the question: `-x rust "How do I?"`."""
        return others > 0 and (not following or _LANGUAGE.fullmatch(following) is not None)

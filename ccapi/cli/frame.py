"""What all commands share: the options that each of them has, their place in its help, and how the table is read.

The modules of commands know nothing of it: `framed` gives the classes below to whatever they registered.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command_from_info, get_command_name, get_group_from_info
from typer.models import TyperInfo

from ccapi.cli import output
from ccapi.cli.context import mode, own
from ccapi.cli.options import JSON_LINES

COLORS = ("auto", "always", "never")
_HELP = ("-h", "--help")


# --- the options


def _set(context: Any, parameter: Any, value: Any) -> None:
    """As far as it was given: an option of the command counts as one before the command does."""
    del context
    if value:
        setattr(mode, parameter.name, value)


def _color(context: Any, parameter: Any, value: str | None) -> None:
    if value is not None and value not in COLORS:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(COLORS)}.", context, parameter)
    _set(context, parameter, value)


def _complete_project(context: Any, args: list[str], incomplete: str) -> list[str]:
    del context, args
    from ccapi.cli import values

    return values.projects(incomplete)


def _complete_color(context: Any, args: list[str], incomplete: str) -> list[str]:
    del context, args
    return [color for color in COLORS if color.startswith(incomplete)]


def _help(context: Any, parameter: Any, value: bool) -> None:
    del parameter
    if value and not context.resilient_parsing:
        output.write(context.get_help() + "\n")
        context.exit()


class GlobalOption(TyperOption):
    """One that every command has; in the help it stands in a section of its own."""

    def get_help_record(self, ctx: Any) -> None:
        """Not among the command's own."""

    def record(self, ctx: Any) -> tuple[str, str] | None:
        """Its names and its help, without what typer would add in brackets."""
        names, text = super().get_help_record(ctx) or ("", "")
        return (names, self.help or text) if names else None


def _option(*names: str, help: str, callback: Any = _set, **more: Any) -> GlobalOption:  # noqa: A002 # as typer has it
    return GlobalOption(param_decls=list(names), help=help, callback=callback, expose_value=False, **more)


@cache
def global_options() -> tuple[GlobalOption, ...]:
    """In the order of the help."""
    return (
        _option("--project", "-p", metavar="NAME", help="Which of several stacks.", autocompletion=_complete_project),
        _option("--config", metavar="FILE", help="A settings file in place of your own."),
        _option("--quiet", "-q", is_flag=True, help="No progress, no notes."),
        _option("--verbose", "-v", count=True, help="Say what is done; twice: all of it."),
        _option("--debug", is_flag=True, help="Like -vv, and the traceback of a failure."),
        _option("--no-input", is_flag=True, help="Ask nothing; exit code 3 or 4 instead."),
        _option(
            "--color",
            metavar="|".join(COLORS),
            help="Colours. auto: on a terminal.",
            callback=_color,
            autocompletion=_complete_color,
        ),
        _option(*_HELP, is_flag=True, is_eager=True, help="Show this message and exit.", callback=_help),
    )


def first_word(args: Sequence[str]) -> str | None:
    """The first of these that is neither an option nor the value of one that every command has."""
    takes_value = {name for option in global_options() if not (option.is_flag or option.count) for name in option.opts}
    for before, arg in zip(["", *args], args, strict=False):
        if not arg.startswith("-") and before not in takes_value:
            return arg
    return None


# --- the classes


class Framed:
    """Mixed into typer's command and group."""

    def get_params(self, ctx: Any) -> list[Any]:
        own: list[Any] = super().get_params(ctx)  # type: ignore[misc] # typer's
        taken = {name for parameter in own for name in parameter.opts}
        return own + [option for option in global_options() if not taken & set(option.opts)]

    def get_help_option(self, ctx: Any) -> None:
        """It is one of the global ones."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        mode.command = " ".join(_words(ctx))
        if not args and getattr(self, "no_args_is_help", False) and not ctx.resilient_parsing:
            output.say(ctx.get_help())
            raise typer.Exit(2)
        self._note_json(args)
        return super().parse_args(ctx, args)  # type: ignore[misc,no-any-return] # typer's

    def _note_json(self, args: list[str]) -> None:
        """Before anything can fail: a program that asked for JSON gets its errors as JSON, too."""
        before = own(args)
        for option in self.params:  # type: ignore[attr-defined] # typer's
            if given := {"--json", "--stream-json"}.intersection(option.opts, before):
                mode.json = True
                mode.stream = mode.stream or "--stream-json" in given or option.help == JSON_LINES

    def invoke(self, ctx: Any) -> Any:
        if "quiet" in ctx.params:  # the command's own, which means more than no notes
            mode.quiet = ctx.params["quiet"] = ctx.params["quiet"] or mode.quiet
        if not isinstance(self, TyperGroup):
            _begin()
        return super().invoke(ctx)  # type: ignore[misc] # typer's

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        super().format_epilog(ctx, formatter)  # type: ignore[misc] # typer's
        options = [one for one in self.get_params(ctx) if isinstance(one, GlobalOption)]
        with formatter.section("Global options"):
            formatter.write_dl([record for option in options if (record := option.record(ctx))])


def _begin() -> None:
    """All options are known, and the command is about to be run."""
    if verbosity := 2 if mode.debug else mode.verbose:
        from ccapi.cli import trail

        trail.tell(verbosity)
    gc.freeze()  # what was imported is never garbage
    gc.enable()


class Command(Framed, TyperCommand):
    """A command with the global options."""


class Group(Framed, TyperGroup):
    """A group with the global options."""

    def rows(self) -> list[tuple[str, str]]:
        """Its commands, each with what the list of commands says of it."""
        return [(name, one.get_short_help_str(limit=200)) for name, one in self.commands.items() if not one.hidden]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """As typer has it, but with the whole of what is said."""
        from typer._click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in self.rows() if name.startswith(incomplete)]
        return found + TyperCommand.shell_complete(self, ctx, incomplete)  # the options


class PassingOn(Command):
    """A command that takes all that stands behind it, options too, and leaves it as it is: `ctx.args`.

    The global options stand before it: `ccapi -p web claude --debug`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        del ctx
        return list(self.params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        mode.command = " ".join(_words(ctx))
        ctx.args = list(args)
        return ctx.args  # type: ignore[no-any-return] # typer's


def _words(ctx: Any) -> Iterator[str]:
    """The names by which a command was called, without the program's and those that are not for typing."""
    if ctx.parent:
        yield from _words(ctx.parent)
        if not ctx.command.hidden:
            yield ctx.info_name


def framed(app: typer.Typer) -> typer.Typer:
    """The same application; each of its commands and groups, down to the last, has the global options now."""
    for command in app.registered_commands:
        command.cls = _with_frame(command.cls, Command)
    for group in app.registered_groups:
        assert group.typer_instance
        group.cls = _with_frame(group.typer_instance.info.cls, Group)
        framed(group.typer_instance)
    return app


def _with_frame(cls: Any, default: type) -> Any:
    if not isinstance(cls, type):  # typer's placeholder for nothing
        return default
    return cls if issubclass(cls, Framed) else type(cls.__name__, (Framed, cls), {})


# --- the table


class Row(NamedTuple):
    """Where a command is, and what the list of commands says of it: the first line of its own help."""

    module: str
    help: str


class _Made(MutableMapping[str, Any]):
    """Commands by their names, each made when it is asked for."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Any]) -> None:
        self._commands: dict[str, Any] = dict.fromkeys(names)
        self._make = make

    def __getitem__(self, name: str) -> Any:
        if self._commands[name] is None:
            self._commands[name] = self._make(name)
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


def commands(table: Mapping[str, Row]) -> MutableMapping[str, Any]:
    """Those of a table; the module of one is imported when it is asked for."""

    def make(name: str) -> Any:
        app = typer.Typer(rich_markup_mode=None)  # plain help is there in half the time
        import_module(table[name].module).register(app)
        return _group(framed(app), app.info).commands[name]

    return _Made(table, make)


def _group(app: typer.Typer, info: TyperInfo) -> TyperGroup:
    """As typer makes it, except that a command of it is made when it is asked for: it takes a while, and one is run."""
    made = {one.name or get_command_name(one.callback.__name__): one for one in app.registered_commands if one.callback}
    groups = {one.name: one for one in app.registered_groups if isinstance(one.name, str)}
    app.registered_commands, app.registered_groups = [], []
    info.typer_instance = app

    def make(name: str) -> Any:
        if name in groups:
            instance = groups[name].typer_instance
            assert instance
            return _group(instance, groups[name])
        return get_command_from_info(made[name], pretty_exceptions_short=False, rich_markup_mode=None)

    group = get_group_from_info(info, pretty_exceptions_short=False, suggest_commands=True, rich_markup_mode=None)
    group.commands = _Made([*made, *groups], make)
    return group


class Root(Group):
    """`ccapi` itself: what its help and its completion say of the commands is in the table."""

    commands: Any  # a mapping: name, and a command or a group

    def __init__(self, table: Mapping[str, Row], **more: Any) -> None:
        super().__init__(commands=commands(table), **more)  # type: ignore[arg-type] # any mapping will do
        self._table = table

    def rows(self) -> list[tuple[str, str]]:
        return [(name, row.help) for name, row in self._table.items()]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(self.rows())

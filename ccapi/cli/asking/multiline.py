"""A prompt of several lines, on standard error: with a history, and the person's editor."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ccapi import paths
from ccapi.cli import editor, output
from ccapi.errors import CcapiError, UsageError
from ccapi.paths import Home

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output
    from prompt_toolkit.styles import BaseStyle

_KEYS = ("Enter: ask", "Alt-Enter, Ctrl-J, \\ Enter: new line", "Ctrl-X Ctrl-E: editor")
_NEW_LINE = ("escape", "enter"), ("c-j",)


def history_file(home: Home) -> Path:
    """The questions that were typed; it need not exist."""
    return paths.state_dir(home) / "questions.jsonl"


def ask(home: Home) -> str:
    """The question, which is not blank. Ctrl-C, and Ctrl-D where nothing was typed, raise `KeyboardInterrupt`."""
    from prompt_toolkit import PromptSession

    from ccapi.cli.asking.history import Kept
    from ccapi.cli.asking.leaving import Leaving

    session: PromptSession[str] = PromptSession(
        [("class:mark", "> ")],
        multiline=True,
        prompt_continuation="  ",
        placeholder=_placeholder,
        reserve_space_for_menu=0,
        history=Kept(history_file(home)),
        key_bindings=_bindings(),
        enable_suspend=True,
        style=_style(),
        include_default_pygments_style=False,
        output=_on_stderr(),
    )
    _add_hint(session)
    try:
        with Leaving(lambda end: session.app.exit(exception=end)) as leaving:
            # SIGINT stays Python's, so that the editor can have it for itself.
            return session.prompt(handle_sigint=False, pre_run=leaving.watch)
    except EOFError:
        raise KeyboardInterrupt from None


def _placeholder() -> StyleAndTextTuples:
    """Nothing of it stays behind when the person leaves."""
    from prompt_toolkit.application import get_app

    return [] if get_app().is_done else [("class:hint", "Ask anything")]


def _add_hint(session: PromptSession[str]) -> None:
    """The keys, in a line below the text. A toolbar of the library's would stand at the end of the screen."""
    from prompt_toolkit.filters import is_done
    from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window

    keys = ConditionalContainer(Window(FormattedTextControl(_keys), height=1), filter=~is_done)
    session.app.layout = Layout(HSplit([session.layout.container, keys]), session.default_buffer)


def _keys() -> StyleAndTextTuples:
    """As many as there is room for."""
    from prompt_toolkit.application import get_app

    shown = ""
    for key in _KEYS:
        longer = f"{shown}  {key}" if shown else key
        if len(longer) > get_app().output.get_size().columns:
            break
        shown = longer
    return [("class:hint", shown)]


def _bindings() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        elif buffer.text.strip():
            buffer.validate_and_handle()

    for keys in _NEW_LINE:

        @bindings.add(*keys)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.newline(copy_margin=False)

    @bindings.add("c-x", "c-e")
    def _(event: KeyPressEvent) -> None:
        event.app.create_background_task(_edit(event.current_buffer))

    return bindings


async def _edit(buffer: Buffer) -> None:
    """Put what the editor makes of the text in its place; it is not sent yet."""
    from prompt_toolkit.application import run_in_terminal
    from prompt_toolkit.document import Document

    edited = await run_in_terminal(lambda: _edited(buffer.text))
    if edited is not None:
        buffer.document = Document(edited)


def _edited(text: str) -> str | None:
    """None if it did not work, which is said. Editors keep copies beside a file, so it has a directory of its own."""
    try:
        with tempfile.TemporaryDirectory(prefix="ccapi-") as directory:
            file = Path(directory) / "question.md"
            file.touch(0o600)
            file.write_bytes(f"{text}\n".encode("utf-8", "surrogateescape") if text else b"")
            editor.edit(file)
            return _read(file)
    except CcapiError as error:
        output.say(output.printable(error.message))
    except OSError as error:
        output.say(f"the question cannot be edited: {error.strerror}")
    return None


def _read(file: Path) -> str:
    """Without the newline that editors put at the end."""
    try:
        return file.read_bytes().decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("what the editor left is not valid UTF-8") from None


def _on_stderr() -> Output:
    """Without asking the terminal where its cursor is: not all of them answer, and nothing here needs to know."""
    from prompt_toolkit.output import create_output
    from prompt_toolkit.output.vt100 import Vt100_Output

    found = create_output(stdout=sys.stderr)
    if isinstance(found, Vt100_Output):
        found.enable_cpr = False
    return found


def _style() -> BaseStyle:
    from prompt_toolkit.styles import Style

    return Style.from_dict({"mark": "bold", "hint": "dim"} if output.colour(sys.stderr) else {})

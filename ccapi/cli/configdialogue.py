"""`ccapi config edit`: the editor again and again, until nothing is wrong or the person has had enough."""

from __future__ import annotations

from ccapi.cli import config as view
from ccapi.cli import editor, output, prompt
from ccapi.commands import configedit
from ccapi.commands.configedit import Draft
from ccapi.errors import CcapiError, SettingInvalid
from ccapi.paths import Home
from ccapi.settings.problems import Problem


def edit(home: Home, *, local: bool) -> None:
    """Whatever goes wrong, what was written is kept, and said where.

    Raises `SettingInvalid` if something is wrong with it in the end, and what the editor and the files raise.
    """
    editor.known()
    draft = configedit.begin(home, local=local)
    try:
        _until_right(home, draft)
        if not draft.changed():
            draft.discard()
            output.note(output.printable(f"Nothing was changed in {draft.place}"))
            return
        configedit.finish(home, draft, output.waiting)
    except CcapiError as error:
        if _changed(draft):
            error.hint = "\n".join([f"What you have written is kept: {draft.file}", error.hint or ""]).rstrip()
        else:
            draft.discard()
        raise
    output.note(output.printable(f"{draft.place} is written"))
    output.note("What runs already takes changes over with: ccapi up")


def _until_right(home: Home, draft: Draft) -> None:
    while True:
        editor.edit(draft.file)
        if not (problems := _problems(home, draft)):
            return
        output.say(view.problem_lines(problems).rstrip("\n"))
        if not (output.interactive() and prompt.confirm("Edit again?", default=True)):
            raise SettingInvalid(
                f"{draft.place} is as it was: something is wrong with what you have written",
                hint="Look at it once more with: ccapi config validate FILE",
            )


def _problems(home: Home, draft: Draft) -> list[Problem]:
    """None where nothing was changed: what was wrong before is no reason to ask on and on."""
    return configedit.problems(home, draft) if draft.changed() else []


def _changed(draft: Draft) -> bool:
    try:
        return draft.changed()
    except SettingInvalid:
        return True

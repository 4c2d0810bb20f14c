"""A question on the person's own screen, before a browser opens for a login that they did not start with ccapi."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import Callable, Sequence

from ccapi import openurl

log = logging.getLogger(__name__)

Which = Callable[[str], str | None]  # where a program is
_TIMEOUT = 60  # seconds to answer
_TITLE = "Claude Code wants to sign in"
_SCRIPT = (
    "on run argv\n"
    'display dialog (item 1 of argv) with title (item 2 of argv) buttons {"No", "Open browser"} default button "No" '
    f'cancel button "No" giving up after {_TIMEOUT}\n'
    "if gave up of result then error number -128\n"
    "end run"
)


async def ask_and_open(site: str, url: str) -> None:
    """Open `url` if the person says yes. No dialog, or no answer in a minute, is a no. The site is named in full."""
    question = (
        f"A login was started in the container. Open {site} in your browser?\n\n"
        "Say no if you have not just started one yourself."
    )
    if not (command := dialog(question)):
        log.warning("open_browser is ask, but there is no zenity, kdialog or osascript to ask with")
    elif await _ends_well(command):
        log.info("opening the browser for %s, as you allowed", site)
        await _ends_well(openurl.COMMAND, url)
    else:
        log.info("the browser was not opened for %s: not allowed", site)


def dialog(question: str, platform: str = sys.platform, which: Which = shutil.which) -> list[str] | None:
    """The command that asks, with exit status 0 for yes. The question is an argument of its own, and no markup."""
    if platform == "darwin" and (osascript := which("osascript")):
        return [osascript, "-e", _SCRIPT, question, _TITLE]
    if zenity := which("zenity"):
        words = ["--question", "--no-markup", "--default-cancel", f"--timeout={_TIMEOUT}"]
        return [zenity, *words, f"--title={_TITLE}", f"--text={question}"]
    if kdialog := which("kdialog"):
        return [kdialog, "--title", _TITLE, "--warningyesno", question]
    return None


async def _ends_well(command: Sequence[str], said: str = "") -> bool:
    """Whether the program, told this much, ends with 0, and in a minute. One that does not is killed."""
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        )
    except OSError as error:
        log.warning("%s cannot be started: %s", command[0], error.strerror)
        return False
    try:
        async with asyncio.timeout(_TIMEOUT + 5):
            await process.communicate(said.encode())
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode == 0

"""A real question through the real container, and a real login: `ccapi doctor --deep`.

A stack of its own is made for that, with its own volumes, ports and secret, and is gone afterwards; the person's is
left alone. Everything in it is real but for the model, whose words are scripted, and for the MCP server, which is a
small one that runs in the container.
"""

from __future__ import annotations

import functools
import json
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Self, TypeVar

from ccapi.client.question import Question, text_part
from ccapi.commands import inside, login, loginparts, proxy, stack, teardown
from ccapi.commands.ask import ask
from ccapi.commands.login import Invitation, Phase, Wanted
from ccapi.commands.teardown import Losses
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, ok
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, LoginFailed, StackFailed
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack.progress import Progress
from ccapi.wire.events import RunEvent
from ccapi.wire.transcript import Transcript

_T = TypeVar("_T")
_SCENARIO = "fibonacci"
_QUESTION = "Write a Python function that calculates Fibonacci numbers, run it and show the first ten."
_NUMBERS = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"
_SEPARATOR = "\n\n---\n\n"
_SERVER = "ccapi-doctor"
_LISTENS = 20.0  # seconds until the MCP server does
_PYTHON = ("/opt/ccapi/venv/bin/python", "-I", "-u", "-m", "ccapi.rehearsal.mcpserver")
_HEALTHY = 180.0  # seconds
_OWN = {
    "gateway.host": "127.0.0.1",
    "gateway.default_workspace": None,
    "gateway.permission_mode": None,
    "api.require_key": False,
    "oauth.callback_port": None,
    "stack.workspace": None,
}


@dataclass(slots=True)
class _Trial:
    """What became of each step. A step whose step before failed has no outcome of its own."""

    started: str | CcapiError | None = None  # the image
    answer: str | CcapiError | None = None
    tools: tuple[str, ...] | CcapiError | None = None


@functools.lru_cache(maxsize=1)
def _trial(facts: Facts) -> _Trial:
    """All of it, once for all checks of a run."""
    trial = _Trial()
    docker = facts.docker_environment
    with tempfile.TemporaryDirectory(prefix="ccapi-doctor-", ignore_cleanup_errors=True) as directory:
        wanted = _settings(facts.settings(), directory)
        try:
            trial.started = _outcome(lambda: _start(facts, wanted))
            if isinstance(trial.started, str):
                facts.say("Asking a question")
                trial.answer = _outcome(lambda: _ask(wanted))
                facts.say("Signing in to an MCP server")
                trial.tools = _outcome(lambda: _sign_in(wanted, docker))
        finally:
            facts.say("Removing the container")
            proxy.end(wanted.home, _silent)
            teardown.down(wanted.home, docker=docker, losses=Losses(volumes=True, grace=False), report=_silent)
    return trial


def _outcome(step: Callable[[], _T]) -> _T | CcapiError:
    try:
        return step()
    except CcapiError as error:
        return error


def _settings(settings: Settings, directory: str) -> Settings:
    """The person's, as far as they say how the image is made, for a stack that nobody else has."""
    home = Home(directory, f"doctor-{secrets.token_hex(4)}", settings.home.config)
    wanted = Settings(settings.resolved, home)
    gateway, oauth = _free_ports()
    for key, value in {**_OWN, "gateway.port": gateway, "oauth.port": oauth}.items():
        wanted = wanted.with_value(key, value)
    return wanted


def _free_ports() -> tuple[int, int]:
    """Two, and not the same one."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def _silent(_: Progress) -> None:
    """Nobody need see each step."""


def _start(facts: Facts, wanted: Settings) -> str:
    def report(progress: Progress) -> None:
        if progress.kind in {"phase", "step"}:
            facts.say(progress.text)

    docker, network = facts.docker_environment, facts.network_environment
    options = stack.Options(timeout=_HEALTHY)
    result = stack.up(wanted, docker=docker, network=network, rehearsal=_SCENARIO, options=options, report=report)
    return result.image


class _Transcribed:
    """A view that keeps the whole transcript, as `text`."""

    def __init__(self) -> None:
        self.text = ""
        self._transcript = Transcript()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def feed(self, event: RunEvent) -> None:
        self.text += self._transcript.feed(event)

    def tick(self) -> None:
        """Nobody watches."""

    def close(self, *, patient: bool = True) -> None:
        """What came is there."""
        del patient


def _ask(wanted: Settings) -> str:
    answer = _Transcribed()
    ask(wanted.base_url, Question((text_part(_QUESTION),), "sonnet"), answer)
    return answer.text


# --- the login


def _sign_in(wanted: Settings, docker: dict[str, str]) -> tuple[str, ...]:
    """The tools that Claude Code has after it."""
    with loginparts.connected(wanted, docker) as parts, _server(parts.container) as url:
        desired = Wanted(_SERVER, url, trust_url=True, timeout=60)
        signed_in = login.login(desired, None, parts, _Browser(parts.container))
    if not signed_in.tools:
        raise LoginFailed("the login is done, but Claude Code has no tool of the server")
    return signed_in.tools


@contextmanager
def _server(container: inside.Inside) -> Iterator[str]:
    """The MCP server runs within the block; its address, as the container knows it."""
    with container.terminal(*_PYTHON, timeout=300) as terminal:
        printed = b""
        while b"\n" not in printed:
            chunk = terminal.read(_LISTENS)
            if not chunk:
                raise StackFailed("the MCP server for the login did not start", detail=printed.decode(errors="replace"))
            printed += chunk
        yield str(json.loads(printed.partition(b"\n")[0])["url"])


class _Browser:
    """In the person's place: it visits the address, from where the server can be reached, and follows the redirect."""

    can_paste = False

    def __init__(self, container: inside.Inside) -> None:
        self._container = container

    def phase(self, phase: Phase) -> None:
        """Nobody is watching."""

    def warn(self, text: str) -> None:
        """What matters comes as an error."""

    def may_replace(self, tools: tuple[str, ...] | None) -> bool:
        """There was nothing before."""
        return tools is None

    def invite(self, invitation: Invitation) -> None:
        from ccapi.client import redirect

        wanted = ("curl", "--silent", "--max-time", "20", "--output", "/dev/null", "--write-out", "%{redirect_url}")
        visited = self._container.run(*wanted, "--config", "-", stdin=f'url = "{invitation.login.url}"\n'.encode())
        if not visited.stdout.startswith("http://"):
            raise LoginFailed(f"the server's authorization page did not redirect: {inside.words(visited)}")
        if not 200 <= (status := redirect.follow(visited.stdout)) < 300:
            raise LoginFailed(f"the browser's answer was not taken: HTTP {status}")

    def pasting(self, took: Callable[[str], None]) -> AbstractContextManager[object]:
        del took
        return nullcontext()


# --- what of it is wrong


def _container(facts: Facts) -> Finding:
    started = _trial(facts).started
    if isinstance(started, CcapiError):
        raise started
    return ok(f"a container of {started} was built or found, started and healthy")


def plan(answer: str) -> Finding:
    """Of an answer to the question: whether it begins as it should. The others look at what comes then."""
    first = answer.split(_SEPARATOR, maxsplit=1)[0]
    if "three steps" not in first or "**Write**" not in first:
        return _cut("the answer does not begin with the plan and its first tool call", answer)
    return ok("the answer begins with the plan, and the first tool call")


def tool_result(answer: str) -> Finding:
    """The output stands in the step of its call."""
    if not any("python3 fibonacci.py" in segment and _NUMBERS in segment for segment in answer.split(_SEPARATOR)):
        return _cut("the result of a tool call is missing", answer)
    return ok(f"the program was really run, and printed {_NUMBERS}")


def steps(answer: str) -> Finding:
    """Neither glued together nor fewer."""
    if (found := len(answer.split(_SEPARATOR))) != 3:
        return _cut(f"the answer has {found} step{'s' if found != 1 else ''} where there should be 3", answer)
    return ok("three steps, with a separator between them")


def final_text(answer: str) -> Finding:
    """It can only be known once the tool has run."""
    last = answer.rsplit(_SEPARATOR, maxsplit=1)[-1]
    if "It works" not in last or _NUMBERS not in last:
        return _cut("the final text is missing", answer)
    return ok("the final text is there, and has what the tool printed")


def _login(facts: Facts) -> Finding:
    tools = _trial(facts).tools
    if isinstance(tools, CcapiError):
        raise tools
    assert tools is not None
    return ok(f"signed in to an MCP server through the OAuth proxy; it offers {', '.join(tools)}")


def _of_the_answer(name: str, title: str, look: Callable[[str], Finding]) -> Check:
    def run(facts: Facts) -> Finding:
        answer = _trial(facts).answer
        if isinstance(answer, CcapiError):
            raise answer
        assert answer is not None
        return look(answer)

    return Check(name, title, run, needs=("deep.container",), deep=True)


def _cut(summary: str, answer: str) -> Finding:
    return fail(summary, answer[-500:], Fix("This is a defect of ccapi: report it.", "ccapi doctor --report"))


CHECKS: tuple[Check, ...] = (
    Check(
        "deep.container",
        "A container of its own, with a scripted model",
        _container,
        needs=("docker.engine", "docker.compose", "cli.settings"),
        deep=True,
        trouble=(
            Trouble(
                "`ccapi up` works, but nobody gets an answer",
                "`ccapi doctor --deep` asks a scripted model a question in a container of its own, without an account, "
                "and says at which step it goes wrong. If all steps are well, the model's API or the sign-in is the "
                "matter: see the network and sign-in checks.",
            ),
        ),
    ),
    _of_the_answer("deep.plan", "The answer's plan and first tool call", plan),
    _of_the_answer("deep.tool_result", "A tool's result in the answer", tool_result),
    _of_the_answer("deep.steps", "The separators between the steps", steps),
    _of_the_answer("deep.final_text", "The answer's final text", final_text),
    Check("deep.login", "A login to an MCP server, there and back", _login, needs=("deep.container",), deep=True),
)

"""`ccapi sessions` and `ccapi models`: what a real gateway keeps, listed, shown and removed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ccapi.cli.sessions import used
from ccapi.commands import lastsession
from ccapi.errors import SessionInUse
from ccapi.paths import Home, state_dir
from tests.cli.support import DEADLINE, Cli, FakeGateway, Gateway, clean_environ, free_port, gateway

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCRIPT = r"""
description = "What the tests of sessions ask."

[[turn]]
when.prompt = 'slow'
when.results = 0
[[turn.step]]
tool = "Bash"
input.command = "for second in $(seq 60); do sleep 1; done"
input.description = "Take a minute"

[[turn]]
when.prompt = 'count'
when.results = 0
[[turn.step]]
thinking = "Numbers, then."
[[turn.step]]
text = "I'll **count**."
[[turn.step]]
tool = "Bash"
input.command = "seq 1 40"
input.description = "Count"

[[turn]]
[[turn.step]]
text = "You said: @{prompt}"
"""


class Person:
    """Who has a key, and with it sessions of their own."""

    def __init__(self, cli: Cli, running: Gateway, key: str) -> None:
        self.cli = cli
        self.running = running
        self.key = key
        cli.environ.update(CCAPI_API_KEY=key, CCAPI_GATEWAY_PORT=str(running.port))

    def run(self, *args: str, stdin: str | None = None) -> Any:
        return self.cli.run(*args, stdin=stdin)

    def data(self, *args: str) -> Any:
        """What the command's JSON holds."""
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]

    def send(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.running.url, headers=headers, trust_env=False, timeout=DEADLINE) as client:
            return client.request(method, path, json=body).raise_for_status().json()

    def ask(self, prompt: str, **fields: Any) -> str:
        """The session in which it was answered."""
        document = self.send("POST", "/v1/responses", {"model": "sonnet", "input": prompt, **fields})
        return str(document["ccapi"]["session_id"])

    def ids(self) -> list[str]:
        return [session["id"] for session in self.data("sessions", "list", "--all")["sessions"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that requires keys, so that each test has sessions of its own."""
    directory = tmp_path_factory.mktemp("sessions")
    (directory / "script.toml").write_text(SCRIPT, "utf-8")
    mapped = {"CCAPI_MODELS_MAP": "gpt-4o=opus,fast=claude-haiku-9"}
    with gateway(
        directory, f"--rehearsal={directory / 'script.toml'}", CCAPI_API_REQUIRE_KEY="on", **mapped
    ) as started:
        yield started


@pytest.fixture
def person(cli: Cli, running: Gateway) -> Person:
    home = clean_environ(running.workspace.parent / "home")["CCAPI_HOME"]
    key = cli.run("key", "create", environ={"CCAPI_HOME": home}).stdout.strip()
    return Person(cli, running, key)


def remembered(person: Person, session_id: str) -> None:
    """As a question in the directory of the tests leaves it."""
    home = Home(person.cli.environ["CCAPI_HOME"])
    lastsession.remember(home, person.running.url, person.cli.directory, session_id)


# --- list


def test_sessions_are_listed(person: Person) -> None:
    """The last used first, and an arrow at the last one of this directory."""
    assert person.run("sessions", "list").stdout == ""
    one, two = person.ask("The first\nquestion"), person.ask("世界 \x1b[31mred")
    plain = person.run("sessions", "list")
    assert plain.stdout.splitlines()[0].split() == ["ID", "USED", "QUESTIONS", "MODEL", "API", "PRICE", "TITLE"]
    remembered(person, one)
    lines = person.run("sessions", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [two[:8], "→"]
    assert re.fullmatch(rf"→  {one[:8]}  just now  1          sonnet  \$\d\.\d{{4}}    The first question", lines[2])
    assert lines[1].endswith("  世界 [31mred")


def test_a_price_that_is_not_known(person: Person) -> None:
    """Of an answer that was cut off there is none, and nothing is told rather than that it was free."""
    response = person.send("POST", "/v1/responses", {"model": "sonnet", "input": "slow", "background": True})
    person.running.claude_pids()
    person.send("POST", f"/v1/responses/{response['id']}/cancel")
    lines = person.run("sessions", "list").stdout.splitlines()
    assert len(lines) == 2
    assert "PRICE" not in lines[0]
    assert "$" not in lines[1]
    person.ask("hello")
    assert ["$" in line for line in person.run("sessions", "list").stdout.splitlines()] == [False, True, False]


def test_a_list_of_none(person: Person) -> None:
    """Nothing on stdout, and what to do on stderr."""
    done = person.run("sessions", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "ccapi ask" in done.stderr
    assert person.data("sessions", "list") == {"sessions": [], "last": None, "more": False}


def test_a_long_list(person: Person) -> None:
    """--limit sessions, with a word about the others; --all of them; as JSON with all that is known."""
    ids = [person.ask(f"question {number}") for number in range(3)]
    done = person.run("sessions", "list", "--limit", "2")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [ids[2][:8], ids[1][:8]]
    assert done.stderr == "There are more: ccapi sessions list --all\n"
    assert person.run("sessions", "list", "--limit", "3").stderr == ""
    remembered(person, ids[1])
    document = person.data("sessions", "list", "-n", "1")
    assert (document["last"], document["more"]) == (ids[1], True)
    assert person.ids() == ids[::-1]
    (session,) = document["sessions"]
    (known,) = person.send("GET", "/v1/sessions?limit=1")["data"]
    assert {**session, "object": "session"} == known


def test_more_than_a_page(person: Person, fake: FakeGateway) -> None:
    """The gateway gives a hundred at a time: --all asks for the next."""

    def page(first: int, count: int, *, more: bool) -> bytes:
        sessions = [
            {"id": f"{number:08x}-0000-4000-8000-000000000000", "created_at": 0, "last_used_at": 0, "title": "t"}
            | {"model": "m", "workspace": "w", "turns": 1, "cost_usd": 0.0}
            for number in range(first, first + count)
        ]
        return fake.document({"data": sessions, "has_more": more})

    with person.cli.start("sessions", "list", "--all", "--port", str(fake.port)) as process:
        for answer in (page(0, 100, more=True), page(100, 5, more=False)):
            with fake.request() as connection:
                connection.sendall(answer)
        stdout, _ = process.communicate(timeout=DEADLINE)
    lines = stdout.decode().splitlines()
    assert len(lines) == 106
    assert lines[0].split()[-2:] == ["WORKSPACE", "TITLE"]
    assert re.match(r"00000068  (1970-01-01|1969-12-31)  1 ", lines[105])


def test_a_list_on_a_narrow_terminal(person: Person) -> None:
    """No line is longer than the terminal is wide, also of wide letters."""
    person.ask("世界" * 40)
    with person.cli.terminal("sessions", "list", columns=60) as terminal:
        text = terminal.read_all()
    line = text.splitlines()[1]
    assert line.endswith("…")
    assert len(line) + sum(letter in "世界" for letter in line) <= 60


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (-5, "just now"), (0, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago"), (3600, "1 h ago"),
        (86399, "23 h ago"), (86400, "1 d ago"), (29.9 * 86400, "29 d ago"),
    ],
)  # fmt: skip
def test_when_it_was_used(ago: float, said: str) -> None:
    """In the largest unit of which there is one; a clock that is behind is none of anybody's business."""
    assert used(1_000_000_000 - ago, 1_000_000_000) == said


def test_what_is_long_ago_has_a_day() -> None:
    """By this machine's clock."""
    assert used(1_000_000_000 - 31 * 86400, 1_000_000_000) == time.strftime("%Y-%m-%d", time.localtime(997_321_600))


# --- show


def test_a_session_is_shown(person: Person) -> None:
    """In a pipe: the questions as quotes, and each answer as `ccapi ask` gives it."""
    session = person.ask("please count\n\nto 40")
    person.ask("thank you", metadata={"session_id": session})
    numbers = "".join(f"{number}\n" for number in range(1, 41))
    answer = f"I'll **count**.\n\n**Bash** `seq 1 40`\n\n```\n{numbers}```\n\n---\n\nYou said: please count\n\nto 40"
    done = person.run("sessions", "show", session)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("description", "") == (
        f"> please count\n>\n> to 40\n\n{answer}\n\n> thank you\n\nYou said: thank you\n"
    )
    assert person.run("sessions", "show", session[:8]).stdout == done.stdout
    assert person.run("sessions", "show", session[:6].upper()).stdout == done.stdout


def test_what_ask_gave_is_what_is_shown(person: Person) -> None:
    """Byte for byte, also where colours are asked for, and the session is this directory's last one."""
    asked = person.run("ask", "count, please")
    assert asked.returncode == 0, asked.stderr
    for name in ("-c", "--last", person.ids()[0]):
        assert person.run("sessions", "show", name).stdout == f"> count, please\n\n{asked.stdout}"
    assert person.run("--color", "always", "sessions", "show", "-c").stdout == f"> count, please\n\n{asked.stdout}"


def test_ask_goes_on_with_a_session(person: Person) -> None:
    """The last one of this directory, or any by the beginning of its id, which is then the last one."""
    one, two = person.ask("first"), person.ask("second")
    remembered(person, one)
    assert person.run("ask", "-c", "and then?").stdout == "You said: and then?\n"
    assert person.run("ask", "--session", two[:8], "and then?").stdout == "You said: and then?\n"
    document = person.data("sessions", "list")
    assert [(session["id"], session["turns"]) for session in document["sessions"]] == [(two, 2), (one, 2)]
    assert document["last"] == two


def test_a_session_as_json(person: Person) -> None:
    """The document of the API, with its items."""
    session = person.ask("count")
    document = person.data("sessions", "show", session)
    assert document == person.send("GET", f"/v1/sessions/{session}")
    assert [item["type"] for item in document["items"]] == ["message", "reasoning", "message", "mcp_call", "message"]


def test_attachments_are_named(person: Person) -> None:
    """They are not repeated, as the gateway does not keep them for that."""
    pixel = f"data:image/png;base64,{PIXEL}"
    content = [{"type": "input_text", "text": "see this"}, {"type": "input_image", "image_url": pixel}]
    session = person.ask("", input=[{"role": "user", "content": content}])
    assert person.run("sessions", "show", session).stdout.startswith("> see this\n> [image]\n\nYou said: see this")


def test_a_session_on_a_terminal(person: Person) -> None:
    """The question is a dim quote without anything that commands the terminal; the answer is rendered."""
    session = person.ask("count \x1b]0;owned\x07 now")
    with person.cli.terminal("sessions", "show", session) as terminal:
        text = terminal.read_all()
    assert terminal.process.returncode == 0
    assert "\x1b[2m> count ]0;owned now\x1b[0m" in text
    assert "\x1b]0;owned" not in text
    assert "**count**" not in text
    assert "Numbers, then." not in text


@pytest.mark.parametrize("args", [["show"], ["show", "0a", "-c"], ["rm"], ["rm", "0a", "--all"]])
def test_which_session_must_be_said_once(cli: Cli, args: list[str]) -> None:
    """Exit 2 before anything is asked."""
    done = cli.run("sessions", *args, "--port", str(free_port()))
    assert done.returncode == 2
    assert "ccapi sessions list" in done.stderr


def test_no_last_session(person: Person) -> None:
    """Exit 1: nothing was asked in this directory."""
    done = person.run("sessions", "show", "-c")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: There is no session of this directory")


def test_an_empty_id_is_not_the_last_session(person: Person) -> None:
    """A script's variable that is not set shows nothing by mistake."""
    assert person.run("ask", "hello").returncode == 0
    done = person.run("sessions", "show", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: The session's id is empty")


@pytest.mark.parametrize("command", [["show"], ["rm", "--yes"]])
def test_an_unknown_session(person: Person, command: list[str]) -> None:
    """Exit 1 and how to see which there are, for a whole id as for a part of one; another's is as good as none."""
    person.ask("hello")
    for name in ("zzz", "00000000-0000-4000-8000-000000000000"):
        done = person.run("sessions", *command, name)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: There is no ")
        assert "ccapi sessions list" in done.stderr
    assert len(person.ids()) == 1


def test_a_prefix_of_several(person: Person) -> None:
    """Exit 2, and which ones there are."""
    ids = [person.ask(f"question {number}") for number in range(17)]
    first = next(a for a in ids if any(a != b and a[0] == b[0] for b in ids))[0]
    matching = [name for name in ids if name.startswith(first)]
    done = person.run("sessions", "show", first)
    assert done.returncode == 2
    assert f"{len(matching)} sessions begin with '{first}'" in done.stderr
    assert all(name in done.stderr for name in matching[::-1][:5])


# --- rm


def test_sessions_are_removed(person: Person) -> None:
    """Each once, by however much of its id; the directory's last one is then nobody's."""
    one, two, three = (person.ask(f"question {number}") for number in range(3))
    remembered(person, one)
    done = person.run("sessions", "rm", "--yes", one, one[:8], two[:10])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Removed 2 sessions\n")
    assert person.ids() == [three]
    assert person.run("sessions", "show", "-c").returncode == 1
    assert person.data("sessions", "rm", "--yes", three) == {"deleted": [three], "failed": []}


def test_nobody_can_be_asked(person: Person) -> None:
    """Exit 3: what would go, and the command that needs no answer."""
    session = person.ask("my question")
    done = person.run("sessions", "rm", session)
    assert done.returncode == 3
    assert "my question" in done.stderr
    assert f"ccapi sessions rm {session[:8]} --yes" in done.stderr
    assert person.run("sessions", "rm", "--all").returncode == 3
    assert person.ids() == [session]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\r", 1, 2), (b"\r", 1, 2), (b"y\r", 0, 0)])
def test_all_sessions_are_removed_if_one_says_so(person: Person, answer: bytes, code: int, left: int) -> None:
    """The question says how many; no answer is a no."""
    for number in range(2):
        person.ask(f"question {number}")
    with person.cli.terminal("sessions", "rm", "--all") as terminal:
        terminal.read_until("Remove all 2 sessions, for good?")
        terminal.type(answer)
        terminal.read_all()
    assert terminal.process.returncode == code
    assert len(person.ids()) == left


def test_nothing_to_remove(person: Person) -> None:
    """Is done, and nobody is asked."""
    done = person.run("sessions", "rm", "--all")
    assert (done.returncode, done.stderr) == (0, "Removed 0 sessions\n")


def test_a_session_in_use_stays(person: Person) -> None:
    """What runs in it is not disturbed, and the others go."""
    idle, busy = person.ask("hello"), person.ask("hello again")
    body = {"model": "sonnet", "input": "slow", "background": True, "metadata": {"session_id": busy}}
    response = person.send("POST", "/v1/responses", body)
    try:
        person.running.claude_pids()
        alone = person.run("sessions", "rm", "-y", busy)
        assert alone.returncode == 1
        assert alone.stderr.splitlines()[-1].startswith(f"error: {busy[:8]}: The session is in use")
        document = json.loads(person.run("sessions", "rm", "-y", "--all", "--json").stdout)
        assert document["status"] == "failed"
        assert document["data"]["deleted"] == [idle]
        assert [(one["id"], one["code"]) for one in document["data"]["failed"]] == [(busy, SessionInUse.code)]
    finally:
        person.send("POST", f"/v1/responses/{response['id']}/cancel")
    assert person.ids() == [busy]


# --- what all of them meet


@pytest.mark.parametrize(
    "command", [["sessions", "list"], ["sessions", "show", "a"], ["sessions", "rm", "a"], ["models"]]
)
def test_without_a_key(person: Person, command: list[str]) -> None:
    """Exit 4, and how to get one."""
    done = person.cli.run(*command, environ={"CCAPI_API_KEY": ""})
    assert (done.returncode, done.stdout) == (4, "")
    assert "ccapi key create" in done.stderr


@pytest.mark.parametrize(
    "command", [["sessions", "list"], ["sessions", "show", "a"], ["sessions", "rm", "a"], ["models"]]
)
def test_without_a_gateway(cli: Cli, command: list[str]) -> None:
    """Exit 1, where it looked, and how to start one."""
    port = str(free_port())
    done = cli.run(*command, "--port", port)
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}" in done.stderr
    assert "ccapi up" in done.stderr


def test_a_place_where_nothing_can_be_kept(person: Person) -> None:
    """Questions are answered, and sessions listed, whether or not it can be written down which one was last."""
    state = state_dir(Home(person.cli.environ["CCAPI_HOME"]))
    shutil.rmtree(state, ignore_errors=True)
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("in the way")
    asked = person.run("ask", "hello")
    assert (asked.returncode, asked.stdout) == (0, "You said: hello\n")
    assert len(person.ids()) == 1


def test_what_the_shell_completes(person: Person) -> None:
    """The ids that were listed or used here, with their titles, and without asking the gateway."""
    one, two = person.ask("The first question"), person.ask("The second")
    person.ids()
    for command in (["sessions", "show"], ["sessions", "rm"], ["ask", "--session"]):
        done = person.cli.run("__complete", "=", *command, environ={"CCAPI_API_KEY": "not asked"})
        assert done.stdout == f"{two}\tThe second\n{one}\tThe first question\n"
    assert person.run("__complete", f"={one[:8]}", "sessions", "show").stdout == f"{one}\tThe first question\n"
    other = person.cli.run("__complete", "=", "sessions", "show", environ={"CCAPI_GATEWAY_PORT": str(free_port())})
    assert other.stdout == ""


# --- models


def test_models(person: Person) -> None:
    """Each with what it means; the one that is asked unless somebody says otherwise is marked."""
    done = person.run("models")
    assert done.returncode == 0
    assert [re.split(r"  +", line) for line in done.stdout.splitlines()] == [
        ["NAME", "MEANS"],
        ["sonnet", "the current Claude Sonnet (default)"],
        ["opus", "the current Claude Opus"],
        ["haiku", "the current Claude Haiku"],
        ["gpt-4o", "opus"],
        ["fast", "claude-haiku-9"],
    ]
    assert "claude-*" in done.stderr
    rows = person.data("models")["models"]
    assert rows[0] == {"name": "sonnet", "model": "sonnet", "default": True}
    assert rows[4] == {"name": "fast", "model": "claude-haiku-9", "default": False}


def test_names_of_models_command_no_terminal(cli: Cli, fake: FakeGateway) -> None:
    """Whatever answers at that port may say."""
    name = "evil \x1b]0;owned\x07\x9b2J\u202e"
    models = {"data": [{"id": name, "ccapi": {"model": name}}, {"id": "x", "ccapi": {"model": name}}]}
    with cli.start("models", "--port", str(fake.port)) as process:
        with fake.request() as connection:
            connection.sendall(fake.document(models))
        stdout, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert [re.split(r"  +", line) for line in stdout.decode().splitlines()[1:]] == [
        ["evil ]0;owned2J", "the current Claude Evil ]0;owned2j"],
        ["x", "evil ]0;owned2J"],
    ]

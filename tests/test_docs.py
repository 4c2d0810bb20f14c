"""The pages in docs/: each example is run as it stands, and what they list is what there is.

`COVERED` names the test behind the examples below each heading. A gateway with the scripted model answers them, in the
order of the page, as a reader would go through it; only the port is replaced.
"""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccapi import errors, settings
from ccapi.gateway import access, fetch, fields, formats, operations, requests, responses_request
from ccapi.gateway import logins as container_logins
from ccapi.oauth import catalogue, log, registration, registry
from ccapi.oauth.login import Status
from ccapi.settings import check
from ccapi.wire import media
from ccapi.wire.authorization import FIRST_PORT
from ccapi.wire.keys import TRANSCRIPTS
from tests.cli.readme import README, Page, bash, below, check_answer, content_of
from tests.cli.support import DEADLINE, ROOT, Cli, Gateway, clean_environ, free_port, gateway, read_line
from tests.docs import covered

API, MCP, SETTINGS, OPERATION, REHEARSAL = (
    Page(f"docs/{name}.md") for name in ("api", "mcp", "settings", "operations", "rehearsal")
)
MORE = {Page(f"docs/{name}.md"): tests for name, tests in covered.COVERED.items()}  # in tests/docs/
DOCS = (API, MCP, SETTINGS, OPERATION, REHEARSAL, *MORE)
ALL = (README, *DOCS, Page("CHANGELOG.md"), Page("templates/compose/README.md"))

SIGNED_IN = "cli/test_cli_journey.py::test_sign_in_to_mcp_servers"
# The headings below which there are examples, and the test that runs them.
COVERED = {
    API: {
        "The API": "examples",
        "Chat Completions": "test_chat",
        "How much of the steps is shown": "test_transcripts",
        "What an answer says about its run": "test_what_an_answer_says",
        "What is ignored, and what is refused": "test_ignored_and_refused",
        "Conversations": "test_conversations_and_sessions",
        "Sessions": "test_conversations_and_sessions",
        "Responses": "test_responses",
        "To go on": "test_to_go_on",
        "In the background": "test_in_the_background",
        "Images and files": "test_images_and_files",
        "Structured output": "test_structured_output",
        "Limits and tools": "test_limits_and_tools",
        "Workspaces": "test_workspaces",
        "Models": "test_models",
        "Errors": "test_errors",
        "Health, numbers, description": "test_health_numbers_description",
    },
    MCP: {
        "The servers": SIGNED_IN,
        "Slack, and other apps of your own": SIGNED_IN,
        "Any other server": SIGNED_IN,
        "A browser elsewhere": SIGNED_IN,
        "From a script": SIGNED_IN,
        "By hand in the container": SIGNED_IN,
        "How it stands, and signing out": SIGNED_IN,
        "The OAuth proxy": "test_the_proxy",
    },
    SETTINGS: {"Settings": "test_config"},
    OPERATION: {
        "API keys and other machines": "test_keys",
        "Processes that wait": "test_processes_that_wait",
        "Metrics": "test_every_metric_is_listed",
        "Health and readiness": "test_readiness",
        "The OAuth proxy": "test_the_proxy_as_a_service",
        "Reload": "test_reload",
    },
    REHEARSAL: {"The rehearsal model": "test_rehearsal"},
    **MORE,
}
COUNT = 1  # the number of its question in `check_answer`

SCENARIO = """
description = "What the examples are answered with."
include = ["count-files", "chat"]

[[turn]]
when.prompt = "Who wrote the first program"
[[turn.step]]
tool = "StructuredOutput"
input.name = "Ada Lovelace"
input.born = 1815

[[turn]]
when.prompt = "about 5 MB"
when.results = 0
[[turn.step]]
tool = "Bash"
input.command = "yes 0123456789 | head -c 5000000"

[[turn]]
when.prompt = "about 5 MB"
[[turn.step]]
text = "That was all of it."

[[turn]]
when.prompt = "slowly"
[[turn.step]]
text = "One, two, "
[[turn.step]]
pause = 600
"""


class Examples:
    """Runs what stands in a page. The Python examples share their names, as the page says."""

    def __init__(self, running: Gateway, directory: Path) -> None:
        self.running = running
        self.home = running.log.parent / "home"
        self._directory = directory
        self._names: dict[str, Any] = {"__name__": "__main__"}
        bin_ = directory / "bin"
        bin_.mkdir()
        (bin_ / "ccapi").write_text(f'#!/bin/sh\nexec {sys.executable} -m ccapi "$@"\n')
        (bin_ / "ccapi").chmod(0o755)
        (bin_ / "systemctl").write_text("#!/bin/sh\nexit 1\n")  # no service manager: this machine's is left alone
        (bin_ / "systemctl").chmod(0o755)
        self.ports = {port: str(free_port()) for port in ("8888", "53682", "53683")}
        self.python(API, "The API")

    def shell(self, page: Page, heading: str, **environ: str) -> list[str]:
        """What each command below the heading prints. One shell runs them all, and all must succeed."""
        script = "".join(
            f"{self.here(command)}\nprintf '\\0%s\\0' $?\n"
            for block in below(page, heading)
            for command in block.commands
        )
        done = bash(script, {**self.environ, **environ}, self._directory)
        *parts, rest = done.stdout.split("\0")
        assert set(parts[1::2]) == {"0"}, f"{done.stdout}\n{done.stderr}"
        assert rest == ""
        return parts[::2]

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell in which `ccapi` is a command, on a machine without Docker."""
        clean = clean_environ(self.home)
        return {
            **clean,
            "PATH": f"{self._directory / 'bin'}:{clean['PATH']}",
            "CCAPI_GATEWAY_PORT": str(self.running.port),
            "CCAPI_OAUTH_PORT": self.ports["8888"],
            "DOCKER_HOST": f"unix://{self._directory}/no.sock",
        }

    def python(self, page: Page, heading: str) -> list[str]:
        """What each Python example below the heading prints."""
        printed = []
        for block in below(page, heading):
            if block.language == "python":
                with redirect_stdout(io.StringIO()) as out:
                    exec(compile(self.here(block.text), str(page.path), "exec"), self._names)  # noqa: S102 -- it is ours
                printed.append(out.getvalue())
        return printed

    def close(self) -> None:
        """The page's client holds connections."""
        self._names["client"].close()

    def here(self, text: str) -> str:
        """With the ports and directories of this test."""
        for port, ours in self.ports.items():
            text = re.sub(rf"\b{port}\b", ours, text)
        text = text.replace("~/.local/state/ccapi", f"{self.home}/ccapi/state")
        return text.replace("localhost:8000", f"localhost:{self.running.port}")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """A gateway in a workspace with one Python file, and a client that talks to it."""
    directory = tmp_path_factory.mktemp("docs")
    (directory / "docs.toml").write_text(SCENARIO)
    with gateway(directory / "gateway", f"--rehearsal={directory / 'docs.toml'}") as running:
        (running.workspace / "one.py").write_text("print(1)\n")
        made = Examples(running, directory)
        yield made
        made.close()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    return Cli(tmp_path)


# --- nothing without a test


def test_there_are_no_other_pages() -> None:
    """A new page has to be added here."""
    assert {page.path for page in DOCS} | {ROOT / "docs" / "pictures"} == set((ROOT / "docs").glob("*"))


def test_every_example_has_a_test() -> None:
    """No example is untested and no entry of the table left over; what the README has, too, is run by its tests."""
    for page in DOCS:
        found = {block.heading for block in page.blocks if block.language == "python"}
        found |= {block.heading for block in page.blocks if set(block.commands) - set(README.commands())}
        assert found == set(COVERED[page]), page.path
    for place in {name for tests in COVERED.values() for name in tests.values()}:
        file, _, name = place.rpartition("::")
        tree = ast.parse((Path(__file__).parent / (file or Path(__file__).name)).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.path.name)
def test_every_block_is_of_a_kind_that_is_tested(page: Page) -> None:
    """Commands stand in console blocks after `$ `, and nowhere else; the other kinds have a test each."""
    assert {found.language for found in page.blocks} <= {"console", "text", "python", "toml", "json", "mermaid"}
    for text in (found.text for found in page.blocks if found.language == "console"):
        continued = False
        for line in text.splitlines():
            assert continued or line.startswith("$ "), f"neither a command nor its continuation: {line}"
            continued = line.endswith("\\")
        assert not continued


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path.parent.name + "/" + page.path.name)
def test_commands_in_the_text_exist(page: Page) -> None:
    """`ccapi something` in a sentence is a command of this version, with options that it has."""
    from ccapi.cli.app import root
    from ccapi.cli.frame import global_options

    everywhere = {flag for option in global_options() for flag in option.opts}
    for found in re.findall(r"`ccapi ([^`]+)`", page.prose):
        if "COMMAND" in found:
            continue
        words = shlex.split(found)
        words = words[2:] if words[0] in {"-p", "--project"} else words
        known: Any = root()
        while hasattr(known, "commands"):
            if words and words[0] in known.commands:
                known = known.commands[words.pop(0)]
            elif known.name == "auth":  # a word that is no subcommand is a server's name
                known = known.commands["NAME"]
            else:
                assert all(word.startswith("-") for word in words), found
                break
        flags = {flag for parameter in known.params for flag in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= flags | everywhere, found


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path.parent.name + "/" + page.path.name)
def test_links_lead_somewhere(page: Page) -> None:
    """Every relative link is a file of the repository, and a heading that it has."""
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_relative_to(ROOT)
        assert target.is_file(), link
        if anchor:
            assert anchor in Page(str(target.relative_to(ROOT))).anchors, link


def test_the_readme_leads_to_every_page() -> None:
    """What cannot be found is not there."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in README.links}
    assert {page.path for page in ALL if page is not README} <= linked


# --- the API


def test_chat(examples: Examples) -> None:
    """The whole run as one text, which is the one that the page shows."""
    (answer,) = examples.shell(API, "Chat Completions")
    check_answer(COUNT, content_of(answer))
    assert content_of(answer) == API.block("text", "Chat Completions").removesuffix("\n")


def test_transcripts(examples: Examples) -> None:
    """The last words by the model's name, and all texts by the header; each mode is in the table."""
    final, texts = (content_of(answer) for answer in examples.shell(API, "How much of the steps is shown"))
    assert final.startswith("Python files in this directory: 1")
    assert texts.count("\n\n---\n\n") == 2
    assert texts.endswith(final)
    assert "**Bash**" not in texts
    assert [row[0] for row in API.table("How much of the steps is shown")] == [f"`{mode}`" for mode in TRANSCRIPTS]


def test_what_an_answer_says(examples: Examples) -> None:
    """The text, tokens, the session, and the fields that the page names."""
    (printed,) = examples.python(API, "What an answer says about its run")
    said, numbers = printed.splitlines()
    assert said == "You said: Hello"
    tokens, session, about = numbers.split(" ", 2)
    assert int(tokens) > 0
    found = ast.literal_eval(about)
    assert found["session_id"] == session
    assert list(found) == ["session_id", "model", "cost_usd", "turns", "duration_ms", "billing"]


def test_ignored_and_refused(examples: Examples) -> None:
    """What is ignored is named in the header, and what is refused in the error; the page names all of it."""
    heading = "What is ignored, and what is refused"
    assert examples.python(API, heading) == ["temperature, seed\n"]
    (refused,) = examples.shell(API, heading)
    assert json.loads(refused)["error"]["param"] == "n"
    (names,) = re.findall(r"those that a request had:\s([^.]+)\.", API.prose)
    assert re.findall(r"`(\w+)`", names) == list(requests.ChatRequest.IGNORED)
    (more,) = re.findall(r"are\salso\s([^;]+);\s`prompt` is refused", API.prose)
    ignored = [*responses_request.ResponsesRequest.IGNORED, "text.verbosity"]
    assert re.findall(r"`([\w.]+)`", more) == [name for name in ignored if name not in requests.ChatRequest.IGNORED]
    listed = {name for row in API.table(heading) for name in re.findall(r"`(\w+)`", row[0])}
    assert listed == set(requests._REFUSED)
    assert {*listed, "prompt"} >= set(responses_request._REFUSED)


def test_conversations_and_sessions(examples: Examples) -> None:
    """The history goes on in its session, asking again forks it, and an id does without it; then list, look, delete."""
    assert examples.python(API, "Conversations") == ["True\nFalse\n", "True\n"]
    (listed,) = examples.shell(API, "Sessions")
    sessions = json.loads(listed)["data"]
    shown, long = examples.python(API, "Sessions")
    assert shown == "My name is Ada. 3 6\n"
    assert "My name is Ada." in [session["title"] for session in sessions]
    beginning, size, whole = map(int, long.split())
    assert (beginning, size, whole) == (30_000, 5_000_000, 5_000_000)


def test_responses(examples: Examples) -> None:
    """Items for what was said and done, whole and streamed."""
    (answer,) = examples.shell(API, "Responses")
    kinds = [item["type"] for item in json.loads(answer)["output"]]
    assert kinds == ["message", "mcp_call", "message", "mcp_call", "message"]
    (printed,) = examples.python(API, "Responses")
    assert "\n[Bash: ./one.py]\nNow I'll count them." in printed
    assert "\n[Bash: 1]\nPython files in this directory: 1" in printed


def test_to_go_on(examples: Examples) -> None:
    """By the response before, and by a conversation."""
    assert examples.python(API, "To go on") == ["You said: What is my name? You said: What is my name?\n"]


def test_in_the_background(examples: Examples) -> None:
    """A stream is taken up behind the event at which it broke off; a run is cancelled; its input stays known."""
    resumed, cancelled = examples.python(API, "In the background")
    assert resumed == "You said: Hello in the background completed\n"
    assert cancelled == "in_progress cancelled\nCount to a thousand, slowly.\n"


def test_images_and_files(examples: Examples) -> None:
    """The example is answered; the limits that the page names are the real ones."""
    assert examples.python(API, "Images and files") == ["You said: What is in these two?\n"]
    text = re.sub(r"\s+", " ", API.prose)
    for limit, words in (
        (media.MAX_IMAGE, "PNG, JPEG, GIF or WebP, up to {} MB"),
        (media.MAX_DOCUMENT, "PDF up to {} MB"),
        (media.MAX_TEXT, "text in UTF-8 up to {} MB"),
        (fetch.MAX_TOTAL, "up to {} MB for the whole request"),
    ):
        assert words.format(limit // 1_000_000) in text
    assert f"Up to {media.MAX_ATTACHMENTS} in a message and {requests.MAX_ATTACHMENTS} in a conversation" in text
    assert f"at most {fetch.MAX_REDIRECTS} redirects, in {fetch.MAX_SECONDS:g} s" in text


def test_structured_output(examples: Examples) -> None:
    """The `openai` package makes an object of it."""
    assert examples.python(API, "Structured output") == ["name='Ada Lovelace' born=1815\n"]
    assert f"up to {formats.MAX_SCHEMA:,} characters" in API.prose


def test_limits_and_tools(examples: Examples) -> None:
    """One step, then the limit; every field of the table is one, with the values that it takes."""
    (answer,) = examples.shell(API, "Limits and tools")
    choice = json.loads(answer)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "---" not in choice["message"]["content"]
    rows = API.table("Limits and tools")
    named = {name.partition(".")[0] for row in rows for name in re.findall(r"`([\w.]+)`", row[0])}
    known = set(requests.ChatRequest.model_fields) | set(responses_request.ResponsesRequest.model_fields)
    assert named <= known
    values = {row[0]: re.findall(r"`(\w+)`", row[1]) for row in rows}
    assert values["`permission_mode`"] == list(settings.PERMISSION_MODES)
    assert values["`reasoning_effort`, `reasoning.effort`"] == list(get_args(fields.Effort))


def test_workspaces(examples: Examples) -> None:
    """The directory is made, and there is no Python file in it."""
    (answer,) = examples.shell(API, "Workspaces")
    assert "There are 0 Python files" in json.loads(answer)["output"][-1]["content"][0]["text"]
    assert (examples.running.workspace / "reports").is_dir()


def test_models(examples: Examples) -> None:
    """The names that the page begins with."""
    (listed,) = examples.shell(API, "Models")
    assert [model["id"] for model in json.loads(listed)["data"]] == ["sonnet", "opus", "haiku"]


def test_errors(examples: Examples) -> None:
    """The error that the page shows is the one that comes."""
    (answer,) = examples.shell(API, "Errors")
    head, _, body = answer.partition("\n\n")
    assert head.startswith("HTTP/1.1 404 ")
    assert json.loads(body) == json.loads(API.block("json", "Errors"))


def test_every_error_is_listed() -> None:
    """Each code that a route can answer with, and its status."""
    kinds = {kind for operation in operations.OPERATIONS for kind in operation.raised()} | {errors.MethodNotAllowed}
    assert {(row[0], row[1]) for row in API.table("Errors")} == {(f"`{kind.code}`", str(kind.status)) for kind in kinds}


def test_health_numbers_description(examples: Examples) -> None:
    """Each of these paths answers; the table has all of them."""
    health, ready, metrics, described, page = examples.shell(API, "Health, numbers, description")
    assert json.loads(health)["status"] == "healthy"
    assert json.loads(ready)["status"] == "ready"
    assert "ccapi_runs_total" in metrics
    assert json.loads(described)["openapi"].startswith("3.1")
    assert page.startswith("<!doctype html>")
    listed = [row[0].strip("`") for row in API.table("Health, numbers, description")]
    assert listed == [one.path for one in operations.OPERATIONS if one.tag == "Operation"]
    free = {row[0].strip("`") for row in API.table("Health, numbers, description") if "Needs no key." in row[1]}
    assert free == access.OPEN


# --- MCP servers


def test_every_known_server_is_listed() -> None:
    """The table is the catalogue, with the month in which it was true; the README counts right."""
    ways = {"browser": "browser", "token": "token", "client-id": "own OAuth app"}
    known = catalogue.load()
    expected = [
        [f"`{one.name}`", one.about, ", ".join(ways[way] for way in one.ways), f"`{one.url}`", one.sure, one.guide]
        for one in known.entries
    ]
    assert MCP.table("The servers") == expected
    assert f"as of {known.checked}" in MCP.prose
    assert len(known.entries) == 30
    assert "a menu of thirty servers" in README.prose


def test_what_the_page_says_of_own_apps() -> None:
    """The ports are those that are used."""
    assert f"`http://localhost:{catalogue.OWN_APP_PORT}/callback`" in MCP.prose
    slack = catalogue.load().get("slack")
    assert slack
    assert f"`http://localhost:{slack.callback_port}/callback`" in MCP.prose


@pytest.fixture
def proxy(examples: Examples) -> Iterator[None]:
    """At the end no proxy runs."""
    yield
    subprocess.run(["ccapi", "proxy", "stop"], env=examples.environ, capture_output=True, timeout=DEADLINE, check=True)


def test_the_proxy(examples: Examples, proxy: None) -> None:
    """It starts, says how it is, takes logins from who has the secret, and forgets them; the JSON is what comes."""
    heading = "The OAuth proxy"
    start, status, log_text, _, health, check, *answers = examples.shell(MCP, heading)
    assert start == f"OAuth callback URL: http://localhost:{examples.ports['8888']}/oauth/callback\n"
    assert status.startswith("running (healthy)\n")
    assert "Started on port" in log_text
    assert "this was a test: nothing was forwarded" in check.lower()
    shown, session = (json.loads(examples.here(one.text)) for one in below(MCP, heading) if one.language == "json")
    assert health == json.dumps(shown | {"container_port": examples.running.port})
    assert list(json.loads(answers[1])) == list(session)
    assert json.loads(answers[1]) == session
    assert json.loads(answers[2])["site"] == "auth.example.com"
    assert [one["status"] for one in json.loads(answers[3])["sessions"]] == ["pending", "pending"]
    assert json.loads(answers[4])["status"] == "pending"
    assert answers[5:] == ["", ""]
    done = bash("ccapi proxy logs", examples.environ, examples.running.workspace)
    assert done.stdout.count("cancelled") == 2


def test_what_the_page_says_of_the_proxy() -> None:
    """Each status, and the numbers."""
    assert [row[0] for row in MCP.table("The OAuth proxy")] == [f"`{status}`" for status in get_args(Status)]
    prose = re.sub(r"\s+", " ", MCP.prose)
    assert f"{registry.MOST} can wait at once" in prose
    assert registry.REMEMBERED == 120
    assert "remembered for two minutes" in prose
    assert f"{registration._LIFETIME:g} unless given, {registration._LONGEST:,.0f} at most" in prose
    assert FIRST_PORT == 1024
    assert "Ports below 1024" in prose
    assert container_logins.LIFETIME == 600
    assert container_logins.MAX_PENDING == 4
    assert "for ten minutes at most, four at a time" in prose


def test_what_one_sees_is_what_is_said() -> None:
    """The words that the table of troubles quotes are those of this program, wherever it says them."""
    said = "".join(file.read_text("utf-8") for file in (ROOT / "ccapi").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    quoted = [words for row in MCP.table("If it does not work") for words in re.findall(r'"([^"]+)"', row[0])]
    assert len(quoted) > 15
    for words in quoted:
        for piece in re.split(r"\d+|…", words):
            assert piece.strip() in said, words


def test_exit_codes_of_a_login() -> None:
    """They are among those of every command, and the failures of a login have them."""
    codes = {int(code) for row in MCP.table("From a script") for code in row[0].split(",")}
    assert codes <= {int(code) for row in OPERATION.table("Exit codes") for code in row[0].split(",")}
    kinds = (
        errors.LoginFailed, errors.UsageError, errors.InputNeeded, errors.LoginNeeded, errors.DockerUnavailable,
        errors.LoginTimeout,
    )  # fmt: skip
    assert codes == {kind.exit_code for kind in kinds} | {0, 130, 143}


# --- settings


def test_config(cli: Cli) -> None:
    """Set, look, take out, check: in the user's file, and in that of a directory."""
    commands = [shlex.split(command, comments=True)[1:] for command in SETTINGS.commands()]
    done = [cli.run(*command, environ={"EDITOR": "true"}) for command in commands]
    assert [one.returncode for one in done] == [0] * 8, [one.stderr for one in done]
    show, _, _, get, _, path, edit, validate = done
    assert all(" = " in line or "is not set" in line for line in show.stdout.splitlines())
    assert get.stdout == "8001\n"
    user = Path(path.stdout.strip())
    assert tomllib.loads(user.read_text("utf-8")) == {"gateway": {"max_runs": 4}}
    assert "port" not in (cli.directory / "ccapi.toml").read_text("utf-8")
    assert edit.stderr == f"Nothing was changed in {user}\n"
    assert validate.stdout.count("nothing is wrong") == 2


def test_what_is_said_of_a_wrong_value(cli: Cli) -> None:
    """The example of a message, for a file that is wrong in that way."""
    example = SETTINGS.block("text")
    (cli.directory / "ccapi.toml").write_text('[gateway]\nport = 8001\n\n[log]\nlevel = "WARN"\n', "utf-8")
    said = cli.run("config", "show").stderr
    assert said == example.replace("/srv/shop", str(cli.directory))


def test_the_example_of_a_settings_file(tmp_path: Path) -> None:
    """It is read, and says what it seems to say."""
    (tmp_path / "ccapi.toml").write_text(SETTINGS.block("toml"), "utf-8")
    found = settings.load(environ={"CCAPI_HOME": str(tmp_path / "home")}, directory=tmp_path)
    assert found.port == 8001
    assert found.value("models.map") == {"gpt-4o": "sonnet"}


def test_every_other_variable_is_listed() -> None:
    """All that the program reads of its environment, and nothing that it does not. (The page is made from the list.)"""
    found = {
        name
        for file in (ROOT / "ccapi").rglob("*.py")
        for name in re.findall(r"CCAPI_[A-Z_]+", file.read_text("utf-8"))
    }
    found -= {row.env for row in settings.TABLE}
    found -= check.of_compose() - {"CCAPI_HOME", "CCAPI_KEYS_DIR", "CCAPI_REHEARSAL"}  # what is for compose alone
    found -= {"CCAPI_PROCESS", "CCAPI_STARTED"}  # for what is started in the container
    assert {variable.name for variable in settings.VARIABLES} == found


# --- operation


def test_keys(examples: Examples) -> None:
    """A key is made, listed, used and revoked; then every request of this installation would need one."""
    created, listed, answer, asked, revoked, required, _, published = examples.shell(
        OPERATION, "API keys and other machines"
    )
    assert created == revoked == required == published == ""
    assert re.search(r"(?m)^[0-9a-f]{12}  laptop .*models sonnet; 30 a minute$", listed)
    assert content_of(answer) == asked.removesuffix("\n") == "You said: Hello"
    wanted = settings.load(environ=clean_environ(examples.home), directory=examples.home)
    assert wanted.value("api.require_key")
    assert wanted.host == "0.0.0.0"


def test_processes_that_wait(examples: Examples) -> None:
    """No process waits, with these settings."""
    examples.shell(OPERATION, "Processes that wait")
    wanted = settings.load(environ=clean_environ(examples.home), directory=examples.home)
    assert (wanted.value("pool.size"), wanted.value("pool.sessions")) == (0, 0)


def test_the_log_looks_like_that(examples: Examples) -> None:
    """The lines that the page shows are of the form of real ones."""
    examples.running.chat("Hello")
    run, request = OPERATION.block("text", "Logs").splitlines()
    lines = examples.running.log.read_text("utf-8").splitlines()

    def shape(line: str) -> str:
        return re.sub(r"\b[0-9a-f]{8,}\b", "ID", re.sub(r"\d+(?:[.:]\d+)*", "0", re.sub(r"chatcmpl-\w+", "ID", line)))

    for shown in (run, request):
        start = re.sub(r"\[\w+\]", "[ID]", shape(re.sub(r"\[\w+\]", "[]", shown)))
        assert start in {re.sub(r"\[\w*\]", "[]", shape(re.sub(r"\[\w+\]", "[]", line))) for line in lines}, shown


def test_every_metric_is_listed(examples: Examples) -> None:
    """Name, labels and meaning of each, but for those of the process itself."""
    examples.running.chat("Hello")
    (text,) = examples.shell(OPERATION, "Metrics")
    found = []
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("process_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
            found.append((f"`{name}`", {f"`{label}`" for label in labels}, family.documentation))
    listed = [
        (name, set(filter(None, labels.split(", "))), words) for name, labels, words in OPERATION.table("Metrics")
    ]
    assert listed == found


def test_readiness(examples: Examples) -> None:
    """Ready, without a question to the model."""
    (ready,) = examples.shell(OPERATION, "Health and readiness")
    assert json.loads(ready)["status"] == "ready"


def test_the_proxy_as_a_service(examples: Examples) -> None:
    """What is written, where, and that it is gone; where no service manager answers, what is left to do is said."""
    shown, installed, removed = examples.shell(OPERATION, "The OAuth proxy")
    assert "ExecStart=" in shown
    assert (installed, removed) == ("", "")
    assert not list(examples.home.rglob("*.service"))
    assert log.LARGEST == 1_000_000
    assert log.KEPT == 3
    assert "three files of 1 MB" in OPERATION.prose


def test_the_logins_that_the_agent_can_read_are_warned_of() -> None:
    """A residual risk that is said openly, where one is led to from the README and from the page about logins."""
    risks = OPERATION.prose.partition("## What is left to you")[2]
    assert "**The MCP logins can be read by the agent**" in risks
    assert "`.credentials.json`" in risks
    assert "operations.md#what-is-left-to-you" in MCP.text
    assert "the MCP logins lie in a volume that the agent can read" in README.prose


def test_reload(examples: Examples) -> None:
    """The log says that the settings were read again, and the gateway goes on."""
    running = examples.running
    examples.shell(OPERATION, "Reload", PID=str(running.process.pid))
    deadline = time.monotonic() + DEADLINE
    while "settings and credentials were read again" not in running.log.read_text("utf-8"):
        assert time.monotonic() < deadline, running.log.read_text("utf-8")
        time.sleep(0.05)
    assert httpx.get(f"{running.url}/health", trust_env=False, timeout=DEADLINE).status_code == 200


def test_every_exit_code_is_listed() -> None:
    """Those of the error tree, and the ones that need no error."""
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CcapiError)]
    listed = {int(code) for row in OPERATION.table("Exit codes") for code in row[0].split(",")}
    assert listed == {kind.exit_code for kind in tree} | {0, 130, 143}


# --- the rehearsal model


def test_rehearsal(cli: Cli, claude: Path) -> None:
    """Each server says where it is, the page's own scenario included, and Claude Code talks to it."""
    *servers, client = REHEARSAL.commands()
    example = next(block.text for block in REHEARSAL.blocks if block.language == "toml")
    (cli.directory / "mine.toml").write_text(example, "utf-8")
    (cli.directory / "claude").symlink_to(claude)
    for command in servers:
        arguments = ["0" if word == "9000" else word for word in shlex.split(command, comments=True)[1:]]
        with cli.start(*arguments) as process:
            url = read_line(process.stdout, "the URL").removeprefix("Rehearsal model on ")
            if command is servers[0]:
                environ = {**cli.environ, "PATH": f"{cli.directory}:{cli.environ['PATH']}"}
                done = bash(client.replace("http://127.0.0.1:9000", url), environ, cli.directory)
                assert done.stdout == "You said: hello\n", done.stderr
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=DEADLINE)
        assert process.returncode == 0

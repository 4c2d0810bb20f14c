"""docs/ask.md: each command is run as it stands, in a directory with the files that it names; what it lists is so."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator

import pytest

from ccapi import errors
from ccapi.cli.answer import programs
from ccapi.cli.asking import standardinput
from ccapi.cli.asking.history import MOST
from ccapi.client.question import ABANDON_AFTER
from tests.cli.readme import Page, bash, below, check_answer, shell
from tests.cli.support import gateway
from tests.docs.readers import Reader

PAGE = Page("docs/ask.md")
COUNT = 1  # the number of its question in `check_answer`
QUESTION = 'ccapi ask "Count the Python files in this directory and report the number."'
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cf50000003010180a56c1c4f0000000049454e44ae426082"
)
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "integer"}}}
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
when.prompt = "Show me a Python function"
[[turn.step]]
text = '''
It is short:

```python
def count(directory):
    return len(list(directory.rglob("*.py")))
```

```console
$ python3 count.py
```
'''
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody with a gateway, in a directory with some files."""
    directory = tmp_path_factory.mktemp("ask")
    (directory / "ask.toml").write_text(SCENARIO, "utf-8")
    (directory / "notes.md").write_text("The notes: growth.\n", "utf-8")
    (directory / "chart.png").write_bytes(PNG)
    (directory / "error.log").write_text("the log: no space left\n", "utf-8")
    (directory / "question.md").write_text("The question of the file?\n", "utf-8")
    (directory / "person.json").write_text(json.dumps(SCHEMA), "utf-8")
    with gateway(directory / "gateway", f"--rehearsal={directory / 'ask.toml'}") as running:
        (running.workspace / "one.py").write_text("print(1)\n")
        yield Reader(running, directory)


with_jq = pytest.mark.skipif(not os.environ.get("CI") and not shutil.which("jq"), reason="there is no jq")


def printed(person: Reader, heading: str) -> list[str]:
    return person.shell(below(PAGE, heading))


def run(person: Reader, command: str) -> str:
    """Standard output of a command that must succeed."""
    return shell(command, person.environ, person.directory)


def test_the_question(person: Reader) -> None:
    """As an argument, with files, with what is piped in, and as a file."""
    (block,) = below(PAGE, "The question")
    sent = []
    for command in block.commands:
        run(person, command)
        sent.append(run(person, "ccapi sessions show --last --json"))
    plain, files, piped, whole = sent
    assert "What does this project do?" in plain
    assert all(word in files for word in ("Does the chart fit the notes?", "The notes: growth.", "image"))
    assert all(word in piped for word in ("What went wrong here?", "the log: no space left"))
    assert "The question of the file?" in whole


def test_what_is_said_of_the_prompt() -> None:
    """The page's numbers are the real ones."""
    assert f"the last {MOST} questions" in PAGE.prose
    assert standardinput.GRACE == 2
    assert "said nothing for two seconds" in PAGE.prose
    assert f"nobody has listened to for {ABANDON_AFTER} seconds" in re.sub(r"\s+", " ", PAGE.prose)


def test_to_go_on(person: Reader) -> None:
    """The last session, any session, look at it, remove it. The id is one of this test."""
    run(person, 'ccapi ask "What is it?"')
    known = json.loads(run(person, "ccapi sessions list --json"))["data"]["last"][:8]
    (block,) = below(PAGE, "To go on")
    assert block.text.count(" 6f1c7a52") == 2
    go_on, listed, again, shown, removed = (command.replace("6f1c7a52", known) for command in block.commands)
    assert run(person, go_on) == "You said: And now with tests.\n"
    assert known in run(person, listed)
    assert run(person, again) == "You said: What was still to do?\n"
    questions = re.findall("(?m)^> (.*)", run(person, shown))
    assert questions == ["What is it?", "And now with tests.", "What was still to do?"]
    assert "`--yes` answers it" in PAGE.prose
    run(person, f"{removed} --yes")
    assert known not in run(person, listed)


def test_models_and_limits(person: Reader) -> None:
    """Each is taken, and every option of the table is one."""
    models, *answers = printed(person, "Models and limits")
    assert "opus" in models
    assert [answer.removeprefix("You said: ").strip() for answer in answers] == [
        "Why is the sky blue?",
        "Mend the failing test.",
        "What changed last week?",
        "What changed last week?",
    ]
    assert (person.running.workspace / "reports").is_dir()
    shown = run(person, "ccapi ask --help")
    options = [re.findall(r"`(--[\w-]+)`", row[0])[0] for row in PAGE.table("Models and limits")]
    places = [re.search(rf"(?m)^  (?:-\w, )?{option} ", shown) for option in options]
    assert all(places)
    assert len(options) == len(set(options))


def test_in_a_pipe(person: Reader) -> None:
    """The whole answer, the end of it, what is said, and the code."""
    whole, final, to_file, code = printed(person, "In a pipe")
    assert (whole, to_file, code) == ("", "", "")
    check_answer(COUNT, run(person, QUESTION).removesuffix("\n"))
    assert final.startswith("Python files in this directory: 1")
    text = (person.directory / "answer.md").read_text("utf-8")
    assert "**Bash**" not in text
    assert text.endswith(final)
    assert (person.directory / "function.py").read_text("utf-8") == (
        'def count(directory):\n    return len(list(directory.rglob("*.py")))\n'
    )


@with_jq
def test_json(person: Reader) -> None:
    """The jq lines give what they look for, and the table names every member."""
    _, text, about, tools = printed(person, "JSON")
    assert text.startswith("Python files in this directory: 1")
    assert json.loads(about)["turns"] == 3
    assert json.loads(about)["billing"] == "none"
    rows = [line.split("\t") for line in tools.splitlines()]
    assert [(name, failed) for name, _, failed in rows] == [("Bash", "false"), ("Bash", "false")]
    data = json.loads((person.directory / "answer.json").read_text("utf-8"))["data"]
    table = PAGE.table("JSON")
    assert {name for row in table for name in re.findall(r"`(\w+)`", row[0])} == set(data)
    of_a_call = next(row[1] for row in table if row[0] == "`tools`")
    assert re.findall(r"`(\w+)`", of_a_call) == list(data["tools"][0])


@with_jq
def test_events(person: Reader) -> None:
    """What is said, what was called, how it ended; every type of an event is in the table."""
    _, said, called, result = printed(person, "Events")
    assert "Python files in this directory: 1" in said
    assert [line.split("\t")[0] for line in called.splitlines()] == ["Bash", "Bash"]
    assert json.loads(result) == ["ok", "stop"]
    types = {name for row in PAGE.table("Events") for name in re.findall(r"`([\w.]+)`", row[0])}
    assert types == {*programs._NAMES.values(), "result"}


@with_jq
def test_an_answer_in_a_form(person: Reader) -> None:
    """By a schema as it is, and by one in a file."""
    name, to_file = printed(person, "An answer in a form")
    assert (name, to_file) == ("Ada Lovelace\n", "")
    ada = json.loads((person.directory / "ada.json").read_text("utf-8"))
    assert ada == {"name": "Ada Lovelace", "born": 1815}


def test_exit_codes(person: Reader) -> None:
    """Those of the table are of the command's errors, or of signals."""
    codes = {int(code) for row in PAGE.table("Exit codes") for code in row[0].split(", ")}
    kinds = (
        errors.AnswerIncomplete,
        errors.UsageError,
        errors.InputNeeded,
        errors.NotSignedIn,
        errors.RunTimeout,
        errors.Interrupted,
    )
    assert codes == {0, 143, *(kind.exit_code for kind in kinds)}
    for command, code in {
        "ccapi ask ''": 2,
        f"{QUESTION} --max-turns 1": 1,
        "ccapi ask Hello -x": 1,
        f"{QUESTION} --timeout 0.001": 124,
    }.items():
        done = bash(command, person.environ, person.directory)
        assert done.returncode == code, done.stderr

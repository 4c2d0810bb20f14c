"""`ccapi ask` for programs: one JSON document, a line for each event, or the JSON that a schema asked for."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from ccapi.cli.answer.programs import JsonView
from ccapi.cli.context import Mode, mode
from ccapi.commands.ask import Summary
from ccapi.errors import ClaudeFailed, RateLimited, StructuredOutputFailed
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolFinished,
    Usage,
)
from tests.cli.answers import ask, called, run, said
from tests.cli.support import DEADLINE, Cli, FakeAnswer, FakeGateway, Gateway

Object = dict[str, Any]
SESSION = FakeAnswer.SESSION
STEPS = [*called("ls", "a.txt\n"), *called("cat b", "no b", "msg_2", is_error=True), *said("There is a.txt.", "msg_3")]


# --- the shapes that are promised


def _object(**members: Any) -> Object:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


TEXT, NUMBER, BOOL = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}


def _or_null(schema: Object) -> Object:
    return {"anyOf": [schema, {"type": "null"}]}


BILLING = {"enum": ["subscription", "api", "cloud", "none", None]}
FINISH = {"enum": ["stop", "length", "content_filter"]}
USAGE = _object(input=NUMBER, output=NUMBER, cached_read=NUMBER, cached_write=NUMBER)
ERROR = _object(
    code=TEXT,
    category=TEXT,
    message=TEXT,
    retryable=BOOL,
    details={"type": "object"},
    actions={"type": "array", "items": TEXT},
)
TOOL = _object(
    id=TEXT,
    name=TEXT,
    arguments={"type": "object"},
    output=_or_null(TEXT),
    full_size=_or_null(NUMBER),
    is_error=_or_null(BOOL),
    duration_ms=_or_null(NUMBER),
    parent=_or_null(TEXT),
)
DATA = _object(
    text=TEXT,
    transcript=TEXT,
    session_id=_or_null(TEXT),
    response_id=_or_null(TEXT),
    requested_model=TEXT,
    model=_or_null(TEXT),
    finish_reason=_or_null(FINISH),
    turns=_or_null(NUMBER),
    usage=_or_null(USAGE),
    cost_usd=_or_null({"type": "number", "minimum": 0}),
    billing=BILLING,
    duration_ms=NUMBER,
    first_text_ms=_or_null(NUMBER),
    tools={"type": "array", "items": TOOL},
    structured={},
)
_ENVELOPE: Object = {
    "schemaVersion": {"const": 1},
    "command": {"const": "ask"},
    "status": {"enum": ["ok", "failed"]},
    "data": _or_null(DATA),
    "warnings": {"type": "array", "items": TEXT},
    "error": _or_null(ERROR),
}
ENVELOPE = _object(**_ENVELOPE)
_PARENT, _ID = {"parent": _or_null(TEXT)}, {"message_id": TEXT}
_END = {"usage": USAGE, "cost_usd": {"type": "number"}, "turns": NUMBER, "duration_ms": NUMBER, "billing": BILLING}
EVENTS: dict[str, Object] = {
    "run.started": {"session_id": TEXT, "model": TEXT},
    "message.started": {**_ID, **_PARENT},
    "text.delta": {**_ID, "text": TEXT, **_PARENT, "block": NUMBER},
    "thinking.delta": {**_ID, "text": TEXT, **_PARENT, "block": NUMBER},
    "tool.started": {"tool_use_id": TEXT, "name": TEXT, **_PARENT},
    "tool.input.delta": {"tool_use_id": TEXT, "partial_json": TEXT, **_PARENT},
    "tool.called": {"tool_use_id": TEXT, "name": TEXT, "input": {"type": "object"}, **_ID, **_PARENT},
    "tool.finished": {
        "tool_use_id": TEXT, "output": TEXT, "is_error": BOOL, "full_size": _or_null(NUMBER), **_PARENT,
    },
    "message.finished": {**_ID, **_PARENT},
    "notice": {"kind": TEXT, "message": TEXT},
    "run.finished": {"session_id": TEXT, "finish_reason": FINISH, "structured": {}, **_END},
    "run.failed": {"error": ERROR, **_END},
    "result": _ENVELOPE,
}  # fmt: skip


def document(stdout: bytes) -> Object:
    """The one document, and nothing else."""
    found: Object = json.loads(stdout)
    jsonschema.validate(found, ENVELOPE)
    return found


def lines(stdout: bytes) -> list[Object]:
    """A stream: each line of it an event, the last one the result."""
    found: list[Object] = [json.loads(line) for line in stdout.decode().split("\n")[:-1]]
    for one in found:
        jsonschema.validate(one, _object(type={"const": one["type"]}, **EVENTS[one["type"]]))
    assert [one["type"] for one in found].count("result") == 1
    assert found[-1]["type"] == "result"
    return found


def result(stdout: bytes) -> Object:
    """The document in either form."""
    return document(stdout) if stdout.startswith(b"{\n") else lines(stdout)[-1]


BOTH = pytest.mark.parametrize("form", ["--json", "--stream-json"])


# --- a run that came to its end


@BOTH
def test_all_of_an_answer(cli: Cli, fake: FakeGateway, form: str) -> None:
    """Text, transcript, tools, numbers and who pays, whatever the form."""
    done = ask(cli, fake, run(*STEPS), form, "hello")
    found = result(done.stdout)
    data = found["data"]
    assert (done.returncode, done.stderr, found["status"], found["error"]) == (0, b"", "ok", None)
    assert data["text"] == "There is a.txt."
    assert data["transcript"] == ask(cli, fake, run(*STEPS), "hello").stdout.decode().removesuffix("\n")
    assert (data["session_id"], data["response_id"]) == (SESSION, FakeAnswer.ID)
    assert (data["requested_model"], data["model"]) == ("sonnet", "claude-sonnet-5-5")
    assert (data["finish_reason"], data["turns"], data["cost_usd"], data["billing"]) == ("stop", 3, 0.25, "api")
    assert data["usage"] == {"input": 10, "output": 5, "cached_read": 300, "cached_write": 40}
    assert data["first_text_ms"] <= data["duration_ms"]
    assert data["structured"] is None
    first, second = data["tools"]
    assert (first["id"], first["name"], first["arguments"]) == ("toolu_msg_1", "Bash", {"command": "ls"})
    assert (first["output"], first["is_error"], first["parent"]) == ("a.txt\n", False, None)
    assert (second["output"], second["is_error"]) == ("no b", True)


@BOTH
def test_the_transcript_is_the_one_that_was_asked_for(cli: Cli, fake: FakeGateway, form: str) -> None:
    """`text` is the last text in any case."""
    found = result(ask(cli, fake, run(*STEPS), form, "--transcript", "text", "hello").stdout)["data"]
    assert found["transcript"] == "I look.\n\n---\n\nI look.\n\n---\n\nThere is a.txt."
    assert found["text"] == "There is a.txt."


def test_every_event_is_a_line(cli: Cli, fake: FakeGateway) -> None:
    """In the order of the run, with all that belongs to it."""
    thought: list[RunEvent] = [
        MessageStarted("msg_0"),
        ThinkingDelta("msg_0", "hm"),
        TextDelta("msg_0", "So:", block=1),
        MessageFinished("msg_0"),
        ToolCalled("toolu_t", "Task", {"description": "d", "prompt": "p"}, "msg_0"),
        MessageStarted("sub_1", "toolu_t"),
        TextDelta("sub_1", "inside", "toolu_t"),
        MessageFinished("sub_1", "toolu_t"),
        ToolFinished("toolu_t", "x" * 9, full_size=90_000),
    ]
    found = lines(ask(cli, fake, run(*thought, *STEPS), "--stream-json", "hello").stdout)
    kinds = [one["type"] for one in found]
    assert kinds[:4] == ["run.started", "message.started", "thinking.delta", "text.delta"]
    assert kinds[-3:] == ["message.finished", "run.finished", "result"]
    assert {"tool.started", "tool.called", "tool.finished"} <= set(kinds)
    by_type = {one["type"]: one for one in reversed(found)}
    assert by_type["run.started"] == {"type": "run.started", "session_id": SESSION, "model": "claude-sonnet-5-5"}
    inside = next(one for one in found if one.get("text") == "inside")
    assert (inside["type"], inside["parent"]) == ("text.delta", "toolu_t")
    assert by_type["tool.finished"]["full_size"] == 90_000
    assert by_type["run.finished"]["usage"]["cached_read"] == 300


def test_an_event_is_written_as_it_comes(cli: Cli, fake: FakeGateway) -> None:
    """A program that reads the pipe sees the text before the run is over."""
    answer = FakeAnswer()
    with cli.start("ask", "--port", str(fake.port), "--stream-json", "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("at once"))
            assert process.stdout is not None
            events = map(json.loads, process.stdout)
            assert next(event for event in events if event["type"] == "text.delta")["text"] == "at once"
            connection.sendall(answer.end())
        assert [event["type"] for event in events] == ["message.finished", "run.finished", "result"]


@BOTH
def test_no_character_commands_a_terminal(cli: Cli, fake: FakeGateway, form: str) -> None:
    """JSON escapes those of ASCII; the others (C1) are escaped as well, and mean the same to a program."""
    text = "a\x1b[31mb\x9b31mc\x85d\x7fe 世界"
    stdout = ask(cli, fake, run(*said(text)), form, "hello").stdout
    assert not any(ord(character) in {0x1B, *range(0x7F, 0xA0)} for character in stdout.decode())
    assert "世界" in stdout.decode()
    assert result(stdout)["data"]["text"] == text


@BOTH
def test_with_the_real_claude_code(cli: Cli, scripted: Gateway, form: str) -> None:
    """A scripted model is paid by nobody; the tool took some time."""
    done = cli.run("ask", "--port", str(scripted.port), form, "print controls")
    data = result(done.stdout.encode())["data"]
    assert data["transcript"] == scripted.chat("print controls")
    assert (data["billing"], data["turns"], data["text"]) == ("none", 2, "Both are **done**.")
    (tool,) = data["tools"]
    assert tool["arguments"]["command"] == "sh controls.sh"
    assert tool["duration_ms"] > 0


# --- a run that did not


@BOTH
def test_a_failure_loses_nothing(cli: Cli, fake: FakeGateway, form: str) -> None:
    """The error is in the document, and so is all that came before."""
    failed = RunFailed(ClaudeFailed("it died", hint="Look at: ccapi logs"), Usage(1, 2), 0.5, 1, 99, "subscription")
    done = ask(cli, fake, run(*STEPS[:-3], *said("Half a", "msg_3")[:-1], end=failed), form, "hello")
    found = result(done.stdout)
    data = found["data"]
    assert (done.returncode, found["status"], found["error"]["code"]) == (1, "failed", "claude_failed")
    assert found["error"]["actions"] == ["ccapi logs", f'ccapi ask --port {fake.port} -c "..."']
    assert (data["text"], data["finish_reason"]) == ("Half a", None)
    assert (data["turns"], data["cost_usd"], data["billing"]) == (3, 0.5, "subscription")
    assert len(data["tools"]) == 2
    assert "it died" in done.stderr.decode()


@BOTH
def test_a_failure_before_anything_began(cli: Cli, fake: FakeGateway, form: str) -> None:
    """There is no data then."""
    with cli.start("ask", "--port", str(fake.port), form, "hello") as process:
        with fake.request() as connection:
            connection.sendall(fake.refusal(RateLimited("too much", retry_after=5)))
        stdout, _ = process.communicate(timeout=DEADLINE)
    found = result(stdout)
    assert (found["status"], found["error"]["code"], found["data"]) == ("failed", "rate_limited", None)


@BOTH
def test_a_limit(cli: Cli, fake: FakeGateway, form: str) -> None:
    """Is a failure that has its numbers, and one document."""
    end = RunFinished(SESSION, "length", Usage(1, 2), 0.5, 1, 99)
    done = ask(cli, fake, run(*said("Half"), end=end), form, "hello")
    found = result(done.stdout)
    assert (done.returncode, found["status"], found["error"]["code"]) == (1, "failed", "answer_incomplete")
    assert (found["data"]["text"], found["data"]["finish_reason"]) == ("Half", "length")
    assert (found["data"]["usage"]["output"], found["data"]["billing"]) == (2, None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_loses_nothing(cli: Cli, fake: FakeGateway, number: signal.Signals, code: int) -> None:
    """A program that stops it gets what there was, in JSON."""
    answer, head = FakeAnswer(), b""
    with cli.start("ask", "--port", str(fake.port), "--stream-json", "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("Half a"))
            assert process.stdout is not None
            while b"text.delta" not in head:
                head += process.stdout.readline()
            process.send_signal(number)
            fake.cancelled()
        found = result(head + process.stdout.read())
        process.wait(DEADLINE)
    assert (process.returncode, found["status"], found["error"]["code"]) == (code, "failed", "interrupted")
    assert (found["data"]["text"], found["data"]["session_id"]) == ("Half a", SESSION)
    assert "the run was ended" in found["error"]["message"]


def test_an_interrupt_leaves_a_document(clean_mode: Mode) -> None:
    """The same for `--json`, with what a transcript holds back, and the notes of what became of the run."""
    summary, written = Summary("sonnet", response_id="resp_1"), list[str]()
    clean_mode.command, clean_mode.json = "ask", True
    view = JsonView("final", summary, written.append)
    interrupt = KeyboardInterrupt()
    interrupt.add_note("the run was ended")
    for event in [*STEPS, TextDelta("msg_3", " And")]:
        view.feed(event)
    view.close()
    with pytest.raises(KeyboardInterrupt), view:
        raise interrupt
    found = document("".join(written).encode())
    assert (found["status"], found["error"]["code"]) == ("failed", "interrupted")
    assert found["error"]["message"] == "interrupted; the run was ended"
    assert found["data"]["text"] == found["data"]["transcript"] == "There is a.txt. And"


@pytest.fixture
def clean_mode() -> Iterator[Mode]:
    """What holds for a command, of which there is none in this process."""
    mode.begin()
    yield mode
    mode.begin()


@pytest.mark.parametrize("args", [["--bogus"], ["--json", "--stream-json", "q"], ["--max-turns", "none", "q"], ["-x"]])
def test_a_mistyped_command(cli: Cli, args: list[str]) -> None:
    """Its error is a line of the stream as well, as the only one."""
    done = cli.run("ask", "--stream-json", *args)
    (found,) = lines(done.stdout.encode())
    assert (done.returncode, found["status"], found["error"]["code"]) == (2, "failed", "usage")


def test_a_mistyped_command_before_it_is_known(cli: Cli) -> None:
    """Even if no command has such an option."""
    done = cli.run("aks", "--stream-json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["type"], found["error"]["code"]) == (2, "result", "usage")


# --- structured output

SCHEMA = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'


def test_structured_output_is_json_and_nothing_else(cli: Cli, fake: FakeGateway) -> None:
    """As the API has it; what was said on the way is not there."""
    end = RunFinished(SESSION, "stop", structured={"name": "Zoë\x9b"})
    done = ask(cli, fake, run(*said("I think."), end=end), "--schema", SCHEMA, "hello", structured=True)
    assert (done.returncode, done.stdout) == (0, '{"name": "Zoë\x9b"}\n'.encode())
    asked = json.loads(fake.received[0].body)
    assert asked["text"]["format"]["schema"] == json.loads(SCHEMA)


@BOTH
def test_structured_output_as_a_value(cli: Cli, fake: FakeGateway, form: str) -> None:
    """In the document it is a value, not a text of one."""
    end = RunFinished(SESSION, "stop", structured={"name": "Zoë"})
    done = ask(cli, fake, run(*said("I think."), end=end), form, "--schema", SCHEMA, "hello", structured=True)
    data = result(done.stdout)["data"]
    assert data["structured"] == {"name": "Zoë"}
    assert data["text"] == '{"name": "Zoë"}'


def test_structured_output_that_does_not_fit(cli: Cli, fake: FakeGateway) -> None:
    """Is none: nothing is on standard output."""
    end = RunFinished(SESSION, "stop", structured={"name": 5})
    done = ask(cli, fake, run(end=end), "--schema", SCHEMA, "hello", structured=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert "does not fit" in done.stderr.decode()


@BOTH
def test_a_value_that_does_not_fit_is_a_failure(cli: Cli, fake: FakeGateway, form: str) -> None:
    """The document says so, and what there was."""
    end = RunFinished(SESSION, "stop", structured={"name": 5})
    done = ask(cli, fake, run(end=end), form, "--schema", SCHEMA, "hello", structured=True)
    document = result(done.stdout)
    assert (done.returncode, document["error"]["code"]) == (1, StructuredOutputFailed.code)
    assert document["data"]["structured"] == {"name": 5}


def test_no_structured_output(cli: Cli, fake: FakeGateway) -> None:
    """A limit leaves none; standard output stays empty."""
    end = RunFinished(SESSION, "length")
    done = ask(cli, fake, run(*said("I think."), end=end), "--schema", SCHEMA, "hello", structured=True)
    assert (done.returncode, done.stdout) == (1, b"")

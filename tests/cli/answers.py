"""Runs as a gateway sends them, for tests of what `ccapi ask` makes of them: any events at all, cut anywhere."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolFinished,
    ToolStarted,
    Usage,
)
from ccapi.wire.responseitems import response_object
from ccapi.wire.responses import Encoder, sse
from tests.cli.support import DEADLINE, Cli, FakeAnswer, FakeGateway

SCHEMA_FORMAT = {"format": {"type": "json_schema", "name": "answer", "schema": {}}}
STARTED = RunStarted(FakeAnswer.SESSION, "claude-sonnet-5-5")
END = RunFinished(FakeAnswer.SESSION, "stop", Usage(10, 5, 300, 40), 0.25, 2, 1234, billing="api")


def said(text: str, message_id: str = "msg_1") -> list[RunEvent]:
    """A message that is nothing but text."""
    return [MessageStarted(message_id), TextDelta(message_id, text), MessageFinished(message_id)]


def called(command: str, output: str, message_id: str = "msg_1", *, is_error: bool = False) -> list[RunEvent]:
    """A message that calls a tool, with the tool's result."""
    call_id = f"toolu_{message_id}"
    return [
        MessageStarted(message_id),
        TextDelta(message_id, "I look."),
        ToolStarted(call_id, "Bash"),
        ToolCalled(call_id, "Bash", {"command": command}, message_id),
        MessageFinished(message_id),
        ToolFinished(call_id, output, is_error),
    ]


def run(*events: RunEvent, end: RunEvent = END) -> list[RunEvent]:
    return [STARTED, *events, end]


def stream(batches: Iterable[Sequence[RunEvent]], *, structured: bool = False) -> bytes:
    """The whole stream of a response whose run's events came in these batches."""
    given: dict[str, Any] = {"text": SCHEMA_FORMAT} if structured else {}
    encoder = Encoder(response_object(FakeAnswer.ID, "sonnet", **given), structured=structured)
    events = encoder.begin()
    for batch in batches:
        events += encoder.feed(batch)
    return sse(events).encode()


def ask(
    cli: Cli,
    fake: FakeGateway,
    events: Sequence[RunEvent],
    *args: str,
    environ: Mapping[str, str] | None = None,
    structured: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """`ccapi ask ARGS` to its end, with a gateway that answers with these events."""
    with cli.start("ask", "--port", str(fake.port), *args, environ=environ) as process:
        with fake.request() as connection:
            connection.sendall(FakeAnswer.HEAD + stream([events], structured=structured))
        stdout, stderr = process.communicate(timeout=DEADLINE)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

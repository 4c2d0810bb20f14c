"""Session files: as the real CLI writes them, and as damage and ill will leave them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent.launch import Launch, child_environment
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.run import Agent, RunRequest
from ccapi.agent.sessionfiles import SessionFiles
from ccapi.wire.events import RunFailed, RunFinished, ToolFinished
from tests.agent.pooling import no_process_in
from tests.gateway.harness import Model, claudes, kill, processes_in, scripted

ID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER = "fedcba98-7654-3210-fedc-ba9876543210"

SCENARIO = """
description = "An echo; a large output for who asks for one; silence for who wants to be interrupted."

[[turn]]
when.results = 0
when.prompt = "large"
[[turn.step]]
tool = "Bash"
input.command = "seq 1 20000"
input.description = "Count"

[[turn]]
when.results = 0
when.prompt = "both"
[[turn.step]]
tool = "Bash"
input.command = "sleep 0.3; echo one"
input.description = "Say one"
[[turn.step]]
tool = "Bash"
input.command = "echo two"
input.description = "Say two"

[[turn]]
when.prompt = "slow"
when.results = 0
[[turn.step]]
text = "I'll do two."
[[turn.step]]
tool = "Bash"
input.command = "echo one"
input.description = "Say one"
[[turn.step]]
tool = "Bash"
input.command = "touch @{cwd}/begun; sleep 60"
input.description = "Wait"

[[turn]]
when.prompt = "limit"
when.results = 0
[[turn.step]]
tool = "Bash"
input.command = "echo one"
input.description = "Say one"

[[turn]]
when.prompt = "refused"
[[turn.step]]
error = 529

[[turn]]
when.prompt = "interrupted"
[[turn.step]]
text = "This will not be said to its end."
[[turn.step]]
pause = 60

[[turn]]
[[turn.step]]
text = "You said: @{prompt}"
"""


# --- with the real CLI


@dataclass
class Claude:
    """The real CLI, one process a turn, and the scripted model that it talks to."""

    agent: Agent
    files: SessionFiles
    model: Model
    workspace: Path

    async def turn(self, prompt: Any, resume: Resume | None = None) -> tuple[str, str]:
        """The session and the checkpoint at which the answer ended."""
        events = await self.events(prompt, resume)
        assert isinstance(events[-1], RunFinished), events[-1]
        return events[-1].session_id, events[-1].checkpoint

    async def events(self, prompt: Any, resume: Resume | None = None) -> list[Any]:
        events: list[Any] = []
        async with self.agent.run(RunRequest(prompt, RunOptions(model="sonnet"), resume)) as run:
            while not run.ended:
                events += await run.next(5)
        return events

    def history(self) -> list[str]:
        """What the model was told last, without what the CLI adds on its own account."""
        return [text for message in self.model.conversation[-1]["messages"] for text in _texts(message)]

    def transcript(self, session_id: str) -> Path:
        [path] = self.files.config.glob(f"projects/*/{session_id}.jsonl")
        return path


def _texts(message: dict[str, Any]) -> Iterator[str]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        match block["type"]:
            case "text" if message["role"] != "system" and not block["text"].startswith("<system-reminder>"):
                yield block["text"].strip()
            case "tool_result":
                yield f"result: {block['content']}"


@pytest.fixture
async def claude_code(claude: Path, tmp_path: Path) -> AsyncIterator[Claude]:
    async with started(claude, tmp_path, tmp_path / "config") as running:
        yield running


@asynccontextmanager
async def started(claude: Path, directory: Path, config: Path) -> AsyncIterator[Claude]:
    scenario, workspace, scratch = directory / "scenario.toml", directory / "workspace", directory / "scratch"
    scenario.write_text(SCENARIO)
    workspace.mkdir()
    scratch.mkdir()
    async with scripted(str(scenario), speed=1.0) as model:
        environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "CLAUDE_CONFIG_DIR": str(config)}
        environment = child_environment(
            {**environ, "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_AUTH_TOKEN": "any"},
            max_retries=1,
            sandboxed_root=os.geteuid() == 0,
        )
        environment["CLAUDE_CODE_TMPDIR"] = str(scratch)
        agent = Agent(Launch(claude, workspace, environment, permission_mode="bypassPermissions"))
        try:
            yield Claude(agent, SessionFiles.of(environment), model, workspace)
        finally:
            await agent.close()
            await no_process_in(workspace)


async def test_a_session_is_where_it_is_looked_for(claude_code: Claude) -> None:
    """It can be resumed where its answer ended, and nowhere else."""
    session, first = await claude_code.turn("one")
    assert claude_code.files.exists(session)
    assert claude_code.files.whole(session, first)
    assert not claude_code.files.whole(session, str(uuid.uuid4()))
    assert not claude_code.files.whole(str(uuid.uuid4()), first)
    assert claude_code.files.size(session) > 1000


@pytest.mark.parametrize("damage", ["torn", "torn answer", "zeros", "no newline", "empty line"])
async def test_damage_at_the_end_does_not_break_a_resume(claude_code: Claude, damage: str) -> None:
    """The CLI was killed, or the disk full, while it wrote: it goes on behind what is left, and can do so again."""
    session, first = await claude_code.turn("one")
    _, second = await claude_code.turn("two", Resume(session, first))
    transcript = claude_code.transcript(session)
    content = transcript.read_bytes()
    lines = content.splitlines(keepends=True)
    answer = next(number for number, line in enumerate(lines) if f'"uuid":"{second}"'.encode() in line)
    transcript.write_bytes(
        {
            "torn": content + b'{"parentUuid":"' + second.encode(),
            "torn answer": b"".join(lines[:answer]) + lines[answer][: len(lines[answer]) // 2],
            "zeros": content + bytes(4096),
            "no newline": content.rstrip(b"\n"),
            "empty line": content + b"\n\n",
        }[damage]
    )
    said = ["one", "You said: one", "two", "You said: two", "three"]
    at = second
    if damage == "torn answer":
        assert not claude_code.files.whole(session, second)
        said, at = ["one", "You said: one", "three"], first
    assert claude_code.files.whole(session, at)
    _, third = await claude_code.turn("three", Resume(session, at))
    assert claude_code.history() == said
    assert claude_code.files.whole(session, third)
    _, fourth = await claude_code.turn("four", Resume(session, third))
    assert claude_code.history() == [*said, "You said: three", "four"]
    told = [_said(entry) for entry in claude_code.files.conversation(session, fourth)]
    assert told == [*said, "You said: three", "four", "You said: four"]


def _said(entry: dict[str, Any]) -> str:
    return "".join(_texts(entry["message"]))


async def test_a_hole_is_noticed_although_the_cli_does_not(claude_code: Claude) -> None:
    """It goes on from what is left without a word. Hence a session is looked at before it is resumed."""
    session, first = await claude_code.turn("one")
    _, second = await claude_code.turn("two", Resume(session, first))
    transcript = claude_code.transcript(session)
    lines = transcript.read_bytes().splitlines(keepends=True)
    transcript.write_bytes(b"".join(line for line in lines if b'"content":"two"' not in line or b'"uuid"' not in line))
    assert not claude_code.files.whole(session, second)
    assert claude_code.files.whole(session, first)
    await claude_code.turn("three", Resume(session, second))
    assert "two" not in claude_code.history()
    await claude_code.turn("four", Resume(session, first))
    assert claude_code.history() == ["one", "You said: one", "four"]


async def test_a_run_that_is_killed_leaves_a_session_that_goes_on(claude_code: Claude) -> None:
    """SIGKILL in mid-answer: the next turn follows the last whole answer, and the model never sees the half one."""
    session, first = await claude_code.turn("one")
    request = RunRequest("interrupted", RunOptions(model="sonnet"), Resume(session, first))
    async with claude_code.agent.run(request) as run:
        while "interrupted" not in json.dumps(claude_code.model.bodies[-1]["messages"][-1]):
            await run.next(0.05)
        kill(*processes_in(claude_code.workspace))
        events: list[Any] = []
        while not run.ended:
            events += await run.next(5)
    assert isinstance(events[-1], RunFailed)
    await claude_code.turn("two", Resume(session, first))
    assert claude_code.history() == ["one", "You said: one", "two"]


@pytest.mark.parametrize("how", ["interrupted", "terminated", "killed"])
async def test_where_a_run_ended_that_was_cut_off_it_can_be_resumed(claude_code: Claude, how: str) -> None:
    """In the middle of one of two tools, however it ended: the model learns what was said, done and not done."""
    session, first = await claude_code.turn("one")
    request = RunRequest("a slow one", RunOptions(model="sonnet"), Resume(session, first))
    events: list[Any] = []
    async with claude_code.agent.run(request) as run:
        while not ((claude_code.workspace / "begun").exists() and any(isinstance(e, ToolFinished) for e in events)):
            events += await run.next(0.05)
        if how == "killed":  # it writes what it has said a moment later, and a killed one never
            while b'"tool_result"' not in claude_code.transcript(session).read_bytes():
                await run.next(0.05)
        if how != "interrupted":  # leaving the block interrupts it
            [process] = claudes(claude_code.workspace)
            os.kill(process, signal.SIGKILL if how == "killed" else signal.SIGTERM)
            while not run.ended:
                await run.next(5)
    end = claude_code.files.end(session, first)
    assert end
    assert claude_code.files.whole(session, end)
    assert claude_code.files.end(session, end) is None
    await claude_code.turn("two", Resume(session, end))
    said = claude_code.history()
    assert said[:4] == ["one", "You said: one", "a slow one", "I'll do two."]
    assert said[-1] == "two"
    assert "result: one" in said
    assert sum(text.startswith("result: ") for text in said) == 2
    assert ("[Request interrupted by user for tool use]" in said) == (how == "interrupted")


async def test_where_a_run_reached_its_limit_it_can_be_resumed(claude_code: Claude) -> None:
    """That is where its own checkpoint is, too."""
    session, first = await claude_code.turn("one")
    request = RunRequest("the limit", RunOptions(model="sonnet", max_turns=1), Resume(session, first))
    async with claude_code.agent.run(request) as run:
        while not run.ended:
            events = await run.next(5)
    assert isinstance(events[-1], RunFinished)
    assert claude_code.files.end(session, first) == events[-1].checkpoint
    await claude_code.turn("two", Resume(session, events[-1].checkpoint))
    assert claude_code.history() == ["one", "You said: one", "the limit", "result: one", "two"]


async def test_an_error_of_the_api_is_no_answer(claude_code: Claude) -> None:
    """The CLI writes it down as the assistant's words."""
    session, first = await claude_code.turn("one")
    events = await claude_code.events("to be refused", Resume(session, first))
    assert isinstance(events[-1], RunFailed)
    assert "API Error" in claude_code.transcript(session).read_text()
    assert claude_code.files.end(session, first) is None
    assert claude_code.files.end(session, None), "something was said in it before"


async def test_only_what_lies_on_the_way_to_a_checkpoint_was_said(claude_code: Claude) -> None:
    """What lies on another branch is left out, and the results of tools called at once are all there."""
    session, first = await claude_code.turn("one")
    _, second = await claude_code.turn("do both", Resume(session, first))
    fork, forked = await claude_code.turn("forked", Resume(session, second, fork=True))
    assert claude_code.files.whole(session, second)
    _, other = await claude_code.turn("instead", Resume(session, first))
    both = ["one", "You said: one", "do both", "", "", "result: two", "result: one", "You said: do both"]

    def said(session_id: str, checkpoint: str) -> list[str]:
        return [_said(entry) for entry in claude_code.files.conversation(session_id, checkpoint)]

    assert said(session, second) == both
    assert said(session, other) == ["one", "You said: one", "instead", "You said: instead"]
    assert said(fork, forked) == [*both, "forked", "You said: forked"]
    assert all(claude_code.files.whole(fork, checkpoint) for checkpoint in (first, second, forked))


async def test_a_branch_that_was_left_cannot_be_resumed(claude_code: Claude) -> None:
    """The CLI does not find it any more; and so it is not tried."""
    session, first = await claude_code.turn("one")
    _, second = await claude_code.turn("two", Resume(session, first))
    _, other = await claude_code.turn("instead", Resume(session, first))
    assert not claude_code.files.whole(session, second)
    assert claude_code.files.whole(session, first)
    assert claude_code.files.whole(session, other)
    events = await claude_code.events("three", Resume(session, second))
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.code == "session_not_found"


async def test_a_large_output_is_read_from_the_file_that_the_cli_names(claude_code: Claude) -> None:
    """All of it, byte for byte, through the session that it belongs to and no other."""
    events = await claude_code.events("a large one")
    session = events[-1].session_id
    [result] = [event for event in events if isinstance(event, ToolFinished)]
    assert result.stored
    file = claude_code.files.open_result(session, result.stored)
    assert file is not None
    with file:
        assert file.read() == "".join(f"{number}\n" for number in range(1, 20001)).encode()
    other, _ = await claude_code.turn("one")
    assert claude_code.files.open_result(other, result.stored) is None


async def test_a_deleted_session_leaves_nothing_behind(claude_code: Claude) -> None:
    """No file that has its name, in or beside the config directory; another session is untouched."""
    image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    source = {"type": "base64", "media_type": "image/png", "data": image}
    prompt = [{"type": "text", "text": "a large one"}, {"type": "image", "source": source}]
    session, first = await claude_code.turn(prompt)
    other, at = await claude_code.turn("one")
    named = _named(claude_code, session)
    assert len(named) > 3
    assert claude_code.files.scratch is not None
    assert any(path.is_relative_to(claude_code.files.scratch) for path in named)
    assert claude_code.files.delete(session)
    assert _named(claude_code, session) == []
    assert not claude_code.files.exists(session)
    assert not claude_code.files.whole(session, first)
    assert claude_code.files.whole(other, at)
    assert claude_code.files.delete(session), "deleting what is gone is no failure"


def _named(claude_code: Claude, session: str) -> list[Path]:
    places = [claude_code.files.config, claude_code.workspace.parent / "scratch"]
    return [path for place in places for path in place.rglob("*") if session in path.name]


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small volume. Where nothing may be mounted, the test is skipped, but never in CI."""
    place = tmp_path / "volume"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False)
    if mount.returncode:
        reason = f"cannot mount a tmpfs here: {mount.stderr.decode().strip()}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_what_a_full_disk_lost_is_noticed(claude: Path, tmp_path: Path, volume: Path) -> None:
    """The CLI answers as if nothing had happened; the answers that were not written cannot be resumed."""
    async with started(claude, tmp_path, volume / "config") as claude_code:
        session, first = await claude_code.turn("one")
        ballast = fill(volume)
        _, second = await claude_code.turn("two", Resume(session, first))
        assert claude_code.history() == ["one", "You said: one", "two"]
        assert claude_code.files.whole(session, first)
        assert not claude_code.files.whole(session, second)
        lost, at = await claude_code.turn("lost")
        assert not claude_code.files.whole(lost, at)
        ballast.unlink()
        _, third = await claude_code.turn("three", Resume(session, first))
        assert claude_code.history() == ["one", "You said: one", "three"]
        assert claude_code.files.whole(session, third)


def fill(volume: Path) -> Path:
    """Take all that is left of a volume; delete the file to give it back."""
    ballast = volume / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return ballast


# --- without it


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    """A session with one stored output, and another session beside it."""
    for session in (ID, OTHER):
        results = tmp_path / "projects" / "-workspace" / session / "tool-results"
        results.mkdir(parents=True)
        (results / "b1.txt").write_text(f"output of {session}")
        write(tmp_path, session, {"uuid": "a", "parentUuid": None}, {"uuid": "b", "parentUuid": "a"})
    return SessionFiles(tmp_path)


def write(config: Path, session: str, *entries: Any) -> Path:
    transcript = config / "projects" / "-workspace" / f"{session}.jsonl"
    with transcript.open("ab") as file:
        for entry in entries:
            said = b"" if isinstance(entry, bytes) else json.dumps({"type": "assistant", **entry}).encode() + b"\n"
            file.write(said or entry)
    return transcript


@pytest.mark.parametrize(
    "name",
    ["", "*", "?" * 36, "../../secret", f"{ID}/../{OTHER}", f"{ID}\n", ID.upper(), ID[:-1], f"{ID}0", "\0", "é" * 36],
)
def test_a_name_that_is_no_id_names_nothing(files: SessionFiles, name: str) -> None:
    """No method makes a path of it."""
    assert not files.exists(name)
    assert not files.whole(name, "b")
    assert files.end(name, None) is None
    assert list(files.read(name)) == []
    assert files.conversation(name, "b") == []
    assert files.size(name) == 0
    assert files.open_result(name, f"{files.config}/projects/-workspace/{name}/tool-results/b1.txt") is None
    before = sorted(files.config.rglob("*"))
    assert files.delete(name)
    assert sorted(files.config.rglob("*")) == before


def test_lines_that_are_no_entries_are_left_out(files: SessionFiles) -> None:
    """Torn, zeros, not UTF-8, no object, nested without end: the rest is read."""
    noise = [b'{"uuid": "torn\n', bytes(100), b"\n\n", b"\xff\xfe\n", b"[1]\n", b"null\n", b"[" * 100_000 + b"\n"]
    write(files.config, ID, *noise, {"uuid": "c", "parentUuid": "b"}, b'{"uuid": "d", "parent')
    assert [entry["uuid"] for entry in files.read(ID)] == ["a", "b", "c"]
    assert files.whole(ID, "c")
    assert not files.whole(ID, "d")


def test_only_the_end_of_a_long_transcript_is_read(files: SessionFiles) -> None:
    """In whole lines."""
    transcript = write(files.config, ID, *({"uuid": f"n{number}", "parentUuid": "b"} for number in range(1000)))
    last = transcript.read_bytes().splitlines(keepends=True)[-3:]
    length = sum(map(len, last))
    for limit, count in ((length, 3), (length - 1, 2), (length + 1, 3), (0, 0)):
        assert len(list(files.read(ID, limit=limit))) == count
    assert len(list(files.read(ID))) == 1002


def said_by(who: str, uuid: str, parent: str | None, **message: Any) -> dict[str, Any]:
    return {"type": who, "uuid": uuid, "parentUuid": parent, "message": {"content": "said", **message}}


def test_a_session_ends_where_something_was_said_last(files: SessionFiles) -> None:
    """Behind a place, if the assistant said anything there; else it ends nowhere."""
    assert files.end(ID, "b") is None
    write(files.config, ID, said_by("user", "c", "b"))
    assert files.end(ID, "b") is None, "a question only"
    write(files.config, ID, {"uuid": "e", "parentUuid": "c", "type": "system"}, said_by("assistant", "d", "e"))
    write(files.config, ID, {**said_by("assistant", "s", None), "isSidechain": True}, b'{"uuid": "torn')
    assert (files.end(ID, "b"), files.end(ID, None), files.end(ID, "d")) == ("d", "d", None)
    assert files.end(ID, "unknown") is None
    write(files.config, OTHER, said_by("user", "c", "b"), said_by("assistant", "d", "c", model="<synthetic>"))
    assert files.end(OTHER, "b") is None


def test_a_session_with_a_hole_ends_nowhere(files: SessionFiles) -> None:
    """Behind it nothing can be resumed, and before it is where it was."""
    write(files.config, ID, said_by("user", "c", "b"), said_by("assistant", "e", "d"))
    assert files.end(ID, "b") is None
    assert files.end(ID, "c") is None


def test_a_session_that_was_summed_up_meanwhile_ends_behind_the_summary(files: SessionFiles) -> None:
    """What it was to go on from lies before that."""
    boundary = {"uuid": "boundary", "parentUuid": None, "logicalParentUuid": "c", "type": "system"}
    write(files.config, ID, said_by("user", "c", "b"), boundary, said_by("assistant", "d", "boundary"))
    assert files.end(ID, "b") == "d"
    assert files.whole(ID, "d")


@pytest.mark.parametrize("odd", [None, 1, [], {}, [[]], "text"])
def test_entries_of_any_shape_do_no_harm(files: SessionFiles, odd: Any) -> None:
    """The agent can write there as well as the CLI."""
    shapes = [
        {"uuid": odd}, {"parentUuid": odd}, {"type": odd}, {"message": odd}, {"isSidechain": odd},
        {"message": {"id": odd, "content": odd}}, {"message": {"content": [odd, {"type": odd, "id": odd}]}},
        {"message": {"content": [{"type": "tool_use", "id": odd}, {"type": "tool_result", "tool_use_id": odd}]}},
        {"uuid": "s", "parentUuid": None, "logicalParentUuid": odd},
    ]  # fmt: skip
    message = {"content": "said"}
    before = ({"uuid": f"{number}", "parentUuid": None, **shape} for number, shape in enumerate(shapes))
    write(files.config, ID, *before, {"uuid": "z", "parentUuid": "b", "message": message})
    assert files.whole(ID, "z")
    assert files.conversation(ID, "s") is not None
    assert files.end(ID, "b") == "z"
    assert files.end(ID, "s") is None
    assert [entry["uuid"] for entry in files.conversation(ID, "z")] == ["z"]


def test_entries_in_a_ring_are_not_whole(files: SessionFiles) -> None:
    """A file that somebody wrote by hand does not hang anybody."""
    write(files.config, ID, {"uuid": "x", "parentUuid": "y"}, {"uuid": "y", "parentUuid": "x"})
    assert not files.whole(ID, "x")
    assert files.conversation(ID, "x") == []
    assert files.end(ID, "x") is None
    assert files.end(ID, None) is None


def test_a_summary_stands_for_what_was_said_before_it(files: SessionFiles) -> None:
    """What it stands for was said, and can be shown, but nothing can go on from there."""
    message = {"id": "msg_1", "content": "said"}
    write(
        files.config,
        OTHER,
        {"uuid": "c", "parentUuid": "b", "message": message},
        {"uuid": "boundary", "parentUuid": None, "logicalParentUuid": "c", "type": "system"},
        {"uuid": "d", "parentUuid": "boundary", "message": message},
    )
    assert files.whole(OTHER, "d")
    assert not files.whole(OTHER, "c")
    assert [entry["uuid"] for entry in files.conversation(OTHER, "d")] == ["c", "d"]


def test_a_transcript_that_is_a_link_is_none(files: SessionFiles, tmp_path: Path) -> None:
    """Else the agent could show its user any file of the gateway's."""
    transcript = tmp_path / "projects" / "-workspace" / f"{ID}.jsonl"
    transcript.rename(tmp_path / "elsewhere.jsonl")
    transcript.symlink_to(tmp_path / "elsewhere.jsonl")
    assert not files.exists(ID)
    assert list(files.read(ID)) == []


def linked(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def linked_directory(path: Path, secret: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(secret.parent)


def linked_session(path: Path, secret: Path) -> None:
    path.parent.parent.rename(secret.parent / "moved")
    path.parent.parent.symlink_to(secret.parent / "moved")


def hard_linked(path: Path, secret: Path) -> None:
    path.unlink()
    path.hardlink_to(secret)


def fifo(path: Path, secret: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path, secret: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path, secret: Path) -> None:
    path.unlink()


def of_somebody_else(path: Path, secret: Path) -> None:
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    "trick", [linked, linked_directory, linked_session, hard_linked, fifo, directory, gone, of_somebody_else]
)
def test_a_result_is_a_plain_file_and_nothing_else(
    files: SessionFiles, tmp_path: Path, trick: Callable[[Path, Path], None]
) -> None:
    """The agent can put what it likes in the place of the file that the CLI named."""
    if trick is of_somebody_else and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    secret = tmp_path / "secrets" / "b1.txt"
    secret.parent.mkdir()
    secret.write_text("secret")
    path = tmp_path / "projects" / "-workspace" / ID / "tool-results" / "b1.txt"
    before = files.open_result(ID, str(path))
    assert before is not None
    before.close()
    trick(path, secret)
    assert files.open_result(ID, str(path)) is None


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "",
        ".",
        "{config}",
        "{config}/projects/-workspace/{id}.jsonl",
        "{config}/projects/-workspace/{other}/tool-results/b1.txt",
        "{config}/projects/-workspace/{id}/../{other}/tool-results/b1.txt",
        "{config}/projects/-workspace/{id}/../{id}.jsonl",
        "{config}/projects/-workspace/{id}",
        "{config}/../{config_name}/projects/-workspace/{id}/tool-results/b1.txt",
        "projects/-workspace/{id}/tool-results/b1.txt",
        "{config}/projects/-workspace/{id}/tool-results/b1.txt\0",
        "{config}/session-env/x/{id}/b1.txt",
    ],
)
def test_a_result_lies_in_its_sessions_own_directory(files: SessionFiles, path: str) -> None:
    """Whatever path was noted."""
    names = {"config": str(files.config), "config_name": files.config.name, "id": ID, "other": OTHER}
    assert files.open_result(ID, path.format(**names)) is None


def test_the_config_directory_itself_may_be_a_link(files: SessionFiles, tmp_path: Path) -> None:
    """Then the CLI names its files by either path."""
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    for base in (link, tmp_path):
        file = SessionFiles(link).open_result(ID, f"{base}/projects/-workspace/{ID}/tool-results/b1.txt")
        assert file is not None
        with file:
            assert file.read() == f"output of {ID}".encode()


def test_the_newer_transcript_counts(files: SessionFiles, tmp_path: Path) -> None:
    """There are two when the CLI went on in another directory."""
    (tmp_path / "projects" / "-elsewhere").mkdir()
    newer = tmp_path / "projects" / "-elsewhere" / f"{ID}.jsonl"
    newer.write_text(json.dumps({"type": "user", "uuid": "moved", "parentUuid": None}) + "\n")
    os.utime(tmp_path / "projects" / "-workspace" / f"{ID}.jsonl", (1, 1))
    assert files.whole(ID, "moved")
    assert not files.whole(ID, "b")
    assert files.delete(ID)
    assert not newer.exists()


def test_what_cannot_be_deleted_is_said(volume: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names it."""
    (volume / "projects" / "-workspace").mkdir(parents=True)
    write(volume, ID, {"uuid": "a"})
    subprocess.run(["mount", "-o", "remount,ro", volume], check=True)
    assert not SessionFiles(volume).delete(ID)
    assert f"{ID}.jsonl" in caplog.text


def test_the_config_directory_is_found_as_the_cli_finds_it() -> None:
    """`CLAUDE_CONFIG_DIR`, or else `.claude` in the home directory."""
    assert SessionFiles.of({"CLAUDE_CONFIG_DIR": "/config", "HOME": "/home/x"}).config == Path("/config")
    assert SessionFiles.of({"HOME": "/home/x"}).config == Path("/home/x/.claude")

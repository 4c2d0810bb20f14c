"""Chat Completions with the real Claude Code: tools really run, only the model's words come from a script."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ccapi.rehearsal import scenario as scenarios
from ccapi.rehearsal.conversation import Conversation
from ccapi.rehearsal.turns import ToolCall
from ccapi.rehearsal.usage import total_input
from tests.gateway.conftest import Start
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone, await_that, body, gateway, leave_unanswered

FIBONACCI = "Write a fibonacci function and run it"
OUTPUT = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"


def scenario(directory: Path, text: str) -> str:
    """A scenario file of the test's own."""
    file = directory / "scenario.toml"
    file.write_text(text, "utf-8")
    return str(file)


def head(tool: str, argument: str) -> str:
    return f"**{tool}** `{argument}`"


def fenced(text: str) -> str:
    return f"```\n{text}\n```"


def input_tokens(request: dict[str, Any]) -> int:
    """What the scripted model counts for a request."""
    return total_input(Conversation(request))


# --- the main job


def test_fibonacci_is_complete_and_the_same_both_ways(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Plan, code, its real output, confirmation, exactly two separators; the deltas add up to the whole answer."""
    gateway = start("fibonacci")
    with caplog.at_level(logging.INFO):
        streamed = gateway.stream(FIBONACCI, stream_options={"include_usage": True})
        await_that(lambda: "Aggregated 3 assistant messages; stop" in caplog.text, "the log line")
    (gateway.workspace / "fibonacci.py").unlink()  # so that both runs find the same workspace
    whole = gateway.chat(FIBONACCI)

    content = whole["choices"][0]["message"]["content"]
    assert streamed.content == content
    assert streamed.usage == whole["usage"]
    assert (streamed.finish_reason, streamed.done) == ("stop", True)

    plan, run, confirmation = content.split(SEPARATOR)
    assert plan.startswith(
        "I'll do this in three steps: write the function to a file, run it, and check what it prints."
    )
    file = gateway.workspace / "fibonacci.py"
    code = file.read_text()
    assert f"\n\n**Write** `{file}`\n\n```python\n{code}```\n\n```\nFile created successfully at: {file}" in plan
    call = head("Bash", "python3 fibonacci.py")
    assert run == f"The function is in `fibonacci.py`. Now I'll run it.\n\n{call}\n\n{fenced(OUTPUT)}"
    assert confirmation.startswith("It works.")
    assert fenced(OUTPUT) in confirmation
    assert confirmation.endswith("starting from 0 and 1.")
    assert content.count("---") == 2

    # The usage is what the model charged for all requests of the run, cached input included.
    assert gateway.model
    requests, usage = gateway.model.conversation, whole["usage"]
    assert len(requests) == 6
    assert usage["prompt_tokens"] == sum(map(input_tokens, requests[3:]))
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]
    assert usage["completion_tokens"] > 50


def test_tokens_arrive_one_by_one_over_time(start: Start) -> None:
    """The scripted model speaks a word each 50 ms; the client sees them come, not all at once."""
    answer = start("chat", speed=5.0).stream(" ".join(f"word{n}" for n in range(100)))
    assert answer.content == "You said: " + " ".join(f"word{n}" for n in range(100))
    assert len(answer.deltas) > 30
    assert answer.times[-1] - answer.times[0] > 2.5
    halfway = sum(at < (answer.times[0] + answer.times[-1]) / 2 for at in answer.times)
    assert len(answer.times) / 5 < halfway < len(answer.times) * 4 / 5


def test_60_steps_are_complete(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Every text, every call, every result, in order; 60 separators, and the log counts 61 messages."""
    gateway = start("long")
    with caplog.at_level(logging.INFO):
        answer = gateway.stream("go")
        await_that(lambda: "Aggregated 61 assistant messages; stop" in caplog.text, "the log line")
    segments = answer.content.split(SEPARATOR)
    for n, segment in enumerate(segments[:-1], 1):
        call = head("Bash", f"echo 'output of step {n}'")
        assert segment == f"Step {n} of 60.\n\n{call}\n\n{fenced(f'output of step {n}')}"
    assert segments[60:] == ["All 60 steps are done; the last one printed: output of step 60"]
    assert answer.finish_reason == "stop"


# --- large and odd output


def test_20000_characters_of_output_are_whole(start: Start) -> None:
    """Not one is missing."""
    printed = "\n".join(f"{n:04} " + "x" * 94 for n in range(1, 201)) + "."
    assert len(printed) == 20_000
    assert f"\n\n{fenced(printed)}{SEPARATOR}That was the whole output." in start("big-output").content("go")


def test_5_mb_of_output_are_shown_as_far_as_they_were_kept(start: Start) -> None:
    """The 30,000 characters that the CLI kept, and a line with the full size; never its own words for that."""
    script = scenarios.load("big-output")
    command = next(step.input["command"] for step in script.turns[0].steps if isinstance(step, ToolCall))
    printed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert len(printed) > 4_900_000
    content = start("big-output").content("print 5 MB")
    told = re.search(
        r"\n```\n\n\*The full output has ([\d,]+) bytes; its first ([\d,]+) characters are shown\.\*", content
    )
    assert told
    size, kept = (int(number.replace(",", "")) for number in told.groups())
    assert 29_900 <= kept <= 30_000
    assert size in {len(printed), len(printed) - 1}  # with or without the last line end
    assert f"\n\n```\n{printed[:kept]}\n```" in content
    assert "persisted-output" not in content
    assert content.endswith(f"{SEPARATOR}That was the whole output.")


def test_a_large_result_of_an_mcp_tool_is_whole(start: Start, tmp_path: Path) -> None:
    """Another tool, another limit of the CLI: 60,000 characters of a real MCP server."""
    config = tmp_path / "gateway" / "scratch" / "claude-config"
    config.mkdir(parents=True)
    server = {"type": "stdio", "command": sys.executable, "args": [str(Path(__file__).parent / "mcp_server.py")]}
    (config / ".claude.json").write_text(json.dumps({"mcpServers": {"repeater": server}}))
    turns = """
        [[turn]]
        when.results = 0
        [[turn.step]]
        tool = "mcp__repeater__repeat"
        input.count = 60000
        [[turn]]
        [[turn.step]]
        text = "Done."
    """
    content = start(scenario(tmp_path, turns)).content("go")
    assert f"\n{'y' * 60_000}\nthe end\n" in content
    assert "persisted-output" not in content


def test_separators_of_unicode_survive(start: Start) -> None:
    """U+2028, U+2029 and U+0085 in text, tool input and tool output, streamed as ASCII."""
    answer = start("unicode").stream("go")
    said, told = answer.content.split(SEPARATOR)
    assert said.startswith(
        "Text: U+2028 [\u2028], U+2029 [\u2029], U+0085 [\u0085], 世界, 日本語, 🎉, 👩\u200d👩\u200d👧"
    )
    printed = "Output: U+2028 [\u2028], U+2029 [\u2029], U+0085 [\u0085], 世界, 🎉"
    assert fenced(printed) in said
    assert told == f"The tool printed: {printed}"


def test_thinking_is_reasoning_and_not_content(start: Start) -> None:
    """`reasoning_content`, as it is thought; the content holds only what was said."""
    streamed = start("thinking", speed=1.0).stream("why?")
    assert streamed.reasoning == "The question is: why?\nI should think about it before I answer."
    assert streamed.content == "I have thought about it. You asked: why?"
    assert streamed.order.count("reasoning") > 1
    assert streamed.order.index("content") > streamed.order.index("reasoning")


# --- tools


def test_a_failing_tool_is_shown_and_the_run_goes_on(start: Start) -> None:
    """The error as the model saw it, then the other way."""
    first, second, last = start("failing-tool").content("go").split(SEPARATOR)
    assert first.startswith("I'll try the first way.\n\n**Bash**")
    assert first.endswith("Error:\n\n```\nExit code 3\nthe first way is closed\n```")
    assert second.endswith(fenced("the second way is open"))
    assert last == "The second attempt worked: the second way is open"


def test_parallel_tools_have_their_own_results(start: Start) -> None:
    """The first of two calls is the slower one; each is followed by its own result."""
    first, last = start("parallel").content("go").split(SEPARATOR)
    slow, fast = head("Bash", "sleep 2; echo slow"), head("Bash", "echo fast")
    assert first == f"I'll run both at once.\n\n{slow}\n\n{fenced('slow')}\n\n{fast}\n\n{fenced('fast')}"
    assert last.startswith("Both have answered: ")


def test_text_after_a_tool_that_was_already_run_is_not_glued_to_it(start: Start, tmp_path: Path) -> None:
    """The CLI starts a tool while the model still writes the same message."""
    turns = """
        [[turn]]
        when.results = 0
        [[turn.step]]
        text = "First."
        [[turn.step]]
        tool = "Bash"
        input.command = "echo one"
        [[turn.step]]
        pause = 1.5
        [[turn.step]]
        text = "Still the first message."
        [[turn.step]]
        tool = "Bash"
        input.command = "echo two"
        [[turn]]
        [[turn.step]]
        text = "The end."
    """
    first, last = start(scenario(tmp_path, turns), speed=1.0).content("go").split(SEPARATOR)
    one, two = f"{head('Bash', 'echo one')}\n\n{fenced('one')}", f"{head('Bash', 'echo two')}\n\n{fenced('two')}"
    assert re.fullmatch(rf"First\.\s*Still the first message\.\n\n{re.escape(one)}\n\n{re.escape(two)}", first)
    assert last == "The end."


def test_subagents_are_part_of_the_answer_and_of_the_usage(start: Start, tmp_path: Path) -> None:
    """Two at once: each one's steps under its own call; the usage counts theirs too."""
    turns = """
        [[turn]]
        when.prompt = '^sub task'
        when.results = 0
        [[turn.step]]
        text = "The subagent speaks."
        [[turn.step]]
        tool = "Bash"
        input.command = "echo from-@{prompt}"
        [[turn]]
        when.prompt = '^sub task'
        [[turn.step]]
        text = "It printed: @{last_result}"
        [[turn]]
        when.results = 0
        [[turn.step]]
        tool = "Task"
        input = {description = "A", prompt = "sub task A", subagent_type = "general-purpose", run_in_background = false}
        [[turn.step]]
        tool = "Task"
        input = {description = "B", prompt = "sub task B", subagent_type = "general-purpose", run_in_background = false}
        [[turn]]
        [[turn.step]]
        text = "Both are back."
    """
    running = start(scenario(tmp_path, turns))
    document = running.chat("go")
    delegation, last = document["choices"][0]["message"]["content"].split(SEPARATOR)
    assert last == "Both are back."
    of_a, of_b = delegation.split("**Task** `B`")
    for name, text in (("A", of_a), ("B", of_b)):
        steps = ["↳ The subagent speaks.", f"↳ {head('Bash', f'echo from-sub task {name}')}"]
        steps += [fenced(f"from-sub task {name}"), f"↳ It printed: from-sub task {name}", "[Subagent hand-back]"]
        places = [text.index(step) for step in steps]
        assert places == sorted(places)
    assert running.model
    assert document["usage"]["prompt_tokens"] == sum(map(input_tokens, running.model.conversation))


def test_what_happens_in_the_background_is_part_of_the_answer(start: Start, tmp_path: Path) -> None:
    """The CLI ends its turn, waits for the task, and takes another turn: no end at the first `result`."""
    turns = """
        [[turn]]
        when.prompt = '^start$'
        when.results = 0
        [[turn.step]]
        text = "Starting it."
        [[turn.step]]
        tool = "Bash"
        input.command = "until [ -e over ]; do sleep 0.1; done; echo over"
        input.run_in_background = true
        [[turn]]
        when.attempt = 1
        when.results = 1
        [[turn.step]]
        text = "It runs."
        [[turn]]
        [[turn.step]]
        text = "It is over."
    """
    running = start(scenario(tmp_path, turns), heartbeat=0.5)
    with running.streaming("start") as answers:
        next(answer for answer in answers if "It runs." in answer.content)
        (running.workspace / "over").touch()  # not before: the CLI would say so in the same turn
        *_, answer = answers
    segments = answer.content.split(SEPARATOR)
    assert segments[0].startswith("Starting it.")
    assert segments[-2:] == ["It runs.", "It is over."]
    assert running.model
    assert len(running.model.conversation) == 3


def test_what_a_permission_mode_does_not_allow_is_denied(start: Start) -> None:
    """Nobody can be asked: the tool does not run, the transcript shows the refusal, and the run comes to its end."""
    running = start("fibonacci", permission_mode=None)
    content = running.content(FIBONACCI)
    assert not (running.workspace / "fibonacci.py").exists()
    assert "Error:" in content
    assert OUTPUT not in content


# --- what the model is told


ECHO = """
    [[turn]]
    when.prompt = "^SHORT"
    [[turn.step]]
    text = "ok"
    [[turn]]
    [[turn.step]]
    text = "@{prompt}"
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose model repeats the prompt; what it was told is recorded."""
    directory = tmp_path_factory.mktemp("echo")
    with gateway(directory, scenario(directory, ECHO)) as running:
        yield running


def told(running: Gateway) -> list[dict[str, Any]]:
    """The requests since the last look."""
    assert running.model
    requests = list(running.model.conversation)
    running.model.bodies.clear()
    return requests


def test_prompts_are_delivered_literally(echo: Gateway) -> None:
    """Neither a slash command, nor a file to attach, nor a shell line, nor a memory: the model sees the text."""
    (echo.workspace / "notes.txt").write_text("CONTENT-OF-THE-FILE")
    prompts = ["/compact", "@notes.txt and @/etc/passwd", "!ls -l", "#remember this", " /help"]
    told(echo)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(echo.content, prompts))
    assert [answer.strip() for answer in answers] == [prompt.strip() for prompt in prompts]
    sent = [json.dumps(request["messages"]) for request in told(echo)]
    assert len(sent) == len(prompts)
    for prompt in prompts:
        assert any(json.dumps(prompt) in messages for messages in sent)
    assert not [messages for messages in sent if "root:" in messages or "CONTENT-OF-THE-FILE" in messages]


def test_system_messages_reach_the_model_as_system_prompt(echo: Gateway) -> None:
    """And are no part of the question."""
    told(echo)
    assert (
        echo.content([{"role": "system", "content": "SYSTEM-MARKER"}, {"role": "user", "content": "hello"}]) == "hello"
    )
    (request,) = told(echo)
    assert "SYSTEM-MARKER" in json.dumps(request["system"])
    assert "SYSTEM-MARKER" not in json.dumps(request["messages"])


def test_the_conversation_so_far_reaches_the_model(echo: Gateway) -> None:
    """A client sends it whole each time; the model sees all of it before the question."""
    told(echo)
    messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada, @/etc/passwd is no file to me."},
        {"role": "user", "content": "What is my name?"},
    ]
    echo.content(messages)
    (request,) = told(echo)
    sent = json.dumps(request["messages"])
    places = [sent.index(message["content"]) for message in messages]
    assert places == sorted(places)
    assert "root:" not in sent


def test_a_prompt_of_300_kb_arrives_whole(echo: Gateway) -> None:
    """More than an argument may hold; stdin has no limit."""
    told(echo)
    prompt = "SHORT " + " ".join(str(n) for n in range(50_000))
    assert len(prompt) > 280_000
    assert echo.content(prompt) == "ok"
    (request,) = told(echo)
    assert prompt in json.dumps(request["messages"])


def test_tools_see_no_secret_of_the_gateway(start: Start, tmp_path: Path) -> None:
    """Who asks for the environment, the tool's and that of its parent, gets neither keys nor the gateway's own."""
    turns = """
        [[turn]]
        when.results = 0
        [[turn.step]]
        tool = "Bash"
        input.command = "env; tr '\\\\0' '\\\\n' < /proc/$PPID/environ; ls /proc/$PPID/fd"
        [[turn]]
        [[turn.step]]
        text = "Done."
    """
    secrets = {"CCAPI_TOKEN": "S3CRET-1", "AWS_SECRET_ACCESS_KEY": "S3CRET-2", "GITHUB_TOKEN": "S3CRET-3"}
    running = start(scenario(tmp_path, turns), environ=secrets)
    content = running.content("go")
    assert "PATH=" in content
    assert "S3CRET" not in content
    assert "ANTHROPIC_API_KEY=" not in content
    assert not re.search(r"(?m)=rehearsal$", content)  # the key that the scripted model is called with


# --- more than one


def test_two_runs_at_once_do_not_mix(echo: Gateway) -> None:
    """Each client gets the answer to its own question."""
    questions = ["the first question " * 20, "the second question " * 20]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(echo.stream, questions))
    assert [answer.content.strip() for answer in answers] == [question.strip() for question in questions]


# --- leaving


def command_lines() -> Iterator[str]:
    """Those of every process of the machine."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield entry.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_claude_and_its_tools(start: Start, stream: bool) -> None:
    """Neither `claude` nor the shell it started is left 5 s later. While they run, nothing of the prompt is on the
    command line of any process of the machine.
    """
    running = start("slow")
    messages = [{"role": "system", "content": "SYSTEM-MARKER"}, {"role": "user", "content": "PROMPT-MARKER"}]

    def tool_runs() -> bool:
        return any("sleep 1" in argv for argv in running.processes().values())

    if stream:
        with running.streaming(messages) as answers:
            next(answer for answer in answers if answer.content)
            await_that(tool_runs, "the tool's process")
            assert not [argv for argv in command_lines() if "-MARKER" in argv]
    else:
        leave_unanswered(running, body(messages), when=tool_runs)
    assert_gone(running.workspace, within=5)


def test_the_silence_of_a_tool_is_filled_with_heartbeats_and_bounded(start: Start) -> None:
    """A command that says nothing: comments keep the connection alive until the timeout ends the run."""
    running = start("slow", heartbeat=0.2, run_timeout=8.0)  # in which the CLI must have started
    began = time.monotonic()
    answer = running.stream("go")
    assert answer.content.startswith("This command takes a minute.\n\n**Bash**")
    assert answer.comments.count("keep-alive") >= 5
    assert answer.error is not None
    assert answer.error["code"] == "run_timeout"
    assert time.monotonic() - began < 50
    assert_gone(running.workspace, within=5)

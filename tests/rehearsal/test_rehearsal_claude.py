"""Every shipped scenario, played to the real Claude Code with real tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FIBONACCI = "Write a Python function to calculate fibonacci numbers, then run it to show the first ten"
COUNT = "Count how many Python files are in the current directory and report the number"
READ = "List the files in this directory, pick one, and read its first ten lines"
NUMBERS = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"


@pytest.mark.parametrize("scenario", ["fibonacci", "count-files", "default"])
async def test_fibonacci_is_written_run_and_confirmed(run_claude: Any, workspace: Path, scenario: str) -> None:
    """The file is in the workspace, the tool really ran it, and the last text quotes what it printed."""
    run = await run_claude(scenario, FIBONACCI)
    assert run.exit_code == 0, run.stderr
    assert (workspace / "fibonacci.py").is_file()
    assert [call["name"] for call in run.tool_calls] == ["Write", "Bash"]
    assert run.tool_results[-1] == NUMBERS
    assert NUMBERS in run.texts[-1]
    assert run.streamed == "".join(run.texts)
    assert [request.results for request in run.requests] == [0, 1, 2]


@pytest.mark.parametrize(("files", "count"), [((), 0), (("a.py", "b.py", "c.txt"), 2)])
async def test_python_files_are_counted(run_claude: Any, workspace: Path, files: tuple[str, ...], count: int) -> None:
    """The number in the answer is that of the workspace, also when it is empty."""
    for name in files:
        (workspace / name).write_text("x\n", encoding="utf-8")
    run = await run_claude("count-files", COUNT)
    assert run.exit_code == 0, run.stderr
    assert len(run.tool_calls) == 2
    assert str(count) in run.texts[-1]
    assert all(name in run.texts[-1] for name in files if name.endswith(".py"))


async def test_ten_lines_of_a_file_are_read(run_claude: Any, workspace: Path) -> None:
    """The file is picked from the real listing, and its tenth line is shown, but not its eleventh."""
    (workspace / "a file.md").write_text("".join(f"line number {n}.\n" for n in range(1, 30)), encoding="utf-8")
    run = await run_claude("count-files", READ)
    assert [call["name"] for call in run.tool_calls] == ["Bash", "Read"]
    assert run.tool_calls[1]["input"]["file_path"] == str(workspace / "a file.md")
    assert "line number 10." in run.texts[-1]
    assert "line number 11." not in run.texts[-1]


async def test_there_may_be_no_file_to_read(run_claude: Any) -> None:
    """An empty workspace is reported, not guessed away."""
    run = await run_claude("count-files", READ)
    assert run.exit_code == 0, run.stderr
    assert "no file to read" in run.texts[-1]


@pytest.mark.parametrize("scenario", ["chat", "default"])
async def test_other_prompts_are_echoed(run_claude: Any, scenario: str) -> None:
    """The echo is exact, streamed in several pieces, and needs one request."""
    run = await run_claude(scenario, "Grüß dich, 世界 \u2028🎉")
    assert run.texts == ["You said: Grüß dich, 世界 \u2028🎉"]
    assert run.streamed == run.texts[0]
    assert len(run.requests) == 1


async def test_an_old_model_id_works(run_claude: Any) -> None:
    """The guide's model gets another form of request (no messages of role `system`), and the same answer."""
    run = await run_claude("fibonacci", FIBONACCI, "--model=claude-3-5-haiku-20241022")
    assert {request.model for request in run.requests} == {"claude-3-5-haiku-20241022"}
    assert NUMBERS in run.texts[-1]


async def test_sixty_steps(run_claude: Any) -> None:
    """Sixty tool calls really run, one request each, and the last text comes after them."""
    run = await run_claude("long", "go")
    assert run.tool_results == [f"output of step {n}" for n in range(1, 61)]
    assert len(run.texts) == 61
    assert "All 60 steps are done" in run.texts[-1]


async def test_a_tool_prints_exactly_20000_characters(run_claude: Any) -> None:
    """The result arrives whole."""
    run = await run_claude("big-output", "print a lot")
    assert len(run.tool_results[0]) == 20_000
    assert run.tool_results[0].endswith("x.")


async def test_a_tool_prints_five_megabytes(run_claude: Any) -> None:
    """Claude Code puts such an output into a file and says how large it is."""
    run = await run_claude("big-output", "please print 5 MB")
    (outcome,) = [event["tool_use_result"] for event in run.events if "tool_use_result" in event]
    assert run.tool_results[0].startswith("<persisted-output>")
    assert outcome["persistedOutputSize"] == 50_000 * 101
    assert len(outcome["stdout"]) == 30_000


async def test_parallel_calls_run_at_once(run_claude: Any) -> None:
    """Both calls are in one message; the fast one's result does not wait for the slow one's."""
    run = await run_claude("parallel", "go")
    assert len(run.tool_calls) == 2
    assert run.tool_results == ["fast", "slow"]
    assert [request.results for request in run.requests] == [0, 2]


async def test_a_failing_tool_is_reacted_to(run_claude: Any) -> None:
    """The exit code of the real command is in the model's answer."""
    run = await run_claude("failing-tool", "go")
    assert run.tool_results == ["Exit code 3\nthe first way is closed", "the second way is open"]
    assert "exit code 3" in run.texts[1]


async def test_thinking_comes_before_the_text(run_claude: Any) -> None:
    """Claude Code accepts the thinking block and its signature."""
    run = await run_claude("thinking", "why?")
    blocks = [event["message"]["content"][0] for event in run.events if event["type"] == "assistant"]
    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert "why?" in blocks[0]["thinking"]
    assert run.exit_code == 0


async def test_a_program_is_written_read_changed_and_run(run_claude: Any, workspace: Path) -> None:
    """The edit is really made: what runs afterwards prints the new greeting."""
    run = await run_claude("edit", "go")
    assert [call["name"] for call in run.tool_calls] == ["Write", "Read", "Edit", "Bash"]
    assert 'return f"Hello, {name}!"' in (workspace / "greet.py").read_text(encoding="utf-8")
    assert run.tool_results[-1] == "Hello, Ada!\nHello, 世界!"
    assert run.texts[-1] == "It works:\n\n```\nHello, Ada!\nHello, 世界!\n```"


async def test_subagents_do_what_they_were_told(run_claude: Any, workspace: Path) -> None:
    """Each runs a command of its own and reports what that printed; the main answer comes after both."""
    for name in ("a", "b", "c"):
        (workspace / name).touch()
    (workspace / "d").mkdir()
    run = await run_claude("subagent", "go")
    assert [call["name"] for call in run.tool_calls] == ["Agent", "Agent", "Bash", "Bash"]
    reports = ["".join(part["text"] for part in result) for result in run.tool_results if isinstance(result, list)]
    assert any("There are 3 files." in report for report in reports)
    assert any("There are 1 directories." in report for report in reports)
    assert run.texts[-1] == "Both subagents are back."


async def test_a_long_answer_is_one_text_of_about_100000_characters(run_claude: Any) -> None:
    """All of it arrives, streamed, chapter by chapter."""
    run = await run_claude("long-answer", "go")
    answer = "".join(run.texts)
    assert run.streamed == answer
    assert 95_000 < len(answer) < 105_000
    assert [f"## Chapter {n}:" in answer for n in range(62)] == [False, *[True] * 60, False]
    assert answer.endswith("The end of the long answer.")


async def test_control_sequences_come_through(run_claude: Any) -> None:
    """Nobody on the way defuses them: that is for the one who shows them."""
    run = await run_claude("hostile", "go")
    assert "\x1b]0;owned\x07" in run.texts[0]
    assert "\x1b[31m" in run.tool_calls[1]["input"]["content"]
    assert "\x1b[2J" in run.tool_results[0]
    assert run.texts[-1] == "The terminal is **unharmed**."


async def test_the_showcase_is_one_answer(run_claude: Any) -> None:
    """With each of the forms that its description names."""
    run = await run_claude("markdown", "go")
    for form in ("# Fibonacci", "- [x] ", "|:---|", "```python", "](https://", "中文", "🎉"):
        assert form in run.texts[0]


async def test_unicode_survives_both_ways(run_claude: Any) -> None:
    """Separators, emoji and CJK come through text, tool input and tool output unchanged."""
    run = await run_claude("unicode", "go")
    assert "[\u2028]" in run.texts[0]
    assert "世界" in run.tool_calls[0]["input"]["description"]
    assert run.tool_results == ["Output: U+2028 [\u2028], U+2029 [\u2029], U+0085 [\u0085], 世界, 🎉"]
    assert run.tool_results[0] in run.texts[-1]


@pytest.mark.parametrize(
    ("scenario", "status", "retries"),
    [("unauthenticated", 401, [401, 401]), ("rate-limited", 429, [429, 429])],
)
async def test_lasting_errors_end_the_run(run_claude: Any, scenario: str, status: int, retries: list[int]) -> None:
    """Claude Code recognises the error's type, retries as often as allowed and ends with its status."""
    run = await run_claude(scenario, "hello")
    assert run.retries == retries
    assert run.result["is_error"] is True
    assert run.result["api_error_status"] == status
    assert run.exit_code == 1


async def test_a_rate_limit_says_how_long_to_wait(run_claude: Any) -> None:
    """The retry-after header is what Claude Code waits for: a second, not its own half."""
    run = await run_claude("rate-limited", "hello", env={"CLAUDE_CODE_MAX_RETRIES": "1"})
    (delay,) = [event["retry_delay_ms"] for event in run.events if event.get("subtype") == "api_retry"]
    assert 1000 <= delay < 2000


async def test_an_overload_passes(run_claude: Any) -> None:
    """Two refusals, then the answer of the third attempt."""
    run = await run_claude("overloaded", "hello")
    assert run.retries == [529, 529]
    assert run.texts == ["Answered at attempt 3: the overload has passed."]


async def test_a_retired_model_is_reported(run_claude: Any) -> None:
    """Claude Code tries once more without streaming and then names the model."""
    run = await run_claude("retired-model", "hello", "--model=claude-3-5-haiku-20241022")
    assert run.result["api_error_status"] == 404
    assert [request.stream for request in run.requests] == [True, False]


@pytest.mark.parametrize("alias", ["haiku", "sonnet", "opus"])
async def test_current_models_are_not_retired(run_claude: Any, alias: str) -> None:
    """What Claude Code makes of a family's alias gets an answer."""
    run = await run_claude("retired-model", "hello", f"--model={alias}")
    assert run.texts == ["You said: hello"]
    assert run.requests[0].model.startswith(f"claude-{alias}-")


async def test_a_broken_connection_is_retried(run_claude: Any) -> None:
    """What arrived before the cut was streamed, is in no message, and the second attempt answers."""
    run = await run_claude("flaky", "hello")
    assert run.retries == [None]
    assert run.streamed.startswith("This answer breaks off")
    assert run.texts == ["Answered whole at attempt 2."]


async def test_a_complete_text_survives_a_cut(run_claude: Any) -> None:
    """Claude Code keeps the complete block and asks for the rest; its request to resume is no new prompt."""
    run = await run_claude("resumed", "hello")
    assert run.texts[0] == "The first text came whole."
    assert run.texts[-1] == "The rest came at attempt 2."
    assert [request.prompt for request in run.requests] == ["hello", "hello"]


async def test_a_complete_tool_call_survives_a_cut(run_claude: Any) -> None:
    """Claude Code runs the tool, and a synthetic message about the lost connection stands in the middle of the run."""
    run = await run_claude("cut-after-tool", "hello")
    synthetic = [e["message"] for e in run.events if e.get("message", {}).get("model") == "<synthetic>"]
    assert run.tool_results == ["the tool ran"]
    assert len(synthetic) == 1
    assert run.result["is_error"] is False
    assert run.texts[-1] == "The answer went on after the cut: the tool ran"


async def test_a_connection_that_always_breaks_ends_the_run(run_claude: Any) -> None:
    """After its retries, the last one without streaming, Claude Code gives up."""
    run = await run_claude("broken", "hello", env={"CLAUDE_CODE_MAX_RETRIES": "1"})
    assert run.result["is_error"] is True
    assert [request.stream for request in run.requests] == [True, True, False]


async def test_an_unmatched_prompt_is_shown(run_claude: Any) -> None:
    """The author of a scenario sees in Claude Code's own error which prompt had no turn."""
    run = await run_claude("fibonacci", "make coffee")
    assert run.result["api_error_status"] == 400
    assert "scenario 'fibonacci' has no turn for prompt 'make coffee'" in run.result["result"]


async def test_side_requests_do_not_disturb_the_scenario(run_claude: Any) -> None:
    """With all its traffic on, Claude Code also asks for a title; the attempts of the conversation are not affected."""
    extra = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": None, "CLAUDE_CODE_ENTRYPOINT": "sdk-py"}
    run = await run_claude("overloaded", FIBONACCI, env=extra)
    sides = [request for request in run.requests if request.side]
    assert [request.tools for request in sides] == [0]
    assert run.texts == ["Answered at attempt 3: the overload has passed."]


async def test_without_tools_the_scenario_answers_too(run_claude: Any) -> None:
    """A conversation without tools is not mistaken for a side request."""
    run = await run_claude("chat", "hello", "--tools=")
    assert run.texts == ["You said: hello"]
    assert [request.side for request in run.requests] == [False]


async def test_the_prompt_reaches_the_model_as_it_was_written(run_claude: Any) -> None:
    """Quotes, braces and placeholder signs in a prompt are text."""
    prompt = json.dumps({"a": ["@{cwd}", "@@{x}", "${HOME}", "</b>"]})
    run = await run_claude("chat", prompt)
    assert run.texts == [f"You said: {prompt}"]

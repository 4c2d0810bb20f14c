"""Tool results: whole where the CLI kept them whole, honest where it did not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.agent.toolresult import tool_finished
from ccapi.wire.events import ToolFinished
from tests.agent import streamjson as sj

KEPT = "".join(f"{n:05} {'x' * 93}\n" for n in range(1, 301))[:30_000]


def finished(content: Any, extra: Any = None, *, is_error: bool = False) -> ToolFinished:
    block = {"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": is_error}
    return tool_finished(block, extra, None)


def persisted(shown: str = "4.8MB", preview: str = "the first\nlines") -> str:
    """What the CLI tells the model in place of an output that it moved into a file."""
    return (
        f"<persisted-output>\nOutput too large ({shown}). Full output saved to: /config/tool-results/x.txt\n\n"
        f"Preview (first 2KB):\n{preview}\n...\n</persisted-output>"
    )


@given(st.text())
def test_a_text_is_passed_on_untouched(text: str) -> None:
    """Spaces, line ends and line separators at the edges are part of the output."""
    assert finished(text) in (ToolFinished("t1", text), finished(text))
    if not text.startswith("<persisted-output>"):
        assert finished(text) == ToolFinished("t1", text)


def test_the_kept_part_of_a_large_output_and_its_full_size() -> None:
    """30,000 characters are shown and the size in bytes is told; the CLI's words for the model are not."""
    extra = {"stdout": KEPT, "stderr": "", "persistedOutputPath": "/x.txt", "persistedOutputSize": 5_000_000}
    assert finished(persisted(), extra) == ToolFinished("t1", KEPT, full_size=5_000_000, stored="/x.txt")


def test_the_recorded_large_output() -> None:
    """The same with what the real CLI printed for 5 MB."""
    lines = [json.loads(line) for line in sj.recorded("big-output-5mb")]
    line = next(line for line in lines if line["type"] == "user")
    block, extra = line["message"]["content"][0], line["tool_use_result"]
    assert block["content"].startswith("<persisted-output>\nOutput too large (4.8MB).")
    event = tool_finished(block, extra, None)
    assert event.output == extra["stdout"]
    assert event.full_size == extra["persistedOutputSize"] == 5_050_000


def test_what_went_to_stderr_is_kept_as_well() -> None:
    """A tool that only wrote to stderr."""
    extra = {"stdout": "", "stderr": "e" * 30_000, "persistedOutputPath": "/x.txt", "persistedOutputSize": 50_000}
    assert finished(persisted("48.8KB"), extra).output == "e" * 30_000


@pytest.mark.parametrize("extra", [None, "Error: something", [], {}, {"stdout": None}, {"stdout": 5}])
def test_without_the_kept_part_the_preview_is_shown(extra: Any) -> None:
    """Details of another shape (an MCP tool, an error): what the model saw of the output, and the size as stated."""
    event = finished(persisted(), extra)
    assert event.output == "the first\nlines"
    assert event.full_size == int(4.8 * 1024 * 1024)


def test_a_large_result_of_an_mcp_tool_is_whole() -> None:
    """The CLI moves it into a file, too, but the details hold all of its content blocks: nothing is cut."""
    blocks = [{"type": "text", "text": "y" * 60_000}, {"type": "text", "text": "end"}]
    assert finished(persisted("58.6KB", '[\n  {\n    "type": "text"'), blocks) == ToolFinished(
        "t1", "y" * 60_000 + "\nend"
    )


@pytest.mark.parametrize(
    ("stated", "size"), [("48.8KB", 49_971), ("512B", 512), ("1.5GB", 1_610_612_736), ("2 MB", 2_097_152)]
)
def test_the_stated_size_is_read_in_every_unit(stated: str, size: int) -> None:
    """The CLI's units are powers of 1024."""
    assert finished(persisted(stated)).full_size == size


@pytest.mark.parametrize(
    "text", ["<persisted-output>\nnot really", "<persisted-output>", "<persisted-output> and\nmore"]
)
def test_an_output_that_only_looks_persisted_is_an_output(text: str) -> None:
    """A tool may print that tag itself: its output is shown as it is, and no size is claimed."""
    details = {"stdout": text, "stderr": "", "interrupted": False}
    assert finished(text, details) == ToolFinished("t1", text)
    assert finished(text) == ToolFinished("t1", text)


def test_parts_become_lines_and_what_is_no_text_is_named() -> None:
    """A list of parts: texts whole, an image by its media type, anything else by its type."""
    content = [
        {"type": "text", "text": "first\n"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "text", "text": "last"},
        {"type": "search_result", "source": "https://example.org"},
        {},
    ]
    assert finished(content).output == "first\n\n[image, image/png]\nlast\n[search_result]\n[unknown]"


@pytest.mark.parametrize("content", [None, "", [], 5, {"type": "text"}])
def test_a_result_without_text_is_empty(content: Any) -> None:
    """Nothing is invented for a tool that said nothing, and no shape raises."""
    assert finished(content).output == ""


def test_what_the_cli_tells_the_model_of_a_background_agent_is_no_output() -> None:
    """Ids and warnings that it says are never to be shown."""
    told = "Async agent launched successfully. (This tool result is internal metadata)\nagentId: a7cd488fd0cacaf5d"
    assert finished([{"type": "text", "text": told}]).output == "(runs in the background)"


def test_an_error_stays_an_error() -> None:
    """`is_error` is carried, for small outputs and large ones."""
    assert finished("Exit code 3", is_error=True).is_error
    assert finished(persisted(), {"stdout": KEPT, "persistedOutputSize": 1}, is_error=True).is_error

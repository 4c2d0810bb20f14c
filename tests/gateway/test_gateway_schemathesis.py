"""schemathesis over `/openapi.json`: whatever is sent to a route, its answer is one that is described.

A stand-in for the CLI answers, so that hundreds of requests are runs. The generation is deterministic: the same
document gives the same requests.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccapi.gateway.operations import OPERATIONS
from tests.agent import streamjson as sj
from tests.gateway.conftest import Start

CONFIG = Path(__file__).parent / "schemathesis.toml"
DEADLINE = 400  # seconds; it takes about 20
SESSION = "6f1c1e0e-8f0a-4a53-9d6f-2f6a0c3f1d11"


def answers() -> Iterator[dict[str, Any]]:
    """A run with a bit of everything, which is kept as a session and has an output for whoever wants JSON."""
    lines = [
        sj.init(SESSION),
        *sj.streamed("msg_1", sj.thinking("I think"), sj.text("I look."), sj.tool_use("toolu_1", command="ls")),
        sj.tool_result("toolu_1", "a b c"),
        *sj.streamed("msg_2", sj.text("There is a, b and c.")),
        sj.result(session_id=SESSION, structured_output={"files": 3}),
    ]
    for number, line in enumerate(lines):
        yield {**line, "uuid": f"00000000-0000-4000-8000-{number:012}"}


CLAUDE = """#!/bin/sh
case "$1" in
  --version) echo '9.9.9 (Claude Code)'; exit ;;
  auth) echo '{"loggedIn": true}'; exit ;;
esac
read -r initialize
read -r question
cat "${0%/*}/answer.jsonl"
cat > /dev/null
"""


def stand_in(directory: Path) -> Path:
    """A CLI that says the same to everybody, and starts in no time: there are hundreds of runs."""
    directory.mkdir()
    (directory / "answer.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers()), "utf-8")
    (directory / "claude").write_text(CLAUDE, "utf-8")
    (directory / "claude").chmod(0o700)
    return directory / "claude"


@pytest.mark.timeout(DEADLINE + 30)
def test_nothing_is_answered_but_what_is_described(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No 5xx; statuses, content types, bodies and events as in the document; and what is wrong is refused."""
    gateway = start(claude=str(stand_in(tmp_path / "bin")), model_map={"gpt-4o": "sonnet"})
    program = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [str(program), f"--config-file={CONFIG}", "run", f"{gateway.url}/openapi.json", "--no-color"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    count = len(OPERATIONS) - 1  # it leaves out the document that it was given
    assert f"{count} selected / {count} total" in done.stdout
    assert re.search(rf"Tested: +{count}$", done.stdout, re.MULTILINE)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

"""The rules of the design that import-linter cannot see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ccapi"


def uses(name: str) -> Iterator[str]:
    """The files in which the dotted (or plain) name is used in code."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        if any(ast.unparse(node) == name for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)):
            yield str(file.relative_to(PACKAGE))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        # output.py: the conventions of terminals (NO_COLOR, TERM, CI) are no settings of ours
        # oauth/worker.py: a child process gets ours, whole
        ("os.environ", {"settings/environment.py", "gateway/settings.py", "cli/output.py", "oauth/worker.py"}),
        ("os.getenv", set()),
        ("print", set()),
        ("sys.stdout", {"cli/output.py", "cli/answer/choose.py", "cli/main.py"}),
        ("docker.from_env", {"stack/engine.py"}),
        ("subprocess.Popen", {"stack/compose.py", "commands/demo.py", "commands/updates.py", "cli/browser.py"}),
        (
            "subprocess.run",
            {
                "stack/compose.py",
                "stack/exec.py",
                "portowner.py",
                "oauth/daemon.py",
                "oauth/service.py",
                "commands/completion.py",
                "commands/updates.py",
                "commands/gh.py",
                "cli/editor.py",
                "doctor/program.py",
            },
        ),
    ],
)
def test_a_name_is_used_only_where_it_belongs(name: str, allowed: set[str]) -> None:
    """The environment, the terminal and other programs are each touched in one place."""
    assert set(uses(name)) <= allowed


def test_nothing_heavy_is_imported_by_the_command_line_itself() -> None:
    """`ccapi --help` must not pay for Docker, HTTP or servers."""
    import subprocess
    import sys

    heavy = ["docker", "httpx", "aiohttp", "questionary", "rich", "pydantic", "openai", "claude_agent_sdk"]
    code = f"import sys, ccapi.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_proxys_server_is_light() -> None:
    """It starts when a browser comes: within half a second, and without what the command line needs."""
    import subprocess
    import sys

    heavy = [
        "docker",
        "httpx",
        "rich",
        "typer",
        "questionary",
        "pydantic",
        "platformdirs",
        "ccapi.gateway",
        "ccapi.stack",
    ]
    code = f"import sys, ccapi.oauth.server; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_gateways_client_is_light() -> None:
    """It is on the way to an answer's first word; what reads the answer comes once the question is out."""
    import subprocess
    import sys

    heavy = ["asyncio", "ccapi.wire", "email", "h11", "http.client", "httpx", "logging", "rich", "ssl", "typer"]
    code = f"import sys, ccapi.client.gateway; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

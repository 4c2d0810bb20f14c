"""docs/production.md and docs/security.md: what they ask for exists, what they name is what the program says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccapi import errors
from ccapi.wire import keys
from tests.cli.readme import Page, bash, below
from tests.cli.support import DEADLINE, ROOT
from tests.docs.readers import Reader, reader

PAGE, SECURITY = Page("docs/production.md"), Page("docs/security.md")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody with a gateway, which has answered once."""
    with reader(tmp_path_factory.mktemp("production")) as person:
        person.running.chat("Hello")
        yield person


def test_a_key(person: Reader) -> None:
    """The key is limited, and needed from then on; `ccapi up` is tried in test_docs_docker.py."""
    create, required, _ = [command for block in below(PAGE, "A key") for command in block.commands]
    environ = person.environ
    assert bash(create, environ, person.running.workspace).stdout.startswith("ccapi-")
    assert "30 a minute" in bash("ccapi key list", environ, person.running.workspace).stdout
    assert bash(required, environ, person.running.workspace).returncode == 0
    assert person.settings().value("api.require_key")


def test_monitoring(person: Reader) -> None:
    """Each line answers; doctor's has the form that a timer can read, and finds that there is no Docker here."""
    (block,) = below(PAGE, "Monitoring")
    *asked, doctor = block.commands
    health, ready, metrics = (
        bash(person.here(command), {**person.environ, "KEY": "any"}, person.running.workspace).stdout
        for command in asked
    )
    assert json.loads(health)["status"] == "healthy"
    assert {check["name"] for check in json.loads(ready)["checks"]} > {"claude", "workspace", "data", "slots"}
    assert "ccapi_runs_total" in metrics
    found = bash(f"{doctor} --offline", person.environ, person.running.workspace)
    assert found.returncode == 1
    assert not json.loads(found.stdout)["data"]["ok"]


def test_the_checks_of_readiness(person: Reader) -> None:
    """The page names those that can fail; all of them are in the answer, or take a sign-in."""
    (named,) = re.findall(r"check that\sfailed \(([^)]+)\)", PAGE.prose)
    source = (ROOT / "ccapi" / "gateway" / "readiness.py").read_text("utf-8")
    failing = set(re.findall(r'Check\(\s*"(\w+)", ok=False', source))
    assert set(re.findall(r"`(\w+)`", named)) == failing


def test_the_metrics_of_the_alarms(person: Reader) -> None:
    """Every name and label in an expression is one of the gateway's."""
    text = httpx.get(f"{person.running.url}/metrics", trust_env=False, timeout=DEADLINE).text
    known = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    families = {family.name for family in text_string_to_metric_families(text)}
    expressions = " ".join(row[0] for row in PAGE.table("Monitoring"))
    used = set(re.findall(r"\bccapi_\w+", expressions))
    assert used
    assert {name for name in used if name not in known and name.removesuffix("_total") not in families} == set()
    codes = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
    assert set(re.findall(r'outcome="(\w+)"', expressions)) <= codes


def test_the_lines_of_the_log() -> None:
    """Each is one that the gateway writes as a warning or an error; `…` stands for what it names."""
    written = [template for file in (ROOT / "ccapi" / "gateway").glob("*.py") for template in templates(file)]
    written += [template for file in (ROOT / "ccapi" / "agent").glob("*.py") for template in templates(file)]
    for row in PAGE.table("The log"):
        line = row[0].strip("`")
        form = re.compile(".+".join(re.escape(part) for part in line.split("…")) + ".*")
        assert any(form.fullmatch(template) for template in written), line


def templates(file: Path) -> Iterator[str]:
    """What a module logs as a warning or an error, with a word in the place of each value."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"warning", "error", "exception"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield re.sub(r"%[sdg]", "X", str(node.args[0].value))


def test_going_back(person: Reader) -> None:
    """A release can be named; what `ccapi up` makes of it is tried in tests/stack, pipx in test_docs_setup.py."""
    line = PAGE.begins("ccapi config set stack.claude_version")[0]
    assert bash(line, person.environ, person.running.workspace).returncode == 0
    assert person.settings().value("stack.claude_version") == line.split()[-1]


def test_limits_that_the_pages_name() -> None:
    """Sizes and times are those of the settings and of the compose file."""
    compose = (ROOT / "templates" / "compose" / "docker-compose.yml").read_text("utf-8")
    assert "`gateway.max_body` (32 MiB)" in PAGE.prose
    assert "`gateway.heartbeat` (10 s)" in PAGE.prose
    assert "pids_limit: 2048" in compose
    assert "restart: unless-stopped" in compose
    for words in ("4 GiB", "2048"):
        assert words in PAGE.prose
        assert words in SECURITY.prose


def test_what_is_said_of_keys() -> None:
    """256 random bits, of which only the hash is kept."""
    assert "Keys are 256 random bits" in SECURITY.prose
    made = {keys.new_key() for _ in range(20)}
    assert len(made) == 20
    assert {len(key.removeprefix(keys.PREFIX)) for key in made} == {43}  # base64 of 32 bytes


def test_the_container_that_the_page_describes() -> None:
    """Each row of the table is in the compose file."""
    compose = (ROOT / "templates" / "compose" / "docker-compose.yml").read_text("utf-8")
    for line in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "mem_limit: 4g", "max-size: 10m"):
        assert line in compose
    assert "docker.sock" not in compose
    assert "${CCAPI_GATEWAY_HOST:-127.0.0.1}" in compose


@pytest.mark.parametrize(
    "risk",
    [
        "The agent can read Claude's sign-in and the MCP logins",
        "The network is open outwards",
        "Prompt injection is not solved",
        "The gateway and the agent are one user",
    ],
)
def test_residual_risks_are_said(risk: str) -> None:
    """Nobody learns of them too late."""
    assert f"**{risk}" in SECURITY.prose.partition("## What is left")[2].partition("## What was not tried")[0]

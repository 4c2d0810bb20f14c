"""`ccapi doctor --deep`: a stack of its own, a real question, a real login; and answers that are cut."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from ccapi.doctor import deep
from tests.cli.support import clean_environ, command
from tests.gateway.harness import await_that
from tests.stack.support import docker

PLAN = "I'll do this in three steps: ...\n\n**Write** `fibonacci.py`\n"
RUN = "Now I'll run it.\n\n**Bash** `python3 fibonacci.py`\n\n```\n[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n```"
END = "It works. ...\n\n```\n[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n```"
LOOKS = (deep.plan, deep.tool_result, deep.steps, deep.final_text)


@pytest.mark.parametrize(
    ("segments", "wrong"),
    [
        ([PLAN, RUN, END], set()),
        ([PLAN], {"tool_result", "steps", "final_text"}),
        ([PLAN + RUN + END], {"steps"}),
        ([RUN, END], {"plan", "steps"}),
        ([PLAN, RUN], {"steps", "final_text"}),
        ([PLAN, "Now I'll run it.\n\n**Bash** `python3 fibonacci.py`", END], {"tool_result"}),
        ([PLAN, RUN, "It works."], {"final_text"}),
        ([""], {"plan", "tool_result", "steps", "final_text"}),
    ],
    ids=["whole", "first step only", "glued", "no plan", "no end", "no result", "an end that knows nothing", "empty"],
)
def test_what_is_missing_is_named(segments: list[str], wrong: set[str]) -> None:
    """As other gateways cut answers; each cut is seen by the checks that it concerns, with the end of the answer."""
    answer = "\n\n---\n\n".join(segments)
    findings = {look.__name__: look(answer) for look in LOOKS}
    assert {name for name, finding in findings.items() if finding.status == "fail"} == wrong
    assert all(finding.detail == answer[-500:] for finding in findings.values() if finding.status == "fail")


def everything() -> list[str]:
    """What Docker has of stacks that doctor made."""
    label = "--filter=label=ccapi.stack"
    listed = [docker("ps", "--all", label, "--format={{.Names}}"), docker("volume", "ls", "--quiet", label)]
    listed.append(docker("network", "ls", label, "--format={{.Name}}"))
    return [name for name in "\n".join(listed).split() if "-doctor-" in name]


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_whole_way(docker_engine: None, tmp_path: Path) -> None:
    """Each step is well, and nothing is left: no container, no volume, no file, no proxy."""
    environ = clean_environ(tmp_path)
    deep_checks = command("doctor", "deep", "--json")
    done = subprocess.run(
        deep_checks, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {check["id"]: check["status"] for check in json.loads(done.stdout)["data"]["checks"]}
    assert set(found) == {check.id for check in deep.CHECKS}
    assert set(found.values()) == {"ok"}
    assert everything() == []
    assert "secret_word" in done.stdout


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_interrupted(docker_engine: None, tmp_path: Path) -> None:
    """Ctrl-C while the container is there: it is taken away again, and the exit code says so."""
    environ = clean_environ(tmp_path)
    process = subprocess.Popen(
        command("doctor", "deep"),
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        await_that(lambda: everything() or process.poll() is not None, "something of its stack", within=400)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert everything() == []

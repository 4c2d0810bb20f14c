"""What is left when `docker compose` is stopped while it replaces the container, in each of its steps.

It makes the new container under `<12 digits of the old one's id>_<name>`, stops and removes the old one, gives the new
one the name, and starts it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import pytest

from tests.cli.support import DEADLINE
from tests.gateway.harness import await_that
from tests.stack.project import Project, project
from tests.stack.support import Said, compose_processes, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

GATEWAY = "[c]capi gateway"  # not pgrep itself
Step = Literal["made", "stopped", "removed", "started by hand"]
STEPS: tuple[Step, ...] = ("made", "stopped", "removed", "started by hand")


@pytest.fixture(scope="module")
def stack(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("leftovers"), "test-leftovers") as made:
        yield made


@pytest.fixture
def running(stack: Project) -> Project:
    """Healthy, with the default rehearsal scenario."""
    stack.up()
    return stack


def interrupted(stack: Project, step: Step) -> str:
    """The name of the container that compose has left after this step; the last: somebody then let compose start it."""
    old = inspect(stack.name)
    name = f"{old['Id'][:12]}_{stack.name}"
    labels = [f"--label={key}={value}" for key, value in old["Config"]["Labels"].items()]
    port = f"--publish=127.0.0.1:{stack.port}:8000"
    docker("create", f"--name={name}", "--init", *labels, port, "--entrypoint=sleep", old["Config"]["Image"], "600")
    if step == "stopped":
        docker("stop", stack.name)
    elif step != "made":
        docker("rm", "--force", stack.name)
    if step == "started by hand":
        docker("start", name)
    return name


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("option", [[], ["--recreate"]])
def test_up_makes_it_whole(running: Project, step: Step, option: list[str]) -> None:
    """One container is there in the end, of the right name and healthy; what went is said, and the volumes stay."""
    running.inside("echo kept >$CLAUDE_CONFIG_DIR/mark")
    left = interrupted(running, step)
    done = running.up(*option)
    assert f"Removing {left}, which an interrupted replacement of the container has left\n" in done.stderr
    assert running.things()["containers"] == [running.name]
    assert running.status()["state"] == "healthy"
    assert running.inside("cat $CLAUDE_CONFIG_DIR/mark") == "kept"
    assert "Removing" not in running.up().stderr


def test_what_runs_as_wanted_goes_on(running: Project) -> None:
    """Beside a container that is all right, only what is left goes."""
    there = inspect(running.name)["Id"]
    interrupted(running, "made")
    assert "Already running and healthy" in running.up().stderr
    assert running.things()["containers"] == [running.name]
    assert inspect(running.name)["Id"] == there


def test_a_container_of_others_stays(running: Project) -> None:
    """Both the label and compose's kind of name make it one of ours."""
    ours, others = f"--label=ccapi.stack={running.name}", f"--label=ccapi.stack={running.name}-other"
    there = {
        f"0123456789ab_{running.name}": others,
        f"0123456789ab_{running.name}-other": ours,
        f"a0123456789ab_{running.name}": ours,
        f"my_{running.name}": ours,
    }
    try:
        for name, label in there.items():
            docker("create", f"--name={name}", label, running.image())
        running.up("--recreate")
        assert set(there) < set(docker("ps", "--all", "--format={{.Names}}").split())
    finally:
        docker("rm", "--force", *there)


@pytest.mark.parametrize("step", STEPS)
def test_down_leaves_nothing(running: Project, step: Step) -> None:
    """It goes with the container, or in its place."""
    interrupted(running, step)
    assert json.loads(running.cli("down", "--json").stdout)["data"]["removed"] is True
    assert (running.things()["containers"], running.things()["networks"]) == ([], [])


@pytest.mark.parametrize(("step", "state"), [("made", "healthy"), ("removed", "absent")])
def test_it_is_not_taken_for_the_container(running: Project, step: Step, state: str) -> None:
    """`status` tells of the one with the right name; `doctor` of what is left, and can remove it."""
    left = interrupted(running, step)
    assert running.status()["state"] == state
    found = orphans(running)
    assert found["status"] == "warn"
    assert f"container {left}" in found["summary"]
    assert running.cli("doctor", "stack.orphans", "--fix", "--yes").returncode == 0
    assert orphans(running)["status"] == "ok"
    assert left not in running.things()["containers"]


def orphans(stack: Project) -> dict[str, Any]:
    """What doctor says of what is left."""
    document = json.loads(stack.cli("doctor", "stack.orphans", "--json").stdout)["data"]
    (found,) = [check for check in document["checks"] if check["id"] == "stack.orphans"]
    return dict(found)


# --- killed


@contextmanager
def replacing(stack: Project) -> Iterator[None]:
    """`ccapi up`, which is killed at the end of the block: compose has made the new container, and stops the old one.

    The old one does not end before it is told to go on.
    """
    signal_gateway(stack, "STOP")
    with stack.start("up", "--rehearsal", "--recreate") as process:
        await_that(lambda: len(stack.things()["containers"]) == 2 and is_told_to_end(stack), "compose", DEADLINE)
        yield
        process.kill()
        process.wait(DEADLINE)


def is_told_to_end(stack: Project) -> bool:
    """Whether SIGTERM waits for the gateway."""
    pending = stack.inside(f"sed -n 's/^ShdPnd:\\s*//p' /proc/$(pgrep -nf '{GATEWAY}')/status")
    return bool(int(pending, 16) >> (signal.SIGTERM - 1) & 1)


def signal_gateway(stack: Project, name: str) -> None:
    stack.inside(f"pkill -{name} -f '{GATEWAY}'")


def test_a_compose_that_survives_is_waited_for(running: Project) -> None:
    """Two at the same container would be in each other's way."""
    with replacing(running):
        pass
    assert compose_processes(running.name)
    with running.start("up", "--rehearsal") as process:
        said = Said(process)
        said.await_line("Waiting for another ccapi to finish")
        signal_gateway(running, "CONT")
        assert process.wait(DEADLINE * 3) == 0, said.rest()
    assert running.things()["containers"] == [running.name]
    assert running.status()["state"] == "healthy"


def test_killed_with_compose(running: Project) -> None:
    """The engine does what it was asked to do last, and no more: the old container ends, the new one is left."""
    with replacing(running):
        for pid in compose_processes(running.name):
            with suppress(ProcessLookupError):  # the plugin may end with the program that it is a part of
                os.kill(pid, signal.SIGKILL)
    signal_gateway(running, "CONT")
    await_that(lambda: inspect(running.name)["State"]["Status"] == "exited", "the end of the old one", DEADLINE)
    assert len(running.things()["containers"]) == 2
    assert "which an interrupted replacement of the container has left" in running.up().stderr
    assert running.things()["containers"] == [running.name]
    assert running.status()["state"] == "healthy"

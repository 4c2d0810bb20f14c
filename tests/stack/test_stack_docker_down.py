"""`ccapi down` on a real engine: what goes, what stays, what is waited for, and what is in its way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.cli.support import DEADLINE
from tests.gateway.harness import await_that
from tests.stack.project import Project, project
from tests.stack.secondengine import Frozen
from tests.stack.support import Said, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("down"), "test-down") as made:
        yield made


@pytest.fixture
def running(stack: Project) -> Project:
    """Healthy, with the default rehearsal scenario."""
    stack.up()
    return stack


def down(stack: Project, *args: str) -> dict[str, Any]:
    """What `ccapi down --json` tells; it must succeed."""
    done = stack.cli("down", "--json", *args)
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)["data"]
    return data


@contextmanager
def question(stack: Project, prompt: str) -> Iterator[list[bytes]]:
    """A streamed question that has begun to be answered; the list holds what came, all of it after the block."""
    came: list[bytes] = []
    begun = threading.Event()

    def ask() -> None:
        body = {"model": "sonnet", "stream": True, "messages": [{"role": "user", "content": prompt}]}
        url = f"http://127.0.0.1:{stack.port}/v1/chat/completions"
        with (
            suppress(httpx.HTTPError),  # it may be cut off
            httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as answer,
        ):
            for chunk in answer.iter_bytes():
                came.append(chunk)
                if b"content" in chunk:
                    begun.set()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert begun.wait(60), "no answer began"
        yield came
    finally:
        thread.join(60)


@contextmanager
def stranger(stack: Project) -> Iterator[str]:
    """A container that somebody else has added to the compose project, on its network."""
    name = "ccapi-test-stranger"
    labels = f"--label=com.docker.compose.project={stack.name}"
    network = f"--network={stack.name}_default"
    docker("run", "--detach", "--init", f"--name={name}", labels, network, "--entrypoint=sleep", stack.image(), "600")
    try:
        yield name
    finally:
        docker("rm", "--force", name, check=False)


def test_the_container_and_its_network_go(running: Project) -> None:
    """The volumes stay, and are named; once more, it is a note and no failure."""
    data = down(running)
    assert (data["removed"], data["removed_volumes"], data["removed_images"]) == (True, [], [])
    assert [volume["role"] for volume in data["kept"]] == ["claude-config", "workspace"]
    assert data["oauth_proxy_stopped"] is True
    assert running.things() == {
        "containers": [],
        "networks": [],
        "volumes": [running.config_volume, running.workspace_volume],
    }
    again = running.cli("down")
    assert again.returncode == 0
    assert again.stderr.startswith("Already stopped")


def test_the_losses_are_named(running: Project) -> None:
    """With nobody to ask it is exit 3, and the sign-ins are among what would be lost; --no-input asks nobody."""
    done = running.cli("down", "--volumes")
    assert done.returncode == 3
    assert "the sign-ins of Claude and of MCP servers" in done.stderr
    assert "--volumes --yes" in done.stderr
    with running.terminal("down", "--volumes", "--no-input") as asked:
        asked.read_all()
    assert asked.process.returncode == 3
    assert running.things()["containers"] == [running.name]


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", "healthy"), (b"y\n", "absent")])
def test_the_question(running: Project, answer: bytes, left: str) -> None:
    """On a terminal it comes after what would be lost; no is no, and exit 1."""
    with running.terminal("down", "--volumes") as terminal:
        terminal.read_until("Remove them?")
        terminal.type(answer)
        text = terminal.read_all()
    assert "the sign-ins of Claude and of MCP servers" in text.partition("Remove them?")[0]
    assert terminal.process.returncode == (0 if left == "absent" else 1)
    status = running.status()
    assert status["state"] == left
    assert bool(status["volumes"]) == (left != "absent")


def test_images_go_with_rmi(running: Project) -> None:
    """What `up` built, and nothing that has another name, or that another stack uses."""
    docker("tag", "debian:trixie-slim", "ccapi-test-base:1")  # so that the image is this stack's alone
    try:
        running.up(environ={"CCAPI_STACK_BASE_IMAGE": "ccapi-test-base:1"})
        image = docker("inspect", "--format={{.Config.Image}}", running.name)
        docker("tag", image, "ccapi-test-kept:1")
        assert down(running)["removed_images"] == []
        assert image not in down(running, "--rmi")["removed_images"], "somebody gave it a name of their own"
        docker("rmi", "ccapi-test-kept:1")
        assert image in down(running, "--rmi")["removed_images"]
        assert docker("images", "--quiet", image) == ""
    finally:
        docker("rmi", "ccapi-test-kept:1", check=False)
        docker("rmi", "ccapi-test-base:1")


def test_an_image_that_came_out_the_same_as_anothers(running: Project) -> None:
    """It has two names then: the one by which somebody has a container stays, whichever comes first."""
    theirs, *ours = [f"claude-code-api:{letter * 12}" for letter in "5af"]
    for name in (theirs, *ours):
        docker("tag", running.image(), name)
    docker("create", "--name=ccapi-test-user", theirs)
    try:
        removed = down(running, "--rmi")["removed_images"]
        assert set(ours) <= set(removed)
        assert theirs not in removed
        assert docker("images", "--quiet", theirs) != ""
    finally:
        docker("rm", "--force", "ccapi-test-user")
        docker("rmi", theirs, *ours, check=False)


def test_what_others_added_stays_until_it_is_asked_for(running: Project) -> None:
    """Their container is named, with the way out, and the network that it is on stays with it."""
    with stranger(running) as name:
        done = running.cli("down")
        assert done.returncode == 0, done.stderr
        assert f"Left alone, as others added them: {name}\n" in done.stderr
        assert f"ccapi down --project {running.project} --remove-orphans" in done.stderr
        assert docker("inspect", "--format", "{{.State.Status}}", name) == "running"
        assert running.things()["networks"] == [f"{running.name}_default"]
        assert down(running, "--remove-orphans")["removed_orphans"] == [name]
        assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
        assert running.things()["networks"] == []


def test_a_running_answer_is_warned_of(running: Project) -> None:
    """The warning comes before the end, and says how to let it end first; the session by hand is named, too."""
    running.up("--rehearsal=slow")
    docker("exec", "--detach", running.name, "bash", "-c", "sleep 600")
    with question(running, "silent") as came:
        done = running.cli("down", "--timeout", "2")
    assert done.returncode == 0
    assert "warning: 1 answer is being written and 1 session is open (bash)" in done.stderr
    assert "--drain SECONDS" in done.stderr
    assert b"[DONE]" not in b"".join(came)


def test_draining_waits_for_the_end_of_answers(running: Project) -> None:
    """An answer is complete before the container is stopped, and nothing was cut off."""
    running.up("--rehearsal=slow")
    with question(running, "a minute") as came, running.start("down", "--drain", "120") as process:
        said = Said(process)
        said.await_line("Waiting for answers")
        # The command of the scenario takes a minute: it ends sooner when what it waits for does.
        sooner = "pkill -f 'for [s]econd' && echo ended"
        await_that(lambda: docker("exec", running.name, "sh", "-c", sooner, check=False) == "ended", "the command")
        assert process.wait(DEADLINE * 3) == 0, said.rest()
    assert "All answers are complete" in said.rest()
    assert "warning" not in said.rest()
    assert b"[DONE]" in b"".join(came)


def test_draining_ends_in_time(running: Project) -> None:
    """When the time is over the answer ends with an error that says why, at once."""
    running.up("--rehearsal=slow")
    with question(running, "silent") as came:
        done = running.cli("down", "--drain", "1")
    assert "warning: 1 answer is being written; that ends with the container" in done.stderr
    assert b"gateway_stopping" in b"".join(came)
    assert running.things()["containers"] == []


def test_interrupted(running: Project) -> None:
    """Ctrl-C while an answer holds the container: exit 130, and what to do with what is left."""
    running.up("--rehearsal=slow", environ={"CCAPI_GATEWAY_SHUTDOWN_GRACE": "5"})
    with question(running, "silent"):
        with running.terminal("down") as terminal:
            terminal.read_until("Stopping the container")
            terminal.type(b"\x03")
            text = terminal.read_all()
        assert terminal.process.returncode == 130
        assert "Interrupted; what is left goes with another: ccapi down" in text
        assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor is back"
        assert running.cli("down").returncode == 0
    assert running.things()["containers"] == []


@pytest.mark.parametrize("broken", ["ccapi.toml", "user"])
def test_broken_settings_are_no_hindrance(running: Project, broken: str) -> None:
    """Whatever is wrong with the files of settings, and whoever removed the container by hand."""
    docker("rm", "--force", running.name)
    place = {"ccapi.toml": "ccapi.toml", "user": "ccapi/config/config.toml"}[broken]
    file = running.directory / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[gateway\nport = nonsense", "utf-8")
    try:
        assert down(running)["removed"] is True
    finally:
        file.unlink()
    assert running.things()["networks"] == []


def test_a_renamed_container_is_found(running: Project) -> None:
    """By its label."""
    docker("rename", running.name, "ccapi-test-renamed")
    assert down(running)["removed"] is True
    assert docker("ps", "--all", "--quiet", "--filter", "name=ccapi-test-renamed") == ""


def test_a_state_directory_that_is_gone(running: Project) -> None:
    """Without the secret nothing is known of running answers, and everything goes all the same."""
    data = down(running)
    assert data["removed"] is True
    running.up()
    running.cli("proxy", "stop")
    home = running.directory / "elsewhere"
    done = running.cli("down", environ={"CCAPI_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert running.things()["containers"] == []


def test_all_stacks(elsewhere: Frozen) -> None:
    """Each that Docker knows by its label, one after the other; another time there is none of them.

    On an engine of the tests' own: on the machine's there may be somebody's stacks.
    """
    elsewhere.up()
    elsewhere.docker("volume", "create", "--label", "ccapi.stack=claude-code-api-other", "ccapi-test-volume")
    done = elsewhere.cli("down", "--json", "--all", "--volumes", "--yes")
    assert done.returncode == 0, done.stderr
    own, other = json.loads(done.stdout)["data"]["stacks"]
    assert (own["stack"], own["removed"], len(own["removed_volumes"])) == (elsewhere.name, True, 2)
    assert other["stack"] == "claude-code-api-other"
    assert [one["name"] for one in other["removed_volumes"]] == ["ccapi-test-volume"]
    for things in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        assert elsewhere.docker(*things, "--quiet", "--filter=label=ccapi.stack") == ""
    empty = elsewhere.cli("down", "--all")
    assert (empty.returncode, empty.stderr) == (0, "Already stopped: there is no stack on this machine\n")

"""What doctor says of the container, its image and its volumes: each condition made with the real engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.doctor.stage import BASE, Stage
from tests.doctor.support import Table
from tests.gateway.harness import await_that
from tests.stack.support import NAME, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

CHECK = "stack.container"


# --- the container


def test_a_stack_that_was_never_started(stage: Stage, table: Table) -> None:
    """Is one thing to do, and not one for each check: what needs the container is skipped."""
    stage.gone()
    broken = stage.look(CHECK)
    assert stage.finding("stack.ready").status == "skip"
    assert stage.finding("claude.sign_in").summary == "stack.container: there is no container"
    stage.up()
    stage.add(table, "The stack was never started", broken, stage.look(CHECK))


def test_a_stack_that_is_well(stage: Stage) -> None:
    """Nothing is found in what `ccapi up` has made."""
    stage.healthy()
    results = stage.doctor.look_at("stack", "security", "mcp", "proxy")
    assert {result.check.id: result.finding for result in results if result.finding.status in {"fail", "warn"}} == {}
    assert stage.finding("claude.config").status == "ok"
    assert stage.finding("claude.binary").summary.startswith("Claude Code 2.")


def test_a_container_that_ccapi_did_not_make(stage: Stage, table: Table) -> None:
    """Is left alone, and told of."""
    stage.gone()
    docker("run", "--detach", f"--name={stage.name}", "--entrypoint=sleep", BASE, "600")
    try:
        broken = stage.look(CHECK)
        stage.do(broken)
    finally:
        docker("rm", "--force", f"{stage.name}-other", check=False)
    stage.up()
    stage.add(table, "Another container has the stack's name", broken, stage.look(CHECK))


def test_a_container_that_was_never_started(stage: Stage) -> None:
    """`docker create` was all that happened."""
    with stage.container():
        docker("rm", "--force", stage.name)
        docker("create", f"--name={stage.name}", f"--label=ccapi.stack={stage.name}", BASE)
        assert stage.finding(CHECK).summary == "the container was made, but never started"


def test_a_container_that_ended(stage: Stage, table: Table) -> None:
    """Its exit code and its last words; of these no secret, and no control character."""
    with stage.container(script="echo 'no such \033[1msetting, key sk-ant-api03-secret'; exit 2"):
        stage.await_state("exited")
        broken = stage.look(CHECK)
        stage.do(broken)
        mended = stage.look(CHECK)
    last = broken.finding.detail.splitlines()[-1]
    assert "no such" in last
    assert "[redacted]" in last
    assert last.isprintable()
    stage.add(table, "The container ends as it starts", broken, mended)


def test_a_container_that_was_stopped(stage: Stage) -> None:
    """By a person, say: then there is nothing to read."""
    with stage.container(script="trap 'exit 0' TERM; touch /ready; sleep 600 & wait"):
        stage.inside("until [ -e /ready ]; do sleep 0.1; done")
        docker("stop", stage.name)
        found = stage.finding(CHECK)
    assert found.summary == "the container is stopped: exit code 0"
    assert found.detail == ""


def test_a_restart_loop(stage: Stage, table: Table) -> None:
    """Docker starts it again each time: why it ends is in its last words."""
    with stage.container("--restart=always", script="echo the port is not a number >&2; exit 2"):
        await_that(lambda: inspect(stage.name)["RestartCount"] >= 3, "the container was started again and again")
        broken = stage.look(CHECK)
        stage.do(broken)
        mended = stage.look(CHECK)
    assert "exit code 2" in broken.finding.summary
    assert broken.finding.detail.splitlines()[-1] == "the port is not a number"
    stage.add(table, "The container ends again and again", broken, mended)


def test_a_container_that_was_killed_and_runs_again(stage: Stage) -> None:
    """It works, and yet somebody should know; often within a minute is a loop."""
    with stage.container("--restart=always", script="echo begun; exec sleep 600"):
        kill(stage)
        found = stage.finding(CHECK)
        assert found.status == "warn"
        assert found.summary == "the container runs; it ended once by itself and was started again"
        for _ in range(2):
            kill(stage)
        assert stage.finding(CHECK).status == "fail"


def kill(stage: Stage) -> None:
    """Kill the container's first process as the kernel would, and wait until Docker has started another."""
    before = inspect(stage.name)
    os.kill(before["State"]["Pid"], signal.SIGKILL)

    def again() -> bool:
        now = inspect(stage.name)
        return bool(now["RestartCount"] > before["RestartCount"] and now["State"]["Status"] == "running")

    await_that(again, "Docker starts it again")


def test_a_container_without_memory(stage: Stage, table: Table) -> None:
    """Not its exit code is what a person must know."""
    with stage.container("--memory=16m", "--memory-swap=16m", script="exec tail /dev/zero"):
        stage.await_state("exited")
        broken = stage.look(CHECK)
        stage.do(broken)
        mended = stage.look(CHECK)
    assert "its memory of 17 MB was used up" in broken.finding.summary
    stage.add(table, "The container was out of memory", broken, mended)


def test_a_paused_container(stage: Stage, table: Table) -> None:
    """`--fix` lets it go on."""
    with stage.container():
        docker("pause", stage.name)
        broken = stage.look(CHECK)
        stage.apply(broken)
        stage.add(table, "The container is paused", broken, stage.look(CHECK))
        docker("pause", stage.name)
        stage.do(stage.look(CHECK))
        assert stage.finding(CHECK).status == "ok"


# --- the gateway

_HEALTHY_NEXT_TIME = "[ ! -e /first ] || touch /second; touch /first; echo begun; exec sleep 600"


def test_an_unhealthy_gateway(stage: Stage, table: Table) -> None:
    """The health check's own words, and the last of the log; `--fix` starts it again."""
    probe = "[ -e /second ] || { echo curl: the gateway is busy with itself; exit 22; }"
    with stage.container(
        f"--health-cmd={probe}", "--health-interval=1s", "--health-retries=2", script=_HEALTHY_NEXT_TIME
    ):
        stage.await_health("unhealthy")
        broken = stage.look("stack.health")
        assert stage.finding("mcp.servers").status == "skip"
        stage.apply(broken)
        stage.await_health("healthy")
        stage.add(table, "The gateway in the container hangs", broken, stage.look("stack.health"))
    assert broken.finding.detail.splitlines() == [
        "The health check said:",
        "curl: the gateway is busy with itself",
        "The last lines of its log:",
        "begun",
    ]


def test_a_gateway_that_starts(stage: Stage) -> None:
    """Is nothing to mend."""
    with stage.container("--health-cmd=false", "--health-interval=10m"):
        assert stage.finding("stack.health").status == "info"


def test_a_gateway_that_docker_has_yet_to_look_at(stage: Stage) -> None:
    """After `docker unpause` Docker calls it unhealthy, whatever it was, until it looks again."""
    looks_once = ("--health-start-interval=1s", "--health-start-period=10m", "--health-interval=10m")
    with stage.container("--health-cmd=true", *looks_once):
        stage.await_health("healthy")
        docker("pause", stage.name)
        docker("unpause", stage.name)
        assert inspect(stage.name)["State"]["Health"]["Status"] == "unhealthy"
        assert stage.finding("stack.health").status == "info"


def test_a_container_without_a_health_check(stage: Stage) -> None:
    """Nobody would know when it hangs."""
    with stage.container():
        assert stage.finding("stack.health").status == "warn"


def test_a_gateway_that_is_not_ready(stage: Stage, table: Table) -> None:
    """It says itself what is wrong with it."""
    stage.healthy()
    directories = 'find "$CLAUDE_CONFIG_DIR/ccapi" -type d -exec'
    stage.inside(f"{directories} chmod 500 {{}} +")
    try:
        broken = stage.look("stack.ready")
    finally:
        stage.inside(f"{directories} chmod 700 {{}} +")
    stage.add(table, "The gateway cannot write to its own directory", broken, stage.look("stack.ready"))


def test_a_gateway_that_is_not_published(stage: Stage) -> None:
    """Healthy inside, and unreachable from here."""
    volumes = ("--volume=/home/claude/.claude", "--volume=/workspace")
    with stage.container("--health-cmd=true", "--health-interval=1s", *volumes):
        stage.await_health("healthy")
        found = stage.finding("stack.ready")
    assert found.summary == "the gateway is healthy, but cannot be reached from here"
    assert f":{stage.port}" in found.detail


# --- what it was made of


@contextmanager
def older_image(stage: Stage) -> Iterator[str]:
    """One as an older ccapi would have made it: of another version, with another hash."""
    name, maker = f"{NAME}:0123456789ab", f"{stage.name}-maker"
    put = "mkdir -p /opt/ccapi/app/ccapi; echo '__version__ = \"0.0.9\"' >/opt/ccapi/app/ccapi/__init__.py"
    docker("run", f"--name={maker}", "--entrypoint=sh", BASE, "-c", put)
    try:
        docker("commit", f"--change=LABEL ccapi.image={NAME}", maker, name)
        yield name
    finally:
        docker("rm", "--force", maker)
        docker("rmi", "--force", name, check=False)


def test_an_image_of_an_older_version(stage: Stage, table: Table) -> None:
    """It is named, with the version that is in it."""
    with older_image(stage) as older, stage.container(image=older):
        broken = stage.look("stack.image")
        assert f"of ccapi 0.0.9; this is ccapi {stage.doctor.facts().version}" in broken.finding.summary
        assert older in broken.finding.detail
        stage.do(broken)
        mended = stage.look("stack.image")
    stage.add(table, "The container is of an older ccapi", broken, mended, **{"0.0.9": "0.9"})


def test_an_image_that_somebody_tagged(stage: Stage) -> None:
    """Of the same version, and yet not what `up` would use; one made by hand is nobody's mistake."""
    with older_image(stage) as older:
        docker("tag", older, f"{NAME}:local")
        try:
            with stage.container(image=f"{NAME}:local"):
                assert stage.finding("stack.image").status == "info"
        finally:
            docker("rmi", f"{NAME}:local")
    with stage.container():
        assert "is not the one that `ccapi up` would use" in stage.finding("stack.image").summary


def test_old_images(stage: Stage, table: Table) -> None:
    """How much they take, and `--fix` removes what nothing uses."""
    stage.healthy()
    if (others := stage.look("stack.old_images")).finding.fix:
        stage.apply(others)
    with older_image(stage) as older:
        broken = stage.look("stack.old_images")
        assert older in broken.finding.detail
        stage.apply(broken)
        assert docker("images", "--quiet", older) == ""
        mended = stage.look("stack.old_images")
    assert inspect(stage.name)["State"]["Running"]
    stage.add(table, "Images of older versions are left", broken, mended)


def test_settings_that_changed(stage: Stage, table: Table) -> None:
    """They are named as the person calls them."""
    stage.healthy()
    changed = {"CCAPI_GATEWAY_MAX_RUNS": "3", "CCAPI_LOG_LEVEL": "debug"}
    before = stage.environ
    try:
        stage.environ = stage.doctor.environ = {**before, **changed}
        broken = stage.look("stack.settings")
        assert broken.finding.detail.splitlines() == ["gateway.max_runs: none → 3", "log.level: INFO → DEBUG"]
        stage.do(broken)
        stage.add(table, "Settings were changed since `ccapi up`", broken, stage.look("stack.settings"))
    finally:
        stage.environ = stage.doctor.environ = before


# --- volumes


def test_a_volume_that_belongs_to_root(stage: Stage, table: Table) -> None:
    """As after a restore from a backup; the command that is shown gives it back."""
    stage.healthy()
    image = inspect(stage.name)["Config"]["Image"]
    docker("run", "--rm", "--user=0", f"--volume={stage.volume}:/v", "--entrypoint=chown", image, "-R", "0:0", "/v")
    broken = stage.look("stack.volumes")
    assert stage.finding("claude.config").status == "skip", "one problem is told once"
    stage.do(broken)
    stage.add(table, "A volume belongs to another user", broken, stage.look("stack.volumes"))


def test_a_container_without_volumes(stage: Stage) -> None:
    """What Claude remembers would be lost with it."""
    with stage.container():
        found = stage.finding("stack.volumes")
    assert found.status == "fail"
    assert "/home/claude/.claude and /workspace of the container is on no volume" in found.summary


# --- what is left


def test_what_is_left_of_others(stage: Stage, table: Table) -> None:
    """A network whose container is gone, and what an interrupted compose has renamed; `--fix` removes them."""
    stage.healthy()
    label = f"--label=ccapi.stack={NAME}-gone"
    docker("network", "create", label, f"{NAME}-gone_default")
    docker("create", label, f"--name=0a1b2c_{NAME}-gone", BASE)
    try:
        broken = stage.look("stack.orphans")
        stage.apply(broken)
    finally:
        docker("rm", "--force", f"0a1b2c_{NAME}-gone", check=False)
        docker("network", "rm", f"{NAME}-gone_default", check=False)
    assert stage.finding(CHECK).status == "ok"
    stage.add(table, "Something is left of a stack that is gone", broken, stage.look("stack.orphans"))


def test_what_is_left_and_runs(stage: Stage) -> None:
    """Is not removed without being looked at."""
    stray = f"0a1b2c_{NAME}-gone"
    docker("run", "--detach", f"--label=ccapi.stack={NAME}-gone", f"--name={stray}", "--entrypoint=sleep", BASE, "600")
    try:
        found = stage.finding("stack.orphans")
    finally:
        docker("rm", "--force", stray)
    assert found.fix is not None
    assert not found.fix.safe
    assert found.fix.command == f"docker rm -f {stray}"

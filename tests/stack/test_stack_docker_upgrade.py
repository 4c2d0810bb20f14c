"""`ccapi upgrade` on a real engine: another release of Claude Code, and back again when that is no good.

Two releases are of the tests' own making, and lie in the base image where pip finds them beside those of its index: one
whose container never becomes healthy, one whose `claude` does not answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccapi.stack.spec import kept
from tests.cli.readme import Page
from tests.cli.support import Terminal
from tests.gateway.harness import await_that
from tests.stack.project import Project
from tests.stack.secondengine import Frozen
from tests.stack.support import BUILD_DEADLINE, docker
from tests.stack.test_stack_docker_down import question

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

BASE = "ccapi-test-upgrade:base"
OLD, NEW, MISSING = "0.2.186", "0.2.187", "0.2.99999"
UNHEALTHY, SPEECHLESS = "0.1.9998", "0.1.9999"

CLAUDE = """#!/bin/sh
[ "$1" = --version ] && echo "{version} (Claude Code)" && exit
echo "this claude says nothing" >&2
exit 1
"""
# The container's health check runs curl.
CURL = f"""#!/bin/sh
if grep -q {UNHEALTHY} /opt/ccapi/claude-version 2>/dev/null; then echo "made to fail" >&2; exit 7; fi
exec /usr/bin/curl "$@"
"""
DOCKERFILE = """
FROM debian:trixie-slim
COPY --chmod=755 curl /usr/local/bin/curl
COPY *.whl /wheels/
RUN cat /etc/pip.conf >/tmp/pip.conf 2>/dev/null || true; \\
    { cat /tmp/pip.conf; printf '[global]\\nfind-links = /wheels\\n'; } >/etc/pip.conf
"""


def make_wheel(directory: Path, version: str) -> None:
    """claude-agent-sdk, as far as the image's build wants it."""
    about = f"claude_agent_sdk-{version}.dist-info"
    files = {
        "claude_agent_sdk/_bundled/claude": CLAUDE.format(version=version),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: claude-agent-sdk\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(directory / f"claude_agent_sdk-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


@pytest.fixture(scope="module")
def base_image(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    context = tmp_path_factory.mktemp("base")
    for version in (UNHEALTHY, SPEECHLESS):
        make_wheel(context, version)
    (context / "curl").write_text(CURL, "utf-8")
    (context / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    command = ["docker", "build", "--quiet", f"--tag={BASE}", str(context)]
    subprocess.run(command, check=True, capture_output=True, timeout=BUILD_DEADLINE)
    yield BASE
    docker("rmi", "--force", BASE)


class Upgraded(Frozen):
    """A stack of its own, and what an upgrade may change of it."""

    def upgrade(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.cli("upgrade", *args)

    def done(self, *args: str) -> dict[str, Any]:
        """What `ccapi upgrade --json` tells; it must succeed."""
        ended = self.upgrade("--json", *args)
        assert ended.returncode == 0, ended.stderr
        data: dict[str, Any] = json.loads(ended.stdout)["data"]
        return data

    def now(self) -> dict[str, Any]:
        """Which image runs, what the settings say, and what could be gone back to."""
        found = self.inspect()
        record = self.directory / "home" / "ccapi" / "state" / "projects" / "test-upgrade" / "upgrade.json"
        return {
            "image": found["Config"]["Image"],
            "sdk": found["Config"]["Labels"]["ccapi.claude-agent-sdk"],
            "health": found["State"]["Health"]["Status"],
            "setting": self.cli("config", "get", "stack.claude_version").stdout.strip(),
            "kept": docker("images", "--quiet", kept(self.name)),
            "record": record.read_text("utf-8") if record.exists() else None,
            "on the volume": self.inside('cat "$CLAUDE_CONFIG_DIR/login"'),
        }

    def container(self) -> str:
        return str(self.inspect()["Id"])


@pytest.fixture(scope="module")
def made(base_image: str, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    stack = Upgraded(tmp_path_factory.mktemp("upgrade"), package, project="test-upgrade")
    stack.environ["CCAPI_STACK_BASE_IMAGE"] = base_image
    try:
        yield stack
    finally:
        stack.remove()
        docker("rmi", "--force", kept(stack.name), check=False)


@pytest.fixture
def stack(made: Upgraded) -> Upgraded:
    """Healthy, with the old release, and a login on the volume."""
    assert made.cli("config", "set", "stack.claude_version", OLD).returncode == 0
    made.up()
    made.inside('echo secret >"$CLAUDE_CONFIG_DIR/login"')
    return made


def _of_page(page: str, command: str) -> list[str]:
    """The words behind `ccapi` of a command that stands in a page, and just so."""
    (line,) = [line for line in Page(page).begins(command) if line == command]
    return line.split()[1:]


def test_to_another_release_and_back(stack: Upgraded) -> None:
    """The versions before and after are said; volumes stay; `ccapi up` does not go back, `--rollback` does."""
    before = stack.now()
    done = stack.done("--version", NEW)
    assert (done["changed"], done["before"]["sdk"], done["after"]["sdk"]) == (True, OLD, NEW)
    assert done["after"]["claude"] == stack.inside("claude --version").split()[0] != done["before"]["claude"]
    now = stack.now()
    assert (now["sdk"], now["setting"], now["health"]) == (NEW, NEW, "healthy")
    assert now["on the volume"] == "secret"
    assert stack.inside("ls -d /tmp/tmp.* 2>/dev/null || echo none") == "none", "what was tried is gone"
    assert docker("inspect", "--format={{.Id}}", kept(stack.name)) == docker(
        "inspect", "--format={{.Id}}", before["image"]
    )
    container = stack.container()
    stack.up()
    assert stack.container() == container
    assert docker("images", "--quiet", before["image"]), "not tidied away"
    back = stack.cli(*_of_page("docs/production.md", "ccapi upgrade --rollback"))
    assert back.returncode == 0, back.stderr
    assert f"{NEW} → {OLD}" in back.stdout
    assert "Building" not in back.stderr
    assert {**stack.now(), "kept": "", "record": ""} == {**before, "kept": "", "record": ""}
    assert stack.done("--rollback")["after"]["sdk"] == NEW, "back and forth"


def test_the_newest(stack: Upgraded) -> None:
    """It is looked for where the build will find it. A dry run changes nothing; once it is there, nothing does."""
    before, container = stack.now(), stack.container()
    would = stack.done("--dry-run")
    assert (would["changed"], would["dry_run"], would["before"]["sdk"]) == (False, True, OLD)
    newest = would["after"]["sdk"]
    assert tuple(map(int, newest.split("."))) > tuple(map(int, NEW.split(".")))
    assert (stack.now(), stack.container()) == (before, container)
    done = stack.cli(*_of_page("docs/setup.md", "ccapi upgrade"), "--json")
    assert json.loads(done.stdout)["data"]["after"]["sdk"] == newest, done.stderr
    container = stack.container()
    again = stack.upgrade()
    assert again.returncode == 0
    assert "Nothing to do" in again.stderr
    assert newest in again.stdout
    assert stack.container() == container


def test_a_release_that_does_not_exist(stack: Upgraded) -> None:
    """The build fails while the container goes on; it is not even started anew."""
    before, container = stack.now(), stack.container()
    done = stack.upgrade("--version", MISSING)
    assert done.returncode == 1
    assert "the image could not be built; the container runs as before" in done.stderr
    assert f"claude-agent-sdk=={MISSING}" in done.stderr
    assert "The package index has no such release" in done.stderr
    assert (stack.now(), stack.container()) == (before, container)


@pytest.mark.parametrize(
    ("release", "timeout", "reason"),
    [
        (UNHEALTHY, 20, "did not become healthy within 20 s"),  # as long as the way back may take, too
        (SPEECHLESS, 90, "the new container does not answer"),
    ],
)
def test_no_good(stack: Upgraded, release: str, timeout: int, reason: str) -> None:
    """Built and started, but not healthy or without an answer: the old one runs again, and the settings say so."""
    before = stack.now()
    done = stack.upgrade("--version", release, "--timeout", str(timeout))
    assert done.returncode == 1
    assert "going back" in done.stderr
    last = next(line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert reason in last
    assert last.endswith("the container runs as before")
    assert stack.now() == before
    assert stack.cli("status").returncode == 0


def test_interrupted_in_the_build(stack: Upgraded) -> None:
    """Exit 130, and the container has not noticed."""
    before, container = stack.now(), stack.container()
    with stack.terminal("upgrade", "--version", "0.2.188") as terminal:
        terminal.read_until("Building the image")
        terminal.type(b"\x03")
        _shown_to_its_end(terminal)
    assert terminal.process.returncode == 130
    assert (stack.now(), stack.container()) == (before, container)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_the_new_one_starts(stack: Upgraded, number: signal.Signals, code: int) -> None:
    """The old one runs again before the command ends."""
    before = stack.now()
    with stack.terminal("upgrade", "--version", UNHEALTHY) as terminal:
        await_that(lambda: _runs(stack, UNHEALTHY), "the new container", BUILD_DEADLINE)
        if number == signal.SIGINT:
            terminal.type(b"\x03")
        else:
            os.kill(terminal.process.pid, number)
        text = _shown_to_its_end(terminal)
    assert terminal.process.returncode == code
    assert "going back" in text
    assert stack.now() == before


def test_interrupted_as_it_is_replaced(stack: Upgraded) -> None:
    """The old one may be about to stop, or gone; it runs in the end."""
    stack.done("--version", NEW)
    stack.done("--rollback")
    before = stack.now()
    with stack.terminal("upgrade", "--version", NEW) as terminal:
        terminal.read_until("Starting the container")
        terminal.type(b"\x03")
        _shown_to_its_end(terminal)
    assert terminal.process.returncode == 130
    assert stack.now() == before
    assert docker("ps", "--all", "--format={{.Names}}", f"--filter=label=ccapi.stack={stack.name}") == stack.name


def _runs(stack: Upgraded, release: str) -> bool:
    form = '--format={{.State.Status}} {{index .Config.Labels "ccapi.claude-agent-sdk"}}'
    return docker("inspect", form, stack.name, check=False) == f"running {release}"


def _shown_to_its_end(terminal: Terminal) -> str:
    text = terminal.read_all()
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor is back"
    return text


def test_a_running_answer_is_asked_about(stack: Upgraded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it is exit 3; a person may say no. Nothing is changed by either."""
    monkeypatch.setitem(stack.environ, "CCAPI_GATEWAY_SHUTDOWN_GRACE", "3")  # seconds that the answer holds it up
    stack.up("--rehearsal=slow")
    container = stack.container()
    where = Project(stack.directory, "test-upgrade")
    where.port = int(stack.cli("config", "get", "gateway.port").stdout)
    try:
        with question(where, "silent"):
            done = stack.upgrade("--version", NEW)
            assert done.returncode == 3
            assert "1 answer is being written; that ends with the container" in done.stderr
            assert "upgrade --yes" in done.stderr
            with stack.terminal("upgrade", "--version", NEW) as terminal:
                terminal.read_until("Replace it?")
                terminal.type(b"n\n")
                assert "Nothing was changed" in terminal.read_all()
            assert terminal.process.returncode == 1
            assert stack.container() == container
            assert stack.done("--version", NEW, "--yes")["changed"]
    finally:
        stack.up()


def test_what_there_must_be(stack: Upgraded) -> None:
    """A container that is healthy and as in the settings, or there would be nothing to go back to."""
    other = stack.cli("upgrade", "--version", NEW, environ={"CCAPI_GATEWAY_MAX_RUNS": "3"})
    assert other.returncode == 1
    assert "the container is not as in the settings: gateway.max_runs" in other.stderr
    docker("stop", stack.name)
    stopped = stack.upgrade("--version", NEW)
    assert stopped.returncode == 1
    assert "the container is not healthy" in stopped.stderr
    stack.cli("down")
    absent = stack.upgrade("--version", NEW)
    assert absent.returncode == 1
    assert "there is no container" in absent.stderr

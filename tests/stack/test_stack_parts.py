"""The parts of `up` that need no engine: what a build prints, what differs, what is checked before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ccapi.cli import statusview
from ccapi.commands import stackports
from ccapi.errors import CcapiError, OutputFailed, PortBusy, SettingInvalid
from ccapi.stack import admissible, build, lock, preflight
from ccapi.stack.differences import differences
from ccapi.stack.spec import Difference, StackSpec
from ccapi.stack.status import Status, _state, _verdict
from tests.stack.support import FakeDocker, container

IMAGE = "claude-code-api:0123456789ab"


def wanted(workspace: Path | None = None, /, **environment: str) -> StackSpec:
    return StackSpec(
        stack="claude-code-api",
        port=8000,
        base_image="debian:trixie-slim",
        environment=environment,
        workspace=workspace,
    )


# --- the build's output


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("#7 [gateway debian 4/5] RUN export DEBIAN_FRONTEND=noninteractive", "Debian packages (4/5)"),
        ("#11 [gateway claude 1/1] RUN python3", "Claude Code (1/1)"),
        ("#12 [image  1/6] COPY --from=claude /claude /usr/local/bin/claude", "putting it together (1/6)"),
        ("#2 [gateway internal] load metadata for docker.io/library/debian:trixie-slim", None),
        ("#7 0.410 Get:1 http://mirror.example/debian trixie InRelease [140 kB]", None),
        ("#7 DONE 27.9s", None),
        ("", None),
    ],
)
def test_the_step_that_runs(line: str, step: str | None) -> None:
    """BuildKit's plain progress, as compose and as `docker build` print it."""
    assert build.step(line) == step


FAILED_BUILD = """\
#11 [gateway claude 1/1] RUN pip install
#11 13.29 WARNING: Retrying after 'SSLError(CERTIFICATE_VERIFY_FAILED)'
#11 ERROR: process "/bin/sh -c pip install" did not complete successfully: exit code: 1
------
 > [gateway claude 1/1] RUN pip install:
13.29 WARNING: Retrying after 'SSLError(CERTIFICATE_VERIFY_FAILED)'
13.34 ERROR: No matching distribution found for claude-agent-sdk
------
failed to solve: process "/bin/sh -c pip install" did not complete successfully: exit code: 1""".splitlines()


def test_the_output_of_the_step_that_failed() -> None:
    """What it said itself, without the steps that ran beside it."""
    assert build.failed_output(FAILED_BUILD) == [
        "WARNING: Retrying after 'SSLError(CERTIFICATE_VERIFY_FAILED)'",
        "ERROR: No matching distribution found for claude-agent-sdk",
    ]


def test_a_failure_without_a_step() -> None:
    """The end of the output, bounded."""
    lines = [f"line {number}" for number in range(100)]
    assert build.failed_output(lines) == lines[-20:]
    assert build.failed_output(["------", " > [gateway internal] load metadata:", "------", "failed"]) == ["failed"]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            "--ca-file",
        ),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "--ca-file"),
        ("curl: (60) SSL certificate problem: self-signed certificate in certificate chain", "--ca-file"),
        ("Certificate verification failed: The certificate is NOT trusted.", "--ca-file"),
        ("failed to solve: debian:none: failed to resolve source metadata for docker.io", "stack.base_image"),
        ("write /var/lib/docker/tmp: no space left on device", "builder prune"),
        ("Temporary failure in name resolution", "HTTP_PROXY"),
        ("Could not resolve 'mirror.example'", "HTTP_PROXY"),
    ],
)
def test_known_failures_have_advice(said: str, advice: str) -> None:
    """In the words of pip, apt, curl and BuildKit."""
    assert advice in (build.hint(["something", said]) or "")


def test_an_unknown_failure_has_none() -> None:
    """Better no advice than a wrong one."""
    assert build.hint(["it broke"]) is None


# --- differences


def test_what_is_as_wanted() -> None:
    """A variable that is empty and one that is not set are the same; proxies are told once."""
    running = container(environment={"CCAPI_MODELS_MAP": "", "CCAPI_REHEARSAL": "chat", "PATH": "/bin"})
    assert differences(running, wanted(CCAPI_REHEARSAL="chat"), IMAGE, "abc") == []


def test_what_is_not_as_wanted(tmp_path: Path) -> None:
    """In the person's words, with old and new value, without credentials."""
    running = container(published="127.0.0.1:9000", workspace="/old", environment={"CCAPI_GATEWAY_TIMEOUT": "300"})
    proxy = "http://user:pass@proxy:3128"
    new = wanted(tmp_path, CCAPI_GATEWAY_TIMEOUT="60", HTTPS_PROXY=proxy, https_proxy=proxy)
    assert differences(running, new, IMAGE, "abd") == [
        Difference("port", "127.0.0.1:9000", "127.0.0.1:8000"),
        Difference("workspace", "/old", str(tmp_path)),
        Difference("docker-compose.yml", "abc", "abd"),
        Difference("HTTPS_PROXY", "none", "http://[redacted]@proxy:3128"),
        Difference("gateway.timeout", "300", "60"),
    ]


# --- before anything is started


def said(problems: Iterable[CcapiError]) -> list[str]:
    return [problem.message for problem in problems]


def test_the_workspace_must_be_there(tmp_path: Path) -> None:
    """Docker would make it, as root."""
    (tmp_path / "file").touch()
    (tmp_path / "a:b").mkdir()
    assert said(admissible.problems(wanted(tmp_path))) == []
    assert said(admissible.problems(wanted())) == []
    for name, reason in (("none", "does not exist"), ("file", "not a directory"), ("a:b", "colon")):
        (problem,) = admissible.problems(wanted(tmp_path / name))
        assert isinstance(problem, SettingInvalid)
        assert reason in problem.message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_other_machines_need_a_key(tmp_path: Path, host: str) -> None:
    """Published for them without one, nothing is started; on this machine's own addresses it may."""
    problem = "other machines would reach the gateway, and there is no API key"
    spec = replace(wanted(), keys=tmp_path)
    assert said(admissible.problems(replace(spec, host=host))) == [f"gateway.host {host}: {problem}"]
    for own in ("127.0.0.1", "::1"):
        assert said(admissible.problems(replace(spec, host=own))) == []


def test_several_problems_are_one_error() -> None:
    """All of them, each with its way out; code and exit code are the first one's. One alone is itself."""
    first, second = PortBusy("port 1 is taken", hint="a\nb"), SettingInvalid("no such file")
    assert preflight.joined([first]) is first
    both = preflight.joined([first, second])
    assert isinstance(both, PortBusy)
    assert both.message == "2 things are in the way"
    assert both.hint == "1. port 1 is taken\n   a\n   b\n2. no such file"


@pytest.mark.parametrize(
    ("info", "said_of_it"),
    [
        ({"Architecture": "x86_64"}, []),
        ({"Architecture": "aarch64"}, []),
        ({"Architecture": "riscv64"}, ["the engine's processor is riscv64"]),
    ],
)
def test_the_engines_processor(info: dict[str, object], said_of_it: list[str]) -> None:
    """Claude Code is there for two kinds."""
    problems = said(preflight.of_engine(info, {}, build=True))
    assert [problem.partition(";")[0] for problem in problems] == said_of_it


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root to make a small disk")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Of the engine: said before a build fills it, with how to make room; less is enough for an image that is there."""
    root = tmp_path / "docker"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(root)], check=True, timeout=10)
    try:
        info = {"Architecture": "x86_64", "DockerRootDir": str(root)}
        (problem,) = preflight.of_engine(info, {}, build=True)
        assert problem.message == f"Docker's disk ({root}) has 210 MB left, and 3.0 GB are needed"
        assert "docker builder prune" in (problem.hint or "")
        assert said(preflight.of_engine(info, {}, build=False)) == []
        (root / "full").write_bytes(b"x" * 150_000_000)
        (problem,) = preflight.of_engine(info, {}, build=False)
        assert "has 60 MB left, and 100 MB are needed" in problem.message
        assert said(preflight.of_engine(info, {"DOCKER_HOST": "tcp://elsewhere:2376"}, build=True)) == []
    finally:
        subprocess.run(["umount", str(root)], check=True, timeout=10)


@pytest.mark.parametrize(
    ("prints", "reason"),
    [
        ("2.19.1", "the compose plugin is 2.19.1, and 2.20 is needed"),
        ("nonsense", "docker has no compose plugin"),
    ],
)
def test_a_plugin_that_will_not_do(fake_docker: FakeDocker, tmp_path: Path, prints: str, reason: str) -> None:
    """Too old, or not there; with where to get one."""
    (problem,) = preflight.of_docker(fake_docker.says(f"echo {prints}"), tmp_path)
    assert problem.message == reason
    assert problem.exit_code == 5
    assert problem.hint


def test_a_plugin_that_will_do(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """As Debian, Docker and Docker Desktop write their versions; Docker from snap is another matter."""
    for version in ("2.20.0", "v2.26.1", "2.26.1-4", "v2.40.3-desktop.1", "5.0.0"):
        assert said(preflight.of_docker(fake_docker.says(f"echo {version}"), tmp_path / ".cache")) == []


def test_no_docker_command(tmp_path: Path) -> None:
    """The engine may answer all the same."""
    assert said(preflight.of_docker({"PATH": str(tmp_path)}, tmp_path)) == ["the docker command was not found"]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"HTTPS_PROXY": "http://user:pass@proxy:3128"}, "`docker inspect` shows"),
        ({"ANTHROPIC_BASE_URL": "http://localhost:4000"}, "the container itself"),
    ],
)
def test_warnings(variables: dict[str, str], reason: str) -> None:
    """What will not do what was hoped; the password itself is not repeated."""
    (warning,) = preflight.warnings(wanted(None, **variables), {}, {})
    assert reason in warning
    assert "pass@" not in warning


@pytest.mark.parametrize(
    ("info", "environ", "reason"),
    [
        ({"MemTotal": 1_000_000_000}, {}, "has 1.0 GB of memory, and 2.0 GB are needed"),
        ({"Architecture": "x86_64"}, {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}, "all would be emulated"),
    ],
)
def test_warnings_of_the_engines_machine(info: dict[str, object], environ: dict[str, str], reason: str) -> None:
    """It will work, slowly or not for long."""
    (warning,) = preflight.warnings(wanted(), info, environ)
    assert reason in warning


def test_what_other_machines_reach_is_warned_of() -> None:
    """They need a key, and yet."""
    (warning,) = preflight.warnings(replace(wanted(), host="0.0.0.0"), {}, {})
    assert "not encrypted" in warning


def test_nothing_to_warn_of() -> None:
    """An ordinary proxy and base URL, an ordinary machine."""
    spec = wanted(HTTP_PROXY="http://proxy:3128", ANTHROPIC_BASE_URL="https://gateway")
    info = {"Architecture": "x86_64", "MemTotal": 8_000_000_000}
    assert not list(preflight.warnings(spec, info, {"DOCKER_DEFAULT_PLATFORM": "linux/amd64"}))


@pytest.mark.skipif(not Path("/snap/bin/docker").exists(), reason="Docker is not from snap here")
def test_docker_from_snap_is_told_so(tmp_path: Path) -> None:
    """With the way out."""
    problem = preflight.snap({"PATH": "/snap/bin"}, tmp_path / ".cache")
    assert problem
    assert "from snap" in problem.message


# --- verdicts


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "running (healthy)"),
        ({"health": "starting"}, "starting"),
        ({"health": "unhealthy"}, "degraded: the gateway is unhealthy"),
        ({"state": "restarting", "exit_code": 2}, "degraded: the container ends again and again (exit code 2)"),
        ({"state": "paused"}, "degraded: the container is paused"),
        ({"state": "exited", "exit_code": 3, "health": "unhealthy"}, "stopped (exit code 3)"),
        ({"state": "exited", "exit_code": 137, "oom_killed": True}, "stopped (ran out of memory)"),
        ({"state": "created", "health": None}, "stopped (exit code 0)"),
    ],
)
def test_the_verdict(changes: dict[str, object], verdict: str) -> None:
    """One line for every state; one that runs without being healthy is never just running."""
    found = container(**changes)
    assert _verdict(_state(found), found) == verdict


def test_a_port_below_1024_is_the_engines_business() -> None:
    """Docker may bind what this user may not."""
    from ccapi.stack import ports

    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", 1)) != 0:
            assert ports.is_free(1)


# --- what several commands share


def test_no_place_for_a_lock(tmp_path: Path) -> None:
    """It is said which file, and what is the matter; nothing is locked, and nothing is done."""
    (tmp_path / "state").write_text("in the place of the directory")
    with (
        pytest.raises(OutputFailed, match=r"state/stack\.lock: "),
        lock.exclusive(tmp_path / "state" / "stack.lock", print),
    ):
        pytest.fail("without the lock")


@pytest.mark.parametrize(
    ("published", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("0.0.0.0:8001", "http://127.0.0.1:8001/v1"),
        ("::1:8002", "http://[::1]:8002/v1"),
    ],
)
def test_the_url_of_a_status_can_be_used(published: str, url: str) -> None:
    """Whatever address Docker has published it on."""
    found = Status("healthy", "running (healthy)", container(published=published), [])
    assert statusview.brief("claude-code-api", found)["url"] == url
    ended = Status("stopped", "stopped", container(published=published, state="exited"), [])
    assert statusview.brief("claude-code-api", ended)["url"] is None


@pytest.mark.parametrize("written", ["8005", '"8005"', "\ufeff8005"])
def test_a_port_that_another_stacks_file_says(tmp_path: Path, written: str) -> None:
    """As the settings take it: a word with a number in it as well, and a file with a byte order mark."""
    mark = "\ufeff" if written.startswith("\ufeff") else ""
    file = tmp_path / "mail.toml"
    file.write_text(f"{mark}[gateway]\nport = {written.removeprefix(mark)}\n", "utf-8")
    assert stackports._of(file, "gateway.port") == 8005


@pytest.mark.parametrize("text", ["gateway.port = true", "gateway.port = 0", "gateway = 1", "[broken", ""])
def test_what_is_no_port_in_another_stacks_file(tmp_path: Path, text: str) -> None:
    """It takes none away."""
    file = tmp_path / "mail.toml"
    file.write_text(text)
    assert stackports._of(file, "gateway.port") is None

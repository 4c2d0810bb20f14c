"""Programs in a container of the real engine: to their end, and on a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from ccapi.errors import StackFailed, StackTimeout
from ccapi.stack.container import Container, Terminal
from ccapi.stack.engine import Engine
from tests.cli.support import DEADLINE, ROOT
from tests.gateway.harness import await_that
from tests.stack.support import docker

pytestmark = pytest.mark.docker

NAME = "ccapi-test-container"
IMAGE = "debian:trixie-slim"  # what the stack's own image is built on
_PS = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null'


@pytest.fixture(scope="module")
def engine(docker_engine: None) -> Iterator[Engine]:
    with Engine(dict(os.environ), NAME) as engine:
        yield engine


@pytest.fixture(scope="module")
def container(engine: Engine) -> Iterator[Container]:
    """It runs as an ordinary user, and init collects what its processes leave."""
    docker("rm", "--force", NAME, check=False)
    docker("run", "--detach", "--init", "--user=1000:1000", f"--name={NAME}", IMAGE, "sleep", "infinity")
    try:
        yield Container(engine, NAME)
    finally:
        docker("rm", "--force", NAME)


def running(container: Container, marker: str) -> list[str]:
    """The command lines with that word in them."""
    lines = container.run("sh", "-c", _PS).stdout.splitlines()
    return [line for line in lines if marker in line and "/proc/" not in line]


def gone(container: Container, marker: str) -> bool:
    deadline = time.monotonic() + DEADLINE
    while running(container, marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def read_until(terminal: Terminal, wanted: bytes) -> bytes:
    deadline, seen = time.monotonic() + DEADLINE, b""
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        seen += terminal.read(0.2) or b""
    return seen


# --- to its end


def test_output_error_and_exit_code(container: Container) -> None:
    """Each for itself, as the user of the container."""
    ran = container.run("sh", "-c", "id -u; echo oops >&2; exit 3")
    assert (ran.code, ran.stdout, ran.stderr) == (3, "1000\n", "oops\n")


def test_much_output(container: Container) -> None:
    """All of it, and the end of it, however the engine cuts it."""
    ran = container.run("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    assert len(ran.stdout) == 3_000_004
    assert ran.stdout.endswith("end\n")


@pytest.mark.parametrize("size", [1, 5000, 1_000_000])
def test_input(container: Container, size: int) -> None:
    """It is read to its end, and is on no command line in the container."""
    secret = b"s3cret-" + b"x" * size
    ran = container.run("sh", "-c", f"cat; {_PS}", stdin=secret)
    assert ran.stdout.startswith(secret.decode())
    assert "s3cret" not in ran.stdout[len(secret) :]


def test_input_that_nobody_reads(container: Container) -> None:
    """The program's end is the end."""
    assert container.run("true", stdin=b"x" * 1_000_000).code == 0


def test_no_input(container: Container) -> None:
    """What reads is at the end at once, and does not wait."""
    assert container.run("cat").code == 0


def test_the_time_is_over(container: Container) -> None:
    """The program is ended in the container as well, also one that does not want to."""
    began = time.monotonic()
    with pytest.raises(StackTimeout):
        container.run("sh", "-c", "trap '' TERM; sleep 1001; sleep 1001", timeout=0.5)
    assert time.monotonic() - began < DEADLINE
    assert gone(container, "1001")


def test_it_is_interrupted(container: Container) -> None:
    """Ctrl-C while a program runs: it has ended before whoever asked for it goes on."""

    def interrupt() -> None:
        await_that(lambda: "sleep 1007" in docker("top", NAME, "-eo", "pid,args"), "the program")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        container.run("sh", "-c", "sleep 1007; sleep 1007")
    thread.join(DEADLINE)
    assert running(container, "1007") == []


def test_a_program_that_is_not_there(container: Container) -> None:
    """As a shell has it."""
    assert container.run("no-such-program").code == 127


def test_no_container(engine: Engine) -> None:
    """One that is not there, and what to do about it."""
    with pytest.raises(StackFailed) as raised:
        Container(engine, "ccapi-test-nothing").run("true")
    assert raised.value.hint == "Start it: ccapi up"
    with pytest.raises(StackFailed):
        Container(engine, "ccapi-test-nothing").terminal("true")


def test_a_stopped_container(engine: Engine) -> None:
    """It is the same to the person."""
    name = f"{NAME}-stopped"
    docker("create", f"--name={name}", IMAGE, "true")
    try:
        with pytest.raises(StackFailed, match="not running"):
            Container(engine, name).run("true")
    finally:
        docker("rm", "--force", name)


def test_a_signal(engine: Engine) -> None:
    """It reaches the first process."""
    name = f"{NAME}-signal"
    script = "trap 'echo got it' HUP; echo ready; while :; do sleep 0.05; done"
    docker("run", "--detach", f"--name={name}", IMAGE, "sh", "-c", script)
    try:
        deadline = time.monotonic() + DEADLINE
        while "ready" not in docker("logs", name):
            assert time.monotonic() < deadline
        Container(engine, name).signal_gateway("HUP")
        while "got it" not in docker("logs", name):
            assert time.monotonic() < deadline
    finally:
        docker("rm", "--force", name)


# --- on a terminal


def test_a_terminal(container: Container) -> None:
    """It is one, and wide; what is typed arrives; the exit code is known at the end."""
    with container.terminal("sh", "-c", "test -t 0 && stty size; read line; echo got $line; exit 7") as terminal:
        assert b"50 4000" in read_until(terminal, b"4000")
        assert terminal.exit_code() is None
        terminal.write(b"hello\r")
        assert b"got hello" in read_until(terminal, b"got hello\r\n")
        while terminal.read(1) != b"":
            pass
        assert terminal.exit_code() == 7


def test_what_is_printed_at_once(container: Container) -> None:
    """Nothing is lost of a program that has ended before anybody reads."""
    for _ in range(10):
        with container.terminal("echo", "first words") as terminal:
            assert read_until(terminal, b"first words\r\n") == b"first words\r\n"


def test_silence(container: Container) -> None:
    """Nothing for so long is None, which is not the end."""
    with container.terminal("sh", "-c", "echo ready; sleep 1002") as terminal:
        read_until(terminal, b"ready\r\n")
        assert terminal.read(0.1) is None
        assert terminal.exit_code() is None
    assert gone(container, "1002")


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1003",
        "trap '' INT; sleep 1003",
        "trap '' INT TERM HUP; sleep 1003; sleep 1003; sleep 1003",
        "stty raw -echo; trap '' TERM; sleep 1003; sleep 1003",
        "sleep 1003 & sleep 1003",
        "setsid sleep 1003 & sleep 1003",
    ],
)
def test_closing_leaves_nothing(container: Container, script: str) -> None:
    """Whatever the program does about ^C and TERM, and whatever it has started."""
    terminal = container.terminal("sh", "-c", f"echo ready; {script}")
    read_until(terminal, b"ready")
    terminal.close()
    assert gone(container, "1003")
    terminal.close()


def test_closing_before_anything_was_read(container: Container) -> None:
    """It is the same."""
    container.terminal("sleep", "1004").close()
    assert gone(container, "1004")


def test_writing_to_what_has_ended(container: Container) -> None:
    """It may be lost, and breaks nothing but this."""
    with container.terminal("true") as terminal:
        while terminal.read(1) != b"":
            pass
        for _ in range(3):
            try:
                terminal.write(b"hello\r")
            except StackFailed:
                break


def test_ccapi_is_killed(container: Container) -> None:
    """The program ends by itself when its time is over."""
    code = (
        "import os; from ccapi.stack.engine import Engine; from ccapi.stack.container import Container\n"
        f"Container(Engine(dict(os.environ), {NAME!r})).terminal('sleep', '1005', timeout=10)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=DEADLINE, check=False)
    assert running(container, "1005"), "it was really left behind"
    assert gone(container, "1005")


def test_the_container_ends(engine: Engine) -> None:
    """The terminal is at its end, and to ask for the exit code is an error of ours or none."""
    name = f"{NAME}-ends"
    docker("run", "--detach", "--init", f"--name={name}", IMAGE, "sleep", "infinity")
    try:
        terminal = Container(engine, name).terminal("sh", "-c", "echo ready; sleep 1006")
        read_until(terminal, b"ready")
        docker("kill", name)
        deadline = time.monotonic() + DEADLINE
        while terminal.read(0.2) != b"":
            assert time.monotonic() < deadline
        with contextlib.suppress(StackFailed):
            assert terminal.exit_code() in {None, 137}
        terminal.close()
    finally:
        docker("rm", "--force", name)

"""The small process that is the proxy while nobody uses it, with a stand-in for the server that it starts."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccapi.oauth import log as proxy_log
from ccapi.oauth import ownport
from tests.oauth.proxyprocess import (
    DEADLINE,
    Gateway,
    Proxy,
    alive,
    ask,
    children,
    refuses,
    until,
)

END = 12.0  # seconds: the promise is two, on a machine that does nothing else; a server that is left alone takes 60


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    return Proxy(tmp_path)


def test_it_listens_on_this_machine_only(proxy: Proxy) -> None:
    """On 127.0.0.1 and on ::1, before it says so, and on no address that another machine could reach."""
    with proxy.started():
        assert int(ask(proxy.port))
        assert int(ask(proxy.port, "::1"))
        table = Path("/proc/net/tcp").read_text("ascii") + Path("/proc/net/tcp6").read_text("ascii")
        rows = [line.split() for line in table.splitlines() if ":" in line]
        listening = {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and _port(row[1]) == proxy.port}
        assert listening == {"0100007F", "00000000000000000000000001000000"}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def test_a_server_runs_only_while_it_is_needed(tmp_path: Path) -> None:
    """None before the first connection, one for it, none when that has ended, and another for the next."""
    proxy = Proxy(tmp_path, idle=60)
    with proxy.started() as process:
        proxy.said("Started on port")
        assert children(process.pid) == []
        first = int(ask(proxy.port))
        assert children(process.pid) == [first]
        proxy.set_idle(0.2)
        assert int(ask(proxy.port)) == first
        until(lambda: not children(process.pid), "the idle server ends")
        second = int(ask(proxy.port))
        assert second != first
        assert process.poll() is None


def test_no_connection_is_lost_when_a_server_ends(tmp_path: Path) -> None:
    """Not one of those that arrive while a dozen servers end, one after another, the moment they have answered."""
    proxy = Proxy(tmp_path, idle=0)
    seen: set[int] = set()

    def ask_on() -> None:
        while len(seen) < 12:
            seen.add(int(ask(proxy.port)))

    with proxy.started(), ThreadPoolExecutor(2) as pool:
        for asking in [pool.submit(ask_on), pool.submit(ask_on)]:
            asking.result(DEADLINE * 3)


def test_a_login_in_the_container_starts_the_server(proxy: Proxy) -> None:
    """The gateway is asked with the stack secret, under a name of loopback, and kept waiting for the answer."""
    proxy.secret.write_text("s3cret\n")
    with Gateway(proxy.config.gateway_port).serving() as gateway, proxy.started() as process:
        proxy.said("is asked for logins")
        assert children(process.pid) == []
        ((line, headers),) = gateway.seen
        assert line == "GET /internal/v1/logins?wait=240 HTTP/1.1"
        assert headers["Authorization"] == "Bearer s3cret"
        assert headers["Host"] == f"localhost:{gateway.port}"
        gateway.reported.set()
        until(lambda: children(process.pid), "a server is started")


def test_the_question_is_asked_again(proxy: Proxy) -> None:
    """As soon as the gateway says that there was none (204)."""
    proxy.secret.write_text("s3cret")
    gateway = Gateway(proxy.config.gateway_port)
    gateway.statuses = [204] * 5
    with gateway.serving(), proxy.started() as process:
        until(lambda: len(gateway.seen) == 6, "the sixth question")
        assert children(process.pid) == []


def test_a_gateway_that_comes_late(proxy: Proxy) -> None:
    """Neither it nor the secret need be there at the start; what is the matter is said once."""
    with proxy.started():
        proxy.said("there is no stack secret yet")
        proxy.secret.write_text("first")
        proxy.said("cannot be asked for logins: Connection refused")
        gateway = Gateway(proxy.config.gateway_port)
        gateway.secret = "second"
        with gateway.serving():
            proxy.said("does not know this stack's secret")
            proxy.secret.write_text("second")
            text = proxy.said("is asked for logins")
            assert gateway.seen[-1][1]["Authorization"] == "Bearer second"
    assert text.count("Connection refused") == 1


@pytest.mark.parametrize("prelude", ["sys.exit(7)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_server_that_fails_is_started_again(tmp_path: Path, prelude: str) -> None:
    """Not at once, and the log says why; the connection that it was started for is answered by the next one."""
    mark = tmp_path / "mark"
    once = f"if not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w').close()\n    {prelude}"
    proxy = Proxy(tmp_path, prelude=once)
    with proxy.started():
        assert int(ask(proxy.port))
    reason = "exit code 7" if "exit" in prelude else "signal 9"
    assert f"The server failed ({reason}); the next one may start in 0.5 s" in proxy.log.read_text()


def test_who_waits_for_a_server_that_only_fails_is_turned_away(tmp_path: Path) -> None:
    """As after ccapi was removed: a browser does not wait for ever, nor is there a failure for each that has left."""
    mark = tmp_path / "all are connected"
    fails = f"import time\nwhile not os.path.exists({str(mark)!r}): time.sleep(0.01)\nsys.exit(1)"
    proxy = Proxy(tmp_path, prelude=fails)
    with proxy.started():
        waiting = [socket.create_connection((host, proxy.port), DEADLINE) for host in ("127.0.0.1", "::1", "127.0.0.1")]
        mark.touch()
        assert [each.recv(1) for each in waiting] == [b"", b"", b""]
        for each in waiting:
            each.close()
        time.sleep(1.5)  # longer than the pause
        assert proxy.log.read_text().count("The server failed") == 2


def test_what_a_server_says_is_in_the_log(tmp_path: Path) -> None:
    """Both of its streams, so that a traceback is not lost."""
    proxy = Proxy(tmp_path, prelude="sys.stdout.write('to stdout\\n'); sys.stderr.write('to stderr\\n')")
    with proxy.started():
        ask(proxy.port)
        proxy.said("to stdout")
        proxy.said("to stderr")


def test_without_a_log_file(tmp_path: Path) -> None:
    """All of it is on standard error, and standard output has the two lines only."""
    proxy = Proxy(tmp_path, log_file=None, prelude="os.write(1, b'to stdout')")
    with proxy.started() as process:
        ask(proxy.port)
        process.terminate()
        stdout, stderr = process.communicate(timeout=END)
    assert stdout == b""
    assert b"Started on port" in stderr
    assert b"to stdout" in stderr
    assert stderr.endswith(b" Ended\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("prelude", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_it_ends_when_it_is_told_to(tmp_path: Path, number: int, prelude: str) -> None:
    """Within about two seconds, and its server with it, even one that does not listen to that."""
    proxy = Proxy(tmp_path, prelude=prelude, idle=60)
    with proxy.started() as process:
        server = int(ask(proxy.port))
        process.send_signal(number)
        assert process.wait(END) == 0
        assert not alive(server)
        assert refuses(proxy.port)


def test_it_ends_while_it_is_idle(proxy: Proxy) -> None:
    """And while a server that fails is not started again yet."""
    with proxy.started() as process:
        process.terminate()
        assert process.wait(END) == 0


def test_it_ends_while_a_failed_server_is_waited_for(tmp_path: Path) -> None:
    """The pause after a failure is no reason to wait."""
    proxy = Proxy(tmp_path, prelude="sys.exit(1)")
    with proxy.started() as process:
        for seconds in ("0.5", "1", "2", "4"):
            with socket.create_connection(("127.0.0.1", proxy.port)):
                proxy.said(f"start in {seconds} s")
        process.terminate()
        assert process.wait(END) == 0


def test_a_terminal_that_closes_does_not_end_it(proxy: Proxy) -> None:
    """SIGHUP means nothing to it."""
    with proxy.started() as process:
        proxy.said("Started on port")
        process.send_signal(signal.SIGHUP)
        assert int(ask(proxy.port))
        assert process.poll() is None


def test_a_server_does_not_outlive_it(tmp_path: Path) -> None:
    """Not even when it is killed; and the port can be had again at once."""
    proxy = Proxy(tmp_path, idle=60)
    with proxy.started() as process:
        server = int(ask(proxy.port))
        process.kill()
        process.wait()
        with proxy.started():
            assert int(ask(proxy.port)) != server
        until(lambda: not alive(server), "the orphan ends")


def test_one_on_a_port(proxy: Proxy) -> None:
    """The second says that it runs, which is no failure, and leaves the first alone."""
    with proxy.started() as process:
        proxy.said("Started on port")
        second = proxy.run()
        assert (second.returncode, second.stdout) == (0, "")
        assert second.stderr == f"The OAuth proxy already runs on port {proxy.port} (PID {process.pid})\n"
        assert int(ask(proxy.port))


def test_a_lock_that_was_left_behind_means_nothing(proxy: Proxy) -> None:
    """Whatever is in it: only a process holds a lock."""
    proxy.file.with_suffix(".lock").write_text('{"pid": 1, "config": {}}')
    with proxy.started():
        assert int(ask(proxy.port))


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_busy_port(proxy: Proxy, family: socket.AddressFamily, address: str) -> None:
    """Exit code 1, its owner, and three ways out; no other port is taken. Either address is enough."""
    with socket.create_server((address, proxy.port), family=family):
        done = proxy.run()
    assert (done.returncode, done.stdout) == (1, "")
    first, stop, for_good, once = done.stderr.splitlines()
    assert first.startswith(f"error: port {proxy.port}, which the OAuth proxy listens on, is in use by ")
    assert first.endswith(f"(PID {os.getpid()})")
    assert stop == f"  Stop that program: kill {os.getpid()}"
    assert "ccapi config set oauth.port " in for_good
    assert "CCAPI_OAUTH_PORT=" in once


def test_a_port_that_jupyter_has(proxy: Proxy, tmp_path: Path) -> None:
    """8888 is its default too, so it is the likeliest one to be met."""
    jupyter = tmp_path / "jupyter-lab"
    jupyter.write_text("import socket, sys; it = socket.create_server(('127.0.0.1', int(sys.argv[1]))); input()")
    with subprocess.Popen([sys.executable, jupyter, str(proxy.port)], stdin=subprocess.PIPE) as process:
        until(lambda: not refuses(proxy.port), "the other program listens")
        done = proxy.run()
        process.kill()
    assert f"It is Jupyter's default port, too. Stop that: kill {process.pid}" in done.stderr


def test_a_port_that_may_not_be_had() -> None:
    """The reason of the system, and the same ways out. (The tests may run as root, who may have every port.)"""
    error = ownport.explained(80, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert error.message == "the OAuth proxy cannot listen on port 80: Permission denied"
    assert "ccapi config set oauth.port 8888" in (error.hint or "")


def test_a_configuration_that_cannot_be_read(proxy: Proxy) -> None:
    """One line, and no traceback."""
    proxy.file.write_text("{}")
    done = proxy.run()
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_streams_that_were_closed(proxy: Proxy) -> None:
    """A socket does not get the number of standard input, which the server reads."""
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *proxy.command]
    with subprocess.Popen(shell, cwd=Path(__file__).parent.parent.parent) as process:
        until(lambda: not refuses(proxy.port), "it listens")
        assert int(ask(proxy.port))
        process.terminate()
        assert process.wait(END) == 0


def test_the_log_stays_small(tmp_path: Path) -> None:
    """Three files of one megabyte; nobody else may read them; a line of somebody else cannot begin a new one."""
    file = tmp_path / "log" / "proxy.log"
    file.parent.mkdir()
    say = proxy_log.Log(str(file))
    say("first\nsecond \x1b[31m")
    assert file.read_text().splitlines()[0].endswith(" first second  [31m")
    for _ in range(4):
        file.write_bytes(b"x" * (proxy_log.LARGEST + 1))
        say("next")
    names = sorted(each.name for each in file.parent.iterdir())
    assert names == ["proxy.log", "proxy.log.1", "proxy.log.2"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_size < 100


def test_many_write_to_the_log(tmp_path: Path) -> None:
    """Lines of several processes stay whole, also while the files change places."""
    file = tmp_path / "log" / "proxy.log"
    file.parent.mkdir()
    file.write_bytes(b"x" * (proxy_log.LARGEST - 5000) + b"\n")
    code = "import sys; from ccapi.oauth.log import Log; say = Log(sys.argv[1]); [say('y' * 50) for _ in range(200)]"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file)]) for _ in range(3)]
    assert [each.wait() for each in writers] == [0, 0, 0]
    lines = [line for each in sorted(file.parent.iterdir()) for line in each.read_text().splitlines() if "y" in line]
    assert len(lines) == 600
    assert all(line.endswith(" " + "y" * 50) for line in lines)


def test_it_says_its_lines_to_nobody(proxy: Proxy) -> None:
    """A reader that left is no reason to fail."""
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(proxy.command, stdout=write, cwd=Path(__file__).parent.parent.parent) as process:
        os.close(write)
        until(lambda: not refuses(proxy.port), "it listens")
        process.terminate()
        assert process.wait(END) == 0

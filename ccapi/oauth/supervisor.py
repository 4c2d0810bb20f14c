"""The process that is the OAuth proxy while nobody uses it: it holds the sockets, as inetd did, and little memory.

`python -m ccapi.oauth.supervisor --config FILE [--detach]` listens on the proxy's port and asks the gateway for logins
that begin in the container. When a connection arrives (it stays in the sockets' backlog), or a login, it starts the
server (`ccapi.oauth.server`), which inherits the sockets, answers, and ends when nobody needs it any more.

Standard library only, and of that only what is small.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress

from ccapi.oauth import config as proxy_config
from ccapi.oauth import log, ownport, worker
from ccapi.oauth.config import ProxyConfig
from ccapi.oauth.instance import Lock, running
from ccapi.oauth.quiet import Gateway
from ccapi.oauth.worker import Worker

_STDOUT, _STDERR = 1, 2
_SOONEST, _LATEST = 0.5, 10.0  # seconds until a server that failed is started again


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when it was told to end, or runs already; 1 when it cannot start."""
    file = arguments[arguments.index("--config") + 1]
    return supervise(file, worker.SERVER, detach="--detach" in arguments)


def supervise(file: str, server: Sequence[str], *, detach: bool = False) -> int:
    """Be the proxy that `file` describes. `server` is the command of the server, without its arguments.

    `detach`: return as soon as it listens, and go on in another process with a session of its own.
    """
    _have_standard_streams()
    try:
        config = proxy_config.load(file)
        lock = Lock(lock_file(file))
        if not lock.take():
            return _already(file, config)
    except (OSError, ValueError) as error:
        return _fail(error)
    try:
        listening = ownport.listen(config.port)
    except OSError as error:
        return _fail(ownport.explained(config.port, error))
    arguments = ["--config", file, "--sockets", ",".join(str(each.fileno()) for each in listening)]
    supervisor = _Supervisor(config, listening, Worker([*server, *arguments], listening, config.log_file))
    supervisor.heed_signals()
    lock.sign(config)
    _say(_STDOUT, f"Starting OAuth Proxy on port {config.port}\nOAuth callback URL: {config.callback_url}")
    if detach:
        if os.fork():
            return 0  # what is held is the child's as well
        os.setsid()
        lock.sign(config)
    if config.log_file:
        _close_standard_streams()
    supervisor.run()
    return 0


def lock_file(config_file: str) -> str:
    """The lock that belongs to a configuration file."""
    return f"{config_file.removesuffix('.json')}.lock"


class _Supervisor:
    """Waits for what the server is needed for; while the server runs, for its end; and at any time for a signal."""

    def __init__(self, config: ProxyConfig, listening: Sequence[socket.socket], server: Worker) -> None:
        self._port = config.port
        self._sockets = listening
        self._listening = [each.fileno() for each in listening]
        self._server = server
        self._log = log.Log(config.log_file)
        self._gateway = Gateway(config, self._log)
        self._wakeup = -1
        self._told = False  # to end
        self._pause = 0.0  # seconds, after a server that failed

    def heed_signals(self) -> None:
        """From now on each of them writes a byte into a pipe, and so ends any waiting."""
        self._wakeup, write = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is none of our business
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._be_told)

    def run(self) -> None:
        """Until a signal asks for the end."""
        self._log(f"Started on port {self._port} (PID {os.getpid()})")
        while not self._told:
            if self._server.runs:
                self._wait([])
                self._look_after_server()
            elif self._is_needed():
                self._start()
        self._server.end(lambda seconds: bool(self._wait([], seconds)))
        self._log("Ended")

    def _be_told(self, _number: int, _frame: object) -> None:
        self._told = True

    def _is_needed(self) -> bool:
        """Wait for a connection or a login. False: a signal came, or nothing yet."""
        with closing(self._gateway.wait_for_login()) as waiting:
            try:
                wait = next(waiting)
                while True:
                    watched = [(each, select.POLLIN) for each in self._listening]
                    if wait.descriptor >= 0:
                        watched.append((wait.descriptor, wait.events))
                    ready = self._wait(watched, wait.until - time.monotonic())
                    if self._wakeup in ready:
                        return False
                    if not ready.isdisjoint(self._listening):
                        return True
                    if wait.descriptor in ready or time.monotonic() >= wait.until:
                        wait = waiting.send(wait.descriptor in ready)
            except StopIteration:
                return True

    def _wait(self, watched: Sequence[tuple[int, int]], seconds: float | None = None) -> set[int]:
        """Those of the descriptors that are ready; the wake-up's is always among those waited for."""
        poll = select.poll()
        for descriptor, events in [(self._wakeup, select.POLLIN), *watched]:
            poll.register(descriptor, events)
        ready = poll.poll(None if seconds is None else max(0, math.ceil(seconds * 1000)))
        with suppress(BlockingIOError):
            os.read(self._wakeup, 1024)
        return {descriptor for descriptor, _ in ready}

    def _start(self) -> None:
        try:
            self._server.start()
        except OSError as error:
            self._recover(f"The server cannot be started: {error}")

    def _look_after_server(self) -> None:
        code = self._server.ended()
        if code == 0:
            self._pause = 0.0
        elif code is not None:
            self._recover(f"The server failed ({f'signal {-code}' if code < 0 else f'exit code {code}'})")

    def _recover(self, what: str) -> None:
        self._pause = min(max(self._pause * 2, _SOONEST), _LATEST)
        self._log(f"{what}; the next one may start in {self._pause:g} s")
        if self._pause > _SOONEST:  # it is not the first one that fails
            self._turn_away()
        until = time.monotonic() + self._pause
        while not self._told and (left := until - time.monotonic()) > 0:
            self._wait([], left)

    def _turn_away(self) -> None:
        """Who is connected hears that nobody is here, rather than nothing; nor need another server fail for them."""
        for listener in self._sockets:
            with suppress(OSError):  # nobody else waits, or has left again
                while True:
                    listener.accept()[0].close()


def _already(file: str, config: ProxyConfig) -> int:
    other = running(lock_file(file))
    _say(_STDERR, f"The OAuth proxy already runs on port {config.port}{f' (PID {other.pid})' if other else ''}")
    return 0


def _fail(error: Exception) -> int:
    """This process shows its failures itself, as the command line would."""
    hint = getattr(error, "hint", None) or ""
    _say(_STDERR, "\n  ".join([f"error: {error}", *hint.splitlines()]))
    return 1


def _say(descriptor: int, text: str) -> None:
    with suppress(OSError):  # a proxy goes on, whether or not somebody reads its first lines
        os.write(descriptor, f"{text}\n".encode())


def _have_standard_streams() -> None:
    """A stream that was closed would otherwise be the number of the first socket."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)


def _close_standard_streams() -> None:
    """Whoever started us and reads them is done with that; from here on there is the log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(_STDERR + 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Running the real command: `ccapi` as a child process, in a pipe or on a pseudo-terminal, awaited by events only."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import termios
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import httpx

import ccapi
from ccapi.errors import CcapiError
from ccapi.wire import envelope
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
)
from ccapi.wire.responseitems import response_object
from ccapi.wire.responses import Encoder, sse

ROOT = Path(ccapi.__file__).parent.parent
SGR = re.compile(r"\x1b\[[0-9;]*m")
# All that the live area uses: colours, links, cursor, margin, erasure, the marks of a synchronized update.
OWN = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\]8;;[^\x00-\x1f\x7f-\x9f]*\x1b\\|\x1b\[\?(?:25|7|2026)[hl]|\x1b\[\d*[ABJK]|\x1b[78]|\r"
)
DEADLINE = 60  # seconds: what anything in these tests may take on a busy machine
_A_MINUTE = b"seq 60"  # in every scripted command that takes a minute
_EXITING = 0x4  # PF_EXITING of linux/sched.h
# SIGINT may be ignored in whatever runs the tests (`make test &`), and children would inherit that. Standard input
# becomes the controlling terminal if it is one, so that Ctrl-C in it is a SIGINT.
_LAUNCH = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def command(*args: str) -> list[str]:
    """`ccapi` with these arguments, as the interpreter of the tests runs it."""
    return [sys.executable, "-m", "ccapi", *args]


def clean_environ(home: Path, **extra: str) -> dict[str, str]:
    """An environment in which nothing of the person who runs the tests is seen. `home` need not exist."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CCAPI_HOME": str(home / "ccapi"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "CCAPI_NO_UPDATE_CHECK": "1",
        **extra,
    }


# Below what a system gives to whoever asks for any port (Linux: from 32768), so that nobody gets one of them meanwhile.
_PORTS = iter(random.sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """One that nobody has at this moment, and that is not given a second time."""
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("all ports are given")


@contextmanager
def filled(data: bytes) -> Iterator[int]:
    """The end for reading of a pipe with that in it (64 KiB at most) and no more: whoever reads it waits for nobody."""
    assert len(data) <= 64 * 1024
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb", buffering=0) as end:
            end.write(data)
        yield reading
    finally:
        os.close(reading)


class Cli:
    """Runs `ccapi` in `directory`, with a home of its own in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ = clean_environ(directory / "home")

    def run(
        self, *args: str, stdin: str | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """To its end. Without `stdin` there is nothing to read. Line ends are left as they are."""
        with filled((stdin or "").encode()) as pipe:
            done = subprocess.run(
                command(*args),
                cwd=self.directory,
                env={**self.environ, **(environ or {})},
                stdin=pipe,
                capture_output=True,
                timeout=DEADLINE,
                check=False,
            )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def start(self, *args: str, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """In the background, its output in pipes; killed at the end of the block if it still runs."""
        with subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *command(*args)],
            cwd=self.directory,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def terminal(
        self, *args: str, environ: Mapping[str, str] | None = None, columns: int = 80
    ) -> AbstractContextManager[Terminal]:
        """On a pseudo-terminal of 24 lines; killed at the end of the block if it still runs."""
        return on_terminal(command(*args), {**self.environ, **(environ or {})}, self.directory, columns=columns)


class Terminal:
    """What a program writes to its terminal, and what is typed into it.

    `before`: how the terminal was set when the program got it, as `modes` has it.
    """

    def __init__(self, process: subprocess.Popen[bytes], fd: int, before: list[Any]) -> None:
        self.process = process
        self.before = before
        self._fd = fd
        self.raw = b""

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._fd)

    @property
    def text(self) -> str:
        """All that was written so far, without the line discipline's own carriage returns."""
        return self.raw.decode("utf-8").replace("\r\n", "\n")

    def type(self, keys: bytes) -> None:
        """Ctrl-C once the program waits for something, as it does when a person comes to type it.

        A signal between Python's last look for one and a wait in the kernel is noticed only when that wait is over.
        """
        if b"\x03" in keys:
            _await_rest(self.process.pid)
        os.write(self._fd, keys)

    @property
    def typed_ahead(self) -> int:
        """The bytes of whole lines that nobody has read yet. The system takes its time with what is typed."""
        found = array.array("i", [0])
        theirs = os.open(f"/proc/{self.process.pid}/fd/0", os.O_RDONLY | os.O_NOCTTY)
        try:
            fcntl.ioctl(theirs, termios.FIONREAD, found)
        finally:
            os.close(theirs)
        return found[0]

    def read_until(self, wanted: str) -> str:
        """Read until `wanted` was written; fails at the end of the output or after the deadline."""
        deadline = time.monotonic() + DEADLINE
        while wanted.encode() not in self.raw:
            assert self._read(deadline), f"{wanted!r} never came; there was: {self.raw!r}"
        return self.text

    def read_all(self) -> str:
        """Read to the end of the output, then wait for the process."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        self.process.wait(DEADLINE)
        return self.text

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came in time; there was: {self.raw!r}"
        try:
            chunk = os.read(self._fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux: how a terminal says that its last writer has gone
                raise
            return False
        self.raw += chunk
        return bool(chunk)


def _await_rest(pid: int) -> None:
    """Until the process is asleep several times in a row; not for long, as one that works takes signals anyway."""
    deadline, found = time.monotonic() + 2, 0
    while found < 3 and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # it has ended
            asleep = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] == "S"
            found = found + 1 if asleep else 0
        time.sleep(0.01)


def plain(text: str) -> str:
    """What is left when everything that the live area may send is taken away."""
    return OWN.sub("", text)


@contextmanager
def on_terminal(
    program: Sequence[str], environ: Mapping[str, str], directory: Path, *, columns: int = 80
) -> Iterator[Terminal]:
    """Any program on a pseudo-terminal of 24 lines; killed at the end of the block if it still runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *program],
            cwd=directory,
            env={"TERM": "xterm-256color", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    try:
        yield Terminal(process, ours, before)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def read_line(stream: Any, what: str) -> str:
    """The next line of a pipe, whatever it takes up to the deadline."""
    ready, _, _ = select.select([stream], [], [], DEADLINE)
    assert ready, f"{what} never came"
    return str(stream.readline().decode("utf-8")).rstrip("\n")


class Gateway:
    """A running gateway: `ccapi gateway`, as a user starts it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path, workspace: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.workspace = workspace

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def chat(self, prompt: str) -> str:
        """The content of a non-streamed answer."""
        body = {"model": "sonnet", "messages": [{"role": "user", "content": prompt}]}
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            document = client.post(f"{self.url}/v1/chat/completions", json=body).raise_for_status().json()
        return str(document["choices"][0]["message"]["content"])

    def runs(self) -> int:
        """How many runs have ended, by the gateway's own count."""
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            metrics = client.get(f"{self.url}/metrics").raise_for_status().text
        return sum(int(float(value)) for value in re.findall(r"(?m)^ccapi_runs_total\{.*\} (.+)$", metrics))

    def claude_pids(self) -> list[int]:
        """The `claude` processes in this gateway's workspace that run a command of a minute, as soon as there is one.

        Others wait there for a question, and run `git` of their own accord when they start. (And other tests may run
        others.)
        """
        deadline = time.monotonic() + DEADLINE
        while not (working := [pid for pid in claude_pids(self.workspace) if _A_MINUTE in _commands(pid)]):
            assert time.monotonic() < deadline, "no tool runs"
            time.sleep(0.01)
        return working


def claude_pids(directory: Path) -> list[int]:
    """The `claude` processes whose current directory is `directory` or lies in it, and that go on."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = Path(os.fsdecode((entry / "cmdline").read_bytes().split(b"\0")[0])).name
            cwd = (entry / "cwd").readlink()
            if name == "claude" and cwd.is_relative_to(directory) and not is_dying(entry):
                found.append(int(entry.name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def is_dying(process: Path) -> bool:
    """Whether a process (its directory in /proc) was killed, and only waits for the processor to end. Raises `OSError`.

    Whoever sends a signal that ends a process has it in the list of the pending ones as SIGKILL, whichever it was.
    """
    status = (process / "status").read_text("ascii", "replace")
    pending = [int(mask, 16) for mask in re.findall(r"(?m)^(?:Sig|Shd)Pnd:\s*(\w+)$", status)]
    flags = int((process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[6])
    return bool(flags & _EXITING) or any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending)


def _commands(pid: int) -> bytes:
    """The command lines of the child processes of all threads of a process, as far as they are still there."""
    found = b""
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text("ascii").split():
                found += Path(f"/proc/{child}/cmdline").read_bytes()
    return found


def interrupted(waited: float) -> str:
    """A pattern for what is said of a run that was interrupted so many seconds ago.

    `ccapi ask` waits four seconds for its end, and a gateway on a busy machine may need longer.
    """
    told = r"the gateway was told to end the run, and does not answer: response \S+, session \S+"
    return f"interrupted; (?:the run was ended{f'|{told}' if waited >= 4 else ''})\n"


def ended(pid_descriptors: list[int]) -> bool:
    """Whether all these processes (of `os.pidfd_open`) end long before a minute is over. Closes the descriptors."""
    deadline = time.monotonic() + 30
    waiting = list(pid_descriptors)
    try:
        while waiting:
            ready, _, _ = select.select(waiting, [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return False
            waiting = [descriptor for descriptor in waiting if descriptor not in ready]
    finally:
        for descriptor in pid_descriptors:
            os.close(descriptor)
    return True


@contextmanager
def gateway(directory: Path, *args: str, **environ: str) -> Iterator[Gateway]:
    """`ccapi gateway ARGS` on a free port, in a new directory; ends with SIGTERM, and must end with 0."""
    workspace, log = directory / "workspace", directory / "gateway.log"
    workspace.mkdir(parents=True)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command("gateway", "--port=0", f"--workspace={workspace}", *args),
            cwd=directory,
            env=clean_environ(directory / "home", **environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        line = read_line(process.stdout, "the gateway's first line")
        assert line.startswith("Gateway on http://127.0.0.1:"), line or log.read_text("utf-8")
        yield Gateway(process, int(line.rpartition(":")[2]), log, workspace)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(DEADLINE)
        if process.stdout:
            process.stdout.close()
    assert code == 0, log.read_text("utf-8")
    assert claude_pids(workspace) == []


class Relay:
    """Passes connections on to a port, and breaks each off after so many bytes of what comes back."""

    def __init__(self, port: int, *, cut_after: int) -> None:
        self.connections = 0
        self._target = port
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # or `accept` would go on
        self._listener.close()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            self._start(self._pass, client, server, 1 << 30)
            self._start(self._pass, server, client, self._cut_after)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, limit: int) -> None:
        with source, target, contextlib.suppress(OSError):
            while limit > 0 and (data := source.recv(min(limit, 65536))):
                target.sendall(data)
                limit -= len(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)  # the other direction ends as well


class FakeAnswer:
    """The stream of a response, made piece by piece; `frames` are all of its events so far."""

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    ID = "resp_0123456789abcdef"
    SESSION = "6f1c7a52-3c1b-4e0e-9a53-0c8f4f0f9d11"

    def __init__(self) -> None:
        self._encoder = Encoder(response_object(self.ID, "sonnet", background=True))
        self.frames: list[bytes] = []

    def begin(self) -> bytes:
        """The head of the HTTP response, and how a run begins."""
        return self.HEAD + self._made([
            *self._encoder.begin(),
            *self._encoder.feed([RunStarted(self.SESSION, "claude-sonnet"), MessageStarted("msg_1")]),
        ])  # fmt: skip

    def text(self, text: str) -> bytes:
        """An event that adds `text` to the answer."""
        return self._made(self._encoder.feed([TextDelta("msg_1", text)]))

    def end(self) -> bytes:
        events: list[RunEvent] = [MessageFinished("msg_1"), RunFinished(self.SESSION, "stop", Usage(3, 4), 0.25, 1, 99)]
        return self._made(self._encoder.feed(events))

    def fail(self, error: CcapiError) -> bytes:
        return self._made(self._encoder.feed([RunFailed(error)]))

    def whole(self, text: str) -> bytes:
        return self.begin() + self.text(text) + self.end()

    def after(self, number: int) -> bytes:
        """What a client gets that has seen the events up to that number."""
        return self.HEAD + b"".join(self.frames[number + 1 :])

    def _made(self, events: list[dict[str, Any]]) -> bytes:
        frames = [sse([event]).encode() for event in events]
        self.frames += frames
        return b"".join(frames)


class Received(NamedTuple):
    """A request as it came."""

    line: str  # method and target
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def starting_after(self) -> int:
        return int(parse_qs(urlsplit(self.line.split()[1]).query)["starting_after"][0])


class FakeGateway:
    """A listener that answers each request with whatever bytes a test wants: what a gateway never sends."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = f"[{host}]" if ":" in host else host
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.settimeout(DEADLINE)
        self.port = int(self._listener.getsockname()[1])
        self.received: list[Received] = []

    def close(self) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def lines(self) -> list[str]:
        """Method and target of all requests so far."""
        return [received.line for received in self.received]

    @contextmanager
    def request(self) -> Iterator[socket.socket]:
        """The connection of the next request, after all of that was read; closed at the end of the block."""
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            line, *fields = head.decode("ascii").split("\r\n")
            headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            while len(body) < int(headers.get("content-length", 0)):
                body += connection.recv(65536)
            self.received.append(Received(line.removesuffix(" HTTP/1.1"), headers, body))
            yield connection

    def answer(self, text: str) -> None:
        """Answer the next request with this text, completely."""
        with self.request() as connection:
            connection.sendall(FakeAnswer().whole(text))

    def cancelled(self) -> None:
        """The next request must cancel the response, and is told that it did."""
        with self.request() as connection:
            assert self.lines[-1] == f"POST /v1/responses/{FakeAnswer.ID}/cancel"
            connection.sendall(self.document({"id": FakeAnswer.ID, "status": "cancelled"}))

    @classmethod
    def refusal(cls, error: CcapiError) -> bytes:
        """An HTTP response that is the status and the envelope of that error."""
        return cls.document(envelope.dump(error), error.status)

    @staticmethod
    def document(value: Any, status: int = 200) -> bytes:
        """An HTTP response that is one JSON document."""
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} Some Reason\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + body


def built(directory: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it, in `directory`: what an upload to an index would be."""
    build = [sys.executable, "-P", "-m", "build", "--no-isolation", f"--outdir={directory}", str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=DEADLINE, cwd=directory, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return sdist, wheel


def installed(wheel: Path, directory: Path) -> Path:
    """The `bin` of a new virtual environment with this wheel in it; the dependencies are those of the tests' own.

    Nothing of the checkout is seen from there: a `.pth` file in a directory that a `.pth` file adds has no effect, so
    the editable install of the tests' environment stays out.
    """
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    (packages,) = directory.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return directory / "bin"

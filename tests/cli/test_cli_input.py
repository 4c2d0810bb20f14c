"""What `ccapi ask` asks: argument, files, and standard input of every kind. The request says what arrived."""

from __future__ import annotations

import array
import base64
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from ccapi.cli.asking.standardinput import GRACE
from ccapi.wire import media
from tests.cli.support import DEADLINE, ROOT, Cli, FakeGateway, command, filled
from tests.gateway.harness import gateway
from tests.oauth.proxyprocess import until

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"
LATE = "nothing came on standard input within 2 s, so it is not part of the question (to wait for it: -f -)"


def png() -> bytes:
    """A picture of one black pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@contextmanager
def running(cli: Cli, line: Sequence[str | bytes], *, stdin: int | IO[Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Any program, with that as its standard input; killed at the end of the block if it still runs."""
    with subprocess.Popen(
        line, cwd=cli.directory, env=cli.environ, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def asking(
    cli: Cli, fake: FakeGateway, *args: str, stdin: int | IO[Any]
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """`ccapi ask ARGS`, with that as its standard input."""
    return running(cli, command("ask", "--port", str(fake.port), *args), stdin=stdin)


def parts(fake: FakeGateway) -> list[dict[str, Any]]:
    """What was asked at last."""
    (message,) = fake.received[-1].document["input"]
    assert message["role"] == "user"
    content: list[dict[str, Any]] = message["content"]
    return content


def texts(fake: FakeGateway) -> list[str]:
    return [part["text"] for part in parts(fake)]


def answered(process: subprocess.Popen[bytes], fake: FakeGateway) -> str:
    """Let it have its answer; what it then has said on standard error."""
    fake.answer("Aha.")
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout) == (0, b"Aha.\n"), stderr
    return stderr.decode()


def ask(cli: Cli, fake: FakeGateway, *args: str, stdin: bytes | None = None) -> list[dict[str, Any]]:
    """The parts of what is asked; `stdin` None: there is nothing to read."""
    with ExitStack() as stack:
        source = subprocess.DEVNULL if stdin is None else stack.enter_context(filled(stdin))
        process = stack.enter_context(asking(cli, fake, *args, stdin=source))
        assert answered(process, fake) == ""
    return parts(fake)


def refused(cli: Cli, *args: str, stdin: str | None = None, code: int = 2) -> list[str]:
    """What is said of a question that is not sent: to a port at which nobody listens."""
    done = cli.run("ask", "--port", "9", *args, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    return done.stderr.removeprefix("error: ").splitlines()


def text(value: str) -> dict[str, Any]:
    return {"type": "input_text", "text": value}


def unread(descriptor: int) -> int:
    """How many bytes of a pipe nobody has read yet."""
    found = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, found)
    return found[0]


# --- standard input beside a question


def test_the_argument_alone(cli: Cli, fake: FakeGateway) -> None:
    """/dev/null adds nothing, and nothing is said."""
    assert ask(cli, fake, " two\nlines 世界 ") == [text(" two\nlines 世界 ")]


def test_closed_standard_input(cli: Cli, fake: FakeGateway) -> None:
    """As some daemons start their children: it adds nothing, whatever has its number by then."""
    line = ["sh", "-c", 'exec "$@" <&-', "sh", *command("ask", "--port", str(fake.port), "hello")]
    with subprocess.Popen(
        line, cwd=cli.directory, env=cli.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello"]


def test_closed_standard_input_that_is_asked_for(cli: Cli) -> None:
    """It is said that there is none."""
    line = ["sh", "-c", 'exec "$@" <&-', "sh", *command("ask", "-")]
    done = subprocess.run(line, cwd=cli.directory, env=cli.environ, capture_output=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: standard input is closed\n")


def test_a_character_device_is_not_read(cli: Cli, fake: FakeGateway) -> None:
    """/dev/zero has no end."""
    with Path("/dev/zero").open("rb") as zero, asking(cli, fake, "hello", stdin=zero) as process:
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello"]


def test_a_pipe_is_appended(cli: Cli, fake: FakeGateway) -> None:
    """After the question, as a text of its own, as it is; the gateway sets texts apart with an empty line."""
    assert ask(cli, fake, "explain", stdin=b" one\r\ntwo\n\n") == [text("explain"), text(" one\r\ntwo\n\n")]


@pytest.mark.parametrize("stdin", [b"", b" \n\n"])
def test_an_empty_pipe_adds_nothing(cli: Cli, fake: FakeGateway, stdin: bytes) -> None:
    """It is neither waited for nor spoken of."""
    assert ask(cli, fake, "hello", stdin=stdin) == [text("hello")]


def test_a_file_is_appended(cli: Cli, fake: FakeGateway) -> None:
    """`ccapi ask "..." < file`."""
    (cli.directory / "file").write_text("of a file")
    with (cli.directory / "file").open("rb") as file, asking(cli, fake, "hello", stdin=file) as process:
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello", "of a file"]


def test_a_named_pipe_is_appended(cli: Cli, fake: FakeGateway) -> None:
    """`ccapi ask "..." < fifo`."""
    fifo = cli.directory / "fifo"
    os.mkfifo(fifo)
    ends = os.open(fifo, os.O_RDWR)
    os.write(ends, b"through it")
    with fifo.open("rb") as file, asking(cli, fake, "hello", stdin=file) as process:
        os.close(ends)
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello", "through it"]


def test_a_socket_is_appended(cli: Cli, fake: FakeGateway) -> None:
    """inetd, and some SSH servers, give their children one."""
    ours, theirs = socket.socketpair()
    ours.sendall(b"by socket")
    with ours, theirs, asking(cli, fake, "hello", stdin=theirs.fileno()) as process:
        ours.shutdown(socket.SHUT_WR)
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello", "by socket"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_silence_is_not_waited_for(cli: Cli, fake: FakeGateway, kind: str) -> None:
    """An inherited pipe to which nobody writes, and which nobody closes: the question goes out without it."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    with ours, theirs, os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
        with asking(cli, fake, "hello", stdin=pipe if kind == "pipe" else theirs.fileno()) as process:
            assert answered(process, fake) == f"warning: {LATE}\n"
        assert texts(fake) == ["hello"]


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_a_program_is_told_that_it_came_too_late(cli: Cli, fake: FakeGateway, option: str) -> None:
    """The question went out without it: a warning, which --quiet does not silence, and which JSON has as well."""
    with asking(cli, fake, "hello", option, stdin=subprocess.PIPE) as process:
        fake.answer("Aha.")
        assert process.wait(DEADLINE) == 0
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert stderr.decode() == f"warning: {LATE}\n"
    if option == "--json":
        assert json.loads(stdout)["warnings"] == [LATE]


def test_what_has_begun_is_read_to_its_end(cli: Cli, fake: FakeGateway) -> None:
    """However long the rest takes: the time of grace is for the first byte."""
    reading, writing = os.pipe()
    os.write(writing, b"first ")
    with os.fdopen(reading, "rb") as pipe, asking(cli, fake, "hello", stdin=pipe) as process:
        with os.fdopen(writing, "wb", buffering=0) as end:
            until(lambda: not unread(reading), "it reads")
            assert not select.select([fake._listener], [], [], GRACE + 1)[0], "it did not wait"
            end.write(b"last")
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello", "first last"]


def test_a_pipe_that_somebody_made_non_blocking(cli: Cli, fake: FakeGateway) -> None:
    """Node does so to what it shares with its children; it is read all the same."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"first ")
    with os.fdopen(reading, "rb") as pipe, asking(cli, fake, "hello", stdin=pipe) as process:
        with os.fdopen(writing, "wb", buffering=0) as end:
            until(lambda: not unread(reading), "it reads")
            end.write(b"last")
        assert answered(process, fake) == ""
    assert texts(fake) == ["hello", "first last"]


def test_a_piped_image_is_seen(cli: Cli, fake: FakeGateway) -> None:
    """`screenshot | ccapi ask "what is this?"`; what it is, its first bytes say."""
    found = ask(cli, fake, "what is this?", stdin=png())
    assert found == [text("what is this?"), {"type": "input_image", "image_url": data_url("image/png", png())}]


def test_piped_bytes_that_are_nothing(cli: Cli) -> None:
    """No archive becomes a question by accident."""
    (cli.directory / "bytes").write_bytes(b"\x7fELF\2\1\1\0\0")
    with (cli.directory / "bytes").open("rb") as stdin:
        done = subprocess.run(
            command("ask", "hello"), cwd=cli.directory, env=cli.environ, stdin=stdin, capture_output=True, check=False
        )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: standard input cannot be sent: it is none of text in UTF-8")


def test_a_pipe_without_an_end(cli: Cli, fake: FakeGateway) -> None:
    """What can never be sent is not read to its end."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout
        with asking(cli, fake, "hello", stdin=endless.stdout) as process:
            endless.stdout.close()
            _, stderr = process.communicate(timeout=DEADLINE)
        assert endless.wait(DEADLINE) == -signal.SIGPIPE
    assert process.returncode == 2
    assert stderr == b"error: standard input is larger than 2 MB, which is the most for a text\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("args", [["hello"], ["-"], ["hello", "-f", "-"]], ids=" ".join)
def test_a_signal_while_it_is_read(
    cli: Cli, fake: FakeGateway, args: list[str], number: signal.Signals, code: int
) -> None:
    """Nothing was asked, and nothing is said."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as end:
        end.write(b"first")
        with asking(cli, fake, *args, stdin=pipe) as process:
            until(lambda: not unread(reading), "it reads")
            process.send_signal(number)
            _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert fake.received == []


# --- standard input as the question


@pytest.mark.parametrize("args", [[], ["-"]])
def test_the_question_can_be_piped_in(cli: Cli, fake: FakeGateway, args: list[str]) -> None:
    """`-` asks for it; without any prompt there is nothing else that the question could be."""
    assert ask(cli, fake, *args, stdin="\ufeffwhat is\r\n世界?\n".encode()) == [text("what is\r\n世界?\n")]


def test_a_question_that_is_asked_for_is_waited_for(cli: Cli, fake: FakeGateway) -> None:
    """`-` insists, whatever it takes."""
    with asking(cli, fake, "-", stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert not select.select([fake._listener], [], [], GRACE + 1)[0], "it did not wait"
        assert process.poll() is None
        process.stdin.write(b"at last")
        process.stdin.close()
        process.stdin = None
        assert answered(process, fake) == ""
    assert texts(fake) == ["at last"]


def test_silence_is_no_question(cli: Cli, fake: FakeGateway) -> None:
    """Who gave no prompt and has nothing to read waits for nothing; it is said how to insist."""
    with asking(cli, fake, stdin=subprocess.PIPE) as process:
        assert process.wait(DEADLINE) == 2
        _, stderr = process.communicate(timeout=DEADLINE)
    assert stderr.decode().splitlines() == [
        "error: there is no question: nothing came on standard input within 2 s",
        f"  To wait for it: ccapi ask --port {fake.port} -",
    ]


@pytest.mark.parametrize(
    ("args", "stdin", "says"),
    [
        ([], None, "there is no question"),
        ([], " \n", "there is no question"),
        (["-f", "-"], "a file", "there is no question"),
        (["-"], "", "the question is empty"),
        (["-"], "\n \n", "the question is empty"),
        ([""], None, "the question is empty"),
        ([" \t"], "something", "the question is empty"),
        (["-", "-f", "-"], "x", "standard input can be read once; - stands there twice"),
        (["hello", "-f", "-", "-f", "-"], "x", "standard input can be read once; - stands there twice"),
        (["hello", "-f", "-"], "", "standard input is empty"),
        (["-"], "%PDF-1.4", "there is no question: standard input is an image or a PDF"),
    ],
)
def test_what_is_no_question(cli: Cli, args: list[str], stdin: str | None, says: str) -> None:
    """Exit code 2, and one line."""
    assert refused(cli, *args, stdin=stdin)[0] == says


def test_a_question_that_is_no_utf_8(cli: Cli) -> None:
    """Said before anything is sent."""
    line = [*map(os.fsencode, command("ask")), b"caf\xe9"]
    done = subprocess.run(line, env=cli.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: the question is not valid UTF-8\n")


# --- files


def test_prompt_files_and_pipe_in_this_order(cli: Cli, fake: FakeGateway) -> None:
    """Text files are named and fenced; what is piped comes last."""
    (cli.directory / "a b.py").write_text("print('```')\n")
    (cli.directory / "notes").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    found = ask(cli, fake, "review", "-f", "a b.py", "--file", "notes", stdin=b"piped")
    assert found == [
        text("review"),
        text("`a b.py`:\n\n````python\nprint('```')\n````"),
        text("`notes`:\n\n```\none\r\ntwo\n```"),
        text("piped"),
    ]


def test_standard_input_as_a_file(cli: Cli, fake: FakeGateway) -> None:
    """`-f -` insists on it, and gives it its place among the files."""
    (cli.directory / "a").write_text("a")
    found = ask(cli, fake, "-f", "-", "-f", "a", "look", stdin=b"piped")
    assert found == [text("look"), text("`standard input`:\n\n```\npiped\n```"), text("`a`:\n\n```\na\n```")]


def test_a_file_beside_a_piped_question(cli: Cli, fake: FakeGateway) -> None:
    """The question is read, whether `-` stands there or not."""
    (cli.directory / "a").write_text("a")
    for args in ([], ["-"]):
        assert ask(cli, fake, *args, "-f", "a", stdin=b"look") == [text("look"), text("`a`:\n\n```\na\n```")]


def test_the_output_of_a_command_as_a_file(cli: Cli, fake: FakeGateway) -> None:
    """`-f <(git diff)` of a shell: a pipe with a name."""
    (cli.directory / "script").write_text('exec "$@" -f <(echo made)')
    line = ["bash", "script", *command("ask", "--port", str(fake.port), "look")]
    with running(cli, line, stdin=subprocess.DEVNULL) as process:
        assert answered(process, fake) == ""
    assert re.fullmatch(r"`/dev/fd/\d+`:\n\n```\nmade\n```", texts(fake)[1])


def test_the_names_that_the_model_is_told(cli: Cli, fake: FakeGateway, tmp_path: Path) -> None:
    """As they were typed, but nothing of this machine's directories; `~` is understood as a shell does it."""
    (tmp_path / "elsewhere.txt").write_text("x")
    (cli.directory / "here.txt").write_text("x")
    home = Path(cli.environ["HOME"])
    home.mkdir()
    (home / "mine.txt").write_text("x")
    paths = ["~/mine.txt", "../elsewhere.txt", str(tmp_path / "elsewhere.txt"), str(cli.directory / "here.txt")]
    ask(cli, fake, "look", *(f"--file={path}" for path in paths))
    names = [part.partition("\n")[0] for part in texts(fake)[1:]]
    assert names == ["`home/mine.txt`:", "`../elsewhere.txt`:", "`elsewhere.txt`:", "`here.txt`:"]


def test_a_name_that_is_no_text(cli: Cli, fake: FakeGateway) -> None:
    """Control characters, and bytes that are no UTF-8, are in nobody's way."""
    name = b"a\nb\x1b[31m`\xff.txt"
    (cli.directory / os.fsdecode(name)).write_text("x")
    line = [*map(os.fsencode, command("ask", "--port", str(fake.port), "look", "-f")), name]
    with running(cli, line, stdin=subprocess.DEVNULL) as process:
        assert answered(process, fake) == ""
    assert texts(fake)[1].startswith("`` a\ufffdb\ufffd[31m`\ufffd.txt ``:\n\n")


@pytest.mark.parametrize("option", ["-f", "--schema"])
def test_a_wrong_name_that_is_no_text(cli: Cli, option: str) -> None:
    """What is no letter in it is shown as that, not in Python's spelling."""
    line = [*map(os.fsencode, command("ask", "look", option)), b"\xff.txt"]
    done = subprocess.run(line, env=cli.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (2, "error: there is no file \ufffd.txt\n")


def test_which_image_is_which(cli: Cli, fake: FakeGateway) -> None:
    """The API has no place for the names of images, so a line of text has them where there are several."""
    for name in ("a.png", "b.jpeg"):
        (cli.directory / name).write_bytes(png())
    image = {"type": "input_image", "image_url": data_url("image/png", png())}
    order = text("The images are, in this order: `a.png`, `b.jpeg`, `standard input`")
    assert ask(cli, fake, "compare", "-f", "a.png", "-f", "b.jpeg", stdin=png()) == [
        text("compare"), image, image, image, order,
    ]  # fmt: skip


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_utf_16(cli: Cli, fake: FakeGateway, code: str) -> None:
    """As Windows' editors write it, with a byte order mark."""
    (cli.directory / "a").write_bytes("\ufeffWörter\r\n世界".encode(code))
    assert ask(cli, fake, "look", "-f", "a")[1] == text("`a`:\n\n```\nWörter\r\n世界\n```")


def test_text_image_and_pdf_reach_the_model(cli: Cli, tmp_path: Path) -> None:
    """Through the real gateway and the real Claude Code: a text, an image and a document, as they were."""
    (cli.directory / "notes.md").write_text("# Notes\n")
    (cli.directory / "dot.png").write_bytes(png())
    (cli.directory / "paper.pdf").write_bytes(PDF)
    with gateway(tmp_path / "gateway", "chat") as running:
        done = cli.run(
            *("ask", "--port", str(running.port), "Look at these."),
            *("-f", "dot.png", "-f", "paper.pdf", "-f", "notes.md"),
            stdin="piped",
        )
        assert done.returncode == 0, done.stderr
        assert running.model
        sent = running.model.conversation[0]["messages"]
    blocks = [block for message in sent for block in message["content"] if isinstance(block, dict)]
    said = "\n".join(block["text"] for block in blocks if block["type"] == "text")
    assert "Look at these.\n\n`notes.md`:\n\n```markdown\n# Notes\n```\n\npiped" in said
    (image,) = (block["source"] for block in blocks if block["type"] == "image")
    assert (image["media_type"], image["data"]) == ("image/png", base64.b64encode(png()).decode())
    (document,) = (block for block in blocks if block["type"] == "document")
    assert document["source"]["data"] == base64.b64encode(PDF).decode()
    assert document["title"] == "paper.pdf"


def test_files_that_cannot_be_sent(cli: Cli, tmp_path: Path) -> None:
    """Each is named, in one line, before anything is sent or read from standard input."""
    here = cli.directory
    (here / "directory").mkdir()
    (here / "empty").touch()
    (here / "blank").write_text(" \n")
    (here / "binary").write_bytes(b"\x7fELF\0")
    (here / "latin").write_bytes(b"caf\xe9")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here / "socket"))
    none = "cannot be sent: it is none of text in UTF-8 or UTF-16, PNG, JPEG, GIF and WebP images, and PDF"
    for name, says in {
        "missing": "there is no file missing",
        "~/missing": "there is no file ~/missing",
        "~nobody-of-this-name/x": "there is no file ~nobody-of-this-name/x",
        "directory": "directory is a directory; only files can be sent",
        "empty": "empty is empty",
        "blank": "blank is empty",
        "binary": f"binary {none}",
        "socket": "socket is neither a file nor a pipe",
        "/dev/zero": "/dev/zero is neither a file nor a pipe",
        "empty/x": "empty/x cannot be read: Not a directory",
        f"{'x' * 300}": f"{'x' * 300} cannot be read: File name too long",
    }.items():
        assert refused(cli, "look", "-f", name) == [says]
    assert refused(cli, "look", "-f", "latin") == [
        f"latin {none}", "  Text in another encoding is made UTF-8 by, for example: iconv -f LATIN1 -t UTF-8",
    ]  # fmt: skip


def test_a_file_that_cannot_be_read(cli: Cli) -> None:
    """The system's own words."""
    assert refused(cli, "look", "-f", "/proc/self/mem") == ["/proc/self/mem cannot be read: Input/output error"]


@pytest.mark.parametrize(
    ("head", "most", "says"),
    [
        (b"a", media.MAX_TEXT, "2 MB, which is the most for a text"),
        (b"\xff\xfea\0", media.MAX_TEXT, "2 MB, which is the most for a text"),
        (png(), media.MAX_IMAGE, "10 MB, which is the most for an image"),
        (PDF, media.MAX_DOCUMENT, "20 MB, which is the most for a PDF"),
    ],
)
def test_a_file_that_is_too_large(cli: Cli, head: bytes, most: int, says: str) -> None:
    """The gateway's own numbers, and what they are for."""
    (cli.directory / "large").write_bytes(head.ljust(most + 1, b"a"))
    assert refused(cli, "look", "-f", "large") == [f"large is larger than {says}"]


def test_too_much_of_it(cli: Cli) -> None:
    """In number and all together; the settings say how large a request may be."""
    (cli.directory / "dot.png").write_bytes(png())
    (cli.directory / "large.png").write_bytes(png().ljust(9_000_000, b"\0"))
    many = ["-f", "dot.png"] * (media.MAX_ATTACHMENTS + 1)
    assert refused(cli, "look", *many) == ["21 images and PDFs are too many: a question may have 20"]
    (said,) = refused(cli, "look", *(["-f", "large.png"] * 3))
    assert said == "all of it together is 36 MB in a request, which may have 33.6 MB"
    (cli.directory / "ccapi.toml").write_text("[gateway]\nmax_body = 1000\n")
    (cli.directory / "text").write_text("a" * 1000)
    (said,) = refused(cli, "look", "-f", "text")
    assert said.startswith("all of it together is 0.001")


def test_many_texts(cli: Cli, fake: FakeGateway) -> None:
    """They are no attachments to the API, so there may be as many as fit."""
    (cli.directory / "a").write_text("a")
    assert len(ask(cli, fake, "look", *(["-f", "a"] * 50))) == 51


# --- what it costs, and where


def test_nothing_is_imported_that_is_not_needed() -> None:
    """A question on the command line waits for no editor, and for nothing that reads files."""
    heavy = ["prompt_toolkit", "asyncio", "difflib", "base64", "threading", "select", "jsonschema"]
    code = (
        "import sys; from ccapi.cli.asked import question_parts; "
        f"print(len(question_parts('hello', [])), [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 []\n"


@pytest.mark.parametrize("silent", [True, False])
def test_a_pipe_on_windows(cli: Cli, silent: bool) -> None:
    """Nothing can wait for a pipe there, so a thread reads it, and is left behind if nothing comes."""
    code = (
        "from tests.elsewhere import become; become('win32'); from ccapi.cli.asking import standardinput; "
        "print(standardinput.offered())"
    )
    with (
        filled(b"piped") as pipe,
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=cli.environ,
            stdin=subprocess.PIPE if silent else pipe,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout
        assert process.stdout.read() == (b"None\n" if silent else b"b'piped'\n")
        assert process.wait(DEADLINE) == 0

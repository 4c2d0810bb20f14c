"""`ccapi ask` in a pipe: the transcript and nothing else on stdout, and every failure as a line and an exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ccapi.errors import ResponseNotFound, RunTimeout
from tests.cli.support import (
    DEADLINE,
    Cli,
    FakeAnswer,
    FakeGateway,
    Gateway,
    Relay,
    clean_environ,
    command,
    ended,
    gateway,
    interrupted,
    read_line,
)
from tests.oauth.proxyprocess import until

# --- answers


def test_stdout_is_the_transcript_and_a_newline(cli: Cli, scripted: Gateway) -> None:
    """Byte for byte what the API gives, control characters of a tool's output included, then one newline."""
    done = cli.run("ask", "--port", str(scripted.port), "print controls")
    content = scripted.chat("print controls")
    assert "\n\n---\n\nBoth are **done**." in content
    assert "\x1b]0;owned\x07" in content
    assert done.stdout == content + "\n"
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_last_newline_is_added_to_an_answer_that_has_one(cli: Cli, fake: FakeGateway) -> None:
    """The rule is the same for every answer, so that `| head -c -1` gives back the content of each."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        fake.answer("The last line.\n")
        stdout, _ = process.communicate(timeout=DEADLINE)
    assert stdout == b"The last line.\n\n"


def test_a_dash_reads_the_question_from_stdin(cli: Cli, scripted: Gateway) -> None:
    """`ccapi ask -` takes all of stdin, several lines and any script."""
    done = cli.run("ask", "--port", str(scripted.port), "-", stdin="first line\n世界 🎉\u2028end")
    assert done.stdout == "You said: first line\n世界 🎉\u2028end\n"


def test_what_counts_of_the_environment(cli: Cli, scripted: Gateway) -> None:
    """CCAPI_GATEWAY_PORT is where `ask` looks without a flag. Proxies do not: the gateway is on this machine."""
    environ = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    done = cli.run("ask", "hello", environ={**environ, "CCAPI_GATEWAY_PORT": str(scripted.port)})
    assert (done.returncode, done.stdout) == (0, "You said: hello\n")


def test_an_answer_is_seen_while_it_is_made(cli: Cli, scripted: Gateway) -> None:
    """The first text comes through the pipe while the tool that it announces still runs."""
    with cli.start("ask", "--port", str(scripted.port), "slow, please") as process:
        assert read_line(process.stdout, "the first line") == "This command takes a minute."
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)


@pytest.mark.parametrize(
    "environ", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"FORCE_COLOR": "1"}]
)
def test_the_environment_does_not_change_a_piped_answer(cli: Cli, fake: FakeGateway, environ: dict[str, str]) -> None:
    """In a pipe it is UTF-8 and without colours, whatever locale and terminal there are."""
    text = "**Bash** `ls`\n\na 世界 🎉 z"
    with cli.start("ask", "--port", str(fake.port), "hello", environ=environ) as process:
        fake.answer(text)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.decode("utf-8") == text + "\n"


def test_half_a_surrogate_pair_does_not_break_the_answer_off(cli: Cli, fake: FakeGateway) -> None:
    """What no encoding can write is shown escaped; the rest of the answer follows."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        fake.answer("before \ud83d after")
        stdout, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert stdout == b"before \\ud83d after\n"


# --- the API key


def test_the_key_of_the_environment(cli: Cli, fake: FakeGateway) -> None:
    """CCAPI_API_KEY is shown to the gateway; a newline at its end, as `$(cat file)` does not give, is none of it."""
    environ = {"CCAPI_API_KEY": "sk-ccapi-test\n"}
    with cli.start("ask", "--port", str(fake.port), "hello", environ=environ) as process:
        fake.answer("hello")
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert fake.received[0].headers["authorization"] == "Bearer sk-ccapi-test"


@pytest.mark.parametrize("key", ["two words", "über", "a\nb", "bell\x07"])
def test_a_key_that_cannot_be_one(cli: Cli, key: str) -> None:
    """Refused before anything is sent, and never repeated."""
    done = cli.run("ask", "hello", environ={"CCAPI_API_KEY": key})
    assert done.returncode == 2
    assert "CCAPI_API_KEY" in done.stderr
    assert key not in done.stderr


def test_a_gateway_that_needs_a_key(cli: Cli, tmp_path: Path) -> None:
    """Without one: exit 4, how to make one and where to put it. With the one so made it works; no other does."""
    with gateway(tmp_path / "locked", "--rehearsal=chat", CCAPI_API_REQUIRE_KEY="on") as running:
        ask = ["ask", "--port", str(running.port), "hello"]
        done = cli.run(*ask)
        assert (done.returncode, done.stdout) == (4, "")
        assert "ccapi key create" in done.stderr
        assert "CCAPI_API_KEY" in done.stderr
        home = clean_environ(tmp_path / "locked" / "home")["CCAPI_HOME"]
        key = cli.run("key", "create", environ={"CCAPI_HOME": home}).stdout.strip()
        assert cli.run(*ask, environ={"CCAPI_API_KEY": key}).returncode == 0
        wrong = cli.run(*ask, environ={"CCAPI_API_KEY": key[:-1]})
        assert (wrong.returncode, wrong.stdout) == (4, "")
        assert "CCAPI_API_KEY" in wrong.stderr
        assert key[:-1] not in wrong.stderr


# --- Ctrl-C


def way_on(port: int) -> str:
    """What is said as soon as there is a session: a command that asks the same gateway."""
    return f'continue with: ccapi ask --port {port} -c "..."\n'


def test_ctrl_c_ends_the_run_on_the_server(cli: Cli, scripted: Gateway) -> None:
    """SIGINT: exit 130, what had come is on stdout, and soon no `claude` of this run is left."""
    with cli.start("ask", "--port", str(scripted.port), "slow, please") as process:
        assert read_line(process.stdout, "the first line") == "This command takes a minute."
        pids = scripted.claude_pids()
        assert pids
        descriptors = [os.pidfd_open(pid) for pid in pids]
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode == 130
        said = interrupted(time.monotonic() - began) + re.escape(way_on(scripted.port))
        assert re.fullmatch(said, stderr.decode()), stderr
        assert ended(descriptors)


def test_ctrl_c_before_the_first_text(cli: Cli, fake: FakeGateway) -> None:
    """Waiting for a gateway that says nothing can be interrupted, and shows no traceback."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process, fake.request() as connection:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE)
        assert connection.recv(1) == b""  # the connection was closed: the gateway would end the run
    assert process.returncode == 130
    assert stderr == b"interrupted; if the run has begun, the gateway ends it by itself in 90 s\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_cancels_the_run(cli: Cli, fake: FakeGateway, number: signal.Signals, code: int) -> None:
    """However the command is told to end, it ends the run that it has asked for."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("first\n"))
            assert read_line(process.stdout, "the first line") == "first"
            process.send_signal(number)
            fake.cancelled()
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code
    assert stderr.decode() == (
        f"{'interrupted' if number == signal.SIGINT else 'terminated'}; the run was ended\n{way_on(fake.port)}"
    )


def test_a_second_ctrl_c_leaves_at_once(cli: Cli, fake: FakeGateway) -> None:
    """A gateway that does not answer the cancellation holds nobody up, and it is said which run may still go on."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process, fake.request() as connection:
        answer = FakeAnswer()
        connection.sendall(answer.begin() + answer.text("first\n"))
        assert read_line(process.stdout, "the first line") == "first"
        process.send_signal(signal.SIGINT)
        with fake.request():
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    # Who had waited for its answer to the end would know that there is none.
    known = f"the run may still go on: response {FakeAnswer.ID}, session {FakeAnswer.SESSION}"
    assert stderr.decode() == f"interrupted; {known}\n{way_on(fake.port)}"


def test_a_cancellation_that_fails_is_no_secret(cli: Cli, fake: FakeGateway) -> None:
    """The run may go on: it is said which one that is."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("first\n"))
            assert read_line(process.stdout, "the first line") == "first"
            process.send_signal(signal.SIGINT)
            with fake.request():
                pass
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert stderr.decode().startswith(f"interrupted; the run may still go on: response {FakeAnswer.ID}")


# --- a connection that breaks


def test_a_dropped_connection_resumes_the_answer(cli: Cli, scripted: Gateway) -> None:
    """The stream is cut wherever it is, several times: stdout is the whole answer, and it was run once."""
    content = scripted.chat("print controls")
    before = scripted.runs()
    with Relay(scripted.port, cut_after=3000) as relay:
        done = cli.run("ask", "--port", str(relay.port), "print controls")
        assert relay.connections > 2
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == content + "\n"
    until(lambda: scripted.runs() > before, "the run is counted, which is when it has been left")
    assert scripted.runs() == before + 1


def test_an_answer_that_cannot_be_resumed(cli: Cli, fake: FakeGateway) -> None:
    """What came is shown; then exit 1, why, and which response and session it was."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("half a\n"))
        fake.close()
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert stdout == b"half a\n"
    error, known, start, look, go_on = stderr.decode().splitlines()
    assert error.startswith("error: The answer cannot be resumed: No gateway answers at")
    assert known == f"  The run may still go on: response {FakeAnswer.ID}, session {FakeAnswer.SESSION}"
    assert start.startswith("  Start it with: ccapi up")
    assert look == f"  Look at it: ccapi sessions show --port {fake.port} {FakeAnswer.SESSION}"
    assert go_on == f'  Go on: ccapi ask --port {fake.port} --session {FakeAnswer.SESSION} "..."'


def test_what_became_of_a_run_that_cannot_be_followed(cli: Cli, fake: FakeGateway) -> None:
    """It is ended, and the error says so, to a program as well: nobody waits for what will not come."""
    with cli.start("ask", "--port", str(fake.port), "--json", "hello") as process:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("half a\n"))
        with fake.request() as connection:
            connection.sendall(fake.refusal(ResponseNotFound("It is gone")))
        fake.cancelled()
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    error, known = stderr.decode().splitlines()[:2]
    assert (error, known) == ("error: The answer cannot be resumed: It is gone", "  The run was ended")
    assert json.loads(stdout)["error"]["details"]["hint"].startswith("The run was ended\n")


# --- failures


def test_no_gateway(cli: Cli) -> None:
    """Nothing listens there: exit 1, where it looked, and the command that starts one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # nobody else gets it; closed again before it is asked
    done = cli.run("ask", "hello", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"http://127.0.0.1:{port}" in done.stderr
    assert "ccapi up" in done.stderr


def test_not_signed_in(cli: Cli, scripted: Gateway) -> None:
    """The API's 401: exit 4 and how to sign in; the CLI's own error text is no answer."""
    done = cli.run("ask", "--port", str(scripted.port), "sign in first")
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("error: Claude is not signed in")
    assert "claude auth login" in done.stderr


def test_never_signed_in(cli: Cli, tmp_path: Path) -> None:
    """A new user's first question, without any account on this machine: the same, and nothing is sent anywhere."""
    with gateway(tmp_path / "new", HTTPS_PROXY="http://127.0.0.1:9") as running:
        done = cli.run("ask", "--port", str(running.port), "hello")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("error: Claude is not signed in")


@pytest.mark.parametrize("limit", ["--max-turns 1", "--max-cost 0.0001"])
def test_the_limit_that_was_reached_is_named(cli: Cli, scripted: Gateway, limit: str) -> None:
    """As it was given; exit 1, with what there is of the answer."""
    done = cli.run("ask", "--port", str(scripted.port), *limit.split(), "print controls")
    assert done.returncode == 1
    assert "**Bash** `sh controls.sh`" in done.stdout
    assert done.stderr.splitlines()[0] == f"error: The answer is not complete: {limit} is reached"


def test_rate_limited(cli: Cli, scripted: Gateway) -> None:
    """The API's 429: exit 1, and the message says so, and when to try again."""
    done = cli.run("ask", "--port", str(scripted.port), "over the limit")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "rate limit" in done.stderr
    assert re.search(r"\n  Try again in \d+ .*s\.\n", done.stderr)


def test_unknown_model(cli: Cli, scripted: Gateway) -> None:
    """A model that the gateway does not know is named, with what to ask for instead."""
    done = cli.run("ask", "--port", str(scripted.port), "--model", "gpt-5", "hello")
    assert done.returncode == 1
    assert "'gpt-5'" in done.stderr
    assert "sonnet" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--workspace", "../elsewhere", "--workspace is not the name of a workspace"),
        ("--model", "", "--model is not a model name"),
        ("--allow", "", "--allow is neither a tool's name nor a rule"),
        ("--deny", "Bash((", "--deny is neither a tool's name nor a rule"),
        ("--max-cost", "1e300", "--max-cost: input should be less than"),
        ("--schema", '{"type": "object", "properties": 5}', "--schema: a value of 'properties' is not"),
    ],
)
def test_what_only_the_gateway_knows_to_be_wrong(
    cli: Cli, scripted: Gateway, option: str, value: str, said: str
) -> None:
    """It is told by the option's name, and the command line is wrong: exit 2."""
    done = cli.run("ask", "--port", str(scripted.port), option, value, "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")


@pytest.mark.parametrize(
    "option", ["--model", "--system", "--workspace", "--session", "--allow", "--deny", "--extract", "--schema"]
)
def test_an_option_that_is_not_utf8(cli: Cli, option: str) -> None:
    """Refused as a question is, by the option's name, in the form that was asked for, before anything is sent."""
    value = os.fsdecode(b'{"lone": "\xff"}' if option == "--schema" else b"lone \xff")
    done = cli.run("ask", "--port", "9", f"{option}={value}", "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {option} is not valid UTF-8\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--file", "--file names no file"),
        ("--output", "--output names no file"),
        ("--schema", "--schema names no schema"),
        ("--session", "--session names no session"),
    ],
)
def test_an_option_that_names_nothing(cli: Cli, option: str, said: str) -> None:
    """An empty name, as of a variable of a shell that is not set, is no name of the current directory."""
    done = cli.run("ask", "--port", "9", option, "", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {said}\n")


def test_a_session_that_does_not_exist(cli: Cli, scripted: Gateway) -> None:
    """With the command that lists those that do."""
    done = cli.run("ask", "--port", str(scripted.port), "--session", "01234567-89ab-cdef-0123-456789abcdef", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such session" in done.stderr
    assert f"ccapi sessions list --port {scripted.port}" in done.stderr


def test_a_question_without_quotes(cli: Cli) -> None:
    """Nothing is guessed, and the usage is that of the command, not of this call."""
    done = cli.run("ask", "--port", "1", "two", "words")
    assert done.returncode == 2
    assert 'quote it: ccapi ask "..."' in done.stderr
    assert "Usage: ccapi ask [OPTIONS]" in done.stderr


def test_in_a_directory_that_was_removed(cli: Cli, scripted: Gateway, tmp_path: Path) -> None:
    """There is no last session of it; a question does without, and with files that are elsewhere."""
    here, file = tmp_path / "gone", tmp_path / "notes"
    file.write_text("something")
    ask = [*command(), "ask", "--port", str(scripted.port)]
    script = f"mkdir '{here}' && cd '{here}' && rmdir '{here}' && exec \"$@\""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        argv = ["sh", "-c", script, "sh", *ask, *args]
        return subprocess.run(
            argv,
            env=cli.environ,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )

    last = run("-c", "hello")
    assert (last.returncode, last.stderr) == (2, "error: the current directory does not exist any more\n")
    answered = run("-f", str(file), "hello")
    assert answered.returncode == 0
    assert answered.stdout.startswith("You said: hello")
    assert "--continue will not know of this session" in answered.stderr


@pytest.mark.parametrize(("args", "stdin"), [(["ask", ""], ""), (["ask", " \n"], ""), (["ask", "-"], "\n")])
def test_an_empty_question_is_a_usage_error(cli: Cli, args: list[str], stdin: str) -> None:
    """Nothing is asked and nothing is connected to: exit 2."""
    done = cli.run(*args, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "empty" in done.stderr


@pytest.mark.parametrize("option", ["--timeout", "--max-cost"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much"])
def test_an_amount_that_is_none(cli: Cli, option: str, value: str) -> None:
    """A time or a price that says nothing is refused before anything is sent, with the name of the option: exit 2."""
    done = cli.run("ask", "--port", "1", option, value, "hello")
    assert done.returncode == 2
    assert f"Invalid value for '{option}': '{value}'" in done.stderr


def test_a_directory_that_was_removed(cli: Cli, scripted: Gateway) -> None:
    """A question can be asked in it; only `--continue` will not know of the session, which is said."""
    gone = cli.directory / "gone"
    gone.mkdir()
    line = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *command("ask", "--port", str(scripted.port), "hello")]
    done = subprocess.run(
        line, cwd=gone, env=cli.environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"hello" in done.stdout
    assert done.stderr.startswith(b"--continue will not know of this session: ")


def test_a_question_that_is_not_utf8(cli: Cli) -> None:
    """Bytes that are no text are refused in one line."""
    done = cli.run("ask", os.fsdecode(b"lone \xff byte"))
    assert done.returncode == 2
    assert "UTF-8" in done.stderr


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("how", ["closed", "cut in a chunk", "reset"])
def test_an_answer_that_breaks_off(cli: Cli, fake: FakeGateway, how: str) -> None:
    """However the connection breaks: the answer goes on behind what was seen."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        answer = FakeAnswer()
        with fake.request() as connection:
            begin = answer.begin()
            if how == "cut in a chunk":
                frames = begin.removeprefix(answer.HEAD) + answer.text("half a\n")
                head = answer.HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
                connection.sendall(head + b"ffff\r\n" + frames)
            else:
                connection.sendall(begin + answer.text("half a\n"))
            assert read_line(process.stdout, "the first half") == "half a"
            if how == "reset":
                _reset(connection)
        with fake.request() as connection:
            seen = fake.received[-1].starting_after
            answer.text("and the rest")
            answer.end()
            connection.sendall(answer.after(seen))
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout, stderr) == (0, b"and the rest\n", b"")


def test_an_answer_that_breaks_off_before_it_began(cli: Cli, fake: FakeGateway) -> None:
    """Nothing is known of it, so nothing can be resumed, and the question is not asked again: exit 1 and "broke"."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            connection.sendall(FakeAnswer.HEAD + b": keep-alive\n\n")
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert stdout == b""
    assert stderr.startswith(b"error: The answer broke off")
    assert len(fake.lines) == 1


def test_an_error_in_mid_answer(cli: Cli, fake: FakeGateway) -> None:
    """A run that fails after text has the exit code of its slug, like one that fails before any."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("half") + answer.fail(RunTimeout("No sign of life")))
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 124
    assert stdout == b"half\n"
    assert stderr.decode() == f'error: No sign of life\n  Go on: ccapi ask --port {fake.port} -c "..."\n'


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html>hello\n",
        b"HTTP/1.1 501 Unsupported\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html>hello\n",
        b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{"detail":"Not Found"}',
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        b"220 mail.example.org ESMTP\r\n",
        b"",
    ],
    ids=["page", "refusal", "other API", "redirect", "no HTTP", "nothing"],
)
def test_what_answers_is_no_gateway(cli: Cli, fake: FakeGateway, answer: bytes) -> None:
    """Another program at the port: exit 1 and the address, so that one knows where to look."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert stdout == b""
    assert f"http://127.0.0.1:{fake.port}".encode() in stderr
    assert b"unexpectedly" not in stderr


@pytest.mark.parametrize("event", [b"data: 5\n\n", b"data: {\n\n", b'data: {"choices": 5}\n\n'])
def test_events_that_are_none(cli: Cli, fake: FakeGateway, event: bytes) -> None:
    """A stream of another form is a clear failure, not a traceback and not an empty answer."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            connection.sendall(FakeAnswer.HEAD + event)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert stdout == b""
    assert stderr.startswith(b"error: ")
    assert b"unexpectedly" not in stderr


def test_a_reader_that_leaves(cli: Cli, fake: FakeGateway) -> None:
    """`ccapi ask … | head -1`: silent, and the run is cancelled."""
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        assert process.stdout
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text("first\n"))
            assert read_line(process.stdout, "the first line") == "first"
            process.stdout.close()
            connection.sendall(answer.text("second\n"))
            assert connection.recv(1) == b""
        fake.cancelled()
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE) != 0


def test_pieces_cut_anywhere(cli: Cli, fake: FakeGateway) -> None:
    """Events and characters that arrive byte by byte, comments and line separators in text: all of it is understood."""
    answer = FakeAnswer()
    stream = answer.begin() + b": keep-alive\n\n" + answer.text("世界 \u2028 🎉") + answer.end()
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for position in range(len(stream)):
                connection.sendall(stream[position : position + 1])
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.decode() == "世界 \u2028 🎉\n"


def test_an_event_of_any_size(cli: Cli, fake: FakeGateway) -> None:
    """5 MB in one line of the stream are shown, each of them."""
    text = "0123456789" * 500_000
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        answering = threading.Thread(target=fake.answer, args=(text,))  # while its reader waits for one
        answering.start()
        stdout, stderr = process.communicate(timeout=DEADLINE)
        answering.join()
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.decode() == text + "\n"

"""The log: what a line looks like, what no line may hold, and which request it belongs to."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NoReturn

import httpx
import pydantic
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ccapi.gateway import access, logs, security
from ccapi.gateway.http import Runner
from ccapi.wire.keys import Policy
from tests.gateway.harness import await_that, in_thread

MARKER = "MARKER31337"
SECRET = "sk-ant-oat01-0123456789abcdef"
FORGED = "2026-01-01T00:00:00.000Z CRITICAL ccapi [-] forged"
TRICKS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x08", "\u202e", "\ud800"]

log = logging.getLogger("ccapi.tests")


class Lines:
    """What was logged, as the operator sees it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def all(self) -> list[str]:
        return self.text.splitlines()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.all]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Everything at DEBUG, in text; a test may configure it otherwise."""
    root, ours = logging.getLogger(), logging.getLogger("ccapi")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    logs.configure("DEBUG", "text")
    yield Lines(capsys)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(params=["text", "json"])
def either(request: pytest.FixtureRequest, lines: Lines) -> Lines:
    """The log in both formats."""
    logs.configure("DEBUG", request.param)
    return lines


def fail(error: Exception, cause: Exception | None = None) -> NoReturn:
    raise error from cause


def raised(error: Exception) -> None:
    """Log this exception as it is logged when nobody expected it."""
    try:
        fail(error)
    except Exception:
        log.exception("unexpected failure")


# --- what a line looks like


def test_a_line_of_text(lines: Lines) -> None:
    """Time in UTC, level, logger, request (none here), message."""
    log.info("hello %s", "world")
    (line,) = lines.all
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO ccapi\.tests \[-\] hello world", line)


def test_a_line_of_json(lines: Lines) -> None:
    """The same members, and those that were given as fields; none of these can take another's place."""
    logs.configure("INFO", "json")
    log.info("hello", extra=logs.fields(cost=0.5, whole=3, session="s", nothing=None, level="forged"))
    log.debug("not at this level")
    (document,) = lines.documents
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "INFO",
        "logger": "ccapi.tests",
        "message": "hello",
        "cost": 0.5,
        "whole": 3,
        "session": "s",
    }


def test_json_is_ascii(lines: Lines) -> None:
    """No reader can stumble over an encoding."""
    logs.configure("INFO", "json")
    log.info("größe €")
    assert lines.text.isascii()
    assert lines.documents[0]["message"] == "größe €"


# --- what no line may hold


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_a_value_cannot_look_like_a_line(either: Lines, trick: str) -> None:
    """Whatever a client puts into a value: it is one line, without control characters."""
    log.info("the client says %s", f"hello{trick}{FORGED}", extra=logs.fields(session=f"x{trick}{FORGED}"))
    (line,) = either.all
    assert line.isprintable()
    assert not line.startswith(FORGED)


@given(text=st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    """And printable text is left as it is."""
    written = logs.one_line(text)
    assert written.isprintable()
    assert written == text or not text.isprintable()


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_an_exception_cannot_look_like_a_line(either: Lines, trick: str) -> None:
    """Its text may be a client's as well. In text the traceback stands behind bars."""
    raised(ValueError(f"bad{trick}{FORGED}"))
    assert "ValueError: bad" in either.text
    assert [line for line in either.all if line.startswith(FORGED)] == []
    first, *rest = either.all
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)
    assert first.isprintable()


def test_secrets_are_taken_out(either: Lines) -> None:
    """Of messages, of fields, of exceptions, and of what caused them."""
    log.info("with %s", SECRET, extra=logs.fields(session=f"Bearer {SECRET}"))
    try:
        fail(ValueError(f"?code={MARKER}"), OSError(f"cannot open https://me:{SECRET}@host/"))
    except ValueError:
        log.exception("failed with %s", SECRET)
    assert SECRET not in either.text
    assert MARKER not in either.text
    assert "which led to:" in either.text
    assert "[redacted]" in either.text


def test_a_validation_error_does_not_quote_the_request(either: Lines) -> None:
    """pydantic's text holds the value at fault, which may be a whole prompt."""
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(int).validate_python(MARKER)
    assert MARKER in str(caught.value)
    raised(caught.value)
    assert "ValidationError" in either.text
    assert MARKER not in either.text


def test_a_group_of_exceptions_is_told_one_by_one(lines: Lines) -> None:
    """A task group's failure is that of its tasks."""
    raised(ExceptionGroup("two", [OSError(28, "No space left on device"), ValueError("second")]))
    assert "1 of 2:" in lines.text
    assert "No space left on device" in lines.text
    assert "ValueError: second" in lines.text


def test_other_libraries_are_kept_short(either: Lines) -> None:
    """aiohttp's exceptions quote the request, and asyncio's further lines what a task was given."""
    try:
        fail(ValueError(MARKER))
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Unhandled exception")
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nfuture: %s", MARKER)
    assert "Unhandled exception" in either.text
    assert "never retrieved" in either.text
    assert "ValueError" in either.text
    assert MARKER not in either.text


def test_a_long_message_is_cut(either: Lines) -> None:
    """A message is a line, not a document; it says that something is missing."""
    log.info("%s", "x" * 1_000_000)
    raised(ValueError("y" * 1_000_000))
    assert len(either.text) < 20_000
    assert "1000000 characters" in either.text


def test_a_line_that_cannot_be_written_shows_nothing(lines: Lines) -> None:
    """logging's own complaint prints all arguments, as they are."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 1, "%d", (MARKER,), None)
    logging.getLogger().handlers[0].handle(record)
    assert "a line of ccapi.tests could not be logged: TypeError" in lines.text
    assert MARKER not in lines.text


def test_nobody_reads(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    """A closed stderr is no reason to fail."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    log.info("to nobody")


# --- requests


async def _ok(request: web.Request) -> web.Response:
    request[access.CALLER] = access.Caller("0123456789ab", Policy())
    return web.json_response({"id": logs.request_id()})


async def _fails(_: web.Request) -> web.Response:
    raise ValueError(f"of ours, with {SECRET}")


async def _reads(request: web.Request) -> web.Response:
    return web.json_response({"size": len(await request.read())})


async def _streams(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    await response.prepare(request)
    for _ in range(100):
        await response.write(b": hello\n\n")
        await asyncio.sleep(0.01 if "quick" in request.query else 1)
        if "quick" in request.query:
            break
    return response


async def _background(_: web.Request) -> web.Response:
    async def later() -> None:
        await asyncio.sleep(0.01)
        log.info("in the background")

    task = asyncio.create_task(later())
    await asyncio.sleep(0)
    task.add_done_callback(lambda done: done.result())
    return web.Response()


Observed = list[tuple[str, str, int, float]]


@contextmanager
def serving() -> Iterator[tuple[httpx.Client, Observed]]:
    """A small application behind the gateway's own server, and what was counted of its requests."""
    observed: Observed = []

    @asynccontextmanager
    async def server() -> AsyncIterator[str]:
        count = logs.request_context(lambda *facts: observed.append(facts))
        app = web.Application(middlewares=[count, security.errors])
        app.on_response_prepare.extend([security.set_headers, logs.set_request_id])
        for path, handler in (("/ok/{id}", _ok), ("/health", _ok), ("/fails", _fails), ("/stream", _streams)):
            app.router.add_get(path, handler, allow_head=False)
        app.router.add_get("/background", _background)
        app.router.add_post("/reads", _reads)
        runner = Runner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()

    with in_thread(server) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client, observed


def line_of(lines: Lines, part: str) -> str:
    """The line with these words, which comes after the answer."""
    return await_that(lambda: next((line for line in lines.all if part in line), ""), f"a line with {part!r}")


def test_a_request_is_a_line(lines: Lines) -> None:
    """Method, route (no path, no query), status, time, caller."""
    with serving() as (client, observed):
        client.get(f"/ok/{MARKER}?token={MARKER}").raise_for_status()
        line = line_of(lines, "GET")
    assert re.search(
        r" INFO ccapi\.gateway\.logs \[[0-9a-f]{32}\] GET /ok/\{id\} 200 \d+\.\d ms caller=0123456789ab$", line
    )
    assert MARKER not in lines.text
    ((method, route, status, seconds),) = observed
    assert (method, route, status) == ("GET", "/ok/{id}", 200)
    assert 0 < seconds < 30


def test_a_request_in_json(lines: Lines) -> None:
    """The same as members."""
    logs.configure("INFO", "json")
    with serving() as (client, _):
        client.get("/ok/5", headers={"X-Request-Id": "mine"}).raise_for_status()
        document = json.loads(line_of(lines, '"route"'))
    assert 0 <= document.pop("ms") < 30_000
    expected = {"request_id": "mine", "method": "GET", "route": "/ok/{id}", "status": 200, "caller": "0123456789ab"}
    assert {name: document[name] for name in expected} == expected


@pytest.mark.parametrize("given_id", ["a", "0123.4-5_6", "x" * 64])
def test_a_clients_id_is_kept(lines: Lines, given_id: str) -> None:
    """In the answer's header, for the handler, and in the line."""
    with serving() as (client, _):
        answer = client.get("/ok/5", headers={"X-Request-Id": given_id})
        assert f"[{given_id}]" in line_of(lines, "GET")
    assert answer.headers["X-Request-Id"] == answer.json()["id"] == given_id


@pytest.mark.parametrize("given_id", ["", "x" * 65, "a b", "a\tb", "[x]", "ä", "../x", "a;b"])
def test_another_id_than_that_is_replaced(lines: Lines, given_id: str) -> None:
    """It could say anything, in the log and in the header."""
    with serving() as (client, _):
        answer = client.get("/ok/5", headers={b"X-Request-Id": given_id.encode()})
        line_of(lines, "GET")
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert answer.json()["id"] == answer.headers["X-Request-Id"]


def test_each_request_has_an_id_of_its_own(lines: Lines) -> None:
    """Also on one connection."""
    with serving() as (client, _):
        assert len({client.get("/ok/5").headers["X-Request-Id"] for _ in range(3)}) == 3


def test_an_id_that_is_a_secret_is_taken_out(lines: Lines) -> None:
    """Somebody mistook the header."""
    with serving() as (client, _):
        client.get("/ok/5", headers={"X-Request-Id": SECRET})
        line_of(lines, "GET")
    assert SECRET not in lines.text


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", f"/{MARKER}", 404, "unmatched"),
        ("PUT", "/ok/5", 405, "unmatched"),
        ("PROPFIND", "/ok/5", 405, "unmatched"),
        ("GET", "/fails", 500, "/fails"),
        ("GET", "/stream?quick", 200, "/stream"),
    ],
)
def test_every_answer_is_counted_and_has_the_header(
    lines: Lines, method: str, path: str, status: int, route: str
) -> None:
    """Errors and streams as well; a client's own words are no label."""
    with serving() as (client, observed):
        answer = client.request(method, path, headers={"X-Request-Id": "mine"})
        line_of(lines, "ms caller=")
    assert answer.headers["X-Request-Id"] == "mine"
    assert [facts[:3] for facts in observed] == [("other" if method == "PROPFIND" else method, route, status)]
    assert MARKER not in lines.text


def test_a_failure_is_told_under_the_requests_id(lines: Lines) -> None:
    """The traceback and the request's line, which is a warning, can be found together."""
    with serving() as (client, _):
        client.get("/fails", headers={"X-Request-Id": "mine"})
        assert " WARNING ccapi.gateway.logs [mine] GET /fails 500 " in line_of(lines, "ms caller=")
    assert " ERROR ccapi.gateway.security [mine] unexpected failure" in lines.text
    assert "  | ValueError: of ours, with [redacted]" in lines.text


def test_a_client_that_leaves_is_counted_as_such(lines: Lines) -> None:
    """In the middle of a stream: 499."""
    with serving() as (client, observed):
        with client.stream("GET", "/stream") as response:
            next(response.iter_bytes())
        line_of(lines, "GET /stream 499")
    assert [facts[2] for facts in observed] == [499]


def test_what_a_request_started_keeps_its_id(lines: Lines) -> None:
    """A run in the background goes on when the request is over."""
    with serving() as (client, _):
        client.get("/background", headers={"X-Request-Id": "mine"})
        assert " [mine] in the background" in line_of(lines, "in the background")


def test_probes_that_find_nothing_are_not_told(lines: Lines) -> None:
    """Every few seconds a line would drown the rest."""
    logs.configure("INFO", "text")
    with serving() as (client, observed):
        client.get("/health").raise_for_status()
        client.get("/ok/5").raise_for_status()
        line_of(lines, "GET /ok/{id}")
    assert "/health" not in lines.text
    assert len(observed) == 2


# --- what aiohttp itself has to say


def raw(client: httpx.Client, request: bytes) -> bytes:
    """Send bytes as they are; what comes back until the server closes, or says nothing for a while."""
    answer = b""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=0.5) as connection:
        connection.sendall(request)
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except TimeoutError:
            pass
    return answer


HEAD = b"POST /reads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
M = MARKER.encode()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 11\r\n\r\n" + M, id="no gzip"),
        pytest.param(
            HEAD + b"Content-Encoding: gzip\r\nContent-Length: 60\r\n\r\n" + (gzip.compress(M * 9)[:-9] + M * 9)[:60],
            id="broken gzip",
        ),
        pytest.param(HEAD + b"Content-Encoding: deflate\r\nContent-Length: 11\r\n\r\n" + M, id="no deflate"),
        pytest.param(
            b"POST /fails HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 11\r\n\r\n" + M,
            id="a body that nobody reads",
        ),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + M + b"\r\n\r\n", id="no chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;" + M + b"\r\nhello\r\nX" + M, id="no next chunk"),
        pytest.param(HEAD + b"Content-Length: " + M + b"\r\n\r\n", id="no length"),
        pytest.param(HEAD + M + b"\r\n\r\n", id="no header"),
        pytest.param(HEAD + b"X: a\x00" + M + b"\r\n\r\n", id="a zero byte"),
        pytest.param(M + b"\r\n\r\n", id="no request line"),
        pytest.param(b"GET /" + M * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="a long line"),
        pytest.param(b"GET http://" + M + b":99999999/ HTTP/1.1\r\nHost: x\r\n\r\n", id="no port"),
        pytest.param(b"GET //[" + M + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="no host"),
        pytest.param(HEAD + b"Expect: " + M + b"\r\nContent-Length: 2\r\n\r\n{}", id="an expectation"),
        pytest.param(HEAD + b"Upgrade: " + M + b"\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}", id="upgrade"),
        pytest.param(HEAD + b"Content-Length: 99\r\n\r\n" + M, id="a client that leaves"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + M, id="TLS"),
    ],
)
def test_a_request_that_is_none_does_not_reach_the_log(either: Lines, request_: bytes) -> None:
    """At DEBUG, in both formats: no word of it, and no traceback that quotes it."""
    with serving() as (client, _):
        raw(client, request_)
        client.get("/ok/5", headers={"X-Request-Id": "last"}).raise_for_status()
        line_of(either, "last")
    assert MARKER not in either.text
    assert all(line.isprintable() for line in either.all)

"""Who is let in, and how often: the middleware in a real server, over real sockets."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from aiohttp import web

from ccapi.commands import keys as commands
from ccapi.errors import KeysUnreadable
from ccapi.gateway import access, security
from ccapi.gateway.access import CALLER, Keyring, RateLimits
from ccapi.gateway.http import Runner
from ccapi.paths import Home
from ccapi.wire import keys
from ccapi.wire.keys import KeyFile, Policy
from tests.gateway.harness import in_thread

ASK = "/v1/chat/completions"
CANCEL = "/v1/responses/resp_1/cancel"
UNKNOWN = "ccapi-" + "Unknown-Key_9" * 3 + "abcd"  # has the form of a key, and is none
CLOSED = [
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/ready"),
    ("GET", "/v1/sessions"),
    ("POST", ASK),
    ("GET", "/no"),
]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """A gateway without anything behind its door: each answer says who was let in."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.home = home
        self.clock = clock
        self.port = 0

    @property
    def file(self) -> Path:
        return self.home / "state" / "keys" / "keys.json"

    def key(self, name: str | None = None, **limits: Any) -> str:
        """A new key, made as the command line does it."""
        return commands.create(Home(str(self.home)), name, Policy(**limits), print).key

    def owner(self, key: str) -> str:
        (found,) = [r.id for r in keys.load(self.file.read_bytes(), self.file).keys if r.hash == keys.digest(key)]
        return found

    def revoke(self, key: str) -> None:
        commands.revoke(Home(str(self.home)), key, print)

    def send(self, method: str, path: str, key: str | None = None, **headers: str) -> httpx.Response:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{self.port}") as client:
            return client.request(method, path, headers=headers, json={} if method == "POST" else None)

    def get(self, key: str | None = None, **headers: str) -> httpx.Response:
        return self.send("GET", "/v1/models", key, **headers)

    def ask(self, key: str | None = None, **headers: str) -> httpx.Response:
        return self.send("POST", ASK, key, **headers)

    def raw(self, *headers: bytes) -> tuple[int, bytes]:
        """Status and answer for header lines as they are."""
        head = [b"GET /v1/models HTTP/1.1", b"Host: localhost", b"Connection: close", *headers, b"", b""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"\r\n".join(head))
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return int(answer.split()[1]), answer


async def who(request: web.Request) -> web.StreamResponse:
    """Says who is asking; as a stream if that is what is asked for."""
    caller = request.get(CALLER)
    text = json.dumps({"owner": caller and caller.owner, "policy": caller and asdict(caller.policy)})
    if "stream" not in request.query:
        return web.Response(text=text, content_type="application/json")
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(text.encode())
    return response


def create_app(keyring: Keyring, *, required: bool, clock: Clock) -> web.Application:
    app = web.Application(middlewares=[security.errors, security.guard(any_name=False)])
    app.on_response_prepare.append(security.set_headers)
    access.install(app, keyring, required=required, clock=clock)
    for path in ("/health", "/ready", "/metrics", "/docs", "/v1/models"):
        app.router.add_get(path, who, allow_head=False)
    app.router.add_post(ASK, who)
    app.router.add_post("/v1/responses/{id}/cancel", who)
    return app


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers: `start(required=True)`."""
    with ExitStack() as stack:

        def make(*, required: bool, prepare: Callable[[Server], object] = lambda _: None) -> Server:
            clock = Clock()
            server = Server(tmp_path / "home", clock)
            prepare(server)
            app = create_app(Keyring(server.file, clock), required=required, clock=clock)

            @asynccontextmanager
            async def serve() -> AsyncIterator[int]:
                runner = Runner(app, access_log=None)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                yield runner.addresses[0][1]
                await runner.cleanup()

            server.port = stack.enter_context(in_thread(serve))
            return server

        yield make


@pytest.fixture
def locked(start: Start) -> Server:
    """A server where every request needs a key."""
    return start(required=True)


@pytest.fixture
def unlocked(start: Start) -> Server:
    """A server where none does, as on loopback."""
    return start(required=False)


def assert_refused(response: httpx.Response, *secrets: str) -> None:
    """401 in the form of all errors, with the challenge that a 401 must have, and nothing of what was sent."""
    assert response.status_code == 401, response.text
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Cache-Control"] == "no-store"
    for secret in secrets:
        assert secret not in response.text + str(response.headers)


# --- where a key is required


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_a_key_nobody_comes_in(locked: Server, method: str, path: str) -> None:
    """On every route, and on paths that do not exist: those cannot be told from the others."""
    locked.key()
    response = locked.send(method, path)
    assert_refused(response)
    assert "ccapi key create" in response.json()["error"]["message"]


def test_health_is_open(locked: Server) -> None:
    """Docker's health check has no key. What is sent along does not matter there."""
    assert locked.send("GET", "/health").json() == {"owner": None, "policy": None}
    assert locked.send("GET", "/health", UNKNOWN).status_code == 200
    assert locked.send("GET", "/%68ealth").status_code == 200


@pytest.mark.parametrize("path", ["/health/", "/health/../v1/models", "//health", "/v1/models?/health", "/health%2f"])
def test_what_only_looks_like_health_is_not_open(locked: Server, path: str) -> None:
    """The route counts, not how the path is written."""
    assert_refused(locked.send("GET", path))


def test_a_wrong_method_on_health_is_not_open(locked: Server) -> None:
    """Only what the route takes."""
    assert_refused(locked.send("POST", "/health"))


def test_a_key_opens(locked: Server) -> None:
    """The handler is told whose it is and what it may do."""
    key = locked.key(models=("sonnet",), tools=(), rate=None)
    answer = locked.ask(key)
    assert answer.status_code == 200
    policy = {"models": ["sonnet"], "transcript": None, "tools": [], "workspaces": None, "rate": None}
    assert answer.json() == {"owner": locked.owner(key), "policy": policy}


def test_each_key_is_somebody_else(locked: Server) -> None:
    """Owners differ, so that what is stored can be kept apart; none is `local`."""
    made = [locked.key() for _ in range(5)]
    owners = [locked.get(key).json()["owner"] for key in made]
    assert len(set(owners)) == 5
    assert "local" not in owners


@pytest.mark.parametrize("key", ["not-needed", "sk-abcdef", UNKNOWN, UNKNOWN + "x", "ccapi-x", "undefined"])
def test_another_key_does_not_open(locked: Server, key: str) -> None:
    """Whatever it looks like; it is not repeated."""
    locked.key()
    assert_refused(locked.get(key), key)


@pytest.mark.parametrize(
    "line", [b"Authorization:", b"Authorization: Bearer", b"Authorization: Bearer ", b"x-api-key:"]
)
def test_an_empty_key_does_not_open(locked: Server, line: bytes) -> None:
    """A variable that was not set in somebody's script."""
    locked.key()
    assert locked.raw(line)[0] == 401


def test_a_part_of_a_key_does_not_open(locked: Server) -> None:
    """Neither its beginning nor its end, nor the key with something behind it, nor its hash."""
    key = locked.key()
    for wrong in (
        key[:-1],
        key[:20],
        key.removeprefix("ccapi-"),
        key + "A",
        key.upper(),
        key.lower(),
        keys.digest(key),
    ):
        assert_refused(locked.get(wrong), wrong)
    assert locked.get(key).status_code == 200


@pytest.mark.parametrize(
    "form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer\t{}", "Bearer {} ", "{}"]
)
def test_spellings_of_the_header(locked: Server, form: str) -> None:
    """A scheme's case does not matter (RFC 9110, 11.1); a field for the header's whole value invites the bare key."""
    key = locked.key()
    assert locked.raw(f"Authorization: {form.format(key)}".encode())[0] == 200


def test_the_header_of_anthropics_clients(locked: Server) -> None:
    """`x-api-key`, also beside a proxy's own `Authorization`."""
    key = locked.key()
    assert locked.get(**{"x-api-key": key}).status_code == 200
    assert locked.get(**{"X-API-KEY": key, "Authorization": "Basic dXNlcjpwYXNz"}).status_code == 200


@pytest.mark.parametrize(
    "form",
    ["Basic {}", "Token {}", "Bearer Bearer {}", 'Bearer "{}"', "Bearer {},x", "Bearer x {}", "Bearer={}", "key={}"],
)
def test_another_scheme_does_not_open(locked: Server, form: str) -> None:
    """A key where none belongs."""
    key = locked.key()
    assert_refused(locked.get(Authorization=form.format(key)), key)


@pytest.mark.parametrize("place", ["?key={}", "?api_key={}", "?access_token={}", "/{}"])
def test_a_key_in_the_address_does_not_open(locked: Server, place: str) -> None:
    """Addresses end up in logs."""
    key = locked.key()
    assert_refused(locked.send("GET", "/v1/models" + place.format(key)), key)


def test_a_key_in_the_body_or_a_cookie_does_not_open(locked: Server) -> None:
    """Only the two headers count."""
    key = locked.key()
    assert_refused(locked.get(Cookie=f"api_key={key}"), key)
    assert_refused(locked.get(**{"api-key": key}), key)


# --- where none is


@pytest.mark.parametrize("key", [None, "not-needed", "sk-proj-123", "EMPTY", "my-ccapi-key", "none"])
def test_without_a_key_one_is_local(unlocked: Server, key: str | None) -> None:
    """Clients of OpenAI's API cannot but send something."""
    answer = unlocked.get(key).json()
    assert answer["owner"] == "local"
    assert set(answer["policy"].values()) == {None}


def test_a_known_key_counts_all_the_same(unlocked: Server) -> None:
    """Who holds a limited key is limited, and owns what it makes."""
    key = unlocked.key(transcript="final")
    answer = unlocked.get(key).json()
    assert answer["owner"] == unlocked.owner(key)
    assert answer["policy"]["transcript"] == "final"


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {UNKNOWN}",
        UNKNOWN,
        f"Basic {UNKNOWN}",
        f'Bearer "{UNKNOWN}"',
        f"Bearer {UNKNOWN.upper()}",
        "Bearer ccapi-",
    ],
)
def test_what_looks_like_a_key_of_ours_must_be_one(unlocked: Server, value: str) -> None:
    """Else a revoked or mangled key would do more than a good one."""
    assert_refused(unlocked.get(Authorization=value), UNKNOWN)


def test_a_revoked_key_does_not_become_anybodys(unlocked: Server) -> None:
    """It is refused, where no key at all would be let in."""
    key = unlocked.key(models=("haiku",))
    assert unlocked.get(key).status_code == 200
    unlocked.revoke(key)
    unlocked.clock.now += 1
    assert_refused(unlocked.get(key), key)
    assert unlocked.get().status_code == 200


# --- hostile headers


@pytest.mark.parametrize("required", [True, False])
def test_two_keys_are_one_too_many(start: Start, required: bool) -> None:
    """Nobody knows which one is meant; the same twice is no question."""
    server = start(required=required)
    one, two = server.key().encode(), server.key().encode()
    bearer = b"Authorization: Bearer "
    for lines in (
        [bearer + one, bearer + two],
        [bearer + one, b"x-api-key: " + two],
        [b"x-api-key: " + one, bearer + two],
    ):
        status, answer = server.raw(*lines)
        assert status == 400
        assert one not in answer
        assert two not in answer
    assert server.raw(bearer + one, b"x-api-key: " + one)[0] == 200


@pytest.mark.parametrize("order", [1, -1])
def test_a_good_key_beside_another_word_counts(unlocked: Server, order: int) -> None:
    """A second header is no way around the policy of the first."""
    key = unlocked.key(transcript="text")
    lines = [b"Authorization: Bearer not-needed", b"x-api-key: " + key.encode()][::order]
    status, answer = unlocked.raw(*lines)
    assert status == 200
    assert unlocked.owner(key).encode() in answer


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        b"Bearer \xff\xfe\xfd",
        b"Bearer ccapi-\xff\xfe",
        "Bearer ccapi-ключ".encode(),
        b"Bearer ccapi-" + b"a" * 6000,
        b"Bearer " + b"a" * 6000,
        b"Bearer ccapi-\t\tx",
        b"Bearer ccapi-%00%0d%0a",
        b"\xa0Bearer ccapi-x",
        b"Bearer ccapi-\xe2\x80\xae",
        b"Bearer ccapi-${jndi:x}' OR 1=1 --",
    ],
)
def test_odd_values_are_refused_or_ignored(start: Start, required: bool, value: bytes) -> None:
    """No failure of the gateway's; in no case does one come in who must not."""
    server = start(required=required)
    server.key()
    status, answer = server.raw(b"Authorization: " + value)
    assert status == (401 if required or b"ccapi-" in value else 200)
    assert b"ccapi-\xff" not in answer


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer a\x00b",
        b"Authorization: Bearer \x1b[2J\x07",
        b"Authorization: Bearer a\rb",
        b"Authorization: Bearer " + b"a" * 20_000,
        b"Authorization : Bearer x",
        b" folded",
    ],
    ids=["NUL", "escape", "CR", "huge", "space", "folded"],
)
def test_what_is_no_header_is_a_400(locked: Server, line: bytes) -> None:
    """Refused before anything looks at it."""
    status, answer = locked.raw(line)
    assert status == 400
    assert b"aaaa" not in answer


# --- the file of keys


def test_a_new_key_is_good_at_once(locked: Server) -> None:
    """Without a restart, and without waiting: `KEY=$(ccapi key create); curl …` works."""
    for _ in range(3):
        assert locked.get(locked.key()).status_code == 200


def test_a_revoked_key_is_bad_within_a_second(locked: Server) -> None:
    """While others come in and out."""
    key, other = locked.key(), locked.key()
    assert locked.get(key).status_code == 200
    locked.revoke(key)
    locked.clock.now += 1
    assert_refused(locked.get(key), key)
    assert locked.get(other).status_code == 200


def test_without_a_file_there_are_no_keys(locked: Server) -> None:
    """Not even its directory needs to be there; and when the file goes, all keys do."""
    assert_refused(locked.get(UNKNOWN))
    key = locked.key()
    assert locked.get(key).status_code == 200
    locked.file.unlink()
    locked.clock.now += 1
    assert_refused(locked.get(key), key)


@pytest.mark.parametrize("required", [True, False])
def test_a_damaged_file_opens_nothing(start: Start, required: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Keys get a 503, as they may be good; the log says why, once; mended, it works again."""
    server = start(required=required)
    key = server.key()
    good = server.file.read_text()
    assert server.get(key).status_code == 200
    server.file.write_text(good[:-30])
    server.clock.now += 1
    with caplog.at_level(logging.ERROR):
        for wrong in (key, UNKNOWN):
            response = server.get(wrong)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "keys_unreadable")
            assert str(server.file) not in response.text
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(server.file) in said.getMessage()
    assert server.get().status_code == (401 if required else 200)
    assert server.send("GET", "/health").status_code == 200
    server.file.write_text(good)
    server.clock.now += 1
    assert server.get(key).status_code == 200


def test_the_start_says_what_is_wrong_with_the_keys(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The operator need not wait for the first client."""

    def damage(server: Server) -> None:
        server.file.parent.mkdir(parents=True)
        server.file.write_text("{")

    start(required=True, prepare=damage)
    assert "no API key is accepted" in caplog.text


@pytest.mark.parametrize(("required", "said"), [(True, True), (False, False)])
def test_the_start_says_that_there_is_no_key(
    start: Start, required: bool, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where one is needed; then nobody could come in."""
    start(required=required)
    assert ("ccapi key create" in caplog.text) == said


def test_a_file_that_is_a_directory(tmp_path: Path) -> None:
    """Docker makes one where a file to mount is missing: no key is good, and `problem` says why."""
    file = tmp_path / "keys.json"
    file.mkdir()
    keyring = Keyring(file)
    with pytest.raises(KeysUnreadable):
        keyring.find(UNKNOWN)
    assert keyring.problem
    assert str(file) in keyring.problem


def test_the_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """Not for every request: a known key costs no look at the disk."""
    clock, key = Clock(), commands.create(Home(str(tmp_path)), None, Policy(), print).key
    file = tmp_path / "state" / "keys" / "keys.json"
    keyring = Keyring(file, clock)
    assert keyring.find(key)
    file.unlink()
    clock.now += 0.9
    assert keyring.find(key)
    clock.now += 0.1
    assert keyring.find(key) is None


def test_a_replaced_file_is_noticed_by_its_inode(tmp_path: Path) -> None:
    """Same size, same time: another file all the same."""
    clock, file = Clock(), tmp_path / "keys.json"
    first, second = (commands.create(Home(str(tmp_path / name)), None, Policy(), print) for name in ("a", "b"))
    keyring = Keyring(file, clock)
    for made in (first, second):
        fresh = tmp_path / "fresh"
        fresh.write_text(keys.dump(KeyFile((made.record,))))
        os.utime(fresh, ns=(10**18, 10**18))
        fresh.replace(file)
        clock.now += 1
        assert keyring.find(made.key) == made.record
    assert keyring.find(first.key) is None


def test_no_key_reaches_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, for good keys and bad ones, in every header."""
    caplog.set_level(logging.DEBUG)
    server = start(required=True)
    key = server.key(rate=1)
    for _ in range(3):
        server.ask(key)
    server.get(**{"x-api-key": UNKNOWN})
    server.get(Authorization=f"Basic {key}")
    server.raw(b"Authorization: Bearer " + key.encode(), b"x-api-key: " + UNKNOWN.encode())
    server.revoke(key)
    server.clock.now += 1
    server.get(key)
    assert "refused GET /v1/models" in caplog.text
    for secret in (key, UNKNOWN):
        assert secret[6:18] not in caplog.text
        assert keys.digest(secret) not in caplog.text


# --- the rate


def limits(response: httpx.Response) -> tuple[str, str, str]:
    names = ("Limit", "Remaining", "Reset")
    found = [response.headers[f"X-RateLimit-{name}-Requests"] for name in names]
    return found[0], found[1], found[2]


def test_a_rate_is_kept(unlocked: Server) -> None:
    """So many in any minute; then 429 with the time to wait, and OpenAI's headers on every answer."""
    key = unlocked.key(rate=2)
    assert limits(unlocked.ask(key)) == ("2", "1", "60s")
    unlocked.clock.now += 20.5
    assert limits(unlocked.ask(key)) == ("2", "0", "60s")
    unlocked.clock.now += 10
    refused = unlocked.ask(key)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"], error["retry_after"]) == ("rate_limit_error", "rate_limit_exceeded", 30)
    assert refused.headers["Retry-After"] == "30"  # 29.5 s: a client that came after 29 would be refused again
    assert limits(refused) == ("2", "0", "50s")
    unlocked.clock.now += 30
    assert limits(unlocked.ask(key)) == ("2", "0", "60s")
    assert unlocked.ask(key).status_code == 429, "only the first of the two is a minute old"


def test_a_refused_request_does_not_count(unlocked: Server) -> None:
    """Who keeps trying is not kept out for ever."""
    key = unlocked.key(rate=1)
    unlocked.ask(key)
    for _ in range(10):
        assert unlocked.ask(key).status_code == 429
        unlocked.clock.now += 5
    unlocked.clock.now += 10
    assert unlocked.ask(key).status_code == 200


def test_each_key_has_its_own_rate(locked: Server) -> None:
    """One that is at its end does not hold another back, and one without a rate has none."""
    one, two, free = locked.key(rate=1), locked.key(rate=1), locked.key()
    assert [locked.ask(key).status_code for key in (one, one, two, two)] == [200, 429, 200, 429]
    answers = [locked.ask(free) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [name for name in answers[0].headers if name.startswith("x-ratelimit")]


def test_looking_and_cancelling_are_free(unlocked: Server) -> None:
    """A client that waits for a response, or wants to end it, does not use up what it may ask."""
    key = unlocked.key(rate=1)
    assert limits(unlocked.get(key)) == ("1", "1", "0s")
    assert unlocked.ask(key).status_code == 200
    for _ in range(5):
        assert limits(unlocked.get(key)) == ("1", "0", "60s")
        assert unlocked.send("POST", CANCEL, key).status_code == 200
    assert unlocked.ask(key).status_code == 429


def test_a_stream_has_the_headers_too(unlocked: Server) -> None:
    """They go out before the first byte."""
    key = unlocked.key(rate=3)
    assert limits(unlocked.send("POST", f"{ASK}?stream", key)) == ("3", "2", "60s")


def test_in_no_minute_are_there_more() -> None:
    """Wherever the minute begins: no burst at the seam of two."""
    clock = Clock()
    counted, granted = RateLimits(clock), []
    for _ in range(1000):
        clock.now += 1.7
        _, wait = counted.take("key", 10)
        if wait is None:
            granted.append(clock.now)
        else:
            assert 0 < wait <= 60
    assert all(later - earlier >= 60 for earlier, later in zip(granted, granted[10:], strict=False))
    assert len(granted) >= 1000 * 1.7 / 60 * 10 * 0.9, "and nearly all that may be are"


# --- the openai SDK


def test_the_openai_client_understands(start: Start) -> None:
    """Its own exceptions for a wrong key and for too many requests."""
    server = start(required=True)
    key = server.key(rate=1)

    def ask(api_key: str) -> object:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=api_key, max_retries=0) as client:
            return client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": "hi"}])

    with pytest.raises(openai.AuthenticationError):
        ask(UNKNOWN)
    ask(key)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(key)
    assert raised.value.code == "rate_limit_exceeded"


def test_a_pipe_in_the_place_of_the_file(tmp_path: Path) -> None:
    """Nobody waits for what may come through it; no key is good."""
    os.mkfifo(tmp_path / "keys.json")
    with pytest.raises(KeysUnreadable):
        Keyring(tmp_path / "keys.json").find(UNKNOWN)

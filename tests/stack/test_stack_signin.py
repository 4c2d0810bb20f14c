"""Whether `up` takes Claude Code for signed in, and how it reads the files that say so."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ccapi.errors import StackFailed
from ccapi.stack import signin, spec
from ccapi.stack.engine import Engine
from tests.stack.support import NAME

LOGIN = b'{"claudeAiOauth": {"accessToken": "a", "refreshToken": "r"}}'
MCP = b'{"mcpOAuth": {"demo|1": {"accessToken": "a", "refreshToken": "r"}}}'


@pytest.mark.parametrize(
    ("logins", "credentials", "expected"),
    [
        (None, None, False),
        (LOGIN, None, True),
        (b'{"claudeAiOauth": {"refreshToken": "r"}}', None, True),
        (b'{"claudeAiOauth": {"accessToken": "a"}, "mcpOAuth": {}}', b"", True),
        (MCP, None, False),
        (b'{"claudeAiOauth": {"accessToken": "", "refreshToken": null}}', None, False),
        (b'{"claudeAiOauth": null}', None, False),
        (b'{"claudeAiOauth": "a"}', None, False),
        (b"[]", None, False),
        (b"[" * 100_000, None, False),
        (b"\xff{", None, False),
        (b"", b"", False),
        (None, b"ANTHROPIC_API_KEY=key\n", True),
        (MCP, b"# mine\nOTHER=1\n CLAUDE_CODE_OAUTH_TOKEN = 'token'\n", True),
        (None, b"ANTHROPIC_AUTH_TOKEN=token", True),
        (None, b'ANTHROPIC_API_KEY=""\n', False),
        (None, b"#ANTHROPIC_API_KEY=key\nOTHER=key\nANTHROPIC_API_KEY\n", False),
        (None, b"\xff\xfe\n", False),
    ],
)
def test_what_counts(logins: bytes | None, credentials: bytes | None, expected: bool) -> None:
    """Claude's own login, or a credential with a value; logins to MCP servers, which lie in the same file, do not."""
    files = {f"{spec.CONFIG}/.credentials.json": logins, f"{spec.CONFIG}/credentials.env": credentials}
    assert signin.look(files.get).signed_in == expected


def tar(kind: bytes, content: bytes) -> bytes:
    """As the engine sends one entry of a container."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        entry = tarfile.TarInfo("x" * 200)
        entry.type, entry.size, entry.linkname = kind, len(content), "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        files.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


FILES = {
    "/file": tar(tarfile.REGTYPE, b"content"),
    "/empty": tar(tarfile.REGTYPE, b""),
    "/full": tar(tarfile.REGTYPE, b"x" * 1000),
    "/large": tar(tarfile.REGTYPE, b"x" * 1001),
    "/huge": tar(tarfile.REGTYPE, b"x" * 5_000_000),
    "/directory": tar(tarfile.DIRTYPE, b""),
    "/link": tar(tarfile.SYMTYPE, b""),
    "/nonsense": b"x" * 10_000,
    "/cut": tar(tarfile.REGTYPE, b"x" * 900)[:-10_000],
}


class Handler(http.server.BaseHTTPRequestHandler):
    """The engine's API, as far as a file is read by it."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body: bytes | None = b'{"ApiVersion": "1.47"}'
        if url.path.endswith(f"/containers/{NAME}/archive"):
            body = FILES.get(parse_qs(url.query)["path"][0])
        self.send_response(500 if url.query == "path=%2Fbroken" else 404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asks may have had enough
            self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def engine() -> Iterator[Engine]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Engine({"DOCKER_HOST": f"tcp://127.0.0.1:{server.server_port}"}, NAME) as found:
                yield found
        finally:
            server.shutdown()
            thread.join()


def test_a_file_of_the_container() -> None:
    """Its bytes, as many as are allowed; nothing of what is no file, is too large, is cut off or is not there."""
    with engine() as found:
        read = {path: found.file(path, most=1000) for path in [*FILES, "/missing"]}
        with pytest.raises(StackFailed, match="HTTP 500"):
            found.file("/broken")
    contents = {"/file": b"content", "/empty": b"", "/full": b"x" * 1000}
    assert read == {path: contents.get(path) for path in read}


# --- what more is stored


def stored(**files: Any) -> signin.Details:
    """The details by these documents; `login` and `config` are Claude Code's files."""
    names = {"login": f"{spec.CONFIG}/.credentials.json", "config": f"{spec.CONFIG}/.claude.json"}
    return signin.details({names[name]: json.dumps(value).encode() for name, value in files.items()}.get)


def test_the_account_of_a_login() -> None:
    """Its address, the plan, and when the login itself ends: the access token's own end means nothing."""
    login = {"accessToken": "a", "refreshToken": "r", "expiresAt": 1, "subscriptionType": "max"}
    account = {"oauthAccount": {"emailAddress": "me@example.com"}}
    found = stored(login={"claudeAiOauth": login}, config=account)
    assert (found.method, found.account, found.plan, found.expires) == ("subscription", "me@example.com", "max", None)
    ends = stored(login={"claudeAiOauth": {**login, "refreshTokenExpiresAt": 1_800_000_000_000}}, config=account)
    assert ends.expires == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def test_a_key_of_the_console() -> None:
    assert stored(config={"primaryApiKey": "k", "oauthAccount": {"emailAddress": "me@e.com"}}).method == "console"
    assert stored(config={}).method == "none"


def test_the_sign_ins_to_mcp_servers() -> None:
    """Of each that is configured, in the order of the names; one that can be renewed has not ended."""
    servers = {
        "token": {"type": "http", "url": "https://a", "headers": {"AUTHORIZATION": "Bearer x"}},
        "stdio": {"command": "x"},
        "open": {"type": "http", "url": "https://b"},
        "good": {"type": "http", "url": "https://c"},
        "renewed": {"type": "http", "url": "https://d"},
        "over": {"type": "http", "url": "https://e"},
        "odd": 5,
    }
    logins = {
        "good|1": {"serverName": "good", "accessToken": "a"},
        "renewed|2": {"serverName": "renewed", "accessToken": "a", "refreshToken": "r", "expiresAt": 1},
        "over|3": {"serverName": "over", "accessToken": "a", "expiresAt": 1},
        "open|4": {"serverName": "open", "accessToken": ""},
        "odd|5": "x",
    }
    found = stored(config={"mcpServers": servers}, login={"mcpOAuth": logins}).servers
    assert [(one.name, one.auth) for one in found] == [
        ("good", "signed-in"),
        ("odd", "command"),
        ("open", "none"),
        ("over", "expired"),
        ("renewed", "signed-in"),
        ("stdio", "command"),
        ("token", "token"),
    ]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"mcpServers": [], "oauthAccount": 5}', b"\xff"])
def test_files_of_another_form(content: bytes) -> None:
    """The agent can write them: nothing of it is believed, and nothing fails."""
    assert signin.details(lambda _: content) == signin.Details("none", None, None, None, ())

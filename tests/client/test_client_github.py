"""Whose a GitHub token is, asked of a server that speaks as GitHub's API does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from ccapi.client import github
from ccapi.client.github import Account

TOKEN = "ghp_0123456789abcdefghijklmnop"


class Answer(BaseHTTPRequestHandler):
    """Answers as the test has it: status, headers, body."""

    status: ClassVar[int] = 200
    headers_: ClassVar[dict[str, str]] = {}
    body: ClassVar[bytes] = b"{}"
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        for name, value in self.headers_.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def answer() -> type[Answer]:
    """What the server will say."""
    Answer.status, Answer.headers_, Answer.body = 200, {}, b'{"login": "octocat"}'
    Answer.seen.clear()
    return Answer


@pytest.fixture
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_classic_token(answer: type[Answer], api: str) -> None:
    """Who it is, what it may do, and until when; it was sent as a bearer."""
    answer.headers_ = {
        "X-OAuth-Scopes": "repo, read:org",
        "GitHub-Authentication-Token-Expiration": "2026-12-31 10:00:00 UTC",
    }
    assert github.account(TOKEN, api) == Account("octocat", ("repo", "read:org"), "2026-12-31 10:00:00 UTC")
    assert answer.seen == [("/user", f"Bearer {TOKEN}")]


def test_a_fine_grained_token(answer: type[Answer], api: str) -> None:
    """Has no scopes at all, which is not the same as none."""
    assert github.account(TOKEN, api) == Account("octocat", None, None)
    answer.headers_ = {"X-OAuth-Scopes": ""}
    assert github.account(TOKEN, api) == Account("octocat", (), None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b'{"message": "Bad credentials"}'), (200, b"not JSON"), (200, b"[]"), (200, b'{"login": 1}'), (500, b"")],
)
def test_no_answer(answer: type[Answer], api: str, status: int, body: bytes) -> None:
    """Is nobody, and no failure: the MCP server decides."""
    answer.status, answer.body = status, body
    assert github.account(TOKEN, api) is None


def test_a_redirect_is_not_followed(answer: type[Answer], api: str) -> None:
    """The token would go along."""
    answer.status, answer.headers_ = 302, {"Location": f"{api}/elsewhere"}
    assert github.account(TOKEN, api) is None
    assert [path for path, _ in answer.seen] == ["/user"]


@pytest.mark.parametrize("api", ["http://127.0.0.1:9", "http://[", "nothing"])
def test_nobody_there(api: str) -> None:
    """No network: nobody, at once."""
    assert github.account(TOKEN, api) is None

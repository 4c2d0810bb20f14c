"""The client of the public API, against a listener that says what a gateway says, and what none does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from ccapi.client.sessions import ApiClient, Model, Session
from ccapi.errors import (
    CcapiError,
    GatewayProtocol,
    GatewayUnreachable,
    KeyInvalid,
    NotPermitted,
    SessionInUse,
    SessionNotFound,
)
from tests.cli.support import FakeGateway, free_port

T = TypeVar("T")
SESSION = {
    "object": "session", "created_at": 1, "last_used_at": 2, "title": "t", "model": "sonnet", "workspace": ".",
    "turns": 3, "cost_usd": 0.5, "of_tomorrow": True,
}  # fmt: skip


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    gateway = FakeGateway()
    yield gateway
    gateway.close()


def asked(fake: FakeGateway, answers: Sequence[bytes], ask: Callable[[ApiClient], T], key: str | None = "sk-1") -> T:
    """Ask, and be answered with these."""

    def play() -> None:
        for answer in answers:
            with fake.request() as connection:
                connection.sendall(answer)

    player = threading.Thread(target=play)
    player.start()
    try:
        with ApiClient(fake.url, key) as client:
            return ask(client)
    finally:
        player.join()


def page(*ids: str, more: bool) -> bytes:
    return FakeGateway.document({"data": [{**SESSION, "id": name} for name in ids], "has_more": more})


def names(client: ApiClient) -> list[str]:
    return [session.id for session in client.sessions()]


def test_sessions_page_by_page(fake: FakeGateway) -> None:
    """Each page is asked for behind the last of the one before; members that are not known are left out."""
    found = asked(fake, [page("a", "b", more=True), page("c", more=False)], lambda client: list(client.sessions()))
    assert [session.id for session in found] == ["a", "b", "c"]
    assert found[0] == Session("a", 1, 2, "t", "sonnet", ".", 3, 0.5)
    assert fake.lines == ["GET /v1/sessions?limit=100", "GET /v1/sessions?limit=100&after=b"]


def test_a_page_that_comes_again(fake: FakeGateway) -> None:
    """A gateway that always gives the same one has no others: each session comes once, and then it is over."""
    assert asked(fake, [page("a", "b", more=True)] * 2, names) == ["a", "b"]


def test_no_more_is_fetched_than_is_taken(fake: FakeGateway) -> None:
    """The second page of a long list costs nothing if nobody wants it."""
    assert asked(fake, [page("a", "b", more=True)], lambda client: next(client.sessions()).id) == "a"
    assert len(fake.lines) == 1


def test_a_page_with_nothing_is_the_last(fake: FakeGateway) -> None:
    """Whatever it says of others: there is nothing to ask behind."""
    assert asked(fake, [page(more=True)], names) == []


@pytest.mark.parametrize(("key", "sent"), [("sk-1", "Bearer sk-1"), (None, None)])
def test_the_key_is_in_the_header(fake: FakeGateway, key: str | None, sent: str | None) -> None:
    """And nowhere where there is none."""
    asked(fake, [page(more=False)], names, key)
    assert fake.received[0].headers.get("authorization") == sent


def test_a_session(fake: FakeGateway) -> None:
    """Its document, whole. An id is a part of the path, whatever is in it."""
    document = {**SESSION, "id": "a/b", "items": [{"type": "message"}], "truncated": False}
    assert asked(fake, [fake.document(document)], lambda client: client.session("a/b?c")) == document
    assert fake.lines == ["GET /v1/sessions/a%2Fb%3Fc"]


def test_a_session_is_deleted(fake: FakeGateway) -> None:
    """The one of that id; the answer says nothing that matters."""
    asked(fake, [fake.document({"deleted": True})], lambda client: client.delete("a"))
    assert fake.lines == ["DELETE /v1/sessions/a"]


def test_models(fake: FakeGateway) -> None:
    """Each name with what it means."""
    data = [{"id": "sonnet", "ccapi": {"model": "sonnet"}}, {"id": "gpt-4o", "ccapi": {"model": "claude-opus-5"}}]
    found = asked(fake, [fake.document({"data": data})], ApiClient.models)
    assert found == [Model("sonnet", "sonnet"), Model("gpt-4o", "claude-opus-5")]


@pytest.mark.parametrize("error", [SessionNotFound("no"), SessionInUse("used"), NotPermitted("never")])
def test_what_the_envelope_says(fake: FakeGateway, error: CcapiError) -> None:
    """As the same class, with the same words."""
    with pytest.raises(type(error)) as caught:
        asked(fake, [fake.refusal(error)], lambda client: client.session("a"))
    assert caught.value.message == error.message


def test_a_key_that_is_none(fake: FakeGateway) -> None:
    """How to get one, and where to put it: as after a question."""
    with pytest.raises(KeyInvalid) as caught:
        asked(fake, [fake.refusal(KeyInvalid("not that one"))], names)
    assert "CCAPI_API_KEY" in (caught.value.hint or "")


def test_nobody_there() -> None:
    """Which address that is, and what to do."""
    with pytest.raises(GatewayUnreachable) as caught, ApiClient(f"http://127.0.0.1:{free_port()}", None) as client:
        client.models()
    assert "ccapi up" in (caught.value.hint or "")


@pytest.mark.parametrize("document", [None, 5, {}, [], {"data": 5}, {"data": [5]}, {"data": [{}]}, {"items": None}])
@pytest.mark.parametrize("ask", [names, ApiClient.models, lambda client: client.session("a")])
def test_what_is_no_gateway(fake: FakeGateway, document: Any, ask: Callable[[ApiClient], Any]) -> None:
    """JSON of another form is a clear failure, with the address."""
    with pytest.raises(GatewayProtocol, match=str(fake.port)):
        asked(fake, [fake.document(document)], ask)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 5),
        ("title", None),
        ("model", ["x"]),
        ("workspace", {}),
        ("turns", "3"),
        *[("last_used_at", value) for value in (float("nan"), -1e18, -(10**18), "2", 10**400)],
        *[("cost_usd", value) for value in (float("nan"), float("inf"), 10**400, "1")],
    ],
)
def test_a_session_with_a_wrong_value(fake: FakeGateway, field: str, value: Any) -> None:
    """One failure, and nothing that a program would take for a session."""
    document = {"data": [{**SESSION, "id": "a", field: value}], "has_more": False}
    with pytest.raises(GatewayProtocol, match=str(fake.port)):
        asked(fake, [fake.document(document)], names)


@pytest.mark.parametrize("entry", [{"id": 5, "ccapi": {"model": "m"}}, {"id": "a", "ccapi": {"model": None}}])
def test_a_model_with_a_wrong_value(fake: FakeGateway, entry: Any) -> None:
    """As above."""
    with pytest.raises(GatewayProtocol, match=str(fake.port)):
        asked(fake, [fake.document({"data": [entry]})], ApiClient.models)


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
def test_json_without_an_end(fake: FakeGateway, status: bytes) -> None:
    """Deeper than any parser goes: it is no gateway that says so."""
    with pytest.raises(GatewayProtocol, match=str(fake.port)):
        asked(fake, [b"HTTP/1.1 " + status + b"\r\n\r\n" + b"[" * 100_000], ApiClient.models)

"""The error envelope: the same class comes back on the other side."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccapi import errors
from ccapi.errors import CcapiError, GatewayProtocol, RateLimited
from ccapi.wire import envelope


def subclasses(kind: type[CcapiError]) -> list[type[CcapiError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in subclasses(child))]


ALL = sorted(set(subclasses(CcapiError)), key=lambda kind: kind.__name__)


def test_all_classes_are_looked_at() -> None:
    """Every error class of the tree, wherever it is defined, lives in `ccapi.errors` with a code of its own."""
    assert all(kind.__module__ == errors.__name__ for kind in ALL)
    assert len({kind.code for kind in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_class_survives_the_wire(kind: type[CcapiError]) -> None:
    """Class, message, hint, field and wait, through JSON and back."""
    error = kind("it went wrong", hint="do this", param="messages[0]", retry_after=2.5, detail="secret detail")
    document = json.loads(json.dumps(envelope.dump(error)))
    assert set(document) == {"error"}
    assert {"message", "type", "param", "code"} <= set(document["error"])
    loaded = envelope.load(document)
    assert type(loaded) is kind
    assert (loaded.message, loaded.hint) == ("it went wrong", "do this")
    assert (loaded.param, loaded.retry_after) == ("messages[0]", 2.5)
    assert "secret detail" not in json.dumps(document)


def test_the_hint_is_part_of_the_message_on_the_wire() -> None:
    """Most clients show the message and nothing else."""
    assert envelope.dump(CcapiError("It went wrong", hint="Do this."))["error"]["message"] == "It went wrong. Do this."


@pytest.mark.parametrize("message", ["There is none. None", "a. ", "ends with a point.", "a\nb", "ü\u2028🎉", ""])
def test_any_message_survives_without_a_hint(message: str) -> None:
    """Nothing is cut off its end."""
    loaded = envelope.load(envelope.dump(CcapiError(message)))
    assert (loaded.message, loaded.hint) == (message, None)


@pytest.mark.parametrize("kind", ALL)
def test_the_form_is_openais(kind: type[CcapiError]) -> None:
    """`type` is one of OpenAI's, `code` our slug, `param` null when no field is at fault."""
    body = envelope.dump(kind("m"))["error"]
    assert body == {"message": "m", "type": kind.type, "param": None, "code": kind.code}
    assert kind.type in {"invalid_request_error", "authentication_error", "rate_limit_error", "server_error"}
    assert 400 <= kind.status < 600


def test_a_code_of_a_newer_gateway_is_a_plain_error() -> None:
    """The message is kept."""
    loaded = envelope.load({"error": {"message": "m", "code": "of_tomorrow"}})
    assert type(loaded) is CcapiError
    assert loaded.message == "m"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"error": None},
        {"error": "text"},
        {"error": {}},
        {"error": {"message": 5}},
        {"detail": "x"},
    ],
)
def test_what_is_no_envelope_is_a_protocol_error(document: Any) -> None:
    """Another server's error is not taken for ours."""
    assert type(envelope.load(document)) is GatewayProtocol


@pytest.mark.parametrize("body", [{"code": 5}, {"code": None}, {"param": 5}, {"retry_after": "soon"}, {"type": None}])
def test_odd_members_are_left_out(body: dict[str, Any]) -> None:
    """A message is enough."""
    loaded = envelope.load({"error": {"message": "m", **body}})
    assert (loaded.message, loaded.param, loaded.retry_after) == ("m", None, None)


def test_the_wait_is_told_in_the_body_too() -> None:
    """For clients that do not see headers, as in the middle of a stream."""
    assert envelope.dump(RateLimited("m", retry_after=7))["error"]["retry_after"] == 7


def test_no_credential_leaves_in_a_message() -> None:
    """Whatever an upstream error quotes."""
    dumped = json.dumps(
        envelope.dump(CcapiError("bad key sk-ant-api03-abcdefghijklmnop in Authorization: Bearer abcdefghijkl"))
    )
    assert "sk-ant" not in dumped
    assert "abcdefghijkl" not in dumped

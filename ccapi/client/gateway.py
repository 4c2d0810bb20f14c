"""The gateway's HTTP client: one streamed question, as deltas.

Lines are split at `\\n` only (httpx's own `iter_lines` also splits at U+2028), and the read timeout rests on the
gateway's heartbeats. Proxies of the environment are not used: the gateway is on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ccapi.errors import CcapiError, GatewayProtocol, GatewayUnreachable
from ccapi.wire import envelope

CONNECT_TIMEOUT = 5.0  # seconds
SILENCE_TIMEOUT = 60.0  # seconds; several heartbeats


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer, or (`comment`) a sign of life that is no part of it."""

    text: str = ""
    comment: str = ""


@contextmanager
def ask(base_url: str, prompt: str, *, model: str) -> Iterator[Iterator[Delta]]:
    """Ask, and stream the transcript. Leaving the block early ends the run on the server.

    Raises what the error envelope says, `GatewayUnreachable`, or `GatewayProtocol` when the answer breaks off.
    """
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
    timeout = httpx.Timeout(SILENCE_TIMEOUT, connect=CONNECT_TIMEOUT)
    with (
        _mapped(base_url),
        httpx.Client(base_url=base_url, timeout=timeout, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        _check(response, base_url)
        yield _deltas(response)


def _check(response: httpx.Response, base_url: str) -> None:
    """Raise unless this is the beginning of a streamed answer."""
    if response.status_code != httpx.codes.OK:
        response.read()
        raise _refusal(response, base_url)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise _no_gateway(base_url)


def _refusal(response: httpx.Response, base_url: str) -> CcapiError:
    try:
        error = envelope.load(response.json())
    except ValueError:
        return _no_gateway(base_url)
    return _no_gateway(base_url) if isinstance(error, GatewayProtocol) else error


def _no_gateway(base_url: str) -> GatewayProtocol:
    hint = "Another program uses that port: name the gateway's with --port or the setting gateway.port."
    return GatewayProtocol(f"What answers at {base_url} is no ccapi gateway", hint=hint)


def _deltas(response: httpx.Response) -> Iterator[Delta]:
    for line in _lines(response.iter_bytes()):
        if line.startswith(b":"):
            yield Delta(comment=line[1:].decode("utf-8", "replace").strip())
        elif line == b"data: [DONE]":
            return
        elif line.startswith(b"data:") and (text := _content(_json(line[5:]))):
            yield Delta(text=text)
    raise GatewayProtocol("The answer broke off: the gateway closed the connection before it was complete")


def _content(chunk: Any) -> str:
    """What one chunk adds to the answer. Raises the error that it carries, or `GatewayProtocol`."""
    try:
        if "error" in chunk:
            raise envelope.load(chunk)
        return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    except (LookupError, TypeError, AttributeError):
        raise GatewayProtocol("The gateway sent an event in a form that ccapi does not know") from None


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        yield from lines


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise GatewayProtocol("The gateway answered with something that is not JSON") from None


@contextmanager
def _mapped(base_url: str) -> Iterator[None]:
    """Every exception of httpx as one of ours."""
    try:
        yield
    except httpx.ConnectError:
        raise GatewayUnreachable(
            f"No gateway answers at {base_url}", hint="Start it with: ccapi up   (or without Docker: ccapi gateway)"
        ) from None
    except httpx.TimeoutException:
        raise GatewayUnreachable(f"The gateway at {base_url} is silent", hint="Look at: ccapi logs") from None
    except httpx.HTTPError as error:
        raise GatewayProtocol(f"The connection to the gateway at {base_url} broke: {error}") from None

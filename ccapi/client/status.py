"""What a gateway says of itself to everybody who asks: `/health`, and to whoever may, `/ready`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ccapi.client import http
from ccapi.client.endpoint import SERVICE


class Answer(NamedTuple):
    """`/ready` says 503 with a document of its own when something is not ready: that is an answer too."""

    status: int
    document: Any


def ask(base_url: str, path: str, *, bearer: str | None = None, timeout: float) -> Answer:
    """The answer, after `timeout` seconds at the latest.

    Raises `GatewayUnreachable`, `GatewayProtocol` for what is no gateway, and what an error envelope says.
    """
    response = http.fetch(SERVICE, base_url, "GET", path, timeout=timeout, headers=http.bearer(bearer))
    try:
        document = response.document()
    except ValueError:
        raise SERVICE.refusal(base_url, response.body) from None
    if not isinstance(document, dict) or "error" in document:
        raise SERVICE.refusal(base_url, response.body)
    return Answer(response.status, document)

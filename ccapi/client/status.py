"""What a gateway says of itself to everybody who asks: `/health`, and to whoever may, `/ready`."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from ccapi.client.endpoint import SERVICE
from ccapi.client.http import connect, mapped


class Answer(NamedTuple):
    """`/ready` says 503 with a document of its own when something is not ready: that is an answer too."""

    status: int
    document: Any


def ask(base_url: str, path: str, *, bearer: str | None = None, timeout: float) -> Answer:
    """The answer, after `timeout` seconds at the latest.

    Raises `GatewayUnreachable`, `GatewayProtocol` for what is no gateway, and what an error envelope says.
    """
    with mapped(SERVICE, base_url), connect(base_url, bearer=bearer, timeout=httpx.Timeout(timeout)) as client:
        response = client.get(path)
    try:
        document = response.json()
    except ValueError:
        raise SERVICE.refusal(base_url, response.content) from None
    if not isinstance(document, dict) or "error" in document:
        raise SERVICE.refusal(base_url, response.content)
    return Answer(response.status_code, document)

"""How to log in to an MCP server that refused: what its metadata, and that of its authorization server, say.

Sources: RFC 9728 (metadata of the resource), RFC 8414 and OpenID Connect Discovery (of the authorization server), Model
Context Protocol, "Authorization".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from ccapi.wire.internal import Probed

Object = Mapping[str, Any]

MAX_URL, MAX_WORD = 2048, 200  # characters
_MAX_DOCUMENT = 256_000  # bytes
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_RESOURCE_METADATA = re.compile(r'(?i)\bresource_metadata="([^"]+)"')


async def ways_in(session: aiohttp.ClientSession, refusal: aiohttp.ClientResponse, found: Probed) -> Probed:
    """`found` with what the metadata add, as far as there are any."""
    endpoint = refusal.url
    resource = await _first(session, endpoint, _of_resource(refusal))
    named = resource.get("authorization_servers")
    servers = [url for url in map(address, named) if url] if isinstance(named, list) else []
    issuer = servers[0] if servers else endpoint.origin()  # none: as in MCP's first edition that had logins
    metadata = await _first(session, endpoint, _of_server(issuer))
    if not metadata:
        return replace(found, issuer=str(issuer)) if servers else found
    return replace(
        found,
        issuer=word(metadata.get("issuer")) or str(issuer),
        registration=isinstance(metadata.get("registration_endpoint"), str),
        client_id_metadata=metadata.get("client_id_metadata_document_supported") is True,
    )


async def _first(session: aiohttp.ClientSession, endpoint: URL, places: Iterable[URL]) -> Object:
    """The first document that is there. A server in the internet cannot have anything but https asked for."""
    for url in places:
        if url.scheme != "https" and not (is_local(url) and is_local(endpoint)):
            continue
        try:
            async with session.get(url, headers={"Accept": "application/json"}, allow_redirects=False) as response:
                if response.status == 200:
                    return as_object(json.loads(await read(response, _MAX_DOCUMENT)))
        except (aiohttp.ClientError, ValueError, RecursionError):
            continue
    return {}


def _of_resource(refusal: aiohttp.ClientResponse) -> Iterator[URL]:
    """Where the refusal says, else where RFC 9728 (3.1) says."""
    for header in refusal.headers.getall("WWW-Authenticate", []):
        if (named := _RESOURCE_METADATA.search(header)) and (url := address(named[1])):
            yield url
    yield _well_known(refusal.url, "oauth-protected-resource")
    yield _well_known(refusal.url.origin(), "oauth-protected-resource")


def _of_server(issuer: URL) -> Iterator[URL]:
    """RFC 8414 (3.1), then OpenID Connect's two places."""
    yield _well_known(issuer, "oauth-authorization-server")
    yield _well_known(issuer, "openid-configuration")
    path = issuer.raw_path.rstrip("/")
    yield issuer.origin().with_path(f"{path}/.well-known/openid-configuration", encoded=True)


def _well_known(url: URL, name: str) -> URL:
    return url.origin().with_path(f"/.well-known/{name}{url.raw_path.rstrip('/')}", encoded=True)


# --- reading what strangers say


def is_local(url: URL) -> bool:
    return url.host in _LOOPBACK


def address(value: Any) -> URL | None:
    """A URL, None for what is none, or is none that is used here."""
    if not isinstance(value, str) or len(value) > MAX_URL:
        return None
    try:
        url = URL(value)
        sound = url.scheme in {"http", "https"} and url.host and url.port and url.raw_user is None
    except ValueError:
        return None
    return url if sound else None


def word(value: Any) -> str | None:
    """A name for a person to read: printable, and not too long."""
    if not isinstance(value, str):
        return None
    return "".join(char for char in value if char.isprintable())[:MAX_WORD] or None


def as_object(value: Any) -> Object:
    """An absent one is empty. Raises `ValueError` for what is something else."""
    if not isinstance(value, dict | None):
        raise ValueError("no object")  # noqa: TRY004 -- one exception means "not what was expected"
    return value or {}


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Raises `ValueError` for more than `limit` bytes."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise ValueError("too much")
    return bytes(data)

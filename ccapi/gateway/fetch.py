"""Images and documents that a request names by an https URL.

A client must not make the gateway talk to what only the gateway can reach: other containers, the host, a cloud's
metadata service. So a URL is https, to port 443, without a user name; each address that its host has, at the moment of
the connection and once more for each redirect, must be a public one; and the connection goes to those addresses and no
others, so that a name that changes its mind between the check and the connection changes nothing.

With a proxy (`HTTPS_PROXY`), which may be the only way out, the proxy connects, by the name, and looks that name up
itself. The check is made first all the same, and a name that does not pass it is not asked for. But what the proxy
reaches is up to the proxy: it should refuse private addresses itself.

No cookies, no credentials of the environment, nothing compressed (nothing that could swell), and limits for time and
size, of which the sender knows nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ccapi.errors import InvalidRequest
from ccapi.gateway.content import MAX_URL, Remote, file_block, image_block
from ccapi.gateway.question import Block
from ccapi.wire.media import MAX_FILE, MAX_IMAGE

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Awaitable[Sequence[str]]]  # a host's addresses

MAX_SECONDS = 10.0  # for all that one request names
MAX_TOTAL = 30_000_000  # bytes, for all that one request names
MAX_REDIRECTS = 3
_AT_ONCE = 8  # fetches of all requests together
_CHUNK = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "ccapi", "Accept": "*/*", "Accept-Encoding": "identity"}

# Networks that stand for addresses of IPv4, which are inside them at the bit given: 6to4, and NAT64 (RFC 6052).
_EMBEDDING = ((ipaddress.IPv6Network("2002::/16"), 80), (ipaddress.IPv6Network("64:ff9b::/96"), 0))
# Besides what `ipaddress` knows, which depends on Python's version (IANA's registries of special-purpose addresses).
_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_SPECIAL_4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3")))


class _Refused(Exception):
    """Why a file was not fetched; nothing that tells what is on the other side."""


def is_public(address: Address) -> bool:
    """Whether it is somewhere in the internet, and not in a network of one's own, however it is written."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _SPECIAL_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    for network, bit in _EMBEDDING:
        if address in network:
            return is_public(ipaddress.IPv4Address(int(address) >> bit & 0xFFFFFFFF))
    return address.is_global and address in _UNICAST and not any(address in network for network in _SPECIAL_6)


class Fetcher:
    """Fetches what `Remote` blocks name. One for a gateway; it holds no connection between requests.

    `allowed`, `ports`, `resolve` and `tls` are other than their defaults in tests only.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        allowed: Callable[[Address], bool] = is_public,
        ports: frozenset[int] = frozenset({443}),
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = MAX_SECONDS,
    ) -> None:
        self._proxy = proxy and (proxy if "://" in proxy else f"http://{proxy}")
        self._allowed = allowed
        self._ports = ports
        self._resolve = resolve or _addresses
        self._tls = tls
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def load(self, turn: str | Sequence[Block]) -> str | list[Block]:
        """The same, with what `Remote` blocks name in their place. Raises `InvalidRequest`, which names the field."""
        if isinstance(turn, str):
            return turn
        remote = [block for block in turn if isinstance(block, Remote)]
        if not remote:
            return list(turn)
        loaded = iter(await self._all(remote))
        return [next(loaded) if isinstance(block, Remote) else block for block in turn]

    async def _all(self, remote: Sequence[Remote]) -> list[Block]:
        budget = _Budget(MAX_TOTAL)
        tasks = [asyncio.create_task(self._one(block, budget)) for block in remote]
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.gather(*tasks)
        except TimeoutError:
            late = [block.param for block, task in zip(remote, tasks, strict=True) if task.cancelled()]
            raise _failed((late or [remote[0].param])[0], f"not fetched within {self._seconds:g} seconds") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _one(self, block: Remote, budget: _Budget) -> Block:
        limit = MAX_IMAGE if block["type"] == "image" else MAX_FILE
        try:
            async with self._places:
                data = await self._fetched(_url(block.url, self._ports), limit, budget)
        except _Refused as refused:
            raise _failed(block.param, str(refused)) from None
        if block["type"] == "image":
            return image_block(data, block.param)
        return file_block(data, block.param, block.get("title"))

    async def _fetched(self, url: URL, limit: int, budget: _Budget) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._answer(url, limit, budget)
            if isinstance(found, bytes):
                return found
            url = _url(found, self._ports, base=url)
        raise _Refused(f"was redirected more than {MAX_REDIRECTS} times")

    async def _answer(self, url: URL, limit: int, budget: _Budget) -> bytes | str:
        """What is there, or where it says that it is."""
        addresses = await self._checked(url)
        options: dict[str, Any] = {"proxy": self._proxy} if self._proxy else {}
        connector = aiohttp.TCPConnector(
            resolver=None if self._proxy else _Pinned(url.raw_host or "", addresses),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls or True,
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, headers=_HEADERS
                ) as session,
                session.get(url, allow_redirects=False, **options) as response,
            ):
                if response.status in _REDIRECTS:
                    return response.headers.get("Location", "")
                return await _read(response, limit, budget)
        except (aiohttp.ClientError, OSError, ValueError):
            raise _Refused("could not be fetched: no answer, or not a good one") from None

    async def _checked(self, url: URL) -> list[Address]:
        """All addresses of the host: one that is not public spoils all of them."""
        host = url.raw_host or ""
        try:
            texts = [host] if _is_address(host) else await self._resolve(host)
            found = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        except (OSError, ValueError):
            found = []
        if not found or not all(map(self._allowed, found)):
            raise _Refused("its host is not known, or not a public one")  # which of both is nobody's business
        return found


class _Budget:
    """Bytes that may still come, for all files of a request."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Refused(f"is too much: all files together are more than {MAX_TOTAL // 1_000_000} MB")


class _Pinned(AbstractResolver):
    """Knows one host, and the addresses that were found good."""

    def __init__(self, host: str, addresses: Sequence[Address]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 -- aiohttp's interface
    ) -> list[ResolveResult]:
        if host != self._host:
            raise OSError("another host than the one that was checked")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """It holds nothing."""


async def _addresses(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _url(text: str, ports: frozenset[int], base: URL | None = None) -> URL:
    """Raises `_Refused` for a URL that is not to be asked for, also where a redirect leads to it."""
    where = "its redirect" if base else "it"
    try:
        url = base.join(URL(text)) if base else URL(text)
        sound = url.scheme == "https" and bool(url.raw_host) and len(text) <= MAX_URL
        plain = url.raw_user is None and url.raw_password is None
        port = url.port
    except (ValueError, TypeError):
        raise _Refused(f"cannot be fetched: {where} is not a valid https URL") from None
    if not sound or not text:
        raise _Refused(f"cannot be fetched: {where} is not a valid https URL")
    if not plain:
        raise _Refused(f"cannot be fetched: {where} holds a user name or a password")
    if port not in ports:
        raise _Refused(f"cannot be fetched: {where} names another port than 443")
    return url.with_fragment(None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _read(response: aiohttp.ClientResponse, limit: int, budget: _Budget) -> bytes:
    if response.status != 200:
        raise _Refused(f"could not be fetched: the answer has status {response.status}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("could not be fetched: it is sent in a compressed form, which was not asked for")
    if (response.content_length or 0) > limit:
        raise _Refused(f"is larger than {limit // 1_000_000} MB")
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        budget.take(len(chunk))
        data += chunk
        if len(data) > limit:
            raise _Refused(f"is larger than {limit // 1_000_000} MB")
    return bytes(data)


def _failed(param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"'{param}': {what}", param=param)

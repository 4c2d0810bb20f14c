"""Fetching what a request names: over TLS from public addresses only, within limits, whatever the other side does.

The server is real and on loopback. That it may be reached at all is said to the `Fetcher` by its own parameters.
"""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ccapi.errors import InvalidRequest
from ccapi.gateway import content, fetch
from ccapi.gateway.content import Remote
from ccapi.gateway.fetch import Fetcher, is_public
from ccapi.gateway.question import Block

HOST = "files.test"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
WHERE = "messages[0].content[0].image_url.url"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the test's host, and its key; good for a day."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    names = f"subjectAltName=DNS:{HOST},DNS:other.test,IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", f"/CN={HOST}", "-addext", names, "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@dataclass
class Names:
    """A name server: answers, one after the other, the last one again and again; and what was asked."""

    answers: list[Sequence[str]] = field(default_factory=lambda: [["127.0.0.1"]])
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Server:
    """What was asked of it, and a fetcher that trusts it."""

    port: int
    tls: ssl.SSLContext
    requests: list[web.BaseRequest]
    names: Names = field(default_factory=Names)

    def url(self, path: str, host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"

    def fetcher(self, **options: Any) -> Fetcher:
        loopback = {"allowed": lambda address: address.is_loopback, "ports": frozenset({self.port})}
        settings: dict[str, Any] = {**loopback, "resolve": self.names, "tls": self.tls, **options}
        return Fetcher(**settings)

    async def load(self, path: str, kind: str = "image", **options: Any) -> Block:
        loaded = await self.fetcher(**options).load([Remote(kind, self.url(path), WHERE)])
        assert isinstance(loaded, list)
        return loaded[0]


@asynccontextmanager
async def serving(certificate: tuple[Path, Path], handler: Handler) -> AsyncIterator[Server]:
    """A TLS server on loopback."""
    requests: list[web.BaseRequest] = []

    async def recorded(request: web.BaseRequest) -> web.StreamResponse:
        requests.append(request)
        return await handler(request)  # type: ignore[arg-type] # what the tests look at both have

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    runner = web.ServerRunner(web.Server(recorded, access_log=None), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield Server(runner.addresses[0][1], ssl.create_default_context(cafile=str(certificate[0])), requests)
    finally:
        await runner.cleanup()


def answering(body: bytes = PNG, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return handler


async def refused(load: Awaitable[Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await load
    assert (caught.value.status, caught.value.param) == (400, WHERE)
    assert caught.value.message.startswith(f"'{WHERE}': ")
    return caught.value


# --- what is fetched


async def test_an_image_takes_the_place_of_its_url(certificate: tuple[Path, Path]) -> None:
    """Between the other blocks, in their order; what it is its bytes say."""
    async with serving(certificate, answering(Content_Type="text/html")) as server:
        text: Block = {"type": "text", "text": "this"}
        loaded = await server.fetcher().load([text, Remote("image", server.url("/a.png#x"), WHERE), text])
    assert loaded == [text, content.image_block(PNG, WHERE), text]
    (request,) = server.requests
    assert request.path == "/a.png"
    assert not {"Cookie", "Authorization", "Referer", "Origin"} & set(request.headers)
    assert request.headers["Host"] == f"{HOST}:{server.port}"


async def test_a_document_keeps_its_title(certificate: tuple[Path, Path]) -> None:
    """PDFs and texts, as if they had come with the request."""
    async with serving(certificate, answering(b"%PDF-1.7 ...")) as server:
        remote = Remote("document", server.url("/a"), WHERE, "a.pdf")
        assert await server.fetcher().load([remote]) == [content.file_block(b"%PDF-1.7 ...", WHERE, "a.pdf")]


async def test_nothing_remote_is_nothing_to_do() -> None:
    """A text and blocks pass as they are."""
    assert await Fetcher().load("text") == "text"
    assert await Fetcher().load([{"type": "text", "text": "a"}]) == [{"type": "text", "text": "a"}]


async def test_redirects_are_followed(certificate: tuple[Path, Path]) -> None:
    """Three of them, to other hosts as well, relative or not."""

    async def handler(request: web.Request) -> web.StreamResponse:
        targets = {
            "/1": "/2",
            "/2": f"https://other.test:{request.url.port}/3",
            "/3": f"//other.test:{request.url.port}/4",
        }
        if target := targets.get(request.path):
            return web.Response(status=302, headers={"Location": target, "Set-Cookie": "a=b"})
        return web.Response(body=PNG)

    async with serving(certificate, handler) as server:
        assert await server.load("/1") == content.image_block(PNG, WHERE)
    assert server.names.asked == [HOST, HOST, "other.test", "other.test"]
    assert not any("Cookie" in request.headers for request in server.requests)


async def test_several_at_once(certificate: tuple[Path, Path]) -> None:
    """Not one after the other, and each in its own place."""
    all_have_come, come = asyncio.Event(), 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal come
        come += 1
        if come == 6:
            all_have_come.set()
        await all_have_come.wait()
        return web.Response(body=PNG + request.path.encode())

    async with serving(certificate, handler) as server:
        remote = [Remote("image", server.url(f"/{number}"), WHERE) for number in range(6)]
        loaded = await server.fetcher(seconds=30.0).load(remote)
    assert loaded == [content.image_block(PNG + f"/{number}".encode(), WHERE) for number in range(6)]


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1"),
        *("172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *(
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
        ),
        *(
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "2001:10::1",
        ),
        *(
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "4000::1",
            "3fff::1",
        ),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, local, reserved, for documentation, or one of these inside an address of IPv6."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1",
                "2002:101:101::1", "64:ff9b::101:101"],
)  # fmt: skip
def test_addresses_that_are_public(address: str) -> None:
    """Also where an address of IPv4 is written as one of IPv6."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "answer", [["10.0.0.1"], ["1.1.1.1", "169.254.169.254"], ["::1"], ["fe80::1%eth0"], ["no address"], []]
)
async def test_a_name_of_what_is_not_public_is_refused(answer: list[str]) -> None:
    """One such address spoils all; nobody learns whether there is such a name."""
    error = await refused(Fetcher(resolve=Names([answer])).load([Remote("image", "https://internal.test/", WHERE)]))
    assert "not known, or not a public one" in error.message


async def test_a_name_that_does_not_exist_is_refused_in_the_same_words() -> None:
    """The resolver's error tells nothing."""

    async def unknown(_: str) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    error = await refused(Fetcher(resolve=unknown).load([Remote("image", "https://internal.test/", WHERE)]))
    assert "not known, or not a public one" in error.message


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "[::1]",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "0.0.0.0",
            "0",
            "127.1",
            "2130706433",
            "0x7f000001",
        ),
        *(
            "0177.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "127.0.0.1.",
            "①②⑦.⓪.⓪.①",
            "10.0.0.1",
            "169.254.169.254",
        ),
    ],
)
async def test_this_machine_is_refused_however_it_is_written(certificate: tuple[Path, Path], host: str) -> None:
    """With the system's own resolver; the server that listens there sees nothing."""
    async with serving(certificate, answering()) as server:
        fetcher = Fetcher(ports=frozenset({server.port}), tls=server.tls)
        await refused(fetcher.load([Remote("image", f"https://{host}:{server.port}/", WHERE)]))
        assert server.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked(certificate: tuple[Path, Path]) -> None:
    """A name that changes its mind after the check (DNS rebinding) is not asked again."""
    checked: list[str] = []

    def allowed(address: fetch.Address) -> bool:
        checked.append(str(address))
        return address == ipaddress.ip_address("127.0.0.1")

    async with serving(certificate, answering()) as server:
        server.names.answers = [["127.0.0.1"], ["127.0.0.2"]]
        await server.load("/", allowed=allowed)
        assert (server.names.asked, checked) == ([HOST], ["127.0.0.1"])
        await refused(server.load("/", allowed=allowed))  # the second answer is checked in its turn
        assert len(server.requests) == 1


async def test_a_good_address_first_does_not_open_the_way_to_another(certificate: tuple[Path, Path]) -> None:
    """Nothing listens at the checked address; the one where something does is never tried."""
    async with serving(certificate, answering()) as server:
        server.names.answers = [["127.0.0.9"], ["127.0.0.1"]]
        await refused(server.load("/"))
        assert server.requests == []
        assert server.names.asked == [HOST]


async def test_each_redirect_is_checked_anew(certificate: tuple[Path, Path]) -> None:
    """The host of the second hop has turned private meanwhile."""
    async with serving(certificate, answering(status=302, Location="/again")) as server:
        server.names.answers = [["127.0.0.1"], ["10.0.0.1"]]
        error = await refused(server.load("/"))
        assert "not a public one" in error.message
        assert len(server.requests) == 1


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        *("https://files.test:22/", "https://files.test:8443/", "https://files.test:0/", "https://files.test:99999/"),
        *(
            "https://user@files.test/",
            "https://user:pass@files.test/",
            "https://:pass@files.test/",
            "https://files.test\\@x/",
        ),
        *(
            "https://",
            "https:///a",
            "https://[::1/",
            "https://[x]/",
            "https://a..b/",
            "https://.../",
            f"https://{'a' * 70}/",
        ),
        *("https://a b/", "https://a\nb/", "https://\u2028/", "https://%00/", "https://%31%32%37.1/"),
    ],
)
async def test_urls_that_are_not_asked_for(url: str) -> None:
    """Other ports, credentials, hosts that are none; nothing of them is repeated."""
    names = Names([["127.0.0.1"]])
    error = await refused(Fetcher(resolve=names).load([Remote("image", url, WHERE)]))
    assert url.removeprefix("https://") not in error.message or len(url) < 10


@pytest.mark.parametrize(
    "target",
    [
        *("http://files.test/", "file:///etc/passwd", "ftp://files.test/", "data:image/png;base64,iVBORw0KGgo=", ""),
        *(
            "//user@files.test/",
            "https://files.test:22/",
            "https://[::1",
            "javascript:alert(1)",
        ),
    ],
)
async def test_redirects_that_are_not_followed(certificate: tuple[Path, Path], target: str) -> None:
    """To anything that could not have been asked for in the first place."""
    async with serving(certificate, answering(status=301, Location=target)) as server:
        error = await refused(server.load("/"))
        assert "redirect" in error.message
        assert len(server.requests) == 1


async def test_redirects_come_to_an_end(certificate: tuple[Path, Path]) -> None:
    """After the third."""
    async with serving(certificate, answering(status=307, Location="/")) as server:
        assert "more than 3 times" in (await refused(server.load("/"))).message
        assert len(server.requests) == 4


# --- answers


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 404, 500, 503])
async def test_another_status_is_no_file(certificate: tuple[Path, Path], status: int) -> None:
    """The status is told, the body is not."""
    async with serving(certificate, answering(b"SECRET", status)) as server:
        error = await refused(server.load("/"))
        assert str(status) in error.message
        assert "SECRET" not in error.message


async def test_what_is_no_image_is_refused(certificate: tuple[Path, Path]) -> None:
    """As if it had come with the request."""
    async with serving(certificate, answering(b"<html>", Content_Type="image/png")) as server:
        assert "not a PNG" in (await refused(server.load("/"))).message
        assert (await server.load("/", "document"))["source"]["data"] == "<html>"


async def test_a_certificate_must_be_good(certificate: tuple[Path, Path]) -> None:
    """Of this host, and by somebody who is trusted."""
    async with serving(certificate, answering()) as server:
        await refused(server.load("/", tls=None))
        await refused(server.fetcher().load([Remote("image", server.url("/", "evil.test"), WHERE)]))
        assert server.requests == []


@pytest.mark.parametrize("announced", [True, False])
async def test_the_size_is_limited(certificate: tuple[Path, Path], announced: bool) -> None:
    """By what is announced, and by what comes; an endless answer is left after the limit."""
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(10**12)} if announced else {})
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))
            await asyncio.sleep(0)  # a client that has left is only noticed by who lets others have their turn
            sent += 65_536

    async with serving(certificate, handler) as server:
        assert "larger than 10 MB" in (await refused(server.load("/"))).message
    assert sent < 40_000_000  # what the sockets' buffers take, and no more


async def test_the_size_of_all_is_limited(certificate: tuple[Path, Path]) -> None:
    """Of what one request names."""
    async with serving(certificate, answering(PNG.ljust(9_000_000))) as server:
        remote = [Remote("image", server.url(f"/{number}"), WHERE) for number in range(4)]
        assert "30 MB" in (await refused(server.fetcher().load(remote))).message


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, identity"])
async def test_nothing_is_unpacked(certificate: tuple[Path, Path], encoding: str) -> None:
    """Nothing packed was asked for: a small answer cannot become a large one."""
    async with serving(certificate, answering(gzip.compress(bytes(10_000_000)), Content_Encoding=encoding)) as server:
        assert "compressed" in (await refused(server.load("/"))).message
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("slow", ["silent", "dripping"])
async def test_the_time_is_limited(certificate: tuple[Path, Path], slow: str) -> None:
    """From the first to the last byte, however it is spent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if slow == "dripping":
            await response.prepare(request)
        while True:
            await asyncio.sleep(0.05)
            if slow == "dripping":
                await response.write(b"x")

    async with serving(certificate, handler) as server:
        assert "0.5 seconds" in (await refused(server.load("/", seconds=0.5))).message


async def test_the_time_of_looking_up_a_name_counts() -> None:
    """A name server that does not answer."""

    async def silent(_: str) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    await refused(Fetcher(resolve=silent, seconds=0.1).load([Remote("image", "https://files.test/", WHERE)]))


async def test_the_first_failure_ends_the_others(certificate: tuple[Path, Path]) -> None:
    """Nothing is fetched on for a request that was refused."""
    ended = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/bad":
            return web.Response(status=404)
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return web.Response()

    async with serving(certificate, handler) as server:
        remote = [Remote("image", server.url(path), WHERE) for path in ("/slow", "/bad")]
        assert "404" in (await refused(server.fetcher().load(remote))).message
        pending = [task for task in asyncio.all_tasks() if "_one" in repr(task)]
        assert pending == []


async def test_a_request_that_is_left_ends_its_fetches(certificate: tuple[Path, Path]) -> None:
    """The client has gone: cancelled is cancelled."""

    asked = asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    async with serving(certificate, handler) as server:
        loading = asyncio.create_task(server.load("/"))
        await asked.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading


async def test_broken_answers_are_no_crash() -> None:
    """Whatever comes instead of TLS and HTTP."""

    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00" * 1000)
        writer.close()

    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        fetcher = Fetcher(allowed=lambda _: True, ports=frozenset({port}), resolve=Names())
        await refused(fetcher.load([Remote("image", f"https://{HOST}:{port}/", WHERE)]))


# --- through a proxy


@asynccontextmanager
async def proxying(target: int) -> AsyncIterator[tuple[int, list[str]]]:
    """A CONNECT proxy that leads everything to one port; the value is its own, and what it was asked."""
    asked: list[str] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize("scheme", ["http://", "http://user:pass@", ""])
async def test_with_a_proxy_the_proxy_connects(certificate: tuple[Path, Path], scheme: str) -> None:
    """By the name, and still with the certificate of that name."""
    async with serving(certificate, answering()) as server, proxying(server.port) as (port, asked):
        server.names.answers = [["127.0.0.5"]]  # nothing listens there: only the proxy leads to the server
        assert await server.load("/a", proxy=f"{scheme}127.0.0.1:{port}") == content.image_block(PNG, WHERE)
        assert asked[0].startswith(f"CONNECT {HOST}:{server.port} HTTP/1.1\r\n")
        assert bool(re.search("(?i)proxy-authorization: basic", asked[0])) is ("user" in scheme)
        assert "Authorization" not in server.requests[0].headers


async def test_with_a_proxy_the_name_is_checked_first(certificate: tuple[Path, Path]) -> None:
    """The proxy is not asked for what is not public here."""
    async with serving(certificate, answering()) as server, proxying(server.port) as (port, asked):
        server.names.answers = [["10.0.0.1"]]
        await refused(server.load("/a", proxy=f"http://127.0.0.1:{port}"))
        assert asked == []


async def test_the_environments_proxy_is_not_used(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the one that the settings name; the checked address would mean nothing."""
    async with serving(certificate, answering()) as server, proxying(server.port) as (port, asked):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert await server.load("/a") == content.image_block(PNG, WHERE)
        assert asked == []

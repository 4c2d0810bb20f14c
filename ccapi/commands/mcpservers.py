"""The MCP servers of the Claude Code in the container: which there are, how they are, adding and removing them.

All of it is of the scope `user`, which is the only one that counts for the gateway's runs. Secrets go through standard
input, never on a command line, and never come back but by `entry`, which nobody shows.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ccapi.commands.inside import CLAUDE, Inside, Ran, words
from ccapi.errors import ClaudeFailed, NotFound, UsageError
from ccapi.oauth.catalogue import Catalogue, Entry
from ccapi.redact import masked, redact
from ccapi.wire.internal import ServerStatus

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Kind = Literal["browser", "token", "client-id", "other"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# The CLI's own, and what follows `ccapi auth` with another meaning.
_RESERVED = frozenset({"workspace", "constructor", "claude", "list", "status", "logout", "help"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_URL = 2048
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?")  # as the last label: a number, that is an IPv4 address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PRIVATE_SUFFIXES = (".local", ".internal", ".localhost", ".lan", ".home.arpa")
_LISTED = re.compile(r"(?P<name>\S.*?): (?P<target>.*?) - (?P<mark>[✔✓!✘✗⏸-]) (?P<text>.+)")
_TRANSPORT = re.compile(r" \((?:HTTP|SSE|WS|WebSocket)\)$")
_REASON = re.compile(r"^[^—]*— ")

_ADD = """
case $2 in with-secret) IFS= read -r MCP_CLIENT_SECRET; export MCP_CLIENT_SECRET; set -- "$1" --client-secret;;
*) set -- "$1";; esac
name=$1; shift
env --chdir=/ claude mcp add-json "$name" - -s user "$@" || exit
cd "$CLAUDE_CONFIG_DIR" && chmod go-rwx .claude.json $(ls -d .credentials.json backups 2>/dev/null)
"""
_READ = 'cat "$CLAUDE_CONFIG_DIR/.claude.json" 2>/dev/null || :'


@dataclass(frozen=True, slots=True)
class Listed:
    """A server as `claude mcp list` tells of it. `reason`: why it is not connected."""

    name: str
    target: str
    status: ServerStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """A server as it is configured, without its secrets.

    `kind`: how it signs in. `token`: what a person may see of the one in its header.
    """

    name: str
    url: str | None
    kind: Kind
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A server of the catalogue, or a configured one, or both. `status` is None for one that is not configured."""

    name: str
    entry: Entry | None
    configured: Configured | None
    status: ServerStatus | None = None
    reason: str | None = None

    @property
    def url(self) -> str | None:
        return self.configured.url if self.configured else self.entry.url if self.entry else None


# --- what may be added


def is_name(name: str) -> bool:
    """Whether it has the form of a name; what the agent wrote into the configuration may have another."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """A name that the CLI takes. Raises `UsageError`."""
    if not is_name(name):
        raise UsageError(
            "this is no name for an MCP server",
            hint="Letters, digits, - and _, at most 64, beginning with a letter or digit; such as: ccapi auth notion",
        )
    if name in _RESERVED:
        raise UsageError(f"the name {name} is reserved", hint="Call the MCP server something else.")
    return name


def check_url(url: str, *, trust: bool = False) -> str:
    """An address that Claude Code may connect to. Raises `UsageError`.

    https, or http on the container's own loopback. `trust`: also plain http, and addresses of a network of one's own;
    never link-local ones, where clouds keep their metadata, and nothing that is no single host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _no_url("it is malformed") from None
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > _MAX_URL:
        raise _no_url("it must be printable ASCII without spaces")
    if parts.scheme not in {"http", "https"} or not host:
        raise _no_url("it must begin with https://")
    if "@" in parts.netloc or redact(url) != url:
        raise _no_url("it must hold no credential", hint="Give a token by a prompt, or with --with-token.")
    if parts.fragment:
        raise _no_url("it must have no fragment (#)")
    if host in _LOOPBACK:  # of the container
        return url
    private = _is_private(host)
    if not trust and private:
        raise _no_url("it is in a private network", hint="If that is what you want: --trust-url")
    if not trust and parts.scheme == "http":
        raise _no_url("without https others can read the token", hint="If that is what you want: --trust-url")
    return url


def check_token_url(url: str) -> str:
    """One of these that a token may be sent to as well: not in the clear, whoever is trusted. Raises `UsageError`."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(
            f"a token is not sent to {parts.hostname} without TLS: others could read it",
            hint="The server must offer https, or listen on the container's own localhost.",
        )
    return url


def _is_private(host: str) -> bool:
    """Whether the host is not one of the internet. Raises `UsageError` for what may never be one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):  # 2130706433, 127.1, 0x7f.1
            raise _no_url("an IPv4 address must be written with its four numbers") from None
        return "." not in host.removesuffix(".") or host.removesuffix(".").endswith(_PRIVATE_SUFFIXES)
    inner = _inner(address)
    for one in (address, inner):
        if one.is_link_local or one.is_multicast or one.is_unspecified:
            raise _no_url("a link-local, multicast or unspecified address is never used")
    return inner != address or not inner.is_global


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _no_url(why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"this address of an MCP server is not used: {why}", hint=hint)


# --- what there is


def listed(container: Inside) -> tuple[Listed, ...]:
    """All servers as the CLI finds them now: it connects to each of them. Raises `ClaudeFailed`."""
    ran = container.run(*CLAUDE, "mcp", "list", timeout=90)
    if ran.code:
        raise _failed("list its MCP servers", ran)
    return tuple(parse_list(ran.stdout))


def parse_list(text: str) -> Iterator[Listed]:
    """What `claude mcp list` printed; lines of another form are left out."""
    for line in text.splitlines():
        if match := _LISTED.fullmatch(line.rstrip()):
            status, reason = _status(match["mark"], match["text"])
            yield Listed(match["name"], _TRANSPORT.sub("", match["target"]), status, reason)


def _status(mark: str, text: str) -> tuple[ServerStatus, str | None]:
    if mark in "✔✓":
        return "connected", None
    if mark == "⏸":
        return ("disabled", text) if "isabled" in text else ("pending", text)
    if text.startswith("Needs auth"):
        return "needs-auth", None
    reason = _REASON.sub("", text).partition(" Error detail: ")[0]  # the rest is the server's own
    return "failed", redact(reason)


def configured(container: Inside) -> tuple[Configured, ...]:
    """The servers of the configuration, without connecting to them. Raises `ClaudeFailed`."""
    return tuple(_configured(name, entry) for name, entry in _entries(container).items())


def get(container: Inside, name: str) -> Configured | None:
    """The one of that name. Raises `ClaudeFailed`."""
    return next((found for found in configured(container) if found.name == name), None)


def entry(container: Inside, name: str) -> str | None:
    """A server's whole entry in the configuration, as `put` takes it. It may hold a secret. Raises `ClaudeFailed`."""
    found = _entries(container).get(name)
    return None if found is None else json.dumps(found)


def _entries(container: Inside) -> dict[str, dict[str, Any]]:
    ran = container.run("sh", "-c", _READ)
    try:
        servers = _table(json.loads(ran.stdout or "{}"), "mcpServers")
        return {name: found for name, found in servers.items() if isinstance(found, dict)}
    except (ValueError, AttributeError):
        raise ClaudeFailed(
            "Claude Code's configuration in the container cannot be read",
            hint="Look at it: ccapi claude mcp list",
        ) from None


def _configured(name: str, found: dict[str, Any]) -> Configured:
    url, headers, oauth = found.get("url"), _table(found, "headers"), _table(found, "oauth")
    token = next((value for key, value in headers.items() if key.lower() == "authorization"), None)
    if not isinstance(url, str):
        return Configured(name, None, "other")
    if isinstance(token, str):
        return Configured(name, url, "token", masked(token.removeprefix("Bearer ")))
    return Configured(name, url, "client-id" if oauth.get("clientId") else "browser")


def _table(found: dict[str, Any], key: str) -> dict[str, Any]:
    """A part of an entry; the agent can write the file, so it may be anything."""
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def overview(container: Inside, catalogue: Catalogue) -> tuple[Known, ...]:
    """The configured servers with their state, then the rest of the catalogue. Raises `ClaudeFailed`."""
    states = {server.name: server for server in listed(container)}
    entries = {server.name: server for server in configured(container)}
    names = [*entries, *(found.name for found in catalogue.entries if found.name not in entries)]
    return tuple(_known(name, catalogue.get(name), entries.get(name), states.get(name)) for name in names)


def _known(name: str, known: Entry | None, found: Configured | None, state: Listed | None) -> Known:
    if found is None:
        return Known(name, known, None)
    return Known(name, known, found, state.status if state else "pending", state.reason if state else None)


# --- changes


def document(
    url: str, *, token: str | None = None, client_id: str | None = None, callback_port: int | None = None
) -> str:
    """A server's entry. With a token it holds a secret."""
    found: dict[str, Any] = {"type": "http", "url": url}
    if token:
        found["headers"] = {"Authorization": f"Bearer {token}"}
    oauth = {"clientId": client_id, "callbackPort": callback_port}
    if any(oauth.values()):
        found["oauth"] = {key: value for key, value in oauth.items() if value}
    return json.dumps(found)


def add(container: Inside, name: str, entry: str, *, client_secret: str | None = None) -> None:
    """Add a server that is not there yet; nobody but the container's user can read what is kept of it.

    `entry` is as of `document`. Raises `ClaudeFailed`.
    """
    lines = ([client_secret] if client_secret else []) + [entry]
    how = "with-secret" if client_secret else "without"
    ran = container.run("sh", "-c", _ADD, "sh", name, how, stdin="\n".join(lines).encode())
    if ran.code:
        raise _failed(f"add the MCP server {name}", ran)


def put(container: Inside, name: str, wanted: str, *, client_secret: str | None = None) -> str | None:
    """Add a server, in the place of one of that name; the entry that was there before, which may hold a secret.

    A failure leaves things as they were. Raises `ClaudeFailed`.
    """
    before = entry(container, name)
    if before is not None:
        remove(container, name)
    try:
        add(container, name, wanted, client_secret=client_secret)
    except BaseException:
        restore(container, name, before)
        raise
    return before


def restore(container: Inside, name: str, before: str | None) -> None:
    """Undo `put`: `before` is what it gave. Raises `ClaudeFailed`."""
    if entry(container, name) is not None:
        remove(container, name)
    if before is not None:
        add(container, name, before)


def remove(container: Inside, name: str) -> None:
    """Take a server out, with all that was kept for it. Raises `NotFound` and `ClaudeFailed`."""
    ran = container.run(*CLAUDE, "mcp", "remove", name, "-s", "user")
    if ran.code and "No MCP server" in ran.stdout + ran.stderr:
        raise unknown(name)
    if ran.code:
        raise _failed(f"remove the MCP server {name}", ran)


def logout(container: Inside, name: str) -> None:
    """Forget the login of a server, which stays. Raises `NotFound` and `ClaudeFailed`."""
    ran = container.run(*CLAUDE, "mcp", "logout", name)
    if ran.code and "No MCP server" in ran.stdout + ran.stderr:
        raise unknown(name)
    if ran.code:
        raise _failed(f"sign out of the MCP server {name}", ran)


def unknown(name: str) -> NotFound:
    return NotFound(f"there is no MCP server called {name}", hint="See which there are: ccapi auth list")


def _failed(what: str, ran: Ran) -> ClaudeFailed:
    return ClaudeFailed(f"Claude Code could not {what}: {words(ran)}")

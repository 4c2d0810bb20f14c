"""The internal API: what ccapi on the host asks the gateway in the container. It always needs the stack's own secret.

The secret is made on the host and stays there (a file with mode 0600). The gateway knows its SHA-256 only, from a file
in the directory that is mounted read-only for the API keys, so that nothing in the container can call this API.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

from ccapi.errors import SettingInvalid

CALLBACKS = "/internal/v1/callbacks"  # POST: deliver a callback to its listener in the container
LOGINS = "/internal/v1/logins"  # GET: logins that a person started in the container; waits for one
MCP = "/internal/v1/mcp"  # GET: the MCP servers, as Claude Code itself sees them
OVERVIEW = "/internal/v1/overview"  # GET: what goes on at this moment; at once, and without starting anything
PROBE = "/internal/v1/mcp/probe"  # POST: what an MCP endpoint says of how to log in to it

SECRET_FILE = "stack.secret"  # noqa: S105 -- a file's name; in the state directory of the host
HASH_FILE = "stack.sha256"  # in the directory of the API keys
_PREFIX = "ccapi-stack-"

Delivery = Literal["accepted", "refused", "unreachable", "timeout"]
ProbeOutcome = Literal["ok", "unauthorized", "forbidden", "no_mcp", "unreachable"]
ServerStatus = Literal["connected", "needs-auth", "failed", "pending", "disabled"]


def new_secret() -> str:
    """256 random bits; of letters that survive every kind of quoting."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What the gateway may know of it. (A random secret needs neither salt nor a slow hash.)"""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(sent: str, known_digest: str) -> bool:
    """Whether this is the secret behind the digest; in constant time."""
    return hmac.compare_digest(digest(sent), known_digest)


def check_digest(text: str) -> str:
    """The digest as a file holds it. Raises `SettingInvalid`."""
    text = text.strip()
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise SettingInvalid(f"{HASH_FILE} holds no SHA-256")
    return text


@dataclass(frozen=True, slots=True)
class Callback:
    """What POST `CALLBACKS` takes as JSON. `query` is the callback's, byte for byte."""

    host: str  # localhost, 127.0.0.1 or [::1], as in the redirect URI
    port: int
    path: str
    query: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """What it answers with. `accepted`: the listener took the callback (any 2xx), which is not yet a login."""

    outcome: Delivery


@dataclass(frozen=True, slots=True)
class ReportedLogin:
    """One login of GET `LOGINS` (`{"logins": [...]}`). `id` is the gateway's; `expires_in` is in seconds."""

    id: str
    url: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class Server:
    """One MCP server of GET `MCP` (`{"servers": [...]}`). `error` says why it is not connected."""

    name: str
    status: ServerStatus
    tools: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """What GET `OVERVIEW` answers with.

    `runs`: answers that are being written, `slots` as many as may be, `waiting` those in the queue; `conversations`:
    Claude Codes that are kept for their conversation's next turn.
    """

    version: str  # of the gateway
    runs: int
    slots: int
    waiting: int
    conversations: int
    needs_key: bool  # every request, also one of this machine


@dataclass(frozen=True, slots=True)
class Probed:
    """What POST `PROBE` (`{"url": …, "token": …}`, the latter optional) answers with.

    `ok`: it is an MCP server and takes what it was given (`tools` are what it then offers). `unauthorized`: it wants a
    login, or another token; the rest then says what its metadata (RFC 9728, RFC 8414) tell of the ways in.
    """

    outcome: ProbeOutcome
    detail: str | None = None
    server: str | None = None
    tools: tuple[str, ...] = ()
    issuer: str | None = None
    registration: bool = False  # dynamic client registration (RFC 7591)
    client_id_metadata: bool = False  # a client id that is a URL

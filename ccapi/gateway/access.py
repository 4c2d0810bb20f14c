"""Who is asking: API keys, and how often each may be used.

Where a key is required, `/health` is open all the same, as Docker's health check and load balancers have none, and so
is the documentation, which a browser reads. They tell nothing of this installation. All else does (who is signed in,
what runs, what it costs) or starts work, and what asks for it can send a header: Prometheus has `authorization`,
Kubernetes' probes `httpHeaders`.

There is no lockout after wrong keys. 256 random bits are not guessed, and a lockout would be a way to keep others out.
"""

from __future__ import annotations

import hmac
import logging
import math
import os
import re
import stat
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import MultiMapping

from ccapi.errors import InvalidRequest, KeyInvalid, KeysUnreadable, SettingInvalid, TooManyRequests
from ccapi.wire import keys
from ccapi.wire.keys import KeyFile, KeyRecord, Policy

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Clock = Callable[[], float]  # monotonic seconds

OPEN = frozenset({"/health", "/openapi.json", "/docs"})
_FRESH = 1.0  # seconds that what was read from the keys' file is good for
_WINDOW = 60.0  # seconds: a key's rate is per minute
_MAKE_ONE = "Make one with: ccapi key create"

_BEARER = re.compile(r"(?i)bearer[ \t]+")
# A key of ours, or what became of one on its way: in quotes, behind a scheme that is not Bearer, in capitals.
_OURS = re.compile(rf"(?i)(?<![a-z0-9_-]){keys.PREFIX}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. What is stored belongs to its `owner`: a key's id, or `local` for whoever needed no key."""

    owner: str
    policy: Policy


LOCAL = Caller("local", Policy())
STACK = Caller("stack", Policy())  # ccapi itself, from the host
OWN: web.AppKey[bool] = web.AppKey("own_access", bool)  # is set in an application with a guard of its own
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
_HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("access_headers", dict[str, str])


def without_waiting(path: str, flags: int) -> int:
    """Where somebody put a pipe in the place of the file, opening it would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Keyring:
    """The keys in a file that another program replaces: looked at again at most once a second, or for a new key.

    A file that is not there holds no keys; one that cannot be read makes `find` raise until it can be.
    """

    def __init__(self, file: Path, clock: Clock = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._looked = -math.inf
        self._seen: object = None  # what identifies the contents that were read last
        self._keys: tuple[KeyRecord, ...] = ()
        self.problem: str | None = None  # why no key is good, for whoever looks after the gateway

    def find(self, key: str) -> KeyRecord | None:
        """The record of a key, None for one that is unknown or revoked. Raises `KeysUnreadable`.

        A new key is good at once, a revoked one for another second at most.
        """
        self.refresh(max_age=_FRESH)
        if not (found := self._lookup(key)):
            self.refresh()
            found = self._lookup(key)
        if self.problem:
            raise KeysUnreadable("The gateway cannot read its API keys; its log says why")
        return found

    def refresh(self, max_age: float = 0.0) -> None:
        """Read the file if it is another one than before, and was not looked at within `max_age` seconds.

        It is a small file, read only when it has changed: quicker here than in another thread.
        """
        now = self._clock()
        if now - self._looked < max_age:
            return
        self._looked = now
        try:
            with open(self._file, "rb", opener=without_waiting) as handle:
                status = os.fstat(handle.fileno())
                seen: object = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
                if not stat.S_ISREG(status.st_mode):
                    self._refuse(f"{self._file} is no file")
                elif seen != self._seen:
                    self._accept(keys.load(handle.read(), self._file))
        except FileNotFoundError:
            seen = None
            self._accept(KeyFile())
        except OSError as error:
            seen = error.errno
            self._refuse(f"{self._file} cannot be read: {error.strerror}")
        except SettingInvalid as error:
            self._refuse(error.message)
        self._seen = seen

    @property
    def empty(self) -> bool:
        """Whether there is no key that would be let in."""
        return not self._keys

    def _lookup(self, key: str) -> KeyRecord | None:
        """Each hash is compared, and as a whole, so that the time it takes tells nothing."""
        wanted, found = keys.digest(key), None
        for record in self._keys:
            if hmac.compare_digest(record.hash, wanted):
                found = record
        return found

    def _accept(self, file: KeyFile) -> None:
        if self.problem:
            log.info("API keys can be read again")
        self._keys, self.problem = file.keys, None

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            log.error("no API key is accepted: %s", problem)
        self._keys, self.problem = (), problem


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a key stands after a request. `reset`: seconds until it may do all again that it may."""

    limit: int
    remaining: int
    reset: float

    def headers(self) -> dict[str, str]:
        """As OpenAI calls them (API reference, "Rate limits"); the time in the form of its own, such as `59.5s`."""
        return {
            "X-RateLimit-Limit-Requests": str(self.limit),
            "X-RateLimit-Remaining-Requests": str(self.remaining),
            "X-RateLimit-Reset-Requests": f"{math.ceil(self.reset * 10) / 10:g}s",
        }


class RateLimits:
    """Counts each key's requests: never more than its rate in any 60 seconds, wherever one begins to count."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._taken: dict[str, deque[float]] = {}

    def take(self, owner: str, limit: int) -> tuple[Rate, float | None]:
        """Count a request, unless it is one too many: then also the seconds after which one is free."""
        taken, now = self._recent(owner)
        if len(taken) >= limit:
            return self.look(owner, limit), taken[-limit] + _WINDOW - now
        taken.append(now)
        return self.look(owner, limit), None

    def look(self, owner: str, limit: int) -> Rate:
        """Where a key stands, without counting anything."""
        taken, now = self._recent(owner)
        reset = taken[-1] + _WINDOW - now if taken else 0.0
        return Rate(limit, max(0, limit - len(taken)), reset)

    def _recent(self, owner: str) -> tuple[deque[float], float]:
        taken, now = self._taken.setdefault(owner, deque()), self._clock()
        while taken and taken[0] <= now - _WINDOW:
            taken.popleft()
        return taken, now


def install(app: web.Application, keyring: Keyring, *, required: bool, clock: Clock = time.monotonic) -> None:
    """Let only those in who may come in, and tell them what they must know in the headers of each response.

    The middlewares that are there already run before it: those that render errors must.
    """
    app.middlewares.append(access(keyring, required=required, clock=clock))
    app.on_response_prepare.append(set_headers)


def access(keyring: Keyring, *, required: bool, clock: Clock = time.monotonic) -> Middleware:
    """The middleware that puts a `Caller` into `request[CALLER]`. It needs the signal `set_headers`.

    Raises `KeyInvalid`, `TooManyRequests`, `InvalidRequest` and `KeysUnreadable`.
    """
    limits = RateLimits(clock)
    keyring.refresh()
    if required and keyring.empty and not keyring.problem:
        log.warning("every request needs an API key, and there is none yet. %s", _MAKE_ONE)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _path(request) in OPEN or any(OWN in app for app in request.match_info.apps):
            return await handler(request)
        request[_HEADERS] = {}
        try:
            caller = authenticate(request.headers, keyring, required=required)
        except KeyInvalid as error:
            refused(request, error.message)
            raise
        request[CALLER] = caller
        _keep_to_the_rate(request, caller, limits)
        return await handler(request)

    return middleware


def refused(request: web.Request, why: str) -> None:
    """To be called before a 401 is raised."""
    log.info("refused %s %s: %s", request.method, _path(request) or "an unknown path", why)
    request[_HEADERS] = {"WWW-Authenticate": "Bearer"}  # RFC 9110, 11.6.1: it must have one


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: what the middleware has to say, on errors and streams as well."""
    response.headers.update(request.get(_HEADERS, {}))


def authenticate(headers: MultiMapping[str], keyring: Keyring, *, required: bool) -> Caller:
    """Who sent these headers: `Authorization: Bearer KEY`, or `x-api-key: KEY` as Anthropic's clients do.

    Clients of OpenAI's API cannot but send some key, so where none is required anything may be sent. But what looks
    like a key of ours must be a good one: with a revoked key nobody may do more than with a limited one.
    """
    sent = [_BEARER.sub("", value, count=1).strip() for value in headers.getall("Authorization", [])]
    sent += [value.strip() for value in headers.getall("X-Api-Key", [])]
    ours = {value for value in sent if _OURS.search(value)}
    if len(ours) > 1:
        raise InvalidRequest("The request has more than one API key")
    if not ours and not required:
        return LOCAL
    if not any(sent):
        raise KeyInvalid("An API key is needed: Authorization: Bearer KEY", hint=_MAKE_ONE)
    record = keyring.find(ours.pop()) if ours else None
    if record is None:
        raise KeyInvalid("The API key is not one that this gateway knows, or it was revoked", hint=_MAKE_ONE)
    return Caller(record.id, record.policy)


def _keep_to_the_rate(request: web.Request, caller: Caller, limits: RateLimits) -> None:
    if (limit := caller.policy.rate) is None:
        return
    wait = None
    if _starts_work(request):
        rate, wait = limits.take(caller.owner, limit)
    else:
        rate = limits.look(caller.owner, limit)
    request[_HEADERS].update(rate.headers())
    if wait is not None:
        message = f"This API key is good for {limit} requests a minute"
        raise TooManyRequests(message, retry_after=math.ceil(wait))  # a whole second early would be refused again


def _starts_work(request: web.Request) -> bool:
    """Only what costs something counts: looking at a response, or cancelling one, must stay possible."""
    return request.method == "POST" and not request.path.endswith("/cancel")


def _path(request: web.Request) -> str | None:
    """The route's own spelling of the path, None where there is no such route."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else None

"""What the stack logs: the gateway in the container and the OAuth proxy on this machine, in one form."""

from __future__ import annotations

import heapq
import json
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Literal, get_args

from ccapi.commands import proxy
from ccapi.errors import CcapiError, ProxyFailed, UsageError
from ccapi.paths import Home
from ccapi.stack import logs as container_logs
from ccapi.stack.logs import Span, Stamped

Service = Literal["gateway", "proxy"]
SERVICES: tuple[Service, ...] = get_args(Service)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_TEXT = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z (?P<level>[A-Z]+) (?P<logger>\S+) \[(?P<request>[^\]]*)\] (?P<message>.*)"
)
_MORE = "  | "  # how the gateway begins the further lines of a traceback
_PROXY = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<message>.*)")
_AGO = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True, slots=True)
class Line:
    """`text` is the line as it stands, `message` what it says. `level` is None for what nobody gave one, as a crash."""

    service: Service
    ts: str  # RFC 3339
    text: str
    message: str
    level: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """`tail` is of each service. `level`: this one or worse; what has none is shown. `request`: those of this id."""

    services: Sequence[Service] = ("gateway",)
    tail: int = 100
    since: float | None = None
    until: float | None = None
    level: str | None = None
    request: str | None = None

    @property
    def all(self) -> bool:
        """Whether no line is left out but by its age."""
        return self.level is None and self.request is None

    def takes(self, line: Line) -> bool:
        if self.request is not None and line.request != self.request:
            return False
        return self.level is None or line.level is None or LEVELS.index(line.level) >= LEVELS.index(self.level)


@dataclass(slots=True)
class _Source:
    """Where the lines of a stack come from."""

    home: Home
    docker: Mapping[str, str]
    wanted: Wanted
    note: Callable[[str], None]
    before: dict[Service, Line] = field(default_factory=dict)

    def parsed(self, service: Service, stamped: Iterator[Stamped]) -> Iterator[Line]:
        """Those that are wanted; the further lines of one belong to it."""
        for stamp, text in stamped:
            line = _gateway_line(stamp, text, self.before.get(service)) if service == "gateway" else _proxy_line(text)
            self.before[service] = line
            if self.wanted.takes(line) and _within(line, self.wanted):
                yield line


def last(home: Home, docker: Mapping[str, str], wanted: Wanted, note: Callable[[str], None]) -> Iterator[Line]:
    """The last lines, by their time. Raises `StackFailed` when there is no container."""
    source = _Source(home, docker, wanted, note)
    found = [deque(source.parsed(service, _there(source, service)), wanted.tail) for service in wanted.services]
    return heapq.merge(*found, key=lambda line: line.ts[:19])


def follow(home: Home, docker: Mapping[str, str], wanted: Wanted, note: Callable[[str], None]) -> Iterator[Line]:
    """The last lines and all that come, until the container is gone; without it, until the caller stops."""
    source = _Source(home, docker, wanted, note)
    if len(wanted.services) == 1:
        yield from _following(source, wanted.services[0])
        return
    yield from _together(source)


def moment(text: str, now: datetime) -> float:
    """`10m`, `1h30m`, `2d` ago, or a date and time (this machine's, unless it says more), in seconds of Unix time.

    Raises `UsageError`.
    """
    if (ago := _AGO.fullmatch(text)) and text:
        days, hours, minutes, seconds = (int(part or 0) for part in ago.groups())
        return now.timestamp() - (((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        message = f"this is no time: {text}"
        raise UsageError(message, hint="Such as 10m, 1h30m, 2d, 2026-11-28, 2026-11-28T09:30") from None


# --- where they come from


def _there(source: _Source, service: Service) -> Iterator[Stamped]:
    wanted = source.wanted
    if service == "gateway":
        tail: container_logs.Tail = wanted.tail if wanted.all else "all"
        return container_logs.last(source.docker, source.home.stack, Span(tail, wanted.since, wanted.until))
    return _proxy(lambda: iter([proxy.logs(source.home, tail=_most(wanted))]), source)


def _following(source: _Source, service: Service) -> Iterator[Line]:
    """The first of them are no more than `tail`, whatever else is asked for."""
    wanted = source.wanted
    if service == "proxy":
        yield from source.parsed("proxy", _proxy(lambda: proxy.follow(source.home, tail=_most(wanted)), source))
        return
    stack, span = source.home.stack, Span(wanted.tail, wanted.since)
    if not wanted.all:
        yield from deque(source.parsed("gateway", _there(source, "gateway")), wanted.tail)
        span = Span(0)
    yield from source.parsed("gateway", container_logs.follow(source.docker, stack, span, source.note))


def _most(wanted: Wanted) -> int:
    return wanted.tail if wanted.all and wanted.since is wanted.until is None else 1_000_000


def _proxy(texts: Callable[[], Iterator[str]], source: _Source) -> Iterator[Stamped]:
    """Its log may not be there: that is a failure only if it alone was asked for."""
    try:
        for line in container_logs.lines(text.encode() for text in texts()):
            yield "", line
    except ProxyFailed as error:
        if len(source.wanted.services) == 1:
            raise
        source.note(f"proxy: {error.message}")


def _together(source: _Source) -> Iterator[Line]:
    """Of several services, as they come. With the gateway's it ends."""
    came: queue.SimpleQueue[Line | CcapiError | None] = queue.SimpleQueue()

    def read(service: Service) -> None:
        own = replace(source, before={})
        try:
            for line in _following(own, service):
                came.put(line)
        except CcapiError as error:
            came.put(error)
        else:
            if service == "gateway":
                came.put(None)

    for service in source.wanted.services:
        threading.Thread(target=read, args=(service,), daemon=True).start()
    while (line := came.get()) is not None:
        if isinstance(line, CcapiError):
            raise line
        yield line


# --- how they are read


def _gateway_line(stamp: str, text: str, before: Line | None) -> Line:
    if match := _TEXT.fullmatch(text):
        level = match["level"] if match["level"] in LEVELS else None
        request = match["request"] if match["request"] != "-" else None
        return Line("gateway", stamp, text, match["message"], level, request)
    if text.startswith("{") and (found := _json(stamp, text)):
        return found
    if text.startswith(_MORE) and before:
        return Line("gateway", stamp, text, text.removeprefix(_MORE), before.level, before.request)
    return Line("gateway", stamp, text, text)


def _json(stamp: str, text: str) -> Line | None:
    try:
        found = json.loads(text)
        level, message, request = found["level"], found["message"], found.get("request_id")
    except (ValueError, KeyError, TypeError):
        return None
    more = f"\n{found['traceback']}" if isinstance(found.get("traceback"), str) else ""
    return Line("gateway", stamp, text, f"{message}{more}", level if level in LEVELS else None, request)


def _proxy_line(text: str) -> Line:
    """Its times are this machine's, without a zone."""
    if match := _PROXY.fullmatch(text):
        local = datetime.fromisoformat(match["time"]).astimezone(UTC)
        return Line("proxy", local.isoformat().replace("+00:00", "Z"), text, match["message"], "INFO")
    return Line("proxy", "", text, text)


def _within(line: Line, wanted: Wanted) -> bool:
    """Docker has looked at the gateway's already."""
    if line.service == "gateway" or not line.ts:
        return True
    seconds = datetime.fromisoformat(line.ts).timestamp()
    return (wanted.since is None or seconds >= wanted.since) and (wanted.until is None or seconds <= wanted.until)


def prefixes(services: Sequence[Service]) -> Mapping[str, str]:
    """What stands before the lines of each, of equal width."""
    width = max(map(len, chain(services, [""])))
    return {service: f"{service:<{width}} | " for service in services}

"""How lines of logs are read: in every form that the gateway and the proxy write, and none."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ccapi.commands import logs
from ccapi.commands.logs import Line, Wanted
from ccapi.errors import UsageError
from ccapi.gateway.logs import JsonFormatter, TextFormatter
from ccapi.paths import Home
from ccapi.stack.logs import lines

STAMP = "2026-11-28T03:37:40.913000001Z"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def read(service: logs.Service, *texts: str, wanted: Wanted = Wanted()) -> list[Line]:  # noqa: B008 -- it is frozen
    source = logs._Source(Home(), {}, wanted, lambda _: None)

    def stamped() -> Iterator[tuple[str, str]]:
        for text in texts:
            yield STAMP, text

    return list(source.parsed(service, stamped()))


def failure() -> logging.LogRecord:
    """What the gateway logs with a traceback."""
    try:
        raise RuntimeError("broken")  # noqa: TRY301 -- its traceback is wanted
    except RuntimeError:
        return logging.LogRecord("ccapi.x", logging.ERROR, "x.py", 1, "it failed: %s", ("why",), sys.exc_info())


def test_the_gateways_text() -> None:
    """The lines of a traceback belong to the one before them."""
    found = read("gateway", *TextFormatter().format(failure()).split("\n"))
    assert (found[0].level, found[0].request, found[0].message) == ("ERROR", None, "it failed: why")
    assert {line.level for line in found} == {"ERROR"}
    assert found[-1].message == "RuntimeError: broken"


def test_the_gateways_json() -> None:
    """The traceback is part of the message."""
    (found,) = read("gateway", JsonFormatter().format(failure()))
    assert found.level == "ERROR"
    assert found.message.startswith("it failed: why\n")
    assert found.message.endswith("RuntimeError: broken")
    assert json.loads(found.text)["level"] == "ERROR"


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "{", '{"level": 5}', "[1]", "", "  | alone"])
def test_what_nobody_gave_a_form(text: str) -> None:
    """It is shown at every level: it may be a crash."""
    assert read("gateway", text, wanted=Wanted(level="ERROR")) == [Line("gateway", STAMP, text, text)]


def test_a_level_and_worse() -> None:
    texts = [f"2026-11-28T03:37:40.913Z {level} ccapi.x [r] of {level}" for level in logs.LEVELS]
    found = read("gateway", *texts, wanted=Wanted(level="WARNING"))
    assert [line.level for line in found] == ["WARNING", "ERROR", "CRITICAL"]


def test_a_request() -> None:
    """All of its id; the lines of its traceback as well."""
    texts = [
        "2026-11-28T03:37:40.913Z INFO ccapi.x [abc] one",
        "2026-11-28T03:37:40.913Z ERROR ccapi.x [abcd] two",
        "  | of two",
        "2026-11-28T03:37:40.913Z INFO ccapi.x [-] abcd",
    ]
    found = read("gateway", *texts, wanted=Wanted(request="abcd"))
    assert [line.message for line in found] == ["two", "of two"]


def test_the_proxys_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time is this machine's."""
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (found,) = read("proxy", "2026-11-28 12:00:00 Started on port 1 (PID 2)")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert found.ts == "2026-11-28T03:00:00Z"
    assert (found.level, found.message) == ("INFO", "Started on port 1 (PID 2)")


def test_chunks_end_anywhere() -> None:
    """Within a character, and without a last line end."""
    text = "é one\r\ntwo\n\nthrée".encode()
    for size in range(1, 8):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        assert list(lines(chunks)) == ["é one", "two", "", "thrée"]


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1d2h3m4s", 93_784)]
)
def test_so_long_ago(text: str, ago: int) -> None:
    assert logs.moment(text, NOW) == NOW.timestamp() - ago


@pytest.mark.parametrize("text", ["2026-11-28T11:00:00Z", "2026-11-28T11:00:00+00:00", "2026-11-28 12:00:00+01:00"])
def test_a_moment(text: str) -> None:
    assert logs.moment(text, NOW) == NOW.timestamp() - 3600


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "yesterday", "-5m", "2026-13-01"])
def test_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="this is no time"):
        logs.moment(text, NOW)

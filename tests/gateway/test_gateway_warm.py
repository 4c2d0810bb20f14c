"""Processes that wait, as clients of the gateway meet them: who gets one, who does not, and what the numbers say.

The pool itself is tested in `tests/agent/test_agent_pool.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccapi.commands import keys
from ccapi.paths import Home, keys_dir
from ccapi.wire.keys import Policy
from tests.gateway.harness import Gateway, await_that, body, gateway, kill
from tests.gateway.test_gateway_kill import asked, history, told


@contextmanager
def warm(tmp_path: Path, *, size: int = 1, sessions: int = 2, key: str | None = None, **more: Any) -> Iterator[Gateway]:
    """A gateway of which so many processes stand ready."""
    with gateway(tmp_path / "gateway", "chat", pool_size=size, pool_sessions=sessions, **more) as running:
        ready(running, size, key)
        yield running


def waiting(running: Gateway, key: str | None = None) -> dict[str, int]:
    """How many processes wait, by kind, as `/ready` says."""
    with running.client() as client:
        client.headers["Authorization"] = f"Bearer {key}"
        checks = client.get("/ready").json()["checks"]
    (pool,) = [check["message"] for check in checks if check["name"] == "pool"]
    words = pool.partition(": ")[2]
    return {kind: int(number) for number, kind in (part.split() for part in words.split(", "))}


def ready(running: Gateway, count: int, key: str | None = None) -> None:
    await_that(lambda: waiting(running, key)["warm"] == count, f"{count} processes ready")


def takes(running: Gateway) -> dict[str, int]:
    """How many runs got which kind of process, as `/metrics` says."""
    with running.client() as client:
        lines = client.get("/metrics").text.splitlines()
    found = [line.split() for line in lines if line.startswith("ccapi_pool_takes_total{")]
    return {name.split('"')[1]: int(float(number)) for name, number in found}


def test_a_conversation_begins_warm_and_goes_on_live(tmp_path: Path) -> None:
    """Streamed or not, by chat or responses; the numbers tell which process each run had."""
    with warm(tmp_path) as running:
        assert running.content("one") == "You said: one"
        assert takes(running) == {"warm": 1, "live": 0, "cold": 0}
        assert running.stream(asked("one", "two")).content == "You said: two"
        assert history(running) == ["user", "assistant", "user"]
        assert takes(running) == {"warm": 1, "live": 1, "cold": 0}
        await_that(lambda: waiting(running)["live"] == 1, "the process back in its place, a moment after the stream")
        ready(running, 1)
        with running.client() as client:
            first = client.post("/v1/responses", json={"model": "sonnet", "input": "three"}).json()
            follow = {"model": "sonnet", "input": "four", "previous_response_id": first["id"]}
            client.post("/v1/responses", json=follow).raise_for_status()
        assert takes(running) == {"warm": 2, "live": 2, "cold": 0}
        assert waiting(running)["live"] == 2


def test_regenerating_does_not_use_the_kept_process(tmp_path: Path) -> None:
    """It knows an answer that the client has thrown away."""
    with warm(tmp_path) as running:
        running.content("one")
        ready(running, 1)
        running.content(asked("one", "two"))
        running.content(asked("one", "two"))
        assert takes(running) == {"warm": 1, "live": 1, "cold": 1}
        assert history(running) == ["user", "assistant", "user"]
        assert told(running).count("You said: one") == 1


def test_nothing_of_one_client_reaches_another(tmp_path: Path) -> None:
    """Two keys, the same words, by id or by history: the second gets neither the first's process nor its session."""
    home = tmp_path / "home-of-ccapi"
    first, second = (keys.create(Home(str(home)), None, Policy(), print).key for _ in range(2))
    with (
        warm(tmp_path, key=first, require_key=True, keys_dir=keys_dir(Home(str(home)))) as running,
        running.client() as client,
    ):

        def ask(key: str, messages: list[dict[str, Any]], **headers: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}", **headers}
            return client.post("/v1/chat/completions", json=body(messages), headers=headers)

        mine = ask(first, asked("my secret is 42"))
        session = mine.json()["session_id"]
        assert waiting(running, first)["live"] == 1
        refused = ask(second, asked("what did I say?"), **{"X-Session-Id": session})
        assert refused.status_code == 404
        copied = ask(second, asked("my secret is 42", "and?"))
        assert copied.json()["session_id"] != session
        assert history(running) == ["user"], "told as text, as the session is another's"
        fresh = ask(second, asked("hello"))
        assert "42" not in told(running)
        assert len({session, copied.json()["session_id"], fresh.json()["session_id"]}) == 3
        again = ask(first, asked("my secret is 42", "and on"))
        assert again.json()["session_id"] == session


def test_another_workspace_or_policy_is_another_process(tmp_path: Path) -> None:
    """What stands ready was started for one directory and one set of tools."""
    with warm(tmp_path) as running:
        running.content("one", workspace="other")
        running.content("one", allowed_tools=["Read"])
        assert takes(running) == {"warm": 0, "live": 0, "cold": 2}
        assert running.model
        assert str(running.workspace / "other") in json.dumps(running.model.conversation[0])


def test_a_dead_process_costs_time_and_nothing_else(tmp_path: Path) -> None:
    """All that wait are killed: the next questions are answered, and after them processes stand ready again."""
    with warm(tmp_path, size=2) as running:
        running.content("one")
        ready(running, 2)
        kill(*running.processes())
        assert running.content(asked("one", "two")) == "You said: two"
        assert running.content("three") == "You said: three"
        ready(running, 2)


def test_a_burst_over_few_slots_is_answered_whole(tmp_path: Path) -> None:
    """More questions than slots and processes: each has its own answer, and at the end as many wait as shall."""
    with warm(tmp_path, size=2, sessions=3, max_runs=4) as running, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(running.content, [f"number {number}" for number in range(16)]))
        assert answers == [f"You said: number {number}" for number in range(16)]
        ready(running, 2)
        assert waiting(running)["live"] == 3
        await_that(lambda: len(running.processes()) == 5, "no process that does not wait")


def test_nothing_waits_when_none_shall(tmp_path: Path) -> None:
    """Zero is zero."""
    with warm(tmp_path, size=0, sessions=0) as running:
        running.content("one")
        running.content(asked("one", "two"))
        assert takes(running) == {"warm": 0, "live": 0, "cold": 2}
        assert waiting(running) == {"warm": 0, "live": 0}
        await_that(lambda: not running.processes(), "the end of every process", within=5)


@pytest.mark.parametrize("name", ["settings.json", "CLAUDE.md"])
def test_what_was_configured_meanwhile_holds_for_the_next_question(tmp_path: Path, name: str) -> None:
    """Also within a conversation."""
    content = {"settings.json": '{"language": "Klingon"}', "CLAUDE.md": "Speak Klingon."}[name]
    with warm(tmp_path) as running:
        running.content("one")
        ready(running, 1)
        (running.workspace.parent / "scratch" / "claude-config" / name).write_text(content, "utf-8")
        running.content("two")
        assert running.model
        assert "Klingon" in json.dumps(running.model.conversation[-1])
        running.content(asked("one", "three"))
        assert "Klingon" in json.dumps(running.model.conversation[-1])

"""How many runs go on at once, and what the others are told."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from ccapi.errors import Busy
from ccapi.gateway.slots import RunSlots, default_slots
from tests.agent import streamjson as sj
from tests.agent.stub import GO_ON
from tests.gateway.conftest import Start
from tests.gateway.harness import Gateway, await_that, body

LEFT = {"await_end_of_input": None}


@pytest.fixture
def narrow(start: Start) -> Gateway:
    """One slot, and room for one that waits; a run lasts until the test says `go_on`."""
    gateway = start(max_runs=1, max_queue=1, heartbeat=0.1)
    gateway.stub.plan({"await_input": 2}, GO_ON, {"lines": sj.answer("Done.")}, LEFT)
    return gateway


def test_one_runs_one_waits_and_the_third_is_sent_away(narrow: Gateway) -> None:
    """The third is told when to come back, and nothing is started for it; the other two are answered in turn."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(narrow.chat, "first")
        await_that(narrow.processes, "the first run")
        with narrow.streaming("second") as second:
            next(second)  # a heartbeat: it waits in the queue
            refused = narrow.post(body("third"))
            assert len(narrow.processes()) == 1
            narrow.stub.go_on()
            *_, answer = second
        assert first.result()["choices"][0]["message"]["content"] == "Done."
    assert answer.content == "Done."
    assert answer.done
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "busy"
    assert int(refused.headers["Retry-After"]) > 0


def test_who_leaves_the_queue_takes_no_slot_with_them(narrow: Gateway) -> None:
    """A client that leaves while it waits makes room for the next, and one that leaves its run frees the slot."""
    with narrow.streaming("runs") as running:
        next(running)
        with narrow.streaming("waits, and leaves") as waiting:
            next(waiting)
        assert await_that(lambda: admitted(narrow), "a place in the queue")
    narrow.stub.go_on()
    assert await_that(lambda: answered(narrow), "a place, once the one before is noticed to have left") == "Done."


def admitted(gateway: Gateway) -> bool:
    """Whether a streamed request is let into the queue; it leaves at once."""
    with (
        gateway.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body("next", stream=True)) as response,
    ):
        return response.status_code == 200


def answered(gateway: Gateway) -> str:
    """The answer, or nothing if there is no room."""
    response = gateway.post(body("last"))
    if response.status_code == 429:
        return ""
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


async def test_requests_of_the_same_moment_are_counted_one_by_one() -> None:
    """Twelve at once for two slots and two places: eight are refused, whatever the order in which their tasks run."""
    slots, over = RunSlots(2, 2), asyncio.Event()

    async def nothing() -> None:
        pass

    async def run() -> str:
        try:
            async with slots.slot(nothing, 60.0):
                await over.wait()
        except Busy:
            return "refused"
        return "answered"

    runs = [asyncio.create_task(run()) for _ in range(12)]
    await asyncio.wait(runs, timeout=0.1)
    over.set()
    ends = await asyncio.gather(*runs)
    assert (ends.count("answered"), ends.count("refused")) == (4, 8)


async def test_a_slot_survives_whoever_is_cancelled() -> None:
    """Waiting, running, or in the very moment in which the slot is given: afterwards all slots are free."""
    slots = RunSlots(1, 10)

    async def nothing() -> None:
        pass

    async def run() -> None:
        async with slots.slot(nothing, 60.0):
            await asyncio.sleep(0)

    for steps in range(8):
        runs = [asyncio.create_task(run()) for _ in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for one in runs:
            one.cancel()
        await asyncio.wait(runs)
        async with asyncio.timeout(10):
            await run()
        assert slots.waiting == 0


def test_the_default_follows_the_memory() -> None:
    """At least one, and no more than a machine's memory takes."""
    assert 1 <= default_slots() <= 10_000

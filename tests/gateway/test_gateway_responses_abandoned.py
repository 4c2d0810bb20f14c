"""Background responses that nobody follows any more, for clients that ask for it: `abandon_after`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ccapi.wire.events import RunFailed
from tests.gateway.conftest import Start
from tests.gateway.harness import Gateway, await_that
from tests.gateway.test_gateway_responses import events_of, get, post, reading
from tests.gateway.test_gateway_responses_background import begin, cancel, followed, long, over, status
from tests.wire.test_wire_responses import check, decoded


def test_a_response_that_nobody_follows_is_cancelled(start: Start) -> None:
    """As a client would: nothing of the run is left. Who comes back later is told that the gateway did it, and why."""
    running = start()
    long(running)
    response = begin(running, abandon_after=0.5)
    document = over(running, response["id"])
    why = "The gateway ended the run, because nobody had listened to it for 0.5 s"
    assert (document["status"], document["error"]["message"]) == ("cancelled", why)
    check(events := followed(running, response["id"]))
    assert events[-1]["response"] == document
    (end,) = decoded(events)[-1:]
    assert isinstance(end, RunFailed)
    assert (end.error.code, end.error.message) == ("error", why)
    await_that(lambda: not running.processes(), "the end of the process")


def test_a_client_that_cancels_it_knows_why(start: Start) -> None:
    """No error is made up for it, also if that client would have been given up a moment later."""
    running = start()
    long(running)
    response = cancel(running, begin(running, abandon_after=30)["id"])
    assert (response["status"], response["error"]) == ("cancelled", None)


def test_a_follower_keeps_it_and_may_come_back(start: Start) -> None:
    """The time counts anew each time that the last one leaves."""
    running = start()
    long(running)
    response = begin(running, abandon_after=4)
    for _ in range(3):  # more time than that in all, and far less at a time
        with (
            running.client() as client,
            client.stream("GET", f"/v1/responses/{response['id']}", params={"stream": "true"}) as stream,
        ):
            pieces = stream.iter_bytes()  # thrown away, it would close the stream
            next(pieces)
            time.sleep(1.5)
        assert status(running, response["id"]) == "in_progress"
        time.sleep(0.3)
    assert over(running, response["id"])["status"] == "cancelled"


def test_the_connection_that_began_it_follows_it(start: Start) -> None:
    """A stream that is read to its end is never given up, however long it takes."""
    running = start()
    long(running)
    with reading(running, "hello", background=True, abandon_after=0.5) as lines:
        assert any("Hello" in line for line in lines)
        time.sleep(1.5)
        running.stub.go_on()
        assert any('"type":"response.completed"' in line for line in lines)


@pytest.mark.parametrize(
    "fields", [{"abandon_after": 5}, *({"abandon_after": value, "background": True} for value in (0, -1, "5", 1e9))]
)
def test_what_it_may_be(start: Start, fields: dict[str, object]) -> None:
    """Seconds, and only in the background."""
    response = post(start(), "hello", **fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "abandon_after")
    assert get(start(), "resp_none").status_code == 404


def test_cancelled_by_many_at_once_it_ends_once(start: Start) -> None:
    """Whoever follows is told, and nothing of it stays behind."""
    running = start()
    for _ in range(6):
        long(running)
        response = begin(running)
        with ThreadPoolExecutor(5) as pool:
            follower = pool.submit(get, running, response["id"], stream="true")
            cancels = [pool.submit(cancelled, running, response["id"]) for _ in range(4)]
            assert [one.result() for one in cancels] == [200] * 4
            assert events_of(follower.result(timeout=60))[-1]["response"]["status"] == "cancelled"
        assert status(running, response["id"]) == "cancelled"


def cancelled(running: Gateway, response_id: str) -> int:
    with running.client() as client:
        return client.post(f"/v1/responses/{response_id}/cancel").status_code

"""The gateway's HTTP client: one question, as the events of its run.

It is asked as a background response, which no connection holds: when one breaks, another takes over behind the last
event, and nothing is run twice. So a run has to be ended by saying so, and who could not say it (a killed process, a
network that is gone) has told the gateway beforehand after how long to give the run up.

What counts as silence rests on the gateway's heartbeats. Proxies of the environment are not used: the gateway is on
this machine. Nothing here takes long to import before the question is out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ccapi.client.endpoint import Endpoint
from ccapi.client.question import BY_ITSELF, Question
from ccapi.client.stream import Clock, StreamError, Tick, TimeUp, finish
from ccapi.errors import CcapiError, RunTimeout

if TYPE_CHECKING:
    from ccapi.client.answer import Answer

__all__ = ["PAUSES", "SILENCE", "Tick", "ask"]

PAUSES = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds, before each attempt to go on behind a broken connection
SILENCE = 60.0  # seconds; several heartbeats


@contextmanager
def ask(
    base_url: str,
    question: Question,
    *,
    api_key: str | None = None,
    tick: float | None = None,
    timeout: float | None = None,
    pauses: Sequence[float] = PAUSES,
    silence: float = SILENCE,
    on_sent: Callable[[], None] | None = None,
) -> Iterator[Answer]:
    """Ask, and follow the run. Leaving the block before its end ends it on the server.

    `tick`, `timeout`, `pauses` and `silence` are in seconds. `tick`: how long nothing may come before the answer has a
    `Tick`; None for never. `timeout`: after which the run is ended if it goes on. `on_sent` is called once the question
    is on its way: the time until the answer begins is there for whatever takes some.

    Raises what the error envelope says, `GatewayUnreachable`, `GatewayProtocol` when the answer breaks off for good, or
    `RunTimeout`. An exception that leaves the block takes along what is known about the run, unless that has ended: one
    of ours in its hint, another one as a note.
    """
    clock, endpoint = Clock(tick=tick, timeout=timeout), Endpoint(base_url, api_key)
    exchange = endpoint.exchange("POST", "/v1/responses", clock, silence=silence, document=question.body())
    with closing(exchange):
        try:
            finish(exchange.send())
            from ccapi.client.answer import Answer  # the gateway is at work meanwhile

            answer = Answer(endpoint, exchange, clock, timeout=timeout, pauses=pauses, silence=silence)
        except StreamError as error:
            raise endpoint.failure(error) from None
        except TimeUp:
            raise RunTimeout(f"The question was not sent after {timeout:g} s") from None
        except BaseException as error:
            if exchange.sending:
                _tell(error, BY_ITSELF)
            raise
        try:
            if on_sent:
                on_sent()
            yield answer
        except BaseException as error:
            if known := answer.leave():
                _tell(error, known)
            raise
        else:
            answer.leave()


def _tell(error: BaseException, known: str) -> None:
    if isinstance(error, CcapiError):
        said = known[0].upper() + known[1:]
        error.hint = f"{said}\n{error.hint}" if error.hint else said
    else:
        error.add_note(known)

"""What foreground and background responses have in common: how their run is opened, and what is kept of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from ccapi.errors import Busy, NotFound, StoreFailed
from ccapi.gateway.access import Caller
from ccapi.gateway.question import Question
from ccapi.gateway.responses_input import answer_text
from ccapi.gateway.runs import Answer, Runs
from ccapi.gateway.slots import acquire
from ccapi.gateway.store import Store, StoredResponse
from ccapi.wire.events import RunEvent
from ccapi.wire.responseitems import Object
from ccapi.wire.responses import Encoder

log = logging.getLogger(__name__)

Waiting = Callable[[], Awaitable[None]]

_MAX_WAITING = 64  # requests for one conversation
_RETRY_AFTER = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Pending:
    """A question to which a response is to be made."""

    id: str
    caller: Caller
    question: Question
    response: Object  # as it is before anything was answered
    input_items: list[Object]
    stored: bool
    checkpoint: str | None = None  # the place in the question's session to go on from
    conversation: str | None = None
    task: str | None = None  # what Open WebUI says that it wants for itself
    abandon_after: float | None = None  # seconds without anybody who follows, in the background

    def encoder(self) -> Encoder:
        """What may be shown is only known once the run is open (`ResponseRuns.open`)."""
        return Encoder(self.response, structured=self.question.json_schema is not None)


class ResponseRuns:
    """Opens runs, one at a time in each conversation, and stores responses."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self.runs = runs
        self.store = store
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def open(self, pending: Pending, encoder: Encoder, waiting: Waiting, every: float) -> AsyncIterator[Answer]:
        """See `Runs.open`. Raises `NotFound` for a conversation that is none, besides."""
        async with AsyncExitStack() as stack:
            question = pending.question
            if pending.conversation:
                await stack.enter_async_context(self._turn(pending.conversation, waiting, every))
                found = await self.store.conversation(pending.conversation, pending.caller.owner)
                if found is None:
                    raise NotFound("There is no such conversation", param="conversation")
                question = replace(question, session_id=found.session_id)
            run = self.runs.open(
                question,
                pending.caller,
                api="responses",
                answer_id=pending.id,
                waiting=waiting,
                every=every,
                checkpoint=pending.checkpoint,
                task=pending.task,
            )
            opened: list[Answer] = []
            stack.push_async_callback(self._goes_on, pending, opened)
            answer = await stack.enter_async_context(run)
            opened.append(answer)
            encoder.show, encoder.names_session = answer.transcript, answer.question.persist
            yield answer

    def encode(self, encoder: Encoder, answer: Answer, events: list[RunEvent]) -> list[Object]:
        """The stream events for these, or for a pause without any."""
        if not events:
            return encoder.flush()
        if answer.model != answer.asked_model:
            encoder.answered_by(answer.model)
        return encoder.feed(events)

    async def keep(self, pending: Pending, answer: Answer, document: Object) -> bool:
        """What the next turn needs, before the client learns that this one is over. False: it could not be stored.

        An answer that was given is not taken back because of that; `document` then says that it was not stored.
        """
        await answer.remember(answer_text(document["output"]))
        return not pending.stored or await self.save(pending, document, answer)

    async def save(self, pending: Pending, document: Object, answer: Answer | None = None) -> bool:
        """Whether it was stored; the log says why not."""
        session_id, checkpoint = (answer and answer.place) or (None, None)
        try:
            await self.store.save_response(
                StoredResponse(
                    id=pending.id,
                    owner=pending.caller.owner,
                    status=document["status"],
                    document=document,
                    input_items=pending.input_items,
                    session_id=session_id,
                    checkpoint=checkpoint,
                    conversation=pending.conversation,
                    created=document["created_at"],
                )
            )
        except StoreFailed as error:
            log.error("a response is not stored: %s", error.message)  # noqa: TRY400 -- a traceback says no more
            document["store"] = False
            return False
        return True

    async def _goes_on(self, pending: Pending, answers: Sequence[Answer]) -> None:
        """When the run has been left: its conversation is now where the answer ended, or was cut off."""
        places = [answer.place for answer in answers if answer.place]
        if not (pending.conversation and pending.stored and places):
            return
        try:
            await self.store.set_conversation_session(pending.conversation, pending.caller.owner, places[0][0])
        except StoreFailed as error:
            log.error("a conversation does not know its last turn: %s", error.message)  # noqa: TRY400 -- that is all

    @asynccontextmanager
    async def _turn(self, conversation: str, waiting: Waiting, every: float) -> AsyncIterator[None]:
        """A conversation's turns come one after the other: its session is not known before the first has ended."""
        turn = self._turns.setdefault(conversation, _Turn())
        if turn.users > _MAX_WAITING:
            raise Busy(f"{_MAX_WAITING} requests wait for this conversation already", retry_after=_RETRY_AFTER)
        turn.users += 1
        try:
            await acquire(turn.lock, waiting, every)
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[conversation]


class _Turn:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0

"""Background responses: runs that no connection holds, whose streams are recorded in files.

A run goes on until it ends or is cancelled, and holds no more of its stream in memory than what came last. Clients that
follow it read the file, each at its own pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ccapi.errors import CcapiError, GatewayStopping, InvalidRequest, StoreFailed
from ccapi.gateway import responses_left
from ccapi.gateway.responses_recording import Reader, Recorder
from ccapi.gateway.responses_runs import Pending, ResponseRuns
from ccapi.gateway.responses_stream import ResponseStream
from ccapi.gateway.runs import Answer
from ccapi.gateway.security import log_detail
from ccapi.gateway.store import StoredResponse
from ccapi.redact import redact
from ccapi.wire.events import Notice, RunFailed, RunFinished
from ccapi.wire.responseitems import Object
from ccapi.wire.responses import sse

log = logging.getLogger(__name__)

_LOOK = 0.2  # seconds: a run that is not admitted by then is queued, and its client told so
_CLEAN_EVERY = 3600.0
_END_GRACE = 2.0  # for runs whose processes were ended
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,100}")


class _Live:
    """A run that goes on, or whose end could not be stored."""

    def __init__(self, pending: Pending, path: Path) -> None:
        self.pending = pending
        self.path = path
        self.encoder = pending.encoder()
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = False
        self.abandoned: CcapiError | None = None  # why it was cancelled, if that was not a client's wish
        self.ended = False
        self.grown = asyncio.Event()  # replaced by a new one each time
        self.last: list[Object] = []  # the events of its end
        self.rest: list[Object] = []  # events that could not be written
        self.task: asyncio.Task[None] | None = None
        self.keeping: asyncio.Task[bool] | None = None
        self.answer: Answer | None = None
        self._recorder: Recorder | None = None
        self._followers = 0
        self._alone: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """For as long as somebody reads along."""
        self._followers += 1
        if self._alone:
            self._alone.cancel()
        try:
            yield
        finally:
            self._followers -= 1
            self.left()

    def left(self) -> None:
        """Nobody reads along (any more): a client that wanted that may never come back."""
        after = self.pending.abandon_after
        if after is not None and not self._followers and not self.ended:
            self._alone = asyncio.get_running_loop().call_later(after, self.abandon, after)

    def cancel(self) -> None:
        """As a client does. Once: what ends it must not be cancelled as well."""
        if self.task and not self.ended and not self.cancelled:
            self.cancelled = True
            self.task.cancel()

    def abandon(self, after: float) -> None:
        """Cancel it, and say why: who comes back later did not do it."""
        if self.cancelled:
            return
        self.abandoned = CcapiError(f"The gateway ended the run, because nobody had listened to it for {after:g} s")
        self.cancel()

    @property
    def document(self) -> Object:
        document: Object = self.last[-1]["response"] if self.last else self.encoder.response
        return document

    def record(self, events: list[Object], comments: str = "") -> None:
        """Raises `StoreFailed`; what then was not written is in `rest`."""
        if self.rest:
            self.rest += events
            return
        try:
            self._recorder = self._recorder or Recorder(self.path)
            if frames := comments + sse(events):
                self._recorder.write(frames)
        except StoreFailed:
            self.rest = events
            raise
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def end(self) -> None:
        """The last events, to whoever follows; also when they cannot be written."""
        try:
            self.record(self.last)
        except StoreFailed as error:
            log_detail(error)
        self.ended = True
        self.grown.set()
        if self._alone:
            self._alone.cancel()
        if self._recorder:
            self._recorder.close()


class Backgrounds:
    """All of a gateway's. `directory` holds a directory per owner, with a file per response."""

    def __init__(self, runs: ResponseRuns, directory: Path, heartbeat: float) -> None:
        self._runs = runs
        self._directory = directory
        self._heartbeat = heartbeat
        self._live: dict[str, _Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cleaning: asyncio.Task[None] | None = None

    # --- the gateway's own life

    async def open(self) -> None:
        """What a gateway that ended too soon has left unfinished has failed."""
        try:
            unfinished = await self._runs.store.unfinished_responses()
        except StoreFailed as error:
            log_detail(error)
            unfinished = []
        await asyncio.gather(*map(self._fail, unfinished))
        self._cleaning = asyncio.create_task(self._clean())

    async def close(self) -> None:
        """End what still runs. Whoever can ends the runs first, as they know better why."""
        if self._cleaning:
            self._cleaning.cancel()
            await asyncio.wait([self._cleaning])
        if self._tasks:
            _, slow = await asyncio.wait(self._tasks, timeout=_END_GRACE)
            for task in slow:
                task.cancel()
            if slow:
                await asyncio.wait(slow)

    async def _fail(self, stored: StoredResponse) -> None:
        try:
            await responses_left.fail(stored, self._path(stored.id, stored.owner), self._runs.runs)
        except (CcapiError, OSError, ValueError, LookupError) as problem:
            log.warning("the response %s stays unfinished: %s", stored.id, problem)

    async def _clean(self) -> None:
        """Now and then, remove the files of responses that are gone."""
        while True:
            for path in await asyncio.to_thread(lambda: list(self._directory.glob("*/resp_*.sse"))):
                with contextlib.suppress(OSError, StoreFailed):
                    new = path.stat().st_mtime > time.time() - _CLEAN_EVERY
                    if not new and not await self._runs.store.response(path.stem, path.parent.name):
                        path.unlink(missing_ok=True)
            await asyncio.sleep(_CLEAN_EVERY)

    # --- what clients do

    async def start(self, pending: Pending) -> Object:
        """Begin, and say how the response stands. Raises what says that it cannot begin; then nothing is kept."""
        live = self._live[pending.id] = _Live(pending, self._path(pending.id, pending.caller.owner))
        live.task = asyncio.create_task(self._run(live))
        self._tasks.add(live.task)
        live.task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(live.begun)
        except asyncio.CancelledError:
            live.cancel()
            raise
        live.left()
        return live.document

    async def document(self, response_id: str, owner: str) -> Object | None:
        """Of a response that is not over, or whose end is not stored."""
        live = self._of(response_id, owner)
        if live and live.task and live.last:  # who is told that it is over may go on from it at once
            await asyncio.wait([live.task])
        return live.document if live else None

    async def cancel(self, response_id: str, owner: str) -> Object | None:
        """The response as it then is; None if it is none of those."""
        live = self._of(response_id, owner)
        if live is None:
            return None
        if live.task and not live.ended:
            live.cancel()
            await asyncio.wait([live.task])
        return live.document

    def remove(self, response_id: str, owner: str) -> None:
        """What was recorded of a response that is over."""
        with contextlib.suppress(OSError):
            self._path(response_id, owner).unlink(missing_ok=True)

    def forget(self, response_id: str) -> None:
        """One whose end could not be stored, as it was deleted."""
        self._live.pop(response_id, None)

    async def follow(self, response_id: str, owner: str, stream: ResponseStream, after: int) -> None:
        """Everything behind the event `after`, to the end of the response.

        Raises `InvalidRequest` if there is no such event, and `StoreFailed`.
        """
        live = self._of(response_id, owner)
        followed = live.followed() if live else contextlib.nullcontext()
        with followed, Reader(self._path(response_id, owner)) as reader:
            in_memory = live.rest if live else []
            if not reader.skip(after + 1) and not (in_memory and after <= in_memory[-1]["sequence_number"]):
                raise InvalidRequest("'starting_after': there is no event of that number", param="starting_after")
            while True:
                piece = reader.read()
                if piece:
                    await stream.frames(piece.decode("ascii"))
                elif live is None or live.ended:
                    break
                elif not await _set_within(live.grown, max(0.05, self._heartbeat - stream.silent_for)):
                    await stream.comment()
        if live:
            await stream.events(event for event in live.rest if event["sequence_number"] > after)

    # --- the run

    async def _run(self, live: _Live) -> None:
        try:
            await self._answer(live)
        except asyncio.CancelledError:
            stopped = GatewayStopping("The gateway was stopped before the answer was complete")
            await self._finish(live, live.abandoned if live.cancelled else stopped)
        except CcapiError as error:
            await self._finish(live, error)
        except Exception:
            log.exception("unexpected failure")
            await self._finish(live, CcapiError("The gateway failed unexpectedly; its log says why"))

    async def _answer(self, live: _Live) -> None:
        async def waiting() -> None:
            await self._begin(live, queued=True)

        async with self._runs.open(live.pending, live.encoder, waiting, _LOOK) as answer:
            await self._begin(live, queued=False)
            live.answer = answer
            await self._record(live, answer)
            if isinstance(answer.end, RunFinished):
                await self._keep(live, answer)
        if not live.ended:  # a failure is told when it is known what can follow
            await self._keep(live, answer)

    async def _keep(self, live: _Live, answer: Answer) -> None:
        self._name_session(live)
        live.keeping = asyncio.create_task(self._runs.keep(live.pending, answer, live.document))
        self._end(live, stored=await asyncio.shield(live.keeping))

    @staticmethod
    def _name_session(live: _Live) -> None:
        """Once a run has been left that was cut off: its session is not named if nothing of it was kept."""
        answer, about = live.answer, live.document.get("ccapi")
        if about and answer and not isinstance(answer.end, RunFinished) and not answer.continues:
            about["session_id"] = ""

    async def _begin(self, live: _Live, *, queued: bool) -> None:
        if live.begun.done():
            return
        live.record(live.encoder.begin(queued=queued))
        if not await self._runs.save(live.pending, live.document):
            raise StoreFailed("A background response must be stored, and cannot be now")
        live.begun.set_result(None)

    async def _record(self, live: _Live, answer: Answer) -> None:
        """Up to the events of its end, which are left in `live.last`."""
        while not answer.ended:
            events = await answer.next(self._heartbeat)
            due = self._runs.encode(live.encoder, answer, events)
            notices = "".join(f": {_line(event.message)}\n\n" for event in events if isinstance(event, Notice))
            if answer.end is not None:
                live.last = due
                due = []
            live.record(due, notices)
        if isinstance(answer.end, RunFailed):
            log_detail(answer.end.error)

    async def _finish(self, live: _Live, error: CcapiError | None) -> None:
        """The end of a run that broke off; `error` is None if a client wanted that, and nobody need be told why."""
        if live.ended:
            return
        if not live.begun.done():
            self._drop(live, error)
            return
        if live.keeping:  # it had come to its end all the same
            self._end(live, stored=await asyncio.shield(live.keeping))
            return
        if error:
            log_detail(error)
        if not live.last:
            live.last = live.encoder.feed([RunFailed(error)]) if error else live.encoder.cancel()
            if error is live.abandoned:
                live.document["status"] = "cancelled"
        self._name_session(live)
        self._end(live, stored=await self._runs.save(live.pending, live.document, live.answer))

    def _end(self, live: _Live, *, stored: bool) -> None:
        live.end()
        if stored:
            self._live.pop(live.pending.id, None)

    def _drop(self, live: _Live, error: CcapiError | None) -> None:
        """It has not begun, so there is nothing of it."""
        self._live.pop(live.pending.id, None)
        with contextlib.suppress(OSError):
            live.path.unlink(missing_ok=True)
        if error is None:
            live.begun.cancel()
        elif not live.begun.cancelled():
            live.begun.set_exception(error)
            live.begun.exception()  # nobody waits for it if the client has left

    # --- places

    def _of(self, response_id: str, owner: str) -> _Live | None:
        live = self._live.get(response_id)
        return live if live and live.begun.done() and live.pending.caller.owner == owner else None

    def _path(self, response_id: str, owner: str) -> Path:
        assert _SAFE.fullmatch(response_id)
        assert _SAFE.fullmatch(owner)
        return self._directory / owner / f"{response_id}.sse"


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _line(text: str) -> str:
    return " ".join(redact(text).split()).encode("ascii", "backslashreplace").decode()

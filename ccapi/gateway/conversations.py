"""Clients that know no ids: a history that the gateway made itself is recognised, and its session goes on natively.

Such a client sends the whole conversation each time. Once an answer is complete, the hash of all that the client will
tell then, up to and with the answer, is noted with the place in the session at which it ends. The next request:

    the whole history is known, and the session ends there      the session goes on
    it is known, but the session went on (regenerated, edited)  the session is forked at that place
    only a beginning of it is known                             as above; the rest is told as text before the question
    nothing is known, or the session's files are gone           a new session; all of it is told as text

The third row is what an answer leads to that was edited, or stopped half-way, or came from elsewhere: what Claude did
before stays native, with its tools' results. A system message is no part of the hash; a new one goes on with the
session. Histories are told apart by owner, workspace and the client's name for its user.

An id that the client names wins. Its history, if it tells one that is known there, says where to go on. Without one,
that is where the session ends: behind the last answer, also if that was cut off.

Equal histories. Two people who share a key and give no user name may have said the same, up to here, in sessions of
their own. They are shown what is equal anyway, and as the first one to go on moves the session's head, the second one
forks. But a session can hold what its client was not shown (steps, under the transcripts `text` and `final`). So when
several sessions of separate origin fit, and one of them holds more than was shown, none is used. What remains: a client
that tells word for word the history of the only session that fits, without having had it, goes on in that session.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from ccapi.agent.sessionfiles import SessionFiles
from ccapi.errors import Busy, InvalidRequest, SessionNotFound
from ccapi.gateway.question import Block, Question, Turn
from ccapi.gateway.store import Place, Session, Store

log = logging.getLogger(__name__)

Waiting = Callable[[], Awaitable[None]]

_MAX_WAITING = 64  # requests for one session
_RETRY_AFTER = 10.0  # seconds
_SILENT, _LOOKS = 0.5, 10  # seconds in which a transcript does not grow that nobody writes to; how often that is asked
_GONE = "What was said in the session is gone, or could not be saved whole"
_APART = "\n\n"  # between texts that were said one after the other
# What Open WebUI keeps in an assistant's text for its own pages, and mostly leaves out when it sends the text back.
_FOLDED = ('type="reasoning"', 'type="code_interpreter"', 'type="web_search"')
_THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose histories can be the same one."""

    owner: str
    workspace: str  # its name
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What will be known about a history once its answer is there."""

    owner: str
    asked: str  # the hash of all that was said up to the question
    shown: bool = True  # whether the client knows all that the session holds so far


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A session of its own. `replay` was said before, and is told before the question (`ccapi.gateway.replay`)."""

    replay: tuple[Turn, ...] = ()
    memory: Memory | None = None  # None: the history cannot be known again
    workspace: str | None = None  # of the session in whose place it is; None: the one asked for
    claim: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False, compare=False)  # what the block holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on in a session after `checkpoint`, whatever came later there.

    `fork`: under a new id, as the session went on from there, or is doing so. `replay` are turns that the session does
    not hold, and are told before the question; mostly none.
    """

    session_id: str
    checkpoint: str
    fork: bool
    workspace: str
    replay: tuple[Turn, ...] = ()
    memory: Memory | None = None
    claim: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False, compare=False)


Plan = New | Resume


class Conversations:
    """Plans how a question is asked, and keeps two runs from writing to one session."""

    def __init__(
        self, store: Store, files: SessionFiles, kept: Callable[[str, str], bool] = lambda _session, _checkpoint: False
    ) -> None:
        """`kept`: whether a live process of that session stands at that checkpoint, so that no file is needed."""
        self._store = store
        self._files = files
        self._kept = kept
        self._claims = _Claims()
        self._begun: dict[str, str] = {}  # sessions in use that may not be known yet, and their owners

    @asynccontextmanager
    async def plan(
        self,
        question: Question,
        scope: Scope,
        *,
        checkpoint: str | None = None,
        waiting: Waiting | None = None,
        every: float = 10.0,
    ) -> AsyncIterator[Plan]:
        """How to ask; the session that a `Resume` without `fork` names is this block's alone.

        Enter it before taking a run slot, never the other way round: that could deadlock. In it, call
        `Store.record_turn` when the answer is complete.

        `question.session_id` wins: at `checkpoint` if there is one (a response's: all of `question.history` is new
        then), or where the history says, else at the session's end with what was said after the history's last answer.
        For its end it waits while another run uses the session, calling `waiting` every so many seconds. Raises
        `SessionNotFound`, `InvalidRequest` (the session is of another workspace) and `Busy`.
        """
        hold = partial(self._claims.waited_for, waiting=waiting, every=every)
        if question.session_id is None:
            find = self._recognised
        elif checkpoint is not None:
            find = partial(self._after, checkpoint)
        else:
            find = self._known
        while self._begun.get(question.session_id or "") == scope.owner:
            async with hold(str(question.session_id)):
                pass  # it is known by now, or will never be
        async with AsyncExitStack() as claim:
            plan = await self._settled(partial(find, question, scope), hold, claim, persist=question.persist)
            if plan is None:
                await claim.enter_async_context(hold(str(question.session_id)))
                plan = await self._at_end(question, scope)
            yield replace(plan, claim=claim)

    def begun(self, plan: Plan, session_id: str, owner: str) -> None:
        """The run is in this session. If it is a new one, or a fork, it is the block's alone from now on, too.

        Who names it, having learnt of it so early, waits until the block has been left.
        """
        if not self._claims.held(session_id):
            plan.claim.enter_context(self._claims.taken(session_id))
            self._begun[session_id] = owner
            plan.claim.callback(self._begun.pop, session_id)

    async def cut_off(self, plan: Plan, session_id: str) -> str | None:
        """The checkpoint at which a run has left the session that ended before its answer was complete.

        None if nothing was answered, or nothing can be gone on with. Call it in the plan's block, when the run's
        process has ended.
        """
        before = None if isinstance(plan, New) else plan.checkpoint
        return await asyncio.to_thread(self._files.end, session_id, before)

    async def left(self, session_id: str, after: str | None) -> tuple[str | None, Path]:
        """As `cut_off`, of a run behind the checkpoint `after` that its gateway did not outlive; and where it worked.

        Its process was told to end then, and may still be writing down how far it got: that is waited for.
        """
        try:
            await self._silence(session_id)
            directory = await asyncio.to_thread(self._directory, session_id)
        except OSError as error:
            log.warning("the session %s cannot be read: %s", session_id, error.strerror or error)
            return None, Path()
        return await asyncio.to_thread(self._files.end, session_id, after), directory

    async def remember(self, plan: Plan, text: str, session_id: str, checkpoint: str, *, shown: bool = True) -> bool:
        """The client will tell what it told now, its question, and then `text` as the assistant's message.

        `shown`: whether that text holds everything of the answer (transcript `full`, or an answer without tools).
        Call it in the plan's block, after `Store.record_turn`, and before the client learns that the answer is
        complete: its next turn then waits until the block has been left. Whether it was written (best effort).
        """
        if not self._claims.held(session_id):  # new, or a fork
            plan.claim.enter_context(self._claims.taken(session_id))
        memory = plan.memory
        if memory is None:
            return False
        prefix = _chained(memory.asked, "assistant", [Turn("assistant", text)])
        shown = shown and memory.shown
        return await self._store.remember(memory.owner, prefix, session_id, checkpoint, shown=shown)

    def in_use(self, session_id: str) -> bool:
        """Whether a run goes on in it."""
        return self._claims.held(session_id)

    @contextlib.contextmanager
    def claimed(self, session_id: str) -> Iterator[bool]:
        """Whether no run uses the session; if so, none begins to during the block."""
        if self._claims.held(session_id):
            yield False
            return
        with self._claims.taken(session_id):
            yield True

    async def _silence(self, session_id: str) -> None:
        before = -1
        for _ in range(_LOOKS):
            size = await asyncio.to_thread(self._files.size, session_id)
            if size in {0, before}:
                break
            before = size
            await asyncio.sleep(_SILENT)

    def _directory(self, session_id: str) -> Path:
        entries = self._files.read(session_id)
        return next((Path(entry["cwd"]) for entry in entries if isinstance(entry.get("cwd"), str)), Path())

    async def _settled(
        self,
        find: Callable[[], Awaitable[Plan | None]],
        hold: Callable[[str], AbstractAsyncContextManager[None]],
        claim: AsyncExitStack,
        *,
        persist: bool,
    ) -> Plan | None:
        """The plan that was found, with its session as the block's own. It is forked if another run started there.

        A run that started elsewhere has got so far by now: it is about to leave the session, and is waited for.
        """
        while True:
            plan = await find()
            if not isinstance(plan, Resume) or plan.fork:
                return plan
            if not persist or self._claims.started(plan.session_id) == plan.checkpoint:
                return replace(plan, fork=True)
            if not self._claims.held(plan.session_id):
                claim.enter_context(self._claims.taken(plan.session_id, plan.checkpoint))
                return plan
            async with hold(plan.session_id):
                pass  # and look again: others may have waited, too

    # --- by history

    async def _recognised(self, question: Question, scope: Scope) -> Plan | None:
        """The session that the history is, or begins with."""
        ends, asked = _hashes(scope, question)
        memory = Memory(owner=scope.owner, asked=asked)
        places = await self._store.recall(scope.owner, [prefix for _, prefix in ends]) if ends else {}
        for end, prefix in reversed(ends):
            for place in self._usable(places.get(prefix, [])):
                plan = _resume_at(place, question.history[end:], memory)
                if await self._resumable(plan):
                    return plan
        return New(replay=question.history, memory=memory)

    async def _known(self, question: Question, scope: Scope) -> Plan | None:
        """Where the whole history ends, in the session that was named or in one of the same origin."""
        session = await self._session(question, scope)
        ends, asked = _hashes(scope, question)
        if not ends:
            return None
        end, prefix = ends[-1]
        memory = Memory(owner=scope.owner, asked=asked)
        places = (await self._store.recall(scope.owner, [prefix])).get(prefix, [])
        related = [place for place in places if place.root == session.root]
        for place in sorted(self._usable(related), key=lambda place: place.session_id != session.id):
            plan = _resume_at(place, question.history[end:], memory)
            if await self._resumable(plan):
                return plan
        return None

    def _usable(self, places: Sequence[Place]) -> list[Place]:
        """The best first: where no fork is needed, then the latest."""
        if len({place.root for place in places}) > 1 and not all(place.shown for place in places):
            return []  # the client may have been shown the one, and must not learn what is hidden in the other

        def taken(place: Place) -> bool:
            return place.head != place.checkpoint or self._claims.started(place.session_id) == place.checkpoint

        return sorted(places, key=taken)

    # --- by id

    async def _session(self, question: Question, scope: Scope) -> Session:
        session = await self._store.session(str(question.session_id), scope.owner)
        if session is None:
            raise SessionNotFound("There is no such session", param="session_id")
        if question.workspace is not None and question.workspace != session.workspace:
            raise InvalidRequest("'workspace': the session belongs to another one", param="workspace")
        return session

    async def _after(self, checkpoint: str, question: Question, scope: Scope) -> Plan | None:
        """To go on after a response; all that the client tells is new."""
        plan = _resume_in(await self._session(question, scope), checkpoint, question.history)
        if not await self._resumable(plan):
            raise SessionNotFound(_GONE, param="session_id")
        return plan

    async def _at_end(self, question: Question, scope: Scope) -> Plan:
        """To go on where the session ends, or else to tell its history, provided that the client did."""
        session = await self._session(question, scope)
        told, new = _split(question.history)
        plan = _resume_in(session, session.head, new)
        if await self._resumable(plan):
            self._claims.start(session.id, session.head)
            return plan
        if not told:
            raise SessionNotFound(_GONE, param="session_id")
        return New(replay=question.history, workspace=session.workspace)

    async def _resumable(self, plan: Resume) -> bool:
        if not plan.fork and self._kept(plan.session_id, plan.checkpoint):
            return True
        whole = await asyncio.to_thread(self._files.whole, plan.session_id, plan.checkpoint)
        if not whole:
            log.warning("session %s is not, or not whole, on the disk", plan.session_id)
        return whole


def _resume_at(place: Place, replay: tuple[Turn, ...], memory: Memory) -> Resume:
    return Resume(
        session_id=place.session_id,
        checkpoint=place.checkpoint,
        fork=place.checkpoint != place.head,
        workspace=place.workspace,
        replay=replay,
        memory=replace(memory, shown=place.shown),
    )


def _resume_in(session: Session, checkpoint: str, replay: tuple[Turn, ...]) -> Resume:
    """What such clients tell is not the whole history, so it is not remembered: it could be another's beginning."""
    return Resume(
        session_id=session.id,
        checkpoint=checkpoint,
        fork=checkpoint != session.head,
        workspace=session.workspace,
        replay=replay,
    )


def _split(history: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """What was said up to the last answer, and what was said after it."""
    ends = [end for end, turn in enumerate(history, 1) if turn.role == "assistant"]
    last = ends[-1] if ends else 0
    return history[:last], history[last:]


class _Claims:
    """Which sessions are in use, and who waits for them; first come, first served."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # an entry for each session in use
        self._started: dict[str, str] = {}  # at which checkpoint

    def started(self, session_id: str) -> str | None:
        """The checkpoint from which the run goes on that has the session."""
        return self._started.get(session_id)

    def start(self, session_id: str, checkpoint: str) -> None:
        self._started[session_id] = checkpoint

    def held(self, session_id: str) -> bool:
        return session_id in self._waiting

    @contextlib.contextmanager
    def taken(self, session_id: str, checkpoint: str | None = None) -> Iterator[None]:
        """One that is not held."""
        assert session_id not in self._waiting
        self._waiting[session_id] = deque()
        if checkpoint is not None:
            self.start(session_id, checkpoint)
        try:
            yield
        finally:
            self._release(session_id)

    @asynccontextmanager
    async def waited_for(self, session_id: str, waiting: Waiting | None, every: float) -> AsyncIterator[None]:
        """Raises `Busy` when too many wait already."""
        if session_id not in self._waiting:
            with self.taken(session_id):
                yield
            return
        await self._wait(session_id, waiting, every)
        try:
            yield
        finally:
            self._release(session_id)

    async def _wait(self, session_id: str, waiting: Waiting | None, every: float) -> None:
        queue = self._waiting[session_id]
        if len(queue) >= _MAX_WAITING:
            message = f"{_MAX_WAITING} requests wait for this session already"
            raise Busy(message, retry_after=_RETRY_AFTER)
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            while not (await asyncio.wait([turn], timeout=every))[0]:
                if waiting:
                    await waiting()
        except BaseException:
            if turn.done():  # it was handed over in this very moment
                self._release(session_id)
            turn.cancel()
            raise

    def _release(self, session_id: str) -> None:
        """Hand it to the next."""
        self._started.pop(session_id, None)
        queue = self._waiting[session_id]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[session_id]


# --- hashes


def prefix_hash(scope: Scope, turns: Iterable[Turn]) -> str:
    """The hash by which a history is known again. What clients do to texts on the way makes no difference."""
    *_, (_, _, found) = _prefixes(scope, turns)
    return found


def _hashes(scope: Scope, question: Question) -> tuple[list[tuple[int, str]], str]:
    """Of each beginning of the history that ends with an answer its length and hash; and the hash of all and the turn.

    Turns of one role that follow each other count as one.
    """
    prefixes = list(_prefixes(scope, (*question.history, _asked(question.turn))))
    ends = [(end, found) for end, role, found in prefixes if role == "assistant"]
    return ends, prefixes[-1][2]


def _prefixes(scope: Scope, turns: Iterable[Turn]) -> Iterator[tuple[int, str, str]]:
    """Of each beginning of a history, the empty one included: its length, who spoke last, and its hash."""
    length, found = 0, _digest(json.dumps([scope.owner, scope.workspace, scope.user]))
    yield length, "", found
    for role, run in groupby(turns, key=lambda turn: turn.role):
        said = list(run)
        length, found = length + len(said), _chained(found, role, said)
        yield length, role, found


def _chained(before: str, role: str, said: Sequence[Turn]) -> str:
    """The hash of a history that goes on after `before`."""
    attachments = [_digest(json.dumps(block, sort_keys=True)) for turn in said for block in turn.attachments]
    texts = (_canonical(turn.text, answer=role == "assistant") for turn in said)
    text = ("\n" if role == "assistant" else _APART).join(filter(None, texts))
    return _digest(json.dumps([before, role, text, attachments]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()  # JSON text, as `json.dumps` writes it


def _asked(turn: str | Sequence[Block]) -> Turn:
    if isinstance(turn, str):
        return Turn("user", turn)
    text = _APART.join(str(block["text"]) for block in turn if block.get("type") == "text" and block["text"])
    return Turn("user", text, tuple(block for block in turn if block.get("type") != "text"))


def _canonical(text: str, *, answer: bool) -> str:
    """Without what clients change: line ends, white space at the ends; in an answer also blank lines and reasoning."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if answer:
        text = _without_thinking("".join(_unfolded(text)))
    lines = [line.rstrip() for line in text.split("\n")]
    return "\n".join(line for line in lines if line or not answer).strip()


def _unfolded(text: str) -> Iterator[str]:
    """The text without what is folded away in it. One pass, whatever the text is like."""
    start = at = 0
    while (opening := text.find("<details", at)) >= 0 and (inside := text.find(">", opening)) >= 0:
        at = inside + 1
        if any(kind in text[opening:inside] for kind in _FOLDED):
            closing = text.find("</details>", inside)
            if closing < 0:
                break
            yield text[start:opening]
            start = at = closing + len("</details>")
    yield text[start:]


def _without_thinking(text: str) -> str:
    for opening, closing in _THINKING:
        if text.lstrip().startswith(opening) and closing in text:
            return text.partition(closing)[2]
    return text

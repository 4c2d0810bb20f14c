"""From a question to a run: what may be asked, where, in which session, when; and what is kept of the answer.

Both APIs open their runs here, so that policy, workspaces, slots, sessions and numbers are the same for both.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ccapi.agent import options as agent_options
from ccapi.agent.options import RunOptions
from ccapi.agent.run import Agent, Run, RunRequest
from ccapi.errors import GatewayStopping, NotSignedIn, SessionNotFound
from ccapi.gateway import policy
from ccapi.gateway.access import Caller
from ccapi.gateway.conversations import Conversations, New, Plan, Resume, Scope
from ccapi.gateway.fetch import Fetcher
from ccapi.gateway.metrics import Api, Metrics, ObservedRun, Start
from ccapi.gateway.models import Models
from ccapi.gateway.policy import Allowed
from ccapi.gateway.question import Question, TranscriptMode
from ccapi.gateway.replay import replay
from ccapi.gateway.slots import RunSlots
from ccapi.gateway.store import Store, Turned
from ccapi.gateway.workspaces import Workspaces
from ccapi.redact import redact
from ccapi.wire.events import (
    Billing,
    MessageStarted,
    Notice,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolFinished,
)

log = logging.getLogger(__name__)

Waiting = Callable[[], Awaitable[None]]


class Answer:
    """A run in its session. `next` until it has `ended`; `end` is its terminal event."""

    def __init__(self, runs: Runs, run: Run, asked: _Asked, observed: ObservedRun, begin: _Begin) -> None:
        """`begin` ends the run, and begins another one by another plan."""
        self.end: RunFinished | RunFailed | None = None
        self.api_model = asked.model  # the id that the model's API was asked for
        self.question = asked.question
        self.transcript: TranscriptMode = asked.question.transcript or "full"
        self._runs = runs
        self._run = run
        self._asked = asked
        self._observed = observed
        self._begin = begin
        self.continues = False  # whether the session can be gone on with by its id: it was kept, and is known
        self.place: tuple[str, str] | None = None  # session and checkpoint behind which the next turn can be asked
        self._files: list[tuple[str, str]] = []  # outputs that the CLI moved into files
        self._tools = False

    @property
    def ended(self) -> bool:
        return self.end is not None

    @property
    def asked_model(self) -> str:
        """What the client's name for the model means to Claude Code."""
        return self._asked.model

    @property
    def model(self) -> str:
        """The one that really answers."""
        return self._run.model or self._asked.model

    @property
    def session_id(self) -> str:
        """Claude Code's id for the conversation; empty until it was said."""
        return self._run.session_id

    async def next(self, wait: float) -> list[RunEvent]:
        """The events that came, or none after `wait` seconds of silence."""
        events = await self._run.next(wait)
        if self._lost(events):
            return await self._anew()
        for event in events:
            kind = type(event)
            if kind is RunStarted:
                self._started(event)  # type: ignore[arg-type] # its type was just looked at
            elif kind is TextDelta:
                self._observed.first_text()
            elif kind is ToolFinished:
                self._note_tool(event)  # type: ignore[arg-type] # its type was just looked at
            elif isinstance(event, RunFinished | RunFailed):  # the last one
                events[-1] = self._ended(event)
            elif isinstance(event, MessageStarted) and event.parent is None:
                self._observed.messages += 1
            elif kind is Notice:
                log.warning("%s", redact(event.message))  # type: ignore[union-attr] # as above
        return events

    def _started(self, event: RunStarted) -> None:
        self.api_model = event.model or self.api_model
        if event.session_id and self.question.persist:
            self._runs.conversations.begun(self._asked.plan, event.session_id, self._asked.scope.owner)

    def _ended(self, event: RunFinished | RunFailed) -> RunFinished | RunFailed:
        self.end = replace(event, billing=self._runs.paid_by(event.billing))
        if isinstance(event, RunFailed) and isinstance(event.error, NotSignedIn):
            self._runs.on_refused()
        self._observed.finished(self.end, self._run.model)
        return self.end

    def _lost(self, events: list[RunEvent]) -> bool:
        """Whether the session that was to go on is no longer there, and all that was said in it was told anyway."""
        plan = self._asked.plan
        if isinstance(plan, New) or plan.memory is None or self._observed.messages:
            return False
        return any(isinstance(event, RunFailed) and isinstance(event.error, SessionNotFound) for event in events)

    async def _anew(self) -> list[RunEvent]:
        log.warning("a session that is not whole on the disk cannot go on; its history is told to a new one")
        lost = self._asked.plan
        plan = New(replay=self.question.history, memory=lost.memory, claim=lost.claim)
        self._asked = replace(self._asked, plan=plan)
        self._run = await self._begin(plan)
        return []

    def _note_tool(self, event: ToolFinished) -> None:
        self._tools = True
        if event.stored:
            self._files.append((event.tool_use_id, event.stored))

    async def remember(self, text: str) -> None:
        """Keep what makes the conversation go on: to be called once it is complete, before the client learns that.

        `text` is what the client will send back as the assistant's message.
        """
        end, plan = self.end, self._asked.plan
        if not isinstance(end, RunFinished) or not await self._record(end.session_id, end.checkpoint):
            return
        shown = self.transcript == "full" or not self._tools
        await self._runs.conversations.remember(plan, text, end.session_id, end.checkpoint, shown=shown)

    async def put_away(self) -> None:
        """Keep what was said and done in an answer that was cut off: it can be gone on with by the session's id.

        Best effort; to be called when the run has been left. Nothing is kept of a run in which nothing was said.
        """
        end, plan, session_id = self.end, self._asked.plan, self.session_id
        if self.place or not self.question.persist or not session_id:
            return
        if isinstance(plan, Resume) and not plan.fork:
            self.continues = True
            if plan.memory is not None:
                return  # its client tells the history, which says where to go on
        if isinstance(end, RunFinished):  # the client left, or it was refused, before it was remembered
            await self._record(end.session_id, end.checkpoint)
        elif checkpoint := await self._runs.conversations.cut_off(plan, session_id):
            await self._record(session_id, checkpoint)

    async def _record(self, session_id: str, checkpoint: str) -> bool:
        """Whether the session is known to end there now."""
        question, plan, scope = self.question, self._asked.plan, self._asked.scope
        if not question.persist or not checkpoint:
            return False
        self.place = session_id, checkpoint
        turned = Turned(
            session_id=session_id,
            owner=scope.owner,
            workspace=scope.workspace,
            model=self.model,
            checkpoint=checkpoint,
            cost_usd=self.end.cost_usd if self.end else 0.0,
            text=_plain(question),
            system_hash=hashlib.sha256((question.system or "").encode()).hexdigest(),
            parent=None if isinstance(plan, New) or not plan.fork else plan.session_id,
        )
        if not await self._runs.store.record_turn(turned):
            return False
        self.continues = True
        if self._files:
            await self._runs.store.add_tool_results(session_id, self._files)
        return True


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    model: str
    scope: Scope
    plan: Plan


_Begin = Callable[[Plan], Awaitable[Run]]


class Runs:
    """Opens runs. `waiting` is called every `every` seconds while a request waits for its turn."""

    def __init__(
        self,
        *,
        agent: Agent,
        models: Models,
        slots: RunSlots,
        workspaces: Workspaces,
        store: Store,
        conversations: Conversations,
        metrics: Metrics,
        allowed: Allowed,
        fetcher: Fetcher,
    ) -> None:
        self.agent = agent
        self.models = models
        self.slots = slots
        self.store = store
        self.conversations = conversations
        self.stopping = False
        self.on_refused: Callable[[], None] = lambda: None  # told when the sign-in was not accepted
        self.paid_by: Callable[[Billing], Billing] = lambda said: said  # by what the CLI said of it
        self.workspaces = workspaces
        self._metrics = metrics
        self.allowed = allowed
        self._fetcher = fetcher

    async def forget(self, session_id: str) -> None:
        """End the process that is kept for the session's next turn, if there is one."""
        await self.agent.pool.forget(session_id)

    @asynccontextmanager
    async def open(
        self,
        question: Question,
        caller: Caller,
        *,
        api: Api,
        answer_id: str,
        waiting: Waiting,
        every: float,
        checkpoint: str | None = None,
        task: str | None = None,
    ) -> AsyncIterator[Answer]:
        """The run that answers a question; it ends with the block.

        `checkpoint` is the place in `question.session_id` to go on from; None is its end. `task` is what Open WebUI
        says in a header that it wants for itself. Raises what says why the question cannot be asked.
        """
        if self.stopping:
            raise GatewayStopping("The gateway is about to stop and takes no more questions", retry_after=5)
        question = policy.narrow(question, caller.policy, self.models, self.allowed, task=task)
        model = self.models.resolve(question.model)
        name = question.workspace or self.workspaces.default
        scope = Scope(caller.owner, name, question.user)
        planned = self.conversations.plan(question, scope, checkpoint=checkpoint, waiting=waiting, every=every)
        with self._metrics.run(api, id=answer_id) as observed:
            observed.model = model
            async with planned as plan, self.slots.slot(waiting, every):
                observed.admitted()
                if plan.workspace is not None:
                    scope = replace(scope, workspace=_permitted(plan.workspace, caller))
                options = _options(question, model, self.workspaces.resolve(scope.workspace))
                async with AsyncExitStack() as left, AsyncExitStack() as running:

                    async def begin(plan: Plan) -> Run:
                        await running.aclose()
                        turn = await self._fetcher.load(replay(plan.replay, question.turn))
                        return await running.enter_async_context(
                            self.agent.run(RunRequest(turn, options, _resume(plan)))
                        )

                    run = await begin(plan)
                    observed.took(_STARTS[run.start])
                    answer = Answer(self, run, _Asked(question, model, scope, plan), observed, begin)
                    left.push_async_callback(_to_its_end, answer.put_away)  # when `running` has ended the process
                    yield answer


_STARTS: Mapping[str, Start] = {"cold": "cold", "ready": "warm", "kept": "live"}


async def _to_its_end(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """However often the caller is cancelled."""
    await asyncio.shield(asyncio.create_task(work()))


def _options(question: Question, model: str, workspace: Path) -> RunOptions:
    return RunOptions(
        model=model,
        workspace=workspace,
        system=question.system,
        permission_mode=question.permission_mode,
        tools=question.tools,
        denied_tools=question.denied_tools,
        effort=question.effort,
        max_turns=question.max_turns,
        max_budget_usd=question.max_budget_usd,
        max_output_tokens=question.max_output_tokens,
        json_schema=question.json_schema,
        persist=question.persist,
    )


def _resume(plan: Plan) -> agent_options.Resume | None:
    return None if isinstance(plan, New) else agent_options.Resume(plan.session_id, plan.checkpoint, plan.fork)


def _permitted(workspace: str, caller: Caller) -> str:
    """A session brings its workspace with it, which the key need not be good for (any more)."""
    allowed = caller.policy.workspaces
    if allowed is not None and workspace not in allowed:
        raise SessionNotFound("There is no such session", param="session_id")
    return workspace


def _plain(question: Question) -> str:
    turn = question.turn
    return turn if isinstance(turn, str) else "\n".join(str(block["text"]) for block in turn if "text" in block)

"""Clients that know no ids: a history that the gateway made itself is recognised, and its session goes on natively.

(Design notes follow with the implementation.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ccapi.agent.sessionfiles import SessionFiles
from ccapi.gateway.question import Block, Question, Turn
from ccapi.gateway.store import Store


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose histories can be the same one."""

    owner: str
    workspace: str  # its name
    user: str | None = None


@dataclass(frozen=True, slots=True)
class New:
    """A session of its own; what was said before is told as text (`prompt`)."""

    replay: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on in a session: always with `--resume-session-at=checkpoint`, unless a live process stands there.

    `fork`: under a new id, as the session went on from there, or is doing so. `replay` are turns that the session does
    not hold, to be told before the question (`prompt`); mostly none.
    """

    session_id: str
    checkpoint: str
    fork: bool
    workspace: str
    replay: tuple[Turn, ...] = ()


Plan = New | Resume


def prefix_hash(scope: Scope, turns: Sequence[Turn]) -> str:
    """The hash by which a history is known again. What clients do to texts on the way makes no difference."""
    raise NotImplementedError


def prompt(replay: Sequence[Turn], turn: str | Sequence[Block]) -> str | list[Block]:
    """The user message to send: the question, after the turns that Claude does not know yet."""
    raise NotImplementedError


class Conversations:
    """Plans how a question is asked, and keeps two runs from writing to one session."""

    def __init__(self, store: Store, files: SessionFiles) -> None: ...

    def plan(
        self,
        question: Question,
        scope: Scope,
        *,
        checkpoint: str | None = None,
        waiting: Callable[[], Awaitable[None]] | None = None,
        every: float = 10.0,
    ) -> AbstractAsyncContextManager[Plan]:
        """How to ask; the session that a `Resume` without `fork` names is this block's alone.

        Enter it before taking a run slot (never the other way round: that could deadlock). `question.session_id` wins:
        at `checkpoint` if there is one (a response's, with `previous_response_id`), else at the session's end, for which
        it waits while another run uses the session, calling `waiting` every so many seconds. Raises `SessionNotFound`.
        """
        raise NotImplementedError

    async def remember(
        self, question: Question, scope: Scope, text: str, session_id: str, checkpoint: str, *, shown: bool = True
    ) -> bool:
        """The client will tell this question's history, then the question, then `text` as the assistant's message.

        `shown`: whether that text holds everything of the answer (transcript `full`, or an answer without tools).
        Call it after `Store.record_turn`.
        """
        raise NotImplementedError

    def in_use(self, session_id: str) -> bool:
        """Whether a run goes on in it."""
        raise NotImplementedError

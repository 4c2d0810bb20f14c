"""Which session a request goes on in: a real store, transcripts on the disk as the CLI writes them, no process."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.agent.sessionfiles import SessionFiles
from ccapi.errors import Busy, InvalidRequest, SessionNotFound, StoreFailed
from ccapi.gateway.conversations import Conversations, New, Plan, Resume, Scope, prefix_hash
from ccapi.gateway.question import Question, Turn
from ccapi.gateway.store import Store, Turned

SCOPE = Scope("ann", "default")
IMAGE: dict[str, Any] = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


def told(*texts: str) -> tuple[Turn, ...]:
    """What a user and the assistant said in turn."""
    return tuple(Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts))


def asks(*texts: str, **fields: Any) -> Question:
    """The last of the texts is asked, after the others."""
    *earlier, question = texts
    return Question(model="sonnet", **{"turn": question, "history": told(*earlier), **fields})


@dataclass
class Desk:
    """What the gateway does around a run, with a CLI that writes transcripts and nothing else."""

    store: Store
    config: Path
    conversations: Conversations

    def transcript(self, session_id: str) -> Path:
        return self.config / "projects" / "-workspace" / f"{session_id}.jsonl"

    def append(self, session_id: str, *entries: tuple[str, str | None]) -> None:
        """Entries and the ones before them."""
        with self.transcript(session_id).open("a") as file:
            for entry, before in entries:
                file.write(json.dumps({"parentUuid": before, "type": "assistant", "uuid": entry}) + "\n")

    async def answer(self, plan: Plan, text: str, scope: Scope = SCOPE, *, shown: bool = True) -> tuple[str, str]:
        """A run that answers: the session it was in, and the checkpoint at which it ended."""
        asked, answered = str(uuid.uuid4()), str(uuid.uuid4())
        before, session_id = None, str(uuid.uuid4())
        if isinstance(plan, Resume):
            before = plan.checkpoint
            if plan.fork:
                self.transcript(session_id).write_bytes(self.transcript(plan.session_id).read_bytes())
            else:
                session_id = plan.session_id
        self.append(session_id, (asked, before), (answered, asked))
        parent = plan.session_id if isinstance(plan, Resume) and plan.fork else None
        turned = {"owner": scope.owner, "workspace": scope.workspace, "model": "sonnet", "parent": parent}
        assert await self.store.record_turn(Turned(session_id=session_id, checkpoint=answered, **turned))  # type: ignore[arg-type]
        await self.conversations.remember(plan, text, session_id, answered, shown=shown)
        return session_id, answered

    @asynccontextmanager
    async def asking(self, question: Question, scope: Scope = SCOPE, **options: Any) -> AsyncIterator[Plan]:
        async with self.conversations.plan(question, scope, **options) as plan:
            yield plan

    async def plan(self, question: Question, scope: Scope = SCOPE, **options: Any) -> Plan:
        """What would be done."""
        async with self.conversations.plan(question, scope, **options) as plan:
            return plan

    async def turn(self, question: Question, text: str, scope: Scope = SCOPE, *, shown: bool = True) -> tuple[str, str]:
        async with self.conversations.plan(question, scope) as plan:
            return await self.answer(plan, text, scope, shown=shown)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    config = tmp_path / "config"
    (config / "projects" / "-workspace").mkdir(parents=True)
    store = Store(tmp_path / "data")
    await store.open()
    yield Desk(store, config, Conversations(store, SessionFiles(config)))
    await store.close()


def resumed(plan: Plan) -> tuple[str, str, bool]:
    assert isinstance(plan, Resume), plan
    return plan.session_id, plan.checkpoint, plan.fork


# --- recognised by its history


async def test_a_conversation_goes_on_in_its_session(desk: Desk) -> None:
    """Three turns of a client that tells everything each time: one session, and only the new turn is sent."""
    one = await desk.plan(asks("u1"))
    assert isinstance(one, New)
    assert one.replay == ()
    session, first = await desk.turn(asks("u1"), "a1")
    two = await desk.plan(asks("u1", "a1", "u2"))
    assert resumed(two) == (session, first, False)
    assert two.replay == ()
    assert (await desk.turn(asks("u1", "a1", "u2"), "a2"))[0] == session
    third = await desk.turn(asks("u1", "a1", "u2", "a2", "u3"), "a3")
    assert third[0] == session
    found = await desk.store.session(session, "ann")
    assert found is not None
    assert found.turns == 3


async def test_a_regenerated_answer_is_a_fork(desk: Desk) -> None:
    """The session went on, so the same question again leaves from where it was asked; both versions can go on."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.turn(asks("u1", "a1", "u2"), "a2")
    again = asks("u1", "a1", "u2")
    assert resumed(await desk.plan(again)) == (session, first, True)
    fork, forked = await desk.turn(again, "other a2")
    assert fork != session
    assert resumed(await desk.plan(asks("u1", "a1", "u2", "other a2", "u3"))) == (fork, forked, False)
    assert resumed(await desk.plan(asks("u1", "a1", "u2", "a2", "u3")))[::2] == (session, False)
    parents = [await desk.store.session(one, "ann") for one in (session, fork)]
    assert [one.root for one in parents if one] == [session, session]


async def test_an_edited_question_is_a_fork_where_it_was_asked(desk: Desk) -> None:
    """All that was said before it stays native; what came after the edited question is gone."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.turn(asks("u1", "a1", "u2"), "a2")
    await desk.turn(asks("u1", "a1", "u2", "a2", "u3"), "a3")
    plan = await desk.plan(asks("u1", "a1", "u2, edited"))
    assert resumed(plan) == (session, first, True)
    assert plan.replay == ()


async def test_the_first_question_edited_begins_anew(desk: Desk) -> None:
    """Nothing was said before it."""
    await desk.turn(asks("u1"), "a1")
    plan = await desk.plan(asks("u1, edited"))
    assert isinstance(plan, New)
    assert plan.replay == ()


async def test_what_is_not_known_is_told_after_what_is(desk: Desk) -> None:
    """An answer that was stopped, edited, or came from another model: the session up to there, and the rest as text."""
    session, first = await desk.turn(asks("u1"), "a1")
    question = asks("u1", "a1", "u2", "a2, sto", "u3")
    plan = await desk.plan(question)
    assert resumed(plan) == (session, first, False)
    assert plan.replay == told("u2", "a2, sto")
    await desk.turn(question, "a3")
    after = await desk.plan(asks("u1", "a1", "u2", "a2, sto", "u3", "a3", "u4"))
    assert resumed(after)[::2] == (session, False)
    assert after.replay == ()


async def test_a_question_that_got_no_answer_is_told_with_the_next(desk: Desk) -> None:
    """The run failed; the client leaves its question in the history."""
    session, first = await desk.turn(asks("u1"), "a1")
    history = (*told("u1", "a1"), Turn("user", "u2, which failed"))
    plan = await desk.plan(asks("u3", history=history))
    assert resumed(plan) == (session, first, False)
    assert plan.replay == history[2:]


async def test_an_answer_that_was_cut_off_is_left_out(desk: Desk) -> None:
    """It stands in the transcript, but the session goes on after the last answer that was complete."""
    session, first = await desk.turn(asks("u1"), "a1")
    desk.append(session, ("u2", first), ("half of a2", "u2"))
    assert resumed(await desk.plan(asks("u1", "a1", "u2"))) == (session, first, False)


async def test_an_unknown_history_is_told_and_then_known(desk: Desk) -> None:
    """Such as one that began with another provider."""
    question = asks("u1", "a1", "u2")
    plan = await desk.plan(question)
    assert isinstance(plan, New)
    assert plan.replay == told("u1", "a1")
    session, second = await desk.turn(question, "a2")
    assert resumed(await desk.plan(asks("u1", "a1", "u2", "a2", "u3"))) == (session, second, False)


async def test_a_new_system_message_goes_on_with_the_session(desk: Desk) -> None:
    """Clients put the date, or a memory, into it: that makes no other conversation of it."""
    session, _ = await desk.turn(asks("u1", system="It is Monday."), "a1")
    assert resumed(await desk.plan(asks("u1", "a1", "u2", system="It is Tuesday.")))[::2] == (session, False)


@pytest.mark.parametrize("other", [Scope("ben", "default"), Scope("ann", "second"), Scope("ann", "default", "u-7")])
async def test_a_history_is_known_to_its_owner_workspace_and_user_only(desk: Desk, other: Scope) -> None:
    """The same words of somebody else, or elsewhere, are told as text."""
    await desk.turn(asks("u1"), "a1")
    assert isinstance(await desk.plan(asks("u1", "a1", "u2"), other), New)


async def test_attachments_are_part_of_the_history(desk: Desk) -> None:
    """The same words about another image are another conversation."""
    await desk.turn(asks("what is this?", turn=[{"type": "text", "text": "what is this?"}, IMAGE]), "a1")
    other = {**IMAGE, "source": {**IMAGE["source"], "data": "R0lGODlhAQ=="}}
    for image, known in ((IMAGE, True), (other, False)):
        history = (Turn("user", "what is this?", (image,)), Turn("assistant", "a1"))
        plan = await desk.plan(asks("u2", history=history))
        assert isinstance(plan, Resume) is known
    assert isinstance(await desk.plan(asks("what is this?", "a1", "u2")), New)


async def test_after_a_restart_it_still_goes_on(desk: Desk, tmp_path: Path) -> None:
    """The index is on the volume."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.store.close()
    store = Store(tmp_path / "data")
    await store.open()
    again = Conversations(store, SessionFiles(desk.config))
    async with again.plan(asks("u1", "a1", "u2"), SCOPE) as plan:
        assert resumed(plan) == (session, first, False)
    await store.close()


# --- what is on the disk


async def test_a_session_whose_file_is_gone_is_told(desk: Desk) -> None:
    """The CLI deletes what is old. The conversation goes on in another session."""
    session, _ = await desk.turn(asks("u1"), "a1")
    desk.transcript(session).unlink()
    plan = await desk.plan(asks("u1", "a1", "u2"))
    assert isinstance(plan, New)
    assert plan.replay == told("u1", "a1")
    other, second = await desk.turn(asks("u1", "a1", "u2"), "a2")
    assert resumed(await desk.plan(asks("u1", "a1", "u2", "a2", "u3"))) == (other, second, False)


async def test_a_session_with_a_hole_is_used_up_to_it(desk: Desk) -> None:
    """A full disk loses entries in the middle, and the CLI would go on from what is left without a word."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.turn(asks("u1", "a1", "u2"), "a2")
    whole = desk.transcript(session).read_text().splitlines(keepends=True)
    desk.transcript(session).write_text("".join([*whole[:2], *whole[3:]]))  # without the second question
    plan = await desk.plan(asks("u1", "a1", "u2", "a2", "u3"))
    assert resumed(plan) == (session, first, True)
    assert plan.replay == told("u2", "a2")


async def test_a_torn_last_line_is_no_hole(desk: Desk) -> None:
    """The CLI was killed while it wrote."""
    session, first = await desk.turn(asks("u1"), "a1")
    with desk.transcript(session).open("a") as file:
        file.write('{"parentUuid": "')
    assert resumed(await desk.plan(asks("u1", "a1", "u2"))) == (session, first, False)


async def test_a_kept_process_needs_no_file(desk: Desk) -> None:
    """It has the conversation in its memory, even if the disk was too full to write it down."""
    kept: set[tuple[str, str]] = set()
    desk.conversations = Conversations(desk.store, SessionFiles(desk.config), lambda *place: place in kept)
    kept.add(await desk.turn(asks("u1"), "a1"))
    [(session, first)] = kept
    desk.transcript(session).unlink()
    assert resumed(await desk.plan(asks("u1", "a1", "u2"))) == (session, first, False)
    kept.clear()
    assert isinstance(await desk.plan(asks("u1", "a1", "u2")), New)


async def test_without_a_store_the_history_is_told(desk: Desk) -> None:
    """A broken volume costs the native conversation, not the answer; an id cannot be looked up, and that is said."""
    session, _ = await desk.turn(asks("u1"), "a1")
    await desk.store.close()
    plan = await desk.plan(asks("u1", "a1", "u2"))
    assert isinstance(plan, New)
    assert plan.replay == told("u1", "a1")
    with pytest.raises(StoreFailed):
        await desk.plan(asks("u2", session_id=session))


# --- named by the client


async def test_a_named_session_goes_on_at_its_end(desk: Desk) -> None:
    """Whatever else the client tells, only what was said after the last answer is new."""
    session, _ = await desk.turn(asks("u1"), "a1")
    _, second = await desk.turn(asks("u1", "a1", "u2"), "a2")
    assert resumed(await desk.plan(asks("u3", session_id=session))) == (session, second, False)
    history = (*told("what", "ever"), Turn("user", "u3"))
    plan = await desk.plan(asks("u4", history=history, session_id=session))
    assert resumed(plan) == (session, second, False)
    assert plan.replay == (Turn("user", "u3"),)


async def test_a_named_session_goes_on_where_the_history_says(desk: Desk) -> None:
    """A client that keeps the id and edits: the history names the place, also in a fork of the session."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.turn(asks("u1", "a1", "u2"), "a2")
    fork, forked = await desk.turn(asks("u1", "a1", "u2", session_id=session), "other a2")
    assert fork != session
    assert resumed(await desk.plan(asks("u1", "a1", "u2", session_id=session))) == (session, first, True)
    plan = await desk.plan(asks("u1", "a1", "u2", "other a2", "u3", session_id=session))
    assert resumed(plan) == (fork, forked, False)


async def test_a_name_keeps_equal_conversations_apart(desk: Desk) -> None:
    """Of two sessions with the same history, the one that was named, although the other is newer."""
    session, first = await desk.turn(asks("hi"), "Hello!")
    other, _ = await desk.turn(asks("hi"), "Hello!")
    assert resumed(await desk.plan(asks("hi", "Hello!", "u2", session_id=session))) == (session, first, False)
    assert resumed(await desk.plan(asks("hi", "Hello!", "u2", session_id=other)))[::2] == (other, False)


async def test_a_named_session_is_not_left_for_one_that_fits_better(desk: Desk) -> None:
    """The history is known, but in a session that has nothing to do with the one that was named."""
    session, first = await desk.turn(asks("u1"), "a1")
    await desk.turn(asks("other"), "answer")
    plan = await desk.plan(asks("other", "answer", "u2", session_id=session))
    assert resumed(plan) == (session, first, False)
    assert plan.replay == ()


@pytest.mark.parametrize("name", [str(uuid.uuid4()), "", "../../etc/passwd", "not a uuid", "*"])
async def test_an_unknown_session_is_not_found(desk: Desk, name: str) -> None:
    """With a history as well: a client that names a session wants that one."""
    await desk.turn(asks("u1"), "a1")
    for question in (asks("u2", session_id=name), asks("u1", "a1", "u2", session_id=name)):
        with pytest.raises(SessionNotFound):
            await desk.plan(question)


async def test_another_owners_session_is_not_found(desk: Desk) -> None:
    """It says the same as for one that does not exist."""
    session, first = await desk.turn(asks("u1"), "a1")
    ben = Scope("ben", "default")
    with pytest.raises(SessionNotFound) as foreign:
        await desk.plan(asks("u2", session_id=session), ben)
    with pytest.raises(SessionNotFound) as unknown:
        await desk.plan(asks("u2", session_id=str(uuid.uuid4())), ben)
    assert foreign.value.message == unknown.value.message
    with pytest.raises(SessionNotFound):
        await desk.plan(asks("u2", session_id=session), ben, checkpoint=first)


async def test_a_session_stays_in_its_workspace(desk: Desk) -> None:
    """Naming another one is a mistake; naming none is not."""
    session, _ = await desk.turn(asks("u1"), "a1", Scope("ann", "second"))
    with pytest.raises(InvalidRequest):
        await desk.plan(asks("u2", session_id=session, workspace="default"))
    plan = await desk.plan(asks("u2", session_id=session))
    assert isinstance(plan, Resume)
    assert plan.workspace == "second"


async def test_a_named_session_that_is_gone_is_told_only_if_the_client_can_tell_it(desk: Desk) -> None:
    """Without its history there is nothing to go on from, and to begin anew would be a lie."""
    session, first = await desk.turn(asks("u1"), "a1")
    desk.transcript(session).unlink()
    with pytest.raises(SessionNotFound):
        await desk.plan(asks("u2", session_id=session))
    with pytest.raises(SessionNotFound):
        await desk.plan(asks("u2", session_id=session), checkpoint=first)
    plan = await desk.plan(asks("u1", "a1", "u2", session_id=session))
    assert isinstance(plan, New)
    assert plan.replay == told("u1", "a1")


async def test_after_a_response_all_that_is_told_is_new(desk: Desk) -> None:
    """`previous_response_id`: at the session's end it goes on, before it is forked."""
    session, first = await desk.turn(asks("u1"), "a1")
    _, second = await desk.turn(asks("u1", "a1", "u2"), "a2")
    question = asks("new", "newer", "newest", session_id=session)
    at_end = await desk.plan(question, checkpoint=second)
    before = await desk.plan(question, checkpoint=first)
    assert resumed(at_end) == (session, second, False)
    assert resumed(before) == (session, first, True)
    assert at_end.replay == before.replay == told("new", "newer")


async def test_what_a_named_session_hides_is_no_others_beginning(desk: Desk) -> None:
    """A client that tells only its new turn: somebody who says the same at the beginning does not get that session."""
    session, _ = await desk.turn(asks("secret"), "a1")
    await desk.turn(asks("hi", session_id=session), "Hello!")
    assert isinstance(await desk.plan(asks("hi", "Hello!", "what did I say?")), New)


# --- several at once


async def test_two_at_once_do_not_share_a_session(desk: Desk) -> None:
    """The first goes on in it, the second in a fork, and neither waits."""
    session, first = await desk.turn(asks("u1"), "a1")
    async with desk.asking(asks("u1", "a1", "u2")) as one, desk.asking(asks("u1", "a1", "other u2")) as two:
        assert resumed(one) == (session, first, False)
        assert resumed(two) == (session, first, True)
        async with desk.asking(asks("u1", "a1", "named", session_id=session)) as three:
            assert resumed(three) == (session, first, True)
        async with desk.asking(asks("after", session_id=session), checkpoint=first) as four:
            assert resumed(four) == (session, first, True)
    assert resumed(await desk.plan(asks("u1", "a1", "u2"))) == (session, first, False)
    async with desk.asking(asks("named", session_id=session)) as one, desk.asking(asks("u1", "a1", "u2")) as two:
        assert resumed(one) == (session, first, False)
        assert resumed(two) == (session, first, True)


@pytest.mark.parametrize("resume", [False, True], ids=["in a new session", "in a known one"])
async def test_the_next_turn_waits_until_the_answer_was_put_away(desk: Desk, *, resume: bool) -> None:
    """A quick client has the whole answer before the process is back in its place: that is no reason for a fork."""
    texts = ["u1"]
    if resume:
        await desk.turn(asks("u1"), "a1")
        texts = ["u1", "a1", "u2"]
    plans: list[Plan] = []

    async def next_turn(text: str) -> None:
        async with desk.asking(asks(*texts, "answer", text)) as plan:
            plans.append(plan)
            await asyncio.sleep(0.05)

    async with desk.asking(asks(*texts)) as plan:
        place = await desk.answer(plan, "answer")
        waiting = [asyncio.create_task(next_turn(text)) for text in ("u3", "another u3")]
        await asyncio.sleep(0.2)
        assert plans == []
    await asyncio.gather(*waiting)
    assert sorted(resumed(one) for one in plans) == [(*place, False), (*place, True)]


async def test_a_named_session_is_waited_for(desk: Desk) -> None:
    """One turn after the other, in the order in which they came; each goes on from the one before it."""
    session, _ = await desk.turn(asks("u1"), "a1")
    calls, order, places = 0, [], []

    async def waiting() -> None:
        nonlocal calls
        calls += 1

    async def ask(text: str) -> None:
        async with desk.asking(asks(text, session_id=session), waiting=waiting, every=0.02) as plan:
            order.append(text)
            places.append(resumed(plan))
            await asyncio.sleep(0.05)
            await desk.answer(plan, "answer")

    await asyncio.gather(*(ask(f"u{number}") for number in range(2, 7)))
    assert order == ["u2", "u3", "u4", "u5", "u6"]
    assert len({checkpoint for _, checkpoint, _ in places}) == 5
    assert all(place[::2] == (session, False) for place in places)
    assert calls >= 4
    assert not desk.conversations.in_use(session)


async def test_a_session_that_has_no_answer_yet_is_waited_for(desk: Desk) -> None:
    """By its owner, who may have its name already; for anybody else there is no such session."""
    async with desk.asking(asks("u1")) as plan:
        session = str(uuid.uuid4())
        desk.conversations.begun(plan, session, SCOPE.owner)
        next_turn = asyncio.create_task(desk.plan(asks("u2", session_id=session)))
        with pytest.raises(SessionNotFound):
            await desk.plan(asks("u2", session_id=session), Scope("other", SCOPE.workspace))
        await asyncio.sleep(0.02)
        assert not next_turn.done()
        asked, answered = str(uuid.uuid4()), str(uuid.uuid4())
        desk.append(session, (asked, None), (answered, asked))
        turned = Turned(session_id=session, owner=SCOPE.owner, workspace=SCOPE.workspace, model="s", checkpoint=asked)
        assert await desk.store.record_turn(turned)
    assert resumed(await next_turn) == (session, asked, False)
    assert not desk.conversations.in_use(session)


async def test_a_session_that_never_got_an_answer_is_not_found(desk: Desk) -> None:
    """Whoever waited for it is told."""
    session = str(uuid.uuid4())
    async with desk.asking(asks("u1")) as plan:
        desk.conversations.begun(plan, session, SCOPE.owner)
        waiting = [asyncio.create_task(desk.plan(asks("u2", session_id=session))) for _ in range(3)]
        await asyncio.sleep(0.02)
    for one in waiting:
        with pytest.raises(SessionNotFound):
            await one
    assert not desk.conversations.in_use(session)


async def test_one_who_stops_waiting_makes_room(desk: Desk) -> None:
    """A client that leaves while it waits, or at the very moment it is let in, holds up nobody."""
    session, _ = await desk.turn(asks("u1"), "a1")

    async def ask() -> str:
        async with desk.asking(asks("u2", session_id=session)):
            return "asked"

    for moments in range(6):
        async with desk.asking(asks("u2", session_id=session)):
            leaves, stays = asyncio.create_task(ask()), asyncio.create_task(ask())
            await asyncio.sleep(0.02)
        for _ in range(moments):
            await asyncio.sleep(0)
        leaves.cancel()
        async with asyncio.timeout(5):
            assert await stays == "asked"
        await asyncio.gather(leaves, return_exceptions=True)
        assert not desk.conversations.in_use(session)


async def test_a_failure_while_waiting_gives_the_place_back(desk: Desk) -> None:
    """A client is noticed to be gone when it is told that it waits."""
    session, _ = await desk.turn(asks("u1"), "a1")

    async def gone() -> None:
        raise ConnectionResetError

    async with desk.asking(asks("u2", session_id=session)):
        with pytest.raises(ConnectionResetError):
            await desk.plan(asks("u3", session_id=session), waiting=gone, every=0.01)
    assert await desk.plan(asks("u4", session_id=session))


async def test_only_so_many_wait_for_one_session(desk: Desk) -> None:
    """The rest are told to come back."""
    session, _ = await desk.turn(asks("u1"), "a1")
    async with desk.asking(asks("u2", session_id=session)):
        crowd = [asyncio.create_task(desk.plan(asks("u3", session_id=session))) for _ in range(65)]
        done, _ = await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        [refused] = done
        assert isinstance(refused.exception(), Busy)
    plans = await asyncio.gather(*(one for one in crowd if one is not refused))
    assert len(plans) == 64


async def test_a_session_that_is_deleted_is_claimed_first(desk: Desk) -> None:
    """Not while a run uses it; and none begins to while it is being deleted."""
    session, first = await desk.turn(asks("u1"), "a1")
    async with desk.asking(asks("u1", "a1", "u2")):
        with desk.conversations.claimed(session) as free:
            assert not free
        assert desk.conversations.in_use(session)
    with desk.conversations.claimed(session) as free:
        assert free
        asking = asyncio.create_task(desk.plan(asks("u1", "a1", "u2")))
        await asyncio.sleep(0.05)
        assert not asking.done()
        await desk.store.delete_session(session, "ann")
    assert isinstance(await asking, New)
    assert first


async def test_what_is_not_kept_leaves_the_session_alone(desk: Desk) -> None:
    """A question beside the conversation: it is a fork that nobody has to wait for."""
    session, first = await desk.turn(asks("u1"), "a1")
    async with desk.asking(asks("u1", "a1", "beside", persist=False)) as beside:
        assert resumed(beside) == (session, first, True)
        assert not desk.conversations.in_use(session)


# --- equal histories of different people


async def test_equal_beginnings_become_separate_conversations(desk: Desk) -> None:
    """Two clients that share a key both say hi. Each goes on in a session of its own, whoever is first."""
    await desk.turn(asks("hi"), "Hello!")
    await desk.turn(asks("hi"), "Hello!")
    one, _ = await desk.turn(asks("hi", "Hello!", "I am Ann"), "Hi Ann")
    two, _ = await desk.turn(asks("hi", "Hello!", "I am Ben"), "Hi Ben")
    three, _ = await desk.turn(asks("hi", "Hello!", "I am Cleo"), "Hi Cleo")
    assert len({one, two, three}) == 3
    for session, name in ((one, "Ann"), (two, "Ben"), (three, "Cleo")):
        plan = await desk.plan(asks("hi", "Hello!", f"I am {name}", f"Hi {name}", "Who am I?"))
        assert resumed(plan)[::2] == (session, False)


async def test_what_was_hidden_from_a_client_is_never_another_ones(desk: Desk) -> None:
    """Both were told "Done.", and not what was done: the sessions differ in what nobody can see, so none is used."""
    session, _ = await desk.turn(asks("do it"), "Done.", shown=False)
    assert resumed(await desk.plan(asks("do it", "Done.", "what?")))[0] == session
    await desk.turn(asks("do it"), "Done.", shown=False)
    plan = await desk.plan(asks("do it", "Done.", "what?"))
    assert isinstance(plan, New)
    assert plan.replay == told("do it", "Done.")


async def test_what_is_hidden_stays_hidden_in_later_turns(desk: Desk) -> None:
    """A last answer that is shown whole does not show what came before."""
    for _ in range(2):
        async with desk.asking(asks("do it", user="same")) as plan:
            await desk.answer(plan, "Done.", shown=False)
    for number in range(2):
        async with desk.asking(asks("do it", "Done.", "thanks", session_id=await newest(desk, number))) as plan:
            await desk.answer(plan, "You are welcome.")
    assert isinstance(await desk.plan(asks("do it", "Done.", "thanks", "You are welcome.", "what?")), New)


async def newest(desk: Desk, number: int) -> str:
    sessions = await desk.store.sessions("ann")
    return sorted(session.id for session in sessions)[number]


async def test_what_was_hidden_does_not_part_a_session_from_its_forks(desk: Desk) -> None:
    """A regenerated answer that reads the same is of the same origin: its beginning is the client's own."""
    await desk.turn(asks("u1"), "a1", shown=False)
    await desk.turn(asks("u1", "a1", "u2"), "Done.", shown=False)
    await desk.turn(asks("u1", "a1", "u2"), "Done.", shown=False)
    assert isinstance(await desk.plan(asks("u1", "a1", "u2", "Done.", "u3")), Resume)


# --- what clients make of a text


@pytest.mark.parametrize(
    "changed",
    [
        "One.\n\nTwo.",
        "  One.\r\n\r\nTwo.\n\n",
        "One.  \n\nTwo.\t",
        "One.\nTwo.",
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> Hm.\n</details>\nOne.\n\nTwo.',
        'One.\n\n<details done="true" type="code_interpreter">\nx\n</details>\n\nTwo.',
        "<think>\nHm.\n</think>\n\nOne.\n\nTwo.",
    ],
)
def test_an_answer_is_known_again_whatever_clients_do_to_it(changed: str) -> None:
    """Open WebUI folds reasoning into the text or leaves blank lines where it was, n8n trims, others turn line ends."""
    expected = prefix_hash(SCOPE, told("u1", "One.\n\nTwo."))
    assert prefix_hash(SCOPE, told("u1", changed)) == expected


@pytest.mark.parametrize(
    "other",
    [
        told("u1", "One.\n\nThree."),
        told("u1", "One.\n\nTwo.", "u2"),
        told("u1\n\nx", "One.\n\nTwo."),
        told("One.\n\nTwo.", "u1"),
        (Turn("user", "u1\n\nOne.\n\nTwo."),),
        (*told("u1"), Turn("tool", "One.\n\nTwo.")),
        (Turn("user", "u1", (IMAGE,)), Turn("assistant", "One.\n\nTwo.")),
        told('u1<details type="reasoning">x</details>', "One.\n\nTwo."),
        told("u1", '<details type="other">x</details>One.\n\nTwo.'),
        told("u1", '<details type="reasoning">One.\n\nTwo.'),
        (),
    ],
)
def test_another_history_has_another_hash(other: Sequence[Turn]) -> None:
    """Who said what, in which order, with which attachments."""
    assert prefix_hash(SCOPE, other) != prefix_hash(SCOPE, told("u1", "One.\n\nTwo."))


def test_the_white_space_of_a_question_counts() -> None:
    """It may be Python that was indented anew. At the ends of lines, it says nothing."""
    one, other = told("if x:\n  y\n\n  z", "a"), told("if x:\n  y\n\nz", "a")
    assert prefix_hash(SCOPE, one) != prefix_hash(SCOPE, other)
    assert prefix_hash(SCOPE, told("\nif x: \r\n  y\n\n  z\n", "a")) == prefix_hash(SCOPE, one)


def test_texts_of_one_speaker_count_as_one() -> None:
    """The Responses API tells each stretch of an answer apart; other clients join them."""
    apart = (Turn("user", "u1"), Turn("user", "u2"), Turn("assistant", "One."), Turn("assistant", "Two."))
    assert prefix_hash(SCOPE, apart) == prefix_hash(SCOPE, told("u1\n\nu2", "One.\n\nTwo."))


ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), ANYTHING)), ANYTHING)
def test_any_text_has_a_hash_that_trimming_does_not_change(said: list[tuple[Any, str]], user: str) -> None:
    """Halves of surrogate pairs, control characters, tags that are not closed."""
    scope = replace(SCOPE, user=user)
    turns = [Turn(role, text) for role, text in said]
    trimmed = [Turn(role, f"\n {text} \r\n") for role, text in said]
    assert prefix_hash(scope, turns) == prefix_hash(scope, trimmed)


@pytest.mark.parametrize(
    "piece",
    ["<details", "<details ", '<details type="reasoning">', "<details><", "<think>", " ", "\n", "\r", "</details>"],
)
def test_no_text_takes_long(piece: str) -> None:
    """Five megabytes of whatever would make a regular expression look back and forth."""
    began = time.monotonic()
    prefix_hash(SCOPE, told("u1", piece * (5_000_000 // len(piece))))
    assert time.monotonic() - began < 5

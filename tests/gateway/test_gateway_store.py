"""The gateway's store: real SQLite files, and what may happen to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ccapi.errors import InvalidRequest, StoreFailed
from ccapi.gateway.store import FILE, Conversation, Place, Store, StoredResponse, Turned

ANN, BEN = "ann", "ben"
DAY = 86_400.0


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[Store]:
    store = Store(directory, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path / "data") as made:
        yield made


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of one megabyte. Where nothing may be mounted, the test is skipped, but never in CI."""
    place = tmp_path / "volume"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False)
    if mount.returncode:
        reason = f"cannot mount a tmpfs here: {mount.stderr.decode().strip()}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def turned(session_id: str = "s1", owner: str = ANN, checkpoint: str = "c1", **fields: Any) -> Turned:
    values = {"workspace": "default", "model": "sonnet", "text": "hello", **fields}
    return Turned(session_id=session_id, owner=owner, checkpoint=checkpoint, **values)


def answered(response_id: str = "resp_1", owner: str = ANN, **fields: Any) -> StoredResponse:
    values = {"status": "completed", "document": {"id": response_id, "output": ["ü"]}, **fields}
    return StoredResponse(id=response_id, owner=owner, **values)


def fill(volume: Path) -> Path:
    """Take all that is left of a volume; delete the file to give it back."""
    ballast = volume / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return ballast


def aside(directory: Path) -> list[Path]:
    """The files that were moved aside."""
    return list(directory.glob(f"{FILE}.broken-*Z"))


def works(store: Store) -> bool:
    return store.problem is None


def remount(volume: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", volume], check=True)


def raw(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / FILE, isolation_level=None)


# --- what is kept


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Sessions, histories, tool results, responses and conversations are there again when the file is opened anew."""
    async with opened(tmp_path) as store:
        assert await store.record_turn(turned(cost_usd=0.25))
        assert await store.remember(ANN, "hash", "s1", "c1")
        assert await store.add_tool_results("s1", [("toolu_1", "/kept/b1.txt")])
        response = answered(session_id="s1", checkpoint="c1", input_items=[{"type": "message"}], created=12.5)
        await store.save_response(response)
        conversation = await store.create_conversation(ANN, {"topic": "x"})
        assert await store.set_conversation_session(conversation.id, ANN, "s1")
    async with opened(tmp_path) as store:
        session = await store.session("s1", ANN)
        assert session is not None
        assert (session.head, session.title, session.turns, session.cost_usd) == ("c1", "hello", 1, 0.25)
        assert await store.recall(ANN, ["hash"]) == {"hash": [Place("s1", "c1", "c1", "default", "s1", shown=True)]}
        assert await store.tool_result("s1", ANN, "toolu_1") == "/kept/b1.txt"
        assert await store.response("resp_1", ANN) == response
        kept = await store.conversation(conversation.id, ANN)
        assert kept == Conversation(
            id=conversation.id, owner=ANN, session_id="s1", metadata={"topic": "x"}, created=conversation.created
        )


async def test_another_owner_sees_and_changes_nothing(store: Store) -> None:
    """What belongs to one key is for another as if it were not there, whichever way it asks."""
    await store.record_turn(turned())
    await store.remember(ANN, "hash", "s1", "c1")
    await store.add_tool_results("s1", [("toolu_1", "/kept/b1.txt")])
    await store.save_response(answered(session_id="s1"))
    conversation = await store.create_conversation(ANN)

    assert await store.session("s1", BEN) is None
    assert await store.sessions(BEN) == []
    assert await store.sessions(BEN, after="s1") == []
    assert await store.recall(BEN, ["hash"]) == {}
    assert await store.tool_result("s1", BEN, "toolu_1") is None
    assert await store.response("resp_1", BEN) is None
    assert await store.conversation(conversation.id, BEN) is None
    assert not await store.record_turn(turned(owner=BEN, checkpoint="stolen"))
    assert not await store.delete_session("s1", BEN)
    assert not await store.delete_response("resp_1", BEN)
    assert not await store.set_conversation_session(conversation.id, BEN, "s1")
    assert not await store.set_conversation_metadata(conversation.id, BEN, {"a": "b"})
    assert not await store.delete_conversation(conversation.id, BEN)
    await store.save_response(answered(owner=BEN, document={"stolen": True}))
    await store.remember(BEN, "hash", "s1", "c1")
    assert await store.recall(BEN, ["hash"]) == {}  # the session is not Ben's

    session, response = await store.session("s1", ANN), await store.response("resp_1", ANN)
    assert session is not None
    assert session.head == "c1"
    assert response is not None
    assert response.document == answered().document
    assert await store.conversation(conversation.id, ANN) == conversation


async def test_a_turn_moves_the_sessions_head(store: Store) -> None:
    """Later turns add up, under the title of the first."""
    await store.record_turn(turned(checkpoint="c1", cost_usd=0.1, text="  first\n thing " + "x" * 100))
    await store.record_turn(turned(checkpoint="c2", cost_usd=0.2, text="second", model="opus", system_hash="h"))
    session = await store.session("s1", ANN)
    assert session is not None
    assert (session.head, session.turns, session.model, session.system_hash) == ("c2", 2, "opus", "h")
    assert session.cost_usd == pytest.approx(0.3)
    assert session.title == "first thing " + "x" * 68
    assert session.created < session.updated


async def test_a_fork_knows_where_it_comes_from(store: Store) -> None:
    """It has its parent's title and root, and so has a fork of it; a parent of another owner counts for nothing."""
    await store.record_turn(turned("s1", text="title"))
    await store.record_turn(turned("s2", parent="s1", text="other"))
    await store.record_turn(turned("s3", parent="s2", text="other"))
    await store.record_turn(turned("s4", owner=BEN, parent="s1", text="other"))
    found = [await store.session("s2", ANN), await store.session("s3", ANN), await store.session("s4", BEN)]
    assert [(one.root, one.title) for one in found if one] == [("s1", "title"), ("s1", "title"), ("s4", "other")]


async def test_sessions_are_listed_in_pages_with_the_last_used_first(store: Store) -> None:
    """`after` goes on where the page before ended."""
    for name in "abcde":
        await store.record_turn(turned(name))
    await store.record_turn(turned("b", checkpoint="c2"))
    assert [one.id for one in await store.sessions(ANN, limit=3)] == ["b", "e", "d"]
    assert [one.id for one in await store.sessions(ANN, limit=3, after="d")] == ["c", "a"]
    assert await store.sessions(ANN, after="a") == []
    assert await store.sessions(ANN, after="unknown") == []


async def test_a_history_stands_for_the_latest_sessions_only(store: Store) -> None:
    """A greeting that a probe sends all day does not fill the store; the latest of equal histories comes first."""
    for number in range(30):
        await store.record_turn(turned(f"s{number}"))
        await store.remember(ANN, "hello", f"s{number}", "c1", shown=number % 2 == 0)
    places = (await store.recall(ANN, ["other", "hello"]))["hello"]
    assert [place.session_id for place in places] == [f"s{number}" for number in range(29, 21, -1)]
    assert [place.shown for place in places[:2]] == [False, True]


async def test_a_long_history_is_looked_up_at_once(store: Store) -> None:
    """More hashes than one query of SQLite takes."""
    await store.record_turn(turned())
    await store.remember(ANN, "h1999", "s1", "c1")
    assert set(await store.recall(ANN, [f"h{number}" for number in range(2000)])) == {"h1999"}


async def test_the_number_of_histories_is_bounded(tmp_path: Path) -> None:
    """The oldest are forgotten first, also without anybody pruning."""
    async with opened(tmp_path, max_prefixes=100) as store:
        await store.record_turn(turned())
        for number in range(1000):
            await store.remember(ANN, f"h{number}", "s1", "c1")
        found = await store.recall(ANN, [f"h{number}" for number in range(1000)])
        assert sorted(found) == sorted(f"h{number}" for number in range(900, 1000))


async def test_a_deleted_session_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """Its histories, tool results and responses go with it; a conversation begins anew; the rest stays."""
    for name in ("s1", "s2"):
        await store.record_turn(turned(name))
        await store.remember(ANN, "hash", name, "c1")
        await store.add_tool_results(name, [("toolu_1", "/kept/b1.txt")])
        await store.save_response(answered(f"resp_{name}", session_id=name, document={"secret": f"secret-{name}"}))
    conversation = await store.create_conversation(ANN)
    await store.set_conversation_session(conversation.id, ANN, "s1")

    assert await store.delete_session("s1", ANN)
    assert not await store.delete_session("s1", ANN)
    assert await store.session("s1", ANN) is None
    assert [place.session_id for place in (await store.recall(ANN, ["hash"]))["hash"]] == ["s2"]
    assert await store.tool_result("s1", ANN, "toolu_1") is None
    assert await store.response("resp_s1", ANN) is None
    assert await store.response("resp_s2", ANN) is not None
    kept = await store.conversation(conversation.id, ANN)
    assert kept is not None
    assert kept.session_id is None
    await store.close()
    assert b"secret-s1" not in (tmp_path / "data" / FILE).read_bytes()
    assert b"secret-s2" in (tmp_path / "data" / FILE).read_bytes()


async def test_a_response_is_replaced_but_not_what_it_was_asked(store: Store) -> None:
    """The second save brings its state; when it was created, and with which items, was said at first."""
    begun = answered(status="in_progress", input_items=[{"type": "message"}])
    await store.save_response(begun)
    assert [one.id for one in await store.unfinished_responses()] == ["resp_1"]
    await store.save_response(answered(session_id="s1", checkpoint="c1", conversation="conv_1", created=1.0))
    found = await store.response("resp_1", ANN)
    assert found is not None
    assert (found.status, found.session_id, found.checkpoint, found.conversation) == ("completed", "s1", "c1", "conv_1")
    assert found.input_items == begun.input_items
    assert found.created > 1.0
    assert await store.unfinished_responses() == []


async def test_conversations_are_changed_and_deleted(store: Store) -> None:
    """Their ids cannot be guessed: 192 random bits."""
    one, other = await store.create_conversation(ANN), await store.create_conversation(ANN)
    assert len({one.id, other.id}) == 2
    assert len(one.id) == len("conv_") + 48
    assert await store.set_conversation_metadata(one.id, ANN, {"a": "b"})
    found = await store.conversation(one.id, ANN)
    assert found is not None
    assert found.metadata == {"a": "b"}
    assert await store.delete_conversation(one.id, ANN)
    assert not await store.delete_conversation(one.id, ANN)
    assert await store.conversation(one.id, ANN) is None
    assert not await store.set_conversation_session(one.id, ANN, "s1")


async def test_what_nobody_used_for_long_is_forgotten(store: Store, tmp_path: Path) -> None:
    """Sessions with all that hangs on them, responses, conversations. What was used lately stays whole."""
    for name in ("old", "new"):
        await store.record_turn(turned(name))
        await store.remember(ANN, "hash", name, "c1")
        await store.add_tool_results(name, [("toolu_1", "/kept/b1.txt")])
        await store.save_response(answered(f"resp_{name}", session_id=name, created=1.0 if name == "old" else 0.0))
    lives, idle = await store.create_conversation(ANN), await store.create_conversation(ANN)
    await store.set_conversation_session(lives.id, ANN, "new")
    await store.set_conversation_session(idle.id, ANN, "old")
    long_ago = time.time() - 40 * DAY
    with contextlib.closing(raw(tmp_path / "data")) as connection:
        connection.execute("UPDATE sessions SET updated = ? WHERE id = 'old'", (long_ago,))
        connection.execute("UPDATE conversations SET updated = ?", (long_ago,))
        connection.execute("UPDATE prefixes SET created = ?", (long_ago,))

    assert await store.prune(30 * DAY) == ["old"]
    assert [one.id for one in await store.sessions(ANN)] == ["new"]
    assert [place.session_id for place in (await store.recall(ANN, ["hash"]))["hash"]] == ["new"]
    assert await store.response("resp_old", ANN) is None
    assert await store.response("resp_new", ANN) is not None
    assert await store.conversation(idle.id, ANN) is None
    assert await store.conversation(lives.id, ANN) is not None
    with contextlib.closing(raw(tmp_path / "data")) as connection:
        assert connection.execute("SELECT session_id FROM tool_results").fetchall() == [("new",)]
    assert await store.prune(30 * DAY) == []


@pytest.mark.parametrize("text", ["half a pair \ud800", "nul \0 and \u2028"])
async def test_any_text_of_a_client_is_coped_with(store: Store, text: str) -> None:
    """A title takes what it can; an id that is no Unicode is the client's mistake, and no failure of the gateway."""
    assert await store.record_turn(turned(text=text))
    await store.save_response(answered(document={"text": text}, input_items=[{"text": text}]))
    found = await store.response("resp_1", ANN)
    assert found is not None
    assert found.document == {"text": text}
    if "\ud800" in text:
        with pytest.raises(InvalidRequest):
            await store.session(text, ANN)
    else:
        assert await store.session(text, ANN) is None
    assert works(store)


# --- the file


async def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    """0600 in a directory of 0700, whatever the umask is, with all that SQLite puts beside it."""
    before = os.umask(0)
    try:
        async with opened(tmp_path / "made" / "data") as store:
            await store.record_turn(turned())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made/data").iterdir()}
            assert modes == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}
            assert stat.S_IMODE((tmp_path / "made/data").stat().st_mode) == 0o700
    finally:
        os.umask(before)


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """Such as one that was restored from a backup."""
    (tmp_path / FILE).touch(mode=0o644)
    async with opened(tmp_path):
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def broken_text(path: Path) -> None:
    path.write_text("This is no database. " * 500)


def broken_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def broken_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def of_another_program(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()


def of_the_future(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize("damage", [broken_text, broken_pages, broken_short, of_another_program, of_the_future])
async def test_a_file_that_cannot_be_used_is_kept_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    """The log says so, nothing of it is lost, and the gateway goes on with a new file."""
    async with opened(tmp_path) as store:
        for number in range(50):
            await store.record_turn(turned(f"s{number}"))
    damage(tmp_path / FILE)
    damaged = (tmp_path / FILE).read_bytes()
    with caplog.at_level(logging.WARNING):
        async with opened(tmp_path) as store:
            assert await store.sessions(ANN) == []
            assert await store.record_turn(turned())
            assert works(store)
    [kept] = aside(tmp_path)
    assert kept.read_bytes() == damaged
    assert kept.name in caplog.text


async def test_a_file_that_is_damaged_while_it_is_open_is_replaced(tmp_path: Path) -> None:
    """Whatever happens to it at run time, the next calls work."""
    async with opened(tmp_path) as store:
        for number in range(200):
            await store.record_turn(turned(f"s{number}"))
        with contextlib.closing(raw(tmp_path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        broken_pages(tmp_path / FILE)
        with contextlib.closing(raw(tmp_path)) as other, contextlib.suppress(sqlite3.Error):
            other.execute("CREATE TABLE noise (x)")  # so that the open connection looks at its pages again
        for _ in range(2):
            await store.record_turn(turned("after"))
        assert [one.id for one in await store.sessions(ANN, limit=1)] == ["after"]


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """An empty file, which a crash at the very beginning leaves, is the oldest."""
    (tmp_path / FILE).touch()
    async with opened(tmp_path) as store:
        assert await store.record_turn(turned())
    assert aside(tmp_path) == []


async def test_two_gateways_share_a_file(tmp_path: Path) -> None:
    """Both write, at the same time, and each sees what the other wrote."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        writes = [store.record_turn(turned(f"s{number}")) for number, store in enumerate([one, other] * 50)]
        assert all(await asyncio.gather(*writes))
        assert len(await one.sessions(ANN, limit=1000)) == len(await other.sessions(ANN, limit=1000)) == 100


# --- killed, full, locked


KILLED = """
import asyncio, sys, time
from pathlib import Path
from ccapi.gateway.store import Store, Turned

def half(connection):
    connection.execute("INSERT INTO tool_results VALUES ('half', 'a', 'b')")
    connection.execute("UPDATE sessions SET head = 'half'")
    print("in the middle", flush=True)
    time.sleep(60)

async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    for number in range(100):
        await store.record_turn(Turned(session_id=f"s{number}", owner="ann", workspace="w", model="m", checkpoint="c"))
    await store._do(half, write=True)

asyncio.run(main())
"""


def kill_in_mid_transaction(directory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, directory], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"in the middle\n"
        writer.send_signal(signal.SIGKILL)


async def test_a_writer_that_is_killed_leaves_all_or_nothing(tmp_path: Path) -> None:
    """SIGKILL in mid-transaction: what was written before is there, nothing of the half, and nothing is locked."""
    kill_in_mid_transaction(tmp_path)
    async with opened(tmp_path) as store:
        began = time.monotonic()
        assert len(await store.sessions(ANN, limit=1000)) == 100
        session = await store.session("s7", ANN)
        assert session is not None
        assert session.head == "c"
        assert await store.record_turn(turned("after"))
        assert time.monotonic() - began < 10
    with contextlib.closing(raw(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM tool_results").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert aside(tmp_path) == []


async def test_a_full_volume_costs_what_would_have_been_written_and_no_more(
    volume: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The index does without, a response that must be kept fails, reading goes on; with room again all is well."""
    async with opened(volume / "data") as store:
        assert await store.record_turn(turned("before"))
        await store.remember(ANN, "hash", "before", "c1")
        ballast = fill(volume)
        with caplog.at_level(logging.WARNING):
            written = [await store.record_turn(turned(f"s{number}")) for number in range(1000)]
        assert not all(written), "the volume was not full"
        assert not written[-1]
        assert len(caplog.records) == 1, "said once, not with every request"
        assert not await store.remember(ANN, "other", "before", "c1")
        assert not await store.add_tool_results("before", [("toolu_1", "/x")])
        with pytest.raises(StoreFailed):
            await store.save_response(answered(document={"text": "x" * 100_000}))
        with pytest.raises(StoreFailed):
            await store.create_conversation(ANN, {"a": "x" * 10_000})
        assert not works(store)
        assert "hash" in await store.recall(ANN, ["hash"])
        assert await store.session("before", ANN) is not None
        ballast.unlink()
        assert await store.record_turn(turned("after"))
        await store.save_response(answered())
        assert works(store)
        count = len(await store.sessions(ANN, limit=2000))
        assert count == written.count(True) + 2
    with contextlib.closing(raw(volume / "data")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_volume_that_is_full_from_the_start_does_not_keep_the_gateway_from_starting(volume: Path) -> None:
    """It works without a store, and with one as soon as there is room."""
    ballast = fill(volume)
    async with opened(volume / "data") as store:
        assert not works(store)
        assert not await store.record_turn(turned())
        assert await store.recall(ANN, ["hash"]) == {}
        assert await store.prune(1.0) == []
        with pytest.raises(StoreFailed):
            await store.session("s1", ANN)
        ballast.unlink()
        assert await store.record_turn(turned())
        assert works(store)


async def test_a_volume_that_was_mounted_read_only_is_used_again(volume: Path) -> None:
    """While nothing can be written, what is there can still be read."""
    async with opened(volume / "data") as store:
        await store.record_turn(turned("before"))
    remount(volume, "ro")
    async with opened(volume / "data") as store:
        assert not await store.record_turn(turned("s1"))
        with pytest.raises(StoreFailed):
            await store.save_response(answered())
        remount(volume, "rw")
        assert await store.record_turn(turned("after"))
        assert [one.id for one in await store.sessions(ANN)] == ["after", "before"]


async def test_a_lock_of_another_program_holds_up_nobody_for_long(tmp_path: Path) -> None:
    """The event loop goes on; the first write waits two seconds, those behind it do not, and reading never does."""
    async with opened(tmp_path) as store:
        await store.record_turn(turned("before"))
        with contextlib.closing(raw(tmp_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            began, ticks = time.monotonic(), 0
            writing = asyncio.gather(*(store.record_turn(turned(f"s{number}")) for number in range(10)))
            while not writing.done():
                await asyncio.sleep(0.01)
                ticks += 1
            assert not any(await writing)
            assert time.monotonic() - began < 15  # ten times two seconds are more
            assert ticks > 10
            assert await store.session("before", ANN) is not None
            other.execute("ROLLBACK")
        assert await store.record_turn(turned("after"))
        assert works(store)


async def test_a_directory_that_cannot_be_made_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    """Such as one below a file."""
    (tmp_path / "file").touch()
    async with opened(tmp_path / "file" / "data") as store:
        assert not works(store)
        assert not await store.record_turn(turned())
        with pytest.raises(StoreFailed) as failure:
            await store.response("resp_1", ANN)
        assert failure.value.status == 503
        assert str(tmp_path) not in failure.value.message


# --- the caller


async def test_a_write_is_done_although_its_caller_is_cancelled(store: Store) -> None:
    """A client that leaves at the end of an answer does not take the conversation with it."""
    writing = [asyncio.ensure_future(store.record_turn(turned(f"s{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    for one in writing:
        one.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    assert len(await store.sessions(ANN, limit=100)) == 20


async def test_a_closed_store_fails_as_a_broken_one_does(tmp_path: Path) -> None:
    """A run that outlives the store finds it not working; closing twice is no mistake."""
    async with opened(tmp_path) as store:
        await store.close()
        assert not await store.record_turn(turned())
        with pytest.raises(StoreFailed):
            await store.session("s1", ANN)

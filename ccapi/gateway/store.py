"""What the gateway remembers across restarts: sessions, the index of histories, responses and conversations.

A SQLite file on the volume, used by one thread of its own, so that the event loop never waits for a disk. Everything
belongs to an owner (the API key's id): another owner's row is as if it were not there.

When the volume fails (full, read-only, locked), what is only an index is left out and the answer goes on without it:
those methods say so in their result and the log says why. What a client must be able to rely on raises `StoreFailed`.
The next call tries again. A file that is no database of ours is moved aside, and a new one begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ccapi.errors import InvalidRequest, StoreFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE = "gateway.db"
_PER_PREFIX = 8  # sessions that one history can stand for: greetings are alike, and one probe may ask them for years
_TRIM_EVERY = 1000  # histories
_TITLE = 80  # characters
_BUSY = 2.0  # seconds to wait for another process that writes
_STILL_BUSY = 0.05  # once it took longer than that: all requests wait behind each other
_BATCH = 500  # parameters of one query; SQLite takes 999 and more
_APPLICATION = 0x63636170  # "ccap": whose file it is (PRAGMA application_id)

# Each brings the file from its place in this list to the next; a file's place is its `user_version`. Only ever append.
_MIGRATIONS = (
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL, title TEXT NOT NULL,
        system_hash TEXT NOT NULL, root TEXT NOT NULL, head TEXT NOT NULL, turns INTEGER NOT NULL,
        cost_usd REAL NOT NULL, created REAL NOT NULL, updated REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_of_owner ON sessions (owner, updated DESC, id DESC);
    CREATE TABLE prefixes (
        owner TEXT NOT NULL, hash TEXT NOT NULL, session_id TEXT NOT NULL, checkpoint TEXT NOT NULL,
        shown INTEGER NOT NULL, created REAL NOT NULL, PRIMARY KEY (owner, hash, session_id)
    ) WITHOUT ROWID;
    CREATE INDEX prefixes_of_session ON prefixes (session_id);
    CREATE INDEX prefixes_by_age ON prefixes (created);
    CREATE TABLE tool_results (
        session_id TEXT NOT NULL, tool_use_id TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (session_id, tool_use_id)
    ) WITHOUT ROWID;
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, status TEXT NOT NULL, session_id TEXT, checkpoint TEXT,
        conversation TEXT, created REAL NOT NULL, document TEXT NOT NULL, input_items TEXT NOT NULL
    );
    CREATE INDEX responses_of_session ON responses (session_id);
    CREATE INDEX responses_by_age ON responses (created);
    CREATE INDEX responses_by_status ON responses (status);
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, session_id TEXT, metadata TEXT NOT NULL,
        created REAL NOT NULL, updated REAL NOT NULL
    );
    CREATE INDEX conversations_of_session ON conversations (session_id);
    """,
)
_UNFINISHED = ("queued", "in_progress")  # statuses of a response


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation that the CLI keeps. Times are Unix seconds."""

    id: str
    owner: str
    workspace: str  # its name
    model: str
    title: str = ""  # the beginning of the first thing the user said
    system_hash: str = ""
    root: str = ""  # the session at the beginning of its forks; its own id when it is none
    head: str = ""  # checkpoint of its last answer
    turns: int = 0  # answered in it, without those before a fork
    cost_usd: float = 0.0
    created: float = 0.0
    updated: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A turn that was answered: what it adds to its session, which it creates if need be."""

    session_id: str
    owner: str
    workspace: str
    model: str
    checkpoint: str
    cost_usd: float = 0.0
    text: str = ""  # what the user said; the first turn's becomes the title
    system_hash: str = ""
    parent: str | None = None  # the session it was forked from


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a session at which a known history ends."""

    session_id: str
    checkpoint: str
    head: str  # the session's: another one than `checkpoint` if it went on from here
    workspace: str
    root: str
    shown: bool  # whether the client was shown everything that the session holds up to here


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response object as its client sees it, the items it was asked with, and where its session stands after it."""

    id: str
    owner: str
    status: str
    document: Mapping[str, Any]
    input_items: Sequence[Mapping[str, Any]] = ()
    session_id: str | None = None
    checkpoint: str | None = None
    conversation: str | None = None
    created: float = 0.0  # 0: now


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: str
    owner: str
    session_id: str | None = None  # None until its first answer, and after its session was deleted
    metadata: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0


class Store:
    """See the module. `open` before use; it never fails, as the gateway works without a store, only worse."""

    def __init__(self, directory: Path, *, max_prefixes: int = 100_000) -> None:
        """`max_prefixes`: known histories, of all owners; about 250 bytes each."""
        self._database = _Database(directory / FILE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._closed = False
        self._max_prefixes = max_prefixes
        self._remembered = 0

    @property
    def problem(self) -> str | None:
        """Why the store did not work the last time it was used, for `/ready`; None when it did."""
        return self._database.problem

    async def open(self) -> None:
        """Opens, or makes, the file. A problem is logged, and `problem` says it."""
        with contextlib.suppress(StoreFailed):
            await self._do(lambda _: None)

    async def close(self) -> None:
        """What was begun is finished first; later calls fail as if the volume did."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
            self._thread.shutdown(wait=False)

    # --- sessions

    async def record_turn(self, turn: Turned) -> bool:
        """Whether it was written (best effort). The session's head moves to the turn's checkpoint."""
        return await self._try(lambda connection: _record_turn(connection, turn))

    async def session(self, session_id: str, owner: str) -> Session | None:
        """Raises `StoreFailed`."""
        query = "SELECT * FROM sessions WHERE id = ? AND owner = ?"
        rows = await self._do(lambda connection: connection.execute(query, (session_id, owner)).fetchall())
        return Session(**dict(rows[0])) if rows else None

    async def sessions(self, owner: str, *, limit: int = 20, after: str | None = None) -> list[Session]:
        """The last used first; `after` is the last id of the page before. Raises `StoreFailed`."""
        query = """
            SELECT * FROM sessions WHERE owner = :owner AND (
                :after IS NULL
                OR (updated, id) < (SELECT updated, id FROM sessions WHERE id = :after AND owner = :owner)
            ) ORDER BY updated DESC, id DESC LIMIT :limit"""
        values = {"owner": owner, "after": after, "limit": limit}
        rows = await self._do(lambda connection: connection.execute(query, values).fetchall())
        return [Session(**dict(row)) for row in rows]

    async def delete_session(self, session_id: str, owner: str) -> bool:
        """It, its index, its tool results and its responses; its conversations begin anew. Raises `StoreFailed`."""
        return await self._do(lambda connection: _delete_session(connection, session_id, owner), write=True)

    # --- the index of histories

    async def remember(self, owner: str, prefix: str, session_id: str, checkpoint: str, *, shown: bool = True) -> bool:
        """A history with this hash ends at this place of the session. Whether it was written (best effort)."""
        self._remembered += 1
        trim = self._remembered % _TRIM_EVERY == 0

        def write(connection: sqlite3.Connection) -> None:
            row = (owner, prefix, session_id, checkpoint, int(shown), time.time())
            connection.execute("INSERT OR REPLACE INTO prefixes VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute(
                """DELETE FROM prefixes WHERE owner = ?1 AND hash = ?2 AND session_id NOT IN (
                    SELECT session_id FROM prefixes WHERE owner = ?1 AND hash = ?2 ORDER BY created DESC LIMIT ?3)""",
                (owner, prefix, _PER_PREFIX),
            )
            if trim:
                _trim(connection, self._max_prefixes)

        return await self._try(write)

    async def recall(self, owner: str, prefixes: Sequence[str]) -> dict[str, list[Place]]:
        """Where histories with these hashes end, the latest first; what is not known (best effort) is left out."""

        def read(connection: sqlite3.Connection) -> dict[str, list[Place]]:
            found: dict[str, list[Place]] = {}
            for row in _places(connection, owner, prefixes):
                values = {**dict(row), "shown": bool(row["shown"])}
                found.setdefault(values.pop("hash"), []).append(Place(**values))
            return found

        try:
            return await self._do(read)
        except StoreFailed:
            return {}

    # --- outputs that the CLI moved into files

    async def add_tool_results(self, session_id: str, files: Iterable[tuple[str, str]]) -> bool:
        """Pairs of tool use id and the file that the CLI named for it. Whether they were written (best effort)."""
        rows = [(session_id, tool_use_id, path) for tool_use_id, path in files]
        if not rows:
            return True
        query = "INSERT OR REPLACE INTO tool_results VALUES (?, ?, ?)"
        return await self._try(lambda connection: connection.executemany(query, rows))

    async def tool_result(self, session_id: str, owner: str, tool_use_id: str) -> str | None:
        """The file. Raises `StoreFailed`."""
        query = """
            SELECT path FROM tool_results JOIN sessions ON id = session_id
            WHERE session_id = ? AND owner = ? AND tool_use_id = ?"""
        values = (session_id, owner, tool_use_id)
        rows = await self._do(lambda connection: connection.execute(query, values).fetchall())
        return str(rows[0]["path"]) if rows else None

    # --- responses (all raise `StoreFailed`)

    async def save_response(self, response: StoredResponse) -> None:
        """Insert it, or replace the one with its id; `created` and `input_items` stay what they were at first."""
        row = (
            *(response.id, response.owner, response.status, response.session_id, response.checkpoint),
            *(response.conversation, response.created or time.time()),
            *(json.dumps(response.document), json.dumps(list(response.input_items))),
        )
        query = """
            INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET status = excluded.status, session_id = excluded.session_id,
                checkpoint = excluded.checkpoint, conversation = excluded.conversation, document = excluded.document
            WHERE owner = excluded.owner"""
        await self._do(lambda connection: connection.execute(query, row), write=True)

    async def response(self, response_id: str, owner: str) -> StoredResponse | None:
        query = "SELECT * FROM responses WHERE id = ? AND owner = ?"
        rows = await self._do(lambda connection: connection.execute(query, (response_id, owner)).fetchall())
        return _response(rows[0]) if rows else None

    async def delete_response(self, response_id: str, owner: str) -> bool:
        """Whether there was one."""
        query = "DELETE FROM responses WHERE id = ? AND owner = ?"
        return await self._changed(query, response_id, owner)

    async def unfinished_responses(self) -> list[StoredResponse]:
        """Of all owners: those that are `queued` or `in_progress`. At the start of a gateway: what a crash left."""
        query = "SELECT * FROM responses WHERE status IN (?, ?)"
        rows = await self._do(lambda connection: connection.execute(query, _UNFINISHED).fetchall())
        return [_response(row) for row in rows]

    # --- conversations (all raise `StoreFailed`)

    async def create_conversation(self, owner: str, metadata: Mapping[str, str] | None = None) -> Conversation:
        now = time.time()
        made = Conversation(id=f"conv_{secrets.token_hex(24)}", owner=owner, metadata=dict(metadata or {}), created=now)
        row = (made.id, owner, None, json.dumps(made.metadata), now, now)
        query = "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?)"
        await self._do(lambda connection: connection.execute(query, row), write=True)
        return made

    async def conversation(self, conversation_id: str, owner: str) -> Conversation | None:
        query = "SELECT id, owner, session_id, metadata, created FROM conversations WHERE id = ? AND owner = ?"
        rows = await self._do(lambda connection: connection.execute(query, (conversation_id, owner)).fetchall())
        if not rows:
            return None
        return Conversation(**{**dict(rows[0]), "metadata": json.loads(rows[0]["metadata"])})

    async def set_conversation_session(self, conversation_id: str, owner: str, session_id: str | None) -> bool:
        """Whether there is such a conversation."""
        query = "UPDATE conversations SET session_id = ?, updated = ? WHERE id = ? AND owner = ?"
        return await self._changed(query, session_id, time.time(), conversation_id, owner)

    async def set_conversation_metadata(self, conversation_id: str, owner: str, metadata: Mapping[str, str]) -> bool:
        """Whether there is such a conversation."""
        query = "UPDATE conversations SET metadata = ?, updated = ? WHERE id = ? AND owner = ?"
        return await self._changed(query, json.dumps(dict(metadata)), time.time(), conversation_id, owner)

    async def delete_conversation(self, conversation_id: str, owner: str) -> bool:
        """Whether there was one. Its session stays."""
        return await self._changed("DELETE FROM conversations WHERE id = ? AND owner = ?", conversation_id, owner)

    # --- retention

    async def prune(self, older_than: float) -> list[str]:
        """Forget what was not used for so many seconds (best effort).

        Returns the ids of the sessions: their files are the caller's to delete.
        """
        try:
            before, limit = time.time() - older_than, self._max_prefixes
            return await self._do(lambda connection: _prune(connection, before, limit), write=True)
        except StoreFailed:
            return []

    # --- the thread

    async def _changed(self, query: str, *values: Any) -> bool:
        return await self._do(lambda connection: connection.execute(query, values).rowcount > 0, write=True)

    async def _try(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """A write that nobody depends on: False if it failed, or if `work` did nothing and says False."""
        try:
            return await self._do(work, write=True) is not False
        except StoreFailed:
            return False

    async def _do(self, work: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """`work` in the thread, in a transaction of its own; done even when the caller is cancelled meanwhile."""
        if self._closed:
            raise StoreFailed("The gateway's store is closed")
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, self._database.run, work, write))


class _Database:
    """The file and the connection to it; used by the store's thread only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T], write: bool) -> T:  # noqa: FBT001 -- for an executor
        """Raises `StoreFailed`."""
        try:
            try:
                result = self._attempt(work, write=write)
            except _Unusable as error:
                self._move_aside(error)
                result = self._attempt(work, write=write)
        except (sqlite3.Error, OSError, _Unusable) as error:
            self._failed(error)
            raise StoreFailed("The gateway cannot use its store; its log says why", detail=str(error)) from error
        except UnicodeEncodeError:  # half of a surrogate pair in an id or a name that a client sent
            raise InvalidRequest("The request holds text that is not valid Unicode") from None
        if self.problem:
            log.warning("%s works again", self.path)
            self._wait_for_others(_BUSY)
        self.problem = None
        return result

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _attempt(self, work: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        try:
            if self._connection is None:
                self._connection = _connect(self.path)
            with _transaction(self._connection) if write else contextlib.nullcontext():
                return work(self._connection)
        except sqlite3.DatabaseError as error:
            if _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise _Unusable(str(error)) from error
            raise

    def _failed(self, error: Exception) -> None:
        if self.problem is None:  # once, not with every request
            log.warning("%s cannot be used, conversations are not recognised meanwhile: %s", self.path, error)
        self.problem = str(error)
        if _code(error) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}:
            self.close()  # the file may have been replaced, or its volume mounted anew
        self._wait_for_others(_STILL_BUSY)

    def _wait_for_others(self, seconds: float) -> None:
        if self._connection:
            self._connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    def _move_aside(self, error: _Unusable) -> None:
        self.close()
        aside = f"{self.path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        log.warning("%s cannot be used (%s); it is kept as %s, and a new one begun", self.path, error, aside)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(self.path.with_name(f"{aside}{suffix}"))


class _Unusable(Exception):
    """The file is damaged, or is not ours."""


def _code(error: Exception) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What SQLite makes beside the file has the file's mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        _check_ours(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last turns, never the file
        connection.execute("PRAGMA journal_size_limit = 4000000")
        connection.execute("PRAGMA secure_delete = ON")  # what a client deletes is gone from the file as well
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ours(connection: sqlite3.Connection) -> None:
    application, version = (_pragma(connection, name) for name in ("application_id", "user_version"))
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION and (application or tables):
        raise _Unusable("it belongs to another program")
    if version > len(_MIGRATIONS):
        raise _Unusable("a newer ccapi wrote it")


def _migrate(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "user_version") == len(_MIGRATIONS):
        return
    if not _pragma(connection, "application_id"):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, and outside a transaction
    with _transaction(connection):
        for script in _MIGRATIONS[_pragma(connection, "user_version") :]:  # another gateway may have been quicker
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself when the disk was full
            connection.execute("ROLLBACK")
        raise


# --- what is done in the thread


def _record_turn(connection: sqlite3.Connection, turn: Turned) -> bool:
    query = "SELECT root, title FROM sessions WHERE id = ? AND owner = ?"
    parent = connection.execute(query, (turn.parent, turn.owner)).fetchone()
    now = time.time()
    row = {
        "id": turn.session_id,
        "owner": turn.owner,
        "workspace": turn.workspace,
        "model": turn.model,
        "title": parent["title"] if parent else _title(turn.text),
        "system_hash": turn.system_hash,
        "root": parent["root"] if parent else turn.session_id,
        "head": turn.checkpoint,
        "cost_usd": turn.cost_usd,
        "now": now,
    }
    written = connection.execute(
        """INSERT INTO sessions
        VALUES (:id, :owner, :workspace, :model, :title, :system_hash, :root, :head, 1, :cost_usd, :now, :now)
        ON CONFLICT (id) DO UPDATE SET model = excluded.model, system_hash = excluded.system_hash, head = excluded.head,
            turns = turns + 1, cost_usd = cost_usd + excluded.cost_usd, updated = excluded.updated
        WHERE owner = excluded.owner""",
        row,
    )
    return written.rowcount > 0


def _title(text: str) -> str:
    return " ".join(text[: 10 * _TITLE].split())[:_TITLE].encode("utf-8", "replace").decode("utf-8")


def _delete_session(connection: sqlite3.Connection, session_id: str, owner: str) -> bool:
    deleted = connection.execute("DELETE FROM sessions WHERE id = ? AND owner = ?", (session_id, owner)).rowcount > 0
    if deleted:
        _forget(connection, [session_id])
        connection.execute("DELETE FROM responses WHERE session_id = ?", (session_id,))
    return deleted


def _forget(connection: sqlite3.Connection, session_ids: Iterable[str]) -> None:
    """What hangs on sessions that are gone."""
    each = [(session_id,) for session_id in session_ids]
    connection.executemany("DELETE FROM prefixes WHERE session_id = ?", each)
    connection.executemany("DELETE FROM tool_results WHERE session_id = ?", each)
    connection.executemany("UPDATE conversations SET session_id = NULL WHERE session_id = ?", each)


def _prune(connection: sqlite3.Connection, before: float, max_prefixes: int) -> list[str]:
    rows = connection.execute("SELECT id FROM sessions WHERE updated < ?", (before,)).fetchall()
    forgotten = [str(row["id"]) for row in rows]
    connection.execute("DELETE FROM sessions WHERE updated < ?", (before,))
    _forget(connection, forgotten)
    connection.execute("DELETE FROM responses WHERE created < ?", (before,))
    connection.execute("DELETE FROM conversations WHERE updated < ? AND session_id IS NULL", (before,))
    # What was noted for a session that was deleted while a run still went on in it.
    connection.execute("DELETE FROM prefixes WHERE session_id NOT IN (SELECT id FROM sessions)")
    connection.execute("DELETE FROM tool_results WHERE session_id NOT IN (SELECT id FROM sessions)")
    _trim(connection, max_prefixes)
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    return forgotten


def _trim(connection: sqlite3.Connection, limit: int) -> None:
    excess = connection.execute("SELECT count(*) FROM prefixes").fetchone()[0] - limit
    if excess > 0:
        query = """
            DELETE FROM prefixes WHERE (owner, hash, session_id) IN (
                SELECT owner, hash, session_id FROM prefixes ORDER BY created LIMIT ?)"""
        connection.execute(query, (excess,))


def _places(connection: sqlite3.Connection, owner: str, prefixes: Sequence[str]) -> Iterator[sqlite3.Row]:
    for start in range(0, len(prefixes), _BATCH):
        batch = prefixes[start : start + _BATCH]
        marks = ", ".join("?" * len(batch))
        yield from connection.execute(
            f"""SELECT p.hash, p.shown, p.session_id, p.checkpoint, s.head, s.workspace, s.root
            FROM prefixes p JOIN sessions s ON s.id = p.session_id AND s.owner = p.owner
            WHERE p.owner = ? AND p.hash IN ({marks}) ORDER BY p.created DESC""",  # noqa: S608 -- question marks only
            (owner, *batch),
        )


def _response(row: sqlite3.Row) -> StoredResponse:
    values = {**dict(row), "document": json.loads(row["document"]), "input_items": json.loads(row["input_items"])}
    return StoredResponse(**values)

"""What a gateway that was killed has left behind: background responses without an end, in sessions that nobody knows.

Such a response has failed, with all that was recorded of it. What was said and done in it can be gone on with, as with
any answer that was cut off (`ccapi.gateway.runs.Answer.put_away`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccapi.errors import CcapiError, GatewayStopping
from ccapi.gateway import responses_recording as recording
from ccapi.gateway.responses_recording import Recorder
from ccapi.gateway.runs import Runs
from ccapi.gateway.store import StoredResponse, Turned
from ccapi.wire.events import RunFailed
from ccapi.wire.responseitems import Object, error_object
from ccapi.wire.responses import Encoder, sse
from ccapi.wire.responsesdecoder import Decoder

_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_NEW = {"user", "system", "developer"}  # roles of what is said after the last answer


async def fail(stored: StoredResponse, path: Path, runs: Runs) -> None:
    """Store its end; `path` is the recording of its stream, if there is one, which gets that end, too.

    Raises `CcapiError` and `OSError`, and `ValueError` and `LookupError` for a recording that is damaged.
    """
    error = GatewayStopping("The gateway was stopped before the answer was complete")
    try:
        recorded = await asyncio.to_thread(_Recorded, path, stored.document)
    except FileNotFoundError:
        end = {**stored.document, "status": "failed", "error": error_object(error)}
    else:
        if recorded.end:
            end = recorded.end
        else:
            stored = await _put_away(stored, recorded, runs)
            end = await asyncio.to_thread(recorded.fail, error)
    await runs.store.save_response(replace(stored, status=end["status"], document=end))


class _Recorded:
    """The stream of a response, as far as it was recorded. Everything here blocks."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self.end: Object | None = None  # the response that it ends in
        self._path = path
        number = recording.repair(path)
        structured = document["text"]["format"]["type"] != "text"
        self._encoder, decoder = Encoder({**document, "output": []}, structured=structured), Decoder()
        for event in recording.events(path):
            if event["type"] in _ENDS:  # all of it was said, but not stored
                self.end = event["response"]
                return
            self._encoder.feed(decoder.feed(event))
        self._encoder.resume(number)

    @property
    def about(self) -> Object:
        """What is said of the run so far; nothing if it has not begun. The end will repeat it."""
        return self._encoder.response.get("ccapi") or {}

    def fail(self, error: CcapiError) -> Object:
        """Write the end that is missing. Raises `StoreFailed`."""
        last = self._encoder.feed([RunFailed(error)])
        recorder = Recorder(self._path)
        try:
            recorder.write(sse(last))
        finally:
            recorder.close()
        return self._encoder.response


async def _put_away(stored: StoredResponse, recorded: _Recorded, runs: Runs) -> StoredResponse:
    """Keep the session; the response then says where it can be gone on with. It names none that is not known."""
    session_id = recorded.about.get("session_id")
    if not session_id:
        return stored
    session = await runs.store.session(session_id, stored.owner)
    if session and any(item.get("role") not in _NEW for item in stored.input_items):
        return stored  # its client tells the history, which says where to go on
    before = await _before(stored, runs)  # of a fork: where it begins
    place = session.head if session else before.checkpoint if before else None
    checkpoint, directory = await runs.conversations.left(session_id, place)
    workspace = session.workspace if session else runs.workspaces.name(directory)
    if checkpoint and workspace:
        turned = Turned(
            session_id=session_id,
            owner=stored.owner,
            workspace=workspace,
            model=stored.document["model"],
            checkpoint=checkpoint,
            text="\n".join(_texts(stored.input_items)),
            parent=before.session_id if before else None,
        )
        if await runs.store.record_turn(turned):
            if stored.conversation:
                await runs.store.set_conversation_session(stored.conversation, stored.owner, session_id)
            return replace(stored, session_id=session_id, checkpoint=checkpoint)
    if session is None:
        recorded.about["session_id"] = ""
    return stored


async def _before(stored: StoredResponse, runs: Runs) -> StoredResponse | None:
    """The response that this one follows."""
    previous = stored.document["previous_response_id"]
    return await runs.store.response(previous, stored.owner) if previous else None


def _texts(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the user said in them."""
    for item in items:
        if item.get("role") == "user":
            yield from (part["text"] for part in item["content"] if "text" in part)

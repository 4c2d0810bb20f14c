"""`/v1/conversations`: names for sessions, for clients that begin a conversation before they say anything in it.

Source: OpenAI API reference, "Conversations".
"""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from ccapi.errors import NotFound
from ccapi.gateway.access import CALLER
from ccapi.gateway.fields import Lenient, parse
from ccapi.gateway.responses_request import Metadata
from ccapi.gateway.security import body
from ccapi.gateway.store import Conversation, Store
from ccapi.wire.responseitems import Object


class ConversationRequest(Lenient):
    metadata: Metadata | None = None
    items: Annotated[list[Any], Field(max_length=0)] | None = None


_REFUSED = {"items": "'items': a conversation begins empty; send them as the first response's 'input'"}


class ConversationsHandler:
    """The routes. Another key's conversation is as if it were not there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, router: web.UrlDispatcher) -> None:
        one = "/v1/conversations/{id}"
        router.add_post("/v1/conversations", self.create)
        router.add_get(one, self.retrieve, allow_head=False)
        router.add_post(one, self.update)
        router.add_delete(one, self.delete)

    async def create(self, request: web.Request) -> web.Response:
        asked = parse(await body(request) or b"{}", ConversationRequest, _REFUSED)
        made = await self._store.create_conversation(request[CALLER].owner, asked.metadata)
        return web.json_response(_object(made))

    async def retrieve(self, request: web.Request) -> web.Response:
        return web.json_response(_object(await self._found(request)))

    async def update(self, request: web.Request) -> web.Response:
        asked = parse(await body(request) or b"{}", ConversationRequest, _REFUSED)
        conversation_id, owner = request.match_info["id"], request[CALLER].owner
        await self._store.set_conversation_metadata(conversation_id, owner, asked.metadata or {})
        return web.json_response(_object(await self._found(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """Its session stays: it is deleted as one."""
        conversation_id = request.match_info["id"]
        if not await self._store.delete_conversation(conversation_id, request[CALLER].owner):
            raise _unknown()
        return web.json_response({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    async def _found(self, request: web.Request) -> Conversation:
        found = await self._store.conversation(request.match_info["id"], request[CALLER].owner)
        if found is None:
            raise _unknown()
        return found


def _object(conversation: Conversation) -> Object:
    """Source: OpenAI API reference, "The conversation object"."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created),
        "metadata": dict(conversation.metadata),
    }


def _unknown() -> NotFound:
    return NotFound("There is no such conversation", param="conversation_id")

"""The stream of one response being written: numbers, places, and how items begin, grow and end."""

from __future__ import annotations

import io
from typing import Any

from ccapi.wire import responseitems as items
from ccapi.wire.responseitems import Object


class Block:
    """A message or a reasoning item that is being written."""

    __slots__ = ("blocks", "index", "item", "key", "parts", "text")

    def __init__(self, item: Object, index: int, key: tuple[str, str, str], block: int) -> None:
        self.item = item
        self.index = index
        self.key = key  # its type and kind, and the message of Claude's that it is of
        self.blocks = [block]  # Claude's content blocks, one for each part
        self.parts: list[Object] = []  # those that are whole
        self.text = io.StringIO()

    @property
    def block(self) -> int:
        """Claude's content block that is being written."""
        return self.blocks[-1]

    @property
    def part(self) -> int:
        return len(self.blocks) - 1


class Writer:
    """`output` holds the items of `response` as far as they are known; `before` rides on the next event."""

    def __init__(self, response: Object) -> None:
        self.response = response
        self.output: list[Object] = []
        self.before: list[Object] = []
        self._sequence = 0
        self._begun = False  # `response.in_progress` was sent
        self._events: list[Object] = []

    def snapshot(self) -> Object:
        return {**self.response, "output": list(self.output)}

    def due(self) -> list[Object]:
        """The events since the last time."""
        due, self._events = self._events, []
        return due

    def restart(self, sequence: int) -> None:
        """The next event has this number."""
        self.before, self._events, self._sequence = [], [], sequence

    def emit(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        if self.before:
            event["ccapi"] = {**event.get("ccapi", {}), "before": self.before}
            self.before = []
        self._events.append(event)

    # --- the response

    def lifecycle(self, kind: str) -> None:
        self.emit(kind, response=self.snapshot())

    def in_progress(self) -> None:
        """May be said again: the response knows more now, or there is something that must not wait."""
        self._begun = True
        self.response["status"] = "in_progress"
        self.lifecycle("response.in_progress")

    # --- items

    def add(self, item: Object) -> int:
        """A new item; its place in the output."""
        if not self._begun:
            self.in_progress()
        self.output.append(item)
        self.emit("response.output_item.added", output_index=len(self.output) - 1, item=item)
        return len(self.output) - 1

    def done(self, item: Object, index: int, after: Object | None = None) -> None:
        self.output[index] = item
        extra = {"ccapi": {"after": [after]}} if after else {}
        self.emit("response.output_item.done", output_index=index, item=item, **extra)

    # --- messages and reasoning

    def open(self, item: Object, key: tuple[str, str, str], block: int) -> Block:
        opened = Block(item, self.add(item), key, block)
        self._open_part(opened)
        return opened

    def next_part(self, block: Block, number: int) -> None:
        """What follows is Claude's content block `number`."""
        self._close_part(block)
        block.blocks.append(number)
        block.text = io.StringIO()
        self._open_part(block)

    def delta(self, block: Block, text: str) -> None:
        block.text.write(text)
        place: Object = {"item_id": block.item["id"], "output_index": block.index}
        if block.item["type"] == "message":
            self.emit("response.output_text.delta", **place, content_index=block.part, delta=text, logprobs=[])
        else:
            self.emit("response.reasoning_summary_text.delta", **place, summary_index=0, delta=text)

    def close(self, block: Block, status: str, phase: str | None = None, after: Object | None = None) -> None:
        """`phase` is a message's: whether it is the answer, or said on the way to it."""
        self._close_part(block)
        done = {**block.item, "status": status}
        if block.item["type"] == "message":
            done["content"] = block.parts
            if block.blocks != list(range(len(block.blocks))):
                done["ccapi"] = {**done.get("ccapi", {}), "blocks": block.blocks}
            if phase:
                done["phase"] = phase
        else:
            done["summary"] = block.parts
        self.done(done, block.index, after)

    def whole_message(self, item: Object, text: str, *, refused: bool = False) -> None:
        """All of a message at once. `refused`: it says why there is no answer."""
        if not refused:
            block = self.open(item, ("message", "", ""), 0)
            self.delta(block, text)
            self.close(block, "completed", "final_answer")
            return
        index = self.add(item)
        place: Object = {"item_id": item["id"], "output_index": index, "content_index": 0}
        self.emit("response.content_part.added", **place, part=items.refusal_part(""))
        self.emit("response.refusal.delta", **place, delta=text)
        self.emit("response.refusal.done", **place, refusal=text)
        self.emit("response.content_part.done", **place, part=items.refusal_part(text))
        self.done({**item, "status": "completed", "content": [items.refusal_part(text)]}, index)

    def _open_part(self, block: Block) -> None:
        place: Object = {"item_id": block.item["id"], "output_index": block.index}
        if block.item["type"] == "message":
            place["content_index"] = block.part
            extra = {"ccapi": {"block": block.block}} if block.block else {}
            self.emit("response.content_part.added", **place, part=items.text_part(""), **extra)
        else:
            place["summary_index"] = 0
            self.emit("response.reasoning_summary_part.added", **place, part=items.summary_part(""))

    def _close_part(self, block: Block) -> None:
        place: Object = {"item_id": block.item["id"], "output_index": block.index}
        text = block.text.getvalue()
        if block.item["type"] == "message":
            place["content_index"] = block.part
            part = items.text_part(text)
            self.emit("response.output_text.done", **place, text=text, logprobs=[])
            self.emit("response.content_part.done", **place, part=part)
        else:
            place["summary_index"] = 0
            part = items.summary_part(text)
            self.emit("response.reasoning_summary_text.done", **place, text=text)
            self.emit("response.reasoning_summary_part.done", **place, part=part)
        block.parts.append(part)

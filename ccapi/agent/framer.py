"""Bytes to lines, split at `\\n` only: U+2028 and U+0085 are ordinary characters inside a JSON string."""

from __future__ import annotations

from ccapi.errors import ClaudeFailed

MAX_LINE = 128 * 1024 * 1024


class LineFramer:
    """Collects chunks until a line is whole. Linear in the bytes seen, whatever the chunking."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        """`max_line` is in bytes; a longer line is a failure of the child, not a reason to use up the memory."""
        self._parts: list[bytes] = []
        self._held = 0
        self._max_line = max_line

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their `\\n`. Raises `ClaudeFailed` over the limit."""
        head, newline, tail = chunk.partition(b"\n")
        if not newline:
            self._hold(chunk)
            return []
        self._hold(head)
        *lines, rest = tail.split(b"\n")
        lines.insert(0, self.flush())
        self._hold(rest)
        self._check(max(map(len, lines)))
        return lines

    def flush(self) -> bytes:
        """What is held: at the end of the stream, a line that its writer never ended."""
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        self._check(self._held)
        if part:
            self._parts.append(part)

    def _check(self, length: int) -> None:
        if length > self._max_line:
            raise ClaudeFailed(f"Claude Code printed a line of more than {self._max_line} bytes")

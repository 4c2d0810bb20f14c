#!/usr/bin/env python3
"""A stand-in for the `claude` binary, for what the real one cannot be made to do.

It reads its plan from `stub-plan.json` in its working directory (a list of steps, see `STEPS`), acts it out, and writes
what it was given to `stub-seen.json` there: its arguments, its environment, and each line of its stdin so far. It
needs nothing but the standard library and prints nothing that the plan does not say.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLAN, SEEN = "stub-plan.json", "stub-seen.json"

_input: list[str] = []
_changed = threading.Condition()
_input_closed = False


def main() -> int:
    plan = json.loads(Path(PLAN).read_text("utf-8"))
    if not any("deaf" in step for step in plan):
        threading.Thread(target=_listen, daemon=True).start()
    _note()
    for step in plan:
        ((name, value),) = step.items()
        STEPS[name](value)
    sys.stdout.flush()
    return 0


def _listen() -> None:
    global _input_closed  # noqa: PLW0603 -- the program has one stdin
    for line in sys.stdin:
        with _changed:
            _input.append(line)
            _note()
            _changed.notify_all()
    with _changed:
        _input_closed = True
        _changed.notify_all()


def _note() -> None:
    """Leave what is known so far, at once or not at all (a reader may come at any moment)."""
    with _changed:
        seen = {"argv": sys.argv[1:], "environ": dict(os.environ), "pid": os.getpid(), "stdin": _input}
        unfinished = Path(f"{SEEN}.{os.getpid()}")
        unfinished.write_text(json.dumps(seen), "utf-8")
        unfinished.replace(SEEN)


def _lines(documents: list[Any]) -> None:
    """Print each document as a line of JSON."""
    sys.stdout.write("".join(json.dumps(document) + "\n" for document in documents))
    sys.stdout.flush()


def _raw(text: str) -> None:
    """Print a text as it stands; nothing is added."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _fill(size: int) -> None:
    """Print so many bytes without a line end."""
    sys.stdout.flush()
    chunk = b"x" * 65536
    while size > 0:
        size -= sys.stdout.buffer.write(chunk[:size])
    sys.stdout.buffer.flush()


def _repeat(what: dict[str, Any]) -> None:
    """Print the document `line` `times` times, with `pause` seconds after each."""
    for _ in range(what["times"]):
        _lines([what["line"]])
        time.sleep(what.get("pause", 0))


def _stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _await_input(count: int) -> None:
    """Wait for so many lines on stdin."""
    with _changed:
        _changed.wait_for(lambda: len(_input) >= count or _input_closed)


def _await_file(name: str) -> None:
    """Wait for a file of this name in the working directory: the test says when to go on."""
    while not Path(name).exists():
        time.sleep(0.01)


def _await_end_of_input(_: Any) -> None:
    with _changed:
        _changed.wait_for(lambda: _input_closed)


def _converse(turns: int) -> None:
    """Answer so many turns by repeating what was said, and every control request until then, or until stdin ends."""
    seen, taken = 0, 0
    while taken < turns:
        with _changed:
            _changed.wait_for(lambda: len(_input) > seen or _input_closed)  # noqa: B023 -- called here and now
            if len(_input) == seen:
                return
            message = json.loads(_input[seen])
        seen += 1
        if message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            _lines([{"type": "control_response", "response": response}])
        elif message["type"] == "user":
            taken += 1
            _lines(_turn(message["message"]["content"], taken))


def _turn(text: str, number: int) -> list[Any]:
    """What the CLI says in a turn of one message."""
    session, message = f"session-{os.getpid()}", f"message-{number}"
    said = {"id": message, "role": "assistant", "model": "stub", "content": [{"type": "text", "text": text}]}
    usage = {"input_tokens": 10, "output_tokens": 5}
    end = {"subtype": "success", "is_error": False, "num_turns": 1, "stop_reason": "end_turn", "result": text}
    return [
        {"type": "system", "subtype": "session_state_changed", "state": "running"},
        {"type": "system", "subtype": "init", "session_id": session, "model": "stub"},
        {"type": "assistant", "message": said, "parent_tool_use_id": None, "uuid": f"{session}-{number}"},
        {"type": "result", **end, "usage": usage, "session_id": session},
        {"type": "system", "subtype": "session_state_changed", "state": "idle"},
    ]


def _ignore(names: list[str]) -> None:
    """Ignore these signals."""
    for name in names:
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def _grandchild(what: dict[str, Any]) -> None:
    """Start a process that sleeps for `seconds`: it holds stdout, and with `own_group` it is in a group of its own."""
    own_group = bool(what.get("own_group"))
    subprocess.Popen(["sleep", str(what["seconds"])], stdin=subprocess.DEVNULL, start_new_session=own_group)


def _close_stdout(_: Any) -> None:
    sys.stdout.flush()
    os.close(1)


def _kill_self(number: int) -> None:
    sys.stdout.flush()
    os.kill(os.getpid(), number)


def _exit(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)


def _nothing(_: Any) -> None:
    """For `deaf`, which is read before the plan begins: stdin is never read."""


STEPS: dict[str, Callable[[Any], None]] = {
    "await_end_of_input": _await_end_of_input,
    "await_file": _await_file,
    "await_input": _await_input,
    "close_stdout": _close_stdout,
    "converse": _converse,
    "deaf": _nothing,
    "exit": _exit,
    "fill": _fill,
    "grandchild": _grandchild,
    "ignore": _ignore,
    "kill_self": _kill_self,
    "lines": _lines,
    "raw": _raw,
    "repeat": _repeat,
    "sleep": time.sleep,
    "stderr": _stderr,
}

if __name__ == "__main__":
    sys.exit(main())

"""Ask the running gateway one question."""

from __future__ import annotations

from collections.abc import Callable

from ccapi.client import gateway
from ccapi.client.question import Question, text_part
from ccapi.wire.events import Notice, RunFailed, RunFinished
from ccapi.wire.transcript import Transcript


def ask(
    base_url: str,
    prompt: str,
    *,
    model: str,
    api_key: str | None = None,
    on_text: Callable[[str], None],
    on_comment: Callable[[str], None] = lambda _: None,
) -> RunFinished:
    """Hand over the transcript as it comes, which is what the Chat Completions API has as content, byte for byte.

    How the run ended is told at last: session, tokens, cost. An exception in between (Ctrl-C) ends the run on the
    server, and has a note that says how that went.
    """
    transcript = Transcript()
    with gateway.ask(base_url, Question((text_part(prompt),), model), api_key=api_key) as answer:
        for event in answer:
            if isinstance(event, gateway.Tick):
                continue
            if isinstance(event, Notice):
                on_comment(event.message)
            elif text := transcript.feed(event):
                on_text(text)
            if isinstance(event, RunFailed):
                raise event.error
            if isinstance(event, RunFinished):
                return event
    raise AssertionError("an answer without an end")

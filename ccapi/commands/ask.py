"""Ask the running gateway one question."""

from __future__ import annotations

from collections.abc import Callable

from ccapi.client import gateway


def ask(
    base_url: str,
    prompt: str,
    *,
    model: str,
    on_text: Callable[[str], None],
    on_comment: Callable[[str], None] = lambda _: None,
) -> None:
    """Hand over the transcript as it comes. An exception in between (Ctrl-C) ends the run on the server."""
    with gateway.ask(base_url, prompt, model=model) as deltas:
        for delta in deltas:
            if delta.text:
                on_text(delta.text)
            else:
                on_comment(delta.comment)

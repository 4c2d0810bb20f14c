"""What Open WebUI asks beside the conversation: for a title, tags, follow-up questions, search queries, and the like.

Each is a request of its own after (or before) an answer. As agent runs they would cost more than the answer itself, use
tools for a title, and leave a session each. They are recognised by what their templates have in common through all
versions, so a person who asks for a title is not: the template is the whole message, it begins with a certain sentence
*and* asks for a certain form, and it brings the conversation in an element of its own.

Source: Open WebUI, `backend/open_webui/config.py` (`DEFAULT_*_PROMPT_TEMPLATE`), and `constants.py` (`TASKS`) for the
values of the header X-OpenWebUI-Task.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ccapi.gateway.question import Question

# "### Task:", then what to do; the answer's form; and the conversation at the end. A custom template that keeps this
# frame is known, too.
_FRAME = re.compile(r"\s*### Task:\s")
_FORM = re.compile(
    r"""JSON\ format:\s*\{\s*"(?:title|tags|follow_ups)"
    |   \{\s*"queries":\s*\[
    |   Strictly\ return\ in\ JSON\ format:\s*\{\s*"prompt"
    |   You\ are\ an\ autocompletion\ system""",
    re.VERBOSE,
)
_CONVERSATION = "<chat_history>"
_ENDS = ("</chat_history>", "#### Output:")  # the latter: autocompletion

# What came before that frame, and what never had it.
_TITLE = re.compile(
    r"\s*Create a concise, 3-5 word (?:title|phrase)\b.{0,200}\bas (?:a|the) (?:title|header) for the\b"
)
_TITLE_FORM = "RESPOND ONLY WITH THE TITLE TEXT"
_EMOJI = re.compile(r"\s*Your task is to reflect the speaker's likely facial expression through a fitting emoji\.")
_CHOICE = re.compile(
    r"\s*Available Tools: .*Your task is to choose and return the correct tool\(s\) from the list of available tools",
    re.DOTALL,
)

# Without `moa_response_generation`: that is the answer itself.
_TASKS = frozenset(
    f"{kind}_generation" for kind in ("title", "tags", "follow_up", "query", "autocomplete", "emoji", "image_prompt")
) | {"function_calling"}


def is_background_task(question: Question, task: str | None = None) -> bool:
    """Whether a client asks for itself, not for its user. `task` is the header X-OpenWebUI-Task."""
    if task in _TASKS:
        return True
    if question.history or question.json_schema or not isinstance(question.turn, str):
        return False
    text = question.turn
    if _framed(text) or _EMOJI.match(text) or _CHOICE.match(question.system or ""):
        return True
    return _TITLE.match(text) is not None and _TITLE_FORM in text[:1000]


def _framed(text: str) -> bool:
    if not _FRAME.match(text) or _CONVERSATION not in text or not text.rstrip().endswith(_ENDS):
        return False
    return _FORM.search(text.partition(_CONVERSATION)[0]) is not None  # not in what the user said


def lighten(question: Question, small_model: str | None) -> Question:
    """The same question, answered in one step without tools or a session; by the small model, if there is one."""
    return replace(
        question,
        model=small_model or question.model,
        session_id=None,
        tools=(),
        denied_tools=(),
        permission_mode=None,
        max_turns=1,
        effort="low",
        transcript="final",
        persist=False,
    )

"""What Open WebUI asks for itself is told from what its user asks, by templates of all its versions."""

from __future__ import annotations

import pytest

from ccapi.gateway.background import is_background_task, lighten
from ccapi.gateway.question import Question, Turn

HISTORY = "<chat_history>\nUSER: How do tags work?\nASSISTANT: Like this.\n</chat_history>"


def framed(task: str, form: str, end: str = f"### Chat History:\n{HISTORY}") -> str:
    return f"### Task:\n{task}\n\n### Guidelines:\n- Be concise.\n\n### Output:\n{form}\n\n{end}"


# The first and the last lines of Open WebUI's templates, as they are in its versions from 0.3 on.
TEMPLATES = {
    "title": framed("Generate a concise title summarizing the chat history.", 'JSON format: { "title": "your title" }'),
    "title, with an emoji": framed(
        "Generate a concise, 3-5 word title with an emoji summarizing the chat history.",
        'JSON format: { "title": "your title" }',
    ),
    "tags": framed(
        "Generate 1-3 broad tags categorizing the main themes of the chat history, along with 1-3 more specific ones.",
        'JSON format: { "tags": ["tag1", "tag2", "tag3"] }',
    ),
    "follow-ups": framed(
        "Suggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next",
        'JSON format: { "follow_ups": ["Question 1?", "Question 2?", "Question 3?"] }',
    ),
    "queries": framed(
        "Analyze the chat history to determine the necessity of generating search queries, in the given language.",
        'Strictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}',
    ),
    "image prompt": framed(
        "Generate a detailed prompt for am image generation task based on the given language and context.",
        'Strictly return in JSON format:\n{\n    "prompt": "Your detailed description here."\n}',
    ),
    "autocompletion": (
        "### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on the **completion type**.\n"
        f"### Context:\n{HISTORY}\n<type>General</type>  \n<text>The sun was</text>  \n#### Output:\n"
    ),
    "a title, before there were tasks": (
        "Create a concise, 3-5 word title with an emoji as a title for the chat history, in the given language. "
        "Suitable Emojis for the summary can be used to enhance understanding but avoid quotation marks. "
        f"RESPOND ONLY WITH THE TITLE TEXT.\n\nExamples of titles:\n📉 Stock Market Trends\n\n{HISTORY}"
    ),
    "a title for a prompt": (
        "Create a concise, 3-5 word title with an emoji as a title for the prompt in the given language. "
        "Suitable Emojis can be used. RESPOND ONLY WITH THE TITLE TEXT.\n\nPrompt: How do tags work?"
    ),
    "emoji": (
        "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret "
        "emotions from the message and reflect their facial expression.\n\nMessage: ```hello```"
    ),
}  # fmt: skip

FRAME = 'Generate a title for it.\n### Output:\nJSON format: { "title": "..." }'


def asked(text: str, **fields: object) -> Question:
    return Question(model="sonnet", turn=text, **fields)  # type: ignore[arg-type] # any of its fields


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_recognised(name: str) -> None:
    """Also with the line ends of another system."""
    assert is_background_task(asked(TEMPLATES[name]))
    assert is_background_task(asked(f"\n{TEMPLATES[name]}\n"))
    assert is_background_task(asked(TEMPLATES[name].replace("\n", "\r\n")))


def test_the_choice_of_a_tool_is_recognised() -> None:
    """Open WebUI's own way of calling functions: by a system message."""
    system = (
        "Available Tools: []\n\nYour task is to choose and return the correct tool(s) from the list of available tools"
    )
    assert is_background_task(asked("Query: what is the weather?", system=f"{system} based on the query."))


@pytest.mark.parametrize(
    "text",
    [
        "Generate a concise title summarizing the chat history.",
        "Create a concise, 3-5 word title with an emoji as a title for the blog post about Open WebUI",
        "### Task:\nWrite a function that parses titles.\n### Output:\nPython code",
        f"### Task:\n{FRAME}",
        f"### Task:\nSummarise this chat.\n### Chat History:\n{HISTORY}",
        f"### Task:\nExplain how this prompt works.\n{HISTORY.replace('Like this.', FRAME)}",
        f"Explain this template:\n\n{TEMPLATES['title']}",
        f"{TEMPLATES['title']}\n\nWhy does this template not work?",
        f"{TEMPLATES['tags']}\nPlease fix the file tags.py accordingly.",
        "Your task is to find the bug in emoji.py",
        "Available Tools: Your task is to choose and return the correct tool(s) from the list of available tools",
        "",
    ],
)
def test_what_a_person_asks_is_left_alone(text: str) -> None:
    """About titles, about these templates, or in a like form."""
    assert not is_background_task(asked(text))


def test_a_template_is_the_whole_request() -> None:
    """In a conversation, with images, or with a schema of its own, it is somebody's question."""
    text = TEMPLATES["title"]
    assert not is_background_task(asked(text, history=(Turn("user", "a"), Turn("assistant", "b"))))
    assert not is_background_task(asked(text, json_schema="{}"))
    assert not is_background_task(Question(model="sonnet", turn=[{"type": "text", "text": text}]))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        *((name, True) for name in ("title_generation", "tags_generation", "follow_up_generation", "query_generation")),
        *((name, True) for name in ("emoji_generation", "autocomplete_generation", "function_calling")),
        ("moa_response_generation", False),  # the answer itself, made of several
        *((name, False) for name in ("", "{{TASK}}", "chat", "None", None)),
    ],
)
def test_the_header_tells(task: str | None, expected: bool) -> None:
    """X-OpenWebUI-Task, for who has it sent: whatever the text."""
    assert is_background_task(asked("hello"), task) is expected


def test_long_texts_are_decided_at_once() -> None:
    """No pattern takes more than a look at each character."""
    for text in (
        "### Task:\n" * 100_000,
        "### Task: " + "<chat_history>" * 100_000,
        "Create a concise, 3-5 word title " * 50_000,
    ):
        assert not is_background_task(asked(text))
    assert not is_background_task(asked("x", system="Available Tools: " * 100_000))


def test_what_is_light() -> None:
    """One step without tools and traces; what was asked stays."""
    question = asked(
        TEMPLATES["title"], session_id="s", workspace="a", user="u", tools=("Bash",), max_turns=9, effort="max"
    )
    light = lighten(question, "haiku")
    assert (light.model, light.tools, light.max_turns, light.transcript, light.persist) == (
        "haiku",
        (),
        1,
        "final",
        False,
    )
    assert (light.turn, light.workspace, light.user, light.session_id) == (question.turn, "a", "u", None)
    assert lighten(question, None).model == "sonnet"

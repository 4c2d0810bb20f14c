"""docs/clients.md: what can be run here is, as it stands; of the rest, what the gateway has to do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.readme import Page, below, check_answer, content_of
from tests.cli.support import DEADLINE
from tests.docs.readers import Reader, reader

PAGE = Page("docs/clients.md")
COUNT = 1  # the number of its question in `check_answer`


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody with a gateway."""
    with reader(tmp_path_factory.mktemp("clients")) as person:
        yield person


def test_curl(person: Reader) -> None:
    """The stream is the whole answer."""
    (answer,) = person.shell(below(PAGE, "curl"))
    check_answer(COUNT, content_of(answer))


def test_openai(person: Reader) -> None:
    """The last words only, as the model's name asks for; and the package finds the gateway by its variables."""
    (printed,) = person.python(PAGE, "openai for Python")
    assert printed.startswith("Python files in this directory: 1")
    assert "---" not in printed
    exported, models = person.shell(below(PAGE, "openai for Python"))
    assert exported == ""
    assert models == "['sonnet', 'opus', 'haiku']\n"


def test_langchain(person: Reader) -> None:
    """The transcript in pieces; through the Responses API each step as a block."""
    streamed, blocks = person.python(PAGE, "LangChain")
    check_answer(COUNT, streamed)
    kinds = [line.split(":")[0] for line in blocks.splitlines() if line.startswith(("said:", "called:", "result:"))]
    assert kinds == ["said", "called", "result", "said", "called", "result", "said"]
    assert "called: Bash {'command'" in blocks


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_with_a_schema(method: str, person: Reader) -> None:
    """The one way reaches Claude Code as a schema, the other brings a function and is refused."""
    from langchain_openai import ChatOpenAI
    from openai import BadRequestError, InternalServerError
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str

    model = ChatOpenAI(
        base_url=f"{person.running.url}/v1",
        api_key="not-needed",  # type: ignore[arg-type] # as the page has it
        model="sonnet",
        max_retries=0,
    ).with_structured_output(Person, method=method)  # type: ignore[arg-type] # one of its own names
    # The scripted model knows no schema but the rehearsal's own, so that the gateway says it did not fit.
    expected = (BadRequestError, "not run") if method == "function_calling" else (InternalServerError, "JSON schema")
    with pytest.raises(expected[0], match=expected[1]):
        model.invoke("Who?")


def test_open_webui(person: Reader) -> None:
    """What the page warns of is what the gateway says; what it asks in the background is recognised."""
    tool = {"type": "function", "function": {"name": "search_notes", "parameters": {"type": "object"}}}
    body = {"model": "sonnet", "messages": [{"role": "user", "content": "Hello"}], "tools": [tool]}
    url = f"{person.running.url}/v1/chat/completions"
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        refused = client.post(url, json=body)
        title = client.post(url, json={**body, "tools": []}, headers={"X-OpenWebUI-Task": "title_generation"})
    assert refused.status_code == 400
    said = refused.json()["error"]["message"]
    assert "functions of the client are not run" in said
    assert "functions of the\nclient are not run" in PAGE.prose
    assert "haiku" in title.headers["X-CCAPI-Model"]


def test_keys(person: Reader) -> None:
    """Others than this machine's programs come with a key."""
    key, required = person.shell(below(PAGE, "In containers, on other machines"))
    assert key.startswith("ccapi-")
    assert required == ""
    assert person.settings().value("api.require_key")


def test_the_names_in_the_stacks_network() -> None:
    """Another container finds the gateway where the page says."""
    compose = Page("templates/compose/docker-compose.yml").text
    assert "container_name: ${CCAPI_STACK:-claude-code-api}" in compose
    assert "networks: [default]" in compose
    assert re.search(r"network `claude-code-api_default`, address `http://claude-code-api:8000/v1`", PAGE.prose)
    assert "target: 8000" in compose

"""`/v1/sessions`: what the real Claude Code kept, for its owner and nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccapi.commands import keys
from ccapi.gateway import schemas
from ccapi.gateway.sessions import items
from ccapi.paths import Home
from ccapi.wire.keys import Policy
from tests.gateway.harness import Gateway, await_that, body, claudes, gateway

SCENARIO = """
description = "An echo; large outputs; a step; silence."

[[turn]]
when.results = 0
when.prompt = "large"
[[turn.step]]
text = "I'll count."
[[turn.step]]
tool = "Bash"
input.command = "seq 1 20000"
input.description = "Count"

[[turn]]
when.results = 0
when.prompt = "small"
[[turn.step]]
thinking = "A small one."
[[turn.step]]
text = "I'll say it."
[[turn.step]]
tool = "Bash"
input.command = "echo it"
input.description = "Say it"

[[turn]]
when.prompt = "slow"
[[turn.step]]
text = "It begins."
[[turn.step]]
pause = 60

[[turn]]
[[turn.step]]
text = "You said: @{prompt}"
"""
COUNTED = "".join(f"{number}\n" for number in range(1, 20001)).encode()


@dataclass
class Client:
    """A key's holder. `key` None: no key."""

    running: Gateway
    key: str | None = None

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with self.running.client() as client:
            return client.request(method, path, headers=headers, **options)

    def get(self, path: str, **query: Any) -> Any:
        response = self.send("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, prompt: Any, **fields: Any) -> str:
        """The session in which it was answered."""
        response = self.send("POST", "/v1/chat/completions", json=body(prompt, **fields))
        assert response.status_code == 200, response.text
        return str(response.json()["session_id"])

    def result_path(self, session: str) -> str:
        """The route to the whole output of the session's only tool."""
        [call] = [item for item in self.get(f"/v1/sessions/{session}")["items"] if item["type"] == "mcp_call"]
        return f"/v1/sessions/{session}/tool-results/{call['id']}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sessions")
    (home / "scenario.toml").write_text(SCENARIO)
    return home


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Gateway]:
    """One gateway that requires a key; each test has keys, and thereby sessions, of its own."""
    keys.create(Home(str(home / "ccapi")), None, Policy(), print)
    with gateway(
        home / "gateway",
        str(home / "scenario.toml"),
        speed=1.0,
        require_key=True,
        keys_dir=home / "ccapi" / "state" / "keys",
        pool_sessions=2,
    ) as started:
        yield started


@pytest.fixture
def client(running: Gateway, home: Path) -> Client:
    return another(running, home)


def another(running: Gateway, home: Path, **policy: Any) -> Client:
    """The holder of a new key."""
    return Client(running, keys.create(Home(str(home / "ccapi")), None, Policy(**policy), print).key)


def config(running: Gateway) -> Path:
    return Path(running.settings.environ["CLAUDE_CONFIG_DIR"])


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()["error"]
    return found


# --- listing


def test_sessions_are_listed_with_the_last_used_first(client: Client) -> None:
    """In OpenAI's shape, page by page."""
    assert client.get("/v1/sessions") == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip
    one, two, three = (client.ask(f"{word} question") for word in ("first", "second", "third"))
    client.ask("once more", metadata={"session_id": one})
    page = client.get("/v1/sessions", limit=2)
    schemas.SessionList.model_validate(page)
    assert [session["id"] for session in page["data"]] == [one, three]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (one, three, True)
    rest = client.get("/v1/sessions", limit=2, after=page["last_id"])
    assert [session["id"] for session in rest["data"]] == [two]
    assert not rest["has_more"]
    first = page["data"][0]
    assert (first["title"], first["turns"], first["workspace"]) == ("first question", 2, ".")
    assert first["created_at"] <= first["last_used_at"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "٣", "9" * 5000])
def test_a_page_has_one_to_a_hundred(client: Client, limit: str) -> None:
    """Anything else is a mistake that the answer names."""
    assert error(client.send("GET", "/v1/sessions", params={"limit": limit}), 400)["param"] == "limit"


def test_a_page_after_nothing_is_a_mistake(client: Client, running: Gateway, home: Path) -> None:
    """An empty page would look like the end. Another's session is as good as none."""
    theirs = another(running, home).ask("hello")
    for after in (theirs, "unknown", ""):
        assert error(client.send("GET", "/v1/sessions", params={"after": after}), 400)["param"] == "after"


# --- reading


def test_a_session_is_read_as_items(client: Client) -> None:
    """What was said and done, in order, as the Responses API would have said it."""
    session = client.ask("a small one")
    document = client.get(f"/v1/sessions/{session}")
    schemas.SessionWithItems.model_validate(document)
    kinds = [item.get("role") or item.get("name") or item["type"] for item in document["items"]]
    assert kinds == ["user", "reasoning", "assistant", "Bash", "assistant"]
    asked, _, said, call, answered = document["items"]
    assert asked["content"] == [{"type": "input_text", "text": "a small one"}]
    assert said["content"][0]["text"] == "I'll say it."
    assert (call["output"], call["status"]) == ("it", "completed")
    assert answered["content"][0]["text"] == "You said: a small one"
    assert document["truncated"] is False
    assert document["turns"] == 1


def test_the_items_of_a_fork_are_what_was_said_up_to_it_and_in_it(client: Client) -> None:
    """And those of the session are not changed by it."""
    session = client.ask("one")
    earlier = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "You said: one"}]
    assert client.ask([*earlier, {"role": "user", "content": "two"}]) == session
    fork = client.ask([*earlier, {"role": "user", "content": "other two"}])
    assert fork != session

    def said(name: str) -> list[str]:
        return [item["content"][0]["text"] for item in client.get(f"/v1/sessions/{name}")["items"]]

    assert said(session) == ["one", "You said: one", "two", "You said: two"]
    assert said(fork) == ["one", "You said: one", "other two", "You said: other two"]


@pytest.mark.parametrize(
    ("shown", "texts"),
    [("text", ["I'll say it.", "You said: a small one"]), ("final", ["You said: a small one"])],
)
def test_a_key_is_shown_no_more_than_its_policy_says(
    running: Gateway, home: Path, shown: str, texts: list[str]
) -> None:
    """What was hidden in the answer is not found here."""
    client = another(running, home, transcript=shown)
    document = client.get(f"/v1/sessions/{client.ask('a small one')}")
    assert "mcp_call" not in {item["type"] for item in document["items"]}
    messages = [item for item in document["items"] if item["type"] == "message"]
    assert [item["content"][0]["text"] for item in messages[1:]] == texts
    assert "echo it" not in json.dumps(document)


def test_what_the_cli_says_itself_is_no_item() -> None:
    """Its notes to the model, summaries, notifications; and a line that makes no sense does not spoil the rest."""

    def entry(kind: str, content: Any, **fields: Any) -> dict[str, Any]:
        message = {"id": "msg_1", "model": "sonnet", "content": content}
        return {"type": kind, "uuid": "01-02", "message": message, **fields}

    odd: list[Any] = [None, 1, {}, [1, None], [[]]]
    said = list(
        items(
            [
                entry("user", [{"type": "text", "text": "see"}, {"type": "image", "source": {"data": "AAAA"}}]),
                entry("user", [{"type": "text", "text": "[Image: source: /tmp/x.png]"}], isMeta=True),
                entry("assistant", [{"type": "text"}]),
                entry("assistant", "nonsense"),
                *(entry(kind, content) for kind in ("user", "assistant") for content in odd),
                entry("assistant", [{"type": "text", "text": "A dot."}]),
                entry("user", "<task-notification>", origin={"kind": "task-notification"}),
                entry("user", "a summary", isCompactSummary=True),
                entry("user", [{"type": "document", "title": "a.pdf"}]),
            ],
            "sonnet",
        )
    )
    assert [item["role"] for item in said] == ["user", "assistant", "user"]
    assert said[0]["content"][1] == {"type": "input_image", "detail": "auto", "file_id": None, "image_url": None}
    assert said[1]["content"][0]["text"] == "A dot."
    assert said[2]["content"] == [{"type": "input_file", "file_id": None, "filename": "a.pdf"}]


# --- whose they are


def test_another_owners_session_is_one_that_does_not_exist(client: Client, running: Gateway, home: Path) -> None:
    """On every route, word for word; and it stays as it was."""
    session = client.ask("a large one")
    result = client.result_path(session)
    unknown = "00000000-0000-4000-8000-000000000000"
    other = another(running, home)
    for method, path in (("GET", f"/v1/sessions/{session}"), ("DELETE", f"/v1/sessions/{session}"), ("GET", result)):
        foreign = other.send(method, path)
        assert error(foreign, 404)["code"] == "session_not_found"
        assert foreign.content == other.send(method, path.replace(session, unknown)).content
    named = other.send("POST", "/v1/chat/completions", json=body("hi", metadata={"session_id": session}))
    assert error(named, 404)["code"] == "session_not_found"
    assert other.get("/v1/sessions")["data"] == []
    assert client.send("GET", result).content == COUNTED


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sessions/..%2F..%2Fetc%2Fpasswd",
        "/v1/sessions/%00",
        "/v1/sessions/%ED%A0%80",
        "/v1/sessions/*",
        "/v1/sessions/" + "x" * 3000,
        "/v1/sessions/{session}/tool-results/..%2F..%2F{session}.jsonl",
        "/v1/sessions/{session}/tool-results/%2Fetc%2Fpasswd",
        "/v1/sessions/{session}/tool-results/toolu_unknown",
        "/v1/sessions/{session}/tool-results/%00",
        "/v1/sessions/{session}/tool-results/",
        "/v1/sessions/{session}/tool-results",
    ],
)
def test_no_path_leads_anywhere_else(client: Client, path: str) -> None:
    """404 in the one shape."""
    session = client.ask("hello")
    assert error(client.send("GET", path.format(session=session)), 404)["type"] == "invalid_request_error"


# --- deleting


def test_a_deleted_session_is_gone(client: Client, running: Gateway) -> None:
    """With its files, its kept process and what was known of its history; the conversation can begin anew."""
    others = set(claudes(running.workspace))
    session = client.ask("one")
    [kept] = set(claudes(running.workspace)) - others
    assert list(config(running).rglob(f"*{session}*"))
    assert client.send("DELETE", f"/v1/sessions/{session}").json() == {
        "id": session, "object": "session", "deleted": True,
    }  # fmt: skip
    assert list(config(running).rglob(f"*{session}*")) == []
    assert kept not in running.processes()
    for method in ("GET", "DELETE"):
        assert error(client.send(method, f"/v1/sessions/{session}"), 404)["code"] == "session_not_found"
    assert client.get("/v1/sessions")["data"] == []
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "You said: one"}]
    assert client.ask([*history, {"role": "user", "content": "two"}]) != session
    assert list(config(running).rglob(f"*{session}*")) == []


def test_a_session_in_use_is_not_deleted(client: Client) -> None:
    """Its run would go on without it. Once it has ended, the session can be deleted."""
    session = client.ask("one")
    began, go_on = threading.Event(), threading.Event()

    def run() -> None:
        headers = {"Authorization": f"Bearer {client.key}"}
        slow = body("a slow one", stream=True, metadata={"session_id": session})
        with (
            client.running.client() as http,
            http.stream("POST", "/v1/chat/completions", json=slow, headers=headers) as response,
        ):
            for line in response.iter_lines():
                if "begins" in line:
                    began.set()
                    go_on.wait(30)
                    return

    thread = threading.Thread(target=run)
    thread.start()
    assert began.wait(30)
    refused = client.send("DELETE", f"/v1/sessions/{session}")
    said = client.get(f"/v1/sessions/{session}")["items"]
    go_on.set()
    thread.join()
    assert error(refused, 409)["code"] == "session_in_use"
    assert [item["role"] for item in said] == ["user", "assistant"]
    await_that(
        lambda: client.send("DELETE", f"/v1/sessions/{session}").status_code == 200, "the end of the run that was left"
    )


# --- the whole of a tool's output


def test_a_large_output_is_given_whole(client: Client) -> None:
    """The conversation has a part of it; here is all, as nothing that a browser would render."""
    session = client.ask("a large one")
    response = client.send("GET", client.result_path(session))
    assert response.status_code == 200
    assert response.content == COUNTED
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="')
    [call] = [item for item in client.get(f"/v1/sessions/{session}")["items"] if item["type"] == "mcp_call"]
    assert call["ccapi"]["full_size"] == len(COUNTED)
    assert len(call["output"]) < len(COUNTED)


def test_a_small_output_has_no_file(client: Client) -> None:
    """It is in the conversation already."""
    assert error(client.send("GET", client.result_path(client.ask("a small one"))), 404)["code"] == "not_found"


def test_an_output_belongs_to_one_session(client: Client) -> None:
    """Not to another one of the same owner."""
    session, other = client.ask("a large one"), client.ask("another large one")
    path = client.result_path(session)
    assert error(client.send("GET", path.replace(session, other)), 404)["code"] == "not_found"


@pytest.mark.parametrize("trick", ["link", "gone"])
def test_only_what_the_cli_wrote_is_given(client: Client, running: Gateway, home: Path, trick: str) -> None:
    """The agent can replace the file: by a link to one that only the gateway should read, for instance."""
    session = client.ask("a large one")
    path = client.result_path(session)
    [file] = config(running).glob(f"projects/*/{session}/tool-results/*")
    file.unlink()
    if trick == "link":
        file.symlink_to(home / "ccapi" / "state" / "keys" / "keys.json")
    assert error(client.send("GET", path), 404)["code"] == "not_found"


def test_outputs_are_not_for_a_key_that_is_shown_none(running: Gateway, home: Path) -> None:
    """Its policy hides what tools return."""
    client = another(running, home, transcript="text")
    session = client.ask("a large one")
    response = client.send("GET", f"/v1/sessions/{session}/tool-results/toolu_1")
    assert error(response, 403)["code"] == "not_permitted"

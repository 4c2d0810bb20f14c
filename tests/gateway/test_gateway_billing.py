"""Who pays for an answer: what the real CLI lets know of it under every sign-in, and what is made of that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent.launch import Launch, child_environment, child_secrets, find_claude
from ccapi.gateway.billing import Payer
from ccapi.gateway.readiness import Readiness
from tests.gateway.harness import Gateway, await_that, gateway, in_thread, scripted

KEY = {"ANTHROPIC_API_KEY": "sk-ant-api03-test"}
TOKEN = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test"}
BEARER = {"ANTHROPIC_AUTH_TOKEN": "test"}
HELPER = {"apiKeyHelper": "echo sk-ant-api03-helper"}
BEDROCK = {"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "us-east-1"}}


def login() -> dict[str, Any]:
    """What the CLI keeps of a subscription's login that is good for hours."""
    return {
        "claudeAiOauth": {
            "accessToken": "sk-ant-oat01-test",
            "refreshToken": "sk-ant-ort01-test",
            "expiresAt": int((time.time() + 7200) * 1000),
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
        }
    }


@contextmanager
def signed_in(
    directory: Path, environ: Mapping[str, str], *, stored: bool = False, configured: Any = None, **settings: Any
) -> Iterator[Gateway]:
    """A gateway with the real CLI, signed in that way, whose model's API is the scripted one."""
    config = directory / "config"
    config.mkdir()
    if stored:
        (config / ".credentials.json").write_text(json.dumps(login()))
    if configured:
        (config / "settings.json").write_text(json.dumps(configured))
    with in_thread(lambda: scripted("chat")) as model:
        own = {"ANTHROPIC_BASE_URL": model.url, "CLAUDE_CONFIG_DIR": str(config), **environ}
        claude = str(find_claude())
        with gateway(directory / "gateway", environ=own, claude=claude, max_retries=0, **settings) as running:
            yield running


def responses(running: Gateway, prompt: str, **fields: Any) -> dict[str, Any]:
    with running.client() as client:
        document: dict[str, Any] = client.post(
            "/v1/responses", json={"model": "sonnet", "input": prompt, **fields}
        ).json()
    return document


@pytest.mark.parametrize(
    ("environ", "more", "billing"),
    [
        pytest.param(KEY, {}, "api", id="key"),
        pytest.param(TOKEN, {}, "subscription", id="token"),
        pytest.param({}, {"stored": True}, "subscription", id="login"),
        pytest.param(KEY, {"stored": True}, "api", id="key-over-login"),
        pytest.param({}, {"configured": HELPER}, "api", id="helper"),
        pytest.param(BEARER, {}, None, id="bearer"),
        pytest.param({**BEARER, **KEY}, {}, None, id="bearer-over-key"),
    ],
)
def test_who_pays_is_said_in_both_apis(
    tmp_path: Path, environ: dict[str, str], more: dict[str, Any], billing: str | None
) -> None:
    """With the first answer. Whoever issued a bearer token is nobody's guess: then nothing is said."""
    with signed_in(tmp_path, environ, **more) as running:
        assert running.chat("hello")["ccapi"].get("billing") == billing
        assert responses(running, "hello")["ccapi"].get("billing") == billing
        assert running.stream("hello").chunks[-1]["ccapi"].get("billing") == billing


def test_a_process_that_goes_on_still_knows(tmp_path: Path) -> None:
    """The CLI says it once in its life; the second turn in the same process has it as well."""
    with signed_in(tmp_path, {}, stored=True, pool_sessions=1) as running:
        first = responses(running, "hello")
        second = responses(running, "and again", previous_response_id=first["id"])
        assert [one["ccapi"]["billing"] for one in (first, second)] == ["subscription", "subscription"]
        assert 'start="live"' in metrics(running), "the second turn was to be in the same process"


def metrics(running: Gateway) -> str:
    with running.client() as client:
        return client.get("/metrics").text


def test_a_scripted_model_is_paid_by_nobody(tmp_path: Path) -> None:
    """Although Claude Code is given a key for it."""
    with gateway(tmp_path, "chat", rehearsal="chat") as running:
        assert running.chat("hello")["ccapi"]["billing"] == "none"


def test_another_provider(tmp_path: Path) -> None:
    """The CLI does not say so in a run: it is asked beside the first one, which does not wait for that."""
    with signed_in(tmp_path, {}, configured=BEDROCK) as running:

        def failed() -> dict[str, Any]:
            started = responses(running, "hello", background=True)
            with running.client() as client:

                def now() -> dict[str, Any]:
                    document: dict[str, Any] = client.get(f"/v1/responses/{started['id']}").json()
                    return document if document["status"] == "failed" else {}

                return await_that(now, "the end of the run")

        assert "billing" not in failed()["ccapi"]
        await_that(lambda: failed()["ccapi"].get("billing") == "cloud", "the answer of `claude auth status`")


def test_a_failure_says_what_it_took(tmp_path: Path) -> None:
    """A run that broke off after it had begun has its numbers, too."""
    with gateway(tmp_path, "broken", max_retries=0) as running, running.client() as client:
        asked = {"model": "sonnet", "input": "hello", "stream": True}
        lines = client.post("/v1/responses", json=asked).text.splitlines()
    last = json.loads(next(line for line in reversed(lines) if line.startswith("data: "))[6:])
    response = last["response"]
    assert response["status"] == "failed"
    assert response["ccapi"]["cost_usd"] > 0
    assert response["usage"]["output_tokens"] > 0


# --- what is made of what is known


def launch(tmp_path: Path, environ: Mapping[str, str]) -> Launch:
    environment = child_environment({"CLAUDE_CONFIG_DIR": str(tmp_path), **environ}, max_retries=0)
    return Launch(find_claude(), tmp_path, environment, child_secrets(environ))


@pytest.mark.parametrize(
    ("method", "billing"),
    [
        ("claude.ai", "subscription"),
        ("third_party", "cloud"),
        ("oauth_token", ""),
        ("none", ""),
        ("what comes one day", ""),
        ("", ""),
    ],
)
def test_a_run_of_which_the_cli_says_nothing(tmp_path: Path, method: str, billing: str) -> None:
    """Then counts how `claude auth status` last said that it is signed in, where that leaves no doubt."""
    payer = Payer(scripted=False, launch=lambda: launch(tmp_path, {}), method=lambda: method)
    assert payer.of("") == billing


def test_what_the_cli_says_counts_more(tmp_path: Path) -> None:
    """It knows what it just used. A long-lived token that it does not speak of is a subscription's."""
    payer = Payer(scripted=False, launch=lambda: launch(tmp_path, {}), method=lambda: "claude.ai")
    assert payer.of("api") == "api"
    payer = Payer(scripted=False, launch=lambda: launch(tmp_path, TOKEN), method=lambda: "")
    assert (payer.of(""), payer.of("api")) == ("subscription", "api")


async def test_the_login_that_is_there_now(tmp_path: Path) -> None:
    """Empty until it is known, which nothing waits for; and again once another login is there."""
    file = tmp_path / ".credentials.json"
    file.write_text(json.dumps(login()))
    readiness = Readiness(
        launch(tmp_path, {}), data_dir=tmp_path / "data", slots=lambda: (0, 1, 0), max_queue=1, pool=dict, timeout=30
    )
    try:
        assert readiness.method() == ""
        await readiness.checks()
        assert readiness.method() == "claude.ai"
        file.unlink()
        assert readiness.method() == ""
    finally:
        await readiness.close()

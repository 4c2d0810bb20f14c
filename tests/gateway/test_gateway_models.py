"""Model names."""

from __future__ import annotations

import pytest

from ccapi.errors import InvalidRequest, ModelNotFound
from ccapi.gateway.models import Models, split

MODELS = Models({"gpt-4o": "sonnet", "team/fast": "claude-haiku-5"})


@pytest.mark.parametrize(
    "name",
    [
        *("sonnet", "opus", "haiku", "sonnet[1m]", "opus[1m]"),
        *(
            "claude-3-5-haiku-20241022",
            "claude-sonnet-4-20250514",
            "claude-opus-4-1",
            "claude-2.1",
            "claude-sonnet-5-5[1m]",
        ),
        *("claude-3-5-sonnet@20240620", "claude-something-of-tomorrow"),
    ],
)
def test_aliases_and_any_claude_id_pass_as_they_are(name: str) -> None:
    """Old ones too: whether the API still serves them is the API's business."""
    assert MODELS.resolve(name) == name
    described = {"id": name, "object": "model", "created": 7, "owned_by": "anthropic", "ccapi": {"model": name}}
    assert MODELS.describe(name, 7) == described


@pytest.mark.parametrize(("name", "model"), [("gpt-4o", "sonnet"), ("team/fast", "claude-haiku-5")])
def test_mapped_names_mean_their_model(name: str, model: str) -> None:
    """The settings map other names; they describe themselves by the client's name, and say what it means."""
    assert MODELS.resolve(name) == model
    assert (MODELS.describe(name, 7)["id"], MODELS.describe(f"{name}:text", 7)["ccapi"]) == (name, {"model": model})


@pytest.mark.parametrize("name", ["gpt-4", "claude", "claude-", "Sonnet", "llama3", "x/claude-3", "claude-X"])
def test_other_names_are_not_found(name: str) -> None:
    """404 `model_not_found`, which names the model and says what there is."""
    with pytest.raises(ModelNotFound) as caught:
        MODELS.resolve(name)
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")
    assert "models.map" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "name",
    [
        *("--dangerously-skip-permissions", "-p", "x; id", "$(id)", "`id`", "claude-3\n--flag", "claude-3 --flag", ""),
        *(
            "../../etc/passwd",
            "a" * 200,
            "sonnet\x00",
            "claude-é",
            "claude-\u2028",
            " sonnet",
            "sonnet ",
            "%s",
            "a=b",
            "sonnet[2m]",
            "sonnet[1m][1m]",
        ),
    ],
)
def test_what_is_no_model_name_is_refused(name: str) -> None:
    """400 before anything is looked up or started (G20); the name is not repeated."""
    with pytest.raises(InvalidRequest) as caught:
        MODELS.resolve(name)
    assert (caught.value.status, caught.value.param) == (400, "model")
    assert not name or name not in caught.value.message


def test_the_list_holds_the_aliases_and_the_mapped_names() -> None:
    """Each once, and each can be asked for."""
    assert MODELS.names() == ["sonnet", "opus", "haiku", "gpt-4o", "team/fast"]
    assert Models({"sonnet": "claude-sonnet-5-5"}).names() == ["sonnet", "opus", "haiku"]
    assert Models({"sonnet": "claude-sonnet-5-5"}).resolve("sonnet") == "claude-sonnet-5-5"
    for name in MODELS.names():
        MODELS.describe(name, 0)


# --- a model's name that chooses the transcript, too


@pytest.mark.parametrize(
    ("name", "model", "transcript"),
    [
        ("sonnet", "sonnet", None),
        ("sonnet:final", "sonnet", "final"),
        ("sonnet:text", "sonnet", "text"),
        ("gpt-4o:full", "gpt-4o", "full"),
        ("sonnet[1m]:final", "sonnet[1m]", "final"),
        ("anthropic.claude-3:0", "anthropic.claude-3:0", None),
        ("anthropic.claude-3:0:final", "anthropic.claude-3:0", "final"),
        ("sonnet:Final", "sonnet:Final", None),
        ("sonnet:finale", "sonnet:finale", None),
        ("sonnet:final:text", "sonnet:final", "text"),
        (":final", "", "final"),
        ("final", "final", None),
    ],
)
def test_three_words_after_a_colon_are_a_transcript(name: str, model: str, transcript: str | None) -> None:
    """Other ids hold colons as well, and stay what they are."""
    assert split(name) == (model, transcript)


def test_a_name_with_a_transcript_is_described_by_itself() -> None:
    """Clients look up the name that they are going to ask for."""
    assert MODELS.describe("gpt-4o:final", 0)["id"] == "gpt-4o:final"
    with pytest.raises(ModelNotFound):
        MODELS.describe("gpt-5:final", 0)
    with pytest.raises(InvalidRequest):
        MODELS.describe(":final", 0)

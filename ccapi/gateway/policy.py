"""What the caller may ask: the key's policy and the gateway's own limits, which a request narrows and never widens.

    models           compared by what they mean: a mapped name and its model are the same. An alias (`sonnet`) and a
                     full id are not, as only the CLI knows which one an alias is today.
    transcript       full > text > final
    tools            each that the request names must be covered by the key's: by the same entry, or by a wider one, as
                     `Bash` is wider than `Bash(git *)` and `mcp__github` than `mcp__github__get_me`. Of two rules of
                     one tool none counts as the wider one. What the request forbids is forbidden in any case.
    workspaces       by their names. Who may not use the default, and names none, gets the key's first.
    permission mode  plan < default, dontAsk < acceptEdits < bypassPermissions; at most the gateway's own

A list of tools says which tools there are, not that they run without being asked for: under a permission mode that
denies a tool, naming it does not allow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ccapi.errors import CcapiError, NotPermitted
from ccapi.gateway import background
from ccapi.gateway.models import Models
from ccapi.gateway.question import Question, TranscriptMode
from ccapi.gateway.workspaces import ROOT
from ccapi.wire.keys import Policy

_SHOWN: Mapping[str, int] = {"final": 0, "text": 1, "full": 2}
_FREEDOM: Mapping[str, int] = {"plan": 0, "default": 1, "dontAsk": 1, "acceptEdits": 2, "bypassPermissions": 3}


@dataclass(frozen=True, slots=True)
class Allowed:
    """The gateway's own limits, for everybody, and what it does by default."""

    permission_mode: str = "default"
    small_model: str | None = None  # for what clients ask for themselves; None: the one they ask for
    workspace: str = ROOT  # the default one


def narrow(
    question: Question, policy: Policy, models: Models, allowed: Allowed, *, task: str | None = None
) -> Question:
    """The question as it is going to be asked: what it leaves open is what the policy has for it.

    `task` is the header X-OpenWebUI-Task. Raises `NotPermitted` (and for the model `ModelNotFound` or
    `InvalidRequest`), which name the field. The model stays the client's name for it.
    """
    _check_model(question.model, policy, models)
    if background.is_background_task(question, task):
        small = allowed.small_model
        question = background.lighten(question, small if small and permits_model(small, policy, models) else None)
    return replace(
        question,
        transcript=_transcript(question.transcript, policy.transcript or "full"),
        tools=_tools(question.tools, policy.tools),
        workspace=_workspace(question, policy.workspaces, allowed.workspace),
        permission_mode=_permission_mode(question.permission_mode, allowed.permission_mode),
    )


def permits_model(name: str, policy: Policy, models: Models) -> bool:
    """Whether a model that exists may be used with this key."""
    meant = _meaning(name, models)
    return meant is not None and (policy.models is None or meant in {_meaning(one, models) for one in policy.models})


def _check_model(name: str, policy: Policy, models: Models) -> None:
    models.resolve(name)
    if not permits_model(name, policy, models):
        allowed = ", ".join(policy.models or ()) or "none"
        raise NotPermitted(f"'model': this API key may use: {allowed}", param="model")


def _meaning(name: str, models: Models) -> str | None:
    try:
        return models.resolve(name)
    except CcapiError:  # a key may name a model that is mapped no longer
        return None


def _transcript(asked: TranscriptMode | None, limit: TranscriptMode) -> TranscriptMode:
    if asked is None:
        return limit
    if _SHOWN[asked] > _SHOWN[limit]:
        raise NotPermitted(f"'transcript': this API key is shown '{limit}' at most", param="transcript")
    return asked


def _tools(asked: tuple[str, ...] | None, allowed: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if asked is None or allowed is None:
        return allowed if asked is None else asked
    for number, rule in enumerate(asked):
        if not any(_covers(wide, rule) for wide in allowed):
            param = f"allowed_tools[{number}]"
            may = ", ".join(allowed) or "none"
            raise NotPermitted(f"'{param}': this API key may use the tools: {may}", param=param)
    return asked


def _covers(wide: str, rule: str) -> bool:
    """Whether whatever the second of these allows, the first one does."""
    wide, rule = wide.removesuffix("__*"), rule.removesuffix("__*")
    if wide == rule:
        return True
    if "(" in wide:
        return False
    name = rule.partition("(")[0]
    # `mcp__server` is all tools of that server; `mcp__server__tool` is one.
    return name == wide or (_is_server(wide) and name.startswith(f"{wide}__"))


def _is_server(name: str) -> bool:
    return name.startswith("mcp__") and "__" not in name.removeprefix("mcp__")


def _workspace(question: Question, allowed: tuple[str, ...] | None, default: str) -> str | None:
    asked = question.workspace
    if asked is None:
        if allowed is None or default in allowed or question.session_id:  # a session has its own
            return None
        if not allowed:
            raise NotPermitted("'workspace': this API key may use no workspace", param="workspace")
        return allowed[0]
    # The root holds all workspaces: it is for those whose default it is, or to whom it was given.
    permitted = asked in allowed if allowed is not None else asked != ROOT or default == ROOT
    if not permitted:
        raise NotPermitted("'workspace': that workspace may not be used", param="workspace")
    return asked


def _permission_mode(asked: str | None, own: str) -> str | None:
    if asked is None or asked == own:
        return None  # as the gateway has it
    if _FREEDOM[asked] > _FREEDOM[own]:
        message = f"'permission_mode': this gateway's is '{own}', and a request can only narrow it"
        raise NotPermitted(message, param="permission_mode")
    return asked

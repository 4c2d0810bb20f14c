"""Who pays for an answer, out of what is known by the time it ends: nothing is asked, and nothing waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ccapi.agent.launch import Launch
from ccapi.wire.events import Billing

_BEARER = "ANTHROPIC_AUTH_TOKEN"
_LONG_LIVED = "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"
# By the `authMethod` of `claude auth status`. (Its `oauth_token` may also be a bearer token, of whoever issued that.)
_METHODS: Mapping[str, Billing] = {"claude.ai": "subscription", "third_party": "cloud"}


class Payer:
    """Of one gateway's runs. `launch` and `method` are looked at anew for each run."""

    def __init__(self, *, scripted: bool, launch: Callable[[], Launch], method: Callable[[], str]) -> None:
        """`method`: how `claude auth status` last said that the CLI is signed in; empty if that is not known."""
        self._scripted = scripted
        self._launch = launch
        self._method = method

    def of(self, said: Billing) -> Billing:
        """`said`: what the CLI itself let know during the run. It does for a key and for a subscription."""
        if self._scripted:
            return "none"
        launch = self._launch()
        if _BEARER in launch.environment:  # it wins over all else, and is good for whatever its issuer says
            return ""
        if said:
            return said
        if _LONG_LIVED in launch.secrets:
            return "subscription"
        return _METHODS.get(self._method(), "")

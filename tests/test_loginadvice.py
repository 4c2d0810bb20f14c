"""What is advised about an address at which there is nothing to sign in to."""

from __future__ import annotations

import pytest

from ccapi.commands import loginadvice
from ccapi.wire.internal import Probed

URL = "https://mcp.example.com/mcp?a=1&b=2"
LOOK = f"See for yourself: ccapi shell curl -I '{URL}'"
CA = "ccapi config set stack.ca_file FILE, then ccapi up"
PROXY = "set HTTPS_PROXY, then ccapi up"


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    ("detail", "tls"),
    [
        ("its host is not known", False),
        ("Connection refused", False),
        ("the proxy cannot be reached, or refuses", False),
        ("its TLS certificate is not trusted, or it does not speak TLS", True),
    ],
)
def test_unreachable(detail: str, tls: bool, typed: bool) -> None:
    """The reason, how to look from the container, and what helps; the address itself may well be right."""
    error = loginadvice.unusable(URL, Probed("unreachable", detail), typed=typed)
    assert error.message == f"{URL} cannot be reached from the container: {detail}"
    hint = error.hint or ""
    assert hint.splitlines()[0] == LOOK
    assert (CA in hint) == tls
    assert PROXY in hint
    assert "/mcp" not in hint.replace(URL, "")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_loopback_of_the_container(host: str) -> None:
    """It is not this machine's, and no proxy leads there."""
    hint = loginadvice.unusable(f"http://{host}:3000/mcp", Probed("unreachable", "x"), typed=True).hint or ""
    assert "That is the container itself, not this machine." in hint
    assert PROXY not in hint


def test_no_mcp() -> None:
    """Who typed the address may have mistyped it; the catalogue has not."""
    probed = Probed("no_mcp", "HTTP 404")
    error = loginadvice.unusable(URL, probed, typed=True)
    assert (error.message, error.hint) == (
        f"{URL} is no MCP server: HTTP 404",
        "Check the address: it often ends in /mcp",
    )
    assert loginadvice.unusable(URL, probed, typed=False).hint is None

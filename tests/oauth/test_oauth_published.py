"""A gateway that is published on another address than loopback, and there only: the host's own clients reach it.

The address is 127.0.0.2, which every Linux machine has, and which is as foreign to the gateway as that of a network.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccapi import paths
from ccapi.client.internal import InternalClient
from ccapi.commands import keys
from ccapi.oauth import quiet
from ccapi.oauth.config import ProxyConfig
from ccapi.paths import Home
from ccapi.wire import internal
from ccapi.wire.keys import Policy
from tests.cli.support import free_port
from tests.gateway.harness import Gateway, gateway
from tests.oauth import support

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 needs no setting up on Linux only")

ADDRESS = "127.0.0.2"


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Gateway]:
    """With an API key, as it demands there, and with the secret of these tests."""
    home = str(tmp_path / "host")
    keys.create(Home(home), None, Policy(), print)
    (paths.keys_dir(Home(home)) / internal.HASH_FILE).write_text(internal.digest(support.SECRET))
    directory = tmp_path / "gateway"
    with gateway(directory, host=ADDRESS, published=ADDRESS, keys_dir=paths.keys_dir(Home(home))) as running:
        yield running


def test_the_proxy_reaches_it(published: Gateway, tmp_path: Path) -> None:
    """Its health, and the delivery of a callback, here to a port where nobody listens."""
    (tmp_path / "proxy").mkdir()
    with support.proxy(tmp_path / "proxy", gateway_host=ADDRESS, gateway_port=published.port) as proxy:
        document = proxy.client.get("/health").json()
        assert (document["status"], document["container_host"]) == ("healthy", ADDRESS)
        state = support.new_state()
        url = support.authorization_url(f"http://localhost:{proxy.port}/oauth/callback", state)
        assert proxy.register(authorization_url=url, callback_port=free_port()).status_code == 201
        login = support.Login(proxy, proxy.port, state, "/oauth/callback")
        support.assert_page(login.answer(), 502)
        assert login.status == "failed"


def test_so_do_the_commands(published: Gateway) -> None:
    """The internal API answers, under a name of loopback."""
    with InternalClient(f"http://{ADDRESS}:{published.port}", support.SECRET) as client:
        assert client.probe("http://127.0.0.1:1/mcp").outcome == "unreachable"


def test_so_does_the_quiet_connection(published: Gateway, tmp_path: Path) -> None:
    """It is taken, and kept waiting."""
    file = tmp_path / "stack.secret"
    file.write_text(support.SECRET)
    said: list[str] = []
    config = ProxyConfig(1, ADDRESS, published.port, str(file))
    with closing(quiet.Gateway(config, said.append).wait_for_login()) as waiting:
        connecting = next(waiting)
        assert select.select([], [connecting.descriptor], [], 20.0)[1]
        asked = waiting.send(True)  # it is connected
        assert select.select([asked.descriptor], [], [], 1.0)[0] == []  # and not refused
        waiting.send(False)
    assert said == [f"The gateway on {ADDRESS}:{published.port} is asked for logins"]


def test_the_secret_is_not_told_to_just_any_name(published: Gateway) -> None:
    """What comes under the address itself, as from a web page whose name means it, is refused."""
    with published.client() as client:
        url = f"http://{ADDRESS}:{published.port}{internal.LOGINS}"
        answer = client.get(url, headers={"Authorization": f"Bearer {support.SECRET}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")

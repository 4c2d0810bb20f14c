"""What the tests of the OAuth proxy's server share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.oauth import support
from tests.oauth.support import Login, Running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A proxy for all tests of a module."""
    with support.proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def proxy(shared: Running) -> Running:
    """The module's proxy, with a gateway that has heard nothing and takes everything."""
    shared.gateway.callbacks.clear()
    shared.gateway.outcome, shared.gateway.status, shared.gateway.secret = "accepted", 200, support.SECRET
    shared.gateway.during, shared.gateway.old = None, False
    return shared


@pytest.fixture
def login(proxy: Running) -> Iterator[Login]:
    """A pending login, as the catalogue's "L"."""
    login = proxy.login()
    yield login
    proxy.call("DELETE", f"/oauth/sessions/{login.state}")


@pytest.fixture
def clean_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """LOGCLEAN, at the end of a test, with all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    yield
    support.assert_log_is_clean(caplog)

"""What POST /oauth/register takes, and the login that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccapi.errors import InvalidRequest, LoginRefused
from ccapi.oauth.config import ProxyConfig
from ccapi.oauth.login import Entry, Login, Origin
from ccapi.wire import authorization
from ccapi.wire.authorization import Authorization, Redirect

OWN_PATH = "/oauth/callback"
LISTENER_PATH = "/callback"
_GATEWAY_INSIDE = 8000  # the gateway's port in the container, wherever it is published
_MEMBERS = ("authorization_url", "session_id", "callback_port", "callback_path", "expires_in")
_LIFETIME, _LONGEST = 600.0, 3600.0  # seconds


class Registration:
    """Makes logins that fit this proxy. `own_port` is the proxy's."""

    def __init__(self, config: ProxyConfig, own_port: int) -> None:
        self._own_port = own_port
        self._own = Redirect("localhost", own_port, OWN_PATH)
        self._callback_port = config.callback_port
        self._gateways = {_GATEWAY_INSIDE, config.gateway_port}

    def read(self, document: Any) -> Login:
        """A login of the host. Raises `InvalidRequest`, `LoginRefused`, neither with a value of the document."""
        if not isinstance(document, Mapping):
            raise InvalidRequest("The body must be a JSON object")
        if unknown := set(document).difference(_MEMBERS):
            raise InvalidRequest(f"{len(unknown)} members of the body are not known; those are {', '.join(_MEMBERS)}")
        port, lifetime = _port(document), _lifetime(document)
        match document:
            case {"authorization_url": str(url)} if not {"session_id", "callback_path"} & set(document):
                return self.of_url(url, port, lifetime=lifetime)
            case {"session_id": str(state)} if "authorization_url" not in document and port is not None:
                return self._of_state(state, port, _path(document), lifetime)
            case _:
                raise InvalidRequest("Expected either authorization_url, or session_id and callback_port")

    def of_url(
        self, url: str, port: int | None = None, *, lifetime: float = _LIFETIME, reported_as: str | None = None
    ) -> Login:
        """The login behind an authorization URL; `reported_as` is the gateway's id of one started in the container.

        Raises `LoginRefused`.
        """
        asked = authorization.parse(url, reserved=self._gateways)
        origin: Origin = "host" if reported_as is None else "container"
        return Login(
            id=reported_as or asked.state,
            state=asked.state,
            origin=origin,
            site=asked.site,
            redirect=asked.redirect,
            target=self._target(asked, port),
            entries=frozenset({Entry(asked.redirect.port, asked.redirect.path)}),
            lifetime=min(lifetime, _LONGEST),
        )

    def _target(self, asked: Authorization, port: int | None) -> Redirect:
        """Where it listens in the container: at the address of the redirect URI, unless that one is the proxy's own."""
        redirect = asked.redirect
        if redirect.port != self._own_port:
            if port not in {None, redirect.port}:
                raise LoginRefused("The callback_port is not the one of the redirect URI")
            return redirect
        if redirect.path == OWN_PATH and port is not None:
            return Redirect(redirect.host, self._allowed(port), LISTENER_PATH)
        if redirect.path == LISTENER_PATH and self._callback_port == self._own_port:
            return redirect
        raise LoginRefused(f"A login cannot be redirected to port {redirect.port}, which is the OAuth proxy's own")

    def _of_state(self, state: str, port: int, path: str, lifetime: float) -> Login:
        target = authorization.redirect(f"http://localhost:{self._allowed(port)}{path}")
        return Login(
            id=authorization.state(state),
            state=state,
            origin="host",
            site=None,
            redirect=self._own,
            target=target,
            entries=frozenset({Entry(self._own_port, OWN_PATH), Entry(port, path)}),
            lifetime=lifetime,
        )

    def _allowed(self, port: int) -> int:
        own = set() if self._callback_port == self._own_port else {self._own_port}
        return authorization.port(port, self._gateways | own)


def _port(document: Mapping[str, Any]) -> int | None:
    port = document.get("callback_port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise InvalidRequest("The callback_port must be a port number", param="callback_port")
    return port


def _path(document: Mapping[str, Any]) -> str:
    path = document.get("callback_path", LISTENER_PATH)
    if not isinstance(path, str):
        raise InvalidRequest("The callback_path must be a path", param="callback_path")
    return path


def _lifetime(document: Mapping[str, Any]) -> float:
    seconds = document.get("expires_in", _LIFETIME)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        raise InvalidRequest(f"expires_in must be up to {_LONGEST:g} seconds", param="expires_in")
    return float(seconds)

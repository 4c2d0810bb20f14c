"""The OAuth proxy's control API: logins that wait for a browser, from the side of whoever started them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, cast, get_args
from urllib.parse import quote

from ccapi.client.http import JsonClient
from ccapi.client.service import Service
from ccapi.errors import CcapiError, ProxyUnreachable
from ccapi.wire import envelope

Status = Literal["pending", "delivering", "delivered", "denied", "refused", "failed", "expired", "cancelled"]

_SESSIONS = "/oauth/sessions"
_MAX_WAIT = 25.0  # seconds; the proxy allows for 30
_HINT = "Look at: ccapi proxy status"


@dataclass(frozen=True, slots=True)
class Session:
    """A login, as the proxy knows it; `id` is its state, so it is not for showing.

    `site` is empty when it is not known, `expires_in` is in seconds.
    """

    id: str
    status: Status
    site: str
    redirect_uri: str
    expires_in: float

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.status not in {"pending", "delivering"}


@dataclass(frozen=True, slots=True)
class Overview:
    """`sessions`: those that wait, and those that are over since a short while. `problem`: the gateway's, if any."""

    sessions: list[Session]
    problem: CcapiError | None


class ProxyClient:
    """Asks the proxy at `base_url`. May be used by several threads at once.

    Raises what the proxy's error envelope says (`PortBusy`, `LoginRefused`, `LoginNotFound`, …) or `ProxyUnreachable`.
    """

    def __init__(self, base_url: str, secret: str) -> None:
        self._api = JsonClient(_SERVICE, base_url, secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two requests."""

    def register(self, authorization_url: str, *, expires_in: float, callback_port: int | None = None) -> Session:
        """Have the proxy listen for the callback of this login. `expires_in` is in seconds."""
        body: dict[str, Any] = {"authorization_url": authorization_url, "expires_in": expires_in}
        if callback_port is not None:
            body["callback_port"] = callback_port
        return self._session(self._api.call("POST", "/oauth/register", body=body))

    def wait(self, session: Session, seconds: float = _MAX_WAIT) -> Session:
        """The session as soon as its status is another, or as it is after `seconds` (at most 25)."""
        seconds = min(seconds, _MAX_WAIT)
        query = {"known": session.status, "wait": f"{seconds:g}"}
        return self._session(self._api.call("GET", _path(session), query=query, patience=seconds))

    def overview(self) -> Overview:
        """All that it knows at the moment."""
        document = self._api.call("GET", _SESSIONS)
        try:
            problem = document["problem"]
            sessions = [self._session(each) for each in document["sessions"]]
        except (TypeError, KeyError):
            raise self._api.foreign() from None
        return Overview(sessions, None if problem is None else envelope.load(problem))

    def cancel(self, session: Session) -> None:
        """Stop listening for it."""
        self._api.call("DELETE", _path(session))

    def _session(self, document: Any) -> Session:
        try:
            if document["status"] not in get_args(Status):
                raise self._api.foreign()
            return Session(
                str(document["session_id"]),
                cast("Status", document["status"]),
                str(document["site"] or ""),
                str(document["redirect_uri"]),
                float(document["expires_in"]),
            )
        except (TypeError, KeyError, ValueError):
            raise self._api.foreign() from None


def _path(session: Session) -> str:
    return f"{_SESSIONS}/{quote(session.id, safe='')}"


def _absent(base_url: str) -> ProxyUnreachable:
    return ProxyUnreachable(f"The OAuth proxy does not run ({base_url})", hint="Start it: ccapi proxy start")


def _silent(base_url: str) -> ProxyUnreachable:
    return ProxyUnreachable(f"The OAuth proxy at {base_url} does not answer", hint=_HINT)


def _foreign(base_url: str) -> ProxyUnreachable:
    hint = "Another program uses that port. Give the proxy another one: ccapi config set oauth.port PORT"
    return ProxyUnreachable(f"What answers at {base_url} is no OAuth proxy of ccapi", hint=hint)


def _broken(base_url: str, error: Exception) -> ProxyUnreachable:
    return ProxyUnreachable(f"The connection to the OAuth proxy at {base_url} broke: {error}", hint=_HINT)


_SERVICE = Service(_absent, _silent, _foreign, _broken)

"""Whose a GitHub token is: what GitHub's API says of it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

API = "https://api.github.com"
_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Account:
    """`scopes` is None for a fine-grained token, which has permissions instead, that the API does not tell."""

    login: str
    scopes: tuple[str, ...] | None = None
    expires: str | None = None


def account(token: str, api: str = API) -> Account | None:
    """Who the token is, until when, and what it may do. None when GitHub does not say, or cannot be reached.

    Proxies of the environment are used; no redirect is followed, as the token would go along.
    """
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "User-Agent": "ccapi"}
    try:
        with httpx.Client(timeout=_TIMEOUT) as client:
            answer = client.get(f"{api}/user", headers=headers)
        document = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError):
        return None
    login = document.get("login") if isinstance(document, dict) else None
    if not isinstance(login, str):
        return None
    scopes = answer.headers.get("x-oauth-scopes")
    listed = tuple(scope.strip() for scope in scopes.split(",") if scope.strip()) if scopes is not None else None
    return Account(login, listed, answer.headers.get("github-authentication-token-expiration"))

"""What an exported folder can have beside the gateway: the files in templates/compose/overlays, and their variables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ccapi.errors import UsageError

_KEY_FILE = "key.yml"  # how keys are made in the folder: always there


class Variable(NamedTuple):
    """One of the environment. `default`: what docker-compose.yml takes without it; "" if nothing."""

    name: str
    help: str
    default: str = ""


class Overlay(NamedTuple):
    """`title`: for a heading. `compose` is merged with docker-compose.yml; `files` lie beside it.

    `key`: the variable that an API key of its own goes into; `secrets`: variables that want any random text; `yours`:
    those that somebody has to give a value of their own.
    """

    name: str
    title: str
    compose: str
    variables: tuple[Variable, ...]
    files: tuple[str, ...] = ()
    key: str | None = None
    secrets: tuple[str, ...] = ()
    yours: tuple[str, ...] = ()


_OPEN_WEBUI_SITE = Variable(
    "CCAPI_OPEN_WEBUI_SITE",
    "The name under which Open WebUI is reached over HTTPS, such as chat.example.com. It must lead to this machine.",
    "chat.localhost",
)
OVERLAYS = (
    Overlay(
        "open-webui",
        "Open WebUI",
        "open-webui.yml",
        (
            Variable("CCAPI_OPEN_WEBUI_PORT", "Port of Open WebUI on this machine's own address, 127.0.0.1.", "3000"),
            Variable(
                "CCAPI_OPEN_WEBUI_KEY",
                "The API key that Open WebUI uses; keys/keys.json has its hash. Open WebUI keeps it from its first "
                "start on: another one is given to it in its admin panel.",
            ),
            Variable("CCAPI_OPEN_WEBUI_SECRET", "Signs the sessions of Open WebUI's users."),
            Variable(
                "CCAPI_OPEN_WEBUI_IMAGE", "Its image and release.", "openwebui/open-webui:v0.12.4"
            ),
        ),
        key="CCAPI_OPEN_WEBUI_KEY",
        secrets=("CCAPI_OPEN_WEBUI_SECRET",),
    ),
    Overlay(
        "tls",
        "HTTPS, by Caddy",
        "tls.yml",
        (
            Variable(
                "CCAPI_SITE",
                "The name under which others reach the API over HTTPS, such as api.example.com. It must lead to this "
                "machine, whose ports 80 and 443 must be reachable: then the certificate comes by itself. For "
                "localhost, or an IP address, Caddy makes one that no client trusts by itself.",
                "localhost",
            ),
            Variable("CCAPI_HTTP_PORT", "Port for HTTP; it only leads to HTTPS, and proves whose the name is.", "80"),
            Variable("CCAPI_HTTPS_PORT", "Port for HTTPS.", "443"),
            Variable("CCAPI_CADDY_IMAGE", "Caddy's image and release.", "caddy:2"),
        ),
        files=("Caddyfile",),
        yours=("CCAPI_SITE",),
    ),
)  # fmt: skip
# Comes by itself where both are.
_BOTH = Overlay(
    "open-webui-tls",
    "Open WebUI over HTTPS",
    "open-webui-tls.yml",
    (_OPEN_WEBUI_SITE,),
    files=("open-webui.caddy",),
    yours=(_OPEN_WEBUI_SITE.name,),
)
NAMES = tuple(overlay.name for overlay in OVERLAYS)


def chosen(names: Iterable[str]) -> tuple[Overlay, ...]:
    """The overlays with these names, in a fixed order. Raises `UsageError` for a name that none has."""
    names = set(names)
    if unknown := sorted(names - set(NAMES)):
        raise UsageError(f"--with: there is no overlay {unknown[0]!r}", hint=f"Known: {', '.join(NAMES)}")
    found = tuple(overlay for overlay in OVERLAYS if overlay.name in names)
    return (*found, _BOTH) if len(found) == len(OVERLAYS) else found


def files(overlays: Sequence[Overlay]) -> tuple[str, ...]:
    """What of templates/compose/overlays they need."""
    return (_KEY_FILE, *(file for overlay in overlays for file in (overlay.compose, *overlay.files)))


def compose_file(overlays: Sequence[Overlay]) -> str:
    """The variable `COMPOSE_FILE`: all that `docker compose` is to read in the folder."""
    names = ("docker-compose.yml", f"overlays/{_KEY_FILE}", *(f"overlays/{overlay.compose}" for overlay in overlays))
    return ":".join(names)

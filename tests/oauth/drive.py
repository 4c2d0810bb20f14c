"""`ccapi auth`, as a program, in a container that is none: see `LocalContainer`.

`python -m tests.oauth.drive DIRECTORY ENVIRON WHAT OPTIONS`, the container's environment and the keyword arguments as
JSON. What happens is what happens behind the real command once it has found its container.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from ccapi.cli import auth_claude, auth_manage, auth_token, authmenu, output
from ccapi.commands.token import Target
from ccapi.errors import CcapiError, GatewayUnreachable
from ccapi.gateway import probe
from ccapi.oauth import catalogue
from ccapi.paths import Home
from ccapi.wire.internal import Probed, Server
from tests.oauth.localcontainer import LocalContainer


def ask(url: str, token: str | None) -> Probed:
    """The gateway's probe, without the gateway."""
    return asyncio.run(probe.probe(url, token))


def unreachable() -> Sequence[Server]:
    raise GatewayUnreachable("there is no gateway here")


def claude(container: LocalContainer, way: Any, **options: Any) -> None:
    auth_claude.sign_in(container, way, **options)


def token(container: LocalContainer, name: str, url: str, **options: Any) -> None:
    """As `ccapi auth NAME` does it."""
    given = auth_token.Given(**options)
    found = auth_token.beforehand(given, name)
    auth_token.sign_in(container, ask, Target(name, url, catalogue.load().get(name)), given, found)


def status(container: LocalContainer, **options: Any) -> None:
    raise typer.Exit(0 if auth_manage.show_status(container, unreachable, home=Home(), port=1, **options) else 1)


def menu(container: LocalContainer) -> None:
    """The choice, in quotes."""
    output.write(f"chosen: {authmenu.ask(container)!r}\n")


WHAT: dict[str, Callable[..., None]] = {
    "claude": claude,
    "token": token,
    "menu": menu,
    "list": auth_manage.listing,
    "status": status,
    "logout": auth_manage.sign_out,
}


def main(directory: str, environ: str, what: str, options: str) -> int:
    output.prepare()
    try:
        WHAT[what](LocalContainer(Path(directory), json.loads(environ)), **json.loads(options))
    except typer.Exit as end:
        return end.exit_code
    except CcapiError as error:
        output.failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""`ccapi auth NAME`, as a program, on a stage (see `loginstage.py`).

`python -m tests.oauth.drivelogin DIRECTORY PROXY_URL SECRET_FILE JSON`, where JSON holds the wishes. What happens is
what happens behind the real command once it has found its container.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import authways, output
from ccapi.cli.authways import Wishes
from ccapi.cli.boundary import end_in_order
from ccapi.cli.loginview import LoginView
from ccapi.commands.login import Parts
from ccapi.errors import CcapiError
from ccapi.settings import Settings
from tests.oauth.loginstage import found


def main(directory: str, proxy_url: str, secret_file: str, wishes: str) -> int:
    output.prepare()
    end_in_order()
    secret = Path(secret_file).read_text("ascii").strip() if secret_file else ""

    @contextmanager
    def opened(_: LoginView, __: Wishes) -> Iterator[tuple[Parts, Settings]]:
        stage = found(Path(directory), proxy_url or None, secret)
        with stage.clients:
            yield stage.parts, host_settings.load()

    asked: dict[str, Any] = {"name": "demo", "url": "https://mcp.example/mcp", "timeout": 30.0, **json.loads(wishes)}
    try:
        authways.sign_in(Wishes(**asked), opened)
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

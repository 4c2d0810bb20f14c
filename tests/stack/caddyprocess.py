"""Debian's Caddy, with the Caddyfile of the overlay `tls` as it is, in front of something on this machine."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.support import DEADLINE, ROOT, free_port

OVERLAYS = ROOT / "templates" / "compose" / "overlays"
SITE, CHAT = "api.localhost", "chat.localhost"  # names for which Caddy has an authority of its own


@dataclass(frozen=True)
class Caddy:
    """`root`: the certificate of its authority. `log`: all that it writes."""

    port: int
    http_port: int
    root: Path
    log: Path

    def client(self, site: str = SITE, **options: Any) -> httpx.Client:
        """A client that knows the site by its name, without asking anybody where that is."""
        trust = ssl.create_default_context(cafile=str(self.root))
        headers = {"Host": f"{site}:{self.port}", **options.pop("headers", {})}
        client = httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=trust,
            trust_env=False,
            timeout=DEADLINE,
            headers=headers,
            **options,
        )
        client.event_hooks["request"] = [lambda request: request.extensions.update(sni_hostname=site)]
        return client


def need_caddy() -> str:
    """Its path. In CI a missing one fails; on a user's machine the test is skipped."""
    if found := shutil.which("caddy"):
        return found
    message = "there is no caddy here: apt-get install caddy"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def caddy(directory: Path, upstream: int, chat: int) -> Iterator[Caddy]:
    """In front of the ports `upstream`, as the gateway, and `chat`, as Open WebUI. `directory` need not exist."""
    program = need_caddy()
    (directory / "sites").mkdir(parents=True)
    shutil.copy(OVERLAYS / "Caddyfile", directory)
    shutil.copy(OVERLAYS / "open-webui.caddy", directory / "sites")
    port, http_port = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory / "data"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "CADDY_HTTP_PORT": str(http_port),
        "CADDY_HTTPS_PORT": str(port),
        "CCAPI_SITE": SITE,
        "CCAPI_UPSTREAM": f"127.0.0.1:{upstream}",
        "CCAPI_OPEN_WEBUI_SITE": CHAT,
        "CCAPI_OPEN_WEBUI_UPSTREAM": f"127.0.0.1:{chat}",
    }
    made = Caddy(port, http_port, directory / "data/caddy/pki/authorities/local/root.crt", directory / "caddy.log")
    with made.log.open("wb") as log:
        process = subprocess.Popen(
            [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _await(made, process)
            yield made
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _await(made: Caddy, process: subprocess.Popen[bytes]) -> None:
    """Until both sites have their certificate."""
    deadline = time.monotonic() + DEADLINE
    for site in (SITE, CHAT):
        while True:
            said = made.log.read_text("utf-8")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            try:
                with made.client(site) as client:
                    client.get("/health")
            except (httpx.ConnectError, OSError):  # not yet; OSError: the authority's certificate
                time.sleep(0.1)
            else:
                break

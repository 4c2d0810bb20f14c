"""A server without ccapi, for the tests: `docker compose` in the exported folder, and images that need no registry."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.stack.caddyprocess import need_caddy
from tests.stack.support import BUILD_DEADLINE, docker

CADDY, OPEN_WEBUI = "ccapi-test-caddy:local", "ccapi-test-open-webui:local"


def clean(**more: str) -> dict[str, str]:
    """The environment of a shell on the server."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("DOCKER_")}
    return {**kept, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **more}


class Folder:
    """`docker compose` in an exported folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def compose(self, *args: str, check: bool = True) -> str:
        """What it prints; it must succeed if `check`. Else also what it says of its failure."""
        done = subprocess.run(
            ["docker", "compose", *args],
            cwd=self.directory,
            env=clean(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=BUILD_DEADLINE,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{args}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def config(self) -> dict[str, Any]:
        """What it understands."""
        document: dict[str, Any] = json.loads(self.compose("config", "--format=json"))
        return document

    def set(self, **values: object) -> None:
        """Variables in `.env`, in the place of what is there."""
        file = self.directory / ".env"
        text = file.read_text("utf-8")
        for name, value in values.items():
            text, found = re.subn(rf"(?m)^#?{name}=.*$", lambda _, n=name, v=value: f"{n}={v}", text)  # type: ignore[misc]
            assert found == 1, name
        file.write_text(text, "utf-8")

    def remove_everything(self) -> None:
        """Its images too: they have names of their own."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=1", "--rmi=all", check=False)


def make_images(directory: Path, base: str) -> None:
    """Stand-ins for images of a registry: Debian's Caddy where Caddy's own would be, a file server for Open WebUI.

    `base` is an image that has Python.
    """
    directory.mkdir()
    shutil.copy(need_caddy(), directory / "caddy")
    (directory / "Caddy").write_text(
        "FROM debian:trixie-slim\nCOPY --chmod=755 caddy /usr/bin/caddy\n"
        "ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config\nWORKDIR /srv\n"
        'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]\n'
    )
    (directory / "OpenWebUI").write_text(
        f"FROM {base}\nUSER 0\nWORKDIR /app/backend/data\nRUN echo 'this is Open WebUI' >/app/backend/data/health\n"
        'ENTRYPOINT []\nCMD ["python3", "-m", "http.server", "8080"]\n'
    )
    for name, file in ((CADDY, "Caddy"), (OPEN_WEBUI, "OpenWebUI")):
        docker("build", "--quiet", f"--tag={name}", f"--file={directory / file}", str(directory))

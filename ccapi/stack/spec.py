"""What the stack shall be: everything about the container that can differ from one `up` to the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ccapi import settings

REPOSITORY = "claude-code-api"  # of the images; the tag is the hash of what went into one
BEFORE = "before"  # tag of the image that `ccapi upgrade` may go back to; with the project's name behind it
SERVICE = "gateway"
LABEL = "ccapi.stack"  # of container, volumes, network; its value is the stack's name
IMAGE_LABEL = "ccapi.image"
COMPOSE_LABEL = "ccapi.compose"
SDK_LABEL = "ccapi.claude-agent-sdk"  # of the image, and so of the container: the release that carries Claude Code
WORKSPACE_LABEL = "ccapi.workspace"  # as it was given: Docker Desktop reports a path of its own for the mount
CONTAINER_PORT = "8000/tcp"
WORKSPACE = "/workspace"
KEYS = "/run/ccapi/keys"
CONFIG = "/home/claude/.claude"

# The container's variables that ccapi decides on: the keys of `environment:` in docker-compose.yml.
VARIABLES = (
    "ANTHROPIC_BASE_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "OAUTH_PROXY_HOST",
    "OAUTH_PROXY_PORT",
    "MCP_OAUTH_CALLBACK_PORT",
    "CCAPI_REHEARSAL",
    *(row.env for row in settings.TABLE if row.gateway),
)


class User(NamedTuple):
    """As whom everything in the container runs."""

    uid: int = 1000
    gid: int = 1000

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def kept(stack: str) -> str:
    """The name of the image that a stack may go back to."""
    return f"{REPOSITORY}:{BEFORE}{stack.removeprefix(REPOSITORY)}"


def is_provisional(container: str, stack: str) -> bool:
    """Whether this is what `docker compose` calls a container that it makes in the place of the stack's.

    It makes the new one, stops and removes the old one, whose id is in this name, gives the new one the name of the old
    one, and starts it. Whoever stops compose, or the engine, in between keeps it from coming to the end of that.
    """
    return re.fullmatch(f"[0-9a-f]{{12}}_{re.escape(stack)}", container) is not None


@dataclass(frozen=True, slots=True)
class StackSpec:
    """`environment` holds values for `VARIABLES`; one that is missing is not set in the container."""

    stack: str
    port: int
    base_image: str
    environment: Mapping[str, str]
    workspace: Path | None = None
    ca_file: Path | None = None
    host: str = "127.0.0.1"
    keys: Path | None = None  # directory of the API keys, which the gateway may read
    user: User = User()  # noqa: RUF009 -- a tuple
    claude: str | None = None  # release of claude-agent-sdk; None: the one in the Dockerfile

    @property
    def url(self) -> str:
        """Where the gateway is published."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 -- it is asked, not listened on
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def published(self) -> str:
        """Address and port as Docker names them."""
        return f"{self.host}:{self.port}"

    def interpolation(self, image: str, compose_id: str) -> dict[str, str]:
        """The variables that docker-compose.yml refers to."""
        return {
            **self.environment,
            "CCAPI_STACK": self.stack,
            "CCAPI_UID": str(self.user.uid),
            "CCAPI_GID": str(self.user.gid),
            "CCAPI_IMAGE": image,
            "CCAPI_COMPOSE_ID": compose_id,
            "CCAPI_GATEWAY_HOST": self.host,
            "CCAPI_GATEWAY_PORT": str(self.port),
            "CCAPI_KEYS_DIR": str(self.keys or ""),
            "CCAPI_STACK_BASE_IMAGE": self.base_image,
            "CCAPI_STACK_WORKSPACE": str(self.workspace or ""),
            **({"CLAUDE_AGENT_SDK_VERSION": self.claude} if self.claude else {}),
        }


Pull = Literal["always", "missing", "never"]


@dataclass(frozen=True, slots=True)
class Options:
    """How `up` goes about it; what shall come of it is the `StackSpec`.

    `timeout`: seconds until the container must be healthy, from when its image is there. `build`: None builds an image
    that is not there. `pull`: of the base image.
    """

    timeout: float = 120
    wait: bool = True
    build: bool | None = None
    pull: Pull = "missing"
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the running container is not what is wanted."""

    what: str
    running: str
    wanted: str

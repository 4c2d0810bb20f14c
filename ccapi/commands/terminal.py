"""A person works in the container: a shell, or Claude Code itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccapi.paths import Home
from ccapi.stack import exec as in_container
from ccapi.stack import spec
from ccapi.stack.engine import Engine

# In the directory that the gateway works in when a request names none, and signed in as the gateway is: by a key or
# token that `ccapi auth claude` has put into the file, too. (The file has lines such as NAME=value.)
_CLAUDE = f"""
directory={spec.WORKSPACE}/${{CCAPI_GATEWAY_DEFAULT_WORKSPACE:-default}}
mkdir -p "$directory" && cd "$directory"
if [ -r "$CLAUDE_CONFIG_DIR/credentials.env" ]; then
    while IFS='=' read -r name value || [ -n "$name" ]; do
        case $name in
        ANTHROPIC_API_KEY | ANTHROPIC_AUTH_TOKEN | CLAUDE_CODE_OAUTH_TOKEN) export "$name=$value" ;;
        esac
    done <"$CLAUDE_CONFIG_DIR/credentials.env"
fi
exec claude "$@"
"""


def shell(home: Home, command: Sequence[str], *, terminal: bool, docker: Mapping[str, str]) -> int:
    """A shell in the workspace, or this command. Does not return, but where a process cannot become another one.

    `docker` is `settings.docker_environment`, with what the terminal is. Raises `DockerUnavailable`, `StackFailed`.
    """
    return _run(home, list(command) or ["bash"], terminal=terminal, docker=docker)


def claude(home: Home, arguments: Sequence[str], *, terminal: bool, docker: Mapping[str, str]) -> int:
    """Claude Code with these arguments. As `shell`."""
    return _run(home, ["sh", "-c", _CLAUDE, "claude", *arguments], terminal=terminal, docker=docker)


def _run(home: Home, argv: Sequence[str], *, terminal: bool, docker: Mapping[str, str]) -> int:
    with Engine(docker, home.stack) as engine:
        engine.running()
    return in_container.run(home.stack, argv, terminal=terminal, directory=spec.WORKSPACE, environ=docker)

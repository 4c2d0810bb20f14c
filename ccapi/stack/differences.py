"""In what way the running container is not what is wanted."""

from __future__ import annotations

from collections.abc import Iterator

from ccapi import settings
from ccapi.stack import spec
from ccapi.stack.spec import Difference, StackSpec
from ccapi.stack.state import Container

# How the person calls what the container knows as a variable.
_NAMES = {
    **{row.env: row.key for row in settings.TABLE},
    "CCAPI_REHEARSAL": "rehearsal",
    "OAUTH_PROXY_PORT": "oauth.port",
    "MCP_OAUTH_CALLBACK_PORT": "oauth.callback_port",
}
_DEFAULTS = {row.env: row.written_default for row in settings.TABLE}


def differences(container: Container, wanted: StackSpec, image: str, compose_id: str) -> list[Difference]:
    """What `up` would change, in the person's words; credentials in URLs are not shown."""
    pairs = [
        ("port", container.published, wanted.published),
        ("user", container.user or str(wanted.user), str(wanted.user)),
        ("workspace", container.workspace or "a volume", str(wanted.workspace or "a volume")),
        ("image", container.image, image),
        ("docker-compose.yml", container.labels.get(spec.COMPOSE_LABEL), compose_id),
        *_variables(container, wanted),
    ]
    changed = [(what, now, then) for what, now, then in pairs if (now or "") != (then or "")]
    if not changed:
        return []
    from ccapi.redact import redact

    return [Difference(what, redact(now or "none"), redact(then or "none")) for what, now, then in changed]


def _variables(container: Container, wanted: StackSpec) -> Iterator[tuple[str, str | None, str | None]]:
    for name in spec.VARIABLES:
        if name.isupper():  # the proxies' second spelling says nothing new
            default = _DEFAULTS.get(name)
            running, then = container.environment.get(name), wanted.environment.get(name)
            yield _NAMES.get(name, name), running or default, then or default

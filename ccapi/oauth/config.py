"""What the proxy's processes are told, in one JSON file. There is no secret in it, only where one is read.

The supervisor is small because of what it does not import, so this module has no dataclass and no `Path`.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

OpenBrowser = Literal["never", "auth", "ask"]
IDLE = 15.0  # seconds


class ProxyConfig(NamedTuple):
    """`secret_file`: the stack secret, read at each use. `log_file`: None is standard error.

    `idle`: seconds after which a server that nobody needs ends. `version`: of the ccapi that wrote it.
    """

    port: int
    gateway_host: str
    gateway_port: int
    secret_file: str
    log_file: str | None = None
    callback_port: int | None = None
    open_browser: OpenBrowser = "auth"
    idle: float = IDLE
    version: str = ""

    @property
    def callback_url(self) -> str:
        """The proxy's own redirect URI."""
        return f"http://localhost:{self.port}/oauth/callback"


def load(file: str) -> ProxyConfig:
    """What `dump` wrote. Raises `OSError`, and `ValueError` for a file of another making."""
    with open(file, encoding="utf-8") as handle:  # noqa: PTH123 -- pathlib costs the supervisor a quarter of its memory
        return loads(handle.read())


def loads(text: str) -> ProxyConfig:
    """Raises `ValueError`."""
    document: Any = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("not a configuration of the OAuth proxy")  # noqa: TRY004 -- one exception for one failure
    try:
        return ProxyConfig(**document)
    except TypeError as error:
        raise ValueError(f"not a configuration of the OAuth proxy: {error}") from None


def dumps(config: ProxyConfig) -> str:
    """As one line of JSON."""
    return json.dumps(config._asdict())


def dump(config: ProxyConfig, file: str) -> None:
    """Write the file, which nobody else may read. Raises `OutputFailed`."""
    from pathlib import Path

    from ccapi import files

    files.replace(Path(file), dumps(config) + "\n", mode=0o600)

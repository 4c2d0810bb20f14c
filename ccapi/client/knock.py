"""One question to the gateway that `up` asks each time: so without httpx, whose import takes longer than the answer."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from ccapi import plainhttp
from ccapi.errors import StackSecretInvalid
from ccapi.wire import internal

_TIMEOUT = 5.0  # seconds
_MOST = 1024 * 1024  # bytes


def is_known(base_url: str, secret: str) -> bool:
    """Whether the gateway takes this secret of the stack. One that cannot be asked is not blamed for it."""
    parts = urlsplit(base_url)
    assert parts.hostname
    assert parts.port
    headers = {"Host": f"localhost:{parts.port}", "Authorization": f"Bearer {secret}"}
    address = (parts.hostname, parts.port)
    try:
        answer = plainhttp.get(address, f"{internal.LOGINS}?wait=0", headers=headers, timeout=_TIMEOUT, most=_MOST)
        if answer.status != StackSecretInvalid.status:
            return True
        return bool(json.loads(answer.body)["error"]["code"] != StackSecretInvalid.code)
    except (OSError, ValueError, LookupError, TypeError):
        return True

"""One question to the gateway that `up` asks each time: so without httpx, whose import takes longer than the answer."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from ccapi.errors import StackSecretInvalid
from ccapi.wire import internal

_TIMEOUT = 5.0  # seconds


def is_known(base_url: str, secret: str) -> bool:
    """Whether the gateway takes this secret of the stack. One that cannot be asked is not blamed for it."""
    parts = urlsplit(base_url)
    assert parts.hostname
    gateway = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {secret}", "Host": f"localhost:{parts.port}"}
        gateway.request("GET", f"{internal.LOGINS}?wait=0", headers=headers)
        answer = gateway.getresponse()
        if answer.status != StackSecretInvalid.status:
            return True
        return bool(json.load(answer)["error"]["code"] != StackSecretInvalid.code)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return True
    finally:
        gateway.close()

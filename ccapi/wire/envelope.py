"""The error envelope: the one JSON shape of every failure of the API.

    {"error": {"message": …, "type": …, "param": …, "code": …}}

Source: OpenAI API reference, "Error codes". `hint` and `retry_after` (seconds) are ours; who does not know them loses
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccapi.errors import CcapiError, GatewayProtocol, from_code
from ccapi.redact import redact
from ccapi.wire.typed import is_number


def dump(error: CcapiError) -> dict[str, Any]:
    """The envelope for `error`. The hint is part of the message as well: most clients show nothing else."""
    message = redact(f"{error.message}. {error.hint}" if error.hint else error.message)
    body: dict[str, Any] = {"message": message, "type": error.type, "param": error.param, "code": error.code}
    if error.hint:
        body["hint"] = redact(error.hint)
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    return {"error": body}


def load(document: Any) -> CcapiError:
    """The error that an envelope carries, as the class that `dump` was given."""
    body = document.get("error") if isinstance(document, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(body.get("message"), str):
        return GatewayProtocol("The gateway answered with an error in a form that ccapi does not know")
    code, param, retry_after = body.get("code"), body.get("param"), body.get("retry_after")
    hint = body.get("hint") if isinstance(body.get("hint"), str) else None
    return from_code(code if isinstance(code, str) else None)(
        body["message"].removesuffix(f". {hint}") if hint else body["message"],
        hint=hint,
        param=param if isinstance(param, str) else None,
        retry_after=float(retry_after) if is_number(retry_after) and retry_after >= 0 else None,
    )

"""What the clients of this machine's own services share, whatever they are made of: each failure as one of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from ccapi.client import stream
from ccapi.errors import CcapiError, GatewayProtocol

CONNECT = 5.0  # seconds


class Service(NamedTuple):
    """How each kind of failure of one service is told; all are given the base URL."""

    absent: Callable[[str], CcapiError]
    silent: Callable[[str], CcapiError]
    foreign: Callable[[str], CcapiError]  # something else has its port
    broken: Callable[[str, Exception], CcapiError]

    def failure(self, base_url: str, error: stream.StreamError) -> CcapiError:
        """What went wrong on the way."""
        match error:
            case stream.Absent():
                return self.absent(base_url)
            case stream.Silent():
                return self.silent(base_url)
            case stream.NotHttp():
                return self.foreign(base_url)
            case _:
                return self.broken(base_url, error)

    def refusal(self, base_url: str, body: bytes) -> CcapiError:
        """What the envelope of a failed request says."""
        from ccapi.wire import envelope  # most requests do not fail

        try:
            error = envelope.load(json.loads(body))
        except (ValueError, RecursionError):
            return self.foreign(base_url)
        return self.foreign(base_url) if isinstance(error, GatewayProtocol) else error

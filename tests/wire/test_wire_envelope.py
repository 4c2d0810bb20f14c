"""The error envelope, as somebody else may have written it."""

from __future__ import annotations

import json

import pytest

from ccapi.errors import RateLimited
from ccapi.wire import envelope


@pytest.mark.parametrize(
    ("written", "read"),
    [("3", 3.0), ("0", 0.0), ("0.5", 0.5)]
    + [
        (wrong, None)
        for wrong in ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "-1", '"3"', "[3]", "null")
    ],
)
def test_when_to_come_again(written: str, read: float | None) -> None:
    """Only what can be waited for is a time; the error is the same without."""
    body = f'{{"message": "slow down", "code": "{RateLimited.code}", "retry_after": {written}}}'
    error = envelope.load(json.loads(f'{{"error": {body}}}'))
    assert isinstance(error, RateLimited)
    assert (error.message, error.retry_after) == ("slow down", read)

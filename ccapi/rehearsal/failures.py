"""The Messages API's error bodies."""

from __future__ import annotations

from typing import Any, NamedTuple


class ApiError(NamedTuple):
    type: str
    message: str


# https://docs.claude.com/en/api/errors
ERRORS = {
    400: ApiError("invalid_request_error", "invalid request"),
    401: ApiError("authentication_error", "invalid x-api-key"),
    403: ApiError("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ApiError("not_found_error", "model: @{model}"),
    413: ApiError("request_too_large", "Request exceeds the maximum size"),
    429: ApiError("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ApiError("api_error", "Internal server error"),
    529: ApiError("overloaded_error", "Overloaded"),
}


def error_body(status: int, message: str, request_id: str) -> dict[str, Any]:
    """The JSON of an API error; in a stream it is the data of the `error` event."""
    return {"type": "error", "error": {"type": ERRORS[status].type, "message": message}, "request_id": request_id}

"""Take secrets out of text before it is logged or shown."""

from __future__ import annotations

import re

_PATTERNS = (
    # Anthropic keys and OAuth tokens, GitHub tokens, Slack tokens, JWTs
    re.compile(r"\bsk-ant-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}"),
    re.compile(r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    # our own API keys, and the stack's secret
    re.compile(r"\bccapi-(?:stack-)?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    # Authorization headers, and OAuth parameters in a query
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"(?i)(?<=[?&])(?:code|state|access_token|refresh_token|client_secret|token|api_key)=[^&\s\"']+"),
    # user:password@ in URLs (proxy settings)
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[redacted]`."""
    for pattern in _PATTERNS:
        text = pattern.sub("[redacted]", text)
    return text


# What tells of which kind a token is; the rest of it is the secret.
_KIND = re.compile(r"(?:sk-ant-[a-z]+\d\d-|gh[pousr]_|github_pat_|xox[abeprs]-|(?:sk|rk)_(?:live|test)_|lin_api_|hf_)")


def masked(token: str) -> str:
    """What a person may see of a token, to tell it from others: its kind, if that is known."""
    kind = _KIND.match(token)
    return f"{kind[0] if kind else ''}…"

"""Understands what a build prints: which step runs, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

_STEP = re.compile(r"#\d+ \[(?:\w+ )?(?P<stage>debian|claude|python|image) +(?P<step>\d+/\d+)\]")
_STAGES = {
    "debian": "Debian packages",
    "claude": "Claude Code",
    "python": "the gateway's Python packages",
    "image": "putting it together",
}
_FAILED_STEP = re.compile(r"^ > \[.*\]")
_RULE = "------"
_TIME = re.compile(r"^\d+\.\d+ ")  # seconds since the step began
_SHOWN = 20  # lines

_CAUSES = (
    (
        r"certificate.verify.failed|certificate problem|x509: |certificate is NOT trusted|certificate verification",
        "If a proxy inspects TLS here, give its CA certificate: ccapi up --ca-file FILE",
    ),
    (
        r"failed to resolve source metadata|pull access denied|failed to authorize",
        "Docker could not get the base image. Pull or import it by hand, or set stack.base_image to one you have.",
    ),
    (
        r"no matching distribution found for claude-agent-sdk",
        "The package index has no such release for this image. Which one is the newest: ccapi upgrade --dry-run",
    ),
    (
        r"no space left on device",
        "Make room, for example with: docker builder prune",
    ),
    (
        r"could not resolve|failure in name resolution|network is unreachable|timed out|connection refused",
        "The build has no way to the network. HTTP_PROXY and HTTPS_PROXY are passed on to it.",
    ),
)
_UNREACHABLE = re.compile(
    r"could not resolve|temporary failure|name or service not known|network is unreachable|timed out|i/o timeout"
    r"|connection refused|no such host|no route to host|failed to do request|TLS handshake timeout|NewConnectionError",
    re.IGNORECASE,
)
_ENGINE_WENT = re.compile(
    r"cannot connect to the docker daemon|error during connect|is the docker daemon running|unexpected EOF"
    r"|error reading from server|code = Unavailable|transport is closing|connection reset by peer"
    r"|docker\.sock: connect:|http2: .*connection|closing transport|context canceled|code = Canceled",
    re.IGNORECASE,
)


def is_offline(lines: Sequence[str]) -> bool:
    """Whether a build failed because something on the network could not be reached."""
    return bool(_UNREACHABLE.search("\n".join(lines)))


def engine_went(text: str) -> bool:
    """Whether a command failed because the engine, not something that it was asked for, went away."""
    return bool(_ENGINE_WENT.search(text))


def step(line: str) -> str | None:
    """`Claude Code (1/1)` when the line says that this step runs: the Dockerfile's stage and the step in it."""
    found = _STEP.match(line)
    return f"{_STAGES[found['stage']]} ({found['step']})" if found else None


def failed_output(lines: Sequence[str]) -> list[str]:
    """What the step that failed printed last: BuildKit repeats it between two rules."""
    starts = [number for number, line in enumerate(lines) if _FAILED_STEP.match(line)]
    if not starts:
        return list(lines[-_SHOWN:])
    block = lines[starts[-1] + 1 :]
    end = block.index(_RULE) if _RULE in block else len(block)
    return [_TIME.sub("", line) for line in block[:end][-_SHOWN:]] or list(lines[-1:])


def hint(lines: Sequence[str]) -> str | None:
    """What to do about a failure of a known kind."""
    text = "\n".join(lines)
    return next((advice for pattern, advice in _CAUSES if re.search(pattern, text, re.IGNORECASE)), None)

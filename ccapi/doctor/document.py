"""The results of a run as one document: for `--json`, and for the report."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from ccapi.doctor.check import Check, Finding, Status
from ccapi.doctor.facts import Facts
from ccapi.doctor.runner import Result
from ccapi.errors import CcapiError


def document(results: Sequence[Result], facts: Facts, *, strict: bool) -> dict[str, Any]:
    """`ok`: nothing failed; with `strict`, nothing gave a warning either."""
    return {
        "ok": not unsound(results, strict=strict),
        "summary": summary(results),
        "checks": [entry(result) for result in results],
        "environment": environment(facts),
    }


def unsound(results: Sequence[Result], *, strict: bool) -> bool:
    """Whether the exit code is 1."""
    counted = summary(results)
    return bool(counted["fail"] or (strict and counted["warn"]))


def summary(results: Sequence[Result]) -> dict[str, int]:
    """How many have which status."""
    counted = Counter(result.finding.status for result in results)
    return {status: counted[status] for status in get_args(Status)}


def listed(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """What there is to be looked at."""
    return [
        {
            "id": check.id,
            "category": check.category,
            "title": check.title,
            "needs": list(check.needs),
            "online": check.online,
            "deep": check.deep,
        }
        for check in checks
    ]


def environment(facts: Facts) -> dict[str, Any]:
    """On what all of it was found. Never raises: everything may be broken."""
    return {
        "ccapi": facts.version,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "stack": facts.stack,
        "docker": _docker(facts),
        "wsl": "microsoft" in platform.release().lower(),
        "ssh": "SSH_CONNECTION" in facts.environ,
        "ci": bool(facts.environ.get("CI")),
        "user": os.getuid() if hasattr(os, "getuid") else None,
    }


def _docker(facts: Facts) -> dict[str, Any] | None:
    try:
        version, info = facts.engine_version(), facts.engine_info()
    except CcapiError:
        return None
    return {
        "version": version.get("Version"),
        "api": version.get("ApiVersion"),
        "system": info.get("OperatingSystem"),
        "architecture": info.get("Architecture"),
        "storage": info.get("Driver"),
    }


def entry(result: Result) -> dict[str, Any]:
    """One result."""
    return {
        "id": result.check.id,
        "category": result.check.category,
        "status": result.finding.status,
        "summary": result.finding.summary,
        "detail": result.finding.detail,
        "fix": _fix(result.finding),
        "fixed": result.fixed,
        "duration_ms": round(result.seconds * 1000),
    }


def _fix(finding: Finding) -> dict[str, Any] | None:
    if finding.fix is None:
        return None
    return {"text": finding.fix.text, "command": finding.fix.command, "safe": finding.fix.safe}

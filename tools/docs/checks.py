"""What `ccapi doctor` looks at, and what goes wrong there: the sections of docs/troubleshooting.md."""

from __future__ import annotations

from ccapi.doctor import registry
from ccapi.doctor.check import CATEGORIES, Check


def sections() -> str:
    """A section for each category, in it each check by its id."""
    checks = registry.every()
    parts = []
    for category, title in CATEGORIES.items():
        if found := [check for check in checks if check.category == category]:
            parts.append(f"## {title}\n\n" + "\n".join(map(_entry, found)))
    return "\n\n".join(parts) + "\n"


def _entry(check: Check) -> str:
    troubles = [f"  - {trouble.condition} **{trouble.remedy}**" for trouble in check.trouble]
    return "\n".join([f"- `{check.id}` {check.title}", *troubles])

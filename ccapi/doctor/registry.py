"""All checks, in the order in which they are shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module

from ccapi.doctor.check import CATEGORIES, Check
from ccapi.errors import UsageError

_DEEP = "deep"


def every() -> tuple[Check, ...]:
    """The checks of all categories, the deep ones at the end."""
    modules = [f"checks.{category}" for category in CATEGORIES if category != _DEEP]
    return tuple(check for name in (*modules, _DEEP) for check in import_module(f"ccapi.doctor.{name}").CHECKS)


def select(names: Sequence[str], known: Sequence[Check], *, deep: bool = False) -> list[Check]:
    """The checks of these ids and categories, in the order of `known`; of no names at all, every one.

    Deep ones only if asked for, by name or with `deep`. Raises `UsageError`, with what may have been meant.
    """
    possible = {*(check.category for check in known), *(check.id for check in known), *CATEGORIES}
    for name in names:
        if name not in possible:
            raise _unknown(name, sorted(possible))
    named = [check for check in known if check.id in names or check.category in names]
    if names:
        return named + [check for check in known if deep and check.deep and check not in named]
    return [check for check in known if deep or not check.deep]


def _unknown(name: str, possible: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(name, possible, 1)
    hint = f"Did you mean {near[0]}?" if near else "See them all: ccapi doctor --list"
    return UsageError(f"no check or category is called {name!r}", hint=hint)

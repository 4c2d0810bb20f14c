"""Docker: the command, its plugins, the engine."""

from __future__ import annotations

from ccapi.doctor.check import Check

CHECKS: tuple[Check, ...] = ()

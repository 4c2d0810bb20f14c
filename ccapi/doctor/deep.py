"""A real question through the real container: `ccapi doctor --deep`."""

from __future__ import annotations

from ccapi.doctor.check import Check

CHECKS: tuple[Check, ...] = ()

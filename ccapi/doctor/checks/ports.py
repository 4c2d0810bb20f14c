"""The ports of this machine."""

from __future__ import annotations

from ccapi.doctor.check import Check

CHECKS: tuple[Check, ...] = ()

"""What keeps others out."""

from __future__ import annotations

from ccapi.doctor.check import Check

CHECKS: tuple[Check, ...] = ()

"""The ways out: from this machine, and from inside the container."""

from __future__ import annotations

from ccapi.doctor.check import Check

CHECKS: tuple[Check, ...] = ()

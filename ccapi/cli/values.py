"""What the shell can complete besides commands and options, from what lies on this machine: no question, no network."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ccapi.errors import CcapiError


def projects(incomplete: str) -> list[str]:
    """The stacks that have a file or a directory here."""
    from ccapi.cli import context
    from ccapi.commands import ownfiles

    return _beginning(ownfiles.stacks(context.home()), incomplete)


def servers(incomplete: str) -> list[tuple[str, str]]:
    """The MCP servers of the catalogue, each with what it is."""
    from ccapi.oauth import catalogue

    return [(entry.name, entry.about) for entry in catalogue.load().entries if entry.name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """The keys of all settings."""
    from ccapi.settings import TABLE

    return _beginning((row.key for row in TABLE), incomplete)


def scenarios(incomplete: str) -> list[str]:
    """The rehearsal scenarios that are shipped."""
    from ccapi import paths

    return _beginning(paths.scenarios(), incomplete)


def checks(incomplete: str) -> list[str]:
    """The checks of `ccapi doctor`, and their categories."""
    from ccapi.doctor import registry

    ids = [check.id for check in registry.every()]
    return _beginning({*ids, *(name.partition(".")[0] for name in ids)}, incomplete)


def keys(incomplete: str) -> list[tuple[str, str]]:
    """The ids of the API keys that are there, each with its name."""
    from ccapi.cli import context
    from ccapi.commands import keys as stored

    with suppress(CcapiError):
        records = stored.listed(context.home())
        return [(record.id, record.name or "") for record in records if record.id.startswith(incomplete)]
    return []


def sessions(incomplete: str) -> list[tuple[str, str]]:
    """The ids of the sessions that were seen here, the last one first, each with its title."""
    from ccapi.cli import context
    from ccapi.commands import lastsession

    with suppress(CcapiError):
        settings = context.settings()
        known = lastsession.known(settings.home, settings.base_url)
        return [(session_id, title) for session_id, title in known.items() if session_id.startswith(incomplete)]
    return []


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))

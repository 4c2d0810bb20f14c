"""What the engine says of a container, as it says it: for whoever asks by the SDK, and for whoever asks without it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ccapi.stack import spec

_START_INTERVAL_API = (1, 44)  # Engine 25


@dataclass(frozen=True, slots=True)
class Container:
    """What `docker inspect` says of the container, as far as ccapi cares."""

    id: str
    image: str
    state: str  # created, running, paused, restarting, exited, dead, removing
    health: str | None  # starting, healthy, unhealthy
    exit_code: int
    oom_killed: bool
    error: str
    restarts: int
    started: datetime | None
    published: str | None  # `127.0.0.1:8000`: what Docker says, running or not
    workspace: str | None  # the host directory, None when it is a volume
    probe: str  # what the last health check printed
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    name: str
    user: str = ""  # `1000:1000`: as whom it runs
    image_id: str = ""

    @property
    def ours(self) -> bool:
        """Whether ccapi made it, or whoever used its compose file: it has the label that goes with its name."""
        return self.labels.get(spec.LABEL) == self.name

    @property
    def ended(self) -> bool:
        """Whether its process is gone, be it that Docker is about to start it again."""
        return self.state in {"exited", "dead", "restarting", "removing"}

    @property
    def age(self) -> float:
        """Seconds since its process was started last; 0 when it never was."""
        return (datetime.now(UTC) - self.started).total_seconds() if self.started else 0.0

    @property
    def address(self) -> str | None:
        """Where it is published while it runs."""
        return None if self.ended else self.published

    @property
    def port(self) -> int | None:
        return int(self.published.rpartition(":")[2]) if self.published else None


def knows_start_interval(api_version: str) -> bool:
    """Whether an engine of this API does."""
    return tuple(int(part) for part in api_version.split(".")) >= _START_INTERVAL_API


def only_file(archive: bytes, most: int) -> bytes | None:
    """What is in the file of a tar archive that has one, which may be cut off behind `most` bytes of it."""
    import tarfile

    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as files:
            found = files.next()
            content = files.extractfile(found) if found and found.isreg() and found.size <= most else None
            return content.read() if content else None
    except tarfile.TarError:
        return None


def parsed(raw: Mapping[str, Any]) -> Container:
    """What `docker inspect` says."""
    state, config = raw["State"], raw["Config"]
    health = state.get("Health") or {}
    probes = health.get("Log") or []
    return Container(
        id=raw["Id"],
        image=config["Image"],
        state=state["Status"],
        health=health.get("Status"),
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        restarts=raw["RestartCount"],
        started=_time(state["StartedAt"]),
        published=_published(raw),
        workspace=(config["Labels"] or {}).get(spec.WORKSPACE_LABEL) or None,
        probe=probes[-1]["Output"].strip() if probes else "",
        environment=dict(pair.partition("=")[::2] for pair in config["Env"] or []),
        labels=config["Labels"] or {},
        name=raw["Name"].lstrip("/"),
        user=config.get("User") or "",
        image_id=raw.get("Image") or "",
    )


def _time(text: str) -> datetime | None:
    """To the microsecond: a log is gone on with from here. (The year 1 means never.)"""
    if text.startswith("0001"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _published(raw: Mapping[str, Any]) -> str | None:
    for ports in (raw["NetworkSettings"].get("Ports"), raw["HostConfig"].get("PortBindings")):
        for binding in (ports or {}).get(spec.CONTAINER_PORT) or []:
            return f"{binding['HostIp'] or '0.0.0.0'}:{binding['HostPort']}"  # noqa: S104 -- what Docker means by ""
    return None

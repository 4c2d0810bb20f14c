"""What keeps the agent in its container: in what way a container has less of it than docker-compose.yml gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccapi.stack import spec

_PLACES = {spec.CONFIG, spec.WORKSPACE, spec.KEYS}
_READ_ONLY = {spec.KEYS}
_NAMESPACES = {
    "NetworkMode": "network",
    "PidMode": "process ids",
    "IpcMode": "IPC",
    "UTSMode": "host name",
    "UsernsMode": "user ids",
}
_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")


@dataclass(frozen=True, slots=True)
class Binding:
    """A port of the container, and where on this machine it is published."""

    port: str  # `8000/tcp`
    host: str
    host_port: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.host_port}"

    @property
    def loopback(self) -> bool:
        return self.host in {"127.0.0.1", "::1"} or self.host.startswith("127.")


def bindings(document: Mapping[str, Any]) -> list[Binding]:
    """All published ports. `document`: what `docker inspect` says. A running container's are what really listens."""
    running = document["NetworkSettings"].get("Ports") or {}
    wanted = document["HostConfig"].get("PortBindings") or {}
    ports = running if any(running.values()) else wanted
    return [
        Binding(port, found["HostIp"] or "0.0.0.0", found["HostPort"])  # noqa: S104 -- what Docker means by ""
        for port, all_of_it in ports.items()
        for found in all_of_it or []
    ]


def weaknesses(document: Mapping[str, Any]) -> list[str]:
    """In a few words each; none for what `ccapi up` makes. `document`: what `docker inspect` says."""
    return [*_rights(document), *_limits(document), *_namespaces(document), *_mounts(document)]


def _rights(document: Mapping[str, Any]) -> Iterator[str]:
    host, config = document["HostConfig"], document["Config"]
    options = [option.partition("=")[0] if "=" in option else option for option in host.get("SecurityOpt") or []]
    if config["User"].partition(":")[0] in {"", "0", "root"}:
        yield "runs as root"
    if host["Privileged"]:
        yield "is privileged"
    if not {"ALL", "CAP_ALL"} & set(host.get("CapDrop") or []):
        yield "keeps capabilities (cap_drop: ALL is missing)"
    if added := host.get("CapAdd"):
        yield f"was given capabilities: {', '.join(name.removeprefix('CAP_') for name in added)}"
    if not any(option.startswith("no-new-privileges") and not option.endswith("false") for option in options):
        yield "may gain privileges (no-new-privileges is missing)"
    if any(option in {"seccomp=unconfined", "seccomp:unconfined"} for option in host.get("SecurityOpt") or []):
        yield "has no seccomp profile"
    if not host["ReadonlyRootfs"]:
        yield "can write to its root file system"
    if devices := host.get("Devices"):
        yield f"has devices of the machine: {', '.join(device['PathOnHost'] for device in devices)}"


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    host = document["HostConfig"]
    if not host.get("Memory"):
        yield "may use all memory"
    if (host.get("PidsLimit") or 0) <= 0:
        yield "may start any number of processes"
    if not host.get("Init") and "tini" not in " ".join(document["Config"].get("Entrypoint") or []):
        yield "has no init: processes that ended pile up"


def _namespaces(document: Mapping[str, Any]) -> Iterator[str]:
    host = document["HostConfig"]
    for key, what in _NAMESPACES.items():
        if host.get(key) == "host":
            yield f"shares the machine's {what}"
        elif str(host.get(key) or "").startswith("container:"):
            yield f"shares another container's {what}"


def _mounts(document: Mapping[str, Any]) -> Iterator[str]:
    for mount in document["Mounts"]:
        source, target = str(mount.get("Source") or ""), mount["Destination"]
        if source.endswith(_SOCKETS) or target.endswith(_SOCKETS):
            yield f"has the engine's socket: whoever has it is root on this machine ({target})"
        elif mount["Type"] != "tmpfs" and target not in _PLACES:
            yield f"has more of this machine mounted: {source} on {target}"
        elif target in _READ_ONLY and mount["RW"]:
            yield f"can write to the API keys ({target})"

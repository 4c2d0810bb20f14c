"""The ports of this machine: ours, free, or somebody else's."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ccapi import portowner
from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError
from ccapi.oauth import daemon
from ccapi.stack import ports
from ccapi.stack.engine import Container


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who has a port; `stop` is the command that makes them leave."""

    who: str
    stop: str


def _gateway(facts: Facts) -> Finding:
    """The API's port: the container's, if one is published; else it must be free, or `up` would fail."""
    container = _own_container(facts)
    wanted = facts.settings().value("gateway.port")
    if container and container.state == "running" and container.port:
        if wanted in {None, container.port}:
            return ok(f"{container.port} is the gateway's ({container.published})")
        return info(
            f"the gateway is on {container.port}, and gateway.port is {wanted}",
            f"`{advice.ccapi(facts, 'up')}` would move it there.",
        )
    if wanted is None:
        return info("this stack has no port yet: the first `ccapi up` takes a free one")
    return _free_or_taken(facts, int(wanted), "gateway.port", "the API would not start")


def _oauth(facts: Facts) -> Finding:
    """The OAuth proxy's: its own, or free."""
    settings = facts.settings()
    running = list(daemon.ports(facts.home))
    wanted = settings.value("oauth.port")
    if wanted in running:
        return ok(f"{wanted} is the OAuth proxy's")
    if running:
        return warn(
            f"the OAuth proxy is on {running[0]}, and oauth.port is {wanted}",
            fix=Fix("Have it move", advice.ccapi(facts, "proxy start")),
        )
    if wanted is None:
        return info("this stack has no port yet: the first `ccapi up` takes a free one")
    return _free_or_taken(facts, int(wanted), "oauth.port", "MCP logins could not come back")


def _callback(facts: Facts) -> Finding:
    """The one redirect port that servers such as Slack's insist on. It is taken for the time of a login only."""
    settings = facts.settings()
    wanted = settings.callback_port
    if wanted is None:
        return ok("each login takes a free one (oauth.callback_port is not set)")
    if wanted == settings.value("oauth.port"):
        return ok(f"{wanted}, which is the OAuth proxy's own")
    waiting = _logins_on(facts, wanted)
    if waiting:
        return ok(f"{wanted} is taken by a login that waits")
    return _free_or_taken(facts, wanted, "oauth.callback_port", "logins could not come back")


def _logins_on(facts: Facts, port: int) -> bool:
    """Whether the proxy itself listens there."""
    holder = portowner.owner(port)
    pids = {found.pid for running in daemon.ports(facts.home) if (found := daemon.found(facts.home, running))}
    return holder is not None and holder.pid in pids


def _published(facts: Facts) -> Finding:
    """On which address Docker has really published the API, whatever the settings say."""
    container = _own_container(facts)
    if container is None or not container.published or container.ended:
        return skip("nothing is published: the container is not running")
    address = ipaddress.ip_address(container.published.rpartition(":")[0].strip("[]"))
    if address.is_loopback:
        return ok(f"{container.published}: this machine only")
    where = "every address of this machine" if address.is_unspecified else str(address)
    if address.is_unspecified or address.is_global:
        return warn(
            f"the API is published on {where}, port {container.port}",
            "Docker goes around the firewall of the machine (ufw, firewalld). Keys are asked for; TLS is not spoken.",
            Fix("For this machine only", f"ccapi config unset gateway.host\n{advice.ccapi(facts, 'up')}"),
        )
    return info(f"the API is published on {where}, for the local network")


def _own_container(facts: Facts) -> Container | None:
    """None as well where no engine can be asked: the port may be looked at all the same."""
    try:
        container = facts.container()
    except CcapiError:
        return None
    return container if container and container.ours else None


def _free_or_taken(facts: Facts, port: int, setting: str, so: str) -> Finding:
    host = facts.settings().host if setting == "gateway.port" else "127.0.0.1"
    if ports.is_free(port, host):
        return ok(f"{port} is free")
    holder = _holder(facts, port)
    other = ports.free_near(port, host)
    return fail(
        f"{port} is in use by {holder.who}",
        f"Until it is free, {so}.",
        Fix(
            f"Stop what uses it, or take another port, such as {other}",
            f"{holder.stop}\n{advice.ccapi(facts, f'config set {setting} {other}')}",
        ),
    )


def _holder(facts: Facts, port: int) -> _Holder:
    try:
        with facts.engine() as engine:
            if container := engine.publisher(port):
                return _Holder(f"the container {container}", f"docker stop {container}")
    except CcapiError:
        pass
    if process := portowner.owner(port):
        return _Holder(str(process), f"kill {process.pid}")
    return _Holder("another user's process", f"sudo lsof -nP -iTCP:{port} -sTCP:LISTEN")


CHECKS: tuple[Check, ...] = (
    Check(
        "ports.gateway",
        "Whether the API's port (gateway.port) is the gateway's, or free",
        _gateway,
        needs=("cli.settings",),
        trouble=(Trouble("Another program has the port.", "Stop it, or `ccapi config set gateway.port`."),),
    ),
    Check(
        "ports.oauth",
        "Whether the OAuth proxy's port (oauth.port) is the proxy's, or free",
        _oauth,
        needs=("cli.settings",),
        trouble=(Trouble("Jupyter has 8888, which is the proxy's too.", "Move one: `ccapi config set oauth.port`."),),
    ),
    Check(
        "ports.callback",
        "Whether the port that MCP logins come back to (oauth.callback_port) is free",
        _callback,
        needs=("cli.settings",),
        trouble=(Trouble("Another program has the login's port.", "Stop it for as long as the login takes."),),
    ),
    Check(
        "ports.published",
        "Who can reach the API, by the address that Docker has published it on",
        _published,
        needs=("docker.engine",),
        trouble=(Trouble("The API is on every address.", "Unset gateway.host, or put a proxy with TLS before it."),),
    ),
)

"""What keeps others out of the gateway, and the agent in its container."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, GatewayUnreachable, KeyInvalid, OutputFailed
from ccapi.redact import redact

_ASK_TIMEOUT = 8.0  # seconds
_WRITE = stat.S_IWGRP | stat.S_IWOTH
_TRUE = {"true", "on", "1"}
_SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)$")
_GRAVE = ("runs as root", "is privileged", "has the engine's socket")
_TCP = ("tcp://", "http://")


def _made_anew(facts: Facts, text: str = "Have the container made anew, as ccapi makes it; its volumes stay") -> Fix:
    """`up` alone leaves one that runs with the settings of now as it is."""
    return Fix(text, f"{advice.ccapi(facts, 'down')}\n{advice.ccapi(facts, 'up')}")


# --- who reaches the API


def published(facts: Facts) -> Finding:
    """As Docker has it; the settings may have changed since."""
    from ccapi.stack import isolation

    container, document = facts.running_container(), facts.inspected()
    found = isolation.bindings(document or {})
    if not found:
        return info("the API is published nowhere")
    reachable = [binding for binding in found if not binding.loopback]
    if not reachable:
        return ok(f"only this machine reaches the API: {advice.listed(map(str, found))}")
    where = advice.listed(dict.fromkeys(map(str, reachable)))
    if not _asks_for_a_key(facts, container.environment):
        summary = f"other machines reach the API on {where}, and nobody is asked for a key"
        return fail(summary, fix=_made_anew(facts, "Publish it on this machine only, or as gateway.host says"))
    if not _number_of_keys(facts):
        fix = Fix("Make one", advice.ccapi(facts, "key create"))
        return warn(f"the API on {where} wants a key from everybody, and there is none", fix=fix)
    return info(
        f"other machines reach the API on {where}, with a key",
        "Without HTTPS in front of it, what they send can be read on the way.",
    )


def _asks_for_a_key(facts: Facts, environment: Mapping[str, str]) -> bool:
    """By being asked without one; where nothing answers, by what it was told."""
    from ccapi.client import status

    try:
        status.ask(facts.base_url(), "/ready", timeout=_ASK_TIMEOUT)
    except KeyInvalid:
        return True
    except CcapiError as error:
        return not isinstance(error, GatewayUnreachable) or _told_to(environment)
    return False


def _told_to(environment: Mapping[str, str]) -> bool:
    from ccapi.settings import LOOPBACK

    host = environment.get("CCAPI_GATEWAY_HOST") or LOOPBACK[0]
    return host not in LOOPBACK or environment.get("CCAPI_API_REQUIRE_KEY", "").lower() in _TRUE


def _number_of_keys(facts: Facts) -> int:
    from ccapi.commands import keys

    return len(keys.listed(facts.home))


# --- the files of this machine


def keys(facts: Facts) -> Finding:
    """Whether others could let themselves in. Whether they can read what is secret, `storage.files` says."""
    if os.name != "posix":
        return skip("this system has no file modes")
    found = [(file, file.stat()) for file in _deciding(facts.state_dir) if file.exists()]
    if not found:
        return info("there are no files yet that say who is let in")
    if others := [file for file, status in found if status.st_uid != os.geteuid()]:
        fix = Fix("Have it back", f"sudo chown -R $USER {facts.state_dir}")
        return fail(f"what says who is let in is another user's: {others[0]}", fix=fix)
    wrong = [(file, stat.S_IMODE(status.st_mode)) for file, status in found if status.st_mode & _WRITE]
    if not wrong:
        return ok("nobody else can say who is let in")
    modes = "\n".join(f"{file}: mode {mode:o}" for file, mode in wrong)
    commands = "\n".join(f"chmod go-w {file}" for file, _ in wrong)
    names = advice.listed(file.name for file, _ in wrong)
    return fail(f"others could let themselves in: {names} can be written by them", modes, _closed(wrong, commands))


def _deciding(state: Path) -> Iterator[Path]:
    from ccapi.wire import internal, keys

    yield state
    yield state / internal.SECRET_FILE
    for name in ("", keys.FILE, internal.HASH_FILE):
        yield state / "keys" / name


def _closed(wrong: list[tuple[Path, int]], commands: str) -> Fix:
    def apply() -> None:
        for file, mode in wrong:
            try:
                file.chmod(mode & ~_WRITE)
            except OSError as error:
                raise OutputFailed(f"{file}: {error.strerror}") from error

    return Fix("Keep the others out", commands, apply)


# --- the container


def container(facts: Facts) -> Finding:
    from ccapi.stack import isolation

    facts.own_container()
    document = facts.inspected()
    found = isolation.weaknesses(document) if document else []
    if not found:
        return ok("the container has no rights beyond those it needs")
    summary = f"the container {found[0]}" + (f", and {len(found) - 1} more" if len(found) > 1 else "")
    finding = fail if any(weakness.startswith(_GRAVE) for weakness in found) else warn
    return finding(summary, "\n".join(f"it {weakness}" for weakness in found[1:]), _made_anew(facts))


def environment(facts: Facts) -> Finding:
    """What is in it, `docker inspect` shows to everybody who may use Docker."""
    found = sorted(_secrets(facts.own_container().environment))
    if not found:
        return ok("no secret is in the container's environment")
    summary = (
        f"the container's environment, which `docker inspect` shows, holds what looks secret: {advice.listed(found)}"
    )
    if all(name.upper().endswith("_PROXY") for name in found):
        text = "Use a proxy without a password in its address, then have the container made anew"
        return warn(summary, fix=_made_anew(facts, text))
    text = (
        f"Take it out of the compose file or .env; `{advice.ccapi(facts, 'auth claude')}` keeps it where only Claude "
        "Code finds it. Then have the container made anew"
    )
    return warn(summary, fix=_made_anew(facts, text))


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        proxy = name.upper().endswith("_PROXY") and not name.isupper()  # the second spelling says nothing new
        if value and not proxy and (_SECRET_NAME.search(name) or redact(value) != value):
            yield name


# --- the engine


def engine(facts: Facts) -> Finding:
    """Whoever reaches the engine is root on its machine."""
    host = facts.docker_environment.get("DOCKER_HOST", "")
    if host.startswith(_TCP) and not facts.docker_environment.get("DOCKER_TLS_VERIFY"):
        text = "Use the engine's own socket; over a network only with TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)"
        summary = f"Docker is used without encryption or password, at {redact(host)}"
        return warn(f"{summary}: whoever reaches that is root there", fix=Fix(text, "unset DOCKER_HOST"))
    warnings = [line for line in facts.engine_info().get("Warnings") or [] if "without encryption" in line]
    if warnings:
        text = (
            "Take the tcp:// address out of `hosts` in /etc/docker/daemon.json, or out of dockerd's -H, and restart it"
        )
        said = " ".join(advice.quoted(warnings[0], lines=1))
        return warn("the engine also listens on the network, without encryption or password", said, Fix(text))
    return ok("the engine is reached in a way that keeps others out")


CHECKS: tuple[Check, ...] = (
    Check(
        "security.published",
        "Who reaches the API",
        published,
        needs=("stack.container",),
        limit=12,
        trouble=(
            Trouble(
                "The API shall be used from other machines.",
                "`ccapi key create`, `ccapi config set gateway.host 0.0.0.0`, `ccapi up`; and TLS in front of it.",
            ),
        ),
    ),
    Check(
        "security.keys",
        "Whether others could let themselves in",
        keys,
        trouble=(Trouble("Others can write to the keys' file.", "`ccapi doctor --fix` closes it."),),
    ),
    Check(
        "security.container",
        "Whether the container has more rights than it needs",
        container,
        needs=("stack.container",),
    ),
    Check(
        "security.environment",
        "Whether a secret is in the container's environment",
        environment,
        needs=("stack.container",),
    ),
    Check("security.engine", "Whether the Docker engine is open to others", engine, needs=("docker.engine",)),
)

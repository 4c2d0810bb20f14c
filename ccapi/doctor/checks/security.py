"""What keeps others out of the gateway, and the agent in its container."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, GatewayUnreachable, KeyInvalid, OutputFailed
from ccapi.redact import redact

_ASK_TIMEOUT = 8.0  # seconds
_TRUE = {"true", "on", "1"}
_SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)$")
_GRAVE = ("runs as root", "is privileged", "has the engine's socket")
_TCP = ("tcp://", "http://")


def _made_anew(facts: Facts, text: str = "Have the container made anew, as ccapi makes it; its volumes stay.") -> Fix:
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
        return fail(summary, fix=_made_anew(facts, "Publish it on this machine only, or as gateway.host says."))
    if not _keys(facts):
        fix = Fix("Make one.", advice.ccapi(facts, "key create"))
        return warn(f"the API on {where} wants a key from everybody, and there is none", fix=fix)
    return info(f"other machines reach the API on {where}, with a key", "What they send is not encrypted: see docs.")


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


def _keys(facts: Facts) -> int:
    from ccapi.commands import keys

    return len(keys.listed(facts.home))


# --- the files of this machine


class _Rule(NamedTuple):
    """`forbidden`: the permission bits that a file or directory must not have."""

    path: Path
    forbidden: int


def files(facts: Facts) -> Finding:
    if os.name != "posix":
        return skip("this system has no permission bits")
    state = facts.state_dir
    if not state.is_dir():
        return info(f"there are no files yet: {state}")
    wrong, others = [], []
    for rule in _rules(state):
        try:
            found = rule.path.stat()
        except OSError:
            continue
        if found.st_mode & rule.forbidden:
            wrong.append((rule, found.st_mode & 0o7777))
        if found.st_uid != os.geteuid():
            others.append(rule.path)
    if others:
        fix = Fix("Have it back.", f"sudo chown -R $USER {state}")
        return fail(f"what only you should own is another user's: {others[0]}", fix=fix)
    if not wrong:
        return ok("nobody else can read the stack's secret, or add an API key")
    modes = "\n".join(f"{rule.path}: mode {mode:o}" for rule, mode in wrong)
    summary = f"others may use what is yours alone: {advice.listed(str(rule.path) for rule, _ in wrong)}"
    commands = "\n".join(f"chmod {mode & ~rule.forbidden:o} {rule.path}" for rule, mode in wrong)
    return fail(summary, modes, Fix("Keep others out.", commands, _chmod(wrong)))


def _rules(state: Path) -> Iterator[_Rule]:
    """The container's user must read the keys' directory; the one above it keeps this machine's other users out."""
    from ccapi.wire import internal, keys

    yield _Rule(state, 0o007)
    yield _Rule(state / internal.SECRET_FILE, 0o077)
    for name in ("keys", f"keys/{keys.FILE}", f"keys/{internal.HASH_FILE}"):
        yield _Rule(state / name, 0o022)
    for pattern in ("proxy-*.json", "proxy-*.lock", "log/*"):
        for file in sorted(state.glob(pattern)):
            yield _Rule(file, 0o077)


def _chmod(wrong: list[tuple[_Rule, int]]) -> Callable[[], None]:
    def apply() -> None:
        for rule, mode in wrong:
            try:
                rule.path.chmod(mode & ~rule.forbidden)
            except OSError as error:
                raise OutputFailed(f"{rule.path}: {error.strerror}") from error

    return apply


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
        text = "Use a proxy without a password in its address, then have the container made anew."
        return warn(summary, fix=_made_anew(facts, text))
    text = (
        f"Take it out of the compose file or .env; `{advice.ccapi(facts, 'auth claude')}` keeps it where only Claude "
        "Code finds it. Then have the container made anew."
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
        text = "Use the engine's own socket; over a network only with TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)."
        summary = f"Docker is used without encryption or password, at {redact(host)}"
        return warn(f"{summary}: whoever reaches that is root there", fix=Fix(text, "unset DOCKER_HOST"))
    warnings = [line for line in facts.engine_info().get("Warnings") or [] if "without encryption" in line]
    if warnings:
        text = (
            "Take the tcp:// address out of `hosts` in /etc/docker/daemon.json, or out of dockerd's -H, and restart it."
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
                "The API shall be used from other machines",
                "`ccapi key create`, `ccapi config set gateway.host 0.0.0.0`, `ccapi up`; and TLS in front of it.",
            ),
        ),
    ),
    Check("security.files", "The stack's secret and keys are nobody else's", files),
    Check(
        "security.container", "The container has no more rights than it needs", container, needs=("stack.container",)
    ),
    Check(
        "security.environment", "No secret is in the container's environment", environment, needs=("stack.container",)
    ),
    Check("security.engine", "The Docker engine is not open to others", engine, needs=("docker.engine",)),
)

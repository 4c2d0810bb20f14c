"""The OAuth proxy: whether what a browser brings would arrive in the container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, ProxyFailed, ProxyUnreachable, StackSecretInvalid

if TYPE_CHECKING:
    from ccapi.oauth.config import ProxyConfig
    from ccapi.oauth.instance import Instance
    from ccapi.settings import Settings
    from ccapi.stack.engine import Container

_LIMIT = 15.0  # seconds; the proxy's server may have to be started, and asks the gateway
_LOG_LINES = 300
_LATELY = timedelta(days=1)
# How a person calls what the proxy is told.
_NAMES = {
    "gateway_host": "gateway.host",
    "gateway_port": "gateway.port",
    "callback_port": "oauth.callback_port",
    "open_browser": "oauth.open_browser",
    "secret_file": "where the stack's secret is",
    "idle": "ccapi's version",
    "version": "ccapi's version",
}
_LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<text>.*)")
_STARTED = "Started on port"
_CRASHED = "the next one may start in"


def _container(facts: Facts) -> Container | None:
    """The stack's container, if it runs; without Docker none does."""
    try:
        return facts.running_container()
    except CcapiError:
        return None


def _wanted(facts: Facts) -> Settings:
    """The settings, with the port on which the container really is published."""
    settings, container = facts.settings(), _container(facts)
    return settings.with_value("gateway.port", container.port) if container and container.port else settings


def _instance(facts: Facts) -> Instance | None:
    """The proxy that runs, on whatever port."""
    from ccapi.oauth import daemon

    return next((found for port in daemon.ports(facts.home) if (found := daemon.found(facts.home, port))), None)


def _start(facts: Facts, text: str) -> Fix:
    """One that runs with other settings is replaced by it."""

    def apply() -> None:
        from ccapi.commands import proxy

        proxy.start(_wanted(facts))

    return Fix(text, advice.ccapi(facts, "proxy start"), apply)


def _restart(facts: Facts, text: str) -> Fix:
    def apply() -> None:
        from ccapi.commands import proxy

        proxy.stop(facts.home)
        proxy.start(_wanted(facts))

    return Fix(text, advice.ccapi(facts, "proxy restart"), apply)


# --- the checks


def running(facts: Facts) -> Finding:
    from ccapi.oauth import daemon

    there = list(daemon.ports(facts.home))
    if not there and _container(facts) is None:
        return info("the OAuth proxy does not run, nor does the container; `ccapi up` starts both")
    wanted = facts.settings().oauth_port
    if wanted in there:
        return ok(f"the OAuth proxy runs, on port {wanted}")
    if there:
        summary = f"the OAuth proxy runs on port {there[0]}, and the setting oauth.port says {wanted}"
        return warn(summary, fix=_start(facts, "Have it listen there"))
    summary = "the OAuth proxy does not run: of a sign-in that is started in the container nothing is seen here"
    return warn(summary, fix=_start(facts, "Start it; `ccapi auth` does so as well"))


def settings_(facts: Facts) -> Finding:
    from ccapi.oauth import daemon

    if (found := _instance(facts)) is None:
        return skip("the OAuth proxy does not run")
    changed = list(dict.fromkeys(_changed(found.config, daemon.configured(_wanted(facts)))))
    if not changed:
        return ok("the OAuth proxy was started with the settings of now")
    summary = f"since the OAuth proxy was started, this has changed: {advice.listed(changed)}"
    return warn(summary, fix=_start(facts, "Have it started anew; a sign-in that waits for the browser is over then"))


def _changed(running: ProxyConfig | None, wanted: ProxyConfig) -> Iterator[str]:
    """Where it logs to makes no difference, and on which port it is, `proxy.running` says."""
    if running is None:
        yield "ccapi's version"
        return
    for key, value in wanted._asdict().items():
        if key in _NAMES and getattr(running, key) != value:
            yield _NAMES[key]


def gateway(facts: Facts) -> Finding:
    if (found := _instance(facts)) is None or found.config is None:
        return skip("the OAuth proxy of this ccapi does not run")
    problem = _problem(facts, found.config.port)
    if problem is None:
        return ok("the OAuth proxy reaches the gateway, which takes the stack's secret")
    if isinstance(problem, StackSecretInvalid):
        text = "Have the container made anew: it reads a directory that is no longer the one of this machine"
        return fail("the gateway does not take the stack's secret", fix=Fix(text, advice.ccapi(facts, "up")))
    if isinstance(problem, ProxyUnreachable):
        return fail(problem.message, fix=_restart(facts, "Start it again"))
    fix = _restart(facts, "Start it again, with the port that the container is on now")
    return fail(f"the OAuth proxy does not reach the gateway: {problem.message}", fix=fix)


def _problem(facts: Facts, port: int) -> CcapiError | None:
    from ccapi.client.proxy import ProxyClient

    try:
        if (secret := facts.secret()) is None:
            return StackSecretInvalid("there is no secret")
        with ProxyClient(f"http://127.0.0.1:{port}", secret) as client:
            return client.overview().problem
    except CcapiError as error:
        return error


def service(facts: Facts) -> Finding:
    from ccapi import paths
    from ccapi.commands import proxy

    try:
        file = proxy.unit_file(facts.home)
    except ProxyFailed:
        return skip("this system cannot be told to start the OAuth proxy")
    install = advice.ccapi(facts, "proxy install")
    try:
        text = file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return info(
            f"after a restart of this machine, `ccapi up` starts the OAuth proxy; with `{install}` the system does"
        )
    except OSError as error:
        return warn(f"{file} cannot be read: {error.strerror}", fix=Fix("Have it written anew", install))
    if paths.interpreter() in text:
        return ok("the system starts the OAuth proxy")
    summary = "the system starts the OAuth proxy of another ccapi, or of one that is gone"
    return warn(summary, str(file), Fix("Have it written anew", install))


def log(facts: Facts) -> Finding:
    """Since it was last started, and of the last day: what is older was mended, or does not matter."""
    from ccapi.commands import proxy

    try:
        lines = proxy.logs(facts.home, tail=_LOG_LINES).splitlines()
    except ProxyFailed:
        return info("the OAuth proxy has logged nothing yet")
    begin = max((number for number, line in enumerate(lines) if _STARTED in line), default=0)
    since = datetime.now() - _LATELY  # noqa: DTZ005 -- the log is in this machine's time
    recent = [found["text"] for line in lines[begin:] if (found := _LINE.match(line)) and _time(found["time"]) > since]
    if crashes := [text for text in recent if _CRASHED in text]:
        summary = f"the OAuth proxy's server has failed since it was started: {advice.quoted(crashes[-1])[0]}"
        return warn(summary, fix=_restart(facts, "Start it again; if that does not help, read: ccapi proxy logs"))
    if warnings := [text for text in recent if text.startswith(("warning: ", "error: "))]:
        return info(f"the last thing that went wrong: {advice.quoted(warnings[-1])[0]}")
    return ok("the OAuth proxy's log tells of no failure")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


CHECKS: tuple[Check, ...] = (
    Check(
        "proxy.running",
        "Whether the OAuth proxy runs, on its port",
        running,
        needs=("ports.oauth",),
        trouble=(
            Trouble(
                "After a sign-in the browser shows that it cannot connect to localhost.",
                "Start the proxy: `ccapi proxy start`, then sign in again.",
            ),
        ),
    ),
    Check("proxy.settings", "Whether it was started with the settings of now", settings_, needs=("proxy.running",)),
    Check(
        "proxy.gateway",
        "Whether it reaches the gateway, and is let in",
        gateway,
        needs=("proxy.running", "stack.health"),
        limit=_LIMIT,
        trouble=(
            Trouble(
                "The browser says that the sign-in could not be delivered.",
                "`ccapi up` if the secret is the reason, else `ccapi proxy restart`.",
            ),
        ),
    ),
    Check("proxy.service", "Who starts it after a restart of this machine", service),
    Check("proxy.log", "Whether its log tells of a failure", log),
)

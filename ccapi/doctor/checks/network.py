"""The ways out: from this machine, and from inside the container."""

from __future__ import annotations

import ipaddress
import platform
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError
from ccapi.settings import LOOPBACK

_SKEW, _BROKEN_SKEW = 30, 300  # seconds: sign-ins are short-lived; beyond the second, certificates and logins fail
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Where an inspecting proxy's certificate lies, where somebody has installed it; variables that name it come first.
_CA_VARIABLES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CA_DIRECTORIES = ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors")
_CURL = {
    5: "the proxy's name is not known",
    6: "its name is not known",
    7: "nobody answers",
    28: "it does not answer in time",
    35: "TLS fails",
    56: "the connection is refused or broken",
    60: "its certificate is not trusted",
    97: "the proxy refuses",
}


def _proxy(facts: Facts) -> Finding:
    """Whether the variables of both spellings say the same, are complete, and leave out this machine."""
    wrong = list(_proxy_problems(facts))
    if wrong:
        commands = "\n".join(command for _, command in wrong if command)
        return warn(wrong[0][0], "\n".join(text for text, _ in wrong[1:]), Fix("Set them alike", commands or None))
    told = facts.network_environment
    if "HTTPS_PROXY" in told:
        return info(f"HTTPS goes through {told['HTTPS_PROXY']}, from the container too")
    return ok("none is set")


def _proxy_problems(facts: Facts) -> Iterator[tuple[str, str]]:
    """Sentences, each with the command that helps."""
    environ = facts.environ
    for name in _PROXIES:
        upper, lower = environ.get(name), environ.get(name.lower())
        if upper and lower and upper != lower:
            yield f"{name} is {upper}, and {name.lower()} is {lower}", f'export {name.lower()}="${name}"'
    https, http = (environ.get(name) or environ.get(name.lower()) for name in ("HTTPS_PROXY", "HTTP_PROXY"))
    if http and not https:
        yield (
            "HTTP_PROXY is set, and HTTPS_PROXY is not: the model's API is asked by HTTPS",
            f"export HTTPS_PROXY={http}",
        )
    for name, value in (("HTTPS_PROXY", https), ("HTTP_PROXY", http)):
        if value and not urlsplit(value if "://" in value else f"http://{value}").hostname:
            yield f"{name} is {value}, which is no address", f"unset {name} {name.lower()}"
        elif value and urlsplit(value if "://" in value else f"http://{value}").hostname in LOOPBACK:
            yield f"{name} is {value}, which inside the container is the container itself", ""
    bypass = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if (https or http) and not {"localhost", "*"} & {part.strip() for part in bypass.split(",")}:
        own = ",".join(filter(None, [bypass, "localhost,127.0.0.1,::1"]))
        yield (
            "NO_PROXY does not have localhost: the gateway would be asked for through the proxy",
            (f"export NO_PROXY={own} no_proxy={own}"),
        )


def _dns(facts: Facts) -> Finding:
    """Whether this machine knows the name of the model's API."""
    parts = urlsplit(facts.api_url)
    host = parts.hostname
    if not host:
        return fail(
            f"ANTHROPIC_BASE_URL is {facts.api_url}, which is no address",
            fix=Fix("Take it out, or correct it", "unset ANTHROPIC_BASE_URL"),
        )
    if "HTTPS_PROXY" in facts.network_environment:
        return info("names are looked up by the proxy")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return ok(f"{host} is an address")
    try:
        found = socket.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        return fail(
            f"the name {host} is not known: {error.strerror}",
            "Without a network, or with a name server that does not answer.",
            Fix("Look at the network first", f"getent hosts {host}" if sys.platform == "linux" else f"nslookup {host}"),
        )
    return ok(f"{host} has {len({str(entry[4][0]) for entry in found})} addresses")


def _api(facts: Facts) -> Finding:
    """Whether the model's API answers this machine. Any answer will do: none needs an account."""
    seen = facts.outside(facts.api_url)
    if not seen.answered:
        named = "ANTHROPIC_BASE_URL" in facts.environ
        what = Fix("Is ANTHROPIC_BASE_URL meant?", "unset ANTHROPIC_BASE_URL") if named else Fix(
            "Try it by hand; a firewall may want a proxy: set HTTPS_PROXY", f"curl -sSI {facts.api_url}"
        )  # fmt: skip
        return fail(f"{facts.api_url} cannot be reached: {seen.problem}", fix=what)
    if seen.status == 407:
        return fail(
            "the proxy wants a name and a password",
            fix=Fix("Give them in HTTPS_PROXY", "export HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"),
        )
    return ok(f"{facts.api_url} answers")


def _tls(facts: Facts) -> Finding:
    """Who signed the certificate, and whether the container would trust them: it knows the public authorities only."""
    seen = facts.outside(facts.api_url)
    if seen.trust is None:
        return skip(f"{facts.api_url} is not asked by TLS")
    if seen.trust == "container":
        own = facts.settings().ca_file
        return ok(f"signed by {seen.issuer or 'a known authority'}{f', with {own}' if own else ''}")
    issuer = seen.issuer or "an unknown authority"
    if seen.tls and ("expired" in seen.tls or "not yet valid" in seen.tls):
        return fail(
            f"the certificate of {facts.api_url} is not valid now: {seen.tls}",
            f"Signed by {issuer}. Is this machine's clock right?",
            _clock_fix(),
        )
    if seen.tls and "certificate is not valid for" in seen.tls:
        return fail(f"the certificate of {facts.api_url} is another machine's", f"Signed by {issuer}; {seen.tls}")
    trusted = "This machine trusts it; the container does not." if seen.trust == "machine" else seen.tls or ""
    return fail(
        f"a proxy inspects TLS here: the certificate is signed by {issuer}",
        f"{trusted} Builds and Claude Code would fail.",
        Fix(
            "Give its CA certificate, for the image's build and for the container",
            f"ccapi config set stack.ca_file {_ca_file(facts)}\n{advice.ccapi(facts, 'up')}",
        ),
    )


def _ca_file(facts: Facts) -> str:
    """Where it may lie on this machine; else what to put in."""
    for name in _CA_VARIABLES:
        if (file := facts.environ.get(name)) and Path(file).is_file():
            return file
    for directory in map(Path, _CA_DIRECTORIES):
        found = sorted(directory.glob("*.crt")) + sorted(directory.glob("*.pem"))
        if found:
            return str(found[0])
    return "FILE"


def _clock(facts: Facts) -> Finding:
    """Against the clock of whoever answers. A wrong one makes certificates and sign-ins invalid."""
    seen = facts.outside(facts.api_url)
    if seen.ahead is None:
        return skip("nobody answers whose clock could be asked")
    seconds = abs(seen.ahead)
    if seconds < _SKEW:
        return ok(f"right, by the clock of {urlsplit(seen.url).hostname}")
    where = "ahead" if seen.ahead > 0 else "behind"
    text = f"this machine's clock is {_duration(seconds)} {where}"
    if seconds < _BROKEN_SKEW:
        return warn(text, fix=_clock_fix())
    return fail(text, "Certificates seem not valid, sign-ins expired.", _clock_fix())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _clock_fix() -> Fix:
    if "microsoft" in platform.release().lower():
        return Fix("Take over the clock of Windows (WSL's stops while the machine sleeps)", "sudo hwclock --hctosys")
    if sys.platform == "darwin":
        return Fix("Have it set", "sudo sntp -sS time.apple.com")
    return Fix("Have it set by the network", "sudo timedatectl set-ntp true")


def _registry(facts: Facts) -> Finding:
    """Whether the registry answers; only if a base image would have to be fetched from there."""
    settings = facts.settings()
    if (container := facts.container()) and container.ours:
        return ok("not needed: the image is there")
    with facts.engine() as engine:
        if engine.has_image(settings.base_image):
            return ok(f"not needed: {settings.base_image} is there")
    url = str(facts.engine_info().get("IndexServerAddress") or "")
    if not url.startswith("http"):
        return skip("the engine names no registry")
    seen = facts.outside(url)
    if not seen.answered:
        return warn(
            f"the registry that {settings.base_image} would come from cannot be reached: {seen.problem}",
            f"{url} is asked; the engine may have a mirror of its own.",
            Fix("See whether the engine gets it", f"docker pull {settings.base_image}"),
        )
    return ok(f"{urlsplit(url).hostname} answers, for {settings.base_image}")


def _container(facts: Facts) -> Finding:
    """Whether the model's API answers the container, which has its own names, certificates and variables."""
    try:
        container = facts.running_container()
    except CcapiError as error:
        return skip(error.message)
    if scenario := container.environment.get("CCAPI_REHEARSAL"):
        return ok(f"not needed: the model is scripted (rehearsal scenario {scenario})")
    url = container.environment.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
    most = f"{facts.timeout:g}"
    said = facts.run_inside(
        "curl", "--silent", "--show-error", "--head", "--max-time", most, "--output", "/dev/null",
        "--write-out", "%{http_code}", "--", url, timeout=facts.timeout + 2,
    )  # fmt: skip
    if said.code == 0:
        return ok(f"{url} answers from inside the container")
    why = _CURL.get(said.code, f"curl: exit code {said.code}")
    return fail(
        f"{url} cannot be reached from inside the container: {why}",
        "\n".join(advice.quoted(said.stderr, lines=2)),
        _inside_fix(facts, url, said.code),
    )


def _inside_fix(facts: Facts, url: str, code: int) -> Fix:
    up = advice.ccapi(facts, "up")
    if code == 60:
        return Fix("Give the CA certificate of the proxy", f"ccapi config set stack.ca_file {_ca_file(facts)}\n{up}")
    if urlsplit(url).hostname in LOOPBACK:
        return Fix("That is the container itself: name an address that it reaches", f"unset ANTHROPIC_BASE_URL\n{up}")
    return Fix("Start it anew: the proxies and ANTHROPIC_BASE_URL of this shell are passed on to it", up)


CHECKS: tuple[Check, ...] = (
    Check(
        "network.proxy",
        "Whether the proxy variables (HTTPS_PROXY and the like) fit together",
        _proxy,
        trouble=(
            Trouble("HTTPS_PROXY and https_proxy differ.", "Set both alike: programs read one or the other."),
            Trouble("NO_PROXY does not have localhost.", "Add it: the gateway is on this machine."),
        ),
    ),
    Check(
        "network.dns",
        "Whether the name of the model's API is known here",
        _dns,
        online=True,
        trouble=(Trouble("Names are not found.", "There is no network, or its name server does not answer."),),
    ),
    Check(
        "network.api",
        "Whether the model's API answers this machine",
        _api,
        needs=("network.dns",),
        online=True,
        trouble=(Trouble("A firewall lets nothing out.", "Set HTTPS_PROXY, or ANTHROPIC_BASE_URL to your gateway."),),
    ),
    Check(
        "network.tls",
        "Who signed the certificate of the model's API, and whether the container trusts them",
        _tls,
        needs=("network.api", "cli.settings"),
        online=True,
        trouble=(Trouble("A proxy inspects TLS.", "Give its CA certificate with the setting stack.ca_file."),),
    ),
    Check(
        "network.clock",
        "Whether this machine's clock is right",
        _clock,
        needs=("network.dns",),
        online=True,
        trouble=(Trouble("The clock is wrong.", "Have it set by the network; WSL's stops while the machine sleeps."),),
    ),
    Check(
        "network.registry",
        "Whether the registry answers, if the base image has yet to be fetched",
        _registry,
        needs=("docker.engine", "cli.settings"),
        online=True,
        trouble=(Trouble("The registry cannot be reached.", "Import the base image by hand: stack.base_image."),),
    ),
    Check(
        "network.container",
        "Whether the model's API answers the container",
        _container,
        needs=("docker.engine",),
        online=True,
        limit=15.0,
        trouble=(
            Trouble("It answers this machine, and not the container.", "Run `ccapi up` in a shell with the proxies."),
        ),
    ),
)

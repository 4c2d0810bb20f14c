"""What doctor says of the ways out. The model's API is a server of this machine: no test asks the internet."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from ccapi.client import certificate
from ccapi.doctor.runner import Result
from tests.cli.support import free_port
from tests.doctor.stage import Stage
from tests.doctor.support import NO_ENGINE, Doctor, Table
from tests.doctor.tlsserver import AUTHORITY, ORGANISATION, Authority, authority, https
from tests.gateway.harness import await_that
from tests.stack.support import inspect

pytestmark = NO_ENGINE

API = "ANTHROPIC_BASE_URL"
CA = "CCAPI_STACK_CA_FILE"
SIGNER = f"{ORGANISATION}, {AUTHORITY}"


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for the model's API here."""
    return authority(tmp_path_factory.mktemp("authority"))


def add(table: Table, condition: str, broken: Result, mended: Result, replace: Mapping[str, str] | None = None) -> None:
    """A row in which the server of this machine is the model's API."""
    text = f"{broken.finding}{mended.finding}"
    urls = dict.fromkeys(re.findall(r"https?://127\.0\.0\.1:\d+", text), "https://api.anthropic.com")
    table.add(condition, broken, mended, replace={**(replace or {}), **urls, "of 127.0.0.1": "of api.anthropic.com"})


# --- the variables


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1", "NO_PROXY": "localhost"},
            "HTTPS_PROXY is http://a:1",
        ),
        ({"HTTP_PROXY": "http://a:1", "NO_PROXY": "localhost"}, "HTTPS_PROXY is not"),
        ({"HTTPS_PROXY": "http://", "NO_PROXY": "localhost"}, "which is no address"),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128", "NO_PROXY": "localhost"}, "is the container itself"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "example.com"}, "NO_PROXY does not have localhost"),
    ],
)
def test_proxies_that_do_not_fit(doctor: Doctor, environ: dict[str, str], told: str) -> None:
    """Each in a sentence of its own."""
    found = doctor.look("network.proxy", environ).finding
    assert found.status == "warn"
    assert told in found.summary


def test_proxies_are_set_alike(doctor: Doctor, table: Table) -> None:
    """Two things are wrong at once: the commands mend both."""
    environ = {"HTTPS_PROXY": "http://proxy.example:3128", "https_proxy": "http://old.example:3128"}
    broken = doctor.look("network.proxy", environ)
    assert len(broken.finding.detail.splitlines()) == 1
    doctor.environ |= environ
    doctor.environ |= doctor.exported(broken)
    assert doctor.environ["https_proxy"] == doctor.environ["HTTPS_PROXY"]
    table.add("HTTPS_PROXY and https_proxy differ, and NO_PROXY is not set", broken, doctor.look("network.proxy"))


def test_a_password_of_a_proxy_is_not_shown(doctor: Doctor) -> None:
    """Whatever is said of it."""
    proxy = "http://me:hunter2secret@proxy.example:3128"
    for environ in ({"HTTPS_PROXY": proxy, "NO_PROXY": "localhost"}, {"HTTP_PROXY": proxy}):
        assert "hunter2secret" not in repr(doctor.look("network.proxy", environ))


def test_no_proxy_is_no_problem(doctor: Doctor) -> None:
    """And one that is well set up is worth knowing."""
    assert doctor.look("network.proxy").finding.summary == "none is set"
    found = doctor.look("network.proxy", {"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": "localhost,127.0.0.1"})
    assert found.finding.status == "info"


# --- names and connections


def test_a_name_that_is_not_known(doctor: Doctor, table: Table) -> None:
    """As without a network. What needs the name is left out."""
    unknown = {API: "https://api.invalid"}
    broken = doctor.look("network.dns", unknown)
    assert broken.finding.summary.startswith("the name api.invalid is not known: ")
    assert doctor.look("network.api", unknown).finding.status == "skip"
    mended = doctor.look("network.dns", {API: "http://localhost:1"})
    reason = broken.finding.summary.partition("known: ")[2]
    addresses = mended.finding.summary.partition(" has ")[2]
    replace = {
        "api.invalid": "api.anthropic.com",
        "localhost": "api.anthropic.com",
        reason: "Name or service not known",
    }
    add(table, "There is no network, or no name server", broken, mended, {**replace, addresses: "2 addresses"})


def test_an_address_that_is_none(doctor: Doctor) -> None:
    """ANTHROPIC_BASE_URL without a host."""
    found = doctor.look("network.dns", {API: "gateway"}).finding
    assert found.summary == "ANTHROPIC_BASE_URL is gateway, which is no address"


def test_nobody_answers(doctor: Doctor, table: Table) -> None:
    """Neither an answer nor a certificate to look at; with a server any answer will do."""
    refused = {API: f"http://127.0.0.1:{free_port()}"}
    broken = doctor.look("network.api", refused)
    assert broken.finding.status == "fail"
    assert doctor.look("network.tls", refused).finding.status == "skip"
    with https(None, status=403) as url:
        mended = doctor.look("network.api", {API: url})
    add(table, "A firewall refuses the connection to the model's API", broken, mended)


def test_a_server_that_hangs(tmp_path: Path) -> None:
    """Is told of by the check itself, in its time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = Doctor(tmp_path, timeout=6).look("network.api", {API: url}).finding
    assert found.summary == f"{url} cannot be reached: it does not answer"


def test_a_proxy_that_is_not_there(doctor: Doctor) -> None:
    """The way is through it: the name need not be known here."""
    environ = {"HTTPS_PROXY": f"http://127.0.0.1:{free_port()}", API: "https://api.invalid"}
    assert doctor.look("network.dns", environ).finding.summary == "names are looked up by the proxy"
    assert doctor.look("network.api", environ).finding.status == "fail"


@pytest.mark.parametrize("proxy", ["nonsense://proxy:1", "socks5://proxy.example:1080"])
def test_a_proxy_of_an_unknown_kind(doctor: Doctor, proxy: str) -> None:
    """Is no failure of the check."""
    found = doctor.look("network.api", {"HTTPS_PROXY": proxy, API: "https://api.invalid"}).finding
    assert found.status == "fail"
    assert "check itself" not in found.summary


# --- certificates


def test_tls_is_inspected(doctor: Doctor, inspector: Authority, table: Table) -> None:
    """This machine trusts the authority, the container does not: both are said, and the file is found and given."""
    environ = {"SSL_CERT_FILE": str(inspector.file)}
    with https(inspector) as url:
        doctor.environ[API] = url
        broken = doctor.look("network.tls", environ)
        assert broken.finding.status == "fail"
        assert broken.finding.summary == f"a proxy inspects TLS here: the certificate is signed by {SIGNER}"
        assert "This machine trusts it; the container does not." in broken.finding.detail
        doctor.do(broken, only="ccapi config set stack.ca_file")
        mended = doctor.look("network.tls", environ)
        assert mended.finding.summary == f"signed by {SIGNER}, with {inspector.file}"
    add(table, "A proxy inspects TLS", broken, mended, {str(inspector.file): "/etc/ssl/example-corp.pem"})


def test_nobody_trusts_the_certificate(doctor: Doctor, inspector: Authority) -> None:
    """Then who signed it is said all the same. (Nothing was verified, and nothing but HEAD was sent.)"""
    with https(inspector) as url:
        found = doctor.look("network.tls", {API: url}).finding
        assert doctor.look("network.api", {API: url}).finding.status == "ok"
    assert found.status == "fail"
    assert SIGNER in found.summary
    assert "This machine trusts it" not in found.detail


def test_a_certificate_of_another_machine(doctor: Doctor, tmp_path: Path) -> None:
    """Is not taken for an inspecting proxy's."""
    (tmp_path / "other").mkdir()
    other = authority(tmp_path / "other", name="DNS:other.example")
    with https(other) as url:
        found = doctor.look("network.tls", {API: url, CA: str(other.file)}).finding
    assert found.status == "fail"
    assert "is another machine's" in found.summary


def test_no_tls(doctor: Doctor) -> None:
    """A gateway of one's own by HTTP has no certificate to look at."""
    with https(None) as url:
        assert doctor.look("network.tls", {API: url}).finding.status == "skip"


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03\x02\x01\x05", b"\xff" * 40, b"\x30\x84\xff\xff\xff\xff\x00"])
def test_what_is_no_certificate_has_no_issuer(der: bytes) -> None:
    """Whatever a server sends."""
    assert certificate.issuer(der) is None


# --- the clock


@pytest.mark.parametrize(
    ("ahead", "status", "told"),
    [
        (timedelta(), "ok", "right"),
        (timedelta(seconds=100), "warn", "100 seconds behind"),
        (timedelta(hours=-3), "fail", "3 hours ahead"),
        (timedelta(days=400), "fail", "400 days behind"),
    ],
)
def test_a_clock_that_is_wrong(doctor: Doctor, ahead: timedelta, status: str, told: str) -> None:
    """By the clock of whoever answers."""
    with https(None, ahead=ahead) as url:
        found = doctor.look("network.clock", {API: url}).finding
    assert found.status == status
    assert told.partition(" ")[2] in found.summary if ahead else told in found.summary


def test_the_clock_is_set(doctor: Doctor, table: Table) -> None:
    """Certificates are of no use with a wrong one, and yet it is found: the connection is not trusted for that."""
    with https(None, ahead=timedelta(hours=-5)) as url:
        broken = doctor.look("network.clock", {API: url})
    with https(None) as url:
        mended = doctor.look("network.clock", {API: url})
    add(table, "The clock of this machine is wrong", broken, mended)


# --- from inside


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_from_inside_the_container(stage: Stage, table: Table) -> None:
    """Another way out than this machine's: what answers here need not answer there."""
    stage.healthy()
    image = inspect(stage.name)["Config"]["Image"]
    with stage.container("--env=ANTHROPIC_BASE_URL=http://127.0.0.1:9", image=image):
        broken = stage.look("network.container")
        assert broken.finding.status == "fail"
        assert (
            "http://127.0.0.1:9 cannot be reached from inside the container: nobody answers" in broken.finding.summary
        )
    serve = "python3 -m http.server --directory /tmp 8099 & exec sleep 600"
    with stage.container("--env=ANTHROPIC_BASE_URL=http://127.0.0.1:8099", image=image, script=serve):
        await_that(lambda: stage.finding("network.container").status == "ok", "the server in the container answers")
        mended = stage.look("network.container")
    urls = {"http://127.0.0.1:8099": "https://gateway.example", "http://127.0.0.1:9 ": "http://localhost:4000 "}
    stage.add(table, "ANTHROPIC_BASE_URL names this machine, which inside is the container", broken, mended, **urls)


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_a_scripted_model_is_asked_nowhere(stage: Stage) -> None:
    """Then the container needs no way out."""
    stage.healthy()
    assert "scripted" in stage.finding("network.container").summary

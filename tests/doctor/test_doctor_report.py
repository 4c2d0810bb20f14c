"""`ccapi doctor --report`: what goes into an issue, and that nothing secret does."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from ccapi.doctor import registry, runner
from ccapi.doctor.report import report
from ccapi.wire import internal, keys
from tests.cli.support import DEADLINE, Cli
from tests.doctor.stage import Stage
from tests.doctor.support import NO_ENGINE, Doctor

pytestmark = NO_ENGINE

SECRETS = {
    "an Anthropic key": "sk-ant-api03-PLANTEDplantedPLANTED",
    "an OAuth token": "sk-ant-oat01-PLANTEDplantedPLANTED",
    "a GitHub token": "ghp_PLANTEDplantedPLANTEDplanted012345",
    "a fine-grained one": "github_pat_PLANTEDplantedPLANTED_0123456789",
    "a Slack token": "xoxb-1234567890-PLANTEDplanted",
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJQTEFOVEVE.PLANTEDplanted",
    "a key of ours": keys.new_key(),
    "a stack secret": internal.new_secret(),
    "a bearer": "PLANTEDbearer0123456789",
    "a basic one": "UExBTlRFRDpwbGFudGVk",
    "a code": "PLANTEDcode0123",
    "a state": "PLANTEDstate0123",
    "a password": "PLANTEDpassword",
    "a token of no known form": "PLANTED-of-no-known-form",
}
_LINES = [
    f"key {SECRETS['an Anthropic key']} and {SECRETS['an OAuth token']}",
    f"tokens: {SECRETS['a GitHub token']}, {SECRETS['a fine-grained one']}, {SECRETS['a Slack token']}",
    f"jwt={SECRETS['a JWT']} ours={SECRETS['a key of ours']} stack={SECRETS['a stack secret']}",
    f"Authorization: Bearer {SECRETS['a bearer']}",
    f"authorization: basic {SECRETS['a basic one']}",
    f"GET /callback?code={SECRETS['a code']}&state={SECRETS['a state']}",
    f"HTTPS_PROXY=http://me:{SECRETS['a password']}@proxy.example:3128",
    f"notion said {SECRETS['a token of no known form']}",
]
LOG = "\n".join(_LINES) + "\n"


@pytest.fixture
def planted(doctor: Doctor) -> Doctor:
    """A machine with secrets in all places that the report looks at."""
    state = doctor.facts().state_dir
    (state / "log").mkdir(parents=True)
    (state / "keys").mkdir()
    (state / "stack.secret").write_text(f"{internal.new_secret()}\n")
    (state / "keys" / "stack.sha256").write_text(f"{'ab' * 32}\n")
    for file in (state / "log" / "proxy.log", state / "build.log"):
        file.write_text(f"the end of a log\n{LOG}secret {(state / 'stack.secret').read_text()}digest {'ab' * 32}\n")
    doctor.environ |= {
        "DOCKER_HOST": f"unix://{doctor.directory}/none.sock",
        "NOTION_TOKEN": SECRETS["a token of no known form"],
        "HTTPS_PROXY": f"http://me:{SECRETS['a password']}@proxy.example:3128",
        "ANTHROPIC_BASE_URL": f"https://x/?api_key={SECRETS['an Anthropic key']}",
        "ANTHROPIC_API_KEY": SECRETS["an Anthropic key"],
        "CCAPI_MODELS_SMALL": SECRETS["a GitHub token"],
        "CCAPI_API_KEY": SECRETS["a key of ours"],
    }
    return doctor


def text_of(doctor: Doctor) -> str:
    facts, known = doctor.facts(), registry.every()
    facts.offline = True
    return report(runner.run(registry.select([], known), known, facts, timeout=DEADLINE), facts)


def check_clean(text: str, home: Path) -> None:
    """No planted secret, none of its halves, and not where the person lives."""
    for what, secret in SECRETS.items():
        assert secret not in text, what
        assert secret[: len(secret) // 2 + 4] not in text, f"the beginning of {what}"
    assert "PLANTED" not in text
    assert str(home) not in text
    assert "ab" * 32 not in text
    assert not re.search(r"ccapi-(?:stack-)?[A-Za-z0-9_-]{20,}", text)


def test_no_secret_is_in_it(planted: Doctor) -> None:
    """Not in the results, not in the settings, not in a log; and the logs are there all the same."""
    text = text_of(planted)
    secret = (planted.facts().state_dir / "stack.secret").read_text().strip()
    check_clean(text, planted.directory / "home")
    assert secret not in text
    assert secret[:20] not in text
    assert text.count("the end of a log") == 2
    assert text.count("[redacted]") > 20


def test_what_is_in_it(planted: Doctor) -> None:
    """Versions, every result, the settings with where they are from."""
    (planted.directory / "ccapi.toml").write_text("[gateway]\nport = 8123\n")
    text = text_of(planted)
    for heading in ("Results", "Settings", "Docker", "Container", "Log of the container", "Log of the OAuth proxy"):
        assert f"## {heading}\n" in text
    for check in registry.every():
        assert check.deep or check.id in text
    assert re.search(r"(?m)^gateway\.port = 8123   # .*/ccapi\.toml$", text)
    assert "the Docker engine is not running" in text


def test_nothing_in_a_log_ends_its_block(doctor: Doctor) -> None:
    """A fence in it does not turn the rest into Markdown."""
    log = doctor.facts().state_dir / "log"
    log.mkdir(parents=True)
    doctor.environ["DOCKER_HOST"] = f"unix://{doctor.directory}/none.sock"
    (log / "proxy.log").write_text("```\n# not a heading\n````\n")
    assert "`````text\n```\n# not a heading\n````\n`````" in text_of(doctor)


def test_a_long_log_is_cut(doctor: Doctor) -> None:
    """What happened last counts."""
    log = doctor.facts().state_dir / "log"
    log.mkdir(parents=True)
    doctor.environ["DOCKER_HOST"] = f"unix://{doctor.directory}/none.sock"
    (log / "proxy.log").write_text("".join(f"line {number} {'x' * 80}\n" for number in range(100_000)))
    text = text_of(doctor)
    assert "line 99999 " in text
    assert "line 99900 " not in text
    assert len(text) < 100_000


def test_the_command_writes_it(tmp_path: Path) -> None:
    """To a file that nobody else may read, whose name can be left out; `-` is standard output, and nothing else is."""
    cli = Cli(tmp_path)
    cli.environ["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    done = cli.run("doctor", "--offline", "--report")
    assert "Report written: ccapi-report.md" in done.stderr
    file = tmp_path / "ccapi-report.md"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("# ccapi doctor: report\n")
    assert cli.run("doctor", "--offline", "--report", "other.md", "cli").returncode == 0
    assert (tmp_path / "other.md").exists()
    done = cli.run("doctor", "--offline", "--report", "-")
    assert done.stdout.startswith("# ccapi doctor: report\n")
    assert done.stdout.endswith("```\n")


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_log_of_a_container(stage: Stage) -> None:
    """Of its variables the names only; of its log what is no secret."""
    stage.healthy()
    script = "; ".join(f"echo '{line}'" for line in _LINES)
    with stage.container("--env=MY_TOKEN=PLANTEDvalue", script=f"echo the end of a log; {script}; exec sleep 600"):
        stage.doctor.environ["NOTION_TOKEN"] = SECRETS["a token of no known form"]
        try:
            text = text_of(stage.doctor)
        finally:
            del stage.doctor.environ["NOTION_TOKEN"]
    assert "the end of a log" in text
    assert '"MY_TOKEN"' in text
    check_clean(text, stage.directory / "home")

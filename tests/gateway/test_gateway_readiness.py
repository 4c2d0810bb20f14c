"""`/ready`: what each check finds, how seldom it asks, and that nothing can make it hang."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from ccapi.agent.launch import Launch, child_environment
from ccapi.gateway.readiness import Check, Readiness
from tests.agent.pooling import running
from tests.gateway.harness import await_that

SIGNED_IN = '{"loggedIn": true, "authMethod": "claude.ai", "email": "somebody@example.com", "configDirectory": "/x/y"}'
SIGNED_OUT = '{"loggedIn": false, "authMethod": "none"}'
SECRET = "sk-ant-oat01-0123456789abcdef"


@dataclass
class Place:
    """A gateway's surroundings, and a stand-in for the CLI that writes down how often it was asked."""

    root: Path
    numbers: dict[str, Any] = field(default_factory=lambda: {"slots": (1, 4, 0), "pool": {"warm": 2, "live": 1}})
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("workspace", "data", "config"):
            (self.root / name).mkdir(parents=True)
        self.claude(SIGNED_IN)

    @property
    def binary(self) -> Path:
        return self.root / "claude"

    @property
    def asked(self) -> list[str]:
        """The arguments of each start, in order."""
        try:
            return (self.root / "asked").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def claude(self, status: str, *, before: str = "", code: int = 0) -> None:
        """Replace the CLI by one that prints this status."""
        script = f"""#!/bin/sh
printf '%s\\n' "$*" >> {self.root}/asked
printf '%s' "$PWD" > {self.root}/cwd
{before}
if [ "$1" = --version ]; then echo '9.9.9 (Claude Code)'; exit 0; fi
cat <<'END'
{status}
END
exit {code}
"""
        new = self.root / "new"
        new.write_text(script, "utf-8")
        new.chmod(0o700)
        new.replace(self.binary)

    def readiness(self, **changes: Any) -> Readiness:
        environment = child_environment(
            {"PATH": os.environ["PATH"], "CLAUDE_CONFIG_DIR": str(self.root / "config")}, max_retries=1
        )
        launch = Launch(self.binary, self.root / "workspace", environment, self.secrets)
        options: dict[str, Any] = {
            "data_dir": self.root / "data",
            "slots": lambda: self.numbers["slots"],
            "max_queue": 8,
            "pool": lambda: self.numbers["pool"],
            "stopping": lambda: bool(self.numbers.get("stopping")),
        }
        return Readiness(changes.pop("launch", launch), **{**options, **changes})


Make = Callable[..., Readiness]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
async def ready(place: Place) -> AsyncIterator[Make]:
    """Makes what is tested, and ends it; no process is left."""
    made: list[Readiness] = []

    def make(**changes: Any) -> Readiness:
        made.append(place.readiness(**changes))
        return made[-1]

    yield make
    for one in made:
        await one.close()
    assert processes_of(place.root) == []


def processes_of(directory: Path) -> list[str]:
    """The command line of every process whose program or argument lies there (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            found += [" ".join(words)] if any(word.startswith(f"{directory}/") for word in words) else []
    return found


async def failed(readiness: Readiness) -> dict[str, Check]:
    """The checks that are not ok, by name; each has a hint."""
    found = {check.name: check for check in await readiness.checks() if not check.ok}
    assert all(check.hint for check in found.values())
    return found


async def answer(readiness: Readiness) -> tuple[int, dict[str, Any]]:
    response = await readiness.handle(make_mocked_request("GET", "/ready"))
    assert isinstance(response.text, str)
    return response.status, json.loads(response.text)


# --- the answer


async def test_all_is_well(place: Place, ready: Make) -> None:
    """200, every check with its message, in a fixed order; the CLI is asked outside of any workspace."""
    status, document = await answer(ready())
    assert status == 200
    assert set(document) == {"status", "checks"}
    assert document["status"] == "ready"
    checks = {check["name"]: check for check in document["checks"]}
    assert list(checks) == ["claude", "sign_in", "workspace", "data", "pool", "slots"]
    for check in checks.values():
        assert set(check) == {"name", "ok", "message", "hint"}
        assert check["ok"] is True
        assert check["hint"] is None
    assert "2 warm, 1 live" in checks["pool"]["message"]
    assert "1 of 4" in checks["slots"]["message"]
    assert (place.root / "cwd").read_text("utf-8") == "/"
    assert list((place.root / "data").iterdir()) == []


async def test_something_is_wrong(place: Place, ready: Make) -> None:
    """503, and the check says what to do."""
    place.claude(SIGNED_OUT, code=1)
    status, document = await answer(ready())
    assert status == 503
    assert document["status"] == "not_ready"
    (wrong,) = (check for check in document["checks"] if not check["ok"])
    assert wrong["name"] == "sign_in"
    assert "claude auth login" in wrong["hint"]


async def test_the_answer_tells_nothing_of_what_is_inside(place: Place, ready: Make, tmp_path: Path) -> None:
    """No path, no version, no account, no output of the CLI: neither when all is well nor when nothing is."""
    readiness = ready()
    texts = [json.dumps((await answer(readiness))[1])]
    place.claude(f"{SECRET} {SIGNED_IN}", before=f"echo {SECRET} >&2; exit 3")
    (place.root / "workspace").rmdir()
    (place.root / "data").rmdir()
    (place.root / "data").touch()
    texts.append(json.dumps((await answer(ready()))[1]))
    place.binary.unlink()
    texts.append(json.dumps((await answer(ready()))[1]))
    for text in texts:
        for hidden in (str(tmp_path), "9.9.9", "example.com", "/x/y", SECRET, "Errno", "Traceback"):
            assert hidden not in text


# --- the CLI


async def test_the_cli_is_gone(place: Place, ready: Make) -> None:
    """As after a broken upgrade; when it is back, that is seen at once."""
    readiness = ready()
    place.binary.rename(place.root / "away")
    assert set(await failed(readiness)) == {"claude", "sign_in"}
    (place.root / "away").rename(place.binary)
    await asyncio.sleep(0)
    assert "claude" not in await failed(readiness)


async def test_the_cli_cannot_be_executed(place: Place, ready: Make) -> None:
    """Its file is there, its right is not."""
    place.binary.chmod(0o600)
    assert "cannot be executed" in (await failed(ready()))["claude"].message


@pytest.mark.parametrize("before", ["exit 1", "kill -KILL $$"])
async def test_the_cli_does_not_start(place: Place, ready: Make, before: str) -> None:
    """A wrong architecture, a missing library."""
    place.claude(SIGNED_IN, before=before)
    assert "does not start" in (await failed(ready()))["claude"].message


async def test_the_version_is_asked_once(place: Place, ready: Make) -> None:
    """And again when the CLI is another one."""
    readiness = ready()
    for _ in range(3):
        await readiness.checks()
    assert place.asked.count("--version") == 1
    place.claude(SIGNED_IN)
    await readiness.checks()
    assert place.asked.count("--version") == 2


# --- the sign-in


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (SIGNED_OUT, "not signed in"),
        ('{"loggedIn": true, "loginExpiresAt": "2020-01-01T00:00:00Z"}', "expired"),
        ('{"loggedIn": true, "loginExpiresAt": 1577836800000}', "expired"),
        ("", "does not say"),
        ("null", "does not say"),
        ("[]", "does not say"),
        ("{}", "does not say"),
        ("Error: something", "does not say"),
    ],
)
async def test_nobody_is_signed_in(place: Place, ready: Make, status: str, words: str) -> None:
    """Or nobody knows: that is not ready either."""
    place.claude(status, code=1)
    assert words in (await failed(ready()))["sign_in"].message


@pytest.mark.parametrize("expires", ["null", '"2999-01-01T00:00:00Z"', "32503680000000", '"soon"'])
async def test_a_login_that_lasts_is_one(place: Place, ready: Make, expires: str) -> None:
    """A time that is not understood is no reason to refuse."""
    place.claude(f'{{"loggedIn": true, "loginExpiresAt": {expires}}}')
    assert await failed(ready()) == {}


async def test_the_status_is_asked_seldom(place: Place, ready: Make) -> None:
    """It takes a third of a second of CPU: once for many requests, at the same time or one after the other."""
    readiness = ready()
    await asyncio.gather(*(readiness.checks() for _ in range(20)))
    for _ in range(5):
        await readiness.checks()
    assert place.asked.count("auth status") == 1


async def test_a_login_is_seen_at_once(place: Place, ready: Make) -> None:
    """The files that hold it have changed."""
    place.claude(SIGNED_OUT)
    readiness = ready()
    assert set(await failed(readiness)) == {"sign_in"}
    place.claude(SIGNED_IN)
    (place.root / "config" / ".credentials.json").write_text("{}", "utf-8")
    assert await failed(readiness) == {}


async def test_a_logout_is_seen_at_once(place: Place, ready: Make) -> None:
    """In the same way."""
    credentials = place.root / "config" / ".credentials.json"
    credentials.write_text("{}", "utf-8")
    readiness = ready()
    assert await failed(readiness) == {}
    place.claude(SIGNED_OUT)
    credentials.unlink()
    assert set(await failed(readiness)) == {"sign_in"}


@pytest.mark.parametrize("where", ["secret", "token"])
async def test_a_key_of_the_environment_is_not_asked_about(place: Place, ready: Make, where: str) -> None:
    """It is there; whether it is good only a model's answer shows, and none is asked here."""
    launch = Launch(place.binary, place.root / "workspace", {"PATH": os.environ["PATH"]})
    if where == "secret":
        launch = replace(launch, secrets={"CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": SECRET})
    else:
        launch = replace(launch, environment={**launch.environment, "ANTHROPIC_AUTH_TOKEN": SECRET})
    readiness = ready(launch=launch)
    assert await failed(readiness) == {}
    assert place.asked == ["--version"]
    assert SECRET not in str(await readiness.checks())


async def test_a_refused_credential_counts(place: Place, ready: Make) -> None:
    """A run has shown what no status shows; until somebody signs in again."""
    readiness = ready()
    assert await failed(readiness) == {}
    readiness.refused()
    assert "was refused" in (await failed(readiness))["sign_in"].message
    (place.root / "config" / ".credentials.json").write_text("{}", "utf-8")
    assert await failed(readiness) == {}


async def test_the_real_cli_says_whether_it_is_signed_in(place: Place, ready: Make, claude: Path) -> None:
    """Without a login it is not; with a file as `claude auth login` leaves it, it is. No network is needed."""
    environment = child_environment(
        {"PATH": os.environ["PATH"], "HOME": str(place.root), "CLAUDE_CONFIG_DIR": str(place.root / "config")},
        max_retries=1,
    )
    proxied = {**environment, "HTTPS_PROXY": "http://127.0.0.1:9"}
    readiness = ready(launch=Launch(claude, place.root / "workspace", proxied), timeout=30)
    assert set(await failed(readiness)) == {"sign_in"}
    login = {
        "accessToken": "sk-ant-oat01-none",
        "refreshToken": "sk-ant-ort01-none",
        "expiresAt": int(time.time() + 3600) * 1000,
        "scopes": ["user:inference"],
        "subscriptionType": "max",
    }
    (place.root / "config" / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}), "utf-8")
    assert await failed(readiness) == {}


# --- nothing hangs


async def test_a_cli_that_hangs_does_not_hang_the_answer(place: Place, ready: Make) -> None:
    """The answer comes in time and says so; the next one starts no other process."""
    place.claude(SIGNED_IN, before="[ $1 = auth ] && sleep 60")
    readiness = ready(timeout=2.0)  # in which `--version` must have been answered
    began = time.monotonic()
    wrong = await failed(readiness)
    assert time.monotonic() - began < 40
    assert set(wrong) == {"sign_in"}
    assert "no answer within 2 s" in wrong["sign_in"].message
    await readiness.checks()
    assert place.asked.count("auth status") == 1


async def test_a_client_that_leaves_breaks_nothing(place: Place, ready: Make) -> None:
    """The check goes on for the others who wait for it."""
    place.claude(SIGNED_IN, before="sleep 0.3")
    readiness = ready()
    impatient = asyncio.create_task(readiness.checks())
    patient = asyncio.create_task(readiness.checks())
    await asyncio.sleep(0.1)
    impatient.cancel()
    assert all(check.ok for check in await patient)
    assert place.asked.count("auth status") == 1


async def test_a_hanging_cli_is_killed_at_the_end(place: Place, ready: Make) -> None:
    """With what it started."""
    place.claude(SIGNED_IN, before=f"sleep 60 & echo $! > {place.root}/child; wait")
    readiness = ready(timeout=0.3)
    await readiness.checks()
    # It is written by a process that nobody waits for any more.
    child = await asyncio.to_thread(await_that, lambda: number_in(place.root / "child"), "the child")
    os.kill(child, 0)
    await readiness.close()
    await asyncio.to_thread(await_that, lambda: not running(child), "it is gone")


def number_in(file: Path) -> int:
    """0 while it is not written to its end."""
    text = file.read_text("utf-8") if file.exists() else ""
    return int(text) if text.endswith("\n") else 0


# --- directories


async def test_the_workspace_is_gone(place: Place, ready: Make) -> None:
    """An unmounted volume."""
    (place.root / "workspace").rmdir()
    assert set(await failed(ready())) == {"workspace"}


async def test_nothing_is_written_into_the_workspace(place: Place, ready: Make) -> None:
    """It may be a person's repository."""
    before = (place.root / "workspace").stat().st_mtime_ns
    assert await failed(ready()) == {}
    assert (place.root / "workspace").stat().st_mtime_ns == before


async def test_the_data_directory_is_made(place: Place, ready: Make) -> None:
    """Before the first start there is none; it is the gateway's alone."""
    (place.root / "data").rmdir()
    assert await failed(ready()) == {}
    assert (place.root / "data").stat().st_mode & 0o777 == 0o700


async def test_the_data_directory_cannot_be_written_to(place: Place, ready: Make) -> None:
    """Something else stands in its place; mended, it is well again."""
    readiness = ready()
    (place.root / "data").rmdir()
    (place.root / "data").touch()
    assert set(await failed(readiness)) == {"data"}
    (place.root / "data").unlink()
    assert await failed(readiness) == {}


async def test_a_full_disk_is_seen(place: Place, ready: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A file can be made, but not be written to: what is written goes to a device that is full."""
    (place.root / "data" / ".ready").symlink_to("/dev/full")
    assert set(await failed(ready())) == {"data"}
    assert "No space left on device" in caplog.text


async def test_a_store_that_does_not_work_is_seen(ready: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Its own words are for the log."""
    wrong = await failed(ready(store_problem=lambda: "/some/where is locked"))
    assert set(wrong) == {"data"}
    assert "/some/where" not in str(wrong)
    assert "/some/where is locked" in caplog.text


async def test_new_settings_are_looked_at_at_once(place: Place, ready: Make) -> None:
    """A key that was added needs no restart, and a refusal of the old one no longer counts."""
    place.claude(SIGNED_OUT)
    readiness = ready()
    readiness.refused()
    assert set(await failed(readiness)) == {"sign_in"}
    secrets = {"CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": SECRET}
    readiness.renew(Launch(place.binary, place.root / "workspace", {"PATH": os.environ["PATH"]}, secrets))
    assert await failed(readiness) == {}


# --- room


async def test_a_full_queue_is_not_ready(place: Place, ready: Make) -> None:
    """The next question would be refused; a busy gateway alone is ready."""
    readiness = ready()
    place.numbers["slots"] = (4, 4, 7)
    assert await failed(readiness) == {}
    place.numbers["slots"] = (4, 4, 8)
    assert "4 of 4 run slots are taken, 8 requests wait" in (await failed(readiness))["slots"].message


async def test_a_gateway_that_is_being_stopped_is_not_ready(place: Place, ready: Make) -> None:
    """So that nobody sends it any more questions."""
    place.numbers["stopping"] = True
    assert set(await failed(ready())) == {"slots"}


async def test_an_empty_pool_is_no_failure(place: Place, ready: Make) -> None:
    """The next answer only takes longer to start."""
    place.numbers["pool"] = {}
    checks = {check.name: check for check in await ready().checks()}
    assert checks["pool"].ok
    assert "none" in checks["pool"].message

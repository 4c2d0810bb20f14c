"""Several stacks on one machine: each with its own ports, volumes, secret, keys and OAuth proxy."""

from __future__ import annotations

import json
import socket
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import DEADLINE, free_port
from tests.gateway.harness import await_that
from tests.stack.secondengine import Frozen, SecondEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def two(second_engine: SecondEngine, package: Path, tmp_path: Path) -> Iterator[tuple[Frozen, Frozen]]:
    """Two of one person, who has one home; there is nothing of them yet."""
    there = [Frozen(tmp_path / "home", package, project=name, engine=second_engine) for name in ("web", "home")]
    try:
        yield there[0], there[1]
    finally:
        for stack in there:
            stack.remove()


def ports(stack: Frozen, name: str) -> dict[str, dict[str, int]]:
    file = Path(stack.environ["CCAPI_HOME"]) / "config" / "projects" / f"{name}.toml"
    return tomllib.loads(file.read_text("utf-8"))


def proxy(stack: Frozen) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stack.cli("proxy", "status", "--json").stdout)["data"]
    return document


def ask_models(port: int, key: str | None = None) -> int:
    """The status of a question that needs a key where one is demanded."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=DEADLINE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_two_side_by_side(two: tuple[Frozen, Frozen]) -> None:
    """Both are healthy on ports of their own; a key of one is refused by the other; the end of one leaves the other."""
    required = {"CCAPI_API_REQUIRE_KEY": "true"}
    for stack in two:
        stack.environ |= required
        stack.up()
    web, home = two
    assert [stack.status()["state"] for stack in two] == ["healthy", "healthy"]
    of_web, of_home = ports(web, "web"), ports(home, "home")
    numbers = {table[kind]["port"] for table in (of_web, of_home) for kind in ("gateway", "oauth")}
    assert len(numbers) == 4
    assert not numbers & {8000, 8888}, "those of the stack without a name"
    key = web.cli("key", "create").stdout.strip()
    assert ask_models(of_web["gateway"]["port"], key) == 200
    assert ask_models(of_home["gateway"]["port"], key) == 401
    assert (
        home.cli("key", "list", "--json").stdout.count("ccapi") == 0 or "[]" in home.cli("key", "list", "--json").stdout
    )
    await_that(lambda: all(proxy(stack)["healthy"] for stack in two), "the proxies", DEADLINE)
    assert len({proxy(stack)["pid"] for stack in two}) == 2
    (home.volume() / "mark").write_text("kept")
    web.remove()
    assert home.status()["state"] == "healthy"
    assert proxy(home)["healthy"] is True
    assert (home.volume() / "mark").read_text() == "kept"


@contextmanager
def held(address: str, port: int) -> Iterator[None]:
    """Somebody has the port: a listener of ours, unless it is somebody else."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family)
    except OSError:
        yield
        return
    with listener:
        yield


def test_the_first_up_chooses_ports(two: tuple[Frozen, Frozen]) -> None:
    """Free ones, said and kept: the second one changes nothing, not even when the port of before is free again."""
    web, _ = two
    with held("127.0.0.1", 8001), held("::1", 8889):
        first = web.up()
    found = ports(web, "web")
    assert found["gateway"]["port"] > 8001
    assert found["oauth"]["port"] > 8889
    for kind in ("gateway", "oauth"):
        assert f"{kind}.port: {found[kind]['port']}, kept in " in first.stderr
    again = web.up()
    assert "Already running and healthy" in again.stderr
    assert "kept in" not in again.stderr
    assert ports(web, "web") == found


def test_the_first_port_may_be_said(two: tuple[Frozen, Frozen]) -> None:
    """It is kept like one that was chosen; one that is said later holds for that time."""
    web, _ = two
    port, another = free_port(), free_port()
    web.up("--port", str(port))
    assert ports(web, "web")["gateway"]["port"] == port
    assert "Already running and healthy" in web.up().stderr
    other = web.up("--port", str(another))
    assert f"port: 127.0.0.1:{port} → 127.0.0.1:{another}\n" in other.stderr
    assert ports(web, "web")["gateway"]["port"] == port


def test_nobody_takes_the_port_of_a_stack_that_is_down(two: tuple[Frozen, Frozen]) -> None:
    """Its file says that it is taken."""
    web, home = two
    web.up()
    web.cli("down")
    home.up()
    assert ports(home, "home")["gateway"]["port"] != ports(web, "web")["gateway"]["port"]


def test_two_that_choose_at_once(two: tuple[Frozen, Frozen]) -> None:
    """They do not choose the same."""
    web, home = two
    with web.start("up", "--rehearsal") as first, home.start("up", "--rehearsal") as second:
        errors = [process.communicate(timeout=DEADLINE * 2)[1].decode() for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert ports(web, "web") != ports(home, "home")


def test_a_busy_port_names_the_other_stack(two: tuple[Frozen, Frozen]) -> None:
    """And the way out says which stack is meant."""
    web, home = two
    web.up()
    port = ports(web, "web")["gateway"]["port"]
    del home.environ["CCAPI_STACK_PROJECT"]
    done = home.cli("--project", "home", "up", "--rehearsal", "--port", str(port))
    home.environ["CCAPI_STACK_PROJECT"] = "home"
    assert done.returncode == 1
    assert f"port {port} is in use by another stack of ccapi, claude-code-api-web" in done.stderr
    assert "docker stop claude-code-api-web" in done.stderr
    assert "gateway" not in ports(home, "home"), "a port that was no use is not kept"
    assert "Take another one: ccapi --project home up --port" in done.stderr

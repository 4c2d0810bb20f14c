"""`ccapi uninstall` on an engine of its own, since it means all stacks; what is there is tiny."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.readme import Page
from tests.cli.support import Cli
from tests.stack.secondengine import SecondEngine, possible

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

IMAGE = "claude-code-api:0123456789ab"
STACKS = ("claude-code-api", "claude-code-api-web")
LOGINS = {
    "claudeAiOauth": {"accessToken": "secret-1"},
    "mcpOAuth": {"notion|1": {"serverName": "notion", "accessToken": "secret-2"}},
}
SERVERS = {"mcpServers": {"github": {"url": "https://x.example/", "headers": {"Authorization": "Bearer secret-3"}}}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """With nothing of ours on it, and what images are made of."""
    if reason := possible():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("u")
    made = SecondEngine(directory / "engine")
    made.directory.mkdir()
    try:
        made.start()
        with tarfile.open(directory / "sleep.tar", "w") as archive:
            for file in ("/bin/sleep", *libraries("/bin/sleep")):
                archive.add(Path(file).resolve(), arcname=file)
        made.docker("import", str(directory / "sleep.tar"), "foreign:1")
        yield made
    finally:
        made.remove()


def libraries(program: str) -> list[str]:
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=10).stdout
    return [word for word in said.split() if word.startswith("/")]


class Host:
    """`ccapi` with that engine, and what Docker has there."""

    def __init__(self, directory: Path, engine: SecondEngine) -> None:
        self.cli = Cli(directory)
        self.cli.environ["DOCKER_HOST"] = engine.host
        self.docker = engine.docker

    def things(self) -> set[str]:
        """Everything on the engine, by kind and name."""
        asked = {
            "container": ("ps", "--all", "--format={{.Names}}"),
            "network": ("network", "ls", "--filter=type=custom", "--format={{.Name}}"),
            "volume": ("volume", "ls", "--format={{.Name}}"),
            "image": ("images", "--format={{.Repository}}:{{.Tag}}"),
        }
        return {f"{kind} {name}" for kind, command in asked.items() for name in self.docker(*command).split()}

    def image(self, name: str) -> None:
        """One that `up` might have built."""
        container = self.docker("create", "foreign:1", "/bin/sleep", "1")
        try:
            self.docker("commit", f"--change=LABEL ccapi.image=claude-code-api made={name}", container, name)
        finally:
            self.docker("rm", container)

    def stack(self, name: str, *options: str) -> None:
        """Container, network and volumes, with the labels that compose and ccapi give them; signed in."""
        label = f"--label=ccapi.stack={name}"
        self.docker("network", "create", label, f"{name}_default")
        for role in ("claude-config", "workspace"):
            role_label = f"--label=com.docker.compose.volume={role}"
            self.docker("volume", "create", label, role_label, f"{name}_{role}")
        config = f"--volume={name}_claude-config:/home/claude/.claude"
        network = f"--network={name}_default"
        more = ("--stop-timeout=1", label, config, network, *options)
        self.docker("run", "--detach", f"--name={name}", *more, IMAGE, "/bin/sleep", "600")
        place = Path(self.docker("volume", "inspect", "--format={{.Mountpoint}}", f"{name}_claude-config"))
        (place / ".credentials.json").write_text(json.dumps(LOGINS))
        (place / ".claude.json").write_text(json.dumps(SERVERS))

    def uninstall(self, *args: str) -> tuple[int, dict[str, Any]]:
        """The exit code, and what `ccapi uninstall --json` tells."""
        done = self.cli.run("uninstall", "--json", *args)
        assert "secret-" not in done.stdout + done.stderr
        data: dict[str, Any] = json.loads(done.stdout)["data"]
        return done.returncode, data

    def clear(self) -> None:
        for kind, command in (("container", "rm --force"), ("volume", "volume rm"), ("network", "network rm")):
            for thing in self.things():
                if thing.startswith(f"{kind} "):
                    self.docker(*command.split(), thing.partition(" ")[2])
        for thing in self.things() - {"image foreign:1"}:
            self.docker("rmi", thing.partition(" ")[2])


@pytest.fixture
def host(engine: SecondEngine, tmp_path: Path) -> Iterator[Host]:
    """With two stacks, an image of each kind, and things of others whose names are much like ours."""
    made = Host(tmp_path, engine)
    try:
        made.image(IMAGE)
        made.image("claude-code-api:before-web")
        for name in STACKS:
            made.stack(name)
        foreigners(made)
        yield made
    finally:
        made.clear()


def foreigners(host: Host) -> None:
    host.docker("run", "--detach", "--name=claude-code-api-mine", "--network=none", "foreign:1", "/bin/sleep", "600")
    host.docker("volume", "create", "claude-code-api_claude-config-backup")
    host.docker("network", "create", "claude-code-api_mine")
    host.docker("tag", "foreign:1", "claude-code-api:ba9876543210")
    host.image("my-own:1")


FOREIGN = {
    "container claude-code-api-mine",
    "volume claude-code-api_claude-config-backup",
    "network claude-code-api_mine",
    "image claude-code-api:ba9876543210",
    "image my-own:1",
    "image foreign:1",
}


def things_of(stack: str) -> set[str]:
    names = {"container": "", "network": "_default", "volume": "_claude-config"}
    return {f"{kind} {stack}{end}" for kind, end in names.items()} | {f"volume {stack}_workspace"}


def named(artefacts: list[dict[str, str]]) -> set[str]:
    return {f"{one['kind']} {one['name']}" for one in artefacts}


def test_everything_goes_and_nothing_of_others(host: Host) -> None:
    """A dry run lists what then goes, with whatever stays valid at vendors; a second time there is nothing left."""
    host.cli.run("key", "create")
    before = host.things()
    code, listed = host.uninstall("--dry-run")
    assert code == 0
    assert host.things() == before
    ours = things_of(STACKS[0]) | things_of(STACKS[1]) | {f"image {IMAGE}", "image claude-code-api:before-web"}
    assert named(listed["artefacts"]) == ours | {f"files {host.cli.environ['CCAPI_HOME']}/state"}
    for stack in STACKS:
        assert [one for one in listed["revoke"] if one.startswith(f"{stack}: ")] == [
            f"{stack}: the sign-in of Claude Code with a subscription",
            f"{stack}: the sign-in to the MCP server github",
            f"{stack}: the sign-in to the MCP server notion",
        ]
    code, done = host.uninstall("--yes")
    assert (code, done["left"]) == (0, [])
    assert done["removed"] == listed["artefacts"]
    assert host.things() == before - ours == FOREIGN
    assert not Path(host.cli.environ["CCAPI_HOME"]).exists()
    again = host.cli.run("uninstall", "--yes")
    assert again.returncode == 0
    assert again.stderr.startswith("There is nothing of ccapi on this machine\n")
    assert "The command itself: " in again.stderr


def test_one_project(host: Host) -> None:
    """The other stack keeps all, also the image; the one for going back was this stack's own."""
    before = host.things()
    code, done = host.uninstall("--project", "web", "--yes")
    assert (code, done["left"]) == (0, [])
    assert host.things() == before - things_of(STACKS[1]) - {"image claude-code-api:before-web"}
    code, _ = host.uninstall("--project", "default", "--yes")
    assert code == 0
    assert host.things() == FOREIGN, "no other stack needs the image"


def test_the_volumes_may_stay(host: Host) -> None:
    """They are named among what stays, and nothing need be revoked for it."""
    code, done = host.uninstall("--keep-volumes", "--yes")
    volumes = {thing for stack in STACKS for thing in things_of(stack) if thing.startswith("volume ")}
    assert (code, done["revoke"]) == (0, [])
    assert host.things() == FOREIGN | volumes
    assert {f"volume {name}" for name in done["kept"]} == volumes


def test_without_a_container(host: Host) -> None:
    """What is on the volume is not known then, and that is said."""
    host.docker("rm", "--force", STACKS[1])
    _, listed = host.uninstall("--dry-run", "--project", "web")
    (said,) = listed["revoke"]
    assert said.startswith(f"{STACKS[1]}: whatever is signed in to on {STACKS[1]}_claude-config")


def test_what_is_in_the_way(host: Host) -> None:
    """Somebody's container uses a volume, a network and the image: exit 1, with the commands; then a run finishes."""
    config, name = f"{STACKS[0]}_claude-config", f"{STACKS[0]}_default"
    host.docker(
        "run", "--detach", "--name=other", f"--volume={config}:/x", f"--network={name}", IMAGE, "/bin/sleep", "600"
    )
    done = host.cli.run("uninstall", "--yes")
    assert done.returncode == 1
    left = {f"volume {config}", f"network {name}", f"image {IMAGE}"}
    assert host.things() == FOREIGN | left | {"container other"}
    assert "volume is in use" in done.stderr
    by_hand = done.stderr.partition("By hand:\n")[2]
    commands = [f"docker network rm {name}", f"docker volume rm {config}", f"docker rmi {IMAGE}"]
    assert [line.strip() for line in by_hand.splitlines()[:3]] == commands
    host.docker("rm", "--force", "other")
    host.docker(*commands[0].split()[1:])
    code, again = host.uninstall("--yes")
    assert (code, named(again["removed"])) == (0, left - {f"network {name}"})
    assert host.things() == FOREIGN


def test_interrupted(host: Host) -> None:
    """Ctrl-C while a container is being stopped: what is left is listed, exit 130; a second run finishes."""
    host.docker("rm", "--force", STACKS[0])
    for thing in ("volume claude-code-api_claude-config", "volume claude-code-api_workspace"):
        host.docker("volume", "rm", thing.partition(" ")[2])
    host.docker("network", "rm", "claude-code-api_default")
    host.stack(STACKS[0], "--stop-timeout=8")  # the last one counts; it does not know of SIGTERM
    with host.cli.terminal("uninstall") as terminal:
        terminal.read_until("Remove all of it? [y/N]")
        terminal.type(b"y\n")
        terminal.read_until("Stopping the container")
        terminal.type(b"\x03")
        text = terminal.read_all()
    assert terminal.process.returncode == 130
    left = text.partition("Interrupted. Still there:")[2]
    assert f"{STACKS[0]}_claude-config" in left
    assert "It goes with another: ccapi uninstall" in left
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor is back"
    assert things_of(STACKS[1]) <= host.things()
    code, _ = host.uninstall("--yes")
    assert code == 0
    assert host.things() == FOREIGN


def test_a_broken_file_may_name_another_stack(host: Host) -> None:
    """`down` refuses then, and takes a name or --all; `uninstall` means all stacks anyway."""
    (host.cli.directory / "ccapi.toml").write_text("[stack\n")
    before = host.things()
    done = host.cli.run("down", "--volumes", "--yes")
    assert done.returncode == 2
    assert "ccapi.toml:1" in done.stderr
    assert "  ccapi down --project default\n  ccapi down --project web\n  ccapi down --all\n" in done.stderr
    assert host.things() == before
    assert host.cli.run("down", "--project", "web").returncode == 0
    gone = {thing for thing in things_of(STACKS[1]) if not thing.startswith("volume ")}
    assert host.things() == before - gone
    assert host.uninstall("--yes")[0] == 0
    assert host.things() == FOREIGN
    assert (host.cli.directory / "ccapi.toml").exists()


def test_the_page(host: Host) -> None:
    """docs/setup.md: the list, then the question, and what it says of both."""
    first, second = Page("docs/setup.md").begins("ccapi uninstall")
    listed = host.cli.run(*first.split()[1:])
    assert listed.returncode == 0
    assert "To be revoked by you, at the vendor" in listed.stdout
    assert all(len(line) <= 80 for line in listed.stdout.splitlines() if not line.startswith("  "))
    with host.cli.terminal(*second.split()[1:]) as terminal:
        terminal.read_until("Remove all of it? [y/N]")
        terminal.type(b"y\n")
        terminal.read_all()
    assert terminal.process.returncode == 0
    assert host.things() == FOREIGN

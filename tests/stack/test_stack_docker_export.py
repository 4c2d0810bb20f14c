"""The exported folder with the real `docker compose`: the same container as that of `ccapi up`, and docs/server.md."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.readme import Page
from tests.cli.support import ROOT, Cli, free_port, on_terminal
from tests.gateway.harness import await_that
from tests.stack.exportedfolder import CADDY, OPEN_WEBUI, Folder, clean, make_images
from tests.stack.project import Project, project
from tests.stack.support import BUILD_DEADLINE, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(BUILD_DEADLINE)]

PAGE = Page("docs/server.md")
OVERLAYS = ("open-webui", "tls")
NAMED = "claude-code-api-page"  # a stack of its own, as others may run the usual one
SIGN_IN = "docker compose exec gateway claude auth login"


def export(cli: Cli, directory: str, *names: str, environ: dict[str, str] | None = None) -> Folder:
    done = cli.run("compose", "export", directory, *(f"--with={name}" for name in names), environ=environ)
    assert done.returncode == 0, done.stderr
    return Folder(cli.directory / directory)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


# --- what `docker compose` makes of the folder


@pytest.mark.parametrize("names", [(), ("open-webui",), ("tls",), OVERLAYS], ids="+".join)
def test_every_choice_of_overlays_is_accepted(cli: Cli, names: tuple[str, ...]) -> None:
    """`docker compose config`, as it stands and from a path with spaces; nothing but Caddy is published to others."""
    folder = export(cli, "a folder", *names)
    found = folder.config()["services"]
    expected = {"gateway"} | {{"open-webui": "open-webui", "tls": "caddy"}[name] for name in names}
    assert set(found) == expected
    assert Path(found["gateway"]["build"]["context"]) == folder.directory
    assert found["gateway"]["environment"].get("CCAPI_API_REQUIRE_KEY") == ("on" if names else None)
    loopback = {name: {port.get("host_ip") for port in found[name]["ports"]} for name in expected}
    assert loopback.pop("caddy", {None}) == {None}
    assert set().union(*loopback.values()) == {"127.0.0.1"}
    assert "ANTHROPIC_API_KEY" not in str(found)


@pytest.mark.parametrize("names", [("open-webui",), ("tls",), OVERLAYS], ids="+".join)
def test_the_overlays_beside_the_compose_file_of_the_repository(names: tuple[str, ...], tmp_path: Path) -> None:
    """They are usable by hand as well."""
    directory = ROOT / "templates" / "compose"
    files = [f"--file={directory}/docker-compose.yml", f"--file={directory}/overlays/key.yml"]
    files += [f"--file={directory}/overlays/{name}.yml" for name in names]
    files += [f"--file={directory}/overlays/open-webui-tls.yml"] if names == OVERLAYS else []
    environ = clean(CCAPI_OPEN_WEBUI_KEY="x", CCAPI_OPEN_WEBUI_SECRET="y")
    command = ["docker", "compose", "--env-file=/dev/null", *files, "config", "--format=json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for volume in json.loads(done.stdout)["services"].get("caddy", {}).get("volumes", []):
        assert volume["type"] == "volume" or Path(volume["source"]).is_file()


def test_with_tls_the_gateway_itself_is_published_to_nobody(cli: Cli) -> None:
    """Also where it was before: who turns HTTPS on does not mean to leave the other door open."""
    folder = export(cli, "folder", "tls", environ={"CCAPI_GATEWAY_HOST": "0.0.0.0"})
    folder.set(CCAPI_API_REQUIRE_KEY="off")
    gateway = folder.config()["services"]["gateway"]
    assert [port["host_ip"] for port in gateway["ports"]] == ["127.0.0.1"]
    assert gateway["environment"]["CCAPI_API_REQUIRE_KEY"] == "on"


def test_an_overlay_without_its_key_says_so(cli: Cli) -> None:
    """Rather than start Open WebUI with an empty one."""
    folder = export(cli, "folder", "open-webui")
    folder.set(CCAPI_OPEN_WEBUI_KEY="")
    assert "docker compose run --rm key create --name open-webui" in folder.compose("config", check=False)


@pytest.mark.parametrize(
    "value", ["$HOME", "$$", "${X:-y}", "it's", 'a"b', "a\\", "'\"`\\$x", "#", "x # y", "%s {{.}} ü"]
)
def test_values_reach_the_container_as_they_are(cli: Cli, value: str) -> None:
    """Nothing in a setting is a variable, an escape or a comment to `docker compose`; nor in a path."""
    workspace = cli.directory / value.replace("/", "").replace(":", "")
    workspace.mkdir()
    environ = {"CCAPI_MODELS_MAP": f"{value}=sonnet", "CCAPI_STACK_WORKSPACE": str(workspace)}
    text = export(cli, "folder", environ=environ).compose("config", "--format=json")
    gateway = json.loads(text.replace("$$", "$"))["services"]["gateway"]  # it escapes for the next reader
    assert gateway["environment"]["CCAPI_MODELS_MAP"] == f"{value}=sonnet"
    assert workspace.name.replace("$$", "$") in gateway["volumes"][1]["source"]


def test_the_effective_compose_file_is_shown(cli: Cli) -> None:
    """`ccapi compose show`: what `up` runs, as `docker compose` understands it, with the settings of here."""
    done = cli.run("compose", "show", environ={"CCAPI_GATEWAY_PORT": "8123", "CCAPI_POOL_SIZE": "5"})
    assert (done.returncode, done.stderr) == (0, "")
    read = ["docker", "compose", "--file=-", "config", "--format=json"]
    document = json.loads(subprocess.run(read, input=done.stdout, capture_output=True, text=True, check=True).stdout)
    gateway = document["services"]["gateway"]
    assert gateway["ports"][0]["published"] == "8123"
    assert gateway["environment"]["CCAPI_POOL_SIZE"] == "5"
    assert re.fullmatch(r"claude-code-api:[0-9a-f]{12}", gateway["image"])
    elsewhere = cli.run("compose", "show", environ={"PATH": "/nonexistent"})
    assert elsewhere.returncode == 5
    assert "docker command was not found" in elsewhere.stderr


# --- the container


def normalised(container: dict[str, Any], keys: str) -> dict[str, Any]:
    """What `docker inspect` says, without what no two containers share: ids, times, addresses, where it was made."""
    compose = re.compile(
        r"com\.docker\.compose\.(config-hash|project\.(config_files|working_dir|environment_file)|version)"
    )
    config, host = container["Config"], container["HostConfig"]
    networks = {
        name: {"aliases": sorted(set(network["Aliases"]) - {container["Id"][:12]}), "links": network["Links"]}
        for name, network in container["NetworkSettings"]["Networks"].items()
    }
    config["Labels"] = {name: value for name, value in config["Labels"].items() if not compose.fullmatch(name)}
    config["Env"] = sorted(config["Env"])
    config["Image"] = config["Image"].replace(":exported-", ":")  # the one name that is another on purpose
    for name in ("Hostname", "Domainname"):
        config.pop(name)
    mounts = [{**mount, "Source": mount["Source"].replace(keys, "KEYS")} for mount in container["Mounts"]]
    host["Binds"] = sorted(bind.replace(keys, "KEYS") for bind in host["Binds"] or [])
    host["Mounts"] = sorted(host["Mounts"] or [], key=lambda mount: str(mount["Target"]))  # compose has no order
    return {
        "Image": container["Image"],
        "Name": container["Name"],
        "Path": [container["Path"], *container["Args"]],
        "Config": config,
        "HostConfig": host,
        "Mounts": sorted(mounts, key=lambda mount: str(mount["Destination"])),
        "Networks": networks,
        "Ports": container["NetworkSettings"]["Ports"],
        "Health": container["State"]["Health"]["Status"],
        "RestartCount": container["RestartCount"],
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two documents are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        return [line for name in names for line in differences(one.get(name), other.get(name), f"{where}.{name}")]
    return [] if one == other else [f"{where}: {one!r}, {other!r}"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path / "laptop", "exported") as made:
        made.directory.mkdir()
        yield made


def test_the_container_is_that_of_up(stack: Project, tmp_path: Path) -> None:
    """`docker inspect` tells no difference: image, environment, labels, mounts, limits, health check, network."""
    # Some settings with values that a file could spoil, and every kind of them.
    stack.environ |= {"CCAPI_MODELS_MAP": "gpt $4's=sonnet", "CCAPI_POOL_SIZE": "1", "CCAPI_API_REQUIRE_KEY": "on"}
    stack.up("--build")  # what the builder remembers now, it will also have for the folder
    ours = normalised(inspect(stack.name), f"{stack.environ['CCAPI_HOME']}/state/projects/exported/keys")
    stack.cli("down", "--volumes", "--yes")
    made = export(stack.as_cli(), "made here")
    server = tmp_path / "a server's folder"  # carried to another place
    made.directory.rename(server)
    folder = Folder(server)
    try:
        folder.set(CCAPI_REHEARSAL="default")
        folder.compose("build")  # one that an earlier test has left is not what is meant
        folder.compose("up", "--detach", "--wait")
        theirs = normalised(inspect(stack.name), f"{server}/keys")
        assert differences(theirs, ours) == []
    finally:
        folder.remove_everything()


# --- the page


class Walk:
    """Goes through docs/server.md: `ccapi`, `ssh` and what is piped there on a laptop, all else on a server.

    Both are directories here: `ssh`, `sudo` and `systemctl` are stand-ins that act on this machine, or only say so.
    """

    def __init__(self, directory: Path) -> None:
        self.laptop, self.srv, self.etc = (directory / name for name in ("laptop", "srv", "etc"))
        self.bin = directory / "bin"
        for made in (self.laptop, self.srv, self.etc, self.bin):
            made.mkdir()
        self.where = self.srv
        self.ports = {"8000": free_port(), "3000": free_port(), "443": free_port(), "80": free_port()}
        self.key = ""
        self.seen: list[str] = []
        for name, script in {
            "ccapi": f'exec {sys.executable} -m ccapi "$@"',
            "ssh": '[ "$1" = server ] && shift && exec sh -c "$1"',
            "sudo": 'exec "$@"',
            "systemctl": f'echo "$@" >>{self.etc}/systemctl.log',
        }.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.bin / name).chmod(0o755)

    @property
    def folder(self) -> Folder:
        return Folder(self.srv / "claude-code-api")

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell on the server."""
        environ = clean(KEY=self.key)
        return environ | {"PATH": f"{self.bin}:{environ['PATH']}"}

    @property
    def laptop_environ(self) -> dict[str, str]:
        return self.environ | {
            "CCAPI_HOME": str(self.laptop / "home"),
            "CCAPI_STACK_PROJECT": "page",
            "CCAPI_GATEWAY_PORT": str(self.ports["8000"]),
            "PYTHONPATH": str(ROOT),
        }

    def here(self, command: str) -> str:
        """With the places, the name and the ports of this test."""
        command = re.sub(
            r"claude-code-api(?=[_.](?!new|old|failed))|(?<=(?:.now |ject=))claude-code-api", NAMED, command
        )
        command = command.replace("/etc/systemd/system", str(self.etc)).replace("/srv", str(self.srv))
        command = command.replace("localhost:8000", f"localhost:{self.ports['8000']}")
        return command.replace("https://localhost/", f"https://localhost:{self.ports['443']}/")

    def run(self, *commands: str) -> list[str]:
        """What each prints; all must succeed. On the server a `cd` holds until the next."""
        printed = []
        for command in commands:
            self.seen.append(command)
            on_laptop = command.split()[0] in {"ccapi", "tar", "ssh"}
            script = f"set -o pipefail\n{self.here(command)}\ncode=$?; printf '\\0%s' \"$PWD\"; exit $code"
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self.laptop if on_laptop else self.where,
                env=self.laptop_environ if on_laptop else self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=BUILD_DEADLINE,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            text, _, directory = done.stdout.rpartition("\0")
            self.where = self.where if on_laptop else Path(directory)
            printed.append(text)
        return printed

    def below(self, heading: str) -> list[str]:
        """The commands below a heading."""
        return [command for block in PAGE.blocks if block.heading == heading for command in block.commands]

    def sign_in(self) -> None:
        """It needs a terminal, and shows where to go; nobody goes there."""
        self.seen.append(SIGN_IN)
        with on_terminal(shlex.split(SIGN_IN), clean(), self.where) as terminal:
            terminal.read_until("https://claude.")
            terminal.type(b"\x03")
            terminal.read_all()

    def status(self, url: str, *options: str) -> str:
        """The status of an answer, 000 where there is none."""
        command = [
            "curl",
            "--silent",
            "--noproxy",
            "*",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            *options,
        ]
        return subprocess.run([*command, url], cwd=self.where, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    made = Walk(tmp_path)
    try:
        yield made
    finally:
        for name in ("claude-code-api", "claude-code-api.old", "claude-code-api.failed", "claude-code-api.new"):
            if (made.srv / name / ".env").exists():
                Folder(made.srv / name).remove_everything()
        docker("rmi", "--force", CADDY, OPEN_WEBUI, check=False)


def test_the_page(walk: Walk, tmp_path: Path) -> None:
    """docs/server.md from its beginning to its end, each command as it stands, and what the folder's README adds."""
    the_folder(walk)
    with_overlays(walk, tmp_path)
    and_back(walk)
    backed_up(walk)
    under_systemd(walk)
    (shown,) = walk.run(*walk.below("By hand with ccapi"))
    assert "services:" in shown
    _, left = walk.run(*walk.below("Remove it"))
    volumes = [line.split()[1] for line in left.splitlines()[1:]]
    assert volumes == [f"{NAMED}_{name}" for name in ("caddy-config", "caddy-data", "open-webui")]  # of another folder
    assert docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={NAMED}") == ""
    assert set(walk.seen) >= set(PAGE.commands())


def the_folder(walk: Walk) -> None:
    """Made, copied, started, a key made; the key is good, and nothing else is."""
    make, copy, enter, up, sign_in, create, curl = walk.below("The folder")
    assert sign_in == SIGN_IN
    walk.run(make, copy, enter)
    walk.folder.set(CCAPI_REHEARSAL="default")  # no account
    walk.run(up)
    walk.sign_in()
    (printed,) = walk.run(create)
    walk.key = printed.strip()
    assert re.fullmatch(r"ccapi-[A-Za-z0-9_-]{43}", walk.key)
    (models,) = walk.run(curl)
    assert {model["id"] for model in json.loads(models)["data"]} >= {"sonnet", "haiku"}
    url = f"http://localhost:{walk.ports['8000']}/v1/models"
    assert walk.status(url, "--header", "Authorization: Bearer ccapi-no") == "401"
    listed, version, *_ = walk.run(
        "docker compose run --rm key list", "docker compose exec gateway claude --version", "docker compose ps",
        "docker compose logs --tail 100",
    )  # fmt: skip
    assert "laptop" in listed
    assert "Claude Code" in version
    assert (walk.folder.directory / "keys" / "keys.json").stat().st_mode & 0o777 == 0o644


def with_overlays(walk: Walk, tmp_path: Path) -> None:
    """Open WebUI and Caddy join; from other machines there is no way in but with HTTPS and a key."""
    make_images(tmp_path / "images", inspect(NAMED)["Config"]["Image"])
    walk.run(*walk.below("Overlays"))
    laptop = Folder(walk.laptop / "claude-code-api")
    assert "CCAPI_REHEARSAL=default" in (laptop.directory / ".env").read_text("utf-8")
    laptop.set(
        CCAPI_CADDY_IMAGE=CADDY, CCAPI_OPEN_WEBUI_IMAGE=OPEN_WEBUI, CCAPI_OPEN_WEBUI_PORT=walk.ports["3000"],
        CCAPI_HTTPS_PORT=walk.ports["443"], CCAPI_HTTP_PORT=walk.ports["80"],
    )  # fmt: skip
    copy, *swap, up = walk.below("Another version")[:6]
    walk.run(copy, *swap, up)
    # Compose waits for the gateway's health; Caddy and Open WebUI have none, and take a moment.
    certificate = ("exec", "-T", "caddy", "cat", "/data/caddy/pki/authorities/local/root.crt")
    await_that(lambda: "END CERTIFICATE" in walk.folder.compose(*certificate, check=False), "Caddy's authority")
    walk.run("docker compose cp caddy:/data/caddy/pki/authorities/local/root.crt caddy-root.crt")
    trust = ("--cacert", "caddy-root.crt")
    site, chat = f"https://localhost:{walk.ports['443']}", f"chat.localhost:{walk.ports['443']}"
    to_chat = (*trust, "--resolve", f"{chat}:127.0.0.1")
    await_that(lambda: walk.status(f"{site}/v1/models", *trust) == "401", "Caddy")
    await_that(lambda: walk.status(f"https://{chat}/health", *to_chat) == "200", "Open WebUI")
    (models,) = walk.run('curl --cacert caddy-root.crt https://localhost/v1/models -H "Authorization: Bearer $KEY"')
    assert "sonnet" in models
    assert walk.status(f"{site}/internal/v1/logins", *trust) == "404"
    assert walk.status(f"http://localhost:{walk.ports['8000']}/v1/models") == "401"
    assert walk.status(f"http://localhost:{walk.ports['3000']}/health") == "200"
    ports = inspect(NAMED)["NetworkSettings"]["Ports"]
    assert [port["HostIp"] for port in ports["8000/tcp"]] == ["127.0.0.1"]
    # Open WebUI has all that it needs to reach the gateway, and nobody else on its network has.
    ask = 'curl --silent --output /dev/null --write-out "%{http_code}" "$OPENAI_API_BASE_URL/models"'
    inside = ("exec", "-T", "open-webui", "sh", "-c")
    assert walk.folder.compose(*inside, f'{ask} --header "Authorization: Bearer $OPENAI_API_KEY"') == "200"
    assert walk.folder.compose(*inside, ask) == "401"


def and_back(walk: Walk) -> None:
    """The folder from before takes over, its image is still there, and what was added is gone."""
    walk.run(*walk.below("Another version")[6:])
    assert walk.folder.compose("ps", "--services").split() == ["gateway"]
    assert docker("ps", "--quiet", "--filter", f"name={NAMED}-caddy") == ""
    walk.run("docker compose run --rm key revoke laptop")
    listed = walk.folder.compose("run", "--rm", "-T", "key", "list")
    assert "laptop" not in listed


def backed_up(walk: Walk) -> None:
    """What was on both volumes is there again, for the agent to write to."""
    write = 'echo 1 >/workspace/mine; echo 2 >"$CLAUDE_CONFIG_DIR/mine"'
    read = 'cat /workspace/mine "$CLAUDE_CONFIG_DIR/mine"; touch /workspace/again "$CLAUDE_CONFIG_DIR/again"'
    walk.folder.compose("exec", "-T", "gateway", "sh", "-c", write)
    stop, save, start, *restore = walk.below("Back-up")
    walk.run(stop, save, start)
    assert (walk.folder.directory / "backup.tar.gz").stat().st_mode & 0o777 == 0o600
    walk.run(*restore)
    assert walk.folder.compose("exec", "-T", "gateway", "sh", "-c", read) == "1\n2\n"


def under_systemd(walk: Walk) -> None:
    """The unit lands where systemd looks, with the folder's path; what it has systemd do, works."""
    walk.run(*walk.below("systemd"))
    assert (walk.etc / "systemctl.log").read_text().splitlines() == ["daemon-reload", f"enable --now {NAMED}"]
    unit = dict(line.split("=", 1) for line in (walk.etc / f"{NAMED}.service").read_text().splitlines() if "=" in line)
    folder = Folder(Path(unit["WorkingDirectory"]))
    assert folder.directory == walk.folder.directory
    for name, running in (("ExecStop", False), ("ExecStart", True), ("ExecReload", True)):
        program, *words = shlex.split(unit[name])
        assert (program, words[0]) == ("docker", "compose")
        folder.compose(*words[1:])
        assert inspect(NAMED)["State"]["Running"] == running

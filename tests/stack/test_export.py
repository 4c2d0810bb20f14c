"""`ccapi compose export`: what is in the folder, and what happens to one that is there already. No Docker is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ccapi import __version__, settings
from ccapi.stack import envfile, overlays, spec, templates
from ccapi.wire import keys
from tests.cli.readme import Page
from tests.cli.support import ROOT, Cli

SECRET = re.compile(r"(?:ccapi-)?[A-Za-z0-9_-]{43}")
NAMES = ("open-webui", "tls")
CHOICES = [(), ("open-webui",), ("tls",), NAMES]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, on a machine without Docker."""
    cli = Cli(tmp_path)
    cli.environ["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"
    return cli


def export(cli: Cli, *names: str, directory: str = "folder", environ: dict[str, str] | None = None) -> Path:
    done = cli.run("compose", "export", directory, *(f"--with={name}" for name in names), environ=environ)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return cli.directory / directory


def refused(cli: Cli, *args: str) -> str:
    done = cli.run("compose", "export", *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return done.stderr


def environment(folder: Path) -> dict[str, str]:
    return envfile.read((folder / ".env").read_bytes(), folder / ".env")


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def compose_texts(folder: Path) -> dict[str, str]:
    return {
        str(file): file.read_text("utf-8") for file in [folder / "docker-compose.yml", *folder.glob("overlays/*.yml")]
    }


# --- what is in it


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_what_is_in_the_folder(cli: Cli, names: tuple[str, ...]) -> None:
    """What the image is made of, at its place in the build context; the compose files that are named, and no others."""
    folder = export(cli, *names)
    found = set(content(folder))
    inputs = templates.build_input("debian:trixie-slim")
    context = {name for name in inputs.files if "Dockerfile" not in name}
    chosen = overlays.chosen(names)
    assert found == context | {
        *("Dockerfile", "Dockerfile.dockerignore", "docker-compose.yml", "README.md", "claude-code-api.service"),
        *(".env", "keys/keys.json", ".ccapi-export.json"),
        *(f"overlays/{name}" for name in overlays.files(chosen)),
    }
    read = environment(folder)["COMPOSE_FILE"].split(":")
    assert set(read) == {"docker-compose.yml", *(f"overlays/{file.name}" for file in folder.glob("overlays/*.yml"))}
    assert {"overlays/open-webui-tls.yml"} <= set(read) or names != NAMES


def test_what_the_image_is_made_of_is_what_up_makes_it_of(cli: Cli) -> None:
    """Byte for byte, but for a first line that says where one is; and the image is called after all of it."""
    folder = export(cli)
    inputs = templates.build_input("debian:trixie-slim")
    for name, data in inputs.files.items():
        if "Dockerfile" in name:
            here = (folder / Path(name).name).read_bytes()
            assert here.partition(b"\n")[2] == data.partition(b"\n")[2]
        else:
            assert (folder / name).read_bytes() == data, name
    tag = inputs.image.partition(":")[2]
    assert f"claude-code-api:exported-{tag}}}" in (folder / "docker-compose.yml").read_text("utf-8")


def test_the_compose_file_is_that_of_up(cli: Cli) -> None:
    """It differs in where the build context is, in what the image is called, and says which text it was made from."""
    ours = (export(cli) / "docker-compose.yml").read_text("utf-8").splitlines()
    theirs = templates.compose_text().splitlines()
    assert len(ours) == len(theirs)
    changed = {line.split(":")[0].strip(" #") for line, other in zip(ours, theirs, strict=True) if line != other}
    assert changed == {"Made by `ccapi compose export`", "image", "context", "dockerfile", "ccapi.compose"}


def test_modes(cli: Cli) -> None:
    """Secrets are for the owner; what enters the image has the modes that `up` gives it, whatever the umask is."""
    command = f"umask 077; exec {' '.join(cli.run('--version').args[:-1])} compose export folder --with open-webui"
    subprocess.run(["sh", "-c", command], cwd=cli.directory, env=cli.environ, check=True, capture_output=True)
    folder = cli.directory / "folder"
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes.pop(".env") == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {mode for name, mode in modes.items() if (folder / name).is_dir()} == {0o755}
    assert {mode for name, mode in modes.items() if (folder / name).is_file()} == {0o644}


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_every_variable_is_explained(cli: Cli, names: tuple[str, ...]) -> None:
    """Each that a compose file of the folder refers to stands in `.env`, set or not, and below a comment; no other."""
    folder = export(cli, *names)
    wanted = {"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"}
    for text in compose_texts(folder).values():
        wanted |= set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"(?m)^ {6,8}([A-Za-z_]+): *(?:#.*)?$", text))
    wanted -= {"CCAPI_IMAGE", "CCAPI_COMPOSE_ID", "args", "labels"}  # of this version of the folder
    lines = (folder / ".env").read_text("utf-8").splitlines()
    listed = [match[1] for line in lines if (match := re.match(r"#?([A-Za-z_]+)=", line))]
    assert sorted(listed) == sorted(wanted)
    assert max(map(len, lines)) <= 120
    for row in settings.TABLE:
        if row.gateway:
            assert row.env in listed
            assert row.help.split()[0] in (folder / ".env").read_text("utf-8")


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_secrets_are_in_one_file(cli: Cli, names: tuple[str, ...]) -> None:
    """Random strings of letters that no file minds, in `.env` alone, and not on the screen; the hash of the key."""
    done = cli.run("compose", "export", "folder", *(f"--with={name}" for name in names))
    folder = cli.directory / "folder"
    found = environment(folder)
    secrets = [found[name] for name in ("CCAPI_OPEN_WEBUI_KEY", "CCAPI_OPEN_WEBUI_SECRET") if name in found]
    assert len(secrets) == (2 if "open-webui" in names else 0)
    assert all(SECRET.fullmatch(secret) for secret in secrets)
    rest = b"".join(data for name, data in content(folder).items() if name != ".env") + done.stderr.encode()
    assert not any(secret.encode() in rest for secret in secrets)
    ring = keys.load((folder / "keys" / "keys.json").read_bytes(), folder)
    expected = [keys.digest(found["CCAPI_OPEN_WEBUI_KEY"])] if "open-webui" in names else []
    assert [record.hash for record in ring.keys] == expected
    assert ("An API key was made for open-webui" in done.stderr) == ("open-webui" in names)
    assert found.get("CCAPI_API_REQUIRE_KEY") == ("on" if names else None)


def test_two_folders_share_no_secret(cli: Cli) -> None:
    """Each has its own."""
    one, two = (environment(export(cli, "open-webui", directory=name)) for name in ("one", "two"))
    assert one["CCAPI_OPEN_WEBUI_KEY"] != two["CCAPI_OPEN_WEBUI_KEY"]
    assert one["CCAPI_OPEN_WEBUI_SECRET"] != two["CCAPI_OPEN_WEBUI_SECRET"]


def test_settings_are_taken_along(cli: Cli) -> None:
    """Those that were set, from wherever; the keys and the proxies of the machine it is made on are not."""
    (cli.directory / "ccapi.toml").write_text("[models]\nmap = {gpt-4o = 'sonnet'}\n[pool]\nsize = 2\n", "utf-8")
    cli.run("key", "create", "--name", "mine")
    environ = {
        "CCAPI_GATEWAY_PORT": "8123",
        "CCAPI_GATEWAY_HOST": "0.0.0.0",
        "HTTPS_PROXY": "http://u:p@proxy.example:3128",
    }
    folder = export(cli, environ=environ)
    found = environment(folder)
    assert {name: value for name, value in found.items() if not name.startswith("COMPOSE")} == {
        "CCAPI_GATEWAY_PORT": "8123",
        "CCAPI_GATEWAY_HOST": "0.0.0.0",
        "CCAPI_MODELS_MAP": "gpt-4o=sonnet",
        "CCAPI_POOL_SIZE": "2",  # also the default; a container of `up` has the variable, too
    }
    assert keys.load((folder / "keys" / "keys.json").read_bytes(), folder) == keys.KeyFile()
    assert b"proxy.example" not in b"".join(content(folder).values())


def test_another_stack(cli: Cli) -> None:
    """One of several has its name in everything, and the ports that most have as long as it has none of its own."""
    folder = export(cli, *NAMES, environ={"CCAPI_STACK_PROJECT": "web"})
    assert (folder / "claude-code-api-web.service").is_file()
    for place, text in compose_texts(folder).items():
        assert "{CCAPI_STACK:-claude-code-api}" not in text, place
    assert "{CCAPI_STACK:-claude-code-api-web}" in (folder / "docker-compose.yml").read_text("utf-8")
    assert "CCAPI_GATEWAY_PORT" not in environment(folder)


def test_a_ca_file_goes_along(cli: Cli) -> None:
    """The certificates are part of the image; a CA file that is none is refused, and nothing is written."""
    data = ROOT / "tests" / "stack" / "data" / "test-ca.pem"
    folder = export(cli, environ={"CCAPI_STACK_CA_FILE": str(data)})
    assert (folder / "templates" / "compose" / "ca" / "ca-file-000.crt").is_file()
    done = cli.run("compose", "export", "other", environ={"CCAPI_STACK_CA_FILE": str(cli.directory / "none.pem")})
    assert done.returncode == 2
    assert "none.pem" in done.stderr
    assert not (cli.directory / "other").exists()


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_the_readme_of_the_folder(cli: Cli, names: tuple[str, ...]) -> None:
    """It has the sections of its overlays, no trace of how it was made, and the commands that docs/server.md has."""
    folder = export(cli, *names)
    text = (folder / "README.md").read_text("utf-8")
    assert not re.search(r"<!--|@STACK@|\$\{", text)
    assert ("## HTTPS" in text) == ("tls" in names)
    assert ("## Open WebUI" in text) == ("open-webui" in names)
    assert ("CCAPI_OPEN_WEBUI_SITE" in text) == (names == NAMES)
    commands = {match[1] for match in re.finditer(r"(?m)^\$ (.+)$", text)}
    tested = {*Page("docs/server.md").commands(), *MORE}
    assert commands <= tested
    assert len(commands) > 10


# Of the README in the folder, and not in docs/server.md: the test with the real engine runs them.
MORE = (
    "docker compose run --rm key list",
    "docker compose run --rm key revoke laptop",
    "docker compose cp caddy:/data/caddy/pki/authorities/local/root.crt caddy-root.crt",
    'curl --cacert caddy-root.crt https://localhost/v1/models -H "Authorization: Bearer $KEY"',
    "docker compose ps",
    "docker compose logs --tail 100",
    "docker compose exec gateway claude --version",
)


def test_json(cli: Cli) -> None:
    """What was written, without secrets."""
    done = cli.run("compose", "export", "folder", "--with=open-webui", "--json")
    document = json.loads(done.stdout)
    found: dict[str, Any] = document["data"]
    assert (document["command"], document["status"]) == ("compose export", "ok")
    assert found["directory"] == str(cli.directory / "folder")
    assert (found["overlays"], found["keys"], found["renewed"]) == (["open-webui"], ["open-webui"], False)
    assert found["to_set"] == []
    assert found["image"] in (cli.directory / "folder" / "docker-compose.yml").read_text("utf-8")


# --- what is there already


def test_nothing_of_others_is_touched(cli: Cli) -> None:
    """A directory with something in it, also with --force; a file; a place that cannot be written."""
    other = cli.directory / "other"
    other.mkdir()
    (other / "README.md").write_text("mine")
    for force in ((), ("--force",)):
        assert "other has other files in it" in refused(cli, "other", *force)
    assert content(other) == {"README.md": b"mine"}
    assert "is no directory" in refused(cli, "other/README.md")
    done = cli.run("compose", "export", "other/README.md/below")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert content(other) == {"README.md": b"mine"}


def test_an_unknown_overlay(cli: Cli) -> None:
    """Named, with those that there are."""
    said = refused(cli, "folder", "--with", "nginx")
    assert "there is no overlay 'nginx'" in said
    assert "open-webui, tls" in said
    assert not (cli.directory / "folder").exists()


def test_an_empty_directory_is_filled(cli: Cli) -> None:
    """Also the one that one is in: it is filled, not replaced."""
    folder = cli.directory / "folder"
    folder.mkdir()
    inode = folder.stat().st_ino
    export(cli)
    assert folder.stat().st_ino == inode
    assert (folder / "docker-compose.yml").is_file()
    assert sorted(path.name for path in cli.directory.iterdir()) == ["folder", "home"]  # nothing is left beside it


def test_a_folder_is_renewed_only_if_asked_to(cli: Cli) -> None:
    """Without --force it stays as it is, to the last byte."""
    folder = export(cli, "open-webui")
    before = content(folder)
    assert "--force" in refused(cli, "folder")
    assert content(folder) == before


def test_renewing_keeps_what_is_yours(cli: Cli) -> None:
    """`.env` with what was set in it, the keys, the overlays and files of your own stay; all else is as new."""
    folder = export(cli, "open-webui")
    before = environment(folder)
    ring = (folder / "keys" / "keys.json").read_bytes()
    text = (folder / ".env").read_text("utf-8").replace("#CCAPI_GATEWAY_PORT=8000", "CCAPI_GATEWAY_PORT='9000' # mine")
    (folder / ".env").write_text(f'{text}\nMY_OWN="a $b"\nexport OTHER=1\n', "utf-8")
    (folder / "notes.txt").write_text("mine")
    (folder / "docker-compose.yml").write_text("spoilt")
    (folder / "ccapi" / "old.py").write_text("gone in the new version")
    manifest = json.loads((folder / ".ccapi-export.json").read_text("utf-8"))
    manifest["files"] = [*manifest["files"], "ccapi/old.py", "ccapi/gone/too.py"]
    (folder / ".ccapi-export.json").write_text(json.dumps(manifest))
    done = cli.run("compose", "export", "folder", "--force", "--with=tls", environ={"CCAPI_GATEWAY_PORT": "7000"})
    assert done.returncode == 0, done.stderr
    assert "Renewed" in done.stderr
    after = environment(folder)
    assert after["CCAPI_GATEWAY_PORT"] == "'9000' # mine"
    assert (after["MY_OWN"], after["OTHER"]) == ('"a $b"', "1")
    assert after["CCAPI_OPEN_WEBUI_KEY"] == before["CCAPI_OPEN_WEBUI_KEY"]
    assert after["CCAPI_OPEN_WEBUI_SECRET"] == before["CCAPI_OPEN_WEBUI_SECRET"]
    assert "overlays/tls.yml" in after["COMPOSE_FILE"]
    assert "overlays/open-webui.yml" in after["COMPOSE_FILE"]
    assert (folder / "keys" / "keys.json").read_bytes() == ring
    assert (folder / "notes.txt").read_text() == "mine"
    assert "services:" in (folder / "docker-compose.yml").read_text("utf-8")
    assert not (folder / "ccapi" / "old.py").exists()
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert json.loads((folder / ".ccapi-export.json").read_text("utf-8"))["version"] == __version__


def test_what_only_a_person_knows_is_named_until_it_is_set(cli: Cli) -> None:
    """The names of the sites, when they are new; the folder says what each is for."""
    said = cli.run("compose", "export", "folder", *(f"--with={name}" for name in NAMES)).stderr
    assert "Still to be set in .env, where it says what for: CCAPI_SITE, CCAPI_OPEN_WEBUI_SITE\n" in said
    file = cli.directory / "folder" / ".env"
    file.write_text(file.read_text("utf-8").replace("#CCAPI_SITE=localhost", "CCAPI_SITE=api.example.com"), "utf-8")
    said = cli.run("compose", "export", "folder", "--force").stderr
    assert ": CCAPI_OPEN_WEBUI_SITE\n" in said


def test_a_key_that_was_taken_out_is_made_again(cli: Cli) -> None:
    """What is missing in `.env` comes back; the keys that are there stay good."""
    folder = export(cli, "open-webui")
    old = environment(folder)["CCAPI_OPEN_WEBUI_KEY"]
    text = (folder / ".env").read_text("utf-8").replace(f"CCAPI_OPEN_WEBUI_KEY={old}\n", "CCAPI_OPEN_WEBUI_KEY=\n")
    (folder / ".env").write_text(text, "utf-8")
    assert cli.run("compose", "export", "folder", "--force").returncode == 0
    new = environment(folder)["CCAPI_OPEN_WEBUI_KEY"]
    assert SECRET.fullmatch(new)
    ring = keys.load((folder / "keys" / "keys.json").read_bytes(), folder)
    assert [record.hash for record in ring.keys] == [keys.digest(old), keys.digest(new)]


@pytest.mark.parametrize("line", ["what is this", "A='unclosed", 'B="x\\"', "=1"])
def test_an_env_that_cannot_be_understood_is_left_alone(cli: Cli, line: str) -> None:
    """Rather than lose a line of it: where it is, and nothing is changed."""
    folder = export(cli)
    with (folder / ".env").open("a") as file:
        file.write(f"{line}\n")
    before = content(folder)
    number = len(before[".env"].splitlines())
    assert f".env, line {number}: " in refused(cli, "folder", "--force")
    assert content(folder) == before


@pytest.mark.parametrize("files", [["../outside"], ["/etc/passwd"], "x", [1], None])
def test_a_manifest_of_others_removes_nothing(cli: Cli, files: object) -> None:
    """Only what lies in the folder can be taken away."""
    folder = export(cli)
    (cli.directory / "outside").write_text("mine")
    (folder / ".ccapi-export.json").write_text(json.dumps({"version": "1", "overlays": [], "files": files}))
    assert "not what an export writes" in refused(cli, "folder", "--force")
    assert (cli.directory / "outside").read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind(cli: Cli) -> None:
    """Where it cannot be written, one line says so, and there is no half of a folder."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can make a disk that is full")
    small = cli.directory / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        done = cli.run("compose", "export", "small/folder")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


# --- values


@pytest.mark.parametrize("value", ["", "a b", "#x", "it's", 'say "x"', "a\\", "$HOME", "ü\u2028"])
def test_a_value_that_is_kept_is_kept_as_it_was_written(value: str) -> None:
    """What `quoted` writes is one line, and is read back to the letter."""
    raw = envfile.quoted(value)
    assert envfile.read(f"A={raw}\n".encode(), Path(".env")) == {"A": raw}


def test_the_unit_is_one(cli: Cli) -> None:
    """systemd finds nothing to complain of, also where the folder's path has a space."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here")
    folder = export(cli, directory="a folder")
    unit = folder / "claude-code-api.service"
    text = unit.read_text("utf-8").replace("WorkingDirectory=/srv/claude-code-api", f"WorkingDirectory={folder}")
    assert str(folder) in text
    # It looks for the programs, and the unit docker.service: here there need be neither.
    fake = cli.directory / "docker"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    unit.write_text(text.replace("=docker ", f"={fake} "), "utf-8")
    (folder / "docker.service").write_text(f"[Service]\nExecStart={fake}\n")
    done = subprocess.run(
        [program, "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_row_that_docker_compose_decides_is_known_to_the_stack() -> None:
    """`.env` is made from what a container of `up` gets: nothing that the compose file refers to is missing there."""
    wanted = spec.StackSpec("claude-code-api", 8000, "debian:trixie-slim", {})
    referred = set(re.findall(r"\$\{(\w+)", templates.compose_text()))
    known = {*wanted.interpolation("", ""), *spec.VARIABLES}
    assert referred <= known

"""What goes into an image, what names it, and what is staged for the build."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from ccapi.errors import SettingInvalid
from ccapi.paths import Home
from ccapi.stack import spec, templates
from ccapi.stack.templates import build_input, certificates
from tests.cli.support import ROOT
from tests.stack.support import CA_FILE

BASE = "debian:trixie-slim"


def test_the_name_of_an_image_is_a_hash_of_its_inputs() -> None:
    """The same files give the same name; another base image, CA file, release, source or file name another one."""
    inputs = build_input(BASE)
    assert re.fullmatch(r"claude-code-api:[0-9a-f]{12}", inputs.image)
    files = dict(inputs.files)
    moved = {("ccapi/moved.py" if name == "ccapi/errors.py" else name): content for name, content in files.items()}
    others = [
        build_input("debian:other"),
        build_input(BASE, CA_FILE),
        build_input(BASE, claude="0.2.186"),
        templates.BuildInput(BASE, {**files, "ccapi/errors.py": files["ccapi/errors.py"] + b"\n"}),
        templates.BuildInput(BASE, moved),
    ]
    assert build_input(BASE).image == inputs.image
    assert len({inputs.image, *(other.image for other in others)}) == 6


def test_two_files_cannot_pass_for_one() -> None:
    """Where a name ends and a content begins is part of the hash."""
    one = templates.BuildInput(BASE, {"a": b"bc", "d": b""})
    other = templates.BuildInput(BASE, {"a": b"b", "cd": b""})
    assert one.image != other.image


def test_what_is_staged(tmp_path: Path) -> None:
    """The layout of the repository, nothing that is not needed, modes that do not depend on the umask; gone after."""
    with build_input(BASE, CA_FILE).staged(tmp_path / "cache") as project:
        context = project.parent.parent
        names = {str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()}
        assert project == context / "templates" / "compose"
        assert {"ccapi/__main__.py", "ccapi/rehearsal/scenarios/default.toml", "templates/compose/Dockerfile"} <= names
        assert "templates/compose/ca/ca-file-000.crt" in names
        assert not [name for name in names if "__pycache__" in name or name.startswith("ccapi/_templates")]
        modes = {oct(path.stat().st_mode & 0o777) for path in context.rglob("*")}
        assert modes == {"0o644", "0o755"}
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_staged_files_are_the_hashed_ones(tmp_path: Path) -> None:
    """Read once: an edit between hashing and staging cannot put other files under a name."""
    inputs = build_input(BASE)
    with inputs.staged(tmp_path) as project:
        context = project.parent.parent
        staged = {str(f.relative_to(context)): f.read_bytes() for f in context.rglob("*") if f.is_file()}
    assert staged == inputs.files


def test_by_hand_the_same_files_are_sent() -> None:
    """The whitelist for a build in a checkout lets through what `ccapi up` stages, apart from the Dockerfile."""
    lines = (ROOT / "templates" / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = tuple(line.removeprefix("!") for line in lines if line.startswith("!"))
    others = {"templates/compose/Dockerfile", "templates/compose/Dockerfile.dockerignore"}
    assert all(name.startswith(allowed) for name in build_input(BASE).files.keys() - others)


# --- CA files


def test_each_certificate_is_a_file_of_its_own(tmp_path: Path) -> None:
    """As update-ca-certificates wants it; comments and a private key in between stay outside."""
    pem = CA_FILE.read_text()
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    (tmp_path / "bundle.pem").write_text(f"# first\n{pem}{key}{pem}")
    assert certificates(tmp_path / "bundle.pem") == [pem, pem]
    assert not any(
        b"PRIVATE" in content
        for name, content in build_input(BASE, tmp_path / "bundle.pem").files.items()
        if name.endswith(".crt")
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "no certificate"),
        (b"\x30\x82\x01\x0a", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n", "not a valid certificate"),
        (b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "not a valid certificate"),
    ],
)
def test_a_ca_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, said: str) -> None:
    """Refused before anything is built, and the file is named."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingInvalid, match=said) as refused:
        build_input(BASE, file)
    assert str(file) in refused.value.message


# --- the compose text


def test_engines_without_start_interval() -> None:
    """The option is taken out, and the ordinary interval is short instead; nothing else changes."""
    old, new = templates.compose_text(start_interval=False), templates.compose_text()
    assert "start_interval" in new
    assert "start_interval" not in old
    assert "interval: 2s" in old
    assert len(new.splitlines()) - len(old.splitlines()) == 1
    assert templates.compose_id(old) != templates.compose_id(new)


# --- what is pinned


def test_one_release_of_claude_code() -> None:
    """The image and the `local` extra bring the same one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = [line for line in project["optional-dependencies"]["local"] if line.startswith("claude-agent-sdk")]
    dockerfile = (ROOT / "templates" / "compose" / "Dockerfile").read_text()
    assert f"ARG CLAUDE_AGENT_SDK_VERSION={pin.partition('==')[2]}\n" in dockerfile


def test_everything_in_the_image_is_pinned() -> None:
    """Each line of requirements.txt names one exact version."""
    lines = (ROOT / "templates" / "compose" / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines if not line.startswith("#"))


def test_names_agree() -> None:
    """What the code looks for is what the compose text makes."""
    text = templates.compose_text()
    stack = f"${{CCAPI_STACK:-{Home().stack}}}"
    assert f"name: {stack}\n" in text
    assert f"container_name: {stack}\n" in text
    assert f"  {spec.SERVICE}:\n" in text
    assert f"{spec.LABEL}: {stack}\n" in text
    assert f"{spec.IMAGE_LABEL}: {spec.REPOSITORY} " in text
    assert f"{spec.COMPOSE_LABEL}: " in text
    assert f"{spec.WORKSPACE_LABEL}: " in text
    assert f":{spec.WORKSPACE}\n" in text
    assert f"claude-config:{spec.CONFIG}\n" in text


def test_user_certificates_stay_out_of_git() -> None:
    """What somebody puts into `ca/` is not committed by accident."""
    file = "templates/compose/ca/mine.crt"
    ignored = subprocess.run(["git", "check-ignore", "-q", file], cwd=ROOT, check=False, capture_output=True)
    assert ignored.returncode != 1

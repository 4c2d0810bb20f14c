"""The wheel, built and installed for real: what a user gets who has no checkout."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from ccapi import __version__
from tests.cli.support import DEADLINE, ROOT, built, clean_environ, installed

SCENARIOS = sorted(file.name for file in (ROOT / "ccapi" / "rehearsal" / "scenarios").glob("*.toml"))


def tracked(directory: str) -> set[str]:
    """The files below a directory of the checkout that are no leftovers, relative to it."""
    base = ROOT / directory
    return {
        str(file.relative_to(base))
        for file in base.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix not in {".pem", ".crt", ".pyc"}
    }


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that was built from it."""
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(packages: tuple[Path, Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(packages[1])


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"ccapi_cli-{__version__}.dist-info/METADATA").decode())


@pytest.fixture(scope="module")
def run(
    packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of the environment that the wheel is installed in, from a directory that is not the checkout."""
    directory = tmp_path_factory.mktemp("elsewhere")
    programs = installed(packages[1], tmp_path_factory.mktemp("installed") / "venv")
    environ = clean_environ(directory / "home", PATH=f"{programs}:{os.environ['PATH']}")
    del environ["PYTHONPATH"]

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / args[0]), *args[1:]],
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE,
            check=False,
        )

    return run


def test_the_wheel_holds_the_package_and_the_templates(wheel: zipfile.ZipFile) -> None:
    """Every file of the package, what `ccapi up` builds from as `ccapi/_templates`, the metadata, and nothing else."""
    names = set(wheel.namelist())
    info = {name for name in names if name.startswith(f"ccapi_cli-{__version__}.dist-info/")}
    expected = {f"ccapi/{name}" for name in tracked("ccapi")}
    expected |= {f"ccapi/_templates/{name}" for name in tracked("templates")}
    assert names - info == expected


def test_the_wheel_holds_what_it_needs_to_work(wheel: zipfile.ZipFile) -> None:
    """The files that are no Python, by name: the test above would not notice if they left the checkout."""
    names = set(wheel.namelist())
    assert SCENARIOS
    assert {f"ccapi/rehearsal/scenarios/{name}" for name in SCENARIOS} <= names
    assert {"ccapi/_templates/compose/Dockerfile", "ccapi/_templates/compose/docker-compose.yml"} <= names
    assert "ccapi/py.typed" in names
    assert f"ccapi_cli-{__version__}.dist-info/licenses/LICENSE" in names


def test_neither_tests_nor_leftovers_are_in_it(wheel: zipfile.ZipFile) -> None:
    """No test, no compiled file, no certificate of the machine that built it."""
    wrong = [
        name for name in wheel.namelist() if name.startswith(("tests", ".")) or name.endswith((".pyc", ".crt", ".pem"))
    ]
    assert wrong == []


def test_the_sdist_can_be_tested(packages: tuple[Path, Path]) -> None:
    """A distributor gets the tests, the documents and the templates."""
    with tarfile.open(packages[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "tests/conftest.py", "templates/compose/Dockerfile"} <= names


def test_the_metadata(metadata: Message) -> None:
    """Name, version, Python, licence, and a README as description."""
    assert (metadata["Name"], metadata["Version"]) == ("ccapi-cli", __version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# ccapi\n")
    assert {"local", "dev"} <= set(metadata.get_all("Provides-Extra", []))


def test_the_plain_install_brings_no_claude(metadata: Message) -> None:
    """Claude Code is 400 MB that nobody needs who runs it in the container: it comes with the extra `local`."""
    required = [text for text in metadata.get_all("Requires-Dist", []) if text.startswith("claude-agent-sdk")]
    assert any(text.endswith("; extra == 'local'") for text in required)
    assert [text for text in required if "; extra == " not in text] == []


def test_the_installed_command(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`ccapi` is on the path, runs the installed package and not the checkout, and finds its templates in it."""
    assert run("ccapi", "--version").stdout == f"ccapi {__version__}\n"
    code = "import ccapi, ccapi.paths as p; print(ccapi.__file__); print(p.templates_dir() / 'compose' / 'Dockerfile')"
    package, dockerfile = run("python", "-I", "-c", code).stdout.splitlines()
    assert not Path(package).is_relative_to(ROOT)
    assert Path(dockerfile).is_relative_to(Path(package).parent / "_templates")
    assert Path(dockerfile).is_file()


def test_the_installed_rehearsal_model_has_its_scenarios(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The scenario files are data of the package and are found there."""
    done = run("ccapi", "rehearsal", "--list")
    assert sorted(f"{line.split()[0]}.toml" for line in done.stdout.splitlines()) == SCENARIOS


def test_the_installed_command_exports_a_folder(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """With everything in it that a server needs: all of it is in the wheel, and the package is not there twice."""
    done = run("ccapi", "compose", "export", "server", "--with", "open-webui", "--with", "tls", "--json")
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["data"]["directory"])
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {f"ccapi/{name}" for name in tracked("ccapi")} <= found
    overlays = {f"overlays/{name}" for name in tracked("templates/compose/overlays")}
    assert {
        "Dockerfile",
        "README.md",
        "claude-code-api.service",
        "templates/compose/requirements.txt",
        *overlays,
    } <= found
    assert not any("_templates" in name for name in found)


def test_the_demo_of_the_installed_command(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Command, gateway, rehearsal model and Claude Code find each other without a checkout."""
    done = run("ccapi", "demo")
    assert done.returncode == 0, done.stderr
    assert "\n[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n" in done.stdout


# --- as users install it


def person(directory: Path) -> dict[str, str]:
    """Somebody with pipx and uv whose home is empty. What pip knows of this machine's package index, uv is told."""
    tools = Path(sys.executable).parent  # where the dev extra puts both
    told = {"UV_DEFAULT_INDEX": pips("index-url"), "SSL_CERT_FILE": pips("cert")}
    environ = {
        **clean_environ(directory / "home", PATH=f"{directory / 'bin'}:{tools}:{os.environ['PATH']}"),
        "PIPX_HOME": str(directory / "pipx"),
        "PIPX_BIN_DIR": str(directory / "bin"),
        "UV_TOOL_DIR": str(directory / "uv"),
        "UV_TOOL_BIN_DIR": str(directory / "bin"),
        "PIP_CACHE_DIR": str(Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "pip"),
        "PIPX_DEFAULT_BACKEND": "pip",
        **{name: value for name, value in told.items() if value},
        **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))},
    }
    del environ["PYTHONPATH"]
    return environ


def pips(name: str) -> str:
    """What pip is set to on this machine; empty if it is not."""
    for place in (":env:", "global"):
        asked = [sys.executable, "-m", "pip", "config", "get", f"{place}.{name}"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=DEADLINE, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    return ""


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("install", "python", "upgrade"),
    [
        (["pipx", "install"], "pipx/venvs/ccapi-cli/bin/python", "pipx upgrade ccapi-cli"),
        (["uv", "tool", "install"], "uv/ccapi-cli/bin/python", "uv tool upgrade ccapi-cli"),
    ],
    ids=["pipx", "uv tool"],
)
def test_installed_from_the_wheel(
    install: list[str], python: str, upgrade: str, packages: tuple[Path, Path], tmp_path: Path
) -> None:
    """With its dependencies, in a place of its own: the command is there and works, and knows how it is upgraded."""
    environ = person(tmp_path)

    def done(*args: str, timeout: float = DEADLINE) -> str:
        found = subprocess.run(
            args, cwd=tmp_path, env=environ, capture_output=True, encoding="utf-8", timeout=timeout, check=False
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    done(*install, f"--python={sys.executable}", str(packages[1]), timeout=300)
    ccapi = str(tmp_path / "bin" / "ccapi")
    assert done(ccapi, "--version") == f"ccapi {__version__}\n"
    assert "\nCommands:\n" in done(ccapi, "--help")
    assert done(ccapi, "config", "get", "gateway.port") == "8000\n"
    assert "gateway" in done(ccapi, "__complete", "=gat")
    code = "from ccapi.commands import updates; print(updates.command())"
    assert done(str(tmp_path / python), "-c", code) == f"{upgrade}\n"

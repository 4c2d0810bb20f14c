"""The look for a newer ccapi: real installers, a package index on this machine, and when it is told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ccapi import __version__
from ccapi.commands import updates
from ccapi.paths import Home
from tests.cli.support import Cli, built, clean_environ, installed, on_terminal
from tests.gateway.harness import await_that

LATEST = "98.7.6"
WHEEL = f"ccapi_cli-{LATEST}-py3-none-any.whl"
METADATA = f"Metadata-Version: 2.1\nName: ccapi-cli\nVersion: {LATEST}\nRequires-Python: >=3.11\n"


class Index:
    """A package index with one newer release and a pre-release of the next; counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                known = {
                    "/simple/ccapi-cli/": f'<a href="/{WHEEL}" data-core-metadata="true">{WHEEL}</a>'
                    '<a href="/ccapi_cli-99.0rc1-py3-none-any.whl">ccapi_cli-99.0rc1-py3-none-any.whl</a>',
                    f"/{WHEEL}.metadata": METADATA,
                }
                body = known.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not to the terminal of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    thread = Thread(target=index.server.serve_forever, daemon=True)
    thread.start()
    yield index
    index.server.shutdown()
    index.server.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "ccapi"))


def environ(directory: Path, url: str) -> dict[str, str]:
    """For an installer that knows this index, and whose cache is empty."""
    tools = str(Path(sys.executable).parent)  # where the dev extra puts uv
    return {
        **clean_environ(directory),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PIP_INDEX_URL": url,
        "PIP_CONFIG_FILE": os.devnull,
        "UV_DEFAULT_INDEX": url,
        "UV_CACHE_DIR": str(directory / "uv"),
    }


def kept(home: Home, **values: object) -> Path:
    """What a look has found."""
    assert home.directory
    file = Path(home.directory) / "cache" / "update.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))
    return file


# --- the look


@pytest.mark.parametrize("by", ["pip", "uv"])
def test_the_installer_is_asked(by: str, index: Index, tmp_path: Path) -> None:
    """The real one, with the person's own index; a pre-release is none."""
    assert updates.latest_of(by, environ(tmp_path, index.url)) == LATEST
    assert "/simple/ccapi-cli/" in index.asked


@pytest.mark.parametrize("by", ["pip", "uv"])
def test_an_index_that_does_not_have_it(by: str, index: Index, tmp_path: Path) -> None:
    """Nothing is found, and nothing is raised: no such package, no such index, no such installer."""
    assert updates.latest_of(by, environ(tmp_path, f"{index.url}/other")) is None
    assert updates.latest_of(by, environ(tmp_path, "http://127.0.0.1:1/simple")) is None
    assert updates.latest_of("conda", environ(tmp_path, index.url)) is None
    assert updates.latest_of(None, environ(tmp_path, index.url)) is None


def test_uv_is_not_there(index: Index, tmp_path: Path) -> None:
    """As if nothing were newer."""
    assert updates.latest_of("uv", {**environ(tmp_path, index.url), "PATH": str(tmp_path)}) is None


# --- what comes of it


@pytest.mark.parametrize(
    ("latest", "told"),
    [
        (LATEST, True),
        ("99", True),
        (__version__, False),
        ("0.0.9", False),
        ("99.0rc1", False),
        ("99.0.dev1", False),
        ("", False),
        (None, False),
        (7, False),
        ("\x1b[31m99", False),
    ],
)
def test_what_is_newer(latest: object, told: bool, home: Home) -> None:
    """A release with a higher number; whatever else the file holds is nothing."""
    kept(home, checked=1, latest=latest)
    assert (updates.newer(home) is not None) is told


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", '{"latest": {}}'])
def test_a_file_that_makes_no_sense(text: str, home: Home) -> None:
    """Is as none."""
    kept(home).write_text(text, "latin-1")
    assert updates.newer(home) is None


def test_how_it_is_upgraded(tmp_path: Path) -> None:
    """As it was installed."""
    pip, pipx, uv = (tmp_path / name for name in ("pip", "pipx", "uv"))
    for directory in (pip, pipx, uv):
        directory.mkdir()
    (pipx / "pipx_metadata.json").touch()
    (uv / "uv-receipt.toml").touch()
    assert updates.command(pipx) == "pipx upgrade ccapi-cli"
    assert updates.command(uv) == "uv tool upgrade ccapi-cli"
    assert updates.command(pip) == f"{sys.executable} -m pip install --upgrade ccapi-cli"


# --- when it is told


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `ccapi` is, installed from its wheel by pip."""
    wheel = built(tmp_path_factory.mktemp("dist"))[1]
    return installed(wheel, tmp_path_factory.mktemp("installed") / "venv")


class Person:
    """At a terminal, with an installed `ccapi`."""

    def __init__(self, programs: Path, directory: Path, index: Index) -> None:
        self.directory = directory
        self.environ = environ(directory / "home", index.url)
        del self.environ["PYTHONPATH"], self.environ["CCAPI_NO_UPDATE_CHECK"]
        self._program = str(programs / "ccapi")
        self.file = directory / "home" / "ccapi" / "cache" / "update.json"

    def types(self, *args: str, **more: str) -> str:
        """What the terminal then shows."""
        with on_terminal([self._program, *args], {**self.environ, **more}, self.directory, columns=200) as terminal:
            return terminal.read_all()

    def found(self) -> object:
        """What the look in the background has found so far."""
        return json.loads(self.file.read_text()).get("latest") if self.file.is_file() else None


@pytest.fixture
def person(programs: Path, tmp_path: Path, index: Index) -> Person:
    return Person(programs, tmp_path, index)


def test_it_is_told_once_it_is_known(person: Person, index: Index) -> None:
    """The first command looks, without waiting; the next one tells, and does not look again within a day."""
    assert LATEST not in person.types("key", "list")
    await_that(lambda: person.found() == LATEST, "the look in the background")
    looked = len(index.asked)
    told = person.types("key", "list")
    assert f"ccapi {LATEST} is there. Upgrade: " in told
    assert told.rstrip().endswith("-m pip install --upgrade ccapi-cli")
    assert len(index.asked) == looked


def test_after_a_day_it_looks_again(person: Person, index: Index) -> None:
    """And tells what it knew, meanwhile."""
    home = Home(str(person.directory / "home" / "ccapi"))
    kept(home, checked=time.time() - updates.INTERVAL - 1, latest="97.0")
    assert "ccapi 97.0 is there" in person.types("key", "list")
    await_that(lambda: person.found() == LATEST, "the look in the background")


@pytest.mark.parametrize(
    ("args", "more"),
    [
        (["key", "list"], {"CCAPI_NO_UPDATE_CHECK": "1"}),
        (["key", "list"], {"CCAPI_UPDATES_CHECK": "false"}),
        (["key", "list"], {"CI": "true"}),
        (["-q", "key", "list"], {}),
        (["key", "list", "--json"], {}),
        (["key", "list", "--no-input"], {}),
        (["key", "revoke", "nobody"], {}),
        (["completion", "bash"], {}),
        (["--version"], {}),
        (["--help"], {}),
    ],
    ids=" ".join,
)
def test_when_it_is_not_told(args: list[str], more: Mapping[str, str], person: Person, index: Index) -> None:
    """Where it was turned off, where nobody reads it, where something else matters more. Nobody is asked then."""
    kept(Home(str(person.directory / "home" / "ccapi")), checked=1, latest=LATEST)
    assert LATEST not in person.types(*args, **more)
    assert json.loads(person.file.read_text())["checked"] == 1
    assert index.asked == []


def test_it_is_not_told_in_a_pipe(programs: Path, index: Index, tmp_path: Path) -> None:
    """A script sees what it has always seen."""
    cli = Cli(tmp_path)
    kept(Home(str(tmp_path / "home" / "ccapi")), checked=1, latest=LATEST)
    done = cli.run("key", "list", environ={"CCAPI_NO_UPDATE_CHECK": ""})
    assert LATEST not in done.stdout + done.stderr


def test_a_cache_that_cannot_be_written(person: Person, index: Index) -> None:
    """Then nobody is asked: it would be with each command."""
    person.file.parent.parent.mkdir(parents=True)
    person.file.parent.touch()
    shown = person.types("key", "list")
    assert "Make one: ccapi key create" in shown
    assert "rror" not in shown
    assert index.asked == []

"""The settings: which value wins, where it came from, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccapi import settings
from ccapi.errors import SettingInvalid
from ccapi.settings import TABLE, load

KEYS = [setting.key for setting in TABLE]
# For each setting: two good values as TOML writes them, and the same two as the environment and the program see them.
GOOD: dict[str, tuple[str, str, Any]] = {
    "gateway.port": ("8001", "8001", 8001),
    "gateway.timeout": ("12.5", "12.5", 12.5),
    "models.map": (
        '{"gpt-4o" = "sonnet", "o3" = "opus"}',
        "gpt-4o=sonnet, o3=opus",
        {"gpt-4o": "sonnet", "o3": "opus"},
    ),
    "gateway.background_grace": ("2.5", "2.5", 2.5),
    "gateway.max_runs": ("3", "3", 3),
    "gateway.max_queue": ("0", "0", 0),
    "models.fallback": ("false", "off", False),
    "models.small": ('"sonnet"', "sonnet", "sonnet"),
    "gateway.host": ('"0.0.0.0"', "0.0.0.0", "0.0.0.0"),
    "gateway.shutdown_grace": ("0", "0", 0.0),
    "gateway.heartbeat": ("3", "3", 3.0),
    "gateway.max_body": ("1000", "1000", 1000),
    "gateway.max_retries": ("0", "0", 0),
    "gateway.permission_mode": ('"dontask"', "dontAsk", "dontAsk"),
    "gateway.default_workspace": ('"."', ".", "."),
    "api.require_key": ("true", "on", True),
    "pool.size": ("0", "0", 0),
    "pool.sessions": ("1", "1", 1),
    "pool.session_idle": ("2.5", "2.5", 2.5),
    "pool.max_age": ("60", "60", 60.0),
    "pool.memory": ("500", "500", 500),
    "sessions.keep_days": ("7", "7", 7),
    "log.level": ('"debug"', "DEBUG", "DEBUG"),
    "log.format": ('"json"', "json", "json"),
    "stack.workspace": ('"/srv/work"', "/srv/work", Path("/srv/work")),
    "stack.ca_file": ('"/etc/ca.pem"', "/etc/ca.pem", Path("/etc/ca.pem")),
    "stack.base_image": ('"debian:bookworm-slim"', "debian:bookworm-slim", "debian:bookworm-slim"),
    "oauth.port": ("8889", "8889", 8889),
    "oauth.callback_port": ("3118", "3118", 3118),
    "oauth.open_browser": ('"never"', "never", "never"),
}
BAD_TOML = {
    "gateway.port": ["0", "65536", "-1", '"eighty"', "true", "8000.5", "[8000]"],
    "gateway.timeout": ["0", "-1", "true", '"soon"', "inf", "nan", "[]"],
    "gateway.background_grace": ["0", "true"],
    "gateway.max_runs": ["0", "-1", "1.5", '"some"'],
    "gateway.max_queue": ["-1", "true", "[]"],
    "models.map": [
        '"gpt-4o"',
        "5",
        '{"gpt-4o" = 5}',
        '{"gpt-4o" = " "}',
        '{" " = "sonnet"}',
        "[]",
        '{"a,b" = "sonnet"}',
        '{"a=b" = "sonnet"}',
        '{"a" = "b,c=d"}',
    ],
    "models.fallback": ['"maybe"', "2", "[]", '""'],
    "stack.workspace": ['""', "5", "[]"],
    "stack.ca_file": ['""', "true"],
    "stack.base_image": ['""', '" "', "5", '"a\\nb"'],
    "oauth.port": ["0", '"x"', "false"],
    "oauth.callback_port": ["0", "1023", "65536", '"x"', "true"],
    "oauth.open_browser": ['"always"', "true", "5"],
    "models.small": ['""', "5"],
    "gateway.host": ['"example.org"', '""', "5", '"127.1"'],
    "gateway.shutdown_grace": ["-1", "false", '"x"'],
    "gateway.heartbeat": ["0", "31", "true"],
    "gateway.max_body": ["0", '"1e6"'],
    "gateway.max_retries": ["-1", "true"],
    "gateway.permission_mode": ['"yolo"', "true", "5"],
    "gateway.default_workspace": ['"a/b"', '".."', '""', "5", '"-x"'],
    "api.require_key": ['"perhaps"', "2"],
    "pool.size": ["-1", "true"],
    "pool.sessions": ["-1", '"x"'],
    "pool.session_idle": ["0", "nan"],
    "pool.max_age": ["0", '"x"'],
    "pool.memory": ["0", "1.5"],
    "sessions.keep_days": ["0", "true"],
    "log.level": ['"loud"', "5"],
    "log.format": ['"xml"', "true"],
}
BAD_ENVIRONMENT = {
    "gateway.port": ["0", "65536", "eighty", "8000.5"],
    "gateway.timeout": ["0", "-1", "soon", "inf", "nan"],
    "models.map": ["gpt-4o", "gpt-4o=", "=sonnet"],
    "models.fallback": ["maybe", "2"],
    "oauth.port": ["0", "x"],
    "oauth.callback_port": ["1023", "x"],
}


def cases(bad: dict[str, list[str]]) -> list[Any]:
    return [pytest.param(key, value, id=f"{key} {value}") for key, values in bad.items() for value in values]


def write(file: Path, key: str, value: str) -> Path:
    """A settings file that holds one setting."""
    table, _, name = key.rpartition(".")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[{table}]\n{name} = {value}\n", "utf-8")
    return file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home of ccapi"


def test_the_tables_of_these_tests_are_complete() -> None:
    """A new setting needs its good and its bad values here."""
    assert set(GOOD) == set(BAD_TOML) == set(KEYS)


# --- which value wins


@pytest.mark.parametrize("key", KEYS)
def test_defaults(key: str, tmp_path: Path) -> None:
    """Without files and variables every setting has its default, and says so."""
    resolved = load(environ={"CCAPI_HOME": str(tmp_path)}, directory=tmp_path).resolved[key]
    default = next(setting.default for setting in TABLE if setting.key == key)
    assert (resolved.value, resolved.origin) == (default, "default")


@pytest.mark.parametrize("key", KEYS)
def test_precedence(key: str, project: Path, home: Path) -> None:
    """Flag over environment over project file over user file: each layer taken away uncovers the next."""
    toml, text, value = GOOD[key]
    name = next(setting.env for setting in TABLE if setting.key == key)
    user_file = write(home / "config" / "config.toml", key, toml)
    environ = {"CCAPI_HOME": str(home)}

    def origin(flags: dict[str, Any] | None = None) -> tuple[Any, str]:
        resolved = load(flags, environ=environ, directory=project).resolved[key]
        return resolved.value, resolved.origin

    assert origin() == (value, str(user_file))
    project_file = write(project / "ccapi.toml", key, toml)
    assert origin() == (value, str(project_file))
    environ[name] = text
    assert origin() == (value, "environment")
    assert origin({key: text}) == (value, "flag")
    assert origin({key: None}) == (value, "environment"), "None is a flag that was not given"


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_variable_is_none(key: str, tmp_path: Path) -> None:
    """`CCAPI_…= ccapi …` unsets for one command, as with most programs."""
    name = next(setting.env for setting in TABLE if setting.key == key)
    assert load(environ={"CCAPI_HOME": str(tmp_path), name: ""}, directory=tmp_path).resolved[key].origin == "default"


def test_a_wrong_value_that_another_one_covers_does_not_matter(project: Path, home: Path) -> None:
    """What is not used is not judged: a flag helps past a broken variable."""
    write(project / "ccapi.toml", "gateway.port", '"eighty"')
    environ = {"CCAPI_HOME": str(home), "CCAPI_GATEWAY_PORT": "eighty"}
    assert load({"gateway.port": 8001}, environ=environ, directory=project).port == 8001


def test_both_files_count(project: Path, home: Path) -> None:
    """The project file does not hide the user file: each setting is looked up by itself."""
    write(project / "ccapi.toml", "gateway.port", "8001")
    write(home / "config" / "config.toml", "oauth.port", "8889")
    found = load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert (found.port, found.oauth_port) == (8001, 8889)


def test_the_names_of_variables() -> None:
    """One rule makes them; these are what people have in their shell profiles."""
    assert {setting.env for setting in TABLE} == {
        "CCAPI_GATEWAY_PORT",
        "CCAPI_GATEWAY_TIMEOUT",
        "CCAPI_GATEWAY_BACKGROUND_GRACE",
        "CCAPI_GATEWAY_MAX_RUNS",
        "CCAPI_GATEWAY_MAX_QUEUE",
        "CCAPI_MODELS_MAP",
        "CCAPI_MODELS_FALLBACK",
        "CCAPI_MODELS_SMALL",
        "CCAPI_GATEWAY_HOST",
        "CCAPI_GATEWAY_SHUTDOWN_GRACE",
        "CCAPI_GATEWAY_HEARTBEAT",
        "CCAPI_GATEWAY_MAX_BODY",
        "CCAPI_GATEWAY_MAX_RETRIES",
        "CCAPI_GATEWAY_PERMISSION_MODE",
        "CCAPI_GATEWAY_DEFAULT_WORKSPACE",
        "CCAPI_API_REQUIRE_KEY",
        "CCAPI_POOL_SIZE",
        "CCAPI_POOL_SESSIONS",
        "CCAPI_POOL_SESSION_IDLE",
        "CCAPI_POOL_MAX_AGE",
        "CCAPI_POOL_MEMORY",
        "CCAPI_SESSIONS_KEEP_DAYS",
        "CCAPI_LOG_LEVEL",
        "CCAPI_LOG_FORMAT",
        "CCAPI_STACK_WORKSPACE",
        "CCAPI_STACK_CA_FILE",
        "CCAPI_STACK_BASE_IMAGE",
        "CCAPI_OAUTH_PORT",
        "CCAPI_OAUTH_CALLBACK_PORT",
        "CCAPI_OAUTH_OPEN_BROWSER",
    }


# --- wrong values


@pytest.mark.parametrize(("key", "value"), cases(BAD_TOML))
def test_a_wrong_value_in_a_file(key: str, value: str, project: Path, home: Path) -> None:
    """The message names the setting, the file and what was expected."""
    file = write(project / "ccapi.toml", key, value)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    expected = next(setting.expected for setting in TABLE if setting.key == key)
    assert raised.value.message.startswith(f"{key} ({file}): expected {expected}, not ")


@pytest.mark.parametrize(("key", "value"), cases(BAD_ENVIRONMENT))
def test_a_wrong_value_in_the_environment(key: str, value: str, tmp_path: Path) -> None:
    """The message names the variable, what was expected and what it was."""
    setting = next(setting for setting in TABLE if setting.key == key)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(tmp_path), setting.env: value}, directory=tmp_path)
    assert raised.value.message == f"{setting.env}: expected {setting.expected}, not {value!r}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[gateway]\nprot = 8001\n", "Did you mean gateway.port?"),
        ("[stack]\nworkdir = '/x'\n", None),
        ("xyzzy = 1\n", f"Known: {', '.join(sorted(KEYS))}."),
        ("[models.mapp]\nx = 'y'\n", None),
    ],
)
def test_an_unknown_key(text: str, hint: str | None, project: Path, home: Path) -> None:
    """A mistyped key is an error, not a setting that silently does nothing; the nearest one is suggested."""
    project.mkdir()
    file = project / "ccapi.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert str(file) in raised.value.message
    assert raised.value.hint
    assert hint is None or raised.value.hint == hint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[gateway\nport = 1\n", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"port = 1\nport = 2\n", "not valid TOML"),
    ],
    ids=["unclosed", "no UTF-8", "twice"],
)
def test_a_file_that_is_no_toml(data: bytes, said: str, project: Path, home: Path) -> None:
    """The file is named, and what its parser says."""
    project.mkdir()
    file = project / "ccapi.toml"
    file.write_bytes(data)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert raised.value.message.startswith(f"{file}: {said}: ")


# --- reading


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker is told absolute paths; `~` is the home directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert load({"stack.workspace": "work"}).workspace == tmp_path / "work"
    assert load({"stack.ca_file": "~/ca.pem"}).ca_file == tmp_path / "me" / "ca.pem"


def test_reading_writes_nothing(project: Path, home: Path) -> None:
    """Neither file nor directory is made by looking settings up."""
    project.mkdir()
    load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert list(project.iterdir()) == []
    assert not home.exists()


def test_the_user_file_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CCAPI_HOME it is where the platform keeps settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    file = write(tmp_path / "xdg" / "ccapi" / "config.toml", "gateway.port", "8001")
    assert load(environ={}, directory=tmp_path).resolved["gateway.port"] == settings.Resolved(8001, str(file))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_where_the_gateway_answers(host: str, url: str, tmp_path: Path) -> None:
    """At the address it is published on; on this machine if that is every address."""
    assert load({"gateway.host": host}, environ={}, directory=tmp_path).base_url == url


# --- what is handed on


@pytest.mark.parametrize("setting", [setting for setting in TABLE if setting.gateway], ids=lambda one: one.key)
def test_what_the_gateway_is_told(setting: settings.Setting, tmp_path: Path) -> None:
    """Each value survives the way through the environment; what nobody set is not said."""
    value = GOOD[setting.key][2]
    told = load({setting.key: value}, environ={"CCAPI_HOME": str(tmp_path)}, directory=tmp_path).gateway_environment()
    assert list(told) == [setting.env]
    assert load(environ=told, directory=tmp_path).value(setting.key) == value


def test_docker_sees_the_engine_and_nothing_else() -> None:
    """Which engine and how to reach it; no `COMPOSE_*`, no credentials, no settings of ours."""
    passed = {
        "PATH": "/bin",
        "HOME": "/me",
        "DOCKER_HOST": "tcp://h:1",
        "DOCKER_CONTEXT": "c",
        "BUILDKIT_PROGRESS": "plain",
    }
    dropped = {
        "COMPOSE_FILE": "x",
        "COMPOSE_PROJECT_NAME": "x",
        "ANTHROPIC_API_KEY": "secret",
        "CCAPI_GATEWAY_PORT": "1",
    }
    assert settings.docker_environment(passed | dropped) == passed


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        (
            {"ANTHROPIC_BASE_URL": "https://a.example", "ANTHROPIC_API_KEY": "k"},
            {"ANTHROPIC_BASE_URL": "https://a.example"},
        ),
        (
            {"https_proxy": "http://p:1"},
            {
                "HTTPS_PROXY": "http://p:1",
                "https_proxy": "http://p:1",
                "NO_PROXY": "localhost,127.0.0.1,::1",
                "no_proxy": "localhost,127.0.0.1,::1",
            },
        ),
        (
            {"HTTP_PROXY": "http://p:1", "http_proxy": "http://other:1", "NO_PROXY": ".corp"},
            {
                "HTTP_PROXY": "http://p:1",
                "http_proxy": "http://p:1",
                "NO_PROXY": ".corp,localhost,127.0.0.1,::1",
                "no_proxy": ".corp,localhost,127.0.0.1,::1",
            },
        ),
    ],
    ids=["nothing", "base URL", "lower case", "upper case wins"],
)
def test_how_the_container_reaches_the_network(environ: dict[str, str], expected: dict[str, str]) -> None:
    """Proxies in both spellings, never for the container's own loopback; a base URL, but no credential."""
    assert settings.network_environment(environ) == expected

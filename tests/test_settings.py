"""The settings: which value wins, where it came from, and what is said about a wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ccapi import settings
from ccapi.errors import SettingInvalid, StackFailed
from ccapi.paths import Home
from ccapi.settings import TABLE, check, find_home, load

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
    "stack.claude_version": ('"0.2.186"', "0.2.186", "0.2.186"),
    "oauth.port": ("8889", "8889", 8889),
    "oauth.callback_port": ("3118", "3118", 3118),
    "oauth.open_browser": ('"never"', "never", "never"),
    "stack.project": ('"web"', "web", "web"),
    "updates.check": ("false", "off", False),
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
    "stack.workspace": ['""', "5", "[]", '"a\\u0000b"', '"~nobody-at-all/x"'],
    "stack.ca_file": ['""', "true"],
    "stack.base_image": ['""', '" "', "5", '"a\\nb"'],
    "stack.claude_version": ['""', "1", '"latest"', '"0.2 "', '">=0.2"'],
    "oauth.port": ["0", '"x"', "false"],
    "oauth.callback_port": ["0", "1023", "65536", '"x"', "true"],
    "oauth.open_browser": ['"always"', "true", "5"],
    "models.small": ['""', "5"],
    "gateway.host": ['"example.org"', '""', "5", '"127.1"'],
    "gateway.shutdown_grace": ["-1", "false", '"x"', "[]", "nan"],
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
    "stack.project": ['"Web"', '""', "5", '"-web"', '"a b"', f'"{"a" * 33}"'],
    "updates.check": ['"weekly"', "2"],
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


def content(file: Path, text: str) -> Path:
    """A settings file with that text."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
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
        "CCAPI_STACK_CLAUDE_VERSION",
        "CCAPI_OAUTH_PORT",
        "CCAPI_OAUTH_CALLBACK_PORT",
        "CCAPI_OAUTH_OPEN_BROWSER",
        "CCAPI_STACK_PROJECT",
        "CCAPI_UPDATES_CHECK",
    }


# --- wrong values


@pytest.mark.parametrize(("key", "value"), cases(BAD_TOML))
def test_a_wrong_value_in_a_file(key: str, value: str, project: Path, home: Path) -> None:
    """The message names the file, the line, the setting and what was expected."""
    file = write(project / "ccapi.toml", key, value)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    expected = next(setting.expected for setting in TABLE if setting.key == key)
    assert raised.value.message.startswith(f"{file}:2: {key}: expected {expected}, not ")


@pytest.mark.parametrize(("key", "value"), cases(BAD_ENVIRONMENT))
def test_a_wrong_value_in_the_environment(key: str, value: str, tmp_path: Path) -> None:
    """The message names the variable, what was expected and what it was."""
    setting = next(setting for setting in TABLE if setting.key == key)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(tmp_path), setting.env: value}, directory=tmp_path)
    assert raised.value.message == f"{setting.env}: expected {setting.expected}, not {value!r}"


NEAR_KEYS = {
    "[gateway]\nprot = 8001\n": (2, "gateway.prot", "gateway.port"),
    "gatway.port = 8001\n": (1, "gatway.port", "gateway.port"),
    "[gateway]\nmax-runs = 1\n": (2, "gateway.max-runs", "gateway.max_runs"),
    "CCAPI_GATEWAY_PORT = 1\n": (1, "CCAPI_GATEWAY_PORT", "gateway.port"),
    "'gateway.port' = 1\n": (1, '"gateway.port"', "gateway.port"),
    "[gateway]\n# level\nlevel = 'INFO'\n": (3, "gateway.level", "log.level"),
    "port = 1\n": (1, "port", "gateway.port or oauth.port"),
    "[api]\nport = 1\n": (2, "api.port", "gateway.port or oauth.port"),
    "[models.mapp]\nx = 'y'\n": (2, "models.mapp.x", "models.map"),
    "[[gateway]]\nport = 1\n": (1, "gateway", None),
    "[update]\ncheck = true\n": (2, "update.check", "updates.check"),
    "\n\nxyzzy = 1\n": (3, "xyzzy", None),
}


@pytest.mark.parametrize(("text", "line", "key", "near"), [(text, *one) for text, one in NEAR_KEYS.items()])
def test_an_unknown_key(text: str, line: int, key: str, near: str | None, project: Path, home: Path) -> None:
    """A mistyped key is an error, not a setting that silently does nothing; what is near it is suggested."""
    file = content(project / "ccapi.toml", text)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert raised.value.message == f"{file}:{line}: no setting is called {key!r}"
    assert raised.value.hint
    if near:
        assert raised.value.hint == f"Did you mean {near}?"
    elif key == "xyzzy":
        assert raised.value.hint == f"Known: {', '.join(sorted(KEYS))}."


NEAR_VALUES = [
    ("log.level", '"WARN"', "WARNING"),
    ("log.level", '"warnign"', "WARNING"),
    ("gateway.permission_mode", '"bypass"', "bypassPermissions"),
    ("oauth.open_browser", '"newer"', "never"),
    ("api.require_key", '"yes"', "true"),
    ("updates.check", '"Never"', "false"),
    ("gateway.timeout", '"5m"', "300"),
    ("gateway.timeout", '"1.5 hours"', "5400"),
    ("gateway.shutdown_grace", '"500ms"', "0.5"),
    ("gateway.heartbeat", '"10s"', "10"),
    ("gateway.heartbeat", '"2 minutes"', None),
    ("gateway.max_body", '"64MB"', "67108864"),
    ("pool.memory", '"2g"', "2048"),
    ("gateway.port", '"127.0.0.1:8001"', "8001"),
    ("gateway.port", '"localhost:99999"', None),
    ("stack.project", '"Web Shop"', "web-shop"),
    ("gateway.port", '"eighty"', None),
    ("log.level", "5", None),
    ("log.format", '"xml"', None),
]


@pytest.mark.parametrize(("key", "value", "near"), NEAR_VALUES)
def test_what_was_probably_meant(key: str, value: str, near: str | None, project: Path, home: Path) -> None:
    """The choice that looks like it, or the same in the setting's unit; and never something that would be refused."""
    content(project / "ccapi.toml", f"{key} = {value}\n")
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert raised.value.hint == (near and f"Did you mean {near}?")


def test_what_was_refused_is_shown_as_it_was_written(project: Path, home: Path) -> None:
    """On one line, and not without end."""
    for value, shown in {
        "true": "true",
        '"a\\u001bb"': "'a\\x1bb'",
        f'"{"x" * 500}"': "...",
        "1979-05-27": "1979-05-27",
    }.items():
        content(project / "ccapi.toml", f"gateway.port = {value}\n")
        with pytest.raises(SettingInvalid) as raised:
            load(environ={"CCAPI_HOME": str(home)}, directory=project)
        said = raised.value.message.partition(", not ")[2]
        assert said.endswith(shown)
        assert len(said) <= 80


def test_the_first_problem_tells_of_the_others(project: Path, home: Path) -> None:
    """And how all of them are shown."""
    content(project / "ccapi.toml", "gateway.port = 0\n")
    for line, hint in (("", None), ("x = 1\n", "one more problem"), ("x = 1\ny = 2\n", "2 more problems")):
        content(project / "ccapi.toml", f"gateway.port = 0\n{line}")
        with pytest.raises(SettingInvalid) as raised:
            load(environ={"CCAPI_HOME": str(home)}, directory=project)
        assert (hint is None) == (raised.value.hint is None)
        assert hint is None or f"{hint}: ccapi config validate" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[gateway\nport = 1\n", ":1:9: not valid TOML: Expected ']'"),
        (b"a = 1\n\xff\xfe", ":2:1: not valid TOML: not UTF-8: the byte 0xff"),
        (b"port = 1\nport = 2\n", ":2:9: not valid TOML: Cannot overwrite"),
    ],
    ids=["unclosed", "no UTF-8", "twice"],
)
def test_a_file_that_is_no_toml(data: bytes, said: str, project: Path, home: Path) -> None:
    """The file is named, with line and column, and what its parser says."""
    project.mkdir()
    file = project / "ccapi.toml"
    file.write_bytes(data)
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home)}, directory=project)
    assert raised.value.message.startswith(f"{file}{said}")


def test_a_file_of_windows(project: Path, home: Path) -> None:
    """With its byte order mark and its line ends."""
    project.mkdir()
    (project / "ccapi.toml").write_bytes(b"\xef\xbb\xbf[gateway]\r\nport = 8001\r\n")
    assert load(environ={"CCAPI_HOME": str(home)}, directory=project).port == 8001


def test_what_cannot_be_read_is_no_empty_file(project: Path, home: Path) -> None:
    """A directory in the file's place: its settings would be passed over in silence."""
    (project / "ccapi.toml").mkdir(parents=True)
    with pytest.raises(SettingInvalid, match=r"ccapi\.toml: cannot be read: Is a directory"):
        load(environ={"CCAPI_HOME": str(home)}, directory=project)


# --- all that is wrong


def test_everything_that_is_wrong(project: Path, home: Path) -> None:
    """In each file and in the environment, also what another place covers; in the order of the lines."""
    here = content(project / "ccapi.toml", "[gateway]\nport = 0\n[log]\nlevel = 'loud'\nlevle = 1\n")
    user = content(home / "config" / "config.toml", "gateway.port = 'x'\n")
    environ = {"CCAPI_HOME": str(home), "CCAPI_GATEWAY_PORT": "8001", "CCAPI_POOL_SIZE": "many"}
    found = check.everything(find_home(environ=environ, directory=project), environ=environ, directory=project)
    assert [(one.file, one.line, one.variable, one.key) for one in found] == [
        (here, 2, None, "gateway.port"),
        (here, 4, None, "log.level"),
        (here, 5, None, "log.levle"),
        (user, 1, None, "gateway.port"),
        (None, None, "CCAPI_POOL_SIZE", "pool.size"),
    ]
    assert check.places(Home(str(home)), project) == [here, user]


def test_nothing_is_wrong(project: Path, home: Path) -> None:
    """Not even with a file of a stack and one that the command line names."""
    content(project / "ccapi.toml", "gateway.port = 8001\n")
    content(home / "config" / "projects" / "web.toml", "oauth.port = 8001\n")
    other = content(home / "other.toml", "")
    meant = Home(str(home), "web", str(other))
    assert check.everything(meant, environ={}, directory=project) == []
    assert len(check.places(meant, project)) == 3


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CCAPI_GATEWAY_PROT", "CCAPI_GATEWAY_PORT"),
        ("CCAPI_PORT", "CCAPI_GATEWAY_PORT or CCAPI_OAUTH_PORT"),
        ("CCAPI_UPDATE_CHECKS", "CCAPI_UPDATES_CHECK"),
        ("CCAPI_GATEWAY_PORT", None),
        ("CCAPI_XYZZY", None),
        ("CCAPI_HTTPS_PORT", None),
        ("CCAPI_IN_CONTAINER", None),
        ("GATEWAY_PROT", None),
    ],
)
def test_variables_that_nothing_reads(name: str, near: str | None) -> None:
    """Those that look like a setting's; not those of others, and not those that a compose file reads."""
    found = [(one.variable, one.hint) for one in check.unread({name: "1"})]
    assert found == ([(name, f"Did you mean {near}?")] if near else [])


# --- which stack


def meant(project: Path, home: Path, name: str | None = None, **environ: str) -> str | None:
    return find_home(name, environ={"CCAPI_HOME": str(home), **environ}, directory=project).project


def test_which_stack_is_meant(project: Path, home: Path) -> None:
    """The command line, the environment, the directory's file, the user's; `default` is the one without a name."""
    assert meant(project, home) is None
    content(home / "config" / "config.toml", "stack.project = 'user'\n")
    assert meant(project, home) == "user"
    content(project / "ccapi.toml", "stack.project = 'here'\n")
    assert meant(project, home) == "here"
    assert meant(project, home, CCAPI_STACK_PROJECT="env") == "env"
    assert meant(project, home, "flag", CCAPI_STACK_PROJECT="env") == "flag"
    assert meant(project, home, "default", CCAPI_STACK_PROJECT="env") is None
    assert meant(project, home, CCAPI_STACK_PROJECT="default") is None


def test_a_name_that_no_stack_can_have(project: Path, home: Path) -> None:
    """The option is named, or the line of the file."""
    with pytest.raises(SettingInvalid, match=r"^--project: expected a name of .*, not 'Web Shop'$") as raised:
        meant(project, home, "Web Shop")
    assert raised.value.hint == "Did you mean web-shop?"
    file = content(project / "ccapi.toml", "\n[stack]\nproject = 5\n")
    with pytest.raises(SettingInvalid, match=re.escape(f"{file}:3: stack.project: expected a name")):
        meant(project, home)


def test_a_file_that_cannot_be_read_may_name_another_stack(project: Path, home: Path) -> None:
    """It is passed over, and whoever would destroy something can ask; a word before it settles the matter."""

    def passed_over(name: str | None = None, **environ: str) -> list[str]:
        found = settings.passed_over(name, environ={"CCAPI_HOME": str(home), **environ}, directory=project)
        return [error.message.partition(": ")[0] for error in found]

    assert passed_over() == []
    user = content(home / "config" / "config.toml", "stack.project = \n")
    assert passed_over() == [f"{user}:1:17"]
    here = content(project / "ccapi.toml", "stack.project = 'web'\n")
    assert (meant(project, home), passed_over()) == ("web", [])
    content(here, "[stack\nproject = 'web'\n")
    assert (meant(project, home), passed_over()) == (None, [f"{here}:1:7", f"{user}:1:17"])
    assert passed_over("shop") == passed_over(CCAPI_STACK_PROJECT="shop") == []
    content(here, "[[stack]]\nproject = 'web'\n")
    assert passed_over() == [f"{user}:1:17"], "what can be read, but is no setting, is load's to refuse"


def test_the_files_of_a_stack(project: Path, home: Path) -> None:
    """Its own file counts before the user's, and after the directory's."""
    environ = {"CCAPI_HOME": str(home), "CCAPI_STACK_PROJECT": "web"}

    def size() -> tuple[Any, str]:
        found = load(environ=environ, directory=project)
        assert found.home.project == "web"
        return found.resolved["pool.size"]

    user = content(home / "config" / "config.toml", "pool.size = 1\n")
    assert size() == (1, str(user))
    own = content(home / "config" / "projects" / "web.toml", "pool.size = 2\n")
    assert size() == (2, str(own))
    here = content(project / "ccapi.toml", "pool.size = 3\n")
    assert size() == (3, str(here))


@pytest.mark.parametrize("key", ["gateway.port", "oauth.port"])
def test_two_stacks_share_no_port(key: str, project: Path, home: Path) -> None:
    """The user's file and the default are the usual stack's; every other place can give one."""
    content(home / "config" / "config.toml", f"{key} = 9000\n")
    environ = {"CCAPI_HOME": str(home), "CCAPI_STACK_PROJECT": "web"}
    found = load(environ=environ, directory=project)
    assert found.resolved[key] == (None, "default")
    with pytest.raises(StackFailed, match="the stack web has no port yet") as raised:
        _ = found.port if key == "gateway.port" else found.oauth_port
    assert raised.value.hint == "Start it: ccapi up --project web"
    content(home / "config" / "projects" / "web.toml", f"{key} = 9001\n")
    assert load(environ=environ, directory=project).value(key) == 9001
    content(project / "ccapi.toml", f"{key} = 9002\n")
    assert load(environ=environ, directory=project).value(key) == 9002
    assert load(environ={"CCAPI_HOME": str(home)}, directory=home).value(key) == 9000


def test_the_file_of_a_stack_cannot_name_it(project: Path, home: Path) -> None:
    """Its own name does that: another one in it would be a riddle."""
    file = content(home / "config" / "projects" / "web.toml", "pool.size = 1\nstack.project = 'web'\n")
    with pytest.raises(SettingInvalid) as raised:
        load(environ={"CCAPI_HOME": str(home), "CCAPI_STACK_PROJECT": "web"}, directory=project)
    assert raised.value.message.startswith(f"{file}:2: stack.project cannot stand in the file of one stack")


def test_another_file_in_the_place_of_the_users(project: Path, home: Path) -> None:
    """`--config`: the user's own does not count, the directory's does; it must be there."""
    content(home / "config" / "config.toml", "pool.size = 1\npool.sessions = 1\n")
    content(project / "ccapi.toml", "log.level = 'DEBUG'\n")
    other = content(home / "other.toml", "pool.size = 5\n")
    environ = {"CCAPI_HOME": str(home)}
    found = load(
        home=find_home(None, str(other), environ=environ, directory=project), environ=environ, directory=project
    )
    assert found.resolved["pool.size"] == (5, str(other))
    assert found.value("pool.sessions") == 4
    assert found.value("log.level") == "DEBUG"
    missing = find_home(None, str(home / "none.toml"), environ=environ, directory=project)
    with pytest.raises(SettingInvalid, match=r"^--config .*none\.toml: there is no such file$"):
        load(home=missing, environ=environ, directory=project)


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

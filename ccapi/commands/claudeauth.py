"""How Claude Code itself is signed in, in the container: what counts, who pays, and every way to change it.

There are two kinds of sign-in. A login is the CLI's own: it keeps, and renews, what it needs on its volume. A token or
key lies in credentials.env beside it, which the gateway hands to each run; the container's environment can hold one,
too. Several may be there at once, and then one wins without a word: `State.method` is that one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ccapi.commands.inside import CLAUDE, Inside, Terminal, words
from ccapi.errors import ClaudeFailed, CodeIncomplete, LoginFailed, LoginTimeout, UsageError
from ccapi.redact import redact

Method = Literal["none", "subscription", "console", "token", "bearer", "api-key", "helper", "other"]
Variable = Literal["CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"]
Place = Literal["credentials.env", "environment"]

METHODS: Mapping[Variable, Method] = {
    "ANTHROPIC_AUTH_TOKEN": "bearer",
    "ANTHROPIC_API_KEY": "api-key",
    "CLAUDE_CODE_OAUTH_TOKEN": "token",
}
# Which wins over which, as the CLI has it: the smaller number. (tests/test_claudeauth.py asks the CLI.)
_RANK: Mapping[Method, int] = {"bearer": 0, "api-key": 1, "helper": 1, "token": 2, "other": 3}
_LOGIN_RANK = 3
BILLING: Mapping[Method, str] = {
    "none": "nobody pays: not signed in",
    "subscription": "subscription",
    "token": "subscription (by a long-lived token)",
    "console": "API usage billing (by an Anthropic Console account)",
    "api-key": "API usage billing (by an API key)",
    "helper": "API usage billing (by the key of an apiKeyHelper)",
    "bearer": "whoever issued ANTHROPIC_AUTH_TOKEN",
    "other": "another provider",
}
SCRIPTED = "nobody pays: the model is scripted"  # whoever is signed in
_PREFIX: Mapping[Variable, str] = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat", "ANTHROPIC_API_KEY": "sk-ant-api"}
_URL_AFTER = 30.0  # seconds until the CLI has printed the URL
_EXCHANGE = 90.0  # seconds for it to make a login of the code
_PERSON = 900.0  # seconds that a person may take
# The container's own $BROWSER would announce another address of this login, whose answer nobody waits for.
NO_BROWSER = ("env", "--chdir=/", "BROWSER=true", "claude")
_MOST = 64 * 1024  # characters of its output that are looked at

# The variables' names only, and the kind of each value; then what the CLI says of its own logins.
_STATE = r"""
for name in ANTHROPIC_AUTH_TOKEN ANTHROPIC_API_KEY CLAUDE_CODE_OAUTH_TOKEN; do
  eval "value=\${$name:-}"
  [ -z "$value" ] || printf 'environment %s=%s\n' "$name" "$value"
done | sed -n 's/=\(sk-ant-[a-z]*[0-9]*-\)\{0,1\}.*/ \1/p'
file=$CLAUDE_CONFIG_DIR/credentials.env
[ ! -r "$file" ] || tr -d "\"'" <"$file" |
  sed -n 's/^ *\([A-Z_]*\) *= *\(sk-ant-[a-z]*[0-9]*-\)\{0,1\}.*/credentials.env \1 \2/p'
[ -z "${CCAPI_REHEARSAL:-}" ] || echo "rehearsal $CCAPI_REHEARSAL"
exec env -u ANTHROPIC_AUTH_TOKEN -u ANTHROPIC_API_KEY -u CLAUDE_CODE_OAUTH_TOKEN --chdir=/ claude auth status
"""
# The other lines stay; all of the file or nothing; for its owner alone. Without input the line goes.
_WRITE = r"""
set -eu
umask 077
file=$CLAUDE_CONFIG_DIR/credentials.env
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
[ ! -e "$file" ] || grep -v "^[[:space:]]*$1[[:space:]]*=" "$file" >"$new" || [ $? -eq 1 ]
[ -z "$(tail -c 1 "$new")" ] || echo >>"$new"
value=$(cat)
[ -z "$value" ] || printf '%s=%s\n' "$1" "$value" >>"$new"
mv "$new" "$file"
"""


@dataclass(frozen=True, slots=True)
class Credential:
    """A variable that holds one, and where. `kind` is the part of its value that is no secret."""

    name: Variable
    place: Place
    kind: str = ""

    @property
    def method(self) -> Method:
        return METHODS[self.name]


@dataclass(frozen=True, slots=True)
class State:
    """`method` is what runs are paid by; `login` is the CLI's own login, whether or not it is that."""

    method: Method
    login: Method = "none"
    account: str | None = None
    organization: str | None = None
    plan: str | None = None
    expires: datetime | None = None
    credentials: tuple[Credential, ...] = ()
    rehearsal: str | None = None  # the scenario that plays the model, so that none of this is used

    @property
    def signed_in(self) -> bool:
        return self.method != "none" and not self.expired

    @property
    def expired(self) -> bool:
        return self.method == self.login and self.expires is not None and self.expires < datetime.now(UTC)

    @property
    def billing(self) -> str:
        return BILLING[self.method]

    def over(self, method: Method) -> tuple[Credential, ...]:
        """The credentials that would win over a sign-in of this kind. (An apiKeyHelper is none: see `login`.)"""
        rank = _RANK.get(method, _LOGIN_RANK)
        return tuple(found for found in self.credentials if _RANK[found.method] < rank)


def state(container: Inside, *, timeout: float = 60) -> State:
    """How Claude Code is signed in now; `timeout` in seconds. Raises `ClaudeFailed`, `StackTimeout`."""
    ran = container.run("sh", "-c", _STATE, timeout=timeout)
    found, brace, rest = ran.stdout.partition("{")
    try:
        status = json.loads(brace + rest)
        login = _login(status)
    except (ValueError, KeyError, TypeError):
        raise ClaudeFailed(f"Claude Code does not say whether it is signed in: {words(ran)}") from None
    credentials = tuple(_credentials(found))
    methods = [login, *(credential.method for credential in credentials)]
    return State(
        method=min(methods, key=lambda method: _RANK.get(method, _LOGIN_RANK)),
        login=login,
        account=status.get("email"),
        organization=status.get("orgName"),
        plan=status.get("subscriptionType"),
        expires=_time(status.get("loginExpiresAt")),
        credentials=credentials,
        rehearsal=next((line.split(" ", 1)[1] for line in found.splitlines() if line.startswith("rehearsal ")), None),
    )


def _login(status: dict[str, Any]) -> Method:
    if not status["loggedIn"]:
        return "none"
    if status["authMethod"] == "api_key":
        return "console" if status.get("apiKeySource") == "/login managed key" else "api-key"
    known: dict[str, Method] = {"claude.ai": "subscription", "api_key_helper": "helper", "oauth_token": "token"}
    return known.get(status["authMethod"], "other")


def _credentials(text: str) -> Iterator[Credential]:
    """Of each variable the one that counts: the container's environment comes before the file."""
    seen = set()
    for line in text.splitlines():
        place, _, rest = line.partition(" ")
        name, _, kind = rest.partition(" ")
        if place in {"environment", "credentials.env"} and name in METHODS and name not in seen:
            seen.add(name)
            yield Credential(name, place, kind.strip())  # type: ignore[arg-type] # both were just compared


def _time(moment: object) -> datetime | None:
    """Milliseconds since 1970, or ISO 8601; None for anything else."""
    try:
        if isinstance(moment, int | float):
            return datetime.fromtimestamp(moment / 1000, UTC)
        found = datetime.fromisoformat(str(moment))
    except (ValueError, OverflowError, OSError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)


# --- a token or key


def check(variable: Variable, text: str) -> str:
    """A value for the variable. Raises `UsageError`, which does not repeat it."""
    value = text.strip()
    if not value or not value.isascii() or not value.isprintable() or set(" \"'") & set(value) or len(value) > 4096:
        raise UsageError("that is no token or key: one line of letters, digits and signs is expected")
    prefix = _PREFIX.get(variable)
    if prefix and value.startswith("sk-ant-") and not value.startswith(prefix):
        other = "ccapi auth claude --token" if value.startswith("sk-ant-oat") else "ccapi auth claude --api-key"
        known = value.startswith(tuple(_PREFIX.values()))
        raise UsageError(
            f"what begins with sk-ant- here begins with {prefix}", hint=f"For what you have: {other}" if known else None
        )
    return value


def keep(container: Inside, variable: Variable, value: str) -> None:
    """Keep a token or key on Claude's volume, for the gateway, which reads it at once. Raises `ClaudeFailed`."""
    _write(container, variable, value)


def forget(container: Inside, variable: Variable) -> None:
    """Take a token or key out of credentials.env. Raises `ClaudeFailed`."""
    _write(container, variable, "")


def _write(container: Inside, variable: Variable, value: str) -> None:
    ran = container.run("sh", "-c", _WRITE, "sh", variable, stdin=value.encode())
    if ran.code:
        raise ClaudeFailed(f"credentials.env in the container could not be written: {words(ran)}")
    container.signal_gateway("HUP")


def logout(container: Inside) -> None:
    """End the CLI's own login, and take everything out of credentials.env. Raises `ClaudeFailed`."""
    found = state(container)
    for credential in found.credentials:
        if credential.place == "credentials.env":
            _write(container, credential.name, "")
    ran = container.run(*CLAUDE, "auth", "logout")
    if ran.code:
        raise ClaudeFailed(f"Claude Code could not sign out: {words(ran)}")


# --- the CLI's own login

_LINK = re.compile(r"\x1b\]8;[^;\x07\x1b]*;(https://[!-~]+?)(?:\x07|\x1b\\)")
_PLAIN = re.compile(r"^(https://[!-~]+)\s*$", re.MULTILINE)
_SEQUENCE = re.compile(r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[@-Z\\^_])")
_FAILED = re.compile(r"Couldn't log in: *([^\r\n]*)")
_INCOMPLETE = "doesn't look like the full code"


class Login:
    """One run of `claude auth login`: a URL to visit, then the code that the page shows. Get it from `login`."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._printed = ""
        self._ended = False

    def url(self) -> str:
        """The URL to visit. Raises `LoginFailed`."""
        deadline = time.monotonic() + _URL_AFTER
        while not (found := self._link()):
            if not self._read(deadline):
                raise self._failure("it shows no address to sign in at")
        return found

    def submit(self, text: str) -> None:
        """Sign in with the code. Raises `CodeIncomplete` (ask again), `LoginFailed` and `LoginTimeout`."""
        code = text.strip()
        if not code or not code.isascii() or not code.isprintable() or " " in code or len(code) > 4096:
            raise CodeIncomplete("that is no code: copy all of what the page shows")
        self._printed = ""
        self._terminal.write(code.encode() + b"\r")
        deadline = time.monotonic() + _EXCHANGE
        while self._read(deadline):
            if _INCOMPLETE in self._printed:
                raise CodeIncomplete("that is not the whole code: copy all of it, with the # in the middle")
        if not self._ended:
            raise LoginTimeout(f"Claude Code did not sign in within {_EXCHANGE:g} seconds", hint=_AGAIN)
        if self._terminal.exit_code() != 0:
            raise self._failure("it did not say why")

    def _link(self) -> str | None:
        found = _LINK.search(self._printed) or _PLAIN.search(_SEQUENCE.sub("", self._printed))
        return found[1] if found else None

    def _read(self, deadline: float) -> bool:
        """Whether more was printed before the deadline, and before the end."""
        while (rest := deadline - time.monotonic()) > 0:
            chunk = self._terminal.read(min(rest, 1.0))
            if chunk == b"":
                self._ended = True
                return False
            if chunk:
                self._printed = (self._printed + chunk.decode("utf-8", "replace"))[-_MOST:]
                return True
        return False

    def _failure(self, otherwise: str) -> LoginFailed:
        said = _FAILED.search(_SEQUENCE.sub("", self._printed))
        return LoginFailed(f"Claude Code is not signed in: {redact(said[1]) if said else otherwise}", hint=_AGAIN)


_AGAIN = "Start again: ccapi auth claude"


@contextmanager
def login(container: Inside, *, console: bool = False) -> Iterator[Login]:
    """`claude auth login` within the block; after it nothing of it runs any more."""
    how = "--console" if console else "--claudeai"
    with container.terminal(*NO_BROWSER, "auth", "login", how, timeout=_PERSON) as terminal:
        yield Login(terminal)

"""Claude Code in the container, and how it is signed in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, warn
from ccapi.doctor.facts import Facts, once
from ccapi.redact import redact

if TYPE_CHECKING:
    from ccapi.commands.claudeauth import Credential, State

_PROGRAM_TIMEOUT = 15.0  # seconds; a start of Claude Code on a busy machine
_LIMIT = 25.0
_SOON = timedelta(days=7)
_TOKEN_LASTS = timedelta(days=365)  # what `claude setup-token` makes
_ILLEGAL_INSTRUCTION = 132  # 128 + SIGILL
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_SIGN_IN = "auth claude"

# What Claude Code reads at each start, and what of it is secret. Whether it can be written, stack.volumes says.
_CONFIG = r"""
import json, os
directory = os.environ["CLAUDE_CONFIG_DIR"]
found = {"broken": [], "open": {}}
for name in (".claude.json", ".credentials.json", "settings.json"):
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            text = file.read()
        if text.strip() and not isinstance(json.loads(text), dict):
            raise ValueError
    except (ValueError, RecursionError):
        found["broken"].append(name)
    except OSError:
        pass
for name in (".credentials.json", "credentials.env", ".claude.json"):
    try:
        mode = os.stat(os.path.join(directory, name)).st_mode & 0o777
    except OSError:
        continue
    if mode & 0o077:
        found["open"][name] = oct(mode)[2:]
print(json.dumps(found))
"""
_AGE = 'stat -c %Y "$CLAUDE_CONFIG_DIR/credentials.env"'


# --- the program


def binary(facts: Facts) -> Finding:
    ran = facts.run_inside("claude", "--version", timeout=_PROGRAM_TIMEOUT)
    said = " ".join(advice.quoted(ran.stdout, lines=1))
    if ran.code == 0:
        return ok(f"Claude Code {said.partition(' ')[0]} runs in the container")
    if ran.code == _ILLEGAL_INSTRUCTION:
        text = (
            "It needs a processor with AVX. In a virtual machine, have the processor of the host passed through "
            "(QEMU and Proxmox: CPU type `host`), then start the container again"
        )
        fix = Fix(text, advice.ccapi(facts, "restart"))
        return fail("this processor cannot run Claude Code: illegal instruction", fix=fix)
    what = {_NOT_FOUND: "is not in the container", _NOT_EXECUTABLE: "cannot be executed in the container"}.get(
        ran.code, f"does not start in the container: exit code {ran.code}"
    )
    fix = Fix("Have the container made anew from its image", advice.ccapi(facts, "up"))
    return fail(f"Claude Code {what}", "\n".join(advice.quoted(ran.stderr or ran.stdout)), fix)


# --- the sign-in


@once
def claude_state(facts: Facts) -> State:
    """How Claude Code is signed in; a start of the CLI."""
    from ccapi.commands import claudeauth
    from ccapi.stack.container import Container

    facts.running_container()
    with facts.engine() as engine:
        return claudeauth.state(Container(engine), timeout=_PROGRAM_TIMEOUT)


def _sign_in(facts: Facts, text: str = "Sign in") -> Fix:
    return Fix(text, advice.ccapi(facts, _SIGN_IN))


def sign_in(facts: Facts) -> Finding:
    state = claude_state(facts)
    if state.rehearsal:
        return info(f"the scripted model `{state.rehearsal}` answers; nobody need be signed in")
    if state.method == "none":
        return fail("Claude Code is not signed in", fix=_sign_in(facts))
    plan = f" ({state.plan})" if state.plan and state.method == "subscription" else ""
    signed_in = f"Claude Code is signed in: {state.billing}{plan}"
    if state.method == state.login and state.expires is not None:
        return _until(facts, signed_in, state.expires)
    if state.method == "token":
        return _token(facts, signed_in, state)
    return ok(signed_in)


def _until(facts: Facts, signed_in: str, expires: datetime) -> Finding:
    left, day = expires - datetime.now(UTC), f"{expires:%Y-%m-%d}"
    if left < timedelta():
        return fail(f"Claude Code's sign-in has expired, on {day}", fix=_sign_in(facts, "Sign in again"))
    if left < _SOON:
        return warn(f"Claude Code's sign-in expires soon, on {day}", fix=_sign_in(facts, "Sign in again"))
    return ok(f"{signed_in}, until {day}")


def _token(facts: Facts, signed_in: str, state: State) -> Finding:
    """The token does not say when it was made: at the latest when it was kept, which the file's time tells."""
    kept = _kept(facts) if any(found.place == "credentials.env" for found in state.credentials) else None
    if kept is None:
        return ok(signed_in)
    left = kept + _TOKEN_LASTS - datetime.now(UTC)
    if left < _SOON:
        expired = "has probably expired" if left < timedelta() else "expires soon"
        return warn(
            f"the long-lived token {expired}: it was kept on {kept:%Y-%m-%d}, and lasts a year",
            fix=_sign_in(facts, "Give a new one"),
        )
    return ok(f"{signed_in}, kept on {kept:%Y-%m-%d}; it lasts a year")


def _kept(facts: Facts) -> datetime | None:
    ran = facts.run_inside("sh", "-c", _AGE)
    return datetime.fromtimestamp(int(ran.stdout), UTC) if ran.code == 0 else None


# --- who pays


def billing(facts: Facts) -> Finding:
    """Several may be there at once: then one wins without a word."""
    from ccapi.commands.claudeauth import SCRIPTED

    state = claude_state(facts)
    if state.rehearsal:
        return info(SCRIPTED)
    losing = [f"{found.name} in {_where(found)}" for found in state.credentials if found.method != state.method]
    if state.login not in {"none", state.method}:
        losing.append("an apiKeyHelper" if state.login == "helper" else f"a sign-in ({_short(state.login)})")
    if not losing:
        return ok(f"who pays: {state.billing}", _host_key(facts))
    winner = next((f"{c.name} in {_where(c)}" for c in state.credentials if c.method == state.method), None)
    winner = winner or ("an apiKeyHelper" if state.method == "helper" else "the sign-in")
    summary = f"{winner} wins over {advice.listed(losing)}; who pays: {state.billing}"
    return warn(summary, _host_key(facts), _one_left(facts, state))


def _where(found: Credential) -> str:
    return "the container's environment" if found.place == "environment" else found.place


def _short(login: str) -> str:
    return "subscription" if login == "subscription" else "Anthropic Console" if login == "console" else login


def _host_key(facts: Facts) -> str:
    """For those who wonder: what this machine's environment holds is never passed on."""
    names = [name for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN") if facts.environ.get(name)]
    return f"{advice.listed(names)} of this machine's environment does not count in the container." if names else ""


def _one_left(facts: Facts, state: State) -> Fix:
    if any(found.place == "environment" and found.method == state.method for found in state.credentials):
        return Fix("Take it out of the compose file that the container was started with; then start it anew")
    if state.method == "helper":
        show = f"docker exec {facts.stack} sh -c 'cat $CLAUDE_CONFIG_DIR/settings.json'"
        return Fix("If that is not what you want, take apiKeyHelper out of Claude's settings.json", show)
    commands = [advice.ccapi(facts, "auth logout claude"), advice.ccapi(facts, _SIGN_IN)]
    return Fix("If that is not what you want, remove all of them, then sign in the one way", "\n".join(commands))


def endpoint(facts: Facts) -> Finding:
    environment = facts.running_container().environment
    if environment.get("CCAPI_REHEARSAL"):
        return info("questions go to the scripted model in the container")
    if url := environment.get("ANTHROPIC_BASE_URL"):
        return info(f"questions go to {redact(url)} (ANTHROPIC_BASE_URL), and not to Anthropic's API")
    return ok("questions go to Anthropic's API")


# --- the configuration


def config(facts: Facts) -> Finding:
    ran = facts.run_inside("python3", "-I", "-c", _CONFIG, timeout=_PROGRAM_TIMEOUT)
    try:
        found: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        return fail("Claude's configuration cannot be looked at", "\n".join(advice.quoted(ran.stderr)))
    if found["broken"]:
        names = advice.listed(found["broken"])
        commands = [
            f"docker exec {facts.stack} sh -c 'cd $CLAUDE_CONFIG_DIR && mv {n} {n}.bak'" for n in found["broken"]
        ]
        text = "Put it aside. What it held (a sign-in, MCP servers, settings) has to be given again"
        return fail(
            f"{names} in Claude's configuration is no JSON that it can read", fix=Fix(text, "\n".join(commands))
        )
    if found["open"]:
        names = advice.listed(found["open"])
        script = f'cd "$CLAUDE_CONFIG_DIR" && chmod go-rwx {" ".join(found["open"])}'
        fix = Fix("Let only their owner read them", f"docker exec {facts.stack} sh -c '{script}'", _run(facts, script))
        modes = "\n".join(f"{name}: mode {mode}" for name, mode in found["open"].items())
        return warn(f"{names} in Claude's configuration can be read by every user of the container", modes, fix)
    return ok("Claude's configuration can be read, by its owner only")


def _run(facts: Facts, script: str) -> Any:
    def apply() -> None:
        facts.run_inside("sh", "-c", script)

    return apply


_RUNS = ("stack.container",)

CHECKS: tuple[Check, ...] = (
    Check(
        "claude.binary",
        "Whether Claude Code runs in the container",
        binary,
        needs=_RUNS,
        limit=_LIMIT,
        trouble=(
            Trouble(
                "Claude Code ends with an illegal instruction, exit code 132.",
                "The processor lacks AVX: pass the host's one through.",
            ),
        ),
    ),
    Check(
        "claude.config",
        "Whether Claude's configuration can be read, and by its owner only",
        config,
        needs=("stack.volumes",),
        limit=_LIMIT,
        trouble=(
            Trouble("A file of Claude's configuration is damaged.", "Put it aside; Claude Code makes a new one."),
        ),
    ),
    Check(
        "claude.sign_in",
        "Whether Claude Code is signed in",
        sign_in,
        needs=("claude.binary",),
        limit=_LIMIT,
        trouble=(Trouble("Every answer is the error not_signed_in.", "Sign in: `ccapi auth claude`."),),
    ),
    Check(
        "claude.billing",
        "Who pays, and whether that is clear",
        billing,
        needs=("claude.sign_in",),
        limit=_LIMIT,
        trouble=(
            Trouble(
                "The API is billed, and not the subscription.",
                "An API key that is kept beside a login wins over it: `ccapi auth logout claude`, then sign in again.",
            ),
        ),
    ),
    Check("claude.endpoint", "Where questions go", endpoint, needs=_RUNS),
)

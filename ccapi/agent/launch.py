"""How `claude` is started: which binary, which arguments, which environment."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccapi.agent.options import Resume, RunOptions
from ccapi.errors import ClaudeNotFound

# What Claude Code itself is told from the gateway's environment: an allow-list, so that nothing else of the gateway's
# reaches the agent or its tools.
_CLAUDE_VARIABLES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CONFIG_DIR")
# Credentials that the CLI also takes from a file descriptor, by the variable that names it. That way they are in no
# environment that a tool, or a prompt that asks for `env`, could read.
_BY_DESCRIPTOR = {
    "ANTHROPIC_API_KEY": "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
}
_NETWORK_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("GIT_SSL_CAINFO", "PIP_CERT"),
)
_SYSTEM_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_FIXED = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",  # a sixth off the start-up time, and no title request per run
    "CLAUDE_CODE_SDK_READS_SESSION_STATE": "1",  # tells when work in the background is over, too
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",  # notes of one conversation that all others of a workspace would read
    "DISABLE_AUTOUPDATER": "1",  # the version is the image's
}
_ARGUMENTS = (
    "--print",
    "--verbose",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--include-partial-messages",
    "--forward-subagent-text",
    # Else a session keeps the system prompt it began with, and another one is ignored without a word.
    "--system-prompt-snapshot=off",
)


NO_THINKING = "none"  # an effort that the CLI has another word for


@dataclass(frozen=True, slots=True)
class Command:
    """One process to be started. `secrets`: see `Launch`."""

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """What every process of one agent has in common.

    `environment` is the child's, whole, but for `secrets`: each of these goes through a pipe of its own, whose
    descriptor the variable names.
    """

    binary: Path
    workspace: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    permission_mode: str = "default"

    @property
    def fixed_credential(self) -> bool:
        """Whether the credential is one of the environment, and no stored login."""
        return bool(self.secrets) or "ANTHROPIC_AUTH_TOKEN" in self.environment

    @property
    def config_dir(self) -> Path:
        """Where the CLI keeps its settings, logins and sessions."""
        return config_dir(self.environment)

    def directory(self, options: RunOptions) -> Path:
        """Where it works."""
        return options.workspace or self.workspace

    def command(self, options: RunOptions, resume: Resume | None = None, *, parked: bool = False) -> Command:
        """`--flag=value`, so that no value that came from a request can become a flag. `parked`: see `Worker.claim`."""
        flags = [
            _settings_flag(options),
            *_flag("model", options.model),
            *_flag("effort", options.effort if options.effort != NO_THINKING else None),
            *_flag("max-turns", options.max_turns),
            *_flag("max-budget-usd", options.max_budget_usd),
            *_flag("json-schema", options.json_schema),
            *_permission_flags(options, options.permission_mode or self.permission_mode),
            *([] if options.persist else ["--no-session-persistence"]),
            *(_resume_flags(resume) if resume else []),
            *(["--await-claim"] if parked else []),
        ]
        environment = {**self.environment, **_limits(options)}
        argv = [str(self.binary), *_ARGUMENTS, *flags]
        return Command(argv, self.directory(options), environment, self.secrets)


def _flag(name: str, value: object) -> list[str]:
    return [] if value is None else [f"--{name}={value}"]


def _settings_flag(options: RunOptions) -> str:
    """Which settings files count: never a workspace's, which could change base URL, hooks and key helpers.

    Not even the user's where a list of tools is finer than `--tools` can be: what they allow would be added to it.
    """
    finer = any(name.startswith("mcp__") or "(" in name for name in options.tools or ())
    return f"--setting-sources={'' if finer else 'user'}"


def _permission_flags(options: RunOptions, mode: str) -> list[str]:
    """A list of tools is all there is. It says which there are, and not that they run where others are asked for."""
    flags = []
    if options.tools is not None:
        builtin = [name.split("(")[0] for name in options.tools if not name.startswith("mcp__")]
        flags.append(f"--tools={','.join(dict.fromkeys(builtin))}")
        if len(builtin) == len(options.tools):
            flags.append("--strict-mcp-config")  # no server has a tool to offer
        if mode == "bypassPermissions":
            mode = "dontAsk"  # `--tools` holds no MCP tool back, and knows no rules such as `Bash(git *)`
            flags += [f"--allowedTools={','.join(options.tools)}"] if options.tools else []
        elif mode == "acceptEdits" and any("(" in name for name in options.tools):
            mode = "default"  # it would accept edits, and commands that edit, whatever the rules say
    if options.denied_tools:
        flags.append(f"--disallowedTools={','.join(options.denied_tools)}")
    return [f"--permission-mode={mode}", *flags]


def _resume_flags(resume: Resume) -> list[str]:
    flags = [f"--resume={resume.session_id}", *_flag("resume-session-at", resume.at)]
    return [*flags, "--fork-session"] if resume.fork else flags


def _limits(options: RunOptions) -> dict[str, str]:
    limits = {}
    if options.max_output_tokens is not None:
        limits["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(options.max_output_tokens)
    if options.effort == NO_THINKING:
        limits["CLAUDE_CODE_DISABLE_THINKING"] = "1"
    return limits


def config_dir(environment: Mapping[str, str]) -> Path:
    """Where a CLI with this environment keeps its settings, logins and sessions."""
    if configured := environment.get("CLAUDE_CONFIG_DIR"):
        return Path(configured)
    return Path(environment.get("HOME") or Path.home()) / ".claude"


def find_claude(explicit: str | None = None, path: str | None = None) -> Path:
    """The CLI: the one named explicitly, else `claude` on `path`, else the one in claude-agent-sdk's wheel.

    Raises `ClaudeNotFound`.
    """
    if explicit:
        if Path(explicit).is_file():
            return Path(explicit)
        raise ClaudeNotFound(f"There is no Claude Code CLI at {explicit}")
    if on_path := shutil.which("claude", path=path):
        return Path(on_path)
    spec = importlib.util.find_spec("claude_agent_sdk")  # found, not imported: that would cost a second
    for location in (spec.submodule_search_locations or []) if spec else []:
        for name in ("claude", "claude.exe"):
            if (bundled := Path(location) / "_bundled" / name).is_file():
                return bundled
    raise ClaudeNotFound("The Claude Code CLI is not installed", hint="Install it with: pip install 'ccapi-cli[local]'")


def child_environment(environ: Mapping[str, str], *, max_retries: int, sandboxed_root: bool = False) -> dict[str, str]:
    """The child's environment out of the gateway's. `max_retries` bounds the CLI's own retries of API requests.

    `sandboxed_root` lets the CLI bypass permissions as root, which it otherwise refuses.
    """
    allowed = (*_SYSTEM_VARIABLES, *_CLAUDE_VARIABLES, *_NETWORK_VARIABLES)
    chosen = {name: environ[name] for name in allowed if environ.get(name)}
    chosen |= _FIXED
    chosen["CLAUDE_CODE_MAX_RETRIES"] = str(max_retries)
    if sandboxed_root:
        chosen["IS_SANDBOX"] = "1"
    return chosen


def child_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials for `Launch.secrets`."""
    return {variable: environ[name] for name, variable in _BY_DESCRIPTOR.items() if environ.get(name)}

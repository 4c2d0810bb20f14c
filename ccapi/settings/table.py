"""All settings there are, each a row, and the variables that are no settings.

docs/settings.md is made from it, and the gateway, the compose file and `ccapi config` go by it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ccapi.settings import values
from ccapi.settings.values import Kind

PERMISSION_MODES = (
    "plan",
    "default",
    "dontAsk",
    "acceptEdits",
    "bypassPermissions",
)  # from the narrowest to the widest
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Takes = Literal["up", "proxy", "next"]


class Setting(NamedTuple):
    """One row of the table.

    `gateway`: the gateway is told of it, so a `ccapi gateway` without Docker takes a change over when it is started
    again. `takes`: what makes a change count where something runs already: `up` is `ccapi up`, which makes a new
    container of the same volumes and minds the OAuth proxy, `proxy` is `ccapi proxy restart` (or `ccapi up`), and
    `next` is the next command, whatever it is.
    """

    key: str
    default: Any
    kind: Kind
    help: str
    gateway: bool = False
    takes: Takes = "up"

    @property
    def env(self) -> str:
        """`gateway.port` is `CCAPI_GATEWAY_PORT` in the environment."""
        return "CCAPI_" + self.key.replace(".", "_").upper()

    @property
    def expected(self) -> str:
        """What its values are, as the end of the sentence "expected ..."."""
        return self.kind.expected

    def parse(self, value: Any) -> Any:
        """What TOML, the environment or a flag gave, as the program uses it. Raises `ValueError`."""
        return self.kind.parse(value)

    @property
    def written_default(self) -> str:
        """The default as the environment would hold it; empty if there is none."""
        return "" if self.default is None else values.environment(self.default)


class Variable(NamedTuple):
    """A variable of the environment that is no setting: it belongs to one process, or to the machine it runs on."""

    name: str
    reader: str
    help: str


TABLE: tuple[Setting, ...] = (
    Setting("gateway.port", 8000, values.PORT, "Port of the API."),
    Setting(
        "gateway.host",
        "127.0.0.1",
        values.ADDRESS,
        "Address of this machine on which the API is published. Any but loopback's needs API keys.",
        gateway=True,
    ),
    Setting(
        "gateway.timeout",
        300.0,
        values.SECONDS,
        "A run that shows no event for this long is ended. There is no limit on a run's total time.",
        gateway=True,
    ),
    Setting(
        "gateway.background_grace",
        120.0,
        values.SECONDS,
        "How long a finished answer waits, in silence, for commands it left running in the background.",
        gateway=True,
    ),
    Setting(
        "gateway.shutdown_grace",
        20.0,
        values.MOMENT,
        "How long runs may go on when the gateway is told to stop, before they end with an error.",
        gateway=True,
    ),
    Setting(
        "gateway.heartbeat",
        10.0,
        values.HEARTBEAT,
        "Time between signs of life in a stream while nothing happens.",
        gateway=True,
    ),
    Setting("gateway.max_body", 32 * 1024 * 1024, values.BYTES, "Size of a request in bytes.", gateway=True),
    Setting(
        "gateway.max_runs",
        None,
        values.COUNT,
        "Runs at once; others wait. Unset: as many as the memory takes, at 250 MB each.",
        gateway=True,
    ),
    Setting(
        "gateway.max_queue",
        64,
        values.WHOLE,
        "Requests that wait for a run to end; more are refused.",
        gateway=True,
    ),
    Setting(
        "gateway.max_retries",
        4,
        values.WHOLE,
        "How often Claude Code repeats a failed request to the model's API.",
        gateway=True,
    ),
    Setting(
        "gateway.permission_mode",
        None,
        values.one_of(*PERMISSION_MODES),
        "What the agent may do unasked. Unset: everything in the container, outside of it what `default` allows.",
        gateway=True,
    ),
    Setting(
        "gateway.default_workspace",
        None,
        values.WORKSPACE,
        "Directory below the mounted one for requests that name none; . is the mounted one itself. Unset: "
        "`default` on a Docker volume, else .",
        gateway=True,
    ),
    Setting(
        "api.require_key",
        False,
        values.SWITCH,
        "Every request needs an API key (ccapi key create), also on this machine.",
        gateway=True,
    ),
    Setting(
        "pool.size",
        2,
        values.WHOLE,
        "Claude Code processes that are started before anybody asks; 0: none.",
        gateway=True,
    ),
    Setting(
        "pool.sessions",
        4,
        values.WHOLE,
        "Processes that are kept for their conversation's next turn; 0: none.",
        gateway=True,
    ),
    Setting("pool.session_idle", 300.0, values.SECONDS, "How long such a process is kept.", gateway=True),
    Setting(
        "pool.max_age",
        600.0,
        values.SECONDS,
        "Age at which a process that nobody needed is replaced.",
        gateway=True,
    ),
    Setting(
        "pool.memory",
        None,
        values.MEGABYTES,
        "Memory in MB that all these processes may take while they wait. Unset: a fifth of what there is.",
        gateway=True,
    ),
    Setting(
        "sessions.keep_days",
        30,
        values.COUNT,
        "Days after which conversations and responses that nobody continued are forgotten.",
        gateway=True,
    ),
    Setting(
        "models.map",
        {},
        values.MODEL_MAP,
        "Other names that clients may ask for, such as gpt-4o = 'sonnet'.",
        gateway=True,
    ),
    Setting(
        "models.fallback",
        True,
        values.SWITCH,
        "Retry once with the family's current model when the API no longer serves the one asked for.",
        gateway=True,
    ),
    Setting(
        "models.small",
        "haiku",
        values.MODEL,
        "Model for the titles, tags and follow-up questions that Open WebUI asks for in the background.",
        gateway=True,
    ),
    Setting(
        "log.level", "INFO", values.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "What the gateway logs.", gateway=True
    ),
    Setting("log.format", "text", values.one_of("text", "json"), "How the gateway logs.", gateway=True),
    Setting(
        "stack.project",
        None,
        values.PROJECT,
        "Name of one of several stacks on this machine, each with its own container, volumes, ports, keys and "
        "OAuth proxy; `--project` on each command. `default` or unset: the stack that is called "
        "`claude-code-api`.",
        takes="next",
    ),
    Setting("stack.workspace", None, values.DIRECTORY, "Host directory the agent works in. Unset: a Docker volume."),
    Setting(
        "stack.ca_file",
        None,
        values.PEM,
        "Extra CA certificates, for the image's build and for the container at run time.",
    ),
    Setting("stack.base_image", "debian:trixie-slim", values.IMAGE, "Debian image that the build starts from."),
    Setting(
        "stack.claude_version",
        None,
        values.RELEASE,
        "Release of claude-agent-sdk whose Claude Code is in the image; `ccapi upgrade` sets it. Unset: the one that "
        "this version of ccapi was tested with.",
    ),
    Setting("oauth.port", 8888, values.PORT, "Port of the OAuth proxy on this machine's loopback address."),
    Setting(
        "oauth.callback_port",
        None,
        values.CALLBACK_PORT,
        "Port that MCP logins come back to, for servers that know only one. Unset: a free one for each login.",
    ),
    Setting(
        "oauth.open_browser",
        "auth",
        values.one_of("never", "auth", "ask"),
        "Who may open the browser of this machine: nobody, `ccapi auth`, or (after asking you) also a login that "
        "was started in the container.",
        takes="proxy",
    ),
    Setting("updates.check", True, values.SWITCH, "Look once a day whether a newer ccapi is there.", takes="next"),
)
BY_KEY = {setting.key: setting for setting in TABLE}
OWN_PORTS = ("gateway.port", "oauth.port")  # of a named stack: chosen by its first `up`

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "CCAPI_HOME",
        "every command",
        "One directory for all of ccapi's own files, in place of `~/.config`, `~/.local/state` and `~/.cache`.",
    ),
    Variable("CCAPI_API_KEY", "`ccapi ask`", "The API key that it sends."),
    Variable(
        "CCAPI_NO_UPDATE_CHECK",
        "every command",
        "Anything: nobody is asked for a newer ccapi, whatever the settings say.",
    ),
    Variable(
        "CCAPI_CLAUDE",
        "the gateway",
        "The `claude` to run, instead of the one on `PATH` or the one that comes with ccapi.",
    ),
    Variable("CCAPI_REHEARSAL", "the gateway", "A rehearsal scenario that plays the model, as `--rehearsal`."),
    Variable("CCAPI_DATA_DIR", "the gateway", "Where it keeps what it remembers. In the image: on Claude's volume."),
    Variable(
        "CCAPI_KEYS_DIR",
        "the gateway",
        "Where `keys.json` is, the hashes of the API keys, and `stack.sha256`, that of the stack's own secret. In "
        "the image: where the host's directory is mounted.",
    ),
    Variable(
        "CCAPI_BROWSER_SOCKET",
        "the gateway",
        "Set by the image: where its `$BROWSER` hands over the address of an MCP login that is started in the "
        "container.",
    ),
    Variable(
        "CCAPI_IN_CONTAINER",
        "the gateway",
        "Set by the image: Docker decides who reaches the port, and the container holds the agent.",
    ),
)

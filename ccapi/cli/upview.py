"""What `ccapi up` shows: a line of JSON for each change, what it would do, and how everything is in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ccapi import paths
from ccapi.cli import output
from ccapi.cli.progress import ProgressView
from ccapi.stack.progress import Progress

if TYPE_CHECKING:
    from ccapi.commands.stack import Decision, Plan, Up
    from ccapi.commands.stackports import Chosen
    from ccapi.settings import Settings

View = Callable[[Progress], None]

_LOGIN = "ccapi auth claude"
_DOES = {
    "nothing": "The container is as wanted and healthy; nothing would be done to it",
    "create": "The container would be created",
    "start": "The container would be started",
    "recreate": "The container would be made anew; the volumes stay",
}


class JsonView:
    """Called with each `Progress`: a line of JSON. A context manager like `ProgressView`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        if progress.kind == "warning":
            output.warn(progress.text)
        output.write_line_json({"type": "progress", "kind": progress.kind, "text": progress.text})


def note(text: str) -> Progress:
    """What stands alone."""
    return Progress("note", text)


def warning(text: str) -> Progress:
    """What a person should know of."""
    return Progress("warning", text)


# --- a container that is not healthy in time


def decision(view: JsonView | ProgressView) -> Callable[[str], Decision]:
    """Asks the person, if there is one."""

    def ask(message: str) -> Decision:
        from ccapi.cli import prompt

        if isinstance(view, JsonView) or not output.interactive():
            return "leave"
        view.pause()
        output.say(output.printable(message[:1].upper() + message[1:]))
        chosen = prompt.select("What now?", [prompt.Option(value, title) for value, title in _CHOICES.items()])
        return _DECISIONS[chosen]

    return ask


_CHOICES = {"wait": "keep waiting", "stop": "stop it", "leave": "leave it as it is"}
_DECISIONS: dict[str, Decision] = {"wait": "wait", "stop": "stop", "leave": "leave"}


# --- what it would do


def say_plan(plan: Plan, chosen: Sequence[Chosen], *, as_json: bool) -> None:
    """On standard output, as data. `chosen`: the ports that would be taken."""
    if as_json:
        ports = {one.key: one.port for one in chosen}
        output.write_result({**asdict(plan), "url": f"{plan.url}/v1", "ports": ports, "dry_run": True})
        return
    output.write(f"The image would be {'built' if plan.build else 'used as it is'}: {plan.image}\n")
    output.write(f"{_DOES[plan.action]}\n")
    for change in plan.changed:
        output.write(f"  {change.what}: {change.running} → {change.wanted}\n")
    for text in plan.warnings:
        output.warn(text)


# --- how everything is


@dataclass(frozen=True, slots=True)
class Summary:
    """`model_api`: another address of the model's API, taken over from this shell's environment."""

    result: Up
    settings: Settings
    rehearsal: str | None
    model_api: str | None
    callback_url: str | None

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            **asdict(self.result),
            "url": f"{self.result.url}/v1",
            "signed_in": self.result.sign_in.signed_in,
            "billing": self._billing(),
            "oauth_proxy": self.callback_url,
            "keys": [{"id": key.id, "name": key.name} for key in self._keys()],
            "rehearsal": self.rehearsal,
        }

    def say(self) -> None:
        """For a person."""
        if self.result.already:
            output.note("Already running and healthy")
        elif not self.result.healthy:
            output.note("It starts, and is not healthy yet: ccapi status")
        output.write("\n" + output.addressed(output.table(self._rows())))

    def _rows(self) -> dict[str, str]:
        rows = {"API": f"{self.result.url}/v1", "API keys": self._about_keys()}
        rows["OAuth proxy"] = self.callback_url or "not running"
        rows["Workspace"] = str(self.settings.workspace or "a Docker volume")
        if self.rehearsal:
            rows["Model"] = f"scripted (rehearsal scenario {self.rehearsal}), no account needed"
        else:
            if self.model_api:  # that must not happen unseen
                from ccapi.redact import redact

                rows["Model API"] = redact(self.model_api)
            signed_in = self.result.sign_in.signed_in
            rows["Claude"] = "signed in" if signed_in else f"not signed in: {_LOGIN}"
            if signed_in:
                rows["Billing"] = self._billing()
        if servers := self.result.sign_in.servers:
            rows["MCP servers"] = f"{', '.join(servers)}; how they are: ccapi auth status"
        rows["Next"] = 'ccapi ask "hello"'
        return rows

    def _about_keys(self) -> str:
        keys = self._keys()
        names = ", ".join(key.name or key.id for key in keys[:3]) + (", …" if len(keys) > 3 else "")
        if not keys:
            return "none needed on this machine; make one: ccapi key create"
        return f"{names}; all of them: ccapi key list"

    def _keys(self) -> list[Any]:
        if not paths.keys_file(self.settings.home).exists():
            return []
        from ccapi.commands import keys

        return list(keys.listed(self.settings.home))

    def _billing(self) -> str:
        from ccapi.commands.claudeauth import BILLING, SCRIPTED

        return SCRIPTED if self.rehearsal else BILLING[self.result.sign_in.method]

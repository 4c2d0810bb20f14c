"""The container, its image, its volumes, and what is left of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import GatewayUnreachable, KeyInvalid

if TYPE_CHECKING:
    from ccapi.stack.engine import Container, Stray
    from ccapi.stack.inspection import Inspector
    from ccapi.stack.spec import User

_LOOP = 3  # restarts, the last of them less than a minute ago
_RECENT = 3600  # seconds
_READY_TIMEOUT = 8.0  # seconds; the gateway gives itself 5
_GRACE = 10  # seconds to end, before a restart by force
_PROGRAM_TIMEOUT = 10.0  # seconds
_USER = "1000:1000"  # where the image says who runs
_VERSION = re.compile(rb"^__version__ = [\"']([^\"'\n]+)[\"']", re.MULTILINE)
_VERSION_FILE = "/opt/ccapi/app/ccapi/__init__.py"

# A file is really written: a quota or a full disk shows nowhere else.
_WRITABLE = """
for place; do
  file=$(mktemp "$place/.ccapi-doctor.XXXXXX" 2>/dev/null) && echo x >"$file" && rm -f "$file" || echo "$place"
done
"""


def _up(facts: Facts, text: str = "Start it") -> Fix:
    rehearsal = _environment(facts).get("CCAPI_REHEARSAL")
    return Fix(text, advice.ccapi(facts, f"up --rehearsal={rehearsal}" if rehearsal else "up"))


def _environment(facts: Facts) -> dict[str, str]:
    container = facts.container()
    return dict(container.environment) if container and container.ours else {}


# --- the container


def container(facts: Facts) -> Finding:
    found = facts.container()
    if found is None:
        return fail("there is no container", "The stack was not started yet, or was taken down.", _up(facts))
    if not found.ours:
        return _foreign(found)
    match found.state:
        case "running":
            return _running(facts, found)
        case "paused":
            fix = Fix("Let it go on", f"docker unpause {found.name}", _with(facts, lambda engine: engine.unpause()))
            return fail("the container is paused", fix=fix)
        case "created":
            why = f": {found.error}" if found.error else ""
            return fail(f"the container was made, but never started{why}", fix=_up(facts))
        case _:
            return _ended(facts, found)


def _foreign(found: Container) -> Finding:
    fix = Fix("Give it another name, or remove it if nobody needs it", f"docker rename {found.name} {found.name}-other")
    return fail(f"a container named {found.name} is there that ccapi did not make", f"its image is {found.image}", fix)


def _running(facts: Facts, found: Container) -> Finding:
    if not found.restarts:
        return ok("the container runs")
    since = (datetime.now(UTC) - found.started).total_seconds() if found.started else 0.0
    if found.restarts >= _LOOP and since < 60:
        return _loop(facts, found)
    summary = f"the container runs; it ended {_times(found.restarts)} by itself and was started again"
    if since > _RECENT:
        return info(summary)
    return warn(summary, _last_words(facts), Fix("Its log says what happened before", advice.ccapi(facts, "logs")))


def _ended(facts: Facts, found: Container) -> Finding:
    if found.oom_killed:
        return _out_of_memory(facts)
    if found.state == "restarting":
        return _loop(facts, found)
    why = f" ({found.error})" if found.error else ""
    summary = f"the container is stopped: exit code {found.exit_code}{why}"
    return fail(summary, _last_words(facts) if found.exit_code not in {0, 143} else "", _up(facts))


def _loop(facts: Facts, found: Container) -> Finding:
    if found.oom_killed:
        return _out_of_memory(facts)
    summary = f"the container ends again and again, and is started again each time: exit code {found.exit_code}"
    return fail(summary, _last_words(facts), _up(facts, "Its last words say why. Once that is mended, make it anew"))


def _out_of_memory(facts: Facts) -> Finding:
    limit = int((facts.inspected() or {}).get("HostConfig", {}).get("Memory") or 0)
    of = f" of {advice.size(limit)}" if limit else ""
    text = "Start it again. If it happens again, let it do less at once: gateway.max_runs, pool.memory"
    return fail(f"the container was killed: its memory{of} was used up", _last_words(facts), _up(facts, text))


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _last_words(facts: Facts) -> str:
    with facts.engine() as engine:
        lines = advice.quoted(engine.logs(20))
    return "\n".join(["The last lines of its log:", *lines]) if lines else "It logged nothing."


def _with(facts: Facts, work: Callable[[Inspector], None]) -> Callable[[], None]:
    def apply() -> None:
        with facts.engine() as engine:
            work(engine)

    return apply


# --- the gateway in it


def health(facts: Facts) -> Finding:
    found = facts.own_container()
    if found.health == "healthy":
        return ok("the gateway is healthy")
    if found.health == "starting":
        return info("the gateway is starting; look again in a moment")
    if found.health is None:
        fix = _up(facts, "Have the container made as ccapi makes it")
        return warn("Docker does not watch whether the gateway is healthy", fix=fix)
    if _answered(facts):
        return info("the gateway answered when Docker last looked; that is to look again in a moment")
    probe = advice.quoted(found.probe)
    said = ["The health check said:", *probe] if probe else ["The health check said nothing."]
    restart = _with(facts, lambda engine: engine.restart(grace=_GRACE))
    fix = Fix("Start it again; runs that go on end", advice.ccapi(facts, "restart"), restart)
    return fail("the gateway is unhealthy", "\n".join([*said, _last_words(facts)]), fix)


def _answered(facts: Facts) -> bool:
    """Whether it did at the last health check: after `docker unpause` Docker calls it unhealthy until the next one."""
    probes = (facts.inspected() or {}).get("State", {}).get("Health", {}).get("Log") or []
    return bool(probes) and probes[-1]["ExitCode"] == 0


def ready(facts: Facts) -> Finding:
    """What the gateway says of itself; how it is signed in is told by `claude.sign_in`."""
    from ccapi import settings
    from ccapi.client import status

    url = facts.base_url()
    try:
        answer = status.ask(url, "/ready", bearer=settings.api_key(facts.environ), timeout=_READY_TIMEOUT)
    except KeyInvalid:
        return info("the gateway answers; what it says of itself needs an API key, in CCAPI_API_KEY")
    except GatewayUnreachable as error:
        text = "Publish the port anew, and look for a firewall that keeps this machine from itself"
        return fail("the gateway is healthy, but cannot be reached from here", error.message, _up(facts, text))
    checks = [check for check in answer.document.get("checks", []) if check["name"] != "sign_in"]
    bad = [check for check in checks if not check["ok"]]
    if not bad:
        return ok("the gateway is ready", "\n".join(check["message"] for check in checks))
    fix = Fix((bad[0]["hint"] or "The gateway's log says more").rstrip("."), advice.ccapi(facts, "logs"))
    return fail(f"the gateway is not ready: {bad[0]['message']}", "\n".join(c["message"] for c in bad[1:]), fix)


# --- what it was made of


def image(facts: Facts) -> Finding:
    wanted, found = _wanted_image(facts), facts.container()
    if found is None or not found.ours:
        if facts.image(wanted):
            return ok(f"the image is there: {wanted}")
        return info("the image is not built yet; `ccapi up` does that, in a minute or two")
    if found.image == wanted:
        return ok(f"the container's image is the one of this ccapi, {facts.version}")
    if found.image.endswith(":local"):
        return info(f"the container was made by hand, from {found.image}")
    theirs = _version_inside(facts)
    if theirs and theirs != facts.version:
        summary = f"the container's image is of ccapi {theirs}; this is ccapi {facts.version}"
    else:
        summary = "the container's image is not the one that `ccapi up` would use now"
    return warn(summary, f"{found.image}, and not {wanted}", _up(facts, "Have the container made from the new image"))


def _wanted_image(facts: Facts) -> str:
    from ccapi.stack import templates

    settings = facts.settings()
    claude = settings.value("stack.claude_version")
    return templates.build_input(settings.base_image, settings.ca_file, _wanted_user(facts), claude).image


def _wanted_user(facts: Facts) -> User:
    from ccapi.stack import ownership

    return ownership.container_user(facts.settings().workspace, facts.engine_info())


def _version_inside(facts: Facts) -> str | None:
    with facts.engine() as engine:
        found = _VERSION.search(engine.file(_VERSION_FILE) or b"")
    return found[1].decode("ascii", "replace") if found else None


def settings_(facts: Facts) -> Finding:
    from ccapi.commands import stack
    from ccapi.stack import spec, templates
    from ccapi.stack.differences import differences

    found = facts.own_container()
    with facts.engine() as engine:
        text = templates.compose_text(start_interval=engine.knows_start_interval)
    made_from = found.labels.get(spec.COMPOSE_LABEL)  # empty: it was made by hand
    compose_id = templates.compose_id(text) if made_from else made_from or ""
    # `--rehearsal` is no setting: with it or without, the container is as somebody wanted it.
    wanted = stack.wanted(facts.settings(), facts.network_environment, found.environment.get("CCAPI_REHEARSAL"))
    wanted = replace(wanted, user=_wanted_user(facts))
    changed = differences(found, wanted, found.image, compose_id)
    if not changed:
        return ok("the container was made with the settings of now")
    lines = [f"{change.what}: {change.running} → {change.wanted}" for change in changed]
    summary = f"what the container was made with has changed since: {advice.listed(change.what for change in changed)}"
    return warn(summary, "\n".join(lines), _up(facts, "Have the container made anew; its volumes stay"))


# --- volumes


def volumes(facts: Facts) -> Finding:
    """Those of Docker; of a directory of the person's, `storage.workspace` tells."""
    from ccapi.stack import spec

    mounts = {mount["Destination"]: mount for mount in (facts.inspected() or {}).get("Mounts", [])}
    if missing := [place for place in (spec.CONFIG, spec.WORKSPACE) if place not in mounts]:
        summary = f"{advice.listed(missing)} of the container is on no volume: what is there is lost with the container"
        return fail(summary, fix=_up(facts, "Have the container made as ccapi makes it"))
    places = [place for place in (spec.CONFIG, spec.WORKSPACE) if mounts[place]["Type"] == "volume"]
    ran = facts.run_inside("sh", "-c", _WRITABLE, "sh", *places, timeout=_PROGRAM_TIMEOUT)
    if ran.code:
        return fail("the volumes cannot be looked at", "\n".join(advice.quoted(ran.stderr)), _up(facts))
    refused = [str(mounts[place]["Name"]) for place in ran.stdout.splitlines() if place in places]
    if not refused:
        return ok("the volumes are there, and the container can write to them")
    container = facts.own_container()
    user = container.user or _USER
    commands = [
        f"docker run --rm --user 0 --volume {name}:/v --entrypoint chown {container.image} -R {user} /v"
        for name in refused
    ]
    fix = Fix("If the disk is not full, give its user the right to", "\n".join(commands))
    return fail(f"the container (user id {user.partition(':')[0]}) cannot write to {advice.listed(refused)}", fix=fix)


# --- what is left


def orphans(facts: Facts) -> Finding:
    with facts.engine() as engine:
        found = engine.strays()
    if not found:
        return ok("nothing is left of containers and networks that are gone")
    names = advice.listed(f"{stray.kind} {stray.name}" for stray in found)
    removal = "\n".join(f"docker {'rm -f' if s.kind == 'container' else 'network rm'} {s.name}" for s in found)
    idle = [stray for stray in found if not stray.running]
    fix = Fix("Remove what is left; no data is in it", removal, _removal(facts, idle) if idle == found else None)
    return warn(f"left behind: {names}", fix=fix)


def _removal(facts: Facts, strays: Sequence[Stray]) -> Callable[[], None]:
    def remove(engine: Inspector) -> None:
        for stray in strays:
            engine.remove(stray)

    return _with(facts, remove)


def old_images(facts: Facts) -> Finding:
    wanted = _wanted_image(facts)
    with facts.engine() as engine:
        found = [image for image in engine.images() if image.name != wanted and not image.used]
    if not found:
        return ok("no image of an older ccapi takes up space")
    total = advice.size(sum(image.size for image in found))
    what = "an older image takes" if len(found) == 1 else f"{len(found)} older images take"
    fix = Fix(
        "Remove what no container uses; `ccapi up` builds one again if it must",
        f"docker rmi {' '.join(image.name for image in found)}",
        _with(facts, lambda engine: _remove_images(engine, wanted)),
    )
    return warn(f"{what} up to {total}", "\n".join(image.name for image in found), fix)


def _remove_images(engine: Inspector, keep: str) -> None:
    engine.remove_old_images(keep=keep)


CHECKS: tuple[Check, ...] = (
    Check(
        "stack.container",
        "Whether the container is there, and runs",
        container,
        needs=("docker.engine",),
        trouble=(
            Trouble("The container ends as soon as it starts.", "Its last words are shown: they say what it misses."),
            Trouble("It runs out of memory.", "Lower `gateway.max_runs`, or `pool.memory`, then `ccapi up`."),
        ),
    ),
    Check(
        "stack.health",
        "Whether the gateway in it is healthy",
        health,
        needs=("stack.container",),
        trouble=(
            Trouble("The container runs, and the gateway does not answer.", "`ccapi restart`, then `ccapi logs`."),
        ),
    ),
    Check(
        "stack.ready",
        "Whether the gateway could answer a question now",
        ready,
        needs=("stack.health", "stack.volumes"),
        limit=15,
    ),
    Check(
        "stack.image",
        "Whether the image is the one of this ccapi",
        image,
        needs=("docker.engine",),
        trouble=(
            Trouble("After an upgrade of ccapi the container is still the old one.", "`ccapi up` makes it anew."),
        ),
    ),
    Check(
        "stack.settings",
        "Whether the container was made with the settings of now",
        settings_,
        needs=("stack.container",),
        trouble=(Trouble("A changed setting has no effect.", "Most of them take `ccapi up`."),),
    ),
    Check(
        "stack.volumes",
        "Whether the container can write to its volumes",
        volumes,
        needs=("stack.container",),
        limit=15,
        trouble=(Trouble("A volume cannot be written to.", "Give its user the right to, or free some space."),),
    ),
    Check("stack.orphans", "Whether anything is left of stacks that are gone", orphans, needs=("docker.engine",)),
    Check("stack.old_images", "Whether older images take up space", old_images, needs=("docker.engine",)),
)

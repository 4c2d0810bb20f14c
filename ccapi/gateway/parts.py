"""What a gateway is made of, how that begins and ends, and how it takes new settings without dropping a run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from aiohttp import web

from ccapi import __version__
from ccapi.agent.launch import Launch, child_environment, child_secrets, find_claude
from ccapi.agent.options import RunOptions
from ccapi.agent.pool import PoolLimits
from ccapi.agent.run import Agent
from ccapi.agent.sessionfiles import SessionFiles
from ccapi.errors import SettingInvalid
from ccapi.gateway.access import Keyring
from ccapi.gateway.billing import Payer
from ccapi.gateway.browser import Browser
from ccapi.gateway.conversations import Conversations
from ccapi.gateway.fetch import Fetcher
from ccapi.gateway.internal import Internal
from ccapi.gateway.logins import Logins
from ccapi.gateway.metrics import Metrics
from ccapi.gateway.models import Models
from ccapi.gateway.policy import Allowed
from ccapi.gateway.procfs import Processes
from ccapi.gateway.readiness import Readiness
from ccapi.gateway.runs import Runs
from ccapi.gateway.secret import StackSecret
from ccapi.gateway.settings import GatewaySettings
from ccapi.gateway.slots import RunSlots, default_slots, usable_memory
from ccapi.gateway.store import Store
from ccapi.gateway.workspaces import Workspaces
from ccapi.settings import LOOPBACK
from ccapi.wire import internal, keys

log = logging.getLogger(__name__)

_POOL_SHARE = 0.2  # of all memory, for processes that wait
_PRUNE_EVERY = 3600.0  # seconds
_DAY = 86_400.0
_FIRST_MODEL = "sonnet"  # what is kept ready before anybody asked for anything


class Parts:
    """Raises `ClaudeNotFound` and `SettingInvalid` before anything is served."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self._hurried = False
        self.keyring = Keyring(settings.keys_dir / keys.FILE)
        self._check_keys()
        self.agent = create_agent(settings)
        self.metrics = Metrics()
        self.slots = RunSlots(settings.max_runs or default_slots(), settings.max_queue)
        self.store = Store(settings.data_dir)
        self.files = SessionFiles.of(self.agent.launch.environment)
        self.workspaces = Workspaces(settings.workspace, settings.default_workspace)
        self.runs = Runs(
            agent=self.agent,
            models=Models(settings.model_map),
            slots=self.slots,
            workspaces=self.workspaces,
            store=self.store,
            conversations=Conversations(self.store, self.files, self.agent.pool.stands_at),
            metrics=self.metrics,
            allowed=_allowed(settings),
            fetcher=Fetcher(proxy=settings.environ.get("HTTPS_PROXY") or settings.environ.get("https_proxy")),
        )
        self.readiness = Readiness(
            self.agent.launch,
            data_dir=settings.data_dir,
            slots=self._load,
            max_queue=settings.max_queue,
            pool=self._idle,
            stopping=lambda: self.runs.stopping,
            store_problem=lambda: self.store.problem,
        )
        self.logins = Logins(Processes().listeners)
        self.browser = Browser(
            settings.browser_socket,
            self.logins,
            Processes(),
            binary=lambda: self.agent.launch.binary,
            reserved={settings.port},
        )
        self.internal = Internal(
            StackSecret(settings.keys_dir / internal.HASH_FILE),
            self.logins,
            launch=lambda: self.agent.launch,
            workspace=lambda: self.workspaces.resolve(None),
            overview=self._overview,
        )
        self.runs.on_refused = self.readiness.refused
        scripted = settings.rehearsal is not None
        self.runs.paid_by = Payer(scripted=scripted, launch=lambda: self.agent.launch, method=self.readiness.method).of
        self.metrics.watch(slots=self._load, idle=self._idle)

    async def life(self, app: web.Application) -> AsyncIterator[None]:
        """From before the first request to after the last one (aiohttp's `cleanup_ctx`)."""
        del app
        await self.store.open()
        pruning = asyncio.create_task(self._prune())
        workspace = self.workspaces.resolve(None)
        self.agent.pool.start(RunOptions(model=_FIRST_MODEL, workspace=workspace))
        await self.browser.open()
        yield
        await self.browser.close()
        pruning.cancel()
        await asyncio.wait([pruning])
        await self.readiness.close()
        await self.agent.close()
        await self.store.close()

    async def drained(self, grace: float) -> None:
        """Take no more questions, and wait until the runs are over, for `grace` seconds at most (see `hurry`)."""
        self.runs.stopping = True
        deadline = asyncio.get_running_loop().time() + grace
        while self.slots.admitted and not self._hurried and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 -- three things
            await asyncio.sleep(0.05)
        if self.slots.admitted:
            log.warning("%d runs did not end within %g s and are ended now", self.slots.admitted, grace)

    def hurry(self) -> None:
        """Wait for no run any longer."""
        self._hurried = True

    def reload(self, settings: GatewaySettings) -> None:
        """Take what can change while runs go on: credentials, models, limits of what is allowed, keys.

        Raises what the constructor raises, and then nothing has changed.
        """
        launch = _launch(settings)
        self.settings = settings
        self.keyring.refresh()
        self.agent.renew(launch)
        self.runs.models = Models(settings.model_map)
        self.runs.allowed = replace(_allowed(settings), workspace=self.workspaces.default)
        self.readiness.renew(launch)
        log.info("settings and credentials were read again")

    def _check_keys(self) -> None:
        self.keyring.refresh()
        if self.settings.published not in LOOPBACK and self.keyring.empty:
            raise SettingInvalid(
                f"The gateway would be reachable from other machines ({self.settings.published}), and has no API key",
                hint="Make one first: ccapi key create   (or leave gateway.host at 127.0.0.1)",
            )

    def _load(self) -> tuple[int, int, int]:
        return self.slots.admitted - self.slots.waiting, self.slots.slots, self.slots.waiting

    def _overview(self) -> internal.Overview:
        runs, slots, waiting = self._load()
        kept = self._idle()["live"]
        return internal.Overview(__version__, runs, slots, waiting, kept, self.settings.key_required)

    def _idle(self) -> Mapping[str, int]:
        return {"warm": self.agent.pool.ready, "live": self.agent.pool.kept}

    async def _prune(self) -> None:
        while True:
            for session_id in await self.store.prune(self.settings.keep_days * _DAY):
                with self.runs.conversations.claimed(session_id) as free:
                    if free:
                        await self.agent.pool.forget(session_id)
                        await asyncio.to_thread(self.files.delete, session_id)
            await asyncio.sleep(_PRUNE_EVERY)


def create_agent(settings: GatewaySettings) -> Agent:
    """The agent as the settings want it. Raises `ClaudeNotFound` and `SettingInvalid`."""
    memory = settings.pool_memory or int(usable_memory() * _POOL_SHARE)
    return Agent(
        _launch(settings),
        idle_timeout=settings.run_timeout,
        background_grace=settings.background_grace,
        model_fallback=settings.model_fallback,
        pool=PoolLimits(
            settings.pool_size, settings.pool_sessions, settings.pool_session_idle, settings.pool_max_age, memory
        ),
    )


def _allowed(settings: GatewaySettings) -> Allowed:
    return Allowed(settings.permission_mode or "default", settings.small_model, settings.default_workspace)


def _launch(settings: GatewaySettings) -> Launch:
    if not settings.workspace.is_dir():
        raise SettingInvalid(f"The workspace {settings.workspace} is not a directory")
    mode = settings.permission_mode or "default"
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    environment = child_environment(
        settings.environ, max_retries=settings.max_retries, sandboxed_root=root and mode == "bypassPermissions"
    )
    claude = find_claude(settings.claude, settings.environ.get("PATH"))
    return Launch(claude, settings.workspace, environment, child_secrets(settings.environ), mode)

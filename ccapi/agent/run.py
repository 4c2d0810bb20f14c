"""A run: one question to Claude Code, answered to its end.

    async with agent.run(request) as run:
        while not run.ended:
            for event in await run.next(wait=10):
                ...

`run.next` yields the events in order; the last one is the only `RunFinished` or `RunFailed`. Leaving the block ends the
process, whatever it is doing, unless its answer is complete and it can wait for the conversation's next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self

from ccapi.agent.decoder import Decoder
from ccapi.agent.launch import Launch
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.pool import Pool, PoolLimits
from ccapi.agent.worker import Worker
from ccapi.errors import CcapiError, ClaudeFailed, GatewayStopping, InvalidRequest, ModelUnavailable, RunTimeout
from ccapi.wire.events import MessageStarted, Notice, RunEvent, RunFailed, RunFinished

log = logging.getLogger(__name__)

# After the CLI said that its turn is over and stdin was closed, it writes its session and leaves. Seconds.
EXIT_GRACE = 5.0
# A process that waited begins a turn at once. One that shows nothing for so many seconds is replaced.
WAKE_GRACE = 5.0
_SLICE = 1.0  # seconds between looks at a silent process
_FAMILIES = ("haiku", "sonnet", "opus")
_NO_POOL = PoolLimits(size=0, sessions=0)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked. `prompt` is the user's text or Messages API content blocks."""

    prompt: str | Sequence[dict[str, Any]]
    options: RunOptions = field(default_factory=RunOptions)
    resume: Resume | None = None


def family_alias(model: str | None) -> str | None:
    """The alias of a model id's family, which always means its current model; None for an alias or another name."""
    named = (model or "").lower()
    return next((family for family in _FAMILIES if family in named and named != family), None)


class Run:
    """See the module. `model` is the one that really answers."""

    def __init__(self, agent: Agent, request: RunRequest) -> None:
        self.model = request.options.model
        self.ended = False
        self._agent = agent
        self._request = request
        self._fallback = family_alias(request.options.model) if agent.model_fallback else None
        self._switching: asyncio.Task[Notice] | None = None
        self._answering = False
        self._reusable = False

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.create_task(self._leave()))  # to its end, however often the caller is cancelled

    async def _leave(self) -> None:
        if self._switching:
            await asyncio.wait([self._switching])
        self._prompting.cancel()
        await self._agent.done(self._worker, reusable=self._reusable)

    @property
    def session_id(self) -> str:
        """Claude Code's id for the conversation; empty until it was said."""
        return self._decoder.session_id

    @property
    def start(self) -> Literal["cold", "ready", "kept"]:
        """Whether the process had to be started, stood ready, or had been kept from the conversation's last turn."""
        return ("kept" if self._request.resume else "ready") if self._worker.pooled else "cold"

    async def next(self, wait: float) -> list[RunEvent]:
        """The events that came, or none after `wait` seconds of silence. Not to be called once `ended`."""
        assert not self.ended
        now = asyncio.get_running_loop().time
        deadline = now() + wait
        while (left := deadline - now()) > 0:
            try:
                # Slices: an exit is also seen when a grandchild keeps stdout open.
                async with asyncio.timeout(min(left, _SLICE)):
                    while True:
                        if events := await self._step():
                            return events
            except TimeoutError:
                if events := self._silence():
                    return events
        return []

    async def _start(self, *, cold: bool = False) -> None:
        self._decoder = Decoder(fixed_credential=self._agent.launch.fixed_credential)
        self._stdin_closed = self._output_closed = False
        options = replace(self._request.options, model=self.model)
        self._worker = await self._agent.worker(options, self._request.resume, cold=cold)
        self._process = self._worker.process
        self._heard = not self._worker.pooled
        self._last_sign = asyncio.get_running_loop().time()
        # A task, because a large prompt waits until the CLI reads it, and `next` watches over that.
        turn = user_message(self._request.prompt)
        self._prompting = asyncio.create_task(self._worker.ask(turn))

    async def _step(self) -> list[RunEvent]:
        """Read once. Everything that ends the run is turned into the terminal event here."""
        events: list[RunEvent] = []
        try:
            if self._switching:
                notice = await asyncio.shield(self._switching)
                self._switching = None
                return [notice]
            lines = await self._process.read()
            if lines is None:
                self._output_closed = True
                await self._process.exited(EXIT_GRACE)
                await self._process.stderr_read()
                return self._on_exit()
            if not lines or any(line.startswith(b"{") for line in lines):  # anything else is no sign of life
                self._last_sign = asyncio.get_running_loop().time()
            for line in lines:
                events += self._decoder.feed(line)
        except CcapiError as error:
            return events + self._terminate(RunFailed(error))
        self._heard = self._heard or bool(self._decoder.session_id)
        if not self._answering and any(isinstance(event, MessageStarted) for event in events):
            self._answering = True
            self._agent.pool.refill()  # the model is at work: the machine has time
        return events + self._on_result()

    def _on_result(self) -> list[RunEvent]:
        """What the CLI's `result` means: often the end, but work in the background may bring more messages."""
        result = self._decoder.result
        if isinstance(result, RunFailed):
            if isinstance(result.error, ModelUnavailable) and self._fallback and not self._answering:
                self._switching = asyncio.create_task(self._switch())
                return []
            return self._terminate(result)
        done = self._decoder.idle and not self._decoder.background and not self._stdin_closed
        if isinstance(result, RunFinished) and done:
            # One that stopped at a limit may stand there for good (a budget counts per process).
            self._reusable = result.finish_reason == "stop"
            self._worker.session_id, self._worker.checkpoint = result.session_id, result.checkpoint
            return self._terminate(result)
        if result is not None and self._decoder.idle is not False and not self._stdin_closed:
            self._stdin_closed = True
            self._process.close_stdin()
        return []

    async def _switch(self) -> Notice:
        """Start again with the family's current model. A task of its own: half of it would be worse than none."""
        refused, self.model, self._fallback = self.model, self._fallback, None
        await self._again()
        return Notice("model_fallback", f"the API no longer serves {refused}; {self.model} answers instead")

    async def _wake(self) -> Notice:
        """Start again with a new process in the place of one that had waited and does not take its turn."""
        self._process.kill()  # an interrupt it might read after the turn
        await self._again()
        return Notice("replaced", "a waiting process did not answer; a new one takes its turn")

    async def _again(self) -> None:
        await self._agent.done(self._worker, reusable=False)
        await self._start(cold=True)

    def _on_exit(self) -> list[RunEvent]:
        """The process is gone. Without a `result` the answer is not complete, and says so."""
        if not self._heard and not self._agent.closing:
            self._switching = asyncio.create_task(self._wake())
            return []
        if self._decoder.result is not None:
            return self._terminate(self._decoder.result)
        return self._terminate(RunFailed(_died(self._process.returncode, self._process.stderr)))

    def _silence(self) -> list[RunEvent]:
        """What it means that nothing came for a while."""
        if self._switching:
            return []
        silent = asyncio.get_running_loop().time() - self._last_sign
        if not self._heard and (silent >= WAKE_GRACE or not self._process.alive):
            self._switching = asyncio.create_task(self._wake())
            return []
        if self._process.returncode is not None or (self._output_closed and silent >= EXIT_GRACE):
            return self._on_exit()
        result = self._decoder.result
        if result is not None and self._stdin_closed:  # complete, but the CLI does not leave
            background = self._decoder.background
            if silent >= (self._agent.background_grace if background else EXIT_GRACE):
                notice = Notice("background", f"still running in the background, ended with the run: {background}")
                return [notice, *self._terminate(result)] if background else self._terminate(result)
            return []
        if silent < self._agent.idle_timeout:
            return []
        message = f"Claude Code gave no sign of life for {self._agent.idle_timeout:g} s"
        hint = "Raise gateway.timeout if a tool may be silent for longer."
        return self._terminate(RunFailed(RunTimeout(message, hint=hint)))

    def _terminate(self, terminal: RunFinished | RunFailed) -> list[RunEvent]:
        self.ended = True
        if self._agent.closing and isinstance(terminal, RunFailed):  # whatever the interrupted CLI says of it
            message = "The gateway was stopped before the answer was complete"
            terminal = replace(terminal, error=GatewayStopping(message))
        self._worker.billing = self._decoder.billing or self._worker.billing
        return [replace(terminal, billing=self._worker.billing)]


def _died(code: int | None, stderr: str) -> CcapiError:
    if "--json-schema" in stderr:
        return InvalidRequest("the JSON schema is not valid", detail=stderr)
    if code is None:
        how = "closed its output"
    else:
        how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    # What it wrote to stderr is for the log only: it may name paths and worse.
    return ClaudeFailed(f"Claude Code {how} before its answer was complete", detail=stderr or None)


def user_message(prompt: str | Sequence[dict[str, Any]]) -> Mapping[str, Any]:
    """The stream-json line for a user's turn."""
    content = prompt if isinstance(prompt, str) else list(prompt)
    message: dict[str, Any] = {"type": "user", "message": {"role": "user", "content": content}}
    text = prompt if isinstance(prompt, str) else "".join(part.get("text", "") for part in prompt)
    if text.startswith("/") or "@" in text:
        # Deliver it as written: a client's text is neither a slash command nor a request to read `@/some/file`. Only
        # where it matters, because the CLI then also leaves out the reminders it adds at the start of a turn.
        message["client_composed"] = True
    return message


class Agent:
    """Starts runs. The settings they share live here."""

    def __init__(
        self,
        launch: Launch,
        *,
        idle_timeout: float = 300.0,
        background_grace: float = 120.0,
        model_fallback: bool = True,
        pool: PoolLimits = _NO_POOL,
    ) -> None:
        """Both times are in seconds and bound a run's silence, not its length.

        `background_grace` is for commands that an answer left running: one that ends brings another turn, but a server
        does not end.
        """
        self.launch = launch
        self.idle_timeout = idle_timeout
        self.background_grace = background_grace
        self.model_fallback = model_fallback
        self.pool = Pool(launch, pool)
        self.closing = False
        self._working: set[Worker] = set()

    @property
    def working(self) -> frozenset[Worker]:
        """The processes that answer at this moment."""
        return frozenset(self._working)

    def run(self, request: RunRequest) -> Run:
        """A run, not yet started: enter it."""
        return Run(self, request)

    async def worker(self, options: RunOptions, resume: Resume | None, *, cold: bool) -> Worker:
        """A process for a turn, which must be given to `done` afterwards. `cold`: none that has waited."""
        worker = None if cold else await self.pool.take(options, resume)
        if worker is None:
            fingerprint = self.pool.fingerprint()
            worker = await Worker.start(self.launch, options, resume)
            worker.fingerprint = fingerprint
        self._working.add(worker)
        return worker

    async def done(self, worker: Worker, *, reusable: bool) -> None:
        """The turn is over. `reusable`: the process took it to its end, and can take another one."""
        if reusable and not self.closing and self.pool.keep(worker):
            self._working.discard(worker)
            return
        ending = asyncio.create_task(worker.process.end())  # goes on even if the caller is cancelled
        ending.add_done_callback(lambda _: self._working.discard(worker))
        await asyncio.shield(ending)

    def renew(self, launch: Launch) -> None:
        """Start processes like this from now on. Runs go on as they are."""
        self.launch = launch
        self.pool.renew(launch)

    async def close(self) -> None:
        """End every process that still lives; runs in the middle of an answer fail with `GatewayStopping`."""
        self.closing = True
        await asyncio.gather(self.pool.close(), *(worker.process.end() for worker in self._working))

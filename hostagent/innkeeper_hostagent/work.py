"""The shell around the executor: what it decides becomes durable, then is carried out, then is told.

It decides nothing itself, but for one thing: with a full disk the host takes on nothing new.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from innkeeper_hostagent.effects import CancelStep, Effect, RunStep, Send, TidyUp, WriteScript
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.journal import Journal, JournalError
from innkeeper_hostagent.lanes import tell
from innkeeper_hostagent.performer import Ended, Performer, Progressed
from innkeeper_hostagent.protocol.messages import AgentMessage, CarryOut, Disown, LegEnded, LegStatus, Progress
from innkeeper_hostagent.recorder import Recorder
from innkeeper_plugins.vocabulary import OperationId, Outcome, VmId

_log = structlog.get_logger("innkeeper.agent")

#: How long an ending agent waits for its steps to stop.
STOP_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told what, on the loop's thread."""

    send: Callable[[AgentMessage], None]
    #: A step begins or ends its work on a VM.
    touched: Callable[[VmId], None]
    #: All that the controller said so far is durable.
    durable: Callable[[], None]
    #: The journal can be written no more.
    failed: Callable[[JournalError], None]


class Work:
    """All that this host does for the controller; every method has to be called on the loop's thread."""

    def __init__(
        self,
        executor: Executor,
        journal: Journal,
        *,
        loop: asyncio.AbstractEventLoop,
        make_performer: Callable[[Ended, Progressed], Performer],
        listeners: Listeners,
    ) -> None:
        """Take the parts; nothing runs yet.

        Args:
            executor: Decides.
            journal: Remembers.
            loop: The loop that all of this happens on.
            make_performer: Makes what carries steps out, given whom to tell of ends and of progress.
            listeners: Who else is told.
        """
        self._executor = executor
        self._journal = journal
        self._loop = loop
        self._listeners = listeners
        self.performer = make_performer(self._on_step_ended_elsewhere, self._on_progress_elsewhere)
        self._recorder = Recorder(
            journal,
            loop=loop,
            act=self._act,
            durable=listeners.durable,
            snapshot=executor.ledger.snapshot,
            failed=listeners.failed,
        )
        self._stopped: asyncio.Event | None = None
        #: ``{VM whose directory is being tidied: steps that wait for that}``
        self._tidying: dict[VmId, list[RunStep]] = {}

    def start(self) -> None:
        """Go on with what the journal says was under way.

        Raises:
            JournalError: it is of another version.
        """
        self._recorder.take(self._executor.recover(self._journal.entries(), self._loop.time()))
        for vm_id in self.performer.leftovers():
            if vm_id not in self._executor.ledger.vms:
                self._tidy_up(vm_id)

    async def stop(self) -> None:
        """Stop what runs without taking its end down: the next start runs it again."""
        self._stopped = asyncio.Event()
        self._recorder.close()
        self.performer.stop()
        self._note_rest()
        try:
            await asyncio.wait_for(self._stopped.wait(), STOP_S)
        except TimeoutError:
            # A driver that does not listen is left behind; the journal must not be, with a thread writing to it.
            _log.warning("steps_left_running", count=self.performer.working_count)
        await self._recorder.written()
        self._journal.close()

    def on_carry_out(self, request: CarryOut) -> None:
        """Take a leg on, or answer."""
        has_room = self._journal.has_headroom(self._executor.ledger.open_legs + 1)
        if request.undo or has_room or self._executor.knows(request):
            self._recorder.take(self._executor.on_carry_out(request, self._loop.time()))
            return
        _log.error("journal_low", operation_id=request.operation_id, hint="free space on the agent's state directory")
        refused = LegEnded(
            operation_id=request.operation_id,
            leg=request.leg,
            undo=request.undo,
            status=LegStatus.REFUSED,
            outcomes={},
            reason="no_space",
        )
        self._listeners.send(refused)

    def on_cancel(self, operation_id: OperationId) -> None:
        """Stop an operation."""
        self._recorder.take(self._executor.on_cancel(operation_id, self._loop.time()))

    def on_confirm(self, operations: Iterable[OperationId]) -> None:
        """Forget operations."""
        self._recorder.take(self._executor.on_confirm(operations))

    def on_disown(self, disown: Disown) -> None:
        """Switch a guest off and delete its files."""
        self._recorder.take(self._executor.on_disown(disown, self._loop.time()))

    def on_heard(self) -> None:
        """Let what needed no entry be acknowledged as well, after all that came before it."""
        self._recorder.nudge()

    def is_busy(self, vm_id: VmId) -> bool:
        """Whether a step works on that VM now."""
        return f"vm:{vm_id}" in self._executor.ledger.busy

    def _act(self, effect: Effect) -> None:
        match effect:
            case RunStep():
                self._run(effect)
            case Send():
                self._listeners.send(effect.message)
            case WriteScript():
                self.performer.write_script(effect.request)
            case CancelStep():
                self.performer.cancel(effect)
            case TidyUp():
                self._tidy_up(effect.vm.vm_id)

    def _run(self, run: RunStep) -> None:
        self._touch(run)
        if run.vm is not None and run.vm.vm_id in self._tidying:
            self._tidying[run.vm.vm_id].append(run)
        else:
            self.performer.run(run)

    def _tidy_up(self, vm_id: VmId) -> None:
        """Tidy up after the VM; steps of its next operation wait, for they need the directory."""
        if vm_id not in self._tidying:
            self._tidying[vm_id] = []
            self.performer.tidy_up(vm_id, lambda: tell(self._loop, self._on_tidied, vm_id))

    def _on_tidied(self, vm_id: VmId) -> None:
        for run in self._tidying.pop(vm_id):
            if self._stopped is None:
                self.performer.run(run)

    def _touch(self, run: RunStep) -> None:
        if run.vm is not None:
            self._listeners.touched(run.vm.vm_id)

    def _on_step_ended_elsewhere(self, run: RunStep, outcome: Outcome) -> None:
        tell(self._loop, self._on_step_ended, run, outcome)

    def _on_progress_elsewhere(self, run: RunStep, done_bytes: int, total_bytes: int) -> None:
        tell(self._loop, self._on_progress, run, done_bytes, total_bytes)

    def _on_step_ended(self, run: RunStep, outcome: Outcome) -> None:
        self.performer.forget(run)
        if self._stopped is not None:
            self._note_rest()
            return
        self._touch(run)
        self._recorder.take(self._executor.on_step_ended(run, outcome, self._loop.time()))

    def _on_progress(self, run: RunStep, done_bytes: int, total_bytes: int) -> None:
        progress = Progress(
            operation_id=run.operation_id, step_id=run.step.step_id, done_bytes=done_bytes, total_bytes=total_bytes
        )
        self._listeners.send(progress)

    def _note_rest(self) -> None:
        if self._stopped is not None and not self.performer.working_count:
            self._stopped.set()

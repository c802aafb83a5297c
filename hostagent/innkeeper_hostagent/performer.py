"""Carries steps out: each in a worker thread, through the driver that it names, its end always an ``Outcome``.

It decides nothing about what follows from an outcome and writes no journal.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import structlog

from innkeeper_hostagent import calls, scripts
from innkeeper_hostagent.acts import Act
from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.config import LimitsConfig
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.effects import CancelStep, RunStep
from innkeeper_hostagent.lanes import Lane
from innkeeper_hostagent.own_steps import OwnSteps
from innkeeper_hostagent.place import AgentPlace, Datastore, find
from innkeeper_hostagent.protocol.messages import CarryOut
from innkeeper_hostagent.sealing import Seals
from innkeeper_plugins import steps
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.steps import Family, verb_of
from innkeeper_plugins.vocabulary import Outcome, VmId

_log = structlog.get_logger("innkeeper.agent")

#: The end of what a tool said, in an outcome.
MAX_STDERR_CHARACTERS: Final = 8192
#: Steps that carry the content of disks.
_TRANSFERS: Final = frozenset(
    {
        steps.Fetch,
        steps.Clone,
        steps.MkImage,
        steps.MkSwap,
        steps.Seal,
        steps.Mv,
        steps.Premigrate,
        steps.ImportImage,
        steps.SaveImage,
    }
)
_BOOTS: Final = frozenset({steps.Deploy, steps.Restore})
#: Steps after which a sealed file is no longer what it was.
_CHANGING: Final = frozenset(
    {
        steps.Deploy,
        steps.Restore,
        steps.Delete,
        steps.Postmigrate,
        steps.ResizeDisk,
        steps.DiskSnapshotCreate,
        steps.DiskSnapshotRevert,
        steps.DiskSnapshotDelete,
    }
)


#: Told of a step's end, and of a long step's progress (done and total bytes), in the step's thread.
Ended: TypeAlias = Callable[[RunStep, Outcome], None]
Progressed: TypeAlias = Callable[[RunStep, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What steps are carried out with."""

    drivers: Drivers
    datastores: Mapping[str, Datastore]
    caches: Caches
    seals: Seals
    own: OwnSteps


class Performer:
    """Runs steps in lanes: transfers, boots, and all others."""

    def __init__(
        self,
        equipment: Equipment,
        limits: LimitsConfig,
        *,
        ended: Ended,
        progressed: Progressed,
    ) -> None:
        """Start nothing yet.

        Args:
            equipment: What steps are carried out with.
            limits: How many at once.
            ended: Told of each step's end, in the step's thread.
            progressed: Told of a long step's progress, in the step's thread.
        """
        self._equipment = equipment
        self._ended = ended
        self._progressed = progressed
        self._transfers = Lane("transfer", limits.parallel_transfers)
        self._boots = Lane("boot", limits.parallel_boots)
        self._others = Lane("step", limits.parallel_steps)
        #: ``{(operation, leg, step): act}``; only the agent's own thread touches it.
        self._acts: dict[tuple[str, int, int], Act] = {}
        self._scripts: dict[tuple[str, int], CarryOut] = {}

    def write_script(self, request: CarryOut) -> None:
        """Leave the script in the VM's directory when the leg's first step runs."""
        if request.vm is not None:
            self._scripts[request.operation_id, request.leg] = request

    def run(self, effect: RunStep) -> None:
        """Carry the step out as soon as its lane has room."""
        act = Act(effect, self._report)
        self._acts[effect.operation_id, effect.leg, effect.step.step_id] = act
        script = self._scripts.pop((effect.operation_id, effect.leg), None)
        self._lane(effect.step).submit(lambda: self._ended(effect, self._carry_out(act, script)))

    def forget(self, effect: RunStep) -> None:
        """Drop what is known of a step that has ended."""
        self._acts.pop((effect.operation_id, effect.leg, effect.step.step_id), None)

    def cancel(self, effect: CancelStep) -> None:
        """Tell the step to stop."""
        act = self._acts.get((effect.operation_id, effect.leg, effect.step_id))
        if act is not None:
            act.cancel()

    def tidy_up(self, vm_id: VmId, done: Callable[[], None]) -> None:
        """Remove what only the agent wrote about a VM of which nothing is here any more, then call ``done``."""
        self._others.submit(lambda: self._tidy_up(vm_id, done))

    def leftovers(self) -> list[VmId]:
        """Return the VMs that have a directory which only this host sees."""
        own = [store.vms_dir for store in self._equipment.datastores.values() if not store.shared]
        names = {path.name for directory in own if directory.is_dir() for path in directory.iterdir()}
        return sorted(VmId(int(name)) for name in names if name.isdecimal())

    def place(self, act: Act | None = None) -> AgentPlace:
        """Return the place for a verb."""
        if act is None:
            return AgentPlace(self._equipment.datastores, self._equipment.caches)
        return AgentPlace(
            self._equipment.datastores,
            self._equipment.caches,
            progress=act.progress,
            spare_shared=act.run.spare_shared,
        )

    @property
    def working_count(self) -> int:
        """How many steps run or wait for their lane."""
        return len(self._acts)

    def stop(self) -> None:
        """Take nothing more on, and tell what runs to stop."""
        for act in self._acts.values():
            act.cancel()
        for lane in (self._transfers, self._boots, self._others):
            lane.close()

    def _lane(self, step: steps.Step) -> Lane:
        kind = type(step)
        return self._transfers if kind in _TRANSFERS else self._boots if kind in _BOOTS else self._others

    def _report(self, act: Act, done_bytes: int, total_bytes: int) -> None:
        self._progressed(act.run, done_bytes, total_bytes)

    def _tidy_up(self, vm_id: VmId, done: Callable[[], None]) -> None:
        try:
            self._equipment.seals.unseal(vm_id)
            scripts.tidy([store.vm_dir(vm_id) for store in self._equipment.datastores.values()])
        except OSError as error:
            _log.warning("not_tidied", vm_id=vm_id, error=str(error))
        done()

    def _carry_out(self, act: Act, script: CarryOut | None) -> Outcome:
        started_s = time.monotonic()
        run = act.run
        with structlog.contextvars.bound_contextvars(operation_id=run.operation_id, step_id=run.step.step_id):
            if script is not None:
                self._leave_script(script)
            outcome = self._attempt(act)
            duration_s = time.monotonic() - started_s
            _tell(run, outcome, duration_s)
        return msgspec.structs.replace(outcome, duration_s=duration_s)

    def _attempt(self, act: Act) -> Outcome:
        try:
            act.progress(0, 0)
            return Outcome(ok=True, result=self._result(act))
        except DriverError as error:
            return Outcome(
                ok=False,
                code=error.code,
                message=str(error),
                argv=tuple(error.argv),
                exit_status=error.exit_status,
                stderr=error.stderr[-MAX_STDERR_CHARACTERS:],
            )
        except Exception as error:  # noqa: BLE001 - a driver may be a stranger's: whatever it raises ends this step only
            _log.error("driver_bug", verb=verb_of(act.run.step).name, driver=act.run.step.driver, exc_info=True)
            last = traceback.format_exception_only(error)[-1].strip()
            message = f"the driver {act.run.step.driver} broke its promise: {last}; see the agent's log on this host"
            return Outcome(ok=False, code="driver_bug", message=message)

    def _result(self, act: Act) -> calls.Result:
        step, vm = act.run.step, act.run.vm
        family = verb_of(step).family
        if vm is not None and type(step) in _CHANGING:
            self._equipment.seals.unseal(vm.vm_id)
        place = self.place(act)
        if family is Family.AGENT:
            return self._equipment.own.carry_out(act, place)
        assert vm is not None, "the executor refuses steps without their VM"
        if family is Family.TRANSFER:
            return calls.transfer(self._equipment.drivers.transfer(step.driver), place, vm, step)
        return calls.hypervisor(self._equipment.drivers.hypervisor(step.driver), place, vm, step)

    def _leave_script(self, request: CarryOut) -> None:
        assert request.vm is not None
        try:
            directory = find(self._equipment.datastores, request.vm.datastore).vm_dir(request.vm.vm_id)
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            scripts.write(directory, request)
        except (OSError, DriverError) as error:
            _log.warning("script_not_written", subject=request.subject, error=str(error))


def _tell(run: RunStep, outcome: Outcome, duration_s: float) -> None:
    step = run.step
    values: dict[str, object] = {
        "driver": step.driver,
        "verb": verb_of(step).name,
        "undo": run.undo,
        "duration_s": round(duration_s, 4),
    }
    if run.vm is not None:
        values["vm_id"] = run.vm.vm_id
    if outcome.ok:
        _log.info("step_done", **values)
    else:
        _log.warning(
            "step_failed",
            code=outcome.code,
            message=outcome.message,
            argv=outcome.argv,
            exit_status=outcome.exit_status,
            stderr=outcome.stderr,
            **values,
        )

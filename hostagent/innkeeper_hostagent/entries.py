"""What the journal remembers: typed entries from which the executor's whole state can be told again.

Nothing here touches a file.
Adding an entry: a class here, its name in the union, its row in ``ledger.APPLY``.
"""

from typing import TypeAlias

from innkeeper_hostagent.legs import LegEvent
from innkeeper_hostagent.protocol.messages import CarryOut
from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import OperationId, Outcome, Value, Vm, VmId


class LegAccepted(Value, tag="leg_accepted"):
    """A leg that this host took on."""

    request: CarryOut
    #: Nothing of the VM was on this host before.
    newcomer: bool = False


class LegNamed(Value):
    """Which leg an entry is about."""

    operation_id: OperationId
    leg: int
    #: The leg was asked for with ``undo``.
    undo: bool


class LegRefused(LegNamed, tag="leg_refused"):
    """A leg that this host did not take on; a late copy of it is not taken on either."""

    reason: str


class LegClosed(LegNamed, tag="leg_closed"):
    """A leg that ended without a step of it having begun."""

    event: LegEvent
    reason: str = ""


class StepBegan(LegNamed, tag="step_began"):
    """Written before the step's first act: from now on it may be half done."""

    step_id: int
    #: All that a leg asked for with ``undo`` will run, in the entry of its first step; empty in every other one.
    todo: tuple[Step, ...] = ()


class StepFinished(LegNamed, tag="step_finished"):
    """How the step that ran last has ended, forwards or taking back."""

    step_id: int
    outcome: Outcome


class CancelHeard(LegNamed, tag="cancel_heard"):
    """The controller wants the running leg stopped and taken back."""


class OperationsForgotten(Value, tag="operations_forgotten"):
    """The controller knows how these ended; a late copy of one of their legs is refused."""

    operations: tuple[OperationId, ...]


class Tables(Value, tag="tables"):
    """What outlives operations; written when the journal is rewritten, replaces what was read before it."""

    #: ``{VM: highest generation ever seen}``
    generations: dict[VmId, int] = {}
    #: VMs that have something on this host.
    vms: tuple[Vm, ...] = ()
    forgotten: tuple[OperationId, ...] = ()


Entry: TypeAlias = (
    LegAccepted | LegRefused | LegClosed | StepBegan | StepFinished | CancelHeard | OperationsForgotten | Tables
)

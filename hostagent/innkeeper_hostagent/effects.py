"""What the executor wants done, as values; the shell carries them out after their entries are durable."""

from typing import TypeAlias

from innkeeper_hostagent.entries import Entry
from innkeeper_hostagent.protocol.messages import AgentMessage, CarryOut
from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import OperationId, Value, Vm


class RunStep(Value):
    """Carry out one step and tell ``on_step_ended``; it may have run before."""

    operation_id: OperationId
    leg: int
    step: Step
    vm: Vm | None
    #: The step takes another one back.
    undo: bool = False
    #: Files on datastores that other hosts see as well are left alone.
    spare_shared: bool = False


class CancelStep(Value):
    """Tell a running step to stop; it ends as usual, well or not."""

    operation_id: OperationId
    leg: int
    step_id: int


class WriteScript(Value):
    """Leave the leg's steps to read in the VM's directory before the first of them runs."""

    request: CarryOut


class TidyUp(Value):
    """Nothing of the VM is here any more: remove what only the agent wrote about it."""

    vm: Vm


class Send(Value):
    """Send a message to the controller."""

    message: AgentMessage


Effect: TypeAlias = RunStep | CancelStep | WriteScript | TidyUp | Send


class Reaction(Value):
    """What follows from one event: first the entries, in one durable write; then the effects, in their order."""

    entries: tuple[Entry, ...] = ()
    effects: tuple[Effect, ...] = ()

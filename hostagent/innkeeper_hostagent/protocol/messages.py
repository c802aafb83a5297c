"""The closed set of messages between the controller and its agents; ``docs/protocol.md`` says it in words.

Decoding validates everything and raises one error, ``BadMessageError``.
Bulk data never travels here.
Adding a message: a class here, its name in one of the two unions, its handler ``on_<tag>`` at the receiver,
its row in the table of ``docs/protocol.md``.
"""

from enum import StrEnum
from typing import TypeAlias

from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import (
    Advertisement,
    DatastoreFacts,
    Digest,
    Observation,
    OperationId,
    Outcome,
    Value,
    Vm,
    VmId,
)

#: Peers of another major version are refused; a higher minor version only adds.
PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0

#: No message may be longer once encoded; the sockets enforce it as well.
MAX_MESSAGE_BYTES = 1024 * 1024


# --- agent to controller -----------------------------------------------------------------------------------------


class Hello(Value, tag="hello"):
    """First message of every session; its answer is ``Welcome`` or ``Refused``."""

    major: int
    minor: int
    agent_version: str
    #: Name that the host gave itself when it joined; who it is, its key says.
    host_name: str
    #: Operations in the agent's journal that the controller has not yet confirmed.
    operations: tuple[OperationId, ...] = ()


class Join(Value, tag="join"):
    """Ask to be enrolled; sent with a key that is not known yet, and answered with ``Joined`` or ``Refused``."""

    major: int
    minor: int
    host_name: str
    token: str


class Advertise(Value, tag="advertise"):
    """All that the host says of itself; on connect and on change."""

    advertisement: Advertisement


class Heartbeat(Value, tag="heartbeat"):
    """What changes all the time; small."""

    cpu_used_cores: float
    memory_used_mib: int
    datastores: tuple[DatastoreFacts, ...] = ()
    #: Host clock, seconds since the epoch; only to tell the operator of a skew.
    clock_s: float = 0.0


class StepStarted(Value, tag="step_started"):
    """A step has been journalled and runs. Informs; may get lost or come late."""

    operation_id: OperationId
    leg: int
    step_id: int


class Progress(Value, tag="progress"):
    """How far a long step is; at most once a second and step."""

    operation_id: OperationId
    step_id: int
    done_bytes: int
    total_bytes: int


class LegStatus(StrEnum):
    """How a leg ended."""

    DONE = "done"
    #: A step failed and everything before it in the leg has been taken back.
    UNDONE = "undone"
    #: A step failed, and taking back failed as well or is not possible.
    FAILED = "failed"
    #: The controller cancelled it; everything has been taken back.
    CANCELLED = "cancelled"
    #: Never begun: stale generation, expired, or malformed; ``reason`` says which.
    REFUSED = "refused"


class LegEnded(Value, tag="leg_ended"):
    """A leg has ended; carries every outcome, so that no other report has to arrive."""

    operation_id: OperationId
    leg: int
    #: True where the leg was asked for with ``undo``.
    undo: bool
    status: LegStatus
    #: ``{step_id: outcome}`` of the steps that ran.
    outcomes: dict[int, Outcome]
    #: Stable code where the leg was refused: ``stale_generation``, ``expired``, ``busy``, ``unknown_driver``.
    reason: str = ""


class Observed(Value, tag="observed"):
    """Guests whose power state changed.

    ``complete`` where these are all guests of the host, and, as absent, all VMs that have only files on it.
    """

    guests: tuple[Observation, ...]
    complete: bool = False


class ImagesChanged(Value, tag="images_changed"):
    """Digests that came into the host's caches, or left them."""

    added: tuple[Digest, ...] = ()
    removed: tuple[Digest, ...] = ()


class ConsoleOutput(Value, tag="console_output"):
    """What a guest printed; ``ended`` with the reason in the last one of a stream."""

    stream_id: int
    data: bytes = b""
    ended: bool = False
    reason: str = ""


class Goodbye(Value, tag="goodbye"):
    """The agent ends on purpose; its guests run on."""

    reason: str


# --- controller to agent -----------------------------------------------------------------------------------------


class Welcome(Value, tag="welcome"):
    """The session is open."""

    host_id: int
    #: Name under which the controller knows the host.
    host_name: str
    heartbeat_interval_s: float
    #: Operations that the agent may forget: their end is durable at the controller.
    confirmed: tuple[OperationId, ...] = ()


class Joined(Value, tag="joined"):
    """The host is enrolled under the key that it asked with."""

    host_id: int
    host_name: str
    #: The controller's cluster: a host that has VMs of another one joins in vain.
    cluster_id: str = ""


class Refused(Value, tag="refused"):
    """No session: ``code`` is stable (``version``, ``unknown_key``, ``bad_token``, ``name_taken``)."""

    code: str
    message: str


class CarryOut(Value, tag="carry_out"):
    """Carry out one leg of a plan: consecutive steps on this host.

    The agent answers with ``LegEnded``, at once where it has ended that leg before.
    """

    operation_id: OperationId
    #: Request that caused it, for the logs of both sides.
    request_id: str
    #: Which leg of the operation, counted from 0.
    leg: int
    #: What the steps are about: ``vm:7``, ``image:3``; one operation at a time for each subject.
    subject: str
    #: Name of the operation's kind, for the transfer script.
    kind: str
    steps: tuple[Step, ...]
    #: Not to be begun later than this after it arrived.
    expires_in_s: float
    vm: Vm | None = None
    #: Take back a leg that ended ``done``, its last step first.
    undo: bool = False


class Cancel(Value, tag="cancel"):
    """Stop the operation as soon as it can be stopped, and take its leg back."""

    operation_id: OperationId


class Confirm(Value, tag="confirm"):
    """The operation's end is durable at the controller; the agent may forget it."""

    operations: tuple[OperationId, ...]


class Admit(Value, tag="admit"):
    """Let another host fetch these digests from this one."""

    #: Z85 text of the fetching host's CURVE public key.
    public_key: str
    digests: tuple[Digest, ...]
    expires_in_s: float


class OpenConsole(Value, tag="open_console"):
    """Open a guest's console; answered by ``ConsoleOutput`` of that stream."""

    stream_id: int
    vm_id: VmId
    generation: int


class ConsoleInput(Value, tag="console_input"):
    """Type into a console."""

    stream_id: int
    data: bytes


class CloseConsole(Value, tag="close_console"):
    """Nobody looks at that console any more."""

    stream_id: int


class Disown(Value, tag="disown"):
    """This guest is not (any more) this host's: switch it off and delete its files up to that generation."""

    vm_id: VmId
    generation: int
    #: The VM's: another VM of that number, which another controller gave it, is not to be touched.
    uuid: str = ""


AgentMessage: TypeAlias = (
    Hello
    | Join
    | Advertise
    | Heartbeat
    | StepStarted
    | Progress
    | LegEnded
    | Observed
    | ImagesChanged
    | ConsoleOutput
    | Goodbye
)
ControllerMessage: TypeAlias = (
    Welcome
    | Joined
    | Refused
    | CarryOut
    | Cancel
    | Confirm
    | Admit
    | OpenConsole
    | ConsoleInput
    | CloseConsole
    | Disown
)

"""The life of a VM: the one table of its moves, and the functions that read it.

The law:
1. A VM at rest moves by an operation along its route, by a plain request, or by an observation; by nothing else.
2. While an operation runs, only that operation moves the VM; observations wait.
3. An operation that fails and was taken back leaves the VM where it was, unless its route says FAILED; one that only
   changes a part of the VM does so in any case.
4. DONE is the end.

No state is set anywhere else; the diagram in ``docs/lifecycle.md`` is made from these tables.
"""

from dataclasses import dataclass

from innkeeper_controller.records import OperationKind
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import PowerState, VmState

PENDING, HOLD, PROLOG, BOOT = VmState.PENDING, VmState.HOLD, VmState.PROLOG, VmState.BOOT
RUNNING, UNKNOWN, SAVE, SUSPENDED = VmState.RUNNING, VmState.UNKNOWN, VmState.SAVE, VmState.SUSPENDED
STOPPED, POWEROFF, UNDEPLOYED = VmState.STOPPED, VmState.POWEROFF, VmState.UNDEPLOYED
MIGRATE, SHUTDOWN, EPILOG = VmState.MIGRATE, VmState.SHUTDOWN, VmState.EPILOG
FAILED, DONE = VmState.FAILED, VmState.DONE


class IllegalMoveError(InnkeeperError):
    """The table has no such move; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one kind of operation through the states."""

    origins: frozenset[VmState]
    #: States on the way, in order; a plan may leave some out.
    through: tuple[VmState, ...]
    #: Where it ends; None for where it began.
    to: VmState | None
    #: One sentence: what the operation is for.
    why: str
    #: True where a failure leaves the VM FAILED even when all was taken back.
    fails: bool = False
    #: Where it rests when a person cancelled it; None for where it began.
    cancelled: VmState | None = None
    #: True where a failure leaves the VM where it was even when it could not be taken back: its guest goes on.
    stays: bool = False


def _route(origins: set[VmState], through: tuple[VmState, ...], to: VmState | None, why: str) -> Route:
    return Route(frozenset(origins), through, to, why)


def _change(origins: set[VmState], why: str) -> tuple[Route, ...]:
    """Return the route of what changes a part of a VM, which goes on meanwhile."""
    return (Route(frozenset(origins), (), None, why, stays=True),)


#: ``{kind: its routes, the first that begins in the VM's state is taken}``
ROUTES: dict[OperationKind, tuple[Route, ...]] = {
    OperationKind.DEPLOY: (
        Route(
            frozenset({PENDING, HOLD}),
            (PROLOG, BOOT),
            RUNNING,
            "disks are made on the host, then the guest starts",
            fails=True,
            cancelled=HOLD,  # who cancels it does not want it deployed again at once
        ),
    ),
    OperationKind.SUSPEND: (_route({RUNNING}, (SAVE,), SUSPENDED, "memory is saved, the VM stays on its host"),),
    OperationKind.RESUME: (
        _route({SUSPENDED}, (BOOT,), RUNNING, "the guest goes on from its saved memory"),
        _route({POWEROFF}, (BOOT,), RUNNING, "the guest boots from its disks"),
    ),
    OperationKind.STOP: (
        _route({RUNNING}, (SAVE, EPILOG), STOPPED, "memory is saved and the host's capacity given back"),
        _route({SUSPENDED}, (EPILOG,), STOPPED, "the host's capacity is given back"),
    ),
    OperationKind.POWEROFF: (_route({RUNNING}, (SHUTDOWN,), POWEROFF, "the guest is off, the VM stays on its host"),),
    OperationKind.UNDEPLOY: (
        _route({RUNNING}, (SHUTDOWN, EPILOG), UNDEPLOYED, "the guest is off and the host's capacity given back"),
        _route({POWEROFF}, (EPILOG,), UNDEPLOYED, "the host's capacity is given back"),
    ),
    OperationKind.REBOOT: (_route({RUNNING}, (), None, "the guest is asked to restart"),),
    OperationKind.RESET: (_route({RUNNING}, (), None, "the guest restarts as by its reset button"),),
    OperationKind.MIGRATE: (
        _route(
            {RUNNING},
            (SAVE, SHUTDOWN, MIGRATE, BOOT, EPILOG),
            RUNNING,
            "saved or switched off, carried to another host, and goes on there",
        ),
        _route({SUSPENDED, POWEROFF}, (MIGRATE, EPILOG), None, "carried to another host at rest"),
    ),
    OperationKind.MIGRATE_LIVE: (
        _route({RUNNING}, (PROLOG, MIGRATE, EPILOG), RUNNING, "moved to another host while it runs"),
    ),
    OperationKind.SHUTDOWN: (_route({RUNNING}, (SHUTDOWN, EPILOG), DONE, "the guest powers off, then its disks go"),),
    OperationKind.TERMINATE: (
        _route({RUNNING, UNKNOWN}, (SHUTDOWN, EPILOG), DONE, "the guest is switched off and its disks go"),
        _route(
            {SUSPENDED, STOPPED, POWEROFF, UNDEPLOYED, FAILED, PENDING, HOLD},
            (SHUTDOWN, EPILOG),
            DONE,
            "what is left on a host goes",
        ),
    ),
    OperationKind.RECREATE: (
        _route(
            {RUNNING, UNKNOWN, SUSPENDED, STOPPED, POWEROFF, UNDEPLOYED, FAILED},
            (SHUTDOWN, EPILOG),
            PENDING,
            "what is on a host goes, and the VM waits again as at first",
        ),
    ),
    OperationKind.ATTACH_DISK: _change({RUNNING, POWEROFF}, "a disk is made and given to the VM"),
    OperationKind.DETACH_DISK: _change({RUNNING, POWEROFF}, "a disk is taken from the VM and goes"),
    OperationKind.ATTACH_NIC: _change({RUNNING, POWEROFF}, "the VM gets a network card"),
    OperationKind.DETACH_NIC: _change({RUNNING, POWEROFF}, "a network card is taken from the VM"),
    OperationKind.SNAPSHOT_CREATE: _change({RUNNING}, "the guest's memory and disks are kept"),
    OperationKind.SNAPSHOT_REVERT: _change({RUNNING}, "the guest is as it was at the snapshot"),
    OperationKind.SNAPSHOT_DELETE: _change({RUNNING, POWEROFF}, "the guest's snapshot is dropped"),
    OperationKind.DISK_SNAPSHOT_CREATE: _change({POWEROFF, SUSPENDED}, "a disk's content is kept"),
    OperationKind.DISK_SNAPSHOT_REVERT: _change({POWEROFF}, "a disk's content is as it was kept"),
    OperationKind.DISK_SNAPSHOT_DELETE: _change({POWEROFF, SUSPENDED}, "a disk's snapshot is dropped"),
    OperationKind.DISK_SAVEAS: _change({POWEROFF, SUSPENDED}, "a disk is copied as a new image"),
    OperationKind.DISK_RESIZE: _change({RUNNING, POWEROFF}, "a disk becomes larger"),
    OperationKind.RESIZE: _change({RUNNING}, "the running guest gets other processors and memory"),
}

#: ``{(state, request): state}`` for requests that need no host.
MOVES: dict[tuple[VmState, str], VmState] = {
    (PENDING, "hold"): HOLD,
    (HOLD, "release"): PENDING,
    (STOPPED, "resume"): PENDING,
    (UNDEPLOYED, "resume"): PENDING,
    (PENDING, "terminate"): DONE,
    (HOLD, "terminate"): DONE,
    (FAILED, "terminate"): DONE,
    # It waited for longer than it may; its addresses and files stay for another try.
    (PENDING, "timeout"): FAILED,
    (FAILED, "retry"): PENDING,
    (FAILED, "recreate"): PENDING,
    (FAILED, "rollback"): HOLD,
    (PENDING, "host_gone"): FAILED,
    (HOLD, "host_gone"): FAILED,
    (UNKNOWN, "host_gone"): FAILED,
    (RUNNING, "host_gone"): FAILED,
    (SUSPENDED, "host_gone"): FAILED,
    (POWEROFF, "host_gone"): FAILED,
    (STOPPED, "host_gone"): FAILED,
    (UNDEPLOYED, "host_gone"): FAILED,
    (RUNNING, "host_lost"): UNKNOWN,
}

_BUILT_ANEW = frozenset({PENDING, HOLD, POWEROFF, UNDEPLOYED})

#: ``{request: states}`` for requests that change what a VM has, or is to have, and leave it where it is.
CHANGES: dict[str, frozenset[VmState]] = {
    "resize": _BUILT_ANEW | {RUNNING},
    # A saved guest goes on as it was, whatever is said of it meanwhile.
    "update_conf": _BUILT_ANEW | {RUNNING, FAILED},
    "resched": frozenset({RUNNING}),
}

#: ``{(state, what its host says): state}`` for a VM at rest.
CORRECTIONS: dict[tuple[VmState, PowerState], VmState] = {
    (RUNNING, PowerState.OFF): POWEROFF,
    (RUNNING, PowerState.CRASHED): POWEROFF,
    (RUNNING, PowerState.ABSENT): POWEROFF,
    (UNKNOWN, PowerState.RUNNING): RUNNING,
    (UNKNOWN, PowerState.PAUSED): RUNNING,
    (UNKNOWN, PowerState.OFF): POWEROFF,
    (UNKNOWN, PowerState.CRASHED): POWEROFF,
    (UNKNOWN, PowerState.ABSENT): POWEROFF,
    (POWEROFF, PowerState.RUNNING): RUNNING,
    (SUSPENDED, PowerState.RUNNING): RUNNING,
}

#: States in which a VM takes its share of the capacity of its host, if it has one.
HOLDS_CAPACITY = frozenset(VmState) - {PENDING, HOLD, STOPPED, UNDEPLOYED, DONE}

#: States in which no operation runs unless a record says so.
AT_REST = frozenset({PENDING, HOLD, RUNNING, UNKNOWN, SUSPENDED, STOPPED, POWEROFF, UNDEPLOYED, FAILED, DONE})


def route(kind: OperationKind, origin: VmState) -> Route:
    """Return the way that this kind of operation takes from that state.

    Raises:
        IllegalMoveError: there is none; the text names the states that there is one from.
    """
    for candidate in ROUTES[kind]:
        if origin in candidate.origins:
            return candidate
    # Some verbs are an operation from one state and a plain move from another: resume of a STOPPED VM is one.
    possible = sorted(
        {state for candidate in ROUTES[kind] for state in candidate.origins}
        | {state for state, request in MOVES if request == kind}
    )
    raise IllegalMoveError(f"{kind} is possible for a VM that is {' or '.join(possible)}; this one is {origin}")


def move(state: VmState, request: str) -> VmState:
    """Return where a plain request brings the VM.

    Raises:
        IllegalMoveError: nowhere; the text names the states that it works in.
    """
    if (state, request) not in MOVES:
        possible = sorted(origin for origin, name in MOVES if name == request)
        raise IllegalMoveError(f"{request} is possible for a VM that is {' or '.join(possible)}; this one is {state}")
    return MOVES[state, request]


def check_change(request: str, state: VmState) -> None:
    """Let a request change what a VM in that state has.

    Raises:
        IllegalMoveError: it is not possible; the text names the states that it works in.
    """
    if state not in CHANGES[request]:
        possible = " or ".join(sorted(CHANGES[request]))
        raise IllegalMoveError(f"{request} is possible for a VM that is {possible}; this one is {state}")


def enter(kind: OperationKind, origin: VmState, state: VmState, phase: VmState) -> VmState:
    """Return the VM's state when a step of ``phase`` is heard to run; late reports change nothing.

    Raises:
        IllegalMoveError: the phase is not on the operation's way.
    """
    way = route(kind, origin).through
    if phase not in way:
        if phase == origin:
            return state
        raise IllegalMoveError(f"{kind} from {origin} never passes {phase}")
    if state in way and way.index(phase) <= way.index(state):
        return state
    return phase


def end(kind: OperationKind, origin: VmState, *, done: bool, taken_back: bool, cancelled: bool = False) -> VmState:
    """Return where the VM is when its operation has ended."""
    way = route(kind, origin)
    if done:
        return origin if way.to is None else way.to
    if taken_back and cancelled:
        return way.cancelled or origin
    return origin if (taken_back or way.stays) and not way.fails else FAILED


def correct(state: VmState, power: PowerState) -> VmState:
    """Return the state of a VM at rest once its host says that; mostly the same."""
    return CORRECTIONS.get((state, power), state)

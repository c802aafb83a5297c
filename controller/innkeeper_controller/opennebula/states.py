"""OpenNebula's two numbers for where a VM is, STATE and LCM_STATE, from our state and the operation that runs on it.

The tables are total together: the most particular one that knows the case answers. Nothing here reads a record.
"""

from typing import Final, NamedTuple

from innkeeper_controller.records import OperationKind
from innkeeper_plugins.vocabulary import VmState

S, K = VmState, OperationKind

ACTIVE: Final = 3


class Numbers(NamedTuple):
    """Where a VM is, in OpenNebula's numbers; the second is 0 unless the first is 3 (ACTIVE)."""

    state: int
    lcm_state: int = 0


def _active(lcm_state: int) -> Numbers:
    return Numbers(ACTIVE, lcm_state)


BOOT_FAILURE: Final = _active(36)

#: Of VMs that nothing is being done with, and of every case that the tables below do not know better.
AT_REST: Final[dict[VmState, Numbers]] = {
    S.PENDING: Numbers(1),
    S.HOLD: Numbers(2),
    S.PROLOG: _active(1),
    S.BOOT: _active(2),
    S.RUNNING: _active(3),
    S.UNKNOWN: _active(16),
    S.SAVE: _active(6),
    S.SUSPENDED: Numbers(5),
    S.STOPPED: Numbers(4),
    S.POWEROFF: Numbers(8),
    S.UNDEPLOYED: Numbers(9),
    S.MIGRATE: _active(4),
    S.SHUTDOWN: _active(12),
    S.EPILOG: _active(11),
    S.FAILED: BOOT_FAILURE,
    S.DONE: Numbers(6),
}

#: While an operation runs. Where the state is still that of rest, its first step has not been heard of yet.
DURING: Final[dict[tuple[VmState, OperationKind], Numbers]] = {
    (S.PENDING, K.DEPLOY): _active(1),  # PROLOG
    (S.HOLD, K.DEPLOY): _active(1),
    (S.PROLOG, K.DEPLOY): _active(1),
    (S.BOOT, K.DEPLOY): _active(2),  # BOOT
    (S.RUNNING, K.SUSPEND): _active(6),  # SAVE_SUSPEND
    (S.SAVE, K.SUSPEND): _active(6),
    (S.SUSPENDED, K.RESUME): _active(21),  # BOOT_SUSPENDED
    (S.POWEROFF, K.RESUME): _active(20),  # BOOT_POWEROFF
    (S.BOOT, K.RESUME): _active(21),
    (S.RUNNING, K.STOP): _active(5),  # SAVE_STOP
    (S.SAVE, K.STOP): _active(5),
    (S.SUSPENDED, K.STOP): _active(10),  # EPILOG_STOP
    (S.EPILOG, K.STOP): _active(10),
    (S.RUNNING, K.POWEROFF): _active(18),  # SHUTDOWN_POWEROFF
    (S.SHUTDOWN, K.POWEROFF): _active(18),
    (S.RUNNING, K.UNDEPLOY): _active(29),  # SHUTDOWN_UNDEPLOY
    (S.SHUTDOWN, K.UNDEPLOY): _active(29),
    (S.POWEROFF, K.UNDEPLOY): _active(30),  # EPILOG_UNDEPLOY
    (S.EPILOG, K.UNDEPLOY): _active(30),
    (S.RUNNING, K.REBOOT): _active(3),
    (S.RUNNING, K.RESET): _active(3),
    (S.RUNNING, K.MIGRATE): _active(7),  # SAVE_MIGRATE
    (S.SAVE, K.MIGRATE): _active(7),
    (S.SHUTDOWN, K.MIGRATE): _active(7),  # it is switched off instead of saved
    (S.MIGRATE, K.MIGRATE): _active(8),  # PROLOG_MIGRATE
    (S.BOOT, K.MIGRATE): _active(35),  # BOOT_MIGRATE
    (S.EPILOG, K.MIGRATE): _active(35),  # the old host is cleaned after the start on the new one
    (S.SUSPENDED, K.MIGRATE): _active(45),  # PROLOG_MIGRATE_SUSPEND
    (S.POWEROFF, K.MIGRATE): _active(43),  # PROLOG_MIGRATE_POWEROFF
    (S.RUNNING, K.MIGRATE_LIVE): _active(4),  # MIGRATE
    (S.PROLOG, K.MIGRATE_LIVE): _active(4),
    (S.MIGRATE, K.MIGRATE_LIVE): _active(4),
    (S.EPILOG, K.MIGRATE_LIVE): _active(4),
    **{(state, kind): _active(12) for kind in (K.SHUTDOWN, K.TERMINATE) for state in (S.RUNNING, S.SHUTDOWN)},
    **{(state, kind): _active(11) for kind in (K.SHUTDOWN, K.TERMINATE) for state in (S.EPILOG,)},
    (S.UNKNOWN, K.TERMINATE): _active(12),  # SHUTDOWN
    **{
        (state, K.TERMINATE): _active(11)  # EPILOG
        for state in (S.SUSPENDED, S.STOPPED, S.POWEROFF, S.UNDEPLOYED, S.FAILED, S.PENDING, S.HOLD)
    },
    **{
        (state, K.RECREATE): _active(15)  # CLEANUP_RESUBMIT
        for state in (
            *(S.RUNNING, S.UNKNOWN, S.SUSPENDED, S.STOPPED, S.POWEROFF, S.UNDEPLOYED, S.FAILED),
            *(S.SHUTDOWN, S.EPILOG),
        )
    },
    (S.RUNNING, K.ATTACH_DISK): _active(17),  # HOTPLUG
    (S.POWEROFF, K.ATTACH_DISK): _active(33),  # HOTPLUG_PROLOG_POWEROFF
    (S.RUNNING, K.DETACH_DISK): _active(17),
    (S.POWEROFF, K.DETACH_DISK): _active(34),  # HOTPLUG_EPILOG_POWEROFF
    (S.RUNNING, K.ATTACH_NIC): _active(25),  # HOTPLUG_NIC
    (S.POWEROFF, K.ATTACH_NIC): _active(65),  # HOTPLUG_NIC_POWEROFF
    (S.RUNNING, K.DETACH_NIC): _active(25),
    (S.POWEROFF, K.DETACH_NIC): _active(65),
    (S.RUNNING, K.SNAPSHOT_CREATE): _active(24),  # HOTPLUG_SNAPSHOT
    (S.RUNNING, K.SNAPSHOT_REVERT): _active(24),
    (S.RUNNING, K.SNAPSHOT_DELETE): _active(24),
    (S.POWEROFF, K.SNAPSHOT_CREATE): _active(24),
    (S.POWEROFF, K.SNAPSHOT_REVERT): _active(24),
    (S.POWEROFF, K.SNAPSHOT_DELETE): _active(24),
    (S.RUNNING, K.DISK_SNAPSHOT_CREATE): _active(57),  # DISK_SNAPSHOT
    (S.POWEROFF, K.DISK_SNAPSHOT_CREATE): _active(51),
    (S.SUSPENDED, K.DISK_SNAPSHOT_CREATE): _active(54),
    (S.RUNNING, K.DISK_SNAPSHOT_REVERT): _active(58),
    (S.POWEROFF, K.DISK_SNAPSHOT_REVERT): _active(52),
    (S.SUSPENDED, K.DISK_SNAPSHOT_REVERT): _active(55),
    (S.RUNNING, K.DISK_SNAPSHOT_DELETE): _active(59),
    (S.POWEROFF, K.DISK_SNAPSHOT_DELETE): _active(53),
    (S.SUSPENDED, K.DISK_SNAPSHOT_DELETE): _active(56),
    (S.RUNNING, K.DISK_SAVEAS): _active(26),  # HOTPLUG_SAVEAS
    (S.POWEROFF, K.DISK_SAVEAS): _active(27),
    (S.SUSPENDED, K.DISK_SAVEAS): _active(28),
    (S.UNDEPLOYED, K.DISK_SAVEAS): _active(67),
    (S.STOPPED, K.DISK_SAVEAS): _active(68),
    (S.RUNNING, K.DISK_RESIZE): _active(62),  # DISK_RESIZE
    (S.POWEROFF, K.DISK_RESIZE): _active(63),
    (S.UNDEPLOYED, K.DISK_RESIZE): _active(64),
    (S.RUNNING, K.RESIZE): _active(66),  # HOTPLUG_RESIZE
}

#: While an operation runs that began where the third says: STOPPED or UNDEPLOYED for a VM that waits for a host again.
FROM: Final[dict[tuple[VmState, OperationKind, VmState], Numbers]] = {
    **{(state, K.DEPLOY, S.STOPPED): _active(9) for state in (S.PENDING, S.HOLD, S.PROLOG)},  # PROLOG_RESUME
    (S.BOOT, K.DEPLOY, S.STOPPED): _active(22),  # BOOT_STOPPED
    **{(state, K.DEPLOY, S.UNDEPLOYED): _active(31) for state in (S.PENDING, S.HOLD, S.PROLOG)},  # PROLOG_UNDEPLOY
    (S.BOOT, K.DEPLOY, S.UNDEPLOYED): _active(32),  # BOOT_UNDEPLOY
    (S.BOOT, K.RESUME, S.POWEROFF): _active(20),
    **{(state, K.MIGRATE, S.SUSPENDED): _active(45) for state in (S.EPILOG, S.MIGRATE)},
    **{(state, K.MIGRATE, S.POWEROFF): _active(43) for state in (S.EPILOG, S.MIGRATE)},
}

#: Of FAILED VMs, by the operation that failed; others are BOOT_FAILURE, which a person may retry or end, too.
FAILURES: Final[dict[OperationKind, Numbers]] = {
    K.DEPLOY: _active(39),  # PROLOG_FAILURE
    K.SUSPEND: BOOT_FAILURE,
    K.RESUME: BOOT_FAILURE,
    K.STOP: _active(41),  # EPILOG_STOP_FAILURE
    K.POWEROFF: _active(40),  # EPILOG_FAILURE
    K.UNDEPLOY: _active(42),  # EPILOG_UNDEPLOY_FAILURE
    K.REBOOT: BOOT_FAILURE,
    K.RESET: BOOT_FAILURE,
    K.MIGRATE: _active(38),  # PROLOG_MIGRATE_FAILURE
    K.MIGRATE_LIVE: _active(37),  # BOOT_MIGRATE_FAILURE
    K.SHUTDOWN: _active(40),  # EPILOG_FAILURE
    K.TERMINATE: _active(40),
    K.RECREATE: _active(40),
}
#: The same where the step that failed was of this phase.
FAILURES_AT: Final[dict[tuple[OperationKind, VmState], Numbers]] = {
    (K.DEPLOY, S.BOOT): BOOT_FAILURE,
    (K.MIGRATE, S.BOOT): _active(37),  # BOOT_MIGRATE_FAILURE
}
#: The same where the operation began there, for the phases before BOOT and for BOOT.
FAILURES_FROM: Final[dict[tuple[OperationKind, VmState], tuple[Numbers, Numbers]]] = {
    (K.DEPLOY, S.STOPPED): (_active(49), _active(48)),  # PROLOG_RESUME_FAILURE, BOOT_STOPPED_FAILURE
    (K.DEPLOY, S.UNDEPLOYED): (_active(50), _active(47)),  # PROLOG_UNDEPLOY_FAILURE, BOOT_UNDEPLOY_FAILURE
    (K.MIGRATE, S.POWEROFF): (_active(44), _active(44)),  # PROLOG_MIGRATE_POWEROFF_FAILURE
    (K.MIGRATE, S.SUSPENDED): (_active(46), _active(46)),  # PROLOG_MIGRATE_SUSPEND_FAILURE
}


def numbers(state: VmState, kind: OperationKind | None = None, origin: VmState | None = None) -> Numbers:
    """Return where a VM is.

    Args:
        state: Ours.
        kind: The operation that runs on it; None for none.
        origin: Where the VM was at rest before; ``STOPPED`` or ``UNDEPLOYED`` for one that waited for a host again.
    """
    if kind is None:
        return AT_REST[state]
    if origin is not None and (state, kind, origin) in FROM:
        return FROM[state, kind, origin]
    return DURING.get((state, kind)) or AT_REST[state]


def failure(kind: OperationKind | None = None, origin: VmState | None = None, phase: VmState | None = None) -> Numbers:
    """Return where a FAILED VM is.

    Args:
        kind: The operation that failed; None where none did, but the host is gone.
        origin: As in ``numbers``.
        phase: That of the step which failed; None where none did.
    """
    if kind is None:
        return AT_REST[S.FAILED]
    if origin is not None and (kind, origin) in FAILURES_FROM:
        return FAILURES_FROM[kind, origin][phase is S.BOOT]
    if phase is not None and (kind, phase) in FAILURES_AT:
        return FAILURES_AT[kind, phase]
    return FAILURES.get(kind, AT_REST[S.FAILED])

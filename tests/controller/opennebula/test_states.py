"""OpenNebula's numbers, by the names that pyone has for them."""

import itertools

import pyone
import pytest

from innkeeper_controller import lifecycle
from innkeeper_controller.opennebula import numbers, states
from innkeeper_controller.records import HostState, ImageState, OperationKind
from innkeeper_plugins.vocabulary import VmState

S, K = VmState, OperationKind
#: Operations of images, which no VM is busy with.
OF_IMAGES = {K.IMPORT_IMAGE, K.DELETE_IMAGE}
ORIGINS = (None, *VmState)
PAIRS = list(itertools.product(VmState, (None, *OperationKind)))


def named(shown):
    """Return the numbers as OpenNebula's words."""
    if shown.state == states.ACTIVE:
        return pyone.LCM_STATE(shown.lcm_state).name
    assert shown.lcm_state == 0
    return pyone.VM_STATE(shown.state).name


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_every_state_has_numbers_whatever_is_being_done(state, kind):
    for origin in ORIGINS:
        assert named(states.numbers(state, kind, origin))


@pytest.mark.parametrize("kind", [None, *OperationKind])
def test_a_vm_whose_operation_failed_is_shown_as_a_failure(kind):
    for origin, phase in itertools.product(ORIGINS, ORIGINS):
        assert named(states.failure(kind, origin, phase)).endswith("_FAILURE")


def test_states_of_rest_have_the_numbers_that_clients_wait_for():
    assert {state: tuple(states.numbers(state)) for state in lifecycle.AT_REST - {S.FAILED}} == {
        S.PENDING: (1, 0),
        S.HOLD: (2, 0),
        S.RUNNING: (3, 3),
        S.UNKNOWN: (3, 16),
        S.STOPPED: (4, 0),
        S.SUSPENDED: (5, 0),
        S.DONE: (6, 0),
        S.POWEROFF: (8, 0),
        S.UNDEPLOYED: (9, 0),
    }


#: ``(kind, origin, {state on the way: OpenNebula's word})``, the state before the first step included.
WAYS = [
    (K.DEPLOY, S.PENDING, {S.PENDING: "PROLOG", S.PROLOG: "PROLOG", S.BOOT: "BOOT"}),
    (K.DEPLOY, S.HOLD, {S.HOLD: "PROLOG", S.PROLOG: "PROLOG", S.BOOT: "BOOT"}),
    (K.DEPLOY, S.STOPPED, {S.PENDING: "PROLOG_RESUME", S.PROLOG: "PROLOG_RESUME", S.BOOT: "BOOT_STOPPED"}),
    (K.DEPLOY, S.UNDEPLOYED, {S.PENDING: "PROLOG_UNDEPLOY", S.PROLOG: "PROLOG_UNDEPLOY", S.BOOT: "BOOT_UNDEPLOY"}),
    (K.SUSPEND, S.RUNNING, {S.RUNNING: "SAVE_SUSPEND", S.SAVE: "SAVE_SUSPEND"}),
    (K.RESUME, S.SUSPENDED, {S.SUSPENDED: "BOOT_SUSPENDED", S.BOOT: "BOOT_SUSPENDED"}),
    (K.RESUME, S.POWEROFF, {S.POWEROFF: "BOOT_POWEROFF", S.BOOT: "BOOT_POWEROFF"}),
    (K.STOP, S.RUNNING, {S.RUNNING: "SAVE_STOP", S.SAVE: "SAVE_STOP", S.EPILOG: "EPILOG_STOP"}),
    (K.STOP, S.SUSPENDED, {S.SUSPENDED: "EPILOG_STOP", S.EPILOG: "EPILOG_STOP"}),
    (K.POWEROFF, S.RUNNING, {S.RUNNING: "SHUTDOWN_POWEROFF", S.SHUTDOWN: "SHUTDOWN_POWEROFF"}),
    (
        K.UNDEPLOY,
        S.RUNNING,
        {S.RUNNING: "SHUTDOWN_UNDEPLOY", S.SHUTDOWN: "SHUTDOWN_UNDEPLOY", S.EPILOG: "EPILOG_UNDEPLOY"},
    ),
    (K.UNDEPLOY, S.POWEROFF, {S.POWEROFF: "EPILOG_UNDEPLOY", S.EPILOG: "EPILOG_UNDEPLOY"}),
    (K.REBOOT, S.RUNNING, {S.RUNNING: "RUNNING"}),
    (K.RESET, S.RUNNING, {S.RUNNING: "RUNNING"}),
    (
        K.MIGRATE,
        S.RUNNING,
        {
            S.RUNNING: "SAVE_MIGRATE",
            S.SAVE: "SAVE_MIGRATE",
            S.SHUTDOWN: "SAVE_MIGRATE",
            S.MIGRATE: "PROLOG_MIGRATE",
            S.BOOT: "BOOT_MIGRATE",
            S.EPILOG: "BOOT_MIGRATE",
        },
    ),
    (K.MIGRATE, S.SUSPENDED, dict.fromkeys((S.SUSPENDED, S.MIGRATE, S.EPILOG), "PROLOG_MIGRATE_SUSPEND")),
    (K.MIGRATE, S.POWEROFF, dict.fromkeys((S.POWEROFF, S.MIGRATE, S.EPILOG), "PROLOG_MIGRATE_POWEROFF")),
    (K.MIGRATE_LIVE, S.RUNNING, dict.fromkeys((S.RUNNING, S.PROLOG, S.MIGRATE, S.EPILOG), "MIGRATE")),
    (K.SHUTDOWN, S.RUNNING, {S.RUNNING: "SHUTDOWN", S.SHUTDOWN: "SHUTDOWN", S.EPILOG: "EPILOG"}),
    (K.TERMINATE, S.RUNNING, {S.RUNNING: "SHUTDOWN", S.SHUTDOWN: "SHUTDOWN", S.EPILOG: "EPILOG"}),
    (K.TERMINATE, S.UNKNOWN, {S.UNKNOWN: "SHUTDOWN", S.SHUTDOWN: "SHUTDOWN", S.EPILOG: "EPILOG"}),
    *(
        (K.TERMINATE, origin, {origin: "EPILOG", S.EPILOG: "EPILOG"})
        for origin in (S.SUSPENDED, S.STOPPED, S.POWEROFF, S.UNDEPLOYED, S.FAILED, S.PENDING, S.HOLD)
    ),
    (K.RECREATE, S.RUNNING, dict.fromkeys((S.RUNNING, S.SHUTDOWN, S.EPILOG), "CLEANUP_RESUBMIT")),
    (K.ATTACH_DISK, S.RUNNING, {S.RUNNING: "HOTPLUG"}),
    (K.ATTACH_DISK, S.POWEROFF, {S.POWEROFF: "HOTPLUG_PROLOG_POWEROFF"}),
    (K.DETACH_DISK, S.RUNNING, {S.RUNNING: "HOTPLUG"}),
    (K.DETACH_DISK, S.POWEROFF, {S.POWEROFF: "HOTPLUG_EPILOG_POWEROFF"}),
    *((kind, S.RUNNING, {S.RUNNING: "HOTPLUG_NIC"}) for kind in (K.ATTACH_NIC, K.DETACH_NIC)),
    *((kind, S.POWEROFF, {S.POWEROFF: "HOTPLUG_NIC_POWEROFF"}) for kind in (K.ATTACH_NIC, K.DETACH_NIC)),
    (K.SNAPSHOT_CREATE, S.RUNNING, {S.RUNNING: "HOTPLUG_SNAPSHOT"}),
    (K.SNAPSHOT_REVERT, S.RUNNING, {S.RUNNING: "HOTPLUG_SNAPSHOT"}),
    (K.SNAPSHOT_DELETE, S.RUNNING, {S.RUNNING: "HOTPLUG_SNAPSHOT"}),
    (K.SNAPSHOT_DELETE, S.POWEROFF, {S.POWEROFF: "HOTPLUG_SNAPSHOT"}),
    (K.DISK_SNAPSHOT_CREATE, S.RUNNING, {S.RUNNING: "DISK_SNAPSHOT"}),
    (K.DISK_SNAPSHOT_CREATE, S.POWEROFF, {S.POWEROFF: "DISK_SNAPSHOT_POWEROFF"}),
    (K.DISK_SNAPSHOT_CREATE, S.SUSPENDED, {S.SUSPENDED: "DISK_SNAPSHOT_SUSPENDED"}),
    (K.DISK_SNAPSHOT_REVERT, S.POWEROFF, {S.POWEROFF: "DISK_SNAPSHOT_REVERT_POWEROFF"}),
    (K.DISK_SNAPSHOT_REVERT, S.SUSPENDED, {S.SUSPENDED: "DISK_SNAPSHOT_REVERT_SUSPENDED"}),
    (K.DISK_SNAPSHOT_DELETE, S.RUNNING, {S.RUNNING: "DISK_SNAPSHOT_DELETE"}),
    (K.DISK_SNAPSHOT_DELETE, S.POWEROFF, {S.POWEROFF: "DISK_SNAPSHOT_DELETE_POWEROFF"}),
    (K.DISK_SNAPSHOT_DELETE, S.SUSPENDED, {S.SUSPENDED: "DISK_SNAPSHOT_DELETE_SUSPENDED"}),
    (K.DISK_SAVEAS, S.RUNNING, {S.RUNNING: "HOTPLUG_SAVEAS"}),
    (K.DISK_SAVEAS, S.POWEROFF, {S.POWEROFF: "HOTPLUG_SAVEAS_POWEROFF"}),
    (K.DISK_SAVEAS, S.SUSPENDED, {S.SUSPENDED: "HOTPLUG_SAVEAS_SUSPENDED"}),
    (K.DISK_SAVEAS, S.UNDEPLOYED, {S.UNDEPLOYED: "HOTPLUG_SAVEAS_UNDEPLOYED"}),
    (K.DISK_SAVEAS, S.STOPPED, {S.STOPPED: "HOTPLUG_SAVEAS_STOPPED"}),
    (K.DISK_RESIZE, S.RUNNING, {S.RUNNING: "DISK_RESIZE"}),
    (K.DISK_RESIZE, S.POWEROFF, {S.POWEROFF: "DISK_RESIZE_POWEROFF"}),
    (K.DISK_RESIZE, S.UNDEPLOYED, {S.UNDEPLOYED: "DISK_RESIZE_UNDEPLOYED"}),
    (K.RESIZE, S.RUNNING, {S.RUNNING: "HOTPLUG_RESIZE"}),
]


@pytest.mark.parametrize(("kind", "origin", "way"), WAYS)
def test_an_operation_is_shown_in_opennebulas_words(kind, origin, way):
    assert {state: named(states.numbers(state, kind, origin)) for state in way} == way


@pytest.mark.parametrize("kind", lifecycle.ROUTES)
def test_every_state_on_the_way_of_an_operation_has_a_row_of_its_own(kind):
    missing = [
        (origin, state)
        for way in lifecycle.ROUTES[kind]
        for origin in way.origins
        for state in (origin, *way.through)
        if (state, kind) not in states.DURING
    ]

    assert missing == []


@pytest.mark.parametrize(
    ("kind", "origin", "phase", "word"),
    [
        (None, None, None, "BOOT_FAILURE"),
        (K.DEPLOY, S.PENDING, S.PROLOG, "PROLOG_FAILURE"),
        (K.DEPLOY, S.PENDING, S.BOOT, "BOOT_FAILURE"),
        (K.DEPLOY, S.STOPPED, S.PROLOG, "PROLOG_RESUME_FAILURE"),
        (K.DEPLOY, S.STOPPED, S.BOOT, "BOOT_STOPPED_FAILURE"),
        (K.DEPLOY, S.UNDEPLOYED, None, "PROLOG_UNDEPLOY_FAILURE"),
        (K.DEPLOY, S.UNDEPLOYED, S.BOOT, "BOOT_UNDEPLOY_FAILURE"),
        (K.STOP, S.RUNNING, S.EPILOG, "EPILOG_STOP_FAILURE"),
        (K.UNDEPLOY, S.RUNNING, S.EPILOG, "EPILOG_UNDEPLOY_FAILURE"),
        (K.MIGRATE, S.RUNNING, S.MIGRATE, "PROLOG_MIGRATE_FAILURE"),
        (K.MIGRATE, S.RUNNING, S.BOOT, "BOOT_MIGRATE_FAILURE"),
        (K.MIGRATE, S.POWEROFF, S.MIGRATE, "PROLOG_MIGRATE_POWEROFF_FAILURE"),
        (K.MIGRATE, S.SUSPENDED, S.MIGRATE, "PROLOG_MIGRATE_SUSPEND_FAILURE"),
        (K.TERMINATE, S.RUNNING, S.EPILOG, "EPILOG_FAILURE"),
        (K.ATTACH_DISK, S.RUNNING, S.RUNNING, "BOOT_FAILURE"),
    ],
)
def test_a_failure_says_what_failed(kind, origin, phase, word):
    assert named(states.failure(kind, origin, phase)) == word


def test_every_operation_of_a_vm_has_an_action_of_opennebulas_history():
    shown = {kind: pyone.HISTORY_ACTION(numbers.HISTORY_ACTIONS[kind]).name for kind in OperationKind}

    assert {kind for kind, name in shown.items() if name == "none"} == OF_IMAGES
    assert {kind: shown[kind] for kind in (K.DEPLOY, K.SHUTDOWN, K.TERMINATE, K.MIGRATE_LIVE, K.SUSPEND)} == {
        K.DEPLOY: "deploy",
        K.SHUTDOWN: "terminate",
        K.TERMINATE: "terminate-hard",
        K.MIGRATE_LIVE: "live-migrate",
        K.SUSPEND: "suspend",
    }


def test_hosts_and_images_have_opennebulas_states():
    assert {state: pyone.HOST_STATES(numbers.HOST_STATES[state]).name for state in HostState} == {
        HostState.JOINING: "INIT",
        HostState.ON: "MONITORED",
        HostState.LOST: "ERROR",
        HostState.DISABLED: "DISABLED",
        HostState.DRAINING: "DISABLED",
        HostState.OFFLINE: "OFFLINE",
    }
    assert {state: pyone.IMAGE_STATES(numbers.IMAGE_STATES[state]).name for state in ImageState} == {
        ImageState.LOCKED: "LOCKED",
        ImageState.READY: "READY",
        ImageState.ERROR: "ERROR",
        ImageState.DISABLED: "DISABLED",
    }

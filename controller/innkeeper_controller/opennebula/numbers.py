"""OpenNebula's numbers for what Innkeeper has words for, except the states of VMs, which are in ``states``.

Nothing here reads a record.
"""

from typing import Final

from innkeeper_controller.records import HostState, ImageState, OperationKind

#: Stands for the number of somebody or something that is not there.
GONE: Final = -1

LOCK_LEVELS: Final = {"use": 1, "manage": 2, "admin": 3, "all": 4}

HOST_INIT: Final = 0
HOST_MONITORED: Final = 2
HOST_ERROR: Final = 3
HOST_DISABLED: Final = 4
HOST_OFFLINE: Final = 8
#: Of hosts whose agent is there.
HOST_STATES: Final = {
    HostState.JOINING: HOST_INIT,
    HostState.ON: HOST_MONITORED,
    HostState.LOST: HOST_ERROR,
    HostState.DISABLED: HOST_DISABLED,
    HostState.DRAINING: HOST_DISABLED,
    HostState.OFFLINE: HOST_OFFLINE,
}

#: By the words of ``images.image_state_word``.
IMAGE_STATES: Final[dict[str, int]] = {
    ImageState.READY: 1,
    "used": 2,
    ImageState.DISABLED: 3,
    ImageState.LOCKED: 4,
    ImageState.ERROR: 5,
    "delete": 7,
    "used_pers": 8,
}
IMAGE_TYPES: Final = {
    "os": 0,
    "cdrom": 1,
    "datablock": 2,
    "kernel": 3,
    "ramdisk": 4,
    "context": 5,
    "backup": 6,
    "filesystem": 7,
}
#: Where a disk's bytes lie: in a file, always; a CD-ROM is told apart.
DISK_FILE: Final = 0
DISK_CDROM: Final = 1

DATASTORE_TYPES: Final = {"image": 0, "system": 1, "file": 2, "backup": 3}
DATASTORE_READY: Final = 0
DATASTORE_DISABLED: Final = 1

NETWORK_READY: Final = 1

#: What ended a stay of a VM on a host, or was last begun in it: ours by operation, others by OpenNebula's words.
HISTORY_ACTIONS: Final[dict[str, int]] = {
    OperationKind.MIGRATE: 1,
    OperationKind.MIGRATE_LIVE: 2,
    OperationKind.UNDEPLOY: 5,
    "hold": 7,
    "release": 8,
    OperationKind.STOP: 9,
    OperationKind.SUSPEND: 10,
    OperationKind.RESUME: 11,
    "delete": 13,
    OperationKind.RECREATE: 14,
    OperationKind.REBOOT: 15,
    OperationKind.RESET: 16,
    "resched": 17,
    "unresched": 18,
    OperationKind.POWEROFF: 19,
    OperationKind.ATTACH_DISK: 21,
    OperationKind.DETACH_DISK: 22,
    OperationKind.ATTACH_NIC: 23,
    OperationKind.DETACH_NIC: 24,
    OperationKind.DISK_SNAPSHOT_CREATE: 25,
    OperationKind.DISK_SNAPSHOT_DELETE: 26,
    OperationKind.SHUTDOWN: 27,
    OperationKind.TERMINATE: 28,
    OperationKind.DISK_RESIZE: 29,
    OperationKind.DEPLOY: 30,
    OperationKind.RESIZE: 35,
    OperationKind.SNAPSHOT_CREATE: 37,
    OperationKind.SNAPSHOT_DELETE: 38,
    OperationKind.SNAPSHOT_REVERT: 39,
    OperationKind.DISK_SAVEAS: 40,
    OperationKind.DISK_SNAPSHOT_REVERT: 41,
    "recover": 42,
    "retry": 43,
    # Images have no history.
    OperationKind.IMPORT_IMAGE: 0,
    OperationKind.DELETE_IMAGE: 0,
}
NO_ACTION: Final = 0

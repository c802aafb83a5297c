"""Rows of ``one.vm.*``: what a VM goes through."""

from typing import Any, Final

from innkeeper_controller.opennebula.arguments import Argument, integer, text, truth
from innkeeper_controller.opennebula.methods.table import Call, Method, change, choice
from innkeeper_controller.opennebula.methods.terms import (
    APPEND,
    decimal_in,
    locking,
    number_in,
    oid,
    ownership,
    pairs_of,
    simple,
    update,
)
from innkeeper_controller.turn import RefusalError

ABOUT: Final = "virtual machine"
VM: Final = oid("vm")
_DISK: Final = integer("disk id")
_SNAPSHOT: Final = integer("snapshot id")
_TEMPLATE: Final = text("template")

#: ``{word: (request, its parameters beside the VM)}``
_Actions = dict[str, tuple[str, dict[str, object]]]
_ACTIONS_OF_TODAY: Final[_Actions] = {
    "terminate": ("vm.terminate", {"hard": False}),
    "terminate-hard": ("vm.terminate", {"hard": True}),
    "undeploy": ("vm.undeploy", {"hard": False}),
    "undeploy-hard": ("vm.undeploy", {"hard": True}),
    "poweroff": ("vm.poweroff", {"hard": False}),
    "poweroff-hard": ("vm.poweroff", {"hard": True}),
    "reboot": ("vm.reboot", {"hard": False}),
    "reboot-hard": ("vm.reboot", {"hard": True}),
    "hold": ("vm.hold", {}),
    "release": ("vm.release", {}),
    "stop": ("vm.stop", {}),
    "suspend": ("vm.suspend", {}),
    "resume": ("vm.resume", {}),
    "resched": ("vm.resched", {}),
    "unresched": ("vm.unresched", {}),
}
#: Words of older versions, and of clients that never learned others.
_OLDER_ACTIONS: Final[_Actions] = {
    "shutdown": ("vm.terminate", {"hard": False}),
    "shutdown-hard": ("vm.terminate", {"hard": True}),
    "cancel": ("vm.terminate", {"hard": True}),
    "finalize": ("vm.terminate", {"hard": True}),
    "delete": ("vm.terminate", {"hard": True}),
    "restart": ("vm.resume", {}),
    "boot": ("vm.resume", {}),
    "reset": ("vm.reboot", {"hard": True}),
    "delete-recreate": ("vm.recover", {"how": "recreate"}),
}
ACTIONS: Final = _ACTIONS_OF_TODAY | _OLDER_ACTIONS
#: ``{operation of one.vm.recover: our word}``
RECOVERIES: Final = {0: "failure", 1: "success", 2: "retry", 3: "delete", 4: "recreate", 5: "delete"}
#: ``{type of one.vm.migrate: our word}``
MIGRATIONS: Final = {0: "", 1: "off", 2: "hard"}


def _act(call: Call) -> tuple[str, dict[str, object]]:
    found = ACTIONS.get(call["action"].strip().lower())
    if found is None:
        raise RefusalError("bad_request", f'Action "{call["action"][:40]}" is not supported')
    return found[0], {"vm_id": call["vm id"], **found[1]}


def _recover(call: Call) -> dict[str, object]:
    how = RECOVERIES.get(call["operation"])
    if how is None:
        raise RefusalError("bad_request", f"Recover operation {call['operation']} is none of 0 to 5.")
    return {"vm_id": call["vm id"], "how": how}


def _deploy(call: Call) -> dict[str, object]:
    if call["extra template"].strip():
        text_ = "A template at deployment cannot change a VM here; use one.vm.update or one.vm.updateconf before it."
        raise RefusalError("bad_request", text_)
    return {"vm_id": call["vm id"], "host": str(call["host id"])}


def _migrate(call: Call) -> dict[str, object]:
    off = MIGRATIONS.get(call["type"])
    if off is None:
        raise RefusalError("bad_request", f"Migration type {call['type']} is none of 0, 1 and 2.")
    return {"vm_id": call["vm id"], "host": str(call["host id"]), "live": call["live"], "off": off}


def _resize(call: Call) -> dict[str, object]:
    pairs = pairs_of(call["template"])
    return {
        "vm_id": call["vm id"],
        "cpu_cores": decimal_in(pairs, "CPU"),
        "vcpus": number_in(pairs, "VCPU"),
        "memory_mib": number_in(pairs, "MEMORY"),
        "enforce": call["enforce"],
    }


def _size_mib(size: str) -> dict[str, object]:
    return {"size_mib": number_in({"SIZE": size}, "SIZE")}


def _with_disk(request: str, method: str, *more: Argument, **params: str) -> Method:
    """Return a row about a disk; ``params`` name the arguments that further parameters come from."""

    def given(call: Call) -> dict[str, object]:
        others = {key: call[argument] for key, argument in params.items()}
        return {"vm_id": call["vm id"], "disk_id": call["disk id"], **others}

    return change(method, (VM, _DISK, *more), request, given, about=ABOUT)


def _snapshot(name: str, request: str) -> Method:
    return simple(name, "vm", request, _SNAPSHOT, lambda snapshot: {"snapshot_id": snapshot}, ABOUT)


def _new_number(field: str) -> Any:  # noqa: ANN401 - picks from several types of answers
    return lambda _call, answer: getattr(answer, field)


LIFE: Final = (
    change(
        "one.vm.allocate",
        (_TEMPLATE, truth("hold", default=False)),
        "vm.submit",
        lambda call: {"template": call["template"], "hold": call["hold"]},
        answer=lambda _call, answer: answer.vm_ids[0],
        makes_new=True,
    ),
    change(
        "one.vm.deploy",
        (
            VM,
            integer("host id"),
            truth("enforce", default=False),
            integer("datastore id", -1),
            text("extra template", ""),
        ),
        "vm.deploy",
        _deploy,
        about=ABOUT,
        note="Capacity is always enforced; the datastore is the one that the images lie in.",
    ),
    choice(
        "one.vm.action",
        (text("action"), VM),
        tuple(sorted({request for request, _ in ACTIONS.values()})),
        _act,
        answer=lambda call, _: call["vm id"],
        about=ABOUT,
        note="Also the words of older versions: " + ", ".join(_OLDER_ACTIONS) + ".",
    ),
    change(
        "one.vm.migrate",
        (
            VM,
            integer("host id"),
            truth("live", default=False),
            truth("enforce", default=False),
            integer("datastore id", -1),
            integer("type", 0),
        ),
        "vm.migrate",
        _migrate,
        about=ABOUT,
        note="Type 0 saves, 1 powers off, 2 powers off hard. Capacity is always enforced.",
    ),
    change(
        "one.vm.recover",
        (VM, integer("operation")),
        "vm.recover",
        _recover,
        about=ABOUT,
        note="0 failure, 1 success, 2 retry, 3 delete, 4 recreate, 5 delete.",
    ),
    change("one.vm.resize", (VM, _TEMPLATE, truth("enforce", default=True)), "vm.resize", _resize, about=ABOUT),
    change(
        "one.vm.updateconf",
        (VM, _TEMPLATE, APPEND),
        "vm.update_conf",
        lambda call: {"vm_id": call["vm id"], "template": call["template"], "append": bool(call["append"])},
        about=ABOUT,
    ),
)

DEVICES: Final = (
    simple("one.vm.attach", "vm", "vm.attach_disk", _TEMPLATE, lambda template: {"template": template}, ABOUT),
    simple("one.vm.detach", "vm", "vm.detach_disk", _DISK, lambda disk: {"disk_id": disk}, ABOUT),
    simple("one.vm.attachnic", "vm", "vm.attach_nic", _TEMPLATE, lambda template: {"template": template}, ABOUT),
    simple("one.vm.detachnic", "vm", "vm.detach_nic", integer("nic id"), lambda nic: {"nic_id": nic}, ABOUT),
    change(
        "one.vm.diskresize",
        (VM, _DISK, text("size")),
        "vm.disk_resize",
        lambda call: {"vm_id": call["vm id"], "disk_id": call["disk id"], **_size_mib(call["size"])},
        about=ABOUT,
        note="The size is in MiB, as a text.",
    ),
    change(
        "one.vm.disksaveas",
        (VM, _DISK, text("name"), text("type", ""), integer("snapshot id", -1)),
        "vm.disk_saveas",
        lambda call: {
            "vm_id": call["vm id"],
            "disk_id": call["disk id"],
            "name": call["name"],
            "type": call["type"].lower(),
            "snapshot_id": call["snapshot id"],
        },
        answer=_new_number("image_id"),
        makes_new=True,
        about=ABOUT,
    ),
)

SNAPSHOTS: Final = (
    change(
        "one.vm.snapshotcreate",
        (VM, text("name", "")),
        "vm.snapshot_create",
        lambda call: {"vm_id": call["vm id"], "name": call["name"]},
        answer=lambda call, answer: getattr(answer, "snapshot_id", call["vm id"]),
        about=ABOUT,
    ),
    _snapshot("one.vm.snapshotrevert", "vm.snapshot_revert"),
    _snapshot("one.vm.snapshotdelete", "vm.snapshot_delete"),
    change(
        "one.vm.disksnapshotcreate",
        (VM, _DISK, text("name", "")),
        "vm.disk_snapshot_create",
        lambda call: {"vm_id": call["vm id"], "disk_id": call["disk id"], "name": call["name"]},
        answer=lambda call, answer: getattr(answer, "snapshot_id", call["vm id"]),
        about=ABOUT,
    ),
    _with_disk("vm.disk_snapshot_revert", "one.vm.disksnapshotrevert", _SNAPSHOT, snapshot_id="snapshot id"),
    _with_disk("vm.disk_snapshot_delete", "one.vm.disksnapshotdelete", _SNAPSHOT, snapshot_id="snapshot id"),
    _with_disk(
        "vm.disk_snapshot_rename",
        "one.vm.disksnapshotrename",
        _SNAPSHOT,
        text("name"),
        snapshot_id="snapshot id",
        name="name",
    ),
)

SCHEDULED: Final = (
    change(
        "one.vm.schedadd",
        (VM, _TEMPLATE),
        "vm.schedule_add",
        lambda call: {"vm_id": call["vm id"], "template": call["template"]},
        answer=_new_number("action_id"),
        about=ABOUT,
    ),
    change(
        "one.vm.schedupdate",
        (VM, integer("action id"), _TEMPLATE),
        "vm.schedule_update",
        lambda call: {"vm_id": call["vm id"], "action_id": call["action id"], "template": call["template"]},
        answer=lambda call, _: call["action id"],
        about=ABOUT,
    ),
    change(
        "one.vm.scheddelete",
        (VM, integer("action id")),
        "vm.schedule_delete",
        lambda call: {"vm_id": call["vm id"], "action_id": call["action id"]},
        answer=lambda call, _: call["action id"],
        about=ABOUT,
    ),
)

METHODS: Final = (
    *LIFE,
    *DEVICES,
    *SNAPSHOTS,
    *SCHEDULED,
    update("vm", "vm", ABOUT),
    *ownership("vm", "vm", ABOUT),
    *locking("vm", "vm", ABOUT),
)

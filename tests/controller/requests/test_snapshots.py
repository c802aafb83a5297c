"""Snapshots of guests and disks, and disks that become images."""

import msgspec
from tests.controller.builders import ANN, a_vm, ask, digest, end_leg, finish, now, outcome_of, refusal
from tests.controller.requests.test_hotplug import a_place, plan_of

from innkeeper_controller.records import DiskSnapshot, ImageState, VmSnapshot
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.vocabulary import VmState

replace = msgspec.structs.replace


def test_a_guest_is_kept_brought_back_and_dropped():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    for name in ("one", ""):
        ask(reactor, "vm.snapshot_create", user=ANN, vm_id=vm.vm_id, name=name)
        end_leg(reactor, vm, results={0: {"hypervisor_id": f"id-{name}"}})
    ask(reactor, "vm.snapshot_revert", user=ANN, vm_id=vm.vm_id, snapshot_id=0)
    lines = plan_of(reactor, vm)
    finish(reactor, vm)
    kept = now(reactor, vm).snapshots
    ask(reactor, "vm.snapshot_delete", user=ANN, vm_id=vm.vm_id, snapshot_id=1)
    finish(reactor, vm)
    third = ask(reactor, "vm.snapshot_create", user=ANN, vm_id=vm.vm_id, name="three")

    one = VmSnapshot(snapshot_id=0, name="one", at_s=1000.0, hypervisor_id="id-one", active=True)
    two = VmSnapshot(snapshot_id=1, name="snapshot-1", at_s=1000.0, hypervisor_id="id-")
    assert lines == [(1, ["0 RUNNING simulated snapshot_revert guest snapshot 0"])]
    assert kept == (one, two)
    assert (now(reactor, vm).snapshots, third.snapshot_id) == ((one,), 2)


def test_snapshots_of_a_disk_know_what_they_were_made_after():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF)
    for _ in range(3):
        ask(reactor, "vm.disk_snapshot_create", user=ANN, vm_id=vm.vm_id, disk_id=0)
        finish(reactor, vm)
    ask(reactor, "vm.disk_snapshot_rename", user=ANN, vm_id=vm.vm_id, disk_id=0, snapshot_id=2, name="last")
    ask(reactor, "vm.disk_snapshot_delete", user=ANN, vm_id=vm.vm_id, disk_id=0, snapshot_id=1)
    finish(reactor, vm)
    ask(reactor, "vm.disk_snapshot_revert", user=ANN, vm_id=vm.vm_id, disk_id=0, snapshot_id=0)
    lines = plan_of(reactor, vm)
    finish(reactor, vm)

    size_bytes = vm.spec.disks[0].size_bytes
    first = DiskSnapshot(disk_id=0, snapshot_id=0, name="snapshot-0", at_s=1000.0, size_bytes=size_bytes, active=True)
    assert lines == [(1, ["0 POWEROFF qcow2 snapshot_revert disk.0 snapshot 0"])]
    assert now(reactor, vm).disk_snapshots == (
        first,
        replace(first, snapshot_id=2, name="last", parent_id=0, active=False),
    )


def test_a_snapshot_that_failed_leaves_nothing():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.snapshot_create", user=ANN, vm_id=vm.vm_id)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("tool_failed")})

    assert (now(reactor, vm).snapshots, now(reactor, vm).state) == ((), VmState.RUNNING)


def test_a_disk_at_rest_is_saved_as_an_image():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF)
    answer = ask(reactor, "vm.disk_saveas", user=ANN, vm_id=vm.vm_id, disk_id=0, name="kept")
    image_id, locked = answer.image_id, reactor.cluster.images[answer.image_id].state
    found = {"sha256": digest("9"), "size_bytes": 5, "virtual_size_bytes": 7, "format": "qcow2"}
    end_leg(reactor, vm, results={0: found})
    image = reactor.cluster.images[image_id]

    assert (locked, image.state, image.sha256, image.home) == (ImageState.LOCKED, ImageState.READY, digest("9"), 1)


def test_a_disk_that_could_not_be_saved_leaves_an_image_that_says_why():
    reactor = a_place()
    vm = a_vm(reactor, VmState.SUSPENDED)
    answer = ask(reactor, "vm.disk_saveas", user=ANN, vm_id=vm.vm_id, disk_id=0, name="kept")
    lines = plan_of(reactor, vm)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("no_space")})
    image = reactor.cluster.images[answer.image_id]

    assert lines == [(1, ["0 SUSPENDED agent save_image disk.0 as image 1"])]
    assert (image.state, image.error) == (ImageState.ERROR, "it says no_space")


def test_disks_of_running_guests_are_not_saved_and_the_refusal_says_what_to_do():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    refused = refusal(lambda: ask(reactor, "vm.disk_saveas", user=ANN, vm_id=vm.vm_id, disk_id=0, name="kept"))

    assert str(refused) == (
        "The guest of VM 0 writes to its disks; power it off or suspend it first, then save the disk."
    )

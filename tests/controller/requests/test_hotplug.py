"""Disks, NICs, sizes and configuration of VMs that stay: what is sent, what is reserved, what is given back."""

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    change,
    digest,
    drivers,
    end_leg,
    finish,
    now,
    operation_of,
    outcome_of,
    refusal,
    script,
)

from innkeeper_controller.records import Host
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.vocabulary import DriverFacts, DriverKind, VmState

replace = msgspec.structs.replace

DISK = "DISK = [ IMAGE = tiny ]"
VOLATILE = "DISK = [ TYPE = fs, SIZE = 10, FS = ext4 ]"
NIC = "NIC = [ NETWORK = lan ]"
ABLE = ("console", "save", "migrate", "hotplug", "snapshot", "resize")


def able(host: Host) -> Host:
    """Return the host with a hypervisor and a transfer driver that can do all."""
    has = (
        *drivers(abilities=("live", "snapshot"))[:-1],
        DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated", capabilities=ABLE),
    )
    return replace(host, advertisement=replace(host.advertisement, drivers=has))


def a_place(**settings):
    """Return a reactor with two hosts that can do all."""
    hosts = [able(a_host(number, images=[digest("e")])) for number in (1, 2)]
    return a_reactor(*hosts, an_image(), a_network(), **settings)


def plan_of(reactor, vm):
    return script(operation_of(reactor, vm).plan)


def test_a_disk_is_made_and_then_given_to_the_running_guest():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    answer = ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=VOLATILE)

    assert (answer.disk_id, answer.state) == (1, "RUNNING")
    assert plan_of(reactor, vm) == [
        (1, ["0 RUNNING qcow2 mkimage disk.1", "1 RUNNING simulated attach_disk disk.1"]),
    ]
    assert [(disk.disk_id, disk.target) for disk in finish(reactor, vm).spec.disks] == [(0, "vda"), (1, "vdb")]


def test_a_vm_that_is_off_gets_its_disk_without_its_hypervisor():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF)
    ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK)

    assert plan_of(reactor, vm) == [(1, ["0 POWEROFF qcow2 clone disk.1"])]
    assert finish(reactor, vm).state is VmState.POWEROFF


def test_a_disk_that_could_not_be_attached_is_given_back_and_its_number_never_used_again():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={1: outcome_of("tool_failed")})
    after = now(reactor, vm)
    again = ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK)

    assert (after.state, [disk.disk_id for disk in after.spec.disks]) == (VmState.RUNNING, [0])
    assert again.disk_id == 2


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (VmState.RUNNING, ["0 RUNNING simulated detach_disk disk.0", "1 RUNNING qcow2 delete disk.0"]),
        (VmState.POWEROFF, ["0 POWEROFF qcow2 delete disk.0"]),
    ],
)
def test_a_detached_disk_stays_in_the_vm_until_it_is_gone(state, lines):
    reactor = a_place()
    vm = a_vm(reactor, state)
    ask(reactor, "vm.detach_disk", user=ANN, vm_id=vm.vm_id, disk_id=0)
    during = now(reactor, vm).spec.disks

    assert plan_of(reactor, vm) == [(1, lines)]
    assert (during, finish(reactor, vm).spec.disks) == (vm.spec.disks, ())
    assert ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK).disk_id == 1


def test_a_persistent_disk_becomes_its_image_again_before_it_goes():
    reactor = a_place()
    change(reactor, reactor.cluster.images[0], persistent=True)
    vm = a_vm(reactor, VmState.POWEROFF)
    ask(reactor, "vm.detach_disk", user=ANN, vm_id=vm.vm_id, disk_id=0)
    found = {"sha256": digest("9"), "size_bytes": 5, "virtual_size_bytes": 7, "format": "qcow2"}
    end_leg(reactor, vm, results={0: found})

    assert reactor.cluster.images[0].sha256 == digest("9")
    assert now(reactor, vm).spec.disks == ()


@pytest.mark.parametrize("verb", ["terminate", "shutdown"])
def test_a_vm_that_ends_leaves_its_persistent_disks_as_images(verb):
    reactor = a_place()
    change(reactor, reactor.cluster.images[0], persistent=True)
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, f"vm.{verb}", user=ANN, vm_id=vm.vm_id, hard=True)

    assert plan_of(reactor, vm)[0][1][-2:] == [
        f"{len(plan_of(reactor, vm)[0][1]) - 2} EPILOG agent save_image disk.0 as image 0",
        f"{len(plan_of(reactor, vm)[0][1]) - 1} EPILOG qcow2 delete all files",
    ]


def test_a_nic_has_its_address_from_the_start_and_gives_it_back_where_it_could_not_be_attached():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.attach_nic", user=ANN, vm_id=vm.vm_id, template=NIC)
    during = sorted(lease.nic_id for lease in reactor.cluster.leases.values())
    lines = plan_of(reactor, vm)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("tool_failed")})

    assert (during, lines) == ([0, 1], [(1, ["0 RUNNING simulated attach_nic nic.1"])])
    assert [lease.nic_id for lease in reactor.cluster.leases.values()] == [0]
    assert [nic.nic_id for nic in now(reactor, vm).spec.nics] == [0]


def test_a_vm_that_is_off_gets_and_loses_nics_at_once():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF)
    attached = ask(reactor, "vm.attach_nic", user=ANN, vm_id=vm.vm_id, template=NIC)
    ask(reactor, "vm.detach_nic", user=ANN, vm_id=vm.vm_id, nic_id=0)
    after = now(reactor, vm)

    assert (attached.nic_id, attached.operation_id) == (1, "")
    assert ([nic.nic_id for nic in after.spec.nics], after.state) == ([1], VmState.POWEROFF)
    assert [lease.nic_id for lease in reactor.cluster.leases.values()] == [1]


def test_a_detached_nic_gives_its_address_back_once_it_is_gone():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.detach_nic", user=ANN, vm_id=vm.vm_id, nic_id=0)
    during = len(reactor.cluster.leases)
    finish(reactor, vm)

    assert (during, len(reactor.cluster.leases)) == (1, 0)


@pytest.mark.parametrize(
    ("request_name", "params", "code"),
    [
        ("attach_disk", {"template": NIC}, "bad_template"),
        ("attach_disk", {"template": "DISK = [ IMAGE = tiny, TARGET = vda ]"}, "bad_template"),
        ("attach_disk", {"template": "DISK = [ IMAGE = nothing ]"}, "bad_template"),
        ("attach_nic", {"template": DISK}, "bad_template"),
        ("attach_nic", {"template": "NIC = [ NETWORK = lan, MAC = 02:00:0a:00:00:07 ]"}, "forbidden"),
        ("attach_nic", {"template": "NIC = [ NETWORK = nothing ]"}, "not_found"),
        ("detach_disk", {"disk_id": 7}, "not_found"),
        ("detach_nic", {"nic_id": 7}, "not_found"),
        ("snapshot_revert", {"snapshot_id": 0}, "not_found"),
        ("disk_resize", {"disk_id": 0, "size_mib": 1}, "bad_request"),
        ("resize", {"memory_mib": 0}, "bad_request"),
        ("resize", {"memory_mib": 1_000_000}, "no_capacity"),
        ("disk_saveas", {"disk_id": 0, "name": "kept"}, "wrong_state"),
        ("disk_snapshot_create", {"disk_id": 0}, "wrong_state"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(request_name, params, code):
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    refused = refusal(lambda: ask(reactor, f"vm.{request_name}", user=ANN, vm_id=vm.vm_id, **params))

    assert refused is not None
    assert refused.code == code
    assert now(reactor, vm) == vm
    assert len(reactor.cluster.leases) == 1


def test_a_hypervisor_that_cannot_plug_is_not_asked_to():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    refused = refusal(lambda: ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK))

    assert refused is not None
    assert str(refused) == "Hypervisor simulated on h1 has no hotplug for a running guest; power VM 0 off first."


def test_a_disk_beyond_the_quota_is_refused():
    reactor = a_place()
    change(reactor, reactor.cluster.users["ann"], limits={"vm.system_disk_size": 150.0})
    vm = a_vm(reactor, VmState.POWEROFF)
    refused = refusal(lambda: ask(reactor, "vm.attach_disk", user=ANN, vm_id=vm.vm_id, template=DISK))

    assert refused is not None
    assert refused.code == "over_quota"


def test_the_share_of_a_vm_at_rest_is_a_number_that_changes_at_once():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF)
    answer = ask(reactor, "vm.resize", user=ANN, vm_id=vm.vm_id, cpu_cores=2.0, memory_mib=1024)
    after = now(reactor, vm).spec

    assert (answer.operation_id, after.cpu_cores, after.vcpus, after.memory_mib) == ("", 2.0, 1, 1024)
    assert reactor.cluster.used[1].memory_mib == 1024


def test_a_running_guest_takes_its_new_share_from_the_start_and_gives_it_back_where_that_failed():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.resize", user=ANN, vm_id=vm.vm_id, vcpus=2, memory_mib=1024)
    lines, during = plan_of(reactor, vm), reactor.cluster.used[1].memory_mib
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("tool_failed")})

    assert (lines, during) == ([(1, ["0 RUNNING simulated resize 2 vcpus, 1024 MiB"])], 1024)
    assert (now(reactor, vm).spec, reactor.cluster.used[1].memory_mib) == (vm.spec, 512)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (VmState.RUNNING, "0 RUNNING simulated grow_disk disk.0 to 209715200 bytes"),
        (VmState.POWEROFF, "0 POWEROFF qcow2 resize disk.0 to 209715200 bytes"),
    ],
)
def test_a_disk_grows_while_the_guest_runs_or_is_off(state, line):
    reactor = a_place()
    vm = a_vm(reactor, state)
    ask(reactor, "vm.disk_resize", user=ANN, vm_id=vm.vm_id, disk_id=0, size_mib=200)

    assert plan_of(reactor, vm) == [(1, [line])]
    assert finish(reactor, vm).spec.disks[0].size_bytes == 200 * 1024 * 1024


def test_a_changed_context_is_made_anew_at_the_next_boot():
    reactor = a_place()
    vm = a_vm(reactor, VmState.POWEROFF, template=BARE + 'CONTEXT = [ A = "1" ]\n')
    text = 'CONTEXT = [ B = "2" ]\nGRAPHICS = [ TYPE = vnc, LISTEN = 0.0.0.0 ]'
    ask(reactor, "vm.update_conf", user=ANN, vm_id=vm.vm_id, template=text)
    changed = now(reactor, vm)
    ask(reactor, "vm.resume", user=ANN, vm_id=vm.vm_id)

    assert (changed.spec.context, changed.spec.graphics.listen) == ({"A": "1", "B": "2"}, "0.0.0.0")
    assert plan_of(reactor, vm)[0][1] == [
        "0 BOOT qcow2 context context.iso",
        "1 BOOT simulated deploy start the guest",
    ]
    assert not finish(reactor, vm).context_changed


def test_only_what_the_next_boot_builds_can_be_reconfigured():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    codes = [
        refusal(lambda text=text: ask(reactor, "vm.update_conf", vm_id=vm.vm_id, template=text)).code
        for text in ("MEMORY = 5", "OS = [ BOOT = disk7 ]", "CONTEXT = [")
    ]

    assert codes == ["bad_template"] * 3


def test_a_vm_may_be_recreated_from_wherever_it_is():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.recover", user=ANN, vm_id=vm.vm_id, how="recreate")
    lines = plan_of(reactor, vm)
    after = finish(reactor, vm)

    assert lines == [(1, ["0 SHUTDOWN simulated cancel off", "1 EPILOG qcow2 delete all files"])]
    assert (after.state, after.host_id, len(reactor.cluster.leases)) == (VmState.PENDING, None, 1)


def test_a_recovery_that_deletes_saves_nothing():
    reactor = a_place()
    change(reactor, reactor.cluster.images[0], persistent=True)
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.recover", user=ANN, vm_id=vm.vm_id, how="delete")

    assert plan_of(reactor, vm) == [(1, ["0 SHUTDOWN simulated cancel off", "1 EPILOG qcow2 delete all files"])]


def test_a_guest_is_moved_off_and_boots_anew():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", off="hard")
    first = plan_of(reactor, vm)
    end_leg(reactor, vm)

    assert first == [(1, ["0 SHUTDOWN simulated cancel off", "1 MIGRATE agent seal all files"])]
    assert plan_of(reactor, vm)[1][1][-1] == "3 BOOT simulated deploy start the guest"
    assert finish(reactor, vm).host_id == 2


def test_an_ending_that_was_asked_for_while_a_nic_came_gives_all_addresses_back():
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.attach_nic", user=ANN, vm_id=vm.vm_id, template=NIC)
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id, hard=True)
    end_leg(reactor, vm, LegStatus.CANCELLED)
    finish(reactor, vm)

    assert (reactor.cluster.leases, dict(reactor.cluster.vms)) == ({}, {})


@pytest.mark.parametrize(("user", "code"), [(ANN, "no_capacity"), (ADMIN, "")])
def test_only_administrators_may_give_a_vm_more_than_its_host_has(user, code):
    reactor = a_place()
    vm = a_vm(reactor, VmState.RUNNING)

    refused = refusal(lambda: ask(reactor, "vm.resize", vm_id=vm.vm_id, cpu_cores=1000.0, enforce=False, user=user))

    assert (refused.code if refused is not None else "") == code

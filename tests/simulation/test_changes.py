"""Disks, NICs, snapshots and sizes of VMs under faults: nothing leaks, and what is told of a VM's stays is true."""

import itertools

import pytest
from tests.simulation.test_cluster import RUNS, SEED, check_at_rest, check_nothing_lost, settle, submit, with_network
from tests.simulation.world import World, vm_records

from innkeeper_plugins.vocabulary import PowerState, VmState

VERBS = (
    ("vm.attach_disk", {"template": "DISK = [ TYPE = fs, SIZE = 5 ]"}),
    ("vm.attach_disk", {"template": "DISK = [ TYPE = swap, SIZE = 5 ]"}),
    ("vm.detach_disk", {"disk_id": 0}),
    ("vm.detach_disk", {"disk_id": 1}),
    ("vm.detach_disk", {"disk_id": 2}),
    ("vm.attach_nic", {"template": "NIC = [ NETWORK = lan ]"}),
    ("vm.attach_nic", {"template": "NIC = [ NETWORK = lan ]"}),
    ("vm.detach_nic", {"nic_id": 0}),
    ("vm.detach_nic", {"nic_id": 1}),
    ("vm.snapshot_create", {}),
    ("vm.snapshot_revert", {"snapshot_id": 0}),
    ("vm.snapshot_delete", {"snapshot_id": 0}),
    ("vm.disk_snapshot_create", {"disk_id": 0}),
    ("vm.disk_snapshot_revert", {"disk_id": 0, "snapshot_id": 0}),
    ("vm.disk_snapshot_delete", {"disk_id": 0, "snapshot_id": 0}),
    ("vm.disk_resize", {"disk_id": 1, "size_mib": 50}),
    ("vm.resize", {"cpu_cores": 1.5, "vcpus": 2, "memory_mib": 700}),
    ("vm.resize", {"memory_mib": 400}),
    ("vm.schedule_add", {"template": 'SCHED_ACTION = [ ACTION = poweroff-hard, TIME = "+5" ]'}),
    ("vm.resched", {}),
    ("vm.migrate", {"off": "hard"}),
    ("vm.migrate", {"live": True}),
    ("vm.poweroff", {"hard": True}),
    ("vm.resume", {}),
    ("vm.resume", {}),
    ("vm.recover", {"how": "retry"}),
    ("vm.recover", {"how": "rollback"}),
    ("vm.recover", {"how": "recreate"}),
    ("vm.release", {}),
    ("vm.cancel", {}),
    ("vm.terminate", {"hard": True}),
)


def live(world):
    for _ in range(60):
        if world.random.random() < 0.2:
            submit(world, world.random.choice((1, 2)))
        known = sorted(vm_records(world))
        for _ in range(2 if known else 0):
            name, params = world.random.choice(VERBS)
            world.controller.request(name, vm_id=world.random.choice(known), **params)
        world.run(world.random.uniform(0.1, 4.0))
        check_history(world)


def check_history(world):
    """Check the law of stays: in order of time, at most one that goes on, and that where the VM is."""
    cluster = world.controller.reactor.cluster
    for vm_id, vm in vm_records(world).items():
        stays = cluster.history_of.get(vm_id, ())
        going_on = [stay.host_id for stay in stays if stay.ended_at_s is None]
        assert going_on == [each for each in (vm.host_id,) if each is not None], f"seed {world.seed}: VM {vm_id}"
        assert [stay.seq for stay in stays] == list(range(len(stays)))
        for stay in stays:
            for name in ("prolog", "running", "epilog"):
                began, ended = getattr(stay, f"{name}_began_s"), getattr(stay, f"{name}_ended_s")
                assert ended is None or stay.began_at_s <= began <= ended, f"seed {world.seed}: {stay}"
        for before, after in itertools.pairwise(stays):
            assert before.ended_at_s <= after.began_at_s, f"seed {world.seed}: {before} {after}"


def check_nothing_leaked(world):
    """Check that leases, files and what guests have are those of the VMs' specifications."""
    cluster = world.controller.reactor.cluster
    wanted = {(vm_id, nic.nic_id) for vm_id, vm in vm_records(world).items() for nic in vm.spec.nics}
    assert {(each.vm_id, each.nic_id) for each in cluster.leases.values()} == wanted, f"seed {world.seed}"
    for machine in world.machines.values():
        for vm_id, files in machine.files.items():
            vm = vm_records(world)[vm_id]
            disks = {f"disk.{disk.disk_id}" for disk in vm.spec.disks}
            made = {name for name in files if name.startswith("disk.")}
            assert vm.state is VmState.FAILED or made <= disks, f"seed {world.seed}: VM {vm_id}: {made - disks}"
        for vm_id, guest in machine.guests.items():
            vm = vm_records(world)[vm_id]
            if guest.power is PowerState.RUNNING and vm.state is VmState.RUNNING:
                # A disk that the guest has let go of stays in the VM until its file is deleted as well.
                assert guest.disks <= {disk.disk_id for disk in vm.spec.disks}, f"seed {world.seed}: VM {vm_id}"
                assert guest.nics == {nic.nic_id for nic in vm.spec.nics}, f"seed {world.seed}: VM {vm_id}"


@pytest.mark.parametrize("run", range(RUNS))
def test_what_vms_have_is_what_is_said_of_them_whatever_breaks(run):
    world = with_network(World(SEED * 1000 + run, hosts=3))
    live(world)
    settle(world)

    check_at_rest(world)
    check_nothing_lost(world)
    check_nothing_leaked(world)
    check_history(world)
    for vm_id in list(vm_records(world)):
        world.controller.request("vm.terminate", vm_id=vm_id, hard=True)
    world.run(120)
    assert (vm_records(world), world.controller.reactor.cluster.leases) == ({}, {}), f"seed {world.seed}"
    assert [machine.files for machine in world.machines.values()] == [{}, {}, {}], f"seed {world.seed}"

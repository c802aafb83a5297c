"""The whole cluster under faults: safe at every moment, and at rest once the faults have stopped."""

import os

import pytest
from tests.simulation.world import Faults, World, vm_records

from innkeeper_plugins.vocabulary import VmState

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))
TEMPLATE = (
    'CPU = 1\nMEMORY = 512\nDISK = [ TYPE = fs, SIZE = 10 ]\nNIC = [ NETWORK = "lan" ]\nCONTEXT = [ NETWORK = "YES" ]\n'
)
QUIET = Faults(0.0, 0.0, 0.01, 0.0, 0.0, 0.0)
REST = {VmState.PENDING, VmState.HOLD, VmState.RUNNING, VmState.SUSPENDED, VmState.STOPPED, VmState.POWEROFF}
REST |= {VmState.UNDEPLOYED, VmState.FAILED}

VERBS = (
    ("vm.suspend", {}),
    ("vm.resume", {}),
    ("vm.stop", {}),
    ("vm.poweroff", {"hard": False}),
    ("vm.undeploy", {"hard": True}),
    ("vm.reboot", {"hard": False}),
    ("vm.migrate", {"live": True}),
    ("vm.migrate", {"live": False}),
    ("vm.shutdown", {"hard": False}),
    ("vm.terminate", {"hard": False}),
    ("vm.recover", {"how": "retry"}),
    ("vm.recover", {"how": "rollback"}),
    ("vm.release", {}),
    ("vm.cancel", {}),
)


def with_network(world):
    world.run(2)
    world.controller.request("network.add", name="lan", ranges=({"size": 60, "ip": "10.0.0.1"},), bridge="")
    return world


def submit(world, count=1):
    answer = world.controller.request("vm.submit", template=TEMPLATE, count=count)
    if answer is not None:
        world.acknowledged.extend(answer.vm_ids)


def live(world):
    """Do things to VMs as people do, at random, for a while."""
    for _ in range(60):
        if world.random.random() < 0.4:
            submit(world, world.random.choice((1, 1, 3)))
        known = sorted(vm_records(world))
        if known:
            name, params = world.random.choice(VERBS)
            world.controller.request(name, vm_id=world.random.choice(known), **params)
        world.run(world.random.uniform(0.1, 4.0))


def settle(world):
    world.heal()
    world.run(120)


def check_at_rest(world):
    """Check what must hold once nothing happens any more: nothing stuck, nothing orphaned, nothing leaked."""
    cluster = world.controller.reactor.cluster
    assert not cluster.running, f"seed {world.seed}: stuck: {[cluster.operations[o] for o in cluster.running]}"
    states = {vm_id: vm.state for vm_id, vm in vm_records(world).items()}
    assert set(states.values()) <= REST, f"seed {world.seed}: {states}"
    running = {vm_id: vm.host_id for vm_id, vm in vm_records(world).items() if vm.state is VmState.RUNNING}
    guests = {
        int(vm_id): machine.host_id
        for machine in world.machines.values()
        for vm_id, guest in machine.guests.items()
        if guest.power == "running"
    }
    assert guests == running, f"seed {world.seed}"
    for machine in world.machines.values():
        owners = {int(vm_id) for vm_id in machine.files}
        homes = {vm_id for vm_id, vm in vm_records(world).items() if machine.host_id in {vm.host_id, vm.sealed_on}}
        failed = {vm_id for vm_id, state in states.items() if state is VmState.FAILED}
        assert owners <= homes | failed, f"seed {world.seed}: leaked on {machine.name}: {owners - homes}"


def check_nothing_lost(world):
    known = set(vm_records(world)) | {
        key for kind, key, fields in world.log if kind == "vm" and fields and fields.get("state") == "DONE"
    }
    assert set(world.acknowledged) <= known, f"seed {world.seed}"
    assert world.replayed() == world.controller.reactor.cluster or records_of(world.replayed()) == records_of(
        world.controller.reactor.cluster
    ), f"seed {world.seed}"


def records_of(cluster):
    return {name: dict(getattr(cluster, name)) for name in ("vms", "hosts", "networks", "leases", "images", "users")}


def test_a_submitted_vm_runs_on_a_host_with_its_leased_address():
    world = with_network(World(SEED, hosts=2, faults=QUIET))
    submit(world)
    world.run(10)

    (vm,) = vm_records(world).values()
    assert (vm.state, vm.spec.nics[0].ip, vm.spec.nics[0].mac) == (VmState.RUNNING, "10.0.0.1", "02:00:0a:00:00:01")


@pytest.mark.parametrize("run", range(RUNS))
def test_the_cluster_is_safe_under_faults_and_at_rest_after_them(run):
    world = with_network(World(SEED * 1000 + run, hosts=3))
    live(world)
    settle(world)

    check_at_rest(world)
    check_nothing_lost(world)


def test_every_address_is_free_again_when_every_vm_is_gone():
    world = with_network(World(SEED, hosts=2))
    live(world)
    settle(world)
    for vm_id in list(vm_records(world)):
        world.controller.request("vm.terminate", vm_id=vm_id, hard=True)
    world.run(120)

    assert vm_records(world) == {}
    assert world.controller.reactor.cluster.leases == {}
    assert [machine.files for machine in world.machines.values()] == [{}, {}]
    assert [machine.guests for machine in world.machines.values()] == [{}, {}]

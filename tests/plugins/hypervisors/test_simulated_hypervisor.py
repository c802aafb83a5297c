"""The simulated hypervisor: what it adds to the contract."""

import msgspec
import pytest

from innkeeper_plugins.conformance.guests import failure_of, said
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import simulated
from innkeeper_plugins.protocols import checkpoint_path
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, Nic, Observation, PowerState, Vm, VmId

RUNNING, OFF, ABSENT = PowerState.RUNNING, PowerState.OFF, PowerState.ABSENT


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now_s = 1000.0

    def read(self):
        return self.now_s

    def sleep(self, wait_s):
        self.now_s += wait_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def place(tmp_path):
    return LocalPlace(tmp_path)


def make_vm(vm_id=7, **changes):
    values = {
        "vm_id": VmId(vm_id),
        "name": f"vm-{vm_id}",
        "uuid": f"00000000-0000-4000-8000-{vm_id:012}",
        "generation": 1,
        "cpu_cores": 0.5,
        "vcpus": 1,
        "memory_mib": 128,
        "hypervisor": "simulated",
    }
    return Vm(**{**values, **changes})


def make(clock, world=None, **config):
    return simulated.make(config, sleep=clock.sleep, clock=clock.read, world=world)


DISK = Disk(
    disk_id=1,
    kind=DiskKind.VOLATILE,
    datastore="default",
    driver="simulated",
    format=DiskFormat.QCOW2,
    size_bytes=1 << 20,
    target="vdb",
)


def changes_of(driver, place, vm):
    return {
        "attach_disk": lambda: driver.attach_disk(place, vm, DISK),
        "detach_disk": lambda: driver.detach_disk(place, vm, DISK),
        "attach_nic": lambda: driver.attach_nic(place, vm, NIC),
        "detach_nic": lambda: driver.detach_nic(place, vm, NIC),
        "snapshot_create": lambda: driver.snapshot_create(place, vm, 1, "one"),
        "snapshot_revert": lambda: driver.snapshot_revert(place, vm, 1, ""),
        "snapshot_delete": lambda: driver.snapshot_delete(place, vm, 1, ""),
        "grow_disk": lambda: driver.grow_disk(place, vm, DISK, 2 << 20),
        "resize": lambda: driver.resize(place, vm, 1, 64),
    }


NIC = Nic(nic_id=1, network="lan", mac="02:00:0a:00:00:17", ip="10.0.0.17")
#: What has to be there before a change has something to do.
BEFORE = {
    "detach_disk": "attach_disk",
    "grow_disk": "attach_disk",
    "detach_nic": "attach_nic",
    "snapshot_revert": "snapshot_create",
    "snapshot_delete": "snapshot_create",
}
CHANGES = sorted(changes_of(None, None, None))


@pytest.mark.parametrize("verb", CHANGES)
@pytest.mark.parametrize(("order", "code"), [("fail", "tool_failed"), ("hang", "timeout"), ("lie", None)])
def test_every_change_of_a_running_guest_fails_hangs_and_lies_as_ordered(clock, place, verb, order, code):
    driver, vm = make(clock, hang_s=5.0, **{order: {verb: 1.0}}), make_vm()
    driver.deploy(place, vm)
    changes = changes_of(driver, place, vm)
    if verb in BEFORE:
        changes[BEFORE[verb]]()
    if verb == "snapshot_revert":
        driver.reboot(place, vm)
    before = driver._store.get(vm.vm_id)

    assert failure_of(changes[verb]) == code
    assert driver._store.get(vm.vm_id) == before


def test_a_deaf_guest_does_not_let_go_of_what_is_detached(clock, place):
    driver, vm = make(clock, deaf=True), make_vm()
    driver.deploy(place, vm)
    changes = changes_of(driver, place, vm)
    for attach in ("attach_disk", "attach_nic"):
        changes[attach]()

    assert [failure_of(changes[detach]) for detach in ("detach_disk", "detach_nic")] == ["timeout", "timeout"]


def test_the_address_of_a_card_comes_and_goes_with_it(clock, place):
    driver, vm = make(clock), make_vm()
    driver.deploy(place, vm)
    driver.attach_nic(place, vm, NIC)
    between = driver._store.get(vm.vm_id).ips
    driver.detach_nic(place, vm, NIC)

    assert (between, driver._store.get(vm.vm_id).ips) == (("10.0.0.17",), ())


def test_the_console_greets_with_the_name_and_the_leased_addresses(clock, place):
    nics = (
        Nic(nic_id=0, network="lan", mac="02:00:0a:00:00:07", ip="10.0.0.7"),
        Nic(nic_id=1, network="wan", mac="02:00:0a:00:00:08"),
    )
    driver, vm = make(clock), make_vm(nics=nics)
    driver.deploy(place, vm)
    console = driver.console(place, vm)
    console.write(b"ls\n")
    driver.reboot(place, vm)

    assert console.read(0) == (
        b"simulated guest vm-7 ip=10.0.0.7 boots=1 ready\r\nls\nsimulated guest vm-7 ip=10.0.0.7 boots=2 ready\r\n"
    )
    assert console.read(0) == b""


def test_a_console_that_nobody_reads_keeps_only_the_newest(clock, place):
    driver, vm = make(clock), make_vm()
    driver.deploy(place, vm)
    console = driver.console(place, vm)
    for number in range(200):
        console.write(b"%1024d" % number)

    shown = console.read(0)

    assert shown.endswith(b" 199")
    assert len(shown) <= 64 * 1024


def test_cpu_time_passes_while_a_guest_runs_and_stays_while_it_does_not(clock, place):
    driver, vm = make(clock), make_vm()
    driver.deploy(place, vm)
    clock.sleep(10)
    running = driver.poll()
    driver.shutdown(place, vm, grace_s=1, force=False)
    clock.sleep(10)

    assert running == [
        Observation(vm_id=vm.vm_id, generation=1, power=RUNNING, cpu_time_s=5.0, memory_mib=128, uuid=vm.uuid)
    ]
    assert driver.poll() == [Observation(vm_id=vm.vm_id, generation=1, power=OFF, cpu_time_s=5.0, uuid=vm.uuid)]


def test_every_change_is_told_to_the_watchers_until_the_driver_is_closed(clock, place):
    driver, vm, told = make(clock), make_vm(), []
    driver.watch(lambda seen: told.append((seen.generation, seen.power)))
    driver.deploy(place, vm)
    driver.crash(vm.vm_id)
    driver.deploy(place, msgspec.structs.replace(vm, generation=2))
    driver.cancel(place, msgspec.structs.replace(vm, generation=2))
    driver.close()
    driver.deploy(place, msgspec.structs.replace(vm, generation=3))

    assert told == [(1, RUNNING), (1, PowerState.CRASHED), (2, RUNNING), (2, ABSENT)]


def test_a_deaf_guest_takes_its_whole_grace_and_can_be_cancelled_meanwhile(clock, place):
    driver, vm = make(clock, deaf=True), make_vm()
    driver.deploy(place, vm)

    assert failure_of(lambda: driver.shutdown(place, vm, grace_s=30, force=False)) == "timeout"
    assert clock.now_s == 1030
    place.cancel_after = 5
    assert failure_of(lambda: driver.shutdown(place, vm, grace_s=30, force=True)) == "cancelled"
    assert (clock.now_s, said(driver, vm)) == (1035, [(vm.vm_id, 1, RUNNING)])
    place.cancel_after = None
    driver.shutdown(place, vm, grace_s=30, force=True)
    assert said(driver, vm) == [(vm.vm_id, 1, OFF)]


def test_verbs_are_as_slow_as_they_are_told_to_be(clock, place):
    driver, vm = make(clock, latency_s={"deploy": 2.0, "cancel": 0.5}), make_vm()
    driver.deploy(place, vm)
    driver.poll()
    driver.cancel(place, vm)

    assert clock.now_s == pytest.approx(1002.5)


def test_the_calls_that_were_named_fail_and_change_nothing(clock, place):
    driver, vm = make(clock, fail={"deploy": [1], "save": [1]}, fail_code="no_space"), make_vm()

    assert failure_of(lambda: driver.deploy(place, vm)) == "no_space"
    assert driver.poll() == []
    driver.deploy(place, vm)
    assert failure_of(lambda: driver.save(place, vm)) == "no_space"
    assert said(driver, vm) == [(vm.vm_id, 1, RUNNING)]
    assert not checkpoint_path(place, vm).exists()


def test_the_same_seed_fails_the_same_calls(clock, place):
    def failures(seed):
        driver = make(clock, fail={"deploy": 0.3}, seed=seed)
        return [failure_of(lambda n=n: driver.deploy(place, make_vm(n))) for n in range(40)]

    assert failures(1) == failures(1)
    assert failures(1) != failures(2)
    assert set(failures(1)) == {None, "tool_failed"}


def test_a_verb_that_hangs_does_so_until_it_is_cancelled(clock, place):
    driver, vm = make(clock, hang={"deploy": [1]}), make_vm()
    place.cancel_after = 100

    assert failure_of(lambda: driver.deploy(place, vm)) == "cancelled"
    assert clock.now_s == pytest.approx(1010)
    assert driver.poll() == []


def test_a_lying_poll_says_the_opposite_and_a_lying_verb_does_nothing(clock, place):
    driver, vm = make(clock, lie={"poll": [1], "cancel": [1]}), make_vm()
    driver.deploy(place, vm)

    assert said(driver, vm) == [(vm.vm_id, 1, OFF)]
    driver.cancel(place, vm)
    assert said(driver, vm) == [(vm.vm_id, 1, RUNNING)]
    driver.cancel(place, vm)
    assert driver.poll() == []


def test_an_order_for_a_verb_that_does_not_exist_is_refused(clock):
    with pytest.raises(ValueError, match="did you mean 'deploy'"):
        make(clock, fail={"deplyo": 1.0})
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        make(clock, latencies=1)


def test_a_guest_moves_to_another_host_of_its_world_once(clock, place):
    world, told = simulated.World(), []
    here, there = make(clock, world, host="h1"), make(clock, world, host="h2")
    there.watch(lambda seen: told.append((seen.generation, seen.power)))
    vm = make_vm()
    here.deploy(place, vm)
    later = msgspec.structs.replace(vm, generation=2)
    for _ in range(2):
        here.migrate(place, later, destination_uri=there.migration_uri(), shared_storage=True)

    assert (there.migration_uri(), here.poll()) == ("sim:h2", [])
    assert said(there, vm) == [(vm.vm_id, 2, RUNNING)]
    assert told == [(2, RUNNING)]


@pytest.mark.parametrize(("uri", "code"), [("sim:h9", "tool_failed"), ("qemu:///system", "tool_failed")])
def test_a_guest_that_cannot_move_stays(clock, place, uri, code):
    driver, vm = make(clock, simulated.World(), host="h1"), make_vm()
    driver.deploy(place, vm)

    assert failure_of(lambda: driver.migrate(place, vm, destination_uri=uri, shared_storage=True)) == code
    assert said(driver, vm) == [(vm.vm_id, 1, RUNNING)]


def test_a_host_that_knows_a_guest_of_a_later_life_does_not_take_an_earlier_one(clock, place):
    world, vm = simulated.World(), make_vm()
    here, there = make(clock, world, host="h1"), make(clock, world, host="h2")
    here.deploy(place, vm)
    there.deploy(place, msgspec.structs.replace(vm, generation=2))

    assert failure_of(lambda: here.migrate(place, vm, destination_uri="sim:h2", shared_storage=True)) == "refused"
    assert said(here, vm) == [(vm.vm_id, 1, RUNNING)]


def test_a_guest_that_runs_nowhere_cannot_move(clock, place):
    driver = make(clock, simulated.World(), host="h1")

    assert (
        failure_of(lambda: driver.migrate(place, make_vm(), destination_uri="sim:h1", shared_storage=True))
        == "guest_missing"
    )


def test_hosts_in_different_processes_move_guests_through_their_directories(clock, place, tmp_path):
    here = make(clock, state_directory=str(tmp_path / "h1"))
    there = make(clock, state_directory=str(tmp_path / "h2"))
    vm = make_vm()
    here.deploy(place, vm)
    here.migrate(place, vm, destination_uri=there.migration_uri(), shared_storage=False)

    assert there.migration_uri() == f"sim://{tmp_path}/h2"
    assert (here.poll(), said(there, vm)) == ([], [(vm.vm_id, 1, RUNNING)])
    assert said(make(clock, state_directory=str(tmp_path / "h2")), vm) == [(vm.vm_id, 1, RUNNING)]


def test_a_checkpoint_goes_on_at_another_host_with_the_cpu_time_that_it_had(clock, place):
    vm = make_vm()
    first, second = make(clock), make(clock)
    first.deploy(place, vm)
    clock.sleep(4)
    first.save(place, vm)
    clock.sleep(100)
    second.restore(place, msgspec.structs.replace(vm, generation=2))

    assert first.poll() == []
    assert second.poll() == [
        Observation(vm_id=vm.vm_id, generation=2, power=RUNNING, cpu_time_s=2.0, memory_mib=128, uuid=vm.uuid)
    ]


def test_a_checkpoint_that_is_none_is_refused_and_stays(clock, place):
    driver, vm = make(clock), make_vm()
    checkpoint_path(place, vm).write_bytes(b"\0\0")
    with pytest.raises(DriverError, match="is no simulated guest"):
        driver.restore(place, vm)

    assert checkpoint_path(place, vm).exists()
    assert driver.poll() == []


def test_a_full_disk_is_said_and_the_guest_runs_on(clock, place, tmp_path):
    driver, vm = make(clock, state_directory=str(tmp_path / "state")), make_vm()
    driver.deploy(place, vm)
    (tmp_path / "state").rename(tmp_path / "gone")

    assert failure_of(lambda: driver.shutdown(place, vm, grace_s=1, force=False)) is None
    assert failure_of(lambda: driver.deploy(place, vm)) == "tool_failed"


def test_a_host_that_is_alone_and_keeps_no_files_takes_no_migrations(clock):
    assert make(clock).migration_uri() == ""

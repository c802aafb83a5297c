"""The libvirt driver between real hosts: live migration, stopped guests that go on elsewhere, a daemon that dies."""

import os
import queue
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import guest as builder
import msgspec
import pytest
from lab import Lab

from innkeeper_plugins.conformance.guests import failure_of, of_generation, read_until, said, wait_for, wait_until
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import plugin
from innkeeper_plugins.probes import numa
from innkeeper_plugins.protocols import checkpoint_path
from innkeeper_plugins.vocabulary import (
    Boot,
    Disk,
    DiskFormat,
    DiskKind,
    Nic,
    NumaCell,
    NumaWish,
    PinPolicy,
    PowerState,
    Vm,
    VmId,
)

pytestmark = pytest.mark.e2e

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[4] / "shared" / "lab" / "vmlinuz-tiny"
CMDLINE = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 panic=1 "
    "tsc=reliable no_timer_check nokaslr mitigations=off apparmor=0"
)
RUNNING, ABSENT = PowerState.RUNNING, PowerState.ABSENT


@pytest.fixture(scope="module")
def lab():
    with Lab(hosts=2, cache=builder.cache_dir().parent) as lab:
        yield lab


class Site:
    """A host of the lab with a driver, and the VM's files as both of them see them."""

    def __init__(self, host, place):
        self.host = host
        self.place = place
        self.driver = plugin.make_libvirt(
            {
                "uri": f"qemu+unix:///system?socket={host.root}/run/libvirt/libvirt-sock",
                "migration_address": host.address,
                # The directory is the same on both hosts, which libvirt cannot know.
                "unsafe_migration": True,
            }
        )


@pytest.fixture
def place(tmp_path):
    return LocalPlace(tmp_path)


@pytest.fixture
def vm(place):
    guest = builder.build()
    kernel = Path(os.environ.get("INNKEEPER_TEST_KERNEL", QUICK_KERNEL))
    disk = Disk(
        disk_id=0,
        kind=DiskKind.IMAGE,
        datastore="default",
        driver="copy",
        format=DiskFormat.QCOW2,
        size_bytes=builder.DISK_SIZE_MIB << 20,
        target="vda",
    )
    vm = Vm(
        vm_id=VmId(7),
        name="web",
        uuid="5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
        generation=1,
        cpu_cores=0.5,
        vcpus=1,
        memory_mib=96,
        hypervisor="libvirt",
        disks=(disk,),
        nics=(Nic(nic_id=0, network="lan", mac="02:00:0a:4d:00:65", bridge="br0", ip="10.77.0.101"),),
        boot=Boot(
            kernel=place.add_image((kernel if kernel.exists() else guest.kernel).read_bytes()),
            initrd=place.add_image(guest.initrd.read_bytes()),
            kernel_cmdline=CMDLINE,
        ),
    )
    place.disk_path(vm, disk).write_bytes(guest.disk.read_bytes())
    return vm


@pytest.fixture
def sites(lab, place, vm):
    both = [Site(host, place) for host in lab.hosts]
    yield both
    for site in both:
        site.driver.cancel(place, of_generation(vm, 1000))
        site.driver.close()
    assert [host.guests() for host in lab.hosts] == [[], []]


def ready(site, vm):
    """Start the guest and wait until it greets."""
    site.driver.deploy(site.place, vm)
    answers(site, vm, b"", b"INNKEEPER-GUEST-READY")


def answers(site, vm, typed, answer):
    console = site.driver.console(site.place, vm)
    if typed:
        console.write(typed)
    shown = read_until(console, answer, 120)
    console.close()
    return shown


def move(source, target, vm, *, shared):
    source.driver.migrate(source.place, vm, destination_uri=target.driver.migration_uri(), shared_storage=shared)


AGAIN = """\
import sys
from pathlib import Path
import msgspec
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.hypervisors import plugin
from innkeeper_plugins.vocabulary import Vm

driver = plugin.make_libvirt({"migration_address": "10.77.0.1"})
vm = msgspec.json.decode(sys.argv[1], type=Vm)
driver.migrate(LocalPlace(Path(sys.argv[2])), vm, destination_uri=sys.argv[3], shared_storage=True)
"""


def move_again(source, target, vm):
    """Ask for it once more from inside the source, which alone reaches the target's daemon."""
    arguments = [msgspec.json.encode(vm).decode(), str(source.place.root), target.driver.migration_uri()]
    source.host.run([sys.executable, "-c", AGAIN, *arguments])


def everywhere(sites, vm):
    return [said(site.driver, vm) for site in sites]


def test_a_guest_moves_live_on_shared_storage_there_and_back(sites, vm):
    first, second = sites
    ready(first, vm)
    answers(first, vm, b"mark=4; echo set$mark\n", b"set4")
    for source, target, generation in ((first, second, 2), (second, first, 3)):
        later = of_generation(vm, generation)
        move(source, target, later, shared=True)
        move_again(source, target, later)

        assert said(source.driver, vm) == []
        assert said(target.driver, vm) == [(vm.vm_id, generation, RUNNING)]
        # The shell that runs in the guest is still the same one.
        answers(target, later, b"echo still$((mark + 1))\n", b"still5")
    assert first.place.reports


def pinned(vm, *cpus, generation=1):
    """Return the VM with two processors of its own on the first node of this machine."""
    node = numa.read()[0]
    cell = NumaCell(cell_id=0, host_node=node.node_id, vcpus=(0, 1), memory_mib=vm.memory_mib, cpus=cpus)
    wish = NumaWish(pin_policy=PinPolicy.THREAD)
    return msgspec.structs.replace(vm, vcpus=2, numa=wish, numa_cells=(cell,), generation=generation)


def pins(host, *flags):
    """Return ``[processors of the host]`` of each processor of the guest and its emulator, as libvirt has them."""
    definition = ET.fromstring(host.virsh("dumpxml", "inn-7", *flags))
    return [each.get("cpuset") for each in definition.iterfind("cputune/*") if "cpuset" in each.attrib]


def test_a_guest_that_moves_live_runs_on_the_processors_that_it_has_there(sites, vm):
    first, second = sites
    ready(first, pinned(vm, 0, 1))
    before = pins(first.host)
    answers(first, vm, b"mark=4; echo set$mark\n", b"set4")
    later = pinned(vm, 1, 0, generation=2)
    move(first, second, later, shared=True)

    assert before == ["0", "1", "0-1"]
    assert pins(second.host) == pins(second.host, "--inactive") == ["1", "0", "0-1"]
    assert second.host.virsh("vcpupin", "inn-7").split()[-4:] == ["0", "1", "1", "0"]
    answers(second, later, b"echo still$((mark + 1))\n", b"still5")


def test_a_guest_moves_live_with_its_own_disk(sites, vm, tmp_path):
    first, second = sites
    ready(first, vm)
    answers(first, vm, b"echo kept >/kept; sync; echo do''ne\n", b"done")
    mine, theirs = first.place.vm_dir(vm), tmp_path / "theirs"
    theirs.mkdir()
    second.host.run(["mount", "--bind", str(theirs), str(mine)])
    try:
        second.host.run(["qemu-img", "create", "-q", "-f", "qcow2", str(mine / "disk.0"), "32M"])
        move(first, second, of_generation(vm, 2), shared=False)

        assert everywhere(sites, vm) == [[], [(vm.vm_id, 2, RUNNING)]]
        (mine / "disk.0").unlink()
        shown = answers(second, of_generation(vm, 2), b"echo 3 >/proc/sys/vm/drop_caches; cat /kept\n", b"kept\r\n# ")
        assert b"kept" in shown
        second.driver.cancel(second.place, of_generation(vm, 2))
    finally:
        second.host.run(["umount", str(mine)])


def slowed(host):
    rate = ["tbf", "rate", "20mbit", "burst", "256k", "latency", "50ms"]
    host.run(["tc", "qdisc", "add", "dev", "eth0", "root", *rate])


def test_a_cancelled_migration_leaves_the_guest_running_where_it_was(sites, vm):
    first, second = sites
    ready(first, vm)
    slowed(first.host)
    try:
        # The first reports on a busy machine have no amounts yet.
        first.place.cancel_after = 12
        code = failure_of(lambda: move(first, second, of_generation(vm, 2), shared=True))
    finally:
        first.place.cancel_after = None
        first.host.run(["tc", "qdisc", "del", "dev", "eth0", "root"])

    assert code == "cancelled"
    assert everywhere(sites, vm) == [[(vm.vm_id, 2, RUNNING)], []]
    assert max(total for _, total in first.place.reports) > 0
    answers(first, of_generation(vm, 2), b"echo al''ive\n", b"alive")


def test_a_migration_to_nowhere_fails_and_the_guest_runs_on(sites, vm):
    first, _ = sites
    first.driver.deploy(first.place, vm)
    with pytest.raises(DriverError, match="could not be migrated to qemu") as failed:
        first.driver.migrate(first.place, vm, destination_uri="qemu+tcp://127.0.0.1:1/system", shared_storage=True)

    assert "Connection refused" in failed.value.stderr
    assert everywhere(sites, vm) == [[(vm.vm_id, 1, RUNNING)], []]


def test_a_saved_guest_goes_on_at_another_host_under_other_paths(sites, vm, tmp_path):
    first, second = sites
    ready(first, vm)
    answers(first, vm, b"mark=4; echo set$mark\n", b"set4")
    first.driver.save(first.place, vm)
    elsewhere = LocalPlace(tmp_path / "elsewhere", images=first.place.images)
    for path in first.place.vm_dir(vm).iterdir():
        path.rename(elsewhere.vm_dir(vm) / path.name)
    later, second.place = of_generation(vm, 2), elsewhere
    second.driver.restore(elsewhere, later)

    assert everywhere(sites, vm) == [[], [(vm.vm_id, 2, RUNNING)]]
    assert not checkpoint_path(elsewhere, vm).exists()
    answers(second, later, b"echo still$((mark + 1))\n", b"still5")


def test_a_killed_libvirtd_costs_no_guest_and_what_happened_meanwhile_is_told(sites, vm):
    first, _ = sites
    told = queue.Queue()
    first.driver.watch(told.put)
    first.driver.deploy(first.place, vm)
    wait_for(told, vm, RUNNING)
    pid = int((first.host.root / "run" / "libvirt" / "qemu" / "inn-7.pid").read_text())
    first.host.kill_libvirtd()
    with pytest.raises(DriverError, match="is libvirtd running"):
        first.driver.deploy(first.place, vm)
    first.host.run(["kill", "-KILL", str(pid)])
    first.host.start_libvirtd()

    assert wait_for(told, vm, PowerState.CRASHED).generation == 1
    first.driver.deploy(first.place, vm)
    assert wait_for(told, vm, RUNNING).generation == 1


def test_a_restarted_libvirtd_has_its_guests_and_no_second_one_is_started(sites, vm):
    first, _ = sites
    first.driver.deploy(first.place, vm)
    pid = (first.host.root / "run" / "libvirt" / "qemu" / "inn-7.pid").read_text()
    first.host.kill_libvirtd()
    first.host.start_libvirtd()
    first.driver.deploy(first.place, vm)

    wait_until(lambda: said(first.driver, vm) == [(vm.vm_id, 1, RUNNING)])
    assert (first.host.root / "run" / "libvirt" / "qemu" / "inn-7.pid").read_text() == pid

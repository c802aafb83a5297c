"""The built-in hypervisor drivers keep the contract, each in every way that it can be set up.

The real guests run under one embedded hypervisor: libvirt allows one root directory in a process, for its whole life.
"""

import itertools
import os
import shutil
import signal
import tempfile
from functools import cache
from pathlib import Path

import guest as builder
import msgspec
import pytest

from innkeeper_plugins import images
from innkeeper_plugins.conformance.guests import neighbour, read_until, wait_until, with_console
from innkeeper_plugins.conformance.hypervisor_contract import HypervisorContract
from innkeeper_plugins.hypervisors import plugin, simulated
from innkeeper_plugins.probes import numa
from innkeeper_plugins.probes.numa import as_list
from innkeeper_plugins.transfer import qcow2
from innkeeper_plugins.vocabulary import (
    Boot,
    Disk,
    DiskFormat,
    DiskKind,
    Nic,
    NumaCell,
    NumaWish,
    PinPolicy,
    Vm,
    VmId,
)

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[3] / "shared" / "lab" / "vmlinuz-tiny"
CMDLINE = "console=ttyS0 quiet loglevel=3 panic=1 tsc=reliable no_timer_check nokaslr mitigations=off apparmor=0"

#: How long a shell of an emulated guest may take to answer.
SHELL_TIMEOUT_S = 60.0
#: Numbers of what was asked of shells; the console shows what earlier tests were told as well.
ASKED = itertools.count(1)
#: What the tiny guest's disk is.
ROOT = {"format_": DiskFormat.QCOW2, "virtual_size_bytes": builder.DISK_SIZE_MIB << 20, "name": "root"}


def make_vm(**changes):
    values = {
        "vm_id": VmId(41),
        "name": "contract",
        "uuid": "5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
        "generation": 1,
        "cpu_cores": 0.5,
        "vcpus": 1,
        "memory_mib": 96,
        "hypervisor": "any",
        "nics": (Nic(nic_id=0, network="lan", mac="02:00:0a:00:00:07", ip="10.0.0.7"),),
    }
    return Vm(**{**values, **changes})


class TestSimulatedInMemory(HypervisorContract):
    greeting = b"simulated guest contract ip=10.0.0.7 boots=1 ready"
    opens_disks = False
    outlives_agent = False

    def make_driver(self):
        return simulated.make({}, sleep=lambda _: None)

    def bootable_vm(self, place):
        return make_vm()

    def crash(self, driver, vm):
        driver.crash(vm.vm_id)


class TestSimulatedInDirectory(TestSimulatedInMemory):
    outlives_agent = True

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path):
        self.state_directory = str(tmp_path / "state")

    def make_driver(self):
        return simulated.make({"state_directory": self.state_directory}, sleep=lambda _: None)


class TestSimulatedSlow(TestSimulatedInMemory):
    def make_driver(self):
        return simulated.make({"latency_s": 1.0}, sleep=lambda _: None)


@pytest.mark.libvirt
class TestLibvirtsTestDriver(HypervisorContract):
    @pytest.fixture(autouse=True)
    def keep_the_test_host(self):
        # It is there as long as somebody in this process has it open.
        import libvirt

        connection = libvirt.open("test:///default")
        yield
        connection.close()

    def make_driver(self):
        return plugin.make_libvirt({"uri": "test:///default"})

    def bootable_vm(self, place):
        return make_vm()

    def crash(self, driver, vm):
        import libvirt

        connection = libvirt.open("test:///default")
        connection.lookupByName(f"inn-{vm.vm_id}").coreDump(os.devnull, libvirt.VIR_DUMP_CRASH)
        connection.close()


@cache
def embed_root():
    # A long temporary path would leave no room for the names of sockets.
    return Path(tempfile.mkdtemp(prefix="inn-", dir="/var/tmp"))


@pytest.fixture(scope="module", autouse=True)
def no_root_is_left():
    yield
    if embed_root.cache_info().currsize:
        shutil.rmtree(embed_root())


@pytest.mark.libvirt
class TestLibvirtQemu(HypervisorContract):
    greeting = b"INNKEEPER-GUEST-READY"

    def make_driver(self):
        return plugin.make_libvirt({"uri": f"qemu:///embed?root={embed_root()}"})

    def bootable_vm(self, place):
        guest = builder.build()
        kernel = Path(os.environ.get("INNKEEPER_TEST_KERNEL", QUICK_KERNEL))
        return make_vm(
            boot=Boot(
                kernel=place.add_image((kernel if kernel.exists() else guest.kernel).read_bytes()),
                initrd=place.add_image(guest.initrd.read_bytes()),
                kernel_cmdline=CMDLINE,
            )
        )

    def crash(self, driver, vm):
        os.kill(int((embed_root() / "run" / "qemu" / f"inn-{vm.vm_id}.pid").read_text()), signal.SIGKILL)

    def ask(self, driver, place, vm, command):
        """Return what the shell on the guest's console says; what was said before is passed over."""
        mark = f"{next(ASKED):06}"

        def type_in(console):
            # The shell echoes what is typed: the marks are whole only in what it prints.
            console.write(f"\necho BEG''IN-{mark}; {command}; echo EN''D-{mark}\n".encode())
            shown = read_until(console, f"END-{mark}".encode(), SHELL_TIMEOUT_S)
            answers.append(shown.partition(f"BEGIN-{mark}".encode())[2].rpartition(b"END-")[0].decode())

        answers = []
        with_console(driver, place, vm, type_in)
        return answers[0].split()

    def test_the_guest_sees_a_disk_and_a_card_come_and_go(self, driver, place, vm):
        self.ready(driver, place, vm)
        disk, nic = self.spare(place, vm, 7), Nic(nic_id=7, network="lan", mac="02:00:0a:00:00:77")
        plugged = msgspec.structs.replace(vm, disks=(disk,), nics=(*vm.nics, nic))
        look = "ls /sys/block /sys/class/net | grep -e vd -e eth"
        before = self.ask(driver, place, vm, look)
        driver.attach_disk(place, plugged, disk)
        driver.attach_nic(place, plugged, nic)
        wait_until(lambda: len(self.ask(driver, place, vm, look)) > len(before) + 1)
        between = self.ask(driver, place, vm, look)
        driver.detach_disk(place, plugged, disk)
        driver.detach_nic(place, plugged, nic)

        assert sorted(set(between) - set(before)) == ["eth1", "vda"]
        assert self.ask(driver, place, vm, look) == before

    def test_a_disk_grows_under_the_eyes_of_its_guest(self, driver, place, vm):
        disk = self.spare(place, vm, 7)
        vm = msgspec.structs.replace(vm, disks=(disk,))
        self.ready(driver, place, vm)
        before = self.ask(driver, place, vm, "cat /sys/block/vda/size")
        driver.grow_disk(place, vm, disk, 2 * disk.size_bytes)

        assert before == [str(disk.size_bytes // 512)]
        wait_until(lambda: self.ask(driver, place, vm, "cat /sys/block/vda/size") == [str(disk.size_bytes // 256)])

    def test_a_guest_that_goes_back_to_a_snapshot_has_its_memory_and_its_disk_of_then(self, driver, place, vm):
        vm = msgspec.structs.replace(vm, disks=(self.spare(place, vm, 7),))
        write = "echo {0} >/run/note; echo {0} | dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null"
        look = "cat /run/note; dd if=/dev/vda bs=6 count=1 iflag=direct 2>/dev/null || head -c 6 /dev/vda"
        self.ready(driver, place, vm)
        self.ask(driver, place, vm, write.format("before"))
        driver.snapshot_create(place, vm, 3, "before the upgrade")
        self.ask(driver, place, vm, write.format("after0"))
        driver.snapshot_revert(place, vm, 3, "")

        assert self.ask(driver, place, vm, look) == ["before", "before"]

    def test_a_disk_that_was_saved_as_an_image_boots_another_guest_from_where_it_was(self, driver, place, vm):
        transfer = qcow2.make({})
        first = with_root_disk(vm, place.add_image(builder.build().disk.read_bytes(), **ROOT), "root")
        transfer.clone(place, first, first.disks[0])
        self.ready(driver, place, first)
        self.ask(driver, place, first, "echo kept >/var/mark; sync")
        driver.shutdown(place, first, grace_s=self.grace_s, force=False)
        copy = place.root / "saved"
        transfer.cpds(place, first, first.disks[0], copy, None)
        facts = images.inspect(copy, DiskFormat.QCOW2)

        saved = place.add_image(copy, format_=facts.format, virtual_size_bytes=facts.virtual_size_bytes)
        second = with_root_disk(neighbour(vm), saved, "copy")
        transfer.clone(place, second, second.disks[0])
        self.ready(driver, place, second)
        assert self.ask(driver, place, second, "cat /var/mark /var/boots") == ["kept", "2"]
        driver.cancel(place, second)

    @pytest.mark.parametrize("policy", [PinPolicy.SHARED, PinPolicy.THREAD])
    def test_a_guest_runs_on_the_processors_of_the_host_that_it_was_given(self, driver, place, vm, policy):
        first, second = (pinned(vm, policy, turn) for turn in (0, 1))
        self.ready(driver, place, first)
        seen = self.ask(driver, place, first, "cat /sys/devices/system/cpu/online /sys/devices/system/node/online")
        before = self.threads_on(vm)
        driver.save(place, first)
        driver.restore(place, second)

        assert seen[0] == "0-1"
        assert before == [as_list(each) for each in pins_of(first)]
        # As it would go on at another host: on what it has there.
        assert self.threads_on(vm) == [as_list(each) for each in pins_of(second)]

    def threads_on(self, vm):
        """Return which processors the kernel lets each processor of the guest run on, in order."""
        pid = (embed_root() / "run" / "qemu" / f"inn-{vm.vm_id}.pid").read_text()
        allowed = {}
        for task in Path(f"/proc/{pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            if name.startswith("CPU "):
                status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
                allowed[int(name.split()[1].partition("/")[0])] = status["Cpus_allowed_list"].strip()
        return [allowed[number] for number in sorted(allowed)]


def pinned(vm, policy, turn):
    """Return the VM with two processors on this machine's first node, others in another turn."""
    node = numa.read()[0]
    cpus = [cpu for core in node.cores for cpu in core]
    assert len(cpus) >= 2, "this machine has one processor, so nothing can be pinned on it"
    given = cpus[:2] if policy is PinPolicy.THREAD else cpus[turn : turn + 2]
    given = given[::-1] if turn and policy is PinPolicy.THREAD else given
    cell = NumaCell(cell_id=0, host_node=node.node_id, vcpus=(0, 1), memory_mib=vm.memory_mib, cpus=tuple(given))
    wish = NumaWish(pin_policy=policy)
    return msgspec.structs.replace(vm, vcpus=2, numa=wish, numa_cells=(cell,), generation=vm.generation + turn)


def pins_of(vm):
    cpus = vm.numa_cells[0].cpus
    return [cpus, cpus] if vm.numa.pin_policy is PinPolicy.SHARED else [(cpu,) for cpu in cpus]


def with_root_disk(vm, image, name):
    root = Disk(
        disk_id=0,
        kind=DiskKind.IMAGE,
        datastore="default",
        driver="qcow2",
        format=DiskFormat.QCOW2,
        size_bytes=image.virtual_size_bytes,
        target="vda",
        image=image,
    )
    boot = msgspec.structs.replace(vm.boot, kernel_cmdline=f"root=/dev/vda rw {CMDLINE}")
    return msgspec.structs.replace(vm, name=name, disks=(root,), boot=boot, nics=())

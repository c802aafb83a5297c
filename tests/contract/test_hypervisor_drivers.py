"""The built-in hypervisor drivers keep the contract, each in every way that it can be set up.

The real guests run under one embedded hypervisor: libvirt allows one root directory in a process, for its whole life.
"""

import os
import shutil
import signal
import tempfile
from functools import cache
from pathlib import Path

import guest as builder
import pytest

from innkeeper_plugins.conformance.hypervisor_contract import HypervisorContract
from innkeeper_plugins.hypervisors import plugin, simulated
from innkeeper_plugins.vocabulary import Boot, Nic, Vm, VmId

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[3] / "shared" / "lab" / "vmlinuz-tiny"
CMDLINE = "console=ttyS0 quiet loglevel=3 panic=1 tsc=reliable no_timer_check nokaslr mitigations=off apparmor=0"


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

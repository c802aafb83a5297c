"""A host of the test's own, and VMs for it."""

import pytest

from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, Vm, VmId

MIB = 1024 * 1024


@pytest.fixture
def place(tmp_path):
    return LocalPlace(tmp_path / "host")


@pytest.fixture
def a_disk():
    def build(**fields):
        defaults = {
            "disk_id": 0,
            "kind": DiskKind.IMAGE,
            "datastore": "default",
            "driver": "qcow2",
            "format": DiskFormat.QCOW2,
            "size_bytes": 4 * MIB,
            "target": "vda",
        }
        return Disk(**{**defaults, **fields})

    return build


@pytest.fixture
def a_vm():
    def build(*disks, **fields):
        defaults = {
            "vm_id": VmId(7),
            "name": "web",
            "uuid": "00000000-0000-4000-8000-000000000007",
            "generation": 1,
            "cpu_cores": 1.0,
            "vcpus": 1,
            "memory_mib": 64,
            "hypervisor": "simulated",
            "disks": disks,
        }
        return Vm(**{**defaults, **fields})

    return build

"""The built-in transfer drivers keep the contract, each in every way that it can be set up."""

import pytest

from innkeeper_plugins.conformance.transfer_contract import TransferContract
from innkeeper_plugins.transfer import full_copy, qcow2, shared, simulated
from innkeeper_plugins.vocabulary import DiskFormat


@pytest.mark.libvirt
class TestQcow2OverRawImage(TransferContract):
    def make_driver(self):
        return qcow2.make({})


@pytest.mark.libvirt
class TestQcow2OverQcow2Image(TransferContract):
    image_format = DiskFormat.QCOW2

    def make_driver(self):
        return qcow2.make({})


@pytest.mark.libvirt
class TestCopyOfRawImage(TransferContract):
    disk_format = DiskFormat.RAW

    def make_driver(self):
        return full_copy.make({})


@pytest.mark.libvirt
class TestCopyOfQcow2Image(TransferContract):
    image_format = DiskFormat.QCOW2

    def make_driver(self):
        return full_copy.make({})


@pytest.mark.libvirt
class TestShared(TransferContract):
    def make_driver(self):
        return shared.make({})


class TestSimulatedInMemory(TransferContract):
    makes_disks = False

    def make_driver(self):
        return simulated.make({})

    def leave_half_made(self, bench):
        """It keeps no files that could be half made."""


class TestSimulatedWithFiles(TransferContract):
    makes_disks = False

    def make_driver(self):
        return simulated.make({"files": True})


class TestSimulatedShared(TransferContract):
    makes_disks = False

    def make_driver(self):
        return simulated.make({"files": True, "shared": True})

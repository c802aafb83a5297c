"""The built-in transfer drivers keep the contract, each in every way that it can be set up."""

import importlib.util
from pathlib import Path

import pytest

from innkeeper_plugins.conformance.transfer_contract import TransferContract
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.transfer import full_copy, qcow2, shared, simulated
from innkeeper_plugins.vocabulary import DiskFormat

EXAMPLE = Path(__file__).parents[2] / "contrib" / "innkeeper-example-driver"


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


@pytest.mark.libvirt
class TestExampleOfAStranger(TransferContract):
    """The example in contrib comes in by the same door as an installed plugin would."""

    def make_driver(self):
        spec = importlib.util.spec_from_file_location("innkeeper_packed", EXAMPLE / "innkeeper_packed.py")
        stranger = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(stranger)
        return Registry({"example": stranger}).transfer("packed", {})


def test_the_example_stays_short_enough_to_be_read_in_one_go():
    lines = [
        len(path.read_text().splitlines()) for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml", ".md"}
    ]

    assert sum(lines) < 120

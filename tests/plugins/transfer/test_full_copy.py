"""The driver ``copy`` makes disks that need their image no more, and carries only data."""

import os

import pytest

from innkeeper_plugins.conformance.guest_view import read_disk
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import full_copy
from innkeeper_plugins.vocabulary import DiskFormat

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return full_copy.make({})


def test_a_raw_copy_has_the_image_s_bytes_then_a_hole(driver, place, a_vm, a_disk):
    content = os.urandom(MIB)
    disk = a_disk(driver="copy", format=DiskFormat.RAW, image=place.add_image(content), size_bytes=64 * MIB)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)

    path = place.disk_path(vm, disk)
    assert path.read_bytes() == content + bytes(63 * MIB)
    assert driver.stat(place, vm, disk).allocated_bytes < 2 * MIB


def test_a_cancelled_copy_leaves_nothing(driver, place, a_vm, a_disk):
    disk = a_disk(format=DiskFormat.RAW, image=place.add_image(os.urandom(MIB)))
    vm = a_vm(disk)
    place.cancel_after = 2
    with pytest.raises(DriverError) as failed:
        driver.clone(place, vm, disk)

    assert failed.value.code == "cancelled"
    assert list(place.vm_dir(vm).iterdir()) == []


def test_progress_ends_at_the_whole(driver, place, a_vm, a_disk):
    disk = a_disk(format=DiskFormat.RAW, image=place.add_image(os.urandom(MIB)))
    driver.clone(place, a_vm(disk), disk)

    assert place.reports[-1] == (MIB, MIB)


def test_it_keeps_no_snapshots_and_says_so(driver, place, a_vm, a_disk):
    with pytest.raises(DriverError, match="the driver copy keeps no snapshots") as refused:
        driver.snapshot_create(place, a_vm(a_disk()), a_disk(), 1)

    assert refused.value.code == "refused"
    assert "snapshot" not in driver.capabilities


@pytest.mark.libvirt
def test_a_disk_of_another_format_is_converted(driver, place, a_vm, a_disk):
    content = os.urandom(MIB)
    disk = a_disk(format=DiskFormat.QCOW2, image=place.add_image(content), size_bytes=4 * MIB)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)

    assert read_disk(place.disk_path(vm, disk), DiskFormat.QCOW2) == content + bytes(3 * MIB)


def test_an_image_is_inspected_again_before_a_tool_converts_it(driver, place, a_vm, a_disk):
    disguised = b"QFI\xfb" + bytes(MIB)
    disk = a_disk(format=DiskFormat.QCOW2, image=place.add_image(disguised), size_bytes=4 * MIB)
    vm = a_vm(disk)
    with pytest.raises(DriverError) as failed:
        driver.clone(place, vm, disk)

    assert failed.value.code == "bad_image"
    assert list(place.vm_dir(vm).iterdir()) == []

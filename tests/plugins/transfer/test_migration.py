"""A destination has what the incoming guest needs, and old copies are never written over."""

import pytest

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import full_copy
from innkeeper_plugins.vocabulary import DiskFormat, DiskKind

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return full_copy.make({})


@pytest.fixture
def disk(a_disk, place):
    return a_disk(driver="copy", format=DiskFormat.RAW, image=place.add_image(b"x" * MIB))


def test_the_destination_s_disk_is_empty_and_of_the_exact_size(driver, place, a_vm, disk):
    vm = a_vm(disk)
    driver.premigrate(place, vm)

    assert place.disk_path(vm, disk).read_bytes() == bytes(disk.size_bytes)
    assert driver.stat(place, vm, disk).allocated_bytes == 0


def test_a_disc_is_linked_since_nobody_copies_it(driver, place, a_vm, a_disk, disk):
    disc = a_disk(disk_id=1, driver="copy", kind=DiskKind.CDROM, format=DiskFormat.RAW, image=disk.image)
    vm = a_vm(disk, disc)
    driver.premigrate(place, vm)

    assert place.disk_path(vm, disc).readlink() == place.image_path(disc.image.sha256)


def test_an_older_copy_of_another_size_is_not_written_over(driver, place, a_vm, disk):
    vm = a_vm(disk)
    place.disk_path(vm, disk).write_bytes(b"perhaps the last copy")
    with pytest.raises(DriverError, match="an older copy of this disk is in the way") as refused:
        driver.premigrate(place, vm)

    assert refused.value.code == "refused"
    assert place.disk_path(vm, disk).read_bytes() == b"perhaps the last copy"


def test_disks_of_two_drivers_in_one_directory_go_one_driver_at_a_time(driver, place, a_vm, a_disk, disk):
    other = a_disk(disk_id=1, driver="qcow2", format=DiskFormat.RAW)
    vm = a_vm(disk, other, driver="copy")
    driver.premigrate(place, vm)
    driver.context(place, vm)
    place.disk_path(vm, other).write_bytes(b"the other driver's")
    driver.postmigrate(place, vm)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["disk.1"]


def test_the_vm_s_directory_stays_where_another_driver_looks_after_it(driver, place, a_vm, disk):
    vm = a_vm(disk, driver="shared")
    driver.premigrate(place, vm)
    driver.context(place, vm)
    driver.postmigrate(place, vm)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["context.iso"]

"""Empty disks have the file system that was asked for, and a missing tool says how to get it."""

import shutil

import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.conformance.guest_view import read_disk
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import qcow2
from innkeeper_plugins.vocabulary import DiskFormat, DiskKind

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return qcow2.make({})


def volatile(a_disk, **fields):
    return a_disk(kind=DiskKind.VOLATILE, format=DiskFormat.RAW, **fields)


def test_a_blank_raw_disk_needs_no_tool_and_takes_no_room(driver, place, a_vm, a_disk, monkeypatch):
    monkeypatch.setattr(commands, "run", lambda *_, **__: pytest.fail("a tool was started"))
    disk = volatile(a_disk, size_bytes=1024**4)
    vm = a_vm(disk)
    driver.mkimage(place, vm, disk)

    known = driver.stat(place, vm, disk)
    assert (known.virtual_size_bytes, known.allocated_bytes) == (1024**4, 0)


def test_an_unknown_file_system_is_refused(driver, place, a_vm, a_disk):
    disk = volatile(a_disk, filesystem="ntfs")
    with pytest.raises(DriverError, match="'ntfs': use ext2, ext4, vfat") as refused:
        driver.mkimage(place, a_vm(disk), disk)

    assert refused.value.code == "refused"


@pytest.mark.parametrize("filesystem", ["ext2", "ext4"])
def test_an_ext_file_system_is_made_in_a_plain_file(driver, place, a_vm, a_disk, filesystem):
    disk = volatile(a_disk, filesystem=filesystem)
    vm = a_vm(disk)
    driver.mkimage(place, vm, disk)

    assert place.disk_path(vm, disk).read_bytes()[0x438:0x43A] == b"\x53\xef"


def test_vfat_is_made_where_its_tool_is_and_asked_for_where_it_is_not(driver, place, a_vm, a_disk):
    disk = volatile(a_disk, filesystem="vfat", size_bytes=64 * MIB)
    vm = a_vm(disk)
    if shutil.which("mkfs.vfat", path=commands.ADMIN_PATH):
        driver.mkimage(place, vm, disk)
        assert place.disk_path(vm, disk).read_bytes()[510:512] == b"\x55\xaa"
    else:
        with pytest.raises(DriverError, match="apt install dosfstools"):
            driver.mkimage(place, vm, disk)
        assert list(place.vm_dir(vm).iterdir()) == []


@pytest.mark.libvirt
def test_a_formatted_qcow2_disk_leaves_no_plain_file(driver, place, a_vm, a_disk):
    disk = a_disk(kind=DiskKind.VOLATILE, filesystem="ext4")
    vm = a_vm(disk)
    driver.mkimage(place, vm, disk)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["disk.0"]
    assert read_disk(place.disk_path(vm, disk), DiskFormat.QCOW2)[0x438:0x43A] == b"\x53\xef"


def test_a_formatter_that_fails_leaves_nothing(driver, place, a_vm, a_disk):
    disk = volatile(a_disk, filesystem="ext4", size_bytes=1024)
    vm = a_vm(disk)
    with pytest.raises(DriverError, match=r"mkfs\.ext4 failed") as failed:
        driver.mkimage(place, vm, disk)

    assert failed.value.exit_status == 1
    assert list(place.vm_dir(vm).iterdir()) == []

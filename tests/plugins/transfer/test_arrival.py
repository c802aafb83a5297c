"""Files from another host are taken over whole, and cannot make this host read what is not theirs."""

import struct

import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.conformance.guest_view import read_disk
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import qcow2
from innkeeper_plugins.transfer.qcow2_header import read_header
from innkeeper_plugins.vocabulary import Digest, DiskFormat, SealedFile

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return qcow2.make({})


@pytest.fixture
def source(tmp_path):
    return tmp_path / "fetched"


def sealed(name):
    return SealedFile(name=name, sha256=Digest("f" * 64), size_bytes=1, datastore="default")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "disk.0.partial", "disk.x", "disk.0/../x", "", "transfer.0.prolog"]
)
def test_a_file_that_no_vm_has_is_refused(driver, place, a_vm, a_disk, source, name):
    source.write_bytes(b"x")
    with pytest.raises(DriverError, match="a VM has no file") as refused:
        driver.mv(place, a_vm(a_disk()), sealed(name), source)

    assert refused.value.code == "refused"
    assert source.exists()


def test_a_disk_that_the_vm_does_not_have_is_refused(driver, place, a_vm, a_disk, source):
    source.write_bytes(b"x")
    with pytest.raises(DriverError, match=r"VM 7 has no disk\.3") as refused:
        driver.mv(place, a_vm(a_disk()), sealed("disk.3"), source)

    assert refused.value.code == "refused"


def test_a_file_that_was_never_fetched_is_missed(driver, place, a_vm, a_disk, source):
    with pytest.raises(DriverError, match=r"disk\.0 of VM 7 has not been fetched"):
        driver.mv(place, a_vm(a_disk()), sealed("disk.0"), source)


def test_a_raw_disk_is_moved_as_it_is(driver, place, a_vm, a_disk, source):
    disk = a_disk(format=DiskFormat.RAW)
    vm = a_vm(disk)
    source.write_bytes(b"QFI\xfb as a guest may write it")
    driver.mv(place, vm, sealed("disk.0"), source)

    assert place.disk_path(vm, disk).read_bytes() == b"QFI\xfb as a guest may write it"
    assert place.disk_path(vm, disk).stat().st_mode & 0o777 == 0o600


def overlay_on(path, base, *, features=0):
    """A qcow2 header that names a base, with these incompatible features."""
    name = str(base).encode()
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, 512, len(name), 16, 4 * MIB, 0, 1, 196608, 65536, 1, 0, 0, features, 0, 0, 4, 104),
    )
    path.write_bytes(header.ljust(512, b"\0") + name)


@pytest.mark.parametrize(
    ("features", "with_image", "reason"),
    [(0, False, "has a backing file"), (1 << 2, True, "external data file"), (1 << 9, True, "unknown features")],
)
def test_an_overlay_that_names_other_files_of_the_host_is_refused_unread(
    driver, place, a_vm, a_disk, source, monkeypatch, features, with_image, reason
):
    monkeypatch.setattr(commands, "run", lambda *_, **__: pytest.fail("a tool opened it"))
    disk = a_disk(image=place.add_image(b"x" * MIB) if with_image else None)
    overlay_on(source, "/etc/shadow", features=features)
    with pytest.raises(DriverError, match=reason) as refused:
        driver.mv(place, a_vm(disk), sealed("disk.0"), source)

    assert refused.value.code == "bad_image"


@pytest.mark.libvirt
def test_an_overlay_is_laid_over_this_host_s_copy_of_the_image_whatever_it_named(
    driver, place, a_vm, a_disk, source, tmp_path
):
    image = place.add_image(b"x" * MIB)
    disk = a_disk(image=image)
    vm = a_vm(disk)
    foreign = tmp_path / "other-host-s-image"
    foreign.write_bytes(b"y" * MIB)
    argv = ("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(foreign), "-F", "raw", str(source), str(4 * MIB))
    commands.run(argv, timeout_s=20)
    foreign.unlink()
    driver.mv(place, vm, sealed("disk.0"), source)

    path = place.disk_path(vm, disk)
    assert read_header(path).backing_file == str(place.image_path(image.sha256))
    assert read_disk(path, DiskFormat.QCOW2) == b"x" * MIB + bytes(3 * MIB)


def test_an_overlay_whose_image_is_not_here_says_so_and_stays_where_it_is(driver, place, a_vm, a_disk, source):
    image = place.add_image(b"x" * MIB)
    (place.images / image.sha256).unlink()
    disk = a_disk(image=image)
    overlay_on(source, "/var/lib/images/x")
    with pytest.raises(DriverError) as missing:
        driver.mv(place, a_vm(disk), sealed("disk.0"), source)

    assert missing.value.code == "image_missing"
    assert source.exists()


@pytest.mark.root
def test_a_file_fetched_to_another_file_system_is_copied_and_then_removed(driver, place, a_vm, a_disk, tmp_path):
    disk = a_disk(format=DiskFormat.RAW)
    vm = a_vm(disk)
    (tmp_path / "spool").mkdir()
    commands.run(("mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "spool")), timeout_s=20)
    try:
        source = tmp_path / "spool" / "fetched"
        source.write_bytes(b"x" * MIB)
        driver.mv(place, vm, sealed("disk.0"), source)

        assert not source.exists()
        assert place.disk_path(vm, disk).read_bytes() == b"x" * MIB
        assert [path.name for path in place.vm_dir(vm).iterdir()] == ["disk.0"]
    finally:
        commands.run(("umount", str(tmp_path / "spool")), timeout_s=20)

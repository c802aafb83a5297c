"""The driver ``shared`` relies on files that every host sees, and says so when one does not."""

import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.conformance.guest_view import read_disk
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import shared
from innkeeper_plugins.transfer.qcow2_header import read_header
from innkeeper_plugins.vocabulary import DiskFormat

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return shared.make({})


def test_a_disk_that_this_host_does_not_see_is_refused_before_the_guest_moves(driver, place, a_vm, a_disk):
    disk = a_disk(driver="shared", datastore="nfs")
    vm = a_vm(disk)
    with pytest.raises(DriverError) as refused:
        driver.premigrate(place, vm)

    assert refused.value.code == "refused"
    assert str(refused.value) == (
        f"this host does not see {place.disk_path(vm, disk)}: mount datastore nfs here as on the other hosts, "
        "or give it a driver that does not share"
    )


@pytest.mark.libvirt
def test_a_base_that_this_host_does_not_see_is_refused_before_the_guest_moves(driver, place, a_vm, a_disk, tmp_path):
    disk = a_disk(driver="shared", image=place.add_image(b"x" * MIB))
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    driver.premigrate(place, vm)
    place.images.rename(tmp_path / "not-mounted")
    with pytest.raises(DriverError, match="this host does not see") as refused:
        driver.premigrate(place, vm)

    assert refused.value.code == "refused"


@pytest.mark.libvirt
@pytest.mark.root
def test_over_a_base_on_another_file_system_the_disk_gets_all_of_its_content(driver, place, a_vm, a_disk, tmp_path):
    image = place.add_image(b"x" * MIB)
    (tmp_path / "nfs").mkdir()
    commands.run(("mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "nfs")), timeout_s=20)
    try:
        mounted = LocalPlace(tmp_path / "nfs", images=place.images)
        disk = a_disk(driver="shared", image=image)
        vm = a_vm(disk)
        driver.clone(mounted, vm, disk)
        path = mounted.disk_path(vm, disk)

        assert read_header(path).backing_file == ""
        assert read_disk(path, DiskFormat.QCOW2) == b"x" * MIB + bytes(3 * MIB)
    finally:
        commands.run(("umount", str(tmp_path / "nfs")), timeout_s=20)

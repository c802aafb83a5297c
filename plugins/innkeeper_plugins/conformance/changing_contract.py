"""What hypervisor drivers promise of guests that are changed while they run: hot-plug, snapshots, new sizes.

It must not know any driver: see ``hypervisor_contract``.
"""

from collections.abc import Callable

import msgspec
import pytest

from innkeeper_plugins.conformance.guest_view import make_image
from innkeeper_plugins.conformance.guests import failure_of, needs, of_generation, said
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HypervisorDriver
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, Nic, PowerState, Vm

MIB = 1024 * 1024
DISK_BYTES = 8 * MIB


class ChangingContract:
    """Promises about running guests that are changed; ``HypervisorContract`` brings driver, place and VM."""

    #: False where the guests have no disks that could be opened.
    opens_disks = True

    def ready(self, driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> None:
        """Deploy the guest and wait until it greets."""
        raise NotImplementedError

    def spare(self, place: LocalPlace, vm: Vm, disk_id: int, target: str = "vdy") -> Disk:
        """Return an empty qcow2 disk that the VM does not have yet; its file is there."""
        disk = Disk(
            disk_id=disk_id,
            kind=DiskKind.VOLATILE,
            datastore="default",
            driver="any",
            format=DiskFormat.QCOW2,
            size_bytes=DISK_BYTES,
            target=target,
        )
        if self.opens_disks:
            made = make_image(place.root / f"spare.{disk_id}", bytes(DISK_BYTES), DiskFormat.QCOW2)
            made.replace(place.disk_path(vm, disk))
        return disk

    def test_a_disk_that_is_attached_twice_is_there_until_it_is_detached(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "hotplug")
        self.ready(driver, place, vm)
        disk, other = self.spare(place, vm, 7), self.spare(place, vm, 8)
        vm = with_disks(vm, disk)
        driver.attach_disk(place, vm, disk)
        driver.attach_disk(place, vm, disk)

        # Nothing else is put in its place, and taking that out takes nothing of this one.
        assert failure_of(lambda: driver.attach_disk(place, with_disks(vm, other), other)) == "refused"
        driver.detach_disk(place, with_disks(vm, other), other)
        driver.detach_disk(place, vm, disk)
        driver.detach_disk(place, vm, disk)
        driver.attach_disk(place, with_disks(vm, other), other)
        driver.detach_disk(place, with_disks(vm, other), other)
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_network_card_that_is_attached_twice_is_there_until_it_is_detached(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "hotplug")
        self.ready(driver, place, vm)
        nic = Nic(nic_id=7, network="lan", mac="02:00:0a:00:00:77", ip="10.0.0.77")
        vm = msgspec.structs.replace(vm, nics=(*vm.nics, nic))
        driver.attach_nic(place, vm, nic)
        driver.attach_nic(place, vm, nic)
        driver.detach_nic(place, vm, nic)
        driver.detach_nic(place, vm, nic)

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_guest_that_is_off_has_let_go_of_everything(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "hotplug")
        disk, nic = self.spare(place, vm, 7), Nic(nic_id=7, network="lan", mac="02:00:0a:00:00:77")
        driver.detach_disk(place, vm, disk)
        driver.deploy(place, vm)
        driver.attach_disk(place, with_disks(vm, disk), disk)
        driver.shutdown(place, vm, grace_s=0, force=True)
        driver.detach_disk(place, vm, disk)
        driver.detach_nic(place, vm, nic)

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.OFF)]

    def test_a_change_to_a_guest_that_does_not_run_says_so(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        failures = [failure_of(change) for change in self.changes(driver, place, vm)]

        assert set(failures) <= {"guest_missing"}

    def test_no_change_of_a_lower_generation_touches_a_guest(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        failures = [failure_of(change) for change in self.changes(driver, place, of_generation(vm, 4))]

        assert set(failures) <= {"refused"}
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def changes(self, driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> list[Callable[[], object]]:
        """Return every change that needs a running guest, of those that the driver declares."""
        disk, nic = self.spare(place, vm, 7), Nic(nic_id=7, network="lan", mac="02:00:0a:00:00:77")
        orders: dict[str, list[Callable[[], object]]] = {
            "hotplug": [lambda: driver.attach_disk(place, vm, disk), lambda: driver.attach_nic(place, vm, nic)],
            "snapshot": [
                lambda: driver.snapshot_create(place, vm, 1, "one"),
                lambda: driver.snapshot_revert(place, vm, 1, ""),
            ],
            "resize": [
                lambda: driver.grow_disk(place, vm, disk, 2 * DISK_BYTES),
                lambda: driver.resize(place, vm, vm.vcpus, vm.memory_mib),
            ],
        }
        return [order for ability, some in orders.items() if ability in driver.capabilities for order in some]

    def test_a_snapshot_is_gone_back_to_as_often_as_wanted_until_it_is_deleted(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "snapshot")
        vm = with_disks(vm, self.spare(place, vm, 7))
        self.ready(driver, place, vm)
        name = driver.snapshot_create(place, vm, 3, "before the upgrade")
        assert driver.snapshot_create(place, vm, 3, "before the upgrade") == name
        later = of_generation(vm, 6)
        driver.snapshot_revert(place, later, 3, name)
        driver.snapshot_revert(place, later, 3, "")
        assert said(driver, vm) == [(vm.vm_id, 6, PowerState.RUNNING)]

        driver.snapshot_delete(place, later, 3, name)
        driver.snapshot_delete(place, later, 3, "")
        assert failure_of(lambda: driver.snapshot_revert(place, later, 3, name)) == "refused"
        assert said(driver, vm) == [(vm.vm_id, 6, PowerState.RUNNING)]

    def test_deleting_a_snapshot_of_a_guest_that_is_not_there_is_fine(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "snapshot")
        driver.snapshot_delete(place, vm, 3, "")

        assert said(driver, vm) == []

    def test_a_disk_grows_while_its_guest_runs_and_never_shrinks(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "resize")
        disk = self.spare(place, vm, 7)
        vm = with_disks(vm, disk)
        driver.deploy(place, vm)
        driver.grow_disk(place, vm, disk, 2 * DISK_BYTES)
        driver.grow_disk(place, vm, disk, 2 * DISK_BYTES)
        with pytest.raises(DriverError) as refused:
            driver.grow_disk(place, vm, disk, DISK_BYTES)

        assert refused.value.code == "refused"
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_guest_is_resized_as_far_as_it_was_deployed_for(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "resize")
        most_mib = vm.memory_mib + 32
        vm = msgspec.structs.replace(vm, vcpus_max=2, memory_max_mib=most_mib)
        self.ready(driver, place, vm)
        driver.resize(place, vm, 2, most_mib)
        driver.resize(place, vm, 2, most_mib)

        assert failure_of(lambda: driver.resize(place, vm, 3, most_mib)) == "refused"
        assert failure_of(lambda: driver.resize(place, vm, 2, most_mib + 1)) == "refused"
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]


def with_disks(vm: Vm, *disks: Disk) -> Vm:
    """Return the VM with these disks besides its own."""
    return msgspec.structs.replace(vm, disks=(*vm.disks, *disks))

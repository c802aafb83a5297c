"""The steps that the agent carries out itself: images in and out of the cache, files of VMs between hosts."""

from dataclasses import dataclass
from pathlib import Path

from innkeeper_hostagent.acts import Act
from innkeeper_hostagent.calls import Result
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.images import ImageSteps
from innkeeper_hostagent.protocol.bulk import beside_of
from innkeeper_hostagent.sealing import Seals, to_result
from innkeeper_plugins.protocols import Place
from innkeeper_plugins.steps import DropImage, Fetch, ImportImage, Mv, SaveImage, Seal
from innkeeper_plugins.vocabulary import Vm

_DISK_FILE = "disk."


@dataclass(frozen=True, slots=True)
class OwnSteps:
    """What is needed to carry them out; its methods block and may run in several threads."""

    drivers: Drivers
    images: ImageSteps
    seals: Seals

    def carry_out(self, act: Act, place: Place) -> Result:
        """Carry the act's step out and return what it found out.

        Raises:
            DriverError: as the step's class says.
        """
        step, vm = act.run.step, act.run.vm
        if isinstance(step, Fetch):
            self.images.fetch(step, act)
        elif isinstance(step, DropImage):
            self.images.drop(step)
        elif isinstance(step, ImportImage):
            return self.images.import_image(step, act)
        else:
            assert vm is not None, "the executor refuses steps without their VM"
            if isinstance(step, Seal):
                return {"files": self._seal(vm, place, act)}
            if isinstance(step, SaveImage):
                return self._save_image(step, vm, place, act)
            assert isinstance(step, Mv), f"{type(step).__name__} is no step of the agent's own"
            self._mv(step, vm, place, act)
        return {}

    def _seal(self, vm: Vm, place: Place, act: Act) -> str:
        disks = []
        for disk in vm.disks:
            stat = self.drivers.transfer(disk.driver).stat(place, vm, disk)
            # A simulated disk exists and has no file: there is nothing of it to carry.
            if not stat.exists or place.disk_path(vm, disk).exists():
                disks.append(disk)
        return to_result(self.seals.seal(vm, disks, act.progress))

    def _save_image(self, step: SaveImage, vm: Vm, place: Place, act: Act) -> Result:
        disk = vm.disk(step.disk_id)
        driver = self.drivers.transfer(disk.driver)
        snapshot_id = None if step.snapshot_id < 0 else step.snapshot_id

        def copy(destination: Path) -> None:
            driver.cpds(place, vm, disk, destination, snapshot_id)

        return self.images.save_image(step, disk, copy, act)

    def _mv(self, step: Mv, vm: Vm, place: Place, act: Act) -> None:
        name = step.file.name
        disk = vm.disk(int(name.removeprefix(_DISK_FILE))) if name.startswith(_DISK_FILE) else None
        directory: Path = place.vm_dir(vm) if disk is None else place.disk_path(vm, disk).parent
        staging = directory / f".arriving.{name}"
        self.images.fetcher.fetch(step.file.sha256, step.file.size_bytes, step.holders, staging, act)
        self.drivers.transfer(vm.driver if disk is None else disk.driver).mv(place, vm, step.file, staging)
        beside_of(staging).unlink(missing_ok=True)

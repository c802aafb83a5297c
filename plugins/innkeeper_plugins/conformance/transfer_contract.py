"""What every transfer driver promises, as tests: subclass ``TransferContract`` and say how your driver is made.

It must not know any driver: what differs between them is declared in the subclass or in ``capabilities``.
"""

import dataclasses
from pathlib import Path

import pytest

from innkeeper_plugins.conformance.bench import Bench, make_bench
from innkeeper_plugins.conformance.full_disk import full_directory
from innkeeper_plugins.conformance.making_contract import MakingContract
from innkeeper_plugins.conformance.moving_contract import MovingContract
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import TransferDriver
from innkeeper_plugins.vocabulary import DiskFormat


class TransferContract(MakingContract, MovingContract):
    """Subclass as ``class TestMine(TransferContract)`` with ``make_driver``; pytest does the rest."""

    #: Format of the disks that the driver makes.
    disk_format = DiskFormat.QCOW2
    #: Format of the image that it makes them from.
    image_format = DiskFormat.RAW
    #: False for a driver that only pretends: nothing is read from its disks, and it needs no room for them.
    makes_disks = True

    def make_driver(self) -> TransferDriver:
        """Return a new driver; one driver serves a whole test."""
        raise NotImplementedError("return your driver here")

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        """Return the driver with what it works on."""
        return make_bench(
            self.make_driver(),
            tmp_path,
            image_format=self.image_format,
            disk_format=self.disk_format,
            makes_disks=self.makes_disks,
        )

    @pytest.mark.parametrize("verb", ["clone", "context"])
    def test_a_full_disk_is_said_leaves_nothing_half_made_and_the_next_try_succeeds(
        self, bench: Bench, tmp_path: Path, verb: str
    ) -> None:
        if not self.makes_disks:
            pytest.skip("the driver only pretends and needs no room")
        with full_directory(tmp_path / "full") as directory:
            full = dataclasses.replace(bench, place=LocalPlace(tmp_path / "full", images=bench.place.images))
            with pytest.raises(DriverError) as failed:
                _make(full, verb)
            left = full.files()
            directory.make_room()
            _make(full, verb)

            assert failed.value.code in directory.codes
            assert left == []
            assert len(full.files()) == 1


def _make(bench: Bench, verb: str) -> None:
    if verb == "clone":
        bench.driver.clone(bench.place, bench.vm, bench.disk)
    else:
        bench.driver.context(bench.place, bench.vm)

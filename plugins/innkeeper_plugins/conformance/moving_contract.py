"""What every transfer driver promises about moving and deleting disks: mv, premigrate, postmigrate, delete.

It must not know any driver: see ``transfer_contract``.
"""

from pathlib import Path

import msgspec
import pytest

from innkeeper_plugins.conformance.bench import CONTENT, DISK_BYTES, Bench
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.protocols import checkpoint_path
from innkeeper_plugins.vocabulary import Digest, SealedFile


class MovingContract:
    """Promises about moving and deleting disks; ``TransferContract`` brings the bench."""

    def test_a_fetched_disk_is_taken_over_once_and_for_all(self, bench: Bench, tmp_path: Path) -> None:
        elsewhere = LocalPlace(tmp_path / "other-host", images=bench.place.images)
        bench.driver.clone(elsewhere, bench.vm, bench.disk)
        source = fetched(elsewhere.disk_path(bench.vm, bench.disk), tmp_path)
        bench.driver.delete(elsewhere, bench.vm, None)
        file = SealedFile(name="disk.0", sha256=Digest("f" * 64), size_bytes=source.stat().st_size, datastore="default")
        bench.driver.mv(bench.place, bench.vm, file, source)
        bench.driver.mv(bench.place, bench.vm, file, source)

        assert not source.exists()
        assert bench.size_of(bench.disk) == DISK_BYTES
        assert bench.begins_with(bench.disk, CONTENT)

    def test_a_fetched_checkpoint_is_taken_over_once_and_for_all(self, bench: Bench, tmp_path: Path) -> None:
        source = tmp_path / "fetched"
        source.write_bytes(b"saved memory")
        file = SealedFile(name="checkpoint", sha256=Digest("f" * 64), size_bytes=12, datastore="default")
        bench.driver.mv(bench.place, bench.vm, file, source)
        bench.driver.mv(bench.place, bench.vm, file, source)

        assert not source.exists()
        assert checkpoint_path(bench.place, bench.vm).read_bytes() == b"saved memory"

    def test_deleting_one_disk_leaves_the_other(self, bench: Bench) -> None:
        bench.make_all()
        bench.driver.delete(bench.place, bench.vm, bench.disk)
        bench.driver.delete(bench.place, bench.vm, bench.disk)

        assert bench.size_of(bench.disk) is None
        assert bench.size_of(bench.blank) == DISK_BYTES

    def test_deleting_all_leaves_nothing_of_this_vm_and_everything_of_another(self, bench: Bench) -> None:
        neighbour = bench.neighbour()
        for vm in (bench.vm, neighbour):
            bench.make_all(vm)
            (bench.place.vm_dir(vm) / "transfer.0.prolog").write_text("0 PROLOG clone disk.0\n")
        before = bench.files(neighbour)
        bench.driver.delete(bench.place, bench.vm, None)
        bench.driver.delete(bench.place, bench.vm, None)

        assert [path for path in bench.place.vm_dirs(bench.vm) if path.exists()] == []
        assert (bench.size_of(bench.disk), bench.size_of(bench.blank)) == (None, None)
        assert bench.files(neighbour) == before
        assert (bench.size_of(bench.disk, neighbour), bench.size_of(bench.blank, neighbour)) == (DISK_BYTES, DISK_BYTES)

    def test_deleting_what_was_never_there_is_fine_and_leaves_nothing(self, bench: Bench) -> None:
        bench.driver.delete(bench.place, bench.vm, None)
        bench.driver.delete(bench.place, bench.vm, bench.disk)

        assert bench.files() == []

    def test_deleting_follows_no_link_out_of_the_vm_s_directory(self, bench: Bench, tmp_path: Path) -> None:
        precious = tmp_path / "precious" / "file"
        precious.parent.mkdir()
        precious.write_text("keep me")
        (bench.place.vm_dir(bench.vm) / "trap").symlink_to(precious.parent)
        bench.place.disk_path(bench.vm, bench.disk).symlink_to(precious)
        bench.driver.delete(bench.place, bench.vm, bench.disk)
        bench.driver.delete(bench.place, bench.vm, None)

        assert precious.read_text() == "keep me"
        assert bench.files() == []

    def test_a_destination_has_disks_of_the_right_size_and_loses_them_if_the_guest_never_comes(
        self, bench: Bench
    ) -> None:
        skip_unless(bench, shared=False)
        bench.driver.premigrate(bench.place, bench.vm)
        bench.driver.premigrate(bench.place, bench.vm)
        sizes = [bench.size_of(disk) for disk in bench.vm.disks]
        bench.driver.postmigrate(bench.place, bench.vm)
        bench.driver.postmigrate(bench.place, bench.vm)

        assert sizes == [DISK_BYTES, DISK_BYTES]
        assert bench.files() == []

    def test_a_host_that_the_guest_has_left_keeps_nothing_of_it(self, bench: Bench) -> None:
        skip_unless(bench, shared=False)
        bench.make_all()
        bench.driver.postmigrate(bench.place, bench.vm)

        assert bench.files() == []

    def test_disks_of_other_drivers_are_not_touched_by_a_migration(self, bench: Bench) -> None:
        stranger = msgspec.structs.replace(bench.disk, driver=f"not-{bench.driver.name}")
        vm = msgspec.structs.replace(bench.vm, disks=(stranger,))
        bench.driver.premigrate(bench.place, vm)
        assert bench.files(vm) == []
        bench.place.disk_path(vm, stranger).write_bytes(b"somebody else's")
        bench.driver.postmigrate(bench.place, vm)

        assert bench.place.disk_path(vm, stranger).read_bytes() == b"somebody else's"

    def test_shared_disks_stay_when_the_guest_leaves(self, bench: Bench) -> None:
        skip_unless(bench, shared=True)
        bench.make_all()
        before = bench.files()
        bench.driver.premigrate(bench.place, bench.vm)
        bench.driver.postmigrate(bench.place, bench.vm)

        assert bench.files() == before
        assert bench.begins_with(bench.disk, CONTENT)
        assert bench.size_of(bench.blank) == DISK_BYTES


def fetched(sealed: Path, directory: Path) -> Path:
    """Return a copy of another host's file, as if it had come over the wire; empty where there was none."""
    copy = directory / "fetched"
    copy.write_bytes(sealed.read_bytes() if sealed.exists() else b"")
    return copy


def skip_unless(bench: Bench, *, shared: bool) -> None:
    """Skip a test that is about the other kind of storage."""
    if ("shared" in bench.driver.capabilities) is not shared:
        pytest.skip("about shared storage" if shared else "about storage that is not shared")

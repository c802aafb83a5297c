"""What every transfer driver promises about making disks: clone, ln, mkimage, mkswap, context, resize, snapshots.

It must not know any driver: see ``transfer_contract``.
"""

import msgspec
import pytest

from innkeeper_plugins import images
from innkeeper_plugins.conformance.bench import CONTENT, DISK_BYTES, IMAGE_BYTES, SCRIBBLE, Bench
from innkeeper_plugins.conformance.guest_view import read_disk
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import TRANSFER_CAPABILITIES, DiskStat, context_path
from innkeeper_plugins.transfer.whole_file import partial_path
from innkeeper_plugins.vocabulary import Digest, DiskKind

#: Where an ext file system and a swap area say what they are.
EXT_MAGIC = slice(0x438, 0x43A)
SWAP_MAGIC = slice(4086, 4096)
SCRIBBLED_CONTENT = SCRIBBLE + CONTENT[len(SCRIBBLE) :]


class MakingContract:
    """Promises about making disks; ``TransferContract`` brings the bench."""

    def leave_half_made(self, bench: Bench) -> None:
        """Leave what a power cut in the middle of making the first disk would leave."""
        partial_path(bench.place.disk_path(bench.vm, bench.disk)).write_bytes(b"half of it")

    def test_it_has_a_name_and_declares_only_known_abilities(self, bench: Bench) -> None:
        assert bench.driver.name
        assert bench.driver.capabilities <= TRANSFER_CAPABILITIES.keys()

    def test_a_disk_that_does_not_exist_is_an_answer(self, bench: Bench) -> None:
        assert bench.driver.stat(bench.place, bench.vm, bench.disk) == DiskStat(exists=False)

    def test_a_clone_holds_the_image_and_has_the_disk_s_own_size(self, bench: Bench) -> None:
        bench.driver.clone(bench.place, bench.vm, bench.disk)

        assert bench.size_of(bench.disk) == DISK_BYTES
        assert bench.begins_with(bench.disk, CONTENT)

    def test_a_clone_can_be_written_and_the_image_stays_as_it_was(self, bench: Bench) -> None:
        before = bench.place.image_path(bench.image.sha256).read_bytes()
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.scribble(bench.disk)

        assert bench.begins_with(bench.disk, SCRIBBLED_CONTENT)
        assert bench.place.image_path(bench.image.sha256).read_bytes() == before

    def test_a_clone_that_runs_twice_keeps_what_the_guest_wrote_in_between(self, bench: Bench) -> None:
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.scribble(bench.disk)
        bench.driver.clone(bench.place, bench.vm, bench.disk)

        assert bench.begins_with(bench.disk, SCRIBBLED_CONTENT)

    def test_a_half_made_clone_is_not_taken_for_a_disk_and_is_replaced(self, bench: Bench) -> None:
        self.leave_half_made(bench)
        assert bench.size_of(bench.disk) is None
        bench.driver.clone(bench.place, bench.vm, bench.disk)

        assert bench.begins_with(bench.disk, CONTENT)
        bench.driver.delete(bench.place, bench.vm, bench.disk)
        assert bench.files() == []

    def test_a_clone_without_its_image_says_so_and_leaves_nothing(self, bench: Bench) -> None:
        image = msgspec.structs.replace(bench.image, sha256=Digest("0" * 64))
        with pytest.raises(DriverError) as failed:
            bench.driver.clone(bench.place, bench.vm, msgspec.structs.replace(bench.disk, image=image))

        assert failed.value.code == "image_missing"
        assert bench.files() == []

    def test_a_cancelled_clone_leaves_nothing_or_a_whole_disk(self, bench: Bench) -> None:
        bench.place.cancel_after = 0
        failed = attempt_clone(bench)
        left = bench.files()
        bench.place.cancel_after = None
        bench.driver.clone(bench.place, bench.vm, bench.disk)

        assert failed is None or (failed.code, left) == ("cancelled", [])
        assert bench.begins_with(bench.disk, CONTENT)

    def test_a_linked_image_is_the_image_itself_however_often_it_is_linked(self, bench: Bench) -> None:
        disk = msgspec.structs.replace(
            bench.disk,
            kind=DiskKind.CDROM,
            format=bench.image.format,
            size_bytes=bench.image.virtual_size_bytes,
            readonly=True,
        )
        bench.driver.ln(bench.place, bench.vm, disk)
        bench.driver.ln(bench.place, bench.vm, disk)

        assert bench.size_of(disk) == disk.size_bytes
        assert bench.begins_with(disk, CONTENT)
        bench.driver.delete(bench.place, bench.vm, None)
        assert bench.files() == []
        assert bench.place.image_path(bench.image.sha256).exists()

    def test_an_empty_disk_is_blank_and_stays_what_the_guest_made_of_it(self, bench: Bench) -> None:
        bench.driver.mkimage(bench.place, bench.vm, bench.blank)
        assert bench.begins_with(bench.blank, b"")
        bench.scribble(bench.blank)
        bench.driver.mkimage(bench.place, bench.vm, bench.blank)

        assert bench.size_of(bench.blank) == DISK_BYTES
        assert bench.begins_with(bench.blank, SCRIBBLE)

    def test_an_empty_disk_gets_the_file_system_that_it_names(self, bench: Bench) -> None:
        disk = msgspec.structs.replace(bench.blank, filesystem="ext4")
        bench.driver.mkimage(bench.place, bench.vm, disk)

        assert bench.size_of(disk) == DISK_BYTES
        if bench.makes_disks:
            assert read_disk(bench.place.disk_path(bench.vm, disk), disk.format)[EXT_MAGIC] == b"\x53\xef"

    def test_a_swap_disk_is_one_however_often_it_is_made(self, bench: Bench) -> None:
        disk = msgspec.structs.replace(bench.blank, kind=DiskKind.SWAP)
        bench.driver.mkswap(bench.place, bench.vm, disk)
        bench.driver.mkswap(bench.place, bench.vm, disk)

        assert bench.size_of(disk) == DISK_BYTES
        if bench.makes_disks:
            assert read_disk(bench.place.disk_path(bench.vm, disk), disk.format)[SWAP_MAGIC] == b"SWAPSPACE2"

    def test_the_context_disk_is_the_same_however_often_it_is_made(self, bench: Bench) -> None:
        path = context_path(bench.place, bench.vm)
        bench.driver.context(bench.place, bench.vm)
        first = path.read_bytes() if path.exists() else b""
        bench.driver.context(bench.place, bench.vm)

        assert (path.read_bytes() if path.exists() else b"") == first
        assert first or not bench.makes_disks

    def test_a_disk_grows_and_keeps_its_content(self, bench: Bench) -> None:
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.driver.resize(bench.place, bench.vm, bench.disk, 2 * DISK_BYTES)
        bench.driver.resize(bench.place, bench.vm, bench.disk, 2 * DISK_BYTES)

        assert bench.size_of(bench.disk) == 2 * DISK_BYTES
        assert bench.begins_with(bench.disk, CONTENT)

    def test_a_disk_never_shrinks(self, bench: Bench) -> None:
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        with pytest.raises(DriverError) as failed:
            bench.driver.resize(bench.place, bench.vm, bench.disk, DISK_BYTES // 2)

        assert failed.value.code == "refused"
        assert bench.size_of(bench.disk) == DISK_BYTES

    def test_resizing_a_disk_that_is_not_there_is_an_error_of_the_driver(self, bench: Bench) -> None:
        with pytest.raises(DriverError):
            bench.driver.resize(bench.place, bench.vm, bench.disk, 2 * DISK_BYTES)

    def test_a_snapshot_brings_its_content_back(self, bench: Bench) -> None:
        skip_without_snapshots(bench)
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.driver.snapshot_create(bench.place, bench.vm, bench.disk, 3)
        bench.scribble(bench.disk)
        # The second call must not replace what the first one kept.
        bench.driver.snapshot_create(bench.place, bench.vm, bench.disk, 3)
        bench.driver.snapshot_revert(bench.place, bench.vm, bench.disk, 3)
        bench.driver.snapshot_revert(bench.place, bench.vm, bench.disk, 3)

        assert bench.begins_with(bench.disk, CONTENT)

    def test_a_disk_that_has_grown_since_its_snapshot_keeps_its_size_when_it_goes_back(self, bench: Bench) -> None:
        skip_without_snapshots(bench)
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.driver.snapshot_create(bench.place, bench.vm, bench.disk, 3)
        bench.scribble(bench.disk)
        larger = msgspec.structs.replace(bench.disk, size_bytes=2 * DISK_BYTES)
        bench.driver.resize(bench.place, bench.vm, bench.disk, larger.size_bytes)
        bench.driver.snapshot_revert(bench.place, bench.vm, larger, 3)

        assert bench.size_of(larger) == 2 * DISK_BYTES
        assert bench.begins_with(larger, CONTENT)

    def test_a_disk_that_is_copied_out_needs_no_other_file_and_stays_as_it_was(self, bench: Bench) -> None:
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.scribble(bench.disk)
        out = bench.place.root / "out"
        bench.driver.cpds(bench.place, bench.vm, bench.disk, out, None)
        bench.driver.cpds(bench.place, bench.vm, bench.disk, out, None)

        assert bench.begins_with(bench.disk, SCRIBBLED_CONTENT)
        if bench.makes_disks:
            facts = images.inspect(out, bench.disk.format)
            bench.place.image_path(bench.image.sha256).unlink()
            assert (facts.format, facts.virtual_size_bytes) == (bench.disk.format, DISK_BYTES)
            assert read_disk(out, facts.format)[:IMAGE_BYTES] == SCRIBBLED_CONTENT

    def test_a_snapshot_is_copied_out_as_the_disk_was_then(self, bench: Bench) -> None:
        skip_without_snapshots(bench)
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.driver.snapshot_create(bench.place, bench.vm, bench.disk, 3)
        bench.scribble(bench.disk)
        out = bench.place.root / "out"
        bench.driver.cpds(bench.place, bench.vm, bench.disk, out, 3)
        with pytest.raises(DriverError) as failed:
            bench.driver.cpds(bench.place, bench.vm, bench.disk, bench.place.root / "none", 4)

        assert (failed.value.code, (bench.place.root / "none").exists()) == ("refused", False)
        assert out.exists()
        if bench.makes_disks:
            assert read_disk(out, bench.disk.format)[:IMAGE_BYTES] == CONTENT

    def test_copying_out_a_disk_that_is_not_there_is_an_error_and_leaves_nothing(self, bench: Bench) -> None:
        out = bench.place.root / "out"
        with pytest.raises(DriverError):
            bench.driver.cpds(bench.place, bench.vm, bench.disk, out, None)

        assert not out.exists()

    def test_a_deleted_snapshot_is_gone_and_the_disk_stays_as_it_is(self, bench: Bench) -> None:
        skip_without_snapshots(bench)
        bench.driver.clone(bench.place, bench.vm, bench.disk)
        bench.driver.snapshot_create(bench.place, bench.vm, bench.disk, 3)
        bench.scribble(bench.disk)
        bench.driver.snapshot_delete(bench.place, bench.vm, bench.disk, 3)
        bench.driver.snapshot_delete(bench.place, bench.vm, bench.disk, 3)
        with pytest.raises(DriverError) as failed:
            bench.driver.snapshot_revert(bench.place, bench.vm, bench.disk, 3)

        assert failed.value.code == "refused"
        assert bench.begins_with(bench.disk, SCRIBBLED_CONTENT)


def attempt_clone(bench: Bench) -> DriverError | None:
    """Clone the first disk and return how that failed, None where it did not."""
    try:
        bench.driver.clone(bench.place, bench.vm, bench.disk)
    except DriverError as error:
        return error
    return None


def skip_without_snapshots(bench: Bench) -> None:
    """Skip a test of an ability that the driver does not declare."""
    if "snapshot" not in bench.driver.capabilities:
        pytest.skip("the driver declares no snapshots")

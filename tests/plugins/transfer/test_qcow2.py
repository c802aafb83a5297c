"""The driver ``qcow2`` lays thin disks over cached images, naming every format."""

from pathlib import Path

import msgspec
import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import qcow2
from innkeeper_plugins.transfer.qcow2_header import read_header
from innkeeper_plugins.vocabulary import DiskFormat, DiskKind

MIB = 1024 * 1024


@pytest.fixture
def driver():
    return qcow2.make({})


@pytest.fixture
def disk(a_disk, place):
    return a_disk(image=place.add_image(b"x" * MIB))


class Recorder:
    """Stands for the command runner: keeps argv and plays what the tool would do."""

    def __init__(self, monkeypatch, play):
        self.argvs = []
        self.play = play
        monkeypatch.setattr(commands, "run", self)

    def __call__(self, argv, **_):
        self.argvs.append(tuple(argv))
        self.play(argv)
        return commands.CompletedCommand(stdout=b"", stderr=b"", duration_s=0.0)


def make_last(argv):
    with open(argv[-2], "wb") as file:  # noqa: PTH123
        file.write(b"overlay")


def test_every_format_and_the_size_are_said_and_the_file_is_made_under_another_name(
    driver, place, a_vm, disk, monkeypatch
):
    recorder = Recorder(monkeypatch, make_last)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)

    path = place.disk_path(vm, disk)
    assert recorder.argvs == [
        (
            *("qemu-img", "create", "-q", "-f", "qcow2"),
            *("-b", str(place.image_path(disk.image.sha256)), "-F", "raw"),
            *(f"{path}.partial", str(disk.size_bytes)),
        )
    ]
    assert path.read_bytes() == b"overlay"


def test_a_second_clone_starts_no_tool(driver, place, a_vm, disk, monkeypatch):
    recorder = Recorder(monkeypatch, make_last)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    driver.clone(place, vm, disk)

    assert len(recorder.argvs) == 1


def test_a_tool_that_fails_leaves_nothing_and_its_words_arrive(driver, place, a_vm, disk, monkeypatch):
    def fail(argv):
        make_last(argv)
        raise DriverError("qemu-img failed", argv=tuple(argv), exit_status=1, stderr="its words")

    recorder = Recorder(monkeypatch, fail)
    vm = a_vm(disk)
    with pytest.raises(DriverError) as failed:
        driver.clone(place, vm, disk)

    assert (failed.value.stderr, failed.value.argv) == ("its words", recorder.argvs[0])
    assert list(place.vm_dir(vm).iterdir()) == []


def test_a_raw_overlay_is_refused(driver, place, a_vm, disk):
    raw = msgspec.structs.replace(disk, format=DiskFormat.RAW)
    with pytest.raises(DriverError, match="an overlay is always qcow2") as refused:
        driver.clone(place, a_vm(raw), raw)

    assert refused.value.code == "refused"


def test_a_disk_smaller_than_its_image_is_refused(driver, place, a_vm, disk):
    small = msgspec.structs.replace(disk, size_bytes=MIB - 1)
    with pytest.raises(DriverError, match="too small for image image, which needs 1048576") as refused:
        driver.clone(place, a_vm(small), small)

    assert refused.value.code == "refused"


@pytest.mark.parametrize("verb", ["clone", "ln"])
def test_a_disk_without_an_image_cannot_be_made_from_one(driver, place, a_vm, a_disk, verb):
    with pytest.raises(DriverError, match="names no image"):
        getattr(driver, verb)(place, a_vm(a_disk()), a_disk())


def test_a_link_where_a_disk_should_be_is_not_written_through(driver, place, a_vm, disk, tmp_path):
    vm = a_vm(disk)
    (tmp_path / "elsewhere").write_bytes(b"precious")
    place.disk_path(vm, disk).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DriverError, match="is a link to an image") as refused:
        driver.clone(place, vm, disk)

    assert refused.value.code == "refused"
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_linking_never_replaces_a_disk(driver, place, a_vm, disk):
    disc = msgspec.structs.replace(disk, kind=DiskKind.CDROM, format=DiskFormat.RAW)
    vm = a_vm(disc)
    place.disk_path(vm, disc).write_bytes(b"a guest's data")
    with pytest.raises(DriverError, match="is a disk of its own") as refused:
        driver.ln(place, vm, disc)

    assert refused.value.code == "refused"
    assert place.disk_path(vm, disc).read_bytes() == b"a guest's data"


def test_an_image_is_linked_only_under_its_own_format(driver, place, a_vm, disk):
    with pytest.raises(DriverError, match="give it FORMAT=raw") as refused:
        driver.ln(place, a_vm(disk), disk)

    assert refused.value.code == "refused"


def test_a_link_follows_the_image_when_the_cache_has_moved(driver, place, a_vm, disk, tmp_path):
    disc = msgspec.structs.replace(disk, kind=DiskKind.CDROM, format=DiskFormat.RAW)
    vm = a_vm(disc)
    driver.ln(place, vm, disc)
    place.images.rename(tmp_path / "moved")
    moved = LocalPlace(place.root, images=tmp_path / "moved")
    driver.ln(moved, vm, disc)

    assert place.disk_path(vm, disc).readlink() == tmp_path / "moved" / disc.image.sha256


def test_a_mistake_in_the_configuration_is_an_error():
    with pytest.raises(msgspec.ValidationError, match="unknown field `timeout`"):
        qcow2.make({"timeout": 3})


@pytest.mark.libvirt
def test_a_real_overlay_names_this_host_s_image_and_its_format(driver, place, a_vm, disk):
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    path = place.disk_path(vm, disk)

    assert read_header(path).backing_file == str(place.image_path(disk.image.sha256))
    told = commands.run(("qemu-img", "info", "--output=json", "-f", "qcow2", str(path)), timeout_s=20).stdout
    assert msgspec.json.decode(told)["backing-filename-format"] == "raw"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.libvirt
def test_snapshots_of_others_are_not_ours(driver, place, a_vm, disk):
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    commands.run(("qemu-img", "snapshot", "-c", "3", str(place.disk_path(vm, disk))), timeout_s=20)

    with pytest.raises(DriverError, match="no snapshot 3"):
        driver.snapshot_revert(place, vm, disk, 3)


def test_a_raw_disk_keeps_no_snapshots(driver, place, a_vm, a_disk):
    raw = a_disk(format=DiskFormat.RAW)
    with pytest.raises(DriverError, match="only qcow2 keeps snapshots") as refused:
        driver.snapshot_create(place, a_vm(raw), raw, 1)

    assert refused.value.code == "refused"


def test_a_disk_is_copied_out_with_every_format_said_and_under_another_name(driver, place, a_vm, disk, monkeypatch):
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    recorder = Recorder(monkeypatch, lambda argv: Path(argv[-1]).write_bytes(b"image"))
    out = place.root / "out"
    driver.cpds(place, vm, disk, out, None)

    path = place.disk_path(vm, disk)
    assert recorder.argvs == [("qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2", str(path), f"{out}.partial")]
    assert out.read_bytes() == b"image"


def test_a_disk_that_reads_from_anything_but_its_image_is_never_opened(
    driver, place, a_vm, disk, monkeypatch, tmp_path
):
    vm, secret = a_vm(disk), tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    driver.clone(place, vm, disk)
    commands.run(
        ("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(place.disk_path(vm, disk))),
        timeout_s=20,
    )
    recorder = Recorder(monkeypatch, lambda _argv: None)
    with pytest.raises(DriverError) as failed:
        driver.cpds(place, vm, disk, place.root / "out", None)

    assert failed.value.code == "bad_image"
    assert (recorder.argvs, (place.root / "out").exists()) == ([], False)


def test_a_cancelled_copy_leaves_nothing_half_made(driver, place, a_vm, disk):
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    place.cancel_after = 0
    with pytest.raises(DriverError) as failed:
        driver.cpds(place, vm, disk, place.root / "out", None)

    assert failed.value.code == "cancelled"
    assert list(place.root.glob("out*")) == []

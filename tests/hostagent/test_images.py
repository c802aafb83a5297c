"""Images coming into the host: fetched once, imported only as what they were declared, never half."""

import hashlib
import os
import threading

import msgspec
import pytest
from tests.hostagent.equipment_of_tests import Peers, an_act, equipped
from tests.hostagent.orders_of_tests import a_disk, a_vm

from innkeeper_hostagent.place import AgentPlace
from innkeeper_plugins import images as inspection
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.steps import DropImage, Fetch, ImportImage, SaveImage
from innkeeper_plugins.vocabulary import Digest, DiskFormat, Holder, ImageId, ImageRef, VmState

HOLDERS = (Holder(endpoint="tcp://10.0.0.1:2635", public_key="k" * 40),)
COMMON = {"step_id": 0, "phase": VmState.PROLOG, "driver": "agent"}
DATA = b"an image" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


def fetch_step(digest=DIGEST, holders=HOLDERS):
    image = ImageRef(
        image_id=ImageId(1),
        name="tiny",
        datastore="default",
        sha256=Digest(digest),
        size_bytes=len(DATA),
        virtual_size_bytes=len(DATA),
        format=DiskFormat.RAW,
    )
    return Fetch(image=image, holders=holders, **COMMON)


def import_step(**values):
    return ImportImage(image_id=ImageId(3), datastore="default", **(COMMON | values))


def fetch(equipment, step=None):
    step = step or fetch_step()
    equipment.own.images.fetch(step, an_act(step))


def imported(equipment, **values):
    step = import_step(**values)
    return equipment.own.images.import_image(step, an_act(step))


def left_over(tmp_path):
    return list((tmp_path / "default" / "images" / "partial").iterdir())


@pytest.fixture
def peers():
    peers = Peers()
    peers.hold(DATA)
    return peers


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "import"
    directory.mkdir()
    (directory / "tiny.raw").write_bytes(DATA)
    return directory


def test_an_image_is_fetched_once_and_told_of(tmp_path, peers):
    changes = []
    equipment = equipped(tmp_path, peers=peers, changes=changes)

    fetch(equipment)
    fetch(equipment)

    assert equipment.caches.path(DIGEST).read_bytes() == DATA
    assert peers.asked == [DIGEST]
    assert changes == [((DIGEST,), ())]


def test_many_vms_that_need_an_image_at_once_fetch_it_once(tmp_path, peers):
    equipment = equipped(tmp_path, peers=peers)
    together = threading.Barrier(4)
    threads = [threading.Thread(target=lambda: (together.wait(), fetch(equipment))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert peers.asked == [DIGEST]


def test_a_fetch_that_waits_for_another_hears_its_cancel(tmp_path, peers):
    equipment = equipped(tmp_path, peers=peers)
    waiting = an_act(fetch_step())
    outcomes = []

    def fetch_meanwhile():
        waiting.cancel()
        with pytest.raises(DriverError) as stopped:
            equipment.own.images.fetch(fetch_step(), waiting)
        outcomes.append(stopped.value.code)

    peers.on_fetch = fetch_meanwhile
    fetch(equipment)

    assert outcomes == ["cancelled"]


def test_a_failed_fetch_leaves_the_next_one_free(tmp_path):
    peers = Peers()
    equipment = equipped(tmp_path, peers=peers)
    with pytest.raises(DriverError):
        fetch(equipment)

    peers.hold(DATA)
    fetch(equipment)

    assert equipment.caches.find(DIGEST) is not None


def test_an_image_that_nobody_holds_is_missing(tmp_path):
    with pytest.raises(DriverError) as missing:
        fetch(equipped(tmp_path), fetch_step(holders=()))
    assert missing.value.code == "image_missing"


def test_room_is_made_before_an_image_comes_and_what_went_is_told(tmp_path, peers):
    changes = []
    other = peers.hold(b"x" * len(DATA))
    equipment = equipped(tmp_path, peers=peers, changes=changes, limit_bytes=len(DATA))

    fetch(equipment, fetch_step(other))
    fetch(equipment)

    assert changes == [((other,), ()), ((), (other,)), ((DIGEST,), ())]
    assert equipment.caches.digests() == (DIGEST,)


def test_an_image_is_imported_from_a_path_and_is_at_home_from_then_on(tmp_path, source):
    changes = []
    equipment = equipped(tmp_path, import_dirs=[source], changes=changes, limit_bytes=0)

    result = imported(equipment, path="tiny.raw")

    assert result == {
        "sha256": DIGEST,
        "size_bytes": len(DATA),
        "virtual_size_bytes": len(DATA),
        "format": "raw",
    }
    assert equipment.caches.path(DIGEST).read_bytes() == DATA
    assert changes == [((DIGEST,), ())]
    assert left_over(tmp_path) == []
    assert equipment.caches.of("default").make_room(0) == ()


def test_an_import_that_runs_again_after_a_crash_finds_the_image_there(tmp_path, source):
    equipment = equipped(tmp_path, import_dirs=[source])

    assert imported(equipment, path="tiny.raw") == imported(equipment, path="tiny.raw")
    assert left_over(tmp_path) == []


def saved(equipment, disk, **values):
    step = SaveImage(disk_id=disk.disk_id, image_id=ImageId(3), **(COMMON | values))
    vm = a_vm(disks=(disk,))
    act = an_act(step, vm=vm)
    place = AgentPlace(equipment.datastores, equipment.caches, progress=act.progress)
    equipment.drivers.transfer(disk.driver).mkimage(place, vm, disk)
    return equipment.own.carry_out(act, place)


@pytest.mark.parametrize("format_", DiskFormat)
@pytest.mark.parametrize("datastore", ["", "common"])
def test_a_disk_is_saved_as_an_image_that_is_at_home_in_its_datastore_from_then_on(tmp_path, format_, datastore):
    changes = []
    equipment = equipped(tmp_path, changes=changes, limit_bytes=0)
    equipment.own.images.examine = inspection.inspect
    disk = msgspec.structs.replace(a_disk(driver="simulated"), format=format_)

    result = saved(equipment, disk, datastore=datastore)
    again = saved(equipment, disk, datastore=datastore)

    cache = equipment.caches.of(datastore or "default")
    content = cache.path(result["sha256"]).read_bytes()
    assert result == again
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    assert (result["format"], result["size_bytes"]) == (format_, len(content))
    assert format_ is DiskFormat.RAW or result["virtual_size_bytes"] == disk.size_bytes
    assert changes == [((result["sha256"],), ())]
    assert left_over(tmp_path) == []
    assert cache.make_room(0) == ()


@pytest.mark.parametrize(
    ("values", "orders", "code"),
    [
        ({"snapshot_id": 4}, {}, "refused"),
        ({"datastore": "nowhere"}, {}, "refused"),
        ({}, {"fail": {"cpds": 1.0}, "fail_code": "no_space"}, "no_space"),
        ({}, {"lie": {"cpds": 1.0}}, "bad_image"),
    ],
)
def test_a_disk_that_cannot_be_saved_leaves_nothing(tmp_path, values, orders, code):
    equipment = equipped(tmp_path, transfer=orders)

    with pytest.raises(DriverError) as failed:
        saved(equipment, a_disk(driver="simulated"), **values)

    assert failed.value.code == code
    assert (left_over(tmp_path), equipment.caches.digests()) == ([], ())


def test_an_image_of_nothing_is_empty_sparse_and_of_the_size_that_was_asked_for(tmp_path):
    equipment = equipped(tmp_path)
    size_bytes = 5 * 1024 * 1024 + 512

    result = imported(equipment, size_bytes=size_bytes)

    path = equipment.caches.path(result["sha256"])
    assert result == {
        "sha256": hashlib.sha256(bytes(size_bytes)).hexdigest(),
        "size_bytes": size_bytes,
        "virtual_size_bytes": size_bytes,
        "format": "raw",
    }
    assert (path.stat().st_size, path.stat().st_blocks) == (size_bytes, 0)


def test_an_image_of_nothing_and_without_a_size_is_refused(tmp_path):
    with pytest.raises(DriverError) as failed:
        imported(equipped(tmp_path))

    assert failed.value.code == "refused"


def test_what_an_import_leaves_is_removed_and_what_another_one_has_is_not(tmp_path):
    equipment = equipped(tmp_path)
    other = equipment.caches.of("default").partial_path("import-31")
    other.write_bytes(b"half of it")

    imported(equipment, size_bytes=512)

    assert left_over(tmp_path) == [other]


def test_zeros_become_holes(tmp_path, source):
    with (source / "sparse.raw").open("wb") as file:
        file.write(b"begin")
        file.seek(8 << 20)
        file.write(b"end")
    equipment = equipped(tmp_path, import_dirs=[source])
    equipment.own.images.terms = type(equipment.own.images.terms)(max_bytes=1 << 30, timeout_s=10.0)

    result = imported(equipment, path="sparse.raw")

    path = equipment.caches.path(result["sha256"])
    assert path.read_bytes() == (source / "sparse.raw").read_bytes()
    assert path.stat().st_blocks * 512 < 4 << 20


def test_an_uploaded_image_comes_from_its_holder(tmp_path, peers):
    equipment = equipped(tmp_path, peers=peers)

    result = imported(equipment, holders=HOLDERS, sha256=DIGEST, size_bytes=len(DATA))

    assert result["sha256"] == DIGEST
    assert equipment.caches.find(DIGEST) is not None


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"path": "tiny.raw", "sha256": "0" * 64}, "bad_image"),
        ({"path": "tiny.raw", "size_bytes": len(DATA) + 1}, "bad_image"),
        ({"path": "tiny.raw", "format": "qcow2"}, "bad_image"),
        ({"path": "tiny.raw", "format": "vmdk"}, "bad_image"),
        ({"path": "big.raw"}, "refused"),
        ({"path": "../default"}, "refused"),
        ({"path": "tiny.raw", "datastore": "nowhere"}, "refused"),
        ({"holders": HOLDERS}, "refused"),
        ({"holders": HOLDERS, "sha256": "1" * 64, "size_bytes": 5}, "image_missing"),
    ],
)
def test_an_image_that_is_not_what_it_should_be_is_refused_and_leaves_nothing(tmp_path, source, peers, values, code):
    (source / "big.raw").write_bytes(b"x" * ((1 << 20) + 1))
    equipment = equipped(tmp_path, import_dirs=[source], peers=peers)
    step = import_step(**{"path": "", **values}) if "datastore" not in values else None
    step = step or ImportImage(image_id=ImageId(3), **(COMMON | values))

    with pytest.raises(DriverError) as refusal:
        equipment.own.images.import_image(step, an_act(step))

    assert refusal.value.code == code
    assert equipment.caches.digests() == ()
    assert left_over(tmp_path) == []


def test_a_cancelled_import_leaves_nothing(tmp_path, source):
    equipment = equipped(tmp_path, import_dirs=[source])
    step = import_step(path="tiny.raw")
    act = an_act(step)
    act.cancel()

    with pytest.raises(DriverError) as stopped:
        equipment.own.images.import_image(step, act)

    assert stopped.value.code == "cancelled"
    assert left_over(tmp_path) == []


def test_a_dropped_image_is_gone_and_dropping_it_again_is_fine(tmp_path, peers):
    changes = []
    equipment = equipped(tmp_path, peers=peers, changes=changes)
    fetch(equipment)
    step = DropImage(sha256=Digest(DIGEST), **COMMON)

    equipment.own.images.drop(step)
    equipment.own.images.drop(step)

    assert equipment.caches.digests() == ()
    assert changes == [((DIGEST,), ()), ((), (DIGEST,))]


def test_the_real_inspection_refuses_a_truncated_qcow2(tmp_path, source):
    (source / "cut.qcow2").write_bytes(b"QFI\xfb" + bytes(100))
    equipment = equipped(tmp_path, import_dirs=[source])
    equipment.own.images.examine = inspection.examine

    with pytest.raises(DriverError) as refusal:
        imported(equipment, path="cut.qcow2")

    assert refusal.value.code == "bad_image"
    assert left_over(tmp_path) == []


def test_a_full_disk_during_an_import_is_told_as_such_and_leaves_nothing(tmp_path, source):
    equipment = equipped(tmp_path, import_dirs=[source])
    (tmp_path / "default" / "images" / "partial" / "import-3").symlink_to("/dev/full")
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("this machine has no /dev/full")

    with pytest.raises(DriverError) as full:
        imported(equipment, path="tiny.raw")

    assert full.value.code == "no_space"
    assert left_over(tmp_path) == []

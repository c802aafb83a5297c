"""Files of VMs at rest, served by digest until they change or go."""

import hashlib
import json

import pytest
from tests.hostagent.orders_of_tests import a_disk, a_vm

from innkeeper_hostagent.place import Datastore
from innkeeper_hostagent.sealing import Seals, open_regular, to_result
from innkeeper_plugins.errors import DriverError

VM = a_vm(disks=(a_disk(0), a_disk(1, datastore="common")))


@pytest.fixture
def datastores(tmp_path):
    return {
        "default": Datastore("default", tmp_path / "default"),
        "common": Datastore("common", tmp_path / "common", shared=True),
    }


@pytest.fixture
def directory(datastores):
    directory = datastores["default"].vm_dir(7)
    directory.mkdir(parents=True)
    (directory / "disk.0").write_bytes(b"disk" * 1000)
    (directory / "checkpoint").write_bytes(b"memory")
    (directory / "transfer.0.prolog").write_bytes(b"script")
    return directory


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_the_files_that_only_this_host_has_are_sealed_with_progress(datastores, directory):
    told = []
    sealed = Seals(datastores).seal(VM, VM.disks, lambda done, total: told.append((done, total)))

    assert json.loads(to_result(sealed)) == [
        {"name": "disk.0", "sha256": digest(b"disk" * 1000), "size_bytes": 4000, "datastore": "default"},
        {"name": "checkpoint", "sha256": digest(b"memory"), "size_bytes": 6, "datastore": "default"},
    ]
    assert told == [(4000, 4006), (4006, 4006)]


def test_a_sealed_file_is_found_by_digest_even_after_the_agent_has_been_started_again(datastores, directory):
    Seals(datastores).seal(VM, VM.disks, lambda *_: None)

    again = Seals(datastores)

    assert again.find(digest(b"memory")) == directory / "checkpoint"
    assert again.find(digest(b"other")) is None


def test_an_unsealed_file_is_not_served_any_more(datastores, directory):
    seals = Seals(datastores)
    seals.seal(VM, VM.disks, lambda *_: None)
    seals.unseal(7)

    assert seals.find(digest(b"memory")) is None
    assert Seals(datastores).find(digest(b"memory")) is None


def test_files_that_have_gone_are_not_found(datastores, directory):
    seals = Seals(datastores)
    seals.seal(VM, VM.disks, lambda *_: None)
    (directory / "checkpoint").unlink()

    assert seals.find(digest(b"memory")) is None


def test_a_disk_that_is_missing_cannot_be_sealed(datastores, directory):
    (directory / "disk.0").unlink()

    with pytest.raises(DriverError, match=r"disk\.0 of VM 7 is not here"):
        Seals(datastores).seal(VM, VM.disks, lambda *_: None)


def test_a_damaged_note_is_dropped(datastores, directory):
    (directory / "sealed.json").write_text("{")

    assert Seals(datastores).find("0" * 64) is None
    assert not (directory / "sealed.json").exists()


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    with pytest.raises(DriverError, match="not a regular file"):
        open_regular(tmp_path)

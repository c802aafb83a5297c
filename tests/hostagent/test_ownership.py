"""Whose VMs a datastore has."""

import pytest

from innkeeper_hostagent.ownership import OWNER_FILE, ForeignVmsError, claim
from innkeeper_hostagent.place import Datastore


def a_store(directory, *vm_ids, shared=False):
    store = Datastore(directory.name, directory, shared=shared)
    for vm_id in vm_ids:
        store.vm_dir(vm_id).mkdir(parents=True)
    return store


def owner_of(store):
    return (store.path / OWNER_FILE).read_text().strip()


def test_a_datastore_that_nobody_has_claimed_is_that_of_the_first_who_does(tmp_path):
    stores = [a_store(tmp_path / "new"), a_store(tmp_path / "full", 1, 2)]
    claim(stores, "one")
    claim(stores, "one")

    assert [owner_of(store) for store in stores] == ["one", "one"]


def test_a_datastore_in_which_nothing_is_left_may_pass_to_another(tmp_path):
    store = a_store(tmp_path / "store", 7)
    claim([store], "one")
    store.vm_dir(7).rmdir()
    (store.vms_dir / "lost+found").mkdir()
    claim([store], "two")

    assert owner_of(store) == "two"


def test_a_datastore_with_vms_of_another_is_refused_and_none_is_claimed(tmp_path):
    empty, full = a_store(tmp_path / "empty"), a_store(tmp_path / "full", *range(12))
    claim([empty, full], "one")
    with pytest.raises(
        ForeignVmsError, match=r"datastore full has VMs .*cluster one.*: 0, 1, 2, 3, 4, 5, 6, 7, \.\.\."
    ):
        claim([empty, full], "two")

    assert (owner_of(empty), owner_of(full)) == ("one", "one")


def test_a_controller_that_does_not_say_which_cluster_it_is_claims_nothing(tmp_path):
    store = a_store(tmp_path / "store", 1)
    claim([store], "")

    assert not (store.path / OWNER_FILE).exists()

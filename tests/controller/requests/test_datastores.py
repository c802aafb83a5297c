"""Requests about datastores."""

import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    a_host,
    a_reactor,
    a_site,
    an_image,
    ask,
    ask_turn,
    picture,
    refusal,
    submit,
    told,
    turn_of,
)

from innkeeper_controller.records import Datastore
from innkeeper_plugins.vocabulary import DatastoreFacts


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def test_a_first_start_has_the_datastores_that_scripts_know_by_heart():
    assert a_reactor().cluster.datastores == {
        "system": Datastore(datastore_id=0, name="system", type="system", kept_in="default"),
        "default": Datastore(datastore_id=1, name="default", driver="qcow2"),
        "files": Datastore(datastore_id=2, name="files", type="file", kept_in="default"),
    }


def test_a_datastore_is_shown_with_the_hosts_that_have_it():
    reactor = a_reactor(a_host(1, datastores=("fast",)), a_host(2), an_image(datastore="fast"))
    turn, _ = ask_turn(reactor, "datastore.add", name="fast", driver="copy")
    shown = ask(reactor, "datastore.show", datastore="fast")

    assert told(turn) == [("datastore.added", "datastore:fast")]
    assert (shown.driver, shown.images) == ("copy", 1)
    assert shown.hosts == {"h1": DatastoreFacts(name="fast", total_mib=100_000, free_mib=50_000)}
    assert [each.name for each in ask(reactor, "datastore.list")] == ["system", "default", "files", "fast"]


def test_a_datastore_of_ones_own_counts_from_100_and_keeps_what_is_noted():
    reactor = a_reactor(a_host(1))
    shown = ask(
        reactor,
        "datastore.add",
        name="team",
        type="file",
        template='KEPT_IN = files\nSAFE_DIRS = "/var/tmp"\nLABELS = a\n',
        cluster="default",
    )

    assert reactor.cluster.datastores["team"] == Datastore(
        datastore_id=100,
        name="team",
        type="file",
        kept_in="default",
        owner="root",
        attributes={"SAFE_DIRS": "/var/tmp", "LABELS": "a"},
    )
    assert (shown.datastore_id, shown.kept_in, shown.clusters, list(shown.hosts)) == (
        100,
        "default",
        ("default",),
        ["h1"],
    )
    assert ask(reactor, "datastore.show", datastore="100").name == "team"


def test_a_datastore_is_of_one_of_three_types():
    assert refused(a_reactor(), "datastore.add", name="x", type="backup") == (
        "bad_request",
        "'backup' is no type of a datastore; use one of image, system, file.",
    )


def test_a_disabled_datastore_takes_no_new_images_and_takes_them_again_once_it_is_enabled():
    reactor = a_reactor(a_host(1))
    turn, shown = ask_turn(reactor, "datastore.enable", datastore="default", enabled=False)
    image = {"name": "tiny", "url": "http://h/tiny.qcow2", "datastore": "default"}
    refusal_code, _ = refused(reactor, "image.add", **image)
    ask(reactor, "datastore.enable", datastore="1", enabled=True)

    assert (shown.enabled, told(turn), refusal_code) == (
        False,
        [("datastore.disabled", "datastore:default")],
        "wrong_state",
    )
    assert ask(reactor, "image.add", **image).datastore == "default"


def test_who_may_not_use_a_datastore_does_not_see_it():
    hidden = Datastore(datastore_id=100, name="hidden", mode=0o600)
    reactor = a_reactor(hidden)
    for rule in list(reactor.cluster.acl_rules.values()):
        turn_of(reactor).drop(rule)

    assert [each.name for each in ask(reactor, "datastore.list", user=ANN)] == ["system", "default", "files"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "7", "x" * 129])
def test_a_datastore_needs_a_name_that_is_one(name):
    assert refused(a_reactor(), "datastore.add", name=name)[0] == "bad_request"


def test_a_name_is_given_once():
    assert refused(a_reactor(), "datastore.add", name="default") == (
        "name_taken",
        "There is a datastore default already.",
    )


def test_a_datastore_that_is_used_stays():
    reactor = a_site()
    submit(reactor)

    assert refused(reactor, "datastore.delete", datastore="default") == (
        "in_use",
        "Datastore default has 1 images and 1 VMs; delete them first.",
    )


def test_a_datastore_that_only_the_directory_of_a_vm_lies_in_stays():
    reactor = a_reactor()
    submit(reactor, BARE)

    assert refused(reactor, "datastore.delete", datastore="default")[0] == "in_use"


def test_an_empty_datastore_is_forgotten():
    reactor = a_reactor()
    turn, _ = ask_turn(reactor, "datastore.delete", datastore="files")

    assert list(reactor.cluster.datastores) == ["system", "default"]
    assert told(turn) == [("datastore.deleted", "datastore:files")]


def test_a_datastore_that_others_are_kept_in_stays():
    assert refused(a_reactor(), "datastore.delete", datastore="default") == (
        "in_use",
        "Datastore system, files is kept in datastore default; delete that first.",
    )


def test_a_datastore_that_is_not_there_is_not_found():
    assert refused(a_reactor(), "datastore.show", datastore="fault") == (
        "not_found",
        "There is no datastore fault. Did you mean default?",
    )

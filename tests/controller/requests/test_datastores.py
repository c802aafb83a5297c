"""Requests about datastores."""

import pytest
from tests.controller.builders import (
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
)

from innkeeper_controller.records import Datastore
from innkeeper_plugins.vocabulary import DatastoreFacts


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def test_a_first_start_has_a_datastore():
    assert a_reactor().cluster.datastores == {"default": Datastore(name="default", driver="qcow2")}


def test_a_datastore_is_shown_with_the_hosts_that_have_it():
    reactor = a_reactor(a_host(1, datastores=("fast",)), a_host(2), an_image(datastore="fast"))
    turn, _ = ask_turn(reactor, "datastore.add", name="fast", driver="copy")
    shown = ask(reactor, "datastore.show", datastore="fast")

    assert told(turn) == [("datastore.added", "datastore:fast")]
    assert (shown.driver, shown.images) == ("copy", 1)
    assert shown.hosts == {"h1": DatastoreFacts(name="fast", total_mib=100_000, free_mib=50_000)}
    assert [each.name for each in ask(reactor, "datastore.list")] == ["default", "fast"]


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
    turn, _ = ask_turn(reactor, "datastore.delete", datastore="default")

    assert (reactor.cluster.datastores, told(turn)) == ({}, [("datastore.deleted", "datastore:default")])


def test_a_datastore_that_is_not_there_is_not_found():
    assert refused(a_reactor(), "datastore.show", datastore="fault") == (
        "not_found",
        "There is no datastore fault. Did you mean default?",
    )

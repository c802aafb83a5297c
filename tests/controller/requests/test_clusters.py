"""Clusters: which hosts, networks and datastores go together, who says so, and what keeps a cluster."""

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    a_host,
    a_network,
    a_reactor,
    ask,
    ask_turn,
    picture,
    refusal,
    told,
)

from innkeeper_controller.records import AclRule, ClusterRecord
from innkeeper_controller.requests.clusters import ClusterView
from innkeeper_controller.verify import findings


def a_place(*rules):
    """Return a reactor with a host, a network, and the clusters default and near."""
    reactor = a_reactor(a_host(1), a_network(), *rules)
    ask(reactor, "cluster.add", name="near")
    return reactor


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def test_a_new_controller_has_one_cluster_with_everything_in_it():
    assert ask(a_reactor(a_host(1), a_network()), "cluster.list") == (
        ClusterView(
            cluster_id=0,
            name="default",
            hosts=("h1",),
            networks=("lan",),
            datastores=("system", "default", "files"),
        ),
    )


def test_own_clusters_count_from_100_and_numbers_are_not_given_again():
    reactor = a_place()
    turn, _ = ask_turn(reactor, "cluster.delete", cluster="near")
    view = ask(reactor, "cluster.add", name="near")

    assert told(turn) == [("cluster.deleted", "cluster:100")]
    assert (view, reactor.cluster.clusters[101]) == (
        ClusterView(cluster_id=101, name="near"),
        ClusterRecord(cluster_id=101, name="near"),
    )


@pytest.mark.parametrize(("name", "code"), [("", "bad_request"), ("7", "bad_request"), ("default", "name_taken")])
def test_a_cluster_needs_a_name_of_its_own(name, code):
    assert refused(a_reactor(), "cluster.add", name=name)[0] == code


def test_a_host_is_in_one_cluster_at_a_time():
    reactor = a_place()
    turn, near = ask_turn(reactor, "cluster.add_host", cluster="near", host="h1")
    default = ask(reactor, "cluster.show", cluster="default")
    back = ask(reactor, "cluster.del_host", cluster="100", host="1")

    assert (near.hosts, default.hosts, back.hosts) == (("h1",), (), ())
    assert told(turn) == [("host.moved", "host:1")]
    assert reactor.cluster.hosts[1].cluster_id == 0


@pytest.mark.parametrize(("noun", "name"), [("network", "lan"), ("datastore", "files")])
def test_a_network_or_datastore_is_in_as_many_clusters_as_one_likes(noun, name):
    reactor = a_place()

    def members(cluster):
        return getattr(ask(reactor, "cluster.show", cluster=cluster), f"{noun}s")

    ask(reactor, f"cluster.add_{noun}", cluster="near", **{noun: name})
    both = (name in members("near"), name in members("default"))
    ask(reactor, f"cluster.del_{noun}", cluster="default", **{noun: name})
    one = (name in members("near"), name in members("default"))
    ask(reactor, f"cluster.del_{noun}", cluster="near", **{noun: name})

    assert (both, one, name in members("near")) == ((True, True), (True, False), False)
    assert findings(reactor.cluster) == ()


@pytest.mark.parametrize(
    ("request_name", "params", "code"),
    [
        ("cluster.delete", {"cluster": "default"}, "wrong_state"),
        ("cluster.delete", {"cluster": "far"}, "not_found"),
        ("cluster.add_host", {"cluster": "near", "host": "h7"}, "not_found"),
        ("cluster.del_host", {"cluster": "near", "host": "h1"}, "bad_request"),
        ("cluster.del_host", {"cluster": "default", "host": "h1"}, "wrong_state"),
        ("cluster.del_network", {"cluster": "near", "network": "lan"}, "bad_request"),
        ("cluster.del_datastore", {"cluster": "near", "datastore": "default"}, "bad_request"),
    ],
)
def test_what_cannot_be_of_a_cluster_is_refused(request_name, params, code):
    assert refused(a_place(), request_name, **params)[0] == code


@pytest.mark.parametrize(("noun", "name"), [("host", "h1"), ("network", "lan"), ("datastore", "files")])
def test_a_cluster_with_members_stays(noun, name):
    reactor = a_place()
    ask(reactor, f"cluster.add_{noun}", cluster="near", **{noun: name})

    assert refused(reactor, "cluster.delete", cluster="near") == (
        "in_use",
        f"Cluster near has members ({noun} {name}); take them out of it first.",
    )


def test_only_who_administers_both_brings_them_together():
    rules = (AclRule(rule_id=50, text=f"#{ANN.user_id} CLUSTER/#100 ADMIN *"),)
    reactor = a_place(*rules)
    mine = msgspec.structs.replace(a_network(1, "mine"), mode=0o700)

    assert refused(a_place(), "cluster.add_network", user=ANN, cluster="near", network="lan")[0] == "forbidden"
    assert refused(reactor, "cluster.add_network", user=ANN, cluster="near", network="lan")[0] == "forbidden"
    with_mine = a_place(*rules, mine)
    assert ask(with_mine, "cluster.add_network", user=ANN, cluster="near", network="mine").networks == ("mine",)


def test_only_who_administers_a_cluster_makes_networks_in_it():
    ranges = ({"size": 1, "ip": "10.9.0.1"},)
    reactor = a_place()

    assert refused(reactor, "network.add", user=ANN, name="x", ranges=ranges, cluster="near")[0] == "forbidden"
    assert ask(reactor, "network.add", user=ANN, name="x", ranges=ranges, cluster="default").clusters == ("default",)
    assert ask(reactor, "network.add", name="y", ranges=ranges, cluster="100").clusters == ("near",)

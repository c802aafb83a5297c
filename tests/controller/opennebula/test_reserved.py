"""OpenNebula's numbers of a host whose operator decided how much of it may be given away."""

from tests.controller.builders import a_host, a_reactor, ask

from innkeeper_controller.opennebula import legacy
from innkeeper_controller.opennebula.documents.cluster import cluster_document
from innkeeper_controller.opennebula.documents.host import host
from innkeeper_plugins.vocabulary import HostId


def a_place():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "allocation_ratio": 4}, memory={"reserved": 1024.5})
    ask(reactor, "cluster.set", cluster="default", cpu={"reserved": 0.5})
    return reactor.cluster, reactor.cluster.hosts[HostId(1)]


def inside(document, name):
    return document.partition(f"<{name}>")[2].partition(f"</{name}>")[0]


def test_totals_are_real_and_maxima_what_may_be_given():
    document = host(*a_place())

    assert {name: inside(document, name) for name in ("TOTAL_CPU", "MAX_CPU", "TOTAL_MEM", "MAX_MEM")} == {
        "TOTAL_CPU": "800",
        "MAX_CPU": "2400",
        "TOTAL_MEM": str(16384 * 1024),
        "MAX_MEM": str(15359 * 1024),
    }


def test_old_clients_are_told_the_same():
    document = legacy.host(*a_place())

    assert (inside(document, "MAX_CPU"), inside(document, "MAX_MEM")) == ("2400", str(15359 * 1024))


def test_templates_say_what_is_reserved_where_it_is_decided():
    cluster, record = a_place()
    template = inside(host(cluster, record), "TEMPLATE")
    of_cluster = cluster_document(cluster, cluster.clusters[0])

    assert (inside(template, "RESERVED_CPU"), inside(template, "RESERVED_MEM")) == ("200", "1049088")
    assert (inside(of_cluster, "RESERVED_CPU"), "RESERVED_MEM" in of_cluster) == ("50", False)

"""A cluster's document: the hosts, datastores and networks that go together."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.host import reserved
from innkeeper_controller.opennebula.documents.markup import attributes, escaped, ids
from innkeeper_controller.records import ClusterRecord


def cluster_document(cluster: Cluster, record: ClusterRecord) -> str:
    """Return all of a cluster; lists have the same."""
    number = record.cluster_id
    hosts = sorted(each.host_id for each in cluster.hosts.values() if each.cluster_id == number)
    datastores = sorted(each.datastore_id for each in cluster.datastores.values() if number in each.clusters)
    networks = sorted(each.network_id for each in cluster.networks.values() if number in each.clusters)
    return (
        f"<CLUSTER><ID>{number}</ID><NAME>{escaped(record.name)}</NAME>{ids('HOSTS', hosts)}"
        f"{ids('DATASTORES', datastores)}{ids('VNETS', networks)}"
        f"<TEMPLATE>{attributes(record.attributes | reserved(record.allowances))}</TEMPLATE></CLUSTER>"
    )

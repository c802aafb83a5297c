"""A datastore's document; how large it is, the hosts say."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import attributes, element, ids
from innkeeper_controller.opennebula.documents.ownership import head, permissions
from innkeeper_controller.opennebula.numbers import DATASTORE_DISABLED, DATASTORE_READY, DATASTORE_TYPES, DISK_FILE
from innkeeper_controller.planner import has_ability
from innkeeper_controller.records import Datastore, Host
from innkeeper_plugins.vocabulary import DatastoreFacts, DriverKind


def datastore(cluster: Cluster, record: Datastore) -> str:
    """Return all of a datastore; lists have the same."""
    total_mib, free_mib = room(cluster, record)
    images = sorted(each.image_id for each in cluster.images.values() if each.datastore == record.name)
    return (
        f"<DATASTORE>{head(cluster, record.datastore_id, record)}{permissions(record.mode)}"
        f"{element('DS_MAD', record.driver)}{element('TM_MAD', record.driver)}<BASE_PATH></BASE_PATH>"
        f"<TYPE>{DATASTORE_TYPES[record.type]}</TYPE><DISK_TYPE>{DISK_FILE}</DISK_TYPE>"
        f"<STATE>{DATASTORE_READY if record.enabled else DATASTORE_DISABLED}</STATE>{ids('CLUSTERS', record.clusters)}"
        f"<TOTAL_MB>{total_mib}</TOTAL_MB><FREE_MB>{free_mib}</FREE_MB><USED_MB>{total_mib - free_mib}</USED_MB>"
        f"{ids('IMAGES', images)}{_template(record)}</DATASTORE>"
    )


def room(cluster: Cluster, record: Datastore) -> tuple[int, int]:
    """Return all MiB of the datastore and the free ones: of all hosts together, or of one where they share it."""
    told = [(host, each) for host in cluster.hosts.values() for each in _told(cluster, host, record.at_hosts)]
    if any(has_ability(host, DriverKind.TRANSFER, record.driver, "shared") for host, _ in told):
        return max((each.total_mib, each.free_mib) for _, each in told)
    return sum(each.total_mib for _, each in told), sum(each.free_mib for _, each in told)


def _told(cluster: Cluster, host: Host, name: str) -> list[DatastoreFacts]:
    """Return what the host last said of its datastore of that name."""
    load = cluster.load.get(host.host_id)
    told = load.datastores if load is not None and load.datastores else host.advertisement.datastores
    return [each for each in told if each.name == name]


def _template(record: Datastore) -> str:
    ours = {"DS_MAD": record.driver, "TM_MAD": record.driver, "TYPE": f"{record.type.upper()}_DS"}
    return f"<TEMPLATE>{attributes(record.attributes | ours)}</TEMPLATE>"

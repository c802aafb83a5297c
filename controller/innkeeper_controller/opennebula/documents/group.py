"""A group's document, with its users and what they may have together."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import attributes, escaped, ids
from innkeeper_controller.opennebula.documents.quotas import default_group_quotas, quotas
from innkeeper_controller.records import Group


def group(cluster: Cluster, record: Group) -> str:
    """Return all of a group."""
    return (
        f"<GROUP>{_beginning(cluster, record)}{_quotas(cluster, record)}{vlan_rules(record)}"
        f"{default_group_quotas(cluster)}</GROUP>"
    )


def group_in_pool(cluster: Cluster, record: Group) -> str:
    """Return a group without quotas, which lists have beside it."""
    return f"<GROUP>{_beginning(cluster, record)}</GROUP>"


def group_quotas(cluster: Cluster, record: Group) -> str:
    """Return the quotas that stand beside the group in lists."""
    return f"<QUOTAS><ID>{record.group_id}</ID>{_quotas(cluster, record)}</QUOTAS>"


def vlan_rules(record: Group) -> str:
    """Return VLAN_RULES, which there are none of."""
    return f"<VLAN_RULES><ID>{record.group_id}</ID></VLAN_RULES>"


def _quotas(cluster: Cluster, record: Group) -> str:
    return quotas(cluster, record.limits, cluster.usages.of(("group", record.name)))


def _beginning(cluster: Cluster, record: Group) -> str:
    members = sorted(each.user_id for each in cluster.users.values() if record.name in each.groups)
    admins = sorted(cluster.users[name].user_id for name in record.admins if name in cluster.users)
    return (
        f"<ID>{record.group_id}</ID><NAME>{escaped(record.name)}</NAME>"
        f"<TEMPLATE>{attributes(record.attributes)}</TEMPLATE>{ids('USERS', members)}{ids('ADMINS', admins)}"
    )

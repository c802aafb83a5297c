"""What a new controller has before anybody has asked for anything: groups, first rules, datastores, a cluster."""

from typing import Final

from innkeeper_controller.acl import FIRST_RULES
from innkeeper_controller.records import (
    ADMINS,
    USERS,
    AclRule,
    ClusterRecord,
    Datastore,
    Group,
)
from innkeeper_controller.turn import Turn

#: The numbers are OpenNebula's, which scripts know by heart; ``system`` and ``files`` lie in ``default`` on the hosts.
DATASTORES: Final = (
    Datastore(datastore_id=0, name="system", type="system", kept_in="default"),
    Datastore(datastore_id=1, name="default", type="image"),
    Datastore(datastore_id=2, name="files", type="file", kept_in="default"),
)
GROUPS: Final = (Group(group_id=0, name=ADMINS), Group(group_id=1, name=USERS))
DEFAULT_CLUSTER: Final = ClusterRecord(cluster_id=0, name="default")
#: New groups, datastores and clusters count from here, as OpenNebula's do.
FIRST_OWN_NUMBER: Final = 100


def furnish(turn: Turn) -> None:
    """Make what is missing of it on a controller that has never had it; what people deleted stays away."""
    cluster = turn.cluster
    if not cluster.groups:
        for group in GROUPS:
            turn.put(group)
        for number, rule in enumerate(FIRST_RULES):
            turn.put(AclRule(rule_id=number, text=rule))
    if not cluster.clusters:
        turn.put(DEFAULT_CLUSTER)
    if not cluster.last_ids.get("datastore", 0):
        for datastore in DATASTORES:
            if datastore.name not in cluster.datastores:
                turn.put(datastore)
    for kind in ("group", "datastore", "cluster"):
        cluster.last_ids[kind] = max(cluster.last_ids.get(kind, -1), FIRST_OWN_NUMBER - 1)

"""The documents are as OpenNebula's schemas have them, whatever people wrote into the records."""

import pytest
from tests.controller.opennebula.records_of_tests import a_cluster
from tests.controller.opennebula.validated import validated

from innkeeper_controller.monitoring import GuestSample
from innkeeper_controller.opennebula.documents import constants
from innkeeper_controller.opennebula.documents.accounting import accounting
from innkeeper_controller.opennebula.documents.acl import acl_pool
from innkeeper_controller.opennebula.documents.cluster import cluster_document
from innkeeper_controller.opennebula.documents.datastore import datastore
from innkeeper_controller.opennebula.documents.group import group, group_in_pool, group_quotas, vlan_rules
from innkeeper_controller.opennebula.documents.host import host
from innkeeper_controller.opennebula.documents.image import image
from innkeeper_controller.opennebula.documents.monitoring import host_monitoring, samples_of, vm_monitoring
from innkeeper_controller.opennebula.documents.network import network, network_in_pool
from innkeeper_controller.opennebula.documents.quotas import default_group_quotas, default_user_quotas
from innkeeper_controller.opennebula.documents.template import template
from innkeeper_controller.opennebula.documents.user import user, user_in_pool, user_quotas
from innkeeper_controller.opennebula.documents.vm import vm, vm_in_pool

SEEDS = range(30)
#: ``{collection of the cluster: functions of its records}``, each making one document.
WHOLE = {
    "vms": (vm, vm_monitoring),
    "hosts": (host, host_monitoring),
    "images": (image,),
    "networks": (network,),
    "templates": (template,),
    "users": (user,),
    "groups": (group,),
    "clusters": (cluster_document,),
    "datastores": (datastore,),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_document_of_any_cluster_is_as_its_schema_has_it(seed):
    cluster = a_cluster(seed)

    for kind, functions in WHOLE.items():
        for record in getattr(cluster, kind).values():
            for function in functions:
                validated(function(cluster, record))
    validated(acl_pool(cluster.acl_rules.values()))
    validated(accounting(cluster, cluster.history_records.values()))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_list_of_any_cluster_is_as_its_schema_has_it(seed):
    cluster = a_cluster(seed)

    def each(kind, *functions):
        return "".join(
            function(cluster, record) for record in getattr(cluster, kind).values() for function in functions
        )

    def rules(_cluster, record):
        return vlan_rules(record)

    validated(f"<VM_POOL>{each('vms', vm_in_pool)}</VM_POOL>")
    validated(f"<VM_POOL>{each('vms', vm)}</VM_POOL>")
    validated(f"<HOST_POOL>{each('hosts', host)}</HOST_POOL>")
    validated(f"<IMAGE_POOL>{each('images', image)}</IMAGE_POOL>")
    validated(f"<VNET_POOL>{each('networks', network_in_pool)}</VNET_POOL>")
    validated(f"<VNET_POOL>{each('networks', network)}</VNET_POOL>")
    validated(f"<VMTEMPLATE_POOL>{each('templates', template)}</VMTEMPLATE_POOL>")
    validated(f"<CLUSTER_POOL>{each('clusters', cluster_document)}</CLUSTER_POOL>")
    validated(f"<DATASTORE_POOL>{each('datastores', datastore)}</DATASTORE_POOL>")
    users = each("users", user_in_pool, user_quotas)
    validated(f"<USER_POOL>{users}{default_user_quotas(cluster)}</USER_POOL>")
    groups = each("groups", group_in_pool, group_quotas, rules)
    validated(f"<GROUP_POOL>{groups}{default_group_quotas(cluster)}</GROUP_POOL>")


@pytest.mark.parametrize(
    "document",
    [
        *constants.EMPTY_POOLS.values(),
        constants.RAFT_STATUS,
        constants.CONFIGURATION,
        constants.SECURITY_GROUP,
        constants.SECURITY_GROUP_POOL,
        constants.zone("http://localhost:2633/RPC2"),
        constants.zone_pool("http://a/?x&y=<"),
    ],
)
def test_every_constant_is_as_its_schema_has_it(document):
    validated(document)


def test_a_document_with_its_elements_in_another_order_is_not_valid():
    with pytest.raises(AssertionError, match="NAME"):
        validated("<VDC><NAME>a</NAME><ID>1</ID></VDC>")


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_secret_is_in_a_document(seed):
    cluster = a_cluster(seed)

    for kind, functions in WHOLE.items():
        for record in getattr(cluster, kind).values():
            for function in functions:
                text = function(cluster, record)
                assert "secret" not in text
                assert "ab" * 32 not in text
                assert "cd" * 32 not in text


@pytest.mark.parametrize(("seconds", "expected"), [(-1, [10, 20, 30]), (0, [30]), (15, [20, 30]), (1, [])])
def test_monitoring_gives_the_samples_of_the_seconds_that_are_asked_for(seconds, expected) -> None:
    kept = [GuestSample(at_s=at_s, cpu_time_s=0, cpu_percent=0, memory_mib=0) for at_s in (10.0, 20.0, 30.0)]

    assert [each.at_s for each in samples_of(seconds, now_s=35.0)(kept)] == expected

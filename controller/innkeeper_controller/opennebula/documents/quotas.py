"""Limits and usages of users and groups, as OpenNebula's quota elements.

A limit of -1 is the default, -2 is none. Nothing here judges whether something is too much.
"""

import math
from collections.abc import Mapping

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import element, number
from innkeeper_controller.opennebula.numbers import GONE
from innkeeper_controller.usage import Amounts

#: What there is no limit of its own for.
DEFAULT_LIMIT = -1
#: OpenNebula's words for what VMs take, in the schema's order; ours for the same is ``vm.`` and that in lower case.
_OF_VMS = (
    *("CPU", "MEMORY", "PCI_DEV", "PCI_NIC", "RUNNING_CPU", "RUNNING_MEMORY", "RUNNING_PCI_DEV", "RUNNING_PCI_NIC"),
    *("RUNNING_VMS", "SYSTEM_DISK_SIZE", "VMS"),
)
_FRACTIONS = frozenset({"CPU", "RUNNING_CPU"})


def quotas(cluster: Cluster, limits: Mapping[str, float], used: Amounts) -> str:
    """Return the four quota elements, all of them even where there is neither limit nor usage."""
    return (
        f"<DATASTORE_QUOTA>{_things(cluster, 'datastore', ('IMAGES', 'SIZE'), limits, used)}</DATASTORE_QUOTA>"
        f"<NETWORK_QUOTA>{_things(cluster, 'network', ('LEASES',), limits, used)}</NETWORK_QUOTA>"
        f"<VM_QUOTA>{_vms(limits, used)}</VM_QUOTA>"
        f"<IMAGE_QUOTA>{_things(cluster, 'image', ('RVMS',), limits, used)}</IMAGE_QUOTA>"
    )


def default_quotas(cluster: Cluster, of: str) -> str:
    """Return the quota elements of those who have no limits of their own: of ``user`` or ``group``."""
    record = cluster.default_limits.get(of)
    return quotas(cluster, record.limits if record is not None else {}, {})


def default_user_quotas(cluster: Cluster) -> str:
    """Return DEFAULT_USER_QUOTAS, which ends each user and the list of users."""
    return f"<DEFAULT_USER_QUOTAS>{default_quotas(cluster, 'user')}</DEFAULT_USER_QUOTAS>"


def default_group_quotas(cluster: Cluster) -> str:
    """Return DEFAULT_GROUP_QUOTAS, which ends each group and the list of groups."""
    return f"<DEFAULT_GROUP_QUOTAS>{default_quotas(cluster, 'group')}</DEFAULT_GROUP_QUOTAS>"


def _vms(limits: Mapping[str, float], used: Amounts) -> str:
    if not any(resource.startswith("vm.") for resource in (*limits, *used)):
        return ""
    return f"<VM>{''.join(_pair(each, f'vm.{each.lower()}', limits, used) for each in _OF_VMS)}</VM>"


def _things(cluster: Cluster, noun: str, words: tuple[str, ...], limits: Mapping[str, float], used: Amounts) -> str:
    """Return an element for each thing that there is a limit or a usage of."""
    named = {
        resource.removeprefix(f"{noun}.").rpartition(".")[0]
        for resource in (*limits, *used)
        if resource.startswith(f"{noun}.")
    }
    things = sorted((_number(cluster, noun, name), name) for name in named)
    return "".join(
        f"<{noun.upper()}><ID>{thing}</ID>"
        f"{''.join(_pair(word, f'{noun}.{name}.{word.lower()}', limits, used) for word in words)}</{noun.upper()}>"
        for thing, name in things
    )


def _number(cluster: Cluster, noun: str, name: str) -> int:
    """Return the number of what a resource is of; datastores are called by name in it."""
    if noun == "datastore" and name in cluster.datastores:
        return cluster.datastores[name].datastore_id
    return int(name) if name.isdecimal() else GONE


def _pair(word: str, resource: str, limits: Mapping[str, float], used: Amounts) -> str:
    limit, usage = limits.get(resource, DEFAULT_LIMIT), used.get(resource, 0)
    if word not in _FRACTIONS:
        limit, usage = math.floor(limit), math.ceil(usage)
    return element(word, number(limit)) + element(f"{word}_USED", number(usage))

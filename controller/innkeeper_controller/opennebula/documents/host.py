"""A host's document: what it has, what of it was given away, and what its agent last said."""

from collections.abc import Mapping
from operator import itemgetter

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.inventory import Allowance
from innkeeper_controller.opennebula.documents.host_devices import devices_and_nodes
from innkeeper_controller.opennebula.documents.markup import attributes, element, escaped, ids, number
from innkeeper_controller.opennebula.documents.monitoring import CPU_OF_CORE, KIB_OF_MIB, host_sample
from innkeeper_controller.opennebula.numbers import HOST_ERROR, HOST_MONITORED, HOST_STATES
from innkeeper_controller.placement.allowances import capacity_of
from innkeeper_controller.records import Host
from innkeeper_plugins.vocabulary import Capacity, DriverKind


def host(cluster: Cluster, record: Host) -> str:
    """Return all of a host; lists have the same."""
    state = state_of(record)
    within = cluster.clusters.get(record.cluster_id)
    return (
        f"<HOST><ID>{record.host_id}</ID><NAME>{escaped(record.name)}</NAME>"
        f"<STATE>{state}</STATE><PREV_STATE>{state}</PREV_STATE>"
        f"{element('IM_MAD', record.im_mad)}{element('VM_MAD', record.vm_mad)}"
        f"<CLUSTER_ID>{record.cluster_id}</CLUSTER_ID>{element('CLUSTER', within.name if within else '')}"
        f"{_share(cluster, record)}{ids('VMS', sorted(cluster.vms_on.get(record.host_id, ())))}"
        f"{_template(cluster, record)}<MONITORING>{host_sample(cluster, record)}</MONITORING></HOST>"
    )


def state_of(record: Host) -> int:
    """Return the host's STATE; one that should be on and is not heard of is in error."""
    state = HOST_STATES[record.state]
    return HOST_ERROR if state == HOST_MONITORED and not record.connected else state


def _share(cluster: Cluster, record: Host) -> str:
    total, used = record.advertisement.capacity, cluster.used.get(record.host_id, Capacity())
    cpu, memory = round(total.cpu_cores * CPU_OF_CORE), total.memory_mib * KIB_OF_MIB
    most = capacity_of(cluster, record)
    return (
        f"<HOST_SHARE><MEM_USAGE>{used.memory_mib * KIB_OF_MIB}</MEM_USAGE>"
        f"<CPU_USAGE>{round(used.cpu_cores * CPU_OF_CORE)}</CPU_USAGE>"
        f"<TOTAL_MEM>{memory}</TOTAL_MEM><TOTAL_CPU>{cpu}</TOTAL_CPU><MAX_MEM>{most.memory_mib * KIB_OF_MIB}</MAX_MEM>"
        f"<MAX_CPU>{round(most.cpu_cores * CPU_OF_CORE)}</MAX_CPU>"
        f"<RUNNING_VMS>{running_vms(cluster, record)}</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD>"
        f"{_datastores(cluster, record)}{devices_and_nodes(cluster, record)}</HOST_SHARE>"
    )


def reserved(allowances: Mapping[str, Allowance]) -> dict[str, str]:
    """Return RESERVED_CPU and RESERVED_MEM of a host or a cluster, each where something is decided of it."""
    found = {
        "RESERVED_CPU": (allowances.get("cpu"), CPU_OF_CORE),
        "RESERVED_MEM": (allowances.get("memory"), KIB_OF_MIB),
    }
    return {
        name: number(allowance.reserved * units)
        for name, (allowance, units) in found.items()
        if allowance is not None and allowance.reserved is not None
    }


def running_vms(cluster: Cluster, record: Host) -> int:
    """Return how many VMs take something of the host."""
    there = (cluster.vms.get(vm_id) for vm_id in cluster.vms_on.get(record.host_id, ()))
    return sum(vm is not None and record.host_id in cluster.claims(vm) for vm in there)


def _datastores(cluster: Cluster, record: Host) -> str:
    load = cluster.load.get(record.host_id)
    told = load.datastores if load is not None and load.datastores else record.advertisement.datastores
    known = [
        (place.datastore_id, each)
        for place in cluster.datastores.values()
        for each in told
        if each.name == place.at_hosts
    ]
    places = "".join(
        f"<DS><FREE_MB>{each.free_mib}</FREE_MB><ID>{number}</ID><TOTAL_MB>{each.total_mib}</TOTAL_MB>"
        f"<USED_MB>{each.total_mib - each.free_mib}</USED_MB></DS>"
        for number, each in sorted(known, key=itemgetter(0))
    )
    total, free = sum(each.total_mib for each in told), sum(each.free_mib for each in told)
    return (
        f"<DATASTORES><DISK_USAGE>0</DISK_USAGE>{places}<FREE_DISK>{free}</FREE_DISK><MAX_DISK>{total}</MAX_DISK>"
        f"<USED_DISK>{total - free}</USED_DISK></DATASTORES>"
    )


def _template(cluster: Cluster, record: Host) -> str:
    """Return TEMPLATE: what the agent found out, over it the labels, over them what we count ourselves."""
    told, used = record.advertisement, cluster.used.get(record.host_id, Capacity())
    hypervisors = [each.name for each in told.drivers if each.kind is DriverKind.HYPERVISOR]
    cpu, memory = round(told.capacity.cpu_cores * CPU_OF_CORE), told.capacity.memory_mib * KIB_OF_MIB
    used_cpu, used_memory = round(used.cpu_cores * CPU_OF_CORE), used.memory_mib * KIB_OF_MIB
    facts: dict[str, str] = {name.upper(): str(value) for name, value in told.facts.items()}
    facts.setdefault("HYPERVISOR", hypervisors[0] if hypervisors else "")
    facts |= record.labels
    facts |= reserved(record.allowances)
    facts |= {
        "HOSTNAME": record.name,
        "TOTALCPU": str(cpu),
        "TOTALMEMORY": str(memory),
        "USEDCPU": str(used_cpu),
        "USEDMEMORY": str(used_memory),
        "FREECPU": str(cpu - used_cpu),
        "FREEMEMORY": str(memory - used_memory),
    }
    return f"<TEMPLATE>{attributes(facts)}</TEMPLATE>"

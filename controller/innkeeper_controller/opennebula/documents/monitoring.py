"""What agents tell of guests and hosts, as OpenNebula's MONITORING and MONITORING_DATA."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import moment
from innkeeper_controller.records import Host, VmRecord

KIB_OF_MIB = 1024
CPU_OF_CORE = 100


def vm_sample(cluster: Cluster, record: VmRecord) -> str:
    """Return what is inside the MONITORING of a VM: what was last heard of the guest; nothing where that is nothing."""
    observed = cluster.observed.get(record.vm_id)
    if observed is None:
        return ""
    heard_at_s = cluster.heard_at_s.get(record.host_id) if record.host_id is not None else None
    return (
        f"<ID>{record.vm_id}</ID><MEMORY>{observed.memory_mib * KIB_OF_MIB}</MEMORY>"
        f"<TIMESTAMP>{moment(heard_at_s)}</TIMESTAMP>"
    )


def host_sample(cluster: Cluster, host: Host) -> str:
    """Return what is inside the MONITORING of a host: its last heartbeat; nothing where there was none."""
    load = cluster.load.get(host.host_id)
    if load is None:
        return ""
    total = host.advertisement.capacity
    used_cpu, used_kib = round(load.cpu_used_cores * CPU_OF_CORE), load.memory_used_mib * KIB_OF_MIB
    free_cpu = max(0, round(total.cpu_cores * CPU_OF_CORE) - used_cpu)
    return (
        f"<TIMESTAMP>{moment(cluster.heard_at_s.get(host.host_id))}</TIMESTAMP><ID>{host.host_id}</ID>"
        f"<CAPACITY><FREE_CPU>{free_cpu}</FREE_CPU>"
        f"<FREE_MEMORY>{max(0, total.memory_mib * KIB_OF_MIB - used_kib)}</FREE_MEMORY>"
        f"<USED_CPU>{used_cpu}</USED_CPU><USED_MEMORY>{used_kib}</USED_MEMORY></CAPACITY><SYSTEM></SYSTEM>"
    )


def vm_monitoring(cluster: Cluster, record: VmRecord) -> str:
    """Return the samples of a VM: the last one."""
    return _data(vm_sample(cluster, record))


def host_monitoring(cluster: Cluster, host: Host) -> str:
    """Return the samples of a host: the last one."""
    return _data(host_sample(cluster, host))


def _data(sample: str) -> str:
    return f"<MONITORING_DATA>{f'<MONITORING>{sample}</MONITORING>' if sample else ''}</MONITORING_DATA>"

"""What agents tell of guests and hosts, as OpenNebula's MONITORING and MONITORING_DATA.

CPU of a guest is in percent of one core: two cores that do nothing else are 200.
"""

from collections.abc import Callable, Sequence
from typing import Any

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.monitoring import GuestSample, HostSample
from innkeeper_controller.opennebula.documents.markup import moment, number
from innkeeper_controller.records import Host, VmRecord
from innkeeper_plugins.vocabulary import VmId

KIB_OF_MIB = 1024
CPU_OF_CORE = 100


#: Takes samples, the oldest first, and returns those that are asked for.
Wanted = Callable[[Sequence[Any]], Sequence[Any]]


def all_samples(kept: Sequence[Any]) -> Sequence[Any]:
    """Return every sample."""
    return kept


def samples_of(seconds: int, now_s: float) -> Wanted:
    """Return what takes the samples of the last seconds: all of them below 0, the last alone for 0."""
    if seconds < 0:
        return all_samples
    if seconds == 0:
        return lambda kept: kept[-1:]
    return lambda kept: [each for each in kept if each.at_s >= now_s - seconds]


def vm_sample(cluster: Cluster, record: VmRecord) -> str:
    """Return what is inside the MONITORING of a VM: the last of its guest; nothing where nothing was heard of it."""
    kept = cluster.samples.guests.get(record.vm_id)
    return _guest(record.vm_id, kept[-1]) if kept else ""


def host_sample(cluster: Cluster, host: Host) -> str:
    """Return what is inside the MONITORING of a host: its last heartbeat; nothing where there was none."""
    load = cluster.load.get(host.host_id)
    if load is None:
        return ""
    heard_at_s = cluster.heard_at_s.get(host.host_id, 0.0)
    last = HostSample(at_s=heard_at_s, cpu_used_cores=load.cpu_used_cores, memory_used_mib=load.memory_used_mib)
    return f"{_host(host, last)}<SYSTEM></SYSTEM>"


def vm_monitoring(cluster: Cluster, record: VmRecord, wanted: Wanted = all_samples) -> str:
    """Return the samples of a VM, the oldest first."""
    return _data([_guest(record.vm_id, each) for each in wanted(cluster.samples.of_guest(record.vm_id))])


def host_monitoring(cluster: Cluster, host: Host, wanted: Wanted = all_samples) -> str:
    """Return the samples of a host, the oldest first."""
    return _data([_host(host, each) for each in wanted(cluster.samples.of_host(host.host_id))])


def _guest(vm_id: VmId, sample: GuestSample) -> str:
    return (
        f"<CPU>{number(sample.cpu_percent)}</CPU><ID>{vm_id}</ID><MEMORY>{sample.memory_mib * KIB_OF_MIB}</MEMORY>"
        f"<TIMESTAMP>{moment(sample.at_s)}</TIMESTAMP>"
    )


def _host(host: Host, sample: HostSample) -> str:
    total = host.advertisement.capacity
    used_cpu, used_kib = round(sample.cpu_used_cores * CPU_OF_CORE), sample.memory_used_mib * KIB_OF_MIB
    free_cpu = max(0, round(total.cpu_cores * CPU_OF_CORE) - used_cpu)
    return (
        f"<TIMESTAMP>{moment(sample.at_s)}</TIMESTAMP><ID>{host.host_id}</ID><CAPACITY><FREE_CPU>{free_cpu}</FREE_CPU>"
        f"<FREE_MEMORY>{max(0, total.memory_mib * KIB_OF_MIB - used_kib)}</FREE_MEMORY>"
        f"<USED_CPU>{used_cpu}</USED_CPU><USED_MEMORY>{used_kib}</USED_MEMORY></CAPACITY>"
    )


def _data(samples: list[str]) -> str:
    return f"<MONITORING_DATA>{''.join(f'<MONITORING>{each}</MONITORING>' for each in samples)}</MONITORING_DATA>"

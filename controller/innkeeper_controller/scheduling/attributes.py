"""A host in the words of requirement and rank expressions: OpenNebula's names and OpenNebula's units.

CPU is 100 for each core and memory is in KB (of 1024 bytes) here, and nowhere else.
"""

import math
from collections.abc import Collection

from innkeeper_controller.expressions import Actual, Attributes
from innkeeper_controller.records import Host
from innkeeper_plugins.vocabulary import Capacity, DriverKind

CPU_OF_CORE = 100
KB_OF_MIB = 1024


def host_attributes(
    host: Host, used: Capacity, running_vms: int, vm_ids: Collection[int] = (), *, cluster: str = "default"
) -> dict[str, Actual]:
    """Return what expressions may ask of a host: its facts, over them its labels, over them what we know ourselves.

    Args:
        host: The host.
        used: What its VMs were given.
        running_vms: How many VMs are on it.
        vm_ids: Their numbers, for ``CURRENT_VMS``.
        cluster: Name of the cluster that the host is in.
    """
    told = host.advertisement
    attributes: dict[str, Actual] = {name.upper(): value for name, value in told.facts.items() if _is_sane(value)}
    attributes.update((name.upper(), value) for name, value in host.labels.items())
    hypervisors = (driver.name for driver in told.drivers if driver.kind is DriverKind.HYPERVISOR)
    attributes.update(
        ID=host.host_id,
        NAME=host.name,
        HOSTNAME=host.name,
        CLUSTER=cluster,
        CLUSTER_ID=host.cluster_id,
        HYPERVISOR=tuple(dict.fromkeys((*hypervisors, *_texts(attributes.get("HYPERVISOR"))))),
        DATASTORES=tuple(each.name for each in told.datastores),
        BRIDGES=told.bridges,
        CURRENT_VMS=tuple(sorted(vm_ids)),
    )
    attributes.update(_numbers(told.capacity, used, running_vms))
    return attributes


def _is_sane(value: str | float) -> bool:
    return isinstance(value, str | int) or math.isfinite(value)


def _texts(fact: Actual | None) -> tuple[str, ...]:
    return (fact,) if isinstance(fact, str) and fact else ()


def _numbers(total: Capacity, used: Capacity, running_vms: int) -> dict[str, Actual]:
    cpu, used_cpu = total.cpu_cores * CPU_OF_CORE, used.cpu_cores * CPU_OF_CORE
    memory, used_memory = total.memory_mib * KB_OF_MIB, used.memory_mib * KB_OF_MIB
    return {
        "TOTAL_CPU": cpu,
        "MAX_CPU": cpu,
        "USED_CPU": used_cpu,
        "CPU_USAGE": used_cpu,
        "FREE_CPU": cpu - used_cpu,
        "TOTAL_MEMORY": memory,
        "MAX_MEM": memory,
        "USED_MEMORY": used_memory,
        "MEM_USAGE": used_memory,
        "FREE_MEMORY": memory - used_memory,
        "FREE_MEM": memory - used_memory,
        "RUNNING_VMS": running_vms,
    }


def with_vm(attributes: Attributes, total: Capacity, used: Capacity, vm_id: int) -> dict[str, Actual]:
    """Return the attributes of a host that one more VM was placed on.

    Args:
        attributes: Those before.
        total: All that the host has.
        used: What its VMs were given, the new one included.
        vm_id: The new one.
    """
    running, current = attributes.get("RUNNING_VMS", 0), attributes.get("CURRENT_VMS", ())
    count = running + 1 if isinstance(running, int) else 1
    vm_ids = (*current, vm_id) if isinstance(current, tuple) else (vm_id,)
    return {**attributes, **_numbers(total, used, int(count)), "CURRENT_VMS": vm_ids}

"""A host as scheduling sees it, made from its record and its cluster's."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from innkeeper_controller.expressions import Actual
from innkeeper_controller.inventory import Inventory, inventories
from innkeeper_controller.records import ClusterRecord, Failures, Host, HostState
from innkeeper_controller.scheduling.columns.attributes import static_attributes
from innkeeper_controller.scheduling.model import HostView, Room
from innkeeper_controller.scheduling.nodes.holdings import KIB_PER_MIB
from innkeeper_plugins.vocabulary import Advertisement, DriverKind

_replace = msgspec.structs.replace

#: Label that the policy ``fixed`` goes by, and how far its values count.
PRIORITY_LABEL = "PRIORITY"
_MAX_PRIORITY = 1000.0


def view_of(host: Host, cluster: ClusterRecord | None) -> HostView:
    """Return the host as the scheduler sees it.

    Args:
        host: The host.
        cluster: The cluster that it is in; None where that is not known.
    """
    told = host.advertisement
    found = inventories(told, host.allowances, cluster.allowances if cluster is not None else {})
    usable = host.connected and host.state is HostState.ON
    name = cluster.name if cluster is not None else str(host.cluster_id)
    attributes = static_attributes(host, cluster=name)
    return HostView(
        host_id=host.host_id,
        name=host.name,
        cpu=found.cpu,
        memory=_ordinary(found.memory, told),
        cluster_id=host.cluster_id,
        cluster=name,
        usable=usable,
        unusable_reason="" if usable else state_word(host),
        ban=_ban(host.failures),
        failures=host.failures.count if host.failures is not None else 0,
        priority=_priority(attributes),
        attributes=attributes,
        # People write names of labels in any case, and templates have theirs in capitals.
        labels={label.lower(): text for label, text in host.labels.items()},
        arch=_text(told, "ARCH"),
        cpu_flags=frozenset(_text(told, "CPU_FLAGS").split()),
        transfer_drivers=_drivers(told, DriverKind.TRANSFER),
        hypervisors=_drivers(told, DriverKind.HYPERVISOR),
        datastores={
            each.name: Room(inventory=found.disk[each.name], free_mib=each.free_mib) for each in told.datastores
        },
        bridges=frozenset(told.bridges),
        images=frozenset(told.images),
        numa=told.numa,
        pci=told.pci,
    )


def state_word(host: Host) -> str:
    """Return the host's state as people see it, in which being away comes before what people want."""
    shown = {HostState.JOINING, HostState.OFFLINE}
    return host.state.value if host.connected or host.state in shown else HostState.LOST.value


def _ordinary(memory: Inventory, told: Advertisement) -> Inventory:
    """Return the memory that is not set aside as huge pages: those are counted by node."""
    pages_kib = sum(size_kib * count for node in told.numa for size_kib, count in node.hugepages.items())
    return _replace(memory, total=memory.total - pages_kib // KIB_PER_MIB) if pages_kib else memory


def _drivers(told: Advertisement, kind: DriverKind) -> frozenset[str]:
    return frozenset(driver.name for driver in told.drivers if driver.kind is kind)


def _text(told: Advertisement, name: str) -> str:
    value = told.facts.get(name)
    return value if isinstance(value, str) else ""


def _ban(failures: Failures | None) -> str:
    if failures is None or failures.banned_until_s <= 0:
        return ""
    until = datetime.fromtimestamp(failures.banned_until_s, UTC).strftime("%H:%M:%S UTC")
    times = "one start of a VM" if failures.count == 1 else f"{failures.count} starts of VMs in a row"
    return f"{times} failed there, so it gets none until {until}; the last said: {failures.message}"


def _priority(attributes: Mapping[str, Actual]) -> float:
    """Return the label as a number from 0 to 1, 0.5 where there is none."""
    try:
        priority = float(str(attributes.get(PRIORITY_LABEL, 0.0)))
    except ValueError:
        return 0.5
    if not math.isfinite(priority):
        return 0.5
    return (min(_MAX_PRIORITY, max(-_MAX_PRIORITY, priority)) + _MAX_PRIORITY) / (2 * _MAX_PRIORITY)

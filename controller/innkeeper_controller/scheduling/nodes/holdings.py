"""What the VMs on a host hold of its nodes, and whether any of it is held twice.

Pure. It is derived from the VMs, so that there is no book that could be wrong.
VMs without a wish float over the whole host: they are not counted here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from innkeeper_plugins.vocabulary import NumaCell, NumaNode, NumaWish, PinPolicy

KIB_PER_MIB: Final = 1024
#: Policies that give a guest processors of its own.
OWN: Final = frozenset({PinPolicy.THREAD, PinPolicy.CORE})


class Guest(Protocol):
    """A VM as far as it holds something of its host: its specification, or what the scheduler knows of it."""

    @property
    def numa(self) -> NumaWish | None:
        """What it asked of the host's nodes; None for nothing."""
        ...

    @property
    def numa_cells(self) -> tuple[NumaCell, ...]:
        """What it was given of them."""
        ...

    @property
    def pci_addresses(self) -> tuple[str, ...]:
        """The devices that it was given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the VMs on a host hold of its nodes."""

    #: Processors that one guest has for itself.
    own: frozenset[int] = frozenset()
    #: Those of them whose whole core is that guest's.
    cores: frozenset[int] = frozenset()
    #: ``{processor: processors of SHARED guests that may run on it}``
    shared: Mapping[int, int] = field(default_factory=dict)
    #: All of both: nobody else can have them for himself.
    taken: frozenset[int] = frozenset()
    #: ``{node: MiB of ordinary memory}``
    memory_mib: Mapping[int, int] = field(default_factory=dict)
    #: ``{(node, size in KiB): pages}``
    pages: Mapping[tuple[int, int], int] = field(default_factory=dict)


NOTHING_HELD = Held()


def held_by(vms: Iterable[Guest]) -> Held:
    """Return what those VMs hold of the host that all of them are on."""
    own: set[int] = set()
    cores: set[int] = set()
    shared: Counter[int] = Counter()
    memory_mib: Counter[int] = Counter()
    pages: Counter[tuple[int, int]] = Counter()
    for vm in vms:
        wish = vm.numa
        if wish is None:
            continue
        for cell in vm.numa_cells:
            if wish.hugepage_mib:
                pages[cell.host_node, wish.hugepage_mib * KIB_PER_MIB] += cell.memory_mib // wish.hugepage_mib
            else:
                memory_mib[cell.host_node] += cell.memory_mib
            if wish.pin_policy in OWN:
                own.update(cell.cpus)
                cores.update(cell.cpus if wish.pin_policy is PinPolicy.CORE else ())
            else:
                shared.update(cell.cpus)
    return Held(
        own=frozenset(own),
        cores=frozenset(cores),
        shared=shared,
        taken=frozenset(own | shared.keys()),
        memory_mib=memory_mib,
        pages=pages,
    )


def idle_pages_mib(nodes: Iterable[NumaNode], held: Held) -> int:
    """Return the memory of huge pages that nobody holds: ordinary guests cannot have it."""
    return sum(
        max(0, number - held.pages.get((node.node_id, size_kib), 0)) * size_kib // KIB_PER_MIB
        for node in nodes
        for size_kib, number in node.hugepages.items()
    )


def conflicts(vms: Sequence[Guest], nodes: Sequence[NumaNode]) -> Iterator[str]:
    """Go over what VMs of one host hold against each other, one sentence each; none is the healthy answer.

    Args:
        vms: Those on the host.
        nodes: The host's; none where it has not told of any, as pages are then not known.
    """
    owners: Counter[int] = Counter()
    whole: set[int] = set()
    for vm in vms:
        policy = vm.numa.pin_policy if vm.numa is not None else PinPolicy.NONE
        cpus = [cpu for cell in vm.numa_cells for cpu in cell.cpus]
        owners.update(cpus if policy in OWN else ())
        whole.update(cpus if policy is PinPolicy.CORE else ())
    held = held_by(vms)
    yield from (f"processor {cpu} is held twice" for cpu, count in sorted(owners.items()) if count > 1)
    for core in (core for node in nodes for core in node.cores):
        first = next((cpu for cpu in core if cpu in whole), None)
        for cpu in core if first is not None else ():
            if cpu != first and cpu in held.taken:
                yield f"processor {cpu} is held, but its core is another VM's own"
    for cpu in sorted(held.own & held.shared.keys()):
        yield f"processor {cpu} is held for one VM and shared by others"
    there = {node.node_id: node.hugepages for node in nodes}
    for (node_id, size_kib), pages in sorted(held.pages.items()):
        total = there.get(node_id, {}).get(size_kib, 0)
        if nodes and pages > total:
            yield f"{pages} pages of {size_kib // KIB_PER_MIB} MiB of node {node_id} are held, of {total}"

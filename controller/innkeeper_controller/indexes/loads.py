"""What a VM takes of the host that it is on, made from its record."""

from functools import lru_cache

import msgspec

from innkeeper_controller.records import VmRecord
from innkeeper_controller.scheduling.model import Load
from innkeeper_controller.scheduling.wishes import OWNER_MARK, Term
from innkeeper_controller.units import MIB
from innkeeper_plugins.vocabulary import DiskKind, HostId, Vm

_replace = msgspec.structs.replace

#: Owners' groups and terms that are remembered.
_REMEMBERED = 4096
#: Room that an overlay or a context disk is counted with, MiB.
OVERLAY_MIB = 16


def load_of(vm: VmRecord, host_id: HostId | None = None) -> Load:
    """Return what the VM takes of a host: of the one that it leaves, other nodes and devices than of the next."""
    spec = vm.spec_on(host_id)
    groups, terms = _of_owner(vm.owner, vm.wishes.groups, vm.wishes.terms)
    return Load(
        vm_id=vm.vm_id,
        capacity=spec.capacity,
        datastores=rooms_of(spec),
        images={ref.sha256: ref.size_bytes for ref in spec.images},
        groups=groups,
        terms=terms,
        numa_cells=spec.numa_cells,
        numa=spec.numa,
        pci_addresses=spec.pci_addresses,
    )


@lru_cache(_REMEMBERED)
def _of_owner(owner: str, groups: tuple[str, ...], terms: tuple[Term, ...]) -> tuple[tuple[str, ...], tuple[Term, ...]]:
    """Return groups and terms as they are between users: everybody's groups are their own."""
    mine = tuple(_group_of(owner, name) for name in groups)
    theirs = [tuple(_group_of(owner, name) for name in term.groups) for term in terms]
    return mine, tuple(_replace(term, groups=names) for term, names in zip(terms, theirs, strict=True))


def _group_of(owner: str, name: str) -> str:
    return f"{owner}{OWNER_MARK}{name}"


def rooms_of(spec: Vm) -> dict[str, int]:
    """Return ``{datastore: MiB}`` that the VM's files take; 0 for one that only its images lie in."""
    rooms: dict[str, int] = {spec.datastore: 0}
    for disk in spec.disks:
        copied = disk.kind in {DiskKind.VOLATILE, DiskKind.SWAP} or disk.driver == "copy"
        rooms[disk.datastore] = rooms.get(disk.datastore, 0) + (disk.size_bytes // MIB if copied else OVERLAY_MIB)
    for ref in spec.images:
        rooms.setdefault(ref.datastore, 0)
    return rooms

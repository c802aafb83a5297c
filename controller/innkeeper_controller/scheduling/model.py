"""What scheduling works on: hosts as it sees them, what VMs take and ask of them, and what it answers.

Nothing here decides; the values are made from records elsewhere.
"""

from collections.abc import Mapping
from typing import TypeAlias

from innkeeper_controller.expressions import Attributes, CompiledRank, CompiledRequirement
from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.wishes import HOST_SCOPE, Relation, Term
from innkeeper_plugins.vocabulary import (
    Capacity,
    HostId,
    NumaCell,
    NumaNode,
    NumaWish,
    PciDevice,
    PciWish,
    Value,
    VmId,
)

#: ``HostView.unusable_reason`` of a host that people want and whose agent is away.
LOST = "lost"


class Room(Value):
    """A datastore of a host."""

    #: What may be given away of it, MiB.
    inventory: Inventory
    #: What the host says is free at the moment, MiB.
    free_mib: int


class HostView(Value):
    """A host at the moment of the snapshot, without what VMs take of it: that the fleet counts itself."""

    host_id: HostId
    name: str
    #: In cores and in MiB.
    cpu: Inventory
    memory: Inventory
    #: The cluster that it is in.
    cluster_id: int = 0
    cluster: str = ""
    usable: bool = True
    #: One word where it is not: ``disabled``, ``lost``...
    unusable_reason: str = ""
    #: Why it is banned for a while, one clause of a sentence; empty where it is not.
    ban: str = ""
    #: Starts that failed on it one after the other.
    failures: int = 0
    #: What the policy ``fixed`` goes by, 0 to 1.
    priority: float = 0.5
    #: For requirements and ranks: what does not change as VMs come and go; see ``attributes.static_attributes``.
    attributes: Attributes = {}
    labels: Mapping[str, str] = {}
    arch: str = ""
    cpu_flags: frozenset[str] = frozenset()
    #: Names of the drivers that the host has.
    transfer_drivers: frozenset[str] = frozenset()
    hypervisors: frozenset[str] = frozenset()
    datastores: Mapping[str, Room] = {}
    bridges: frozenset[str] = frozenset()
    #: Digests of the images in its cache.
    images: frozenset[str] = frozenset()
    numa: tuple[NumaNode, ...] = ()
    pci: tuple[PciDevice, ...] = ()

    @property
    def is_expected(self) -> bool:
        """Whether it takes VMs, or will by itself when it is back."""
        return self.usable or self.unusable_reason == LOST


class Load(Value):
    """What one VM takes of the host that it is on."""

    vm_id: VmId
    capacity: Capacity
    #: ``{datastore: MiB that it takes there}``: volatile disks and full copies count whole, overlays with a constant.
    datastores: Mapping[str, int] = {}
    #: ``{digest: bytes}`` of the images that it starts from, which its host has from then on.
    images: Mapping[str, int] = {}
    #: Placement groups that it is a member of.
    groups: tuple[str, ...] = ()
    #: Those that keep others away where they are hard.
    terms: tuple[Term, ...] = ()
    #: What it holds of the host's nodes, in pages of ``hugepage_mib`` where that is not 0.
    numa_cells: tuple[NumaCell, ...] = ()
    numa: NumaWish | None = None
    pci_addresses: tuple[str, ...] = ()
    #: When it is expected to end, seconds of the clock that is in use; None where nothing is known.
    ends_at_s: float | None = None

    @property
    def has_pages(self) -> bool:
        """Whether its memory comes from huge pages, which are set aside and counted by node."""
        return self.numa is not None and self.numa.hugepage_mib > 0

    @property
    def ordinary_memory_mib(self) -> int:
        """What it takes of the memory that is not set aside."""
        return 0 if self.has_pages else self.capacity.memory_mib


class Demand(Load):
    """What a VM asks of a host, beside what it takes."""

    vcpus: int = 1
    #: Hypervisor driver; empty for whichever the host has.
    hypervisor: str = ""
    #: Processor architecture; empty for any.
    arch: str = ""
    cpu_flags: frozenset[str] = frozenset()
    transfer_drivers: frozenset[str] = frozenset()
    #: Bridges of its NICs; a NIC without one asks for none.
    bridges: frozenset[str] = frozenset()
    #: ``{number: name}`` of the clusters that all its networks and datastores are in; None where it may go into any.
    clusters: Mapping[int, str] | None = None
    requirements: CompiledRequirement | None = None
    rank: CompiledRank | None = None
    #: Attributes of its template that only plugins interpret.
    attributes: Mapping[str, str] = {}
    #: Hosts that it failed on and is kept away from.
    excluded: frozenset[HostId] = frozenset()
    pci: tuple[PciWish, ...] = ()

    @property
    def stays_alike(self) -> bool:
        """Whether a VM of this kind changes how another fits on the host that it goes to, and on no other host."""
        return all(term.scope == HOST_SCOPE and term.relation is Relation.APART for term in self.terms)


class Obstacle(Value):
    """Why one host cannot take one VM, by one clause."""

    #: Name of the clause: ``memory``, ``requirements``...
    clause: str
    #: What is needed and what there is, with the numbers; no capital, no full stop.
    message: str
    #: How far off it is: 0 almost fits; 1 for what is either there or not.
    shortfall: float = 1.0
    #: How much more would do, in MiB or cores, no less; 0 where it is no matter of an amount.
    amount: float = 0.0
    #: That as people say what the host lacks: ``1.5 GiB of memory``; empty where it is no matter of an amount.
    lack: str = ""
    #: The smallest change that would take it away, behind "the host would take it": ``with 512 MiB more memory``,
    #: ``after `inn host enable h2` ``; empty where nobody can say.
    remedy: str = ""
    #: The VMs that are in the way, where that is what it is.
    vm_ids: tuple[VmId, ...] = ()


class Placement(Value):
    """The host chosen for a VM."""

    vm_id: VmId
    host_id: HostId
    #: What the VM's own rank said, 0 without one; the higher the better.
    rank: float
    #: Weighted sum of the policy's scores; decides between hosts of one rank.
    score: float


class NoPlacement(Value):
    """No host can take the VM as things stand in this pass."""

    vm_id: VmId
    #: ``{clause: hosts that fail it}``; a host counts for each clause that it fails.
    counts: dict[str, int]


Decision: TypeAlias = Placement | NoPlacement


class HostVerdict(Value):
    """Whether one host can take a VM, and why not, or how good it would be."""

    host_id: HostId
    host_name: str
    #: Every clause that it fails; empty where the VM fits.
    obstacles: tuple[Obstacle, ...] = ()
    #: ``{score: value}``, with ``rank`` where the VM has one and ``total``; empty where the VM does not fit.
    scores: dict[str, float] = {}

    @property
    def fits(self) -> bool:
        """True where no clause stands in the way."""
        return not self.obstacles


class Alike(Value):
    """Hosts that the same clauses keep a VM from."""

    clauses: tuple[str, ...]
    count: int
    #: Names of the first few, nearest first.
    hosts: tuple[str, ...] = ()


class Verdicts(Value):
    """Why each host was or was not chosen for a VM."""

    vm_id: VmId
    #: Best first: those that fit by score, then the others, those that almost fit first; as many as were asked for.
    hosts: tuple[HostVerdict, ...]
    #: How many hosts there are, and how many of them fit.
    hosts_total: int = 0
    fitting: int = 0
    #: ``{clause: hosts that fail it}``; a host counts for each clause that it fails. Of nodes and devices those count
    #: that fail nothing else.
    counts: dict[str, int] = {}
    #: Hosts that do not fit, by what keeps them out, the most first.
    alike: tuple[Alike, ...] = ()
    #: ``{score: weight}`` of the policy, those that say anything of this VM.
    weights: dict[str, float] = {}
    #: The host that comes closest and what it lacks, one sentence; empty where one fits or there is none.
    nearest_miss: str = ""
    #: The same in a few words, to stand behind a semicolon.
    nearest: str = ""
    #: The smallest change that would make it fit there, one sentence; empty where one fits or nobody can say.
    remedy: str = ""
    #: What would do for another host that is only switched off or banned, one sentence; empty for none.
    switch: str = ""
    #: The smallest change of the VM that would make it fit somewhere, one sentence; empty where there is none.
    smaller: str = ""
    #: Which VMs would have to end for it to fit on one host, one sentence, and their numbers; the fewest, no more
    #: than a handful. Empty where nobody can say.
    ends: str = ""
    ends_vm_ids: tuple[VmId, ...] = ()

"""What scheduling works on: hosts as it sees them, what VMs ask of them, and what it answers.

Nothing here decides; the snapshot is made from records elsewhere.
"""

from collections.abc import Mapping
from typing import TypeAlias

from innkeeper_controller.expressions import Attributes, CompiledRank, CompiledRequirement
from innkeeper_plugins.vocabulary import Capacity, HostId, Value, VmId


class HostView(Value):
    """A host at the moment of the snapshot."""

    host_id: HostId
    name: str
    total: Capacity
    #: The cluster that it is in.
    cluster_id: int = 0
    cluster: str = ""
    usable: bool = True
    #: One word where it is not: ``disabled``, ``lost``...
    unusable_reason: str = ""
    used: Capacity = Capacity()
    #: For requirements and ranks; see ``attributes.host_attributes``.
    attributes: Attributes = {}
    #: Names of the drivers that the host has.
    transfer_drivers: frozenset[str] = frozenset()
    hypervisors: frozenset[str] = frozenset()
    #: ``{datastore: free MiB}``
    datastores: Mapping[str, int] = {}
    bridges: frozenset[str] = frozenset()
    #: Digests of the images in its cache.
    images: frozenset[str] = frozenset()


class Demand(Value):
    """What a VM asks of a host."""

    vm_id: VmId
    capacity: Capacity
    #: Hypervisor driver; empty for whichever the host has.
    hypervisor: str = ""
    #: ``{datastore: MiB that it takes there}``: volatile disks and full copies count whole, overlays with a constant.
    datastores: Mapping[str, int] = {}
    transfer_drivers: frozenset[str] = frozenset()
    #: Bridges of its NICs; a NIC without one asks for none.
    bridges: frozenset[str] = frozenset()
    #: ``{number: name}`` of the clusters that all its networks and datastores are in; None where it may go into any.
    clusters: Mapping[int, str] | None = None
    #: ``{digest: bytes}`` of the images that it starts from.
    images: Mapping[str, int] = {}
    requirements: CompiledRequirement | None = None
    rank: CompiledRank | None = None
    #: Hosts that it failed on and is kept away from.
    excluded: frozenset[HostId] = frozenset()


class Obstacle(Value):
    """Why one host cannot take one VM, by one clause."""

    #: Name of the clause: ``memory``, ``requirements``...
    clause: str
    #: What is needed and what there is, with the numbers; no capital, no full stop.
    message: str
    #: How far off it is: 0 almost fits; 1 for what is either there or not.
    shortfall: float = 1.0


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
    #: ``{clause: hosts that it kept out}``; a host counts once, for the first clause that it failed.
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


class Verdicts(Value):
    """Why each host was or was not chosen for a VM."""

    vm_id: VmId
    #: Best first: those that fit by score, then the others, those that almost fit first.
    hosts: tuple[HostVerdict, ...]
    #: ``{clause: hosts that fail it}``; a host counts for each clause that it fails.
    counts: dict[str, int] = {}
    #: The host that comes closest and what it lacks, one sentence; empty where one fits or there is none.
    nearest_miss: str = ""

"""What another scheduler is told and what it answers, as JSON; ``docs/scheduling-plugins.md`` has every field.

Nothing of it is trusted: an answer is checked for what one can see of it here, and against the records when it is
carried out.
"""

from typing import Final

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.expressions import Actual
from innkeeper_controller.fitting import clusters_of
from innkeeper_controller.loads import load_of
from innkeeper_controller.records import Moment, VmRecord
from innkeeper_controller.scheduling.model import HostView
from innkeeper_controller.scheduling.wishes import Gang, Term
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import HostId, NumaWish, PciWish, Value, VmId

#: Grows where a field changes its meaning or goes; new fields come without.
VERSION: Final = 1
#: VMs that are told at once, the first ones of the queue.
MAX_ASKED: Final = 1_000


class NonsenseError(InnkeeperError):
    """An answer is none; whoever wrote the scheduler must act."""


class SnapshotRoom(Value):
    """A datastore of a host."""

    free_mib: int


class SnapshotHost(Value):
    """A host."""

    host_id: int
    name: str
    cluster_id: int
    cluster: str
    usable: bool
    unusable_reason: str
    ban: str
    failures: int
    cpu_total: float
    cpu_used: float
    cpu_free: float
    memory_total_mib: int
    memory_used_mib: int
    memory_free_mib: int
    vms: int
    load: float
    datastores: dict[str, SnapshotRoom]
    groups: dict[str, int]
    images: list[str]
    labels: dict[str, str]
    attributes: dict[str, Actual]
    arch: str
    hypervisors: list[str]
    transfer_drivers: list[str]
    bridges: list[str]


class SnapshotVm(Value):
    """A VM that waits."""

    vm_id: int
    name: str
    owner: str
    group: str
    cpu: float
    vcpus: int
    memory_mib: int
    datastores: dict[str, int]
    images: dict[str, int]
    requirements: str
    rank: str
    priority: int
    waits_since_s: float
    groups: tuple[str, ...]
    terms: tuple[Term, ...]
    gang: Gang | None
    clusters: list[int] | None
    hypervisor: str
    arch: str
    cpu_flags: tuple[str, ...]
    transfer_drivers: list[str]
    bridges: list[str]
    numa: NumaWish | None
    pci: tuple[PciWish, ...]
    attributes: dict[str, str]


class Snapshot(Value):
    """All of it."""

    version: int
    now_s: float
    waiting_total: int
    vms: list[SnapshotVm]
    hosts: list[SnapshotHost]


class Chosen(Value):
    """One VM's host, as another scheduler wants it."""

    vm: int
    host: str


class Answer(Value):
    """What a program answers; other keys are passed over."""

    placements: list[Chosen]


def snapshot_of(cluster: Cluster, vm_ids: list[VmId], now_s: Moment) -> Snapshot:
    """Return how things stand, for a question about these VMs, in this order."""
    vms = [_vm(cluster, cluster.vms[vm_id]) for vm_id in vm_ids]
    wanted = {digest for vm in vms for digest in vm.images}
    return Snapshot(
        version=VERSION, now_s=now_s, waiting_total=len(cluster.pending), vms=vms, hosts=_hosts(cluster, wanted)
    )


def to_json(snapshot: Snapshot) -> bytes:
    """Return the JSON text, which ends in a newline."""
    return msgspec.json.encode(snapshot) + b"\n"


def from_json(text: bytes) -> tuple[Chosen, ...]:
    """Return what a program chose.

    Raises:
        NonsenseError: the text is no such answer; it tells where.
    """
    try:
        return tuple(_decode(text).placements)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NonsenseError(f'its answer is not like {{"placements": [{{"vm": 7, "host": "h1"}}]}}: {error}') from error


_decode: Final = msgspec.json.Decoder(Answer).decode


def lie_in(chosen: tuple[Chosen, ...], asked: frozenset[VmId], host_ids: dict[str, HostId]) -> str:
    """Return what of an answer contradicts the question, one clause of a sentence; empty where nothing does."""
    seen: set[int] = set()
    for each in chosen:
        if each.vm not in asked:
            return f"it placed VM {each.vm}, which it was not asked about"
        if each.vm in seen:
            return f"it placed VM {each.vm} twice"
        if each.host not in host_ids:
            return f"it placed VM {each.vm} on host {each.host[:_NAME_LETTERS]!r}, which does not exist"
        seen.add(each.vm)
    return ""


#: Letters of a host's name that are told of one that does not exist.
_NAME_LETTERS: Final = 64


def _vm(cluster: Cluster, vm: VmRecord) -> SnapshotVm:
    spec, wishes, load = vm.spec, vm.wishes, load_of(vm)
    clusters = clusters_of(cluster, spec, spec.images)
    return SnapshotVm(
        vm_id=vm.vm_id,
        name=vm.name,
        owner=vm.owner,
        group=vm.group,
        cpu=load.capacity.cpu_cores,
        vcpus=spec.vcpus,
        memory_mib=load.capacity.memory_mib,
        datastores=dict(load.datastores),
        images=dict(load.images),
        requirements=vm.requirements,
        rank=vm.rank,
        priority=wishes.priority,
        waits_since_s=vm.since_s,
        groups=load.groups,
        terms=load.terms,
        gang=wishes.gang,
        clusters=None if clusters is None else list(clusters),
        hypervisor=spec.hypervisor,
        arch=spec.boot.arch,
        cpu_flags=tuple(wishes.cpu_flags),
        transfer_drivers=sorted({spec.driver, *(disk.driver for disk in spec.disks)}),
        bridges=sorted({nic.bridge for nic in spec.nics if nic.bridge}),
        numa=spec.numa,
        pci=spec.pci,
        attributes=dict(vm.attributes),
    )


_COLUMNS: Final = ("cpu_total", "cpu_used", "cpu_free", "memory_total", "memory_used", "memory_free", "vms", "load")


def _hosts(cluster: Cluster, wanted: set[str]) -> list[SnapshotHost]:
    fleet, holders = cluster.fleet, cluster.placement.holders
    columns = [fleet.number(name).tolist() for name in _COLUMNS]
    names = {name for view in fleet.views if view is not None for name in view.datastores}
    rooms = {name: fleet.number(f"disk:{name}").tolist() for name in names}
    images: dict[HostId, list[str]] = {}
    for digest in sorted(wanted):
        for host_id in holders.get(digest, ()):
            images.setdefault(host_id, []).append(digest)
    grouped = not fleet.groups.is_empty
    return [
        _host(
            view,
            [column[row] for column in columns],
            {name: SnapshotRoom(free_mib=int(rooms[name][row])) for name in view.datastores},
            _groups(fleet.groups.of_row(row)) if grouped else {},
            images.get(view.host_id, []),
        )
        for row, view in enumerate(fleet.views)
        if view is not None
    ]


def _groups(members: dict[str, int]) -> dict[str, int]:
    """Return the placement groups of a host; VMs are groups of their own within the fleet, and left out."""
    return {name: count for name, count in members.items() if not name.startswith("#")}


def _host(
    view: HostView, numbers: list[float], rooms: dict[str, SnapshotRoom], groups: dict[str, int], images: list[str]
) -> SnapshotHost:
    cpu_total, cpu_used, cpu_free, memory_total, memory_used, memory_free, vms, load = numbers
    return SnapshotHost(
        host_id=view.host_id,
        name=view.name,
        cluster_id=view.cluster_id,
        cluster=view.cluster,
        usable=view.usable,
        unusable_reason=view.unusable_reason,
        ban=view.ban,
        failures=view.failures,
        cpu_total=cpu_total,
        cpu_used=cpu_used,
        cpu_free=cpu_free,
        memory_total_mib=int(memory_total),
        memory_used_mib=int(memory_used),
        memory_free_mib=int(memory_free),
        vms=int(vms),
        load=load,
        datastores=rooms,
        groups=groups,
        images=images,
        labels=dict(view.labels),
        attributes=dict(view.attributes),
        arch=view.arch,
        hypervisors=sorted(view.hypervisors),
        transfer_drivers=sorted(view.transfer_drivers),
        bridges=sorted(view.bridges),
    )

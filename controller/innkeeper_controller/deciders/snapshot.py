"""What another scheduler is told and what it answers, as JSON; ``docs/scheduling-plugins.md`` has every field.

Nothing of it is trusted: an answer is checked for what one can see of it here, and against the records when it is
carried out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.expressions import Actual
from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.placement.fitting import clusters_of
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
    places: dict[int, str]


class Chosen(Value):
    """One VM's host, as another scheduler wants it."""

    vm: int
    host: str


class Answer(Value):
    """What a program answers; other keys are passed over."""

    placements: list[Chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """How things stand, in values that nobody changes any more: a snapshot is made of it in any thread."""

    now_s: Moment
    waiting_total: int
    vms: list[tuple[VmRecord, Mapping[int, str] | None]]
    views: list[HostView | None]
    #: By name, one number a row.
    columns: dict[str, list[float]]
    rooms: dict[str, list[float]]
    groups: dict[int, dict[str, int]]
    images: dict[HostId, list[str]]
    places: dict[int, str]


def picture_of(cluster: Cluster, vm_ids: list[VmId], now_s: Moment) -> Picture:
    """Return what a question about these VMs, in this order, is made of; quick, for the loop waits."""
    fleet = cluster.fleet
    vms = [cluster.vms[vm_id] for vm_id in vm_ids]
    names = {name for view in fleet.views if view is not None for name in view.datastores}
    return Picture(
        now_s=now_s,
        waiting_total=len(cluster.pending),
        vms=[(vm, clusters_of(cluster, vm.spec, vm.spec.images)) for vm in vms],
        views=list(fleet.views),
        columns={name: fleet.number(name).tolist() for name in _COLUMNS},
        rooms={name: fleet.number(f"disk:{name}").tolist() for name in names},
        groups=fleet.groups.by_row(),
        images=_images(cluster, {ref.sha256 for vm in vms for ref in vm.spec.images}),
        places=_places(cluster, {vm_id for vm in vms for term in vm.wishes.terms for vm_id in term.vm_ids}),
    )


def snapshot_of(picture: Picture) -> Snapshot:
    """Return the question."""
    return Snapshot(
        version=VERSION,
        now_s=picture.now_s,
        waiting_total=picture.waiting_total,
        vms=[_vm(vm, clusters) for vm, clusters in picture.vms],
        hosts=[_host(picture, row, view) for row, view in enumerate(picture.views) if view is not None],
        places=picture.places,
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


_COLUMNS: Final = ("cpu_total", "cpu_used", "cpu_free", "memory_total", "memory_used", "memory_free", "vms", "load")


def _images(cluster: Cluster, wanted: set[str]) -> dict[HostId, list[str]]:
    """Return which hosts have which of these images."""
    images: dict[HostId, list[str]] = {}
    for digest in sorted(wanted):
        for host_id in cluster.placement.holders.get(digest, ()):
            images.setdefault(host_id, []).append(digest)
    return images


def _places(cluster: Cluster, named: set[VmId]) -> dict[int, str]:
    """Return the hosts that these VMs are on, by their names."""
    found = {}
    for vm_id in sorted(named):
        vm = cluster.vms.get(vm_id)
        host = cluster.hosts.get(vm.host_id) if vm is not None and vm.host_id is not None else None
        if host is not None:
            found[int(vm_id)] = host.name
    return found


def _vm(vm: VmRecord, clusters: Mapping[int, str] | None) -> SnapshotVm:
    spec, wishes, load = vm.spec, vm.wishes, load_of(vm)
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


def _host(picture: Picture, row: int, view: HostView) -> SnapshotHost:
    numbers = {name: column[row] for name, column in picture.columns.items()}
    return SnapshotHost(
        host_id=view.host_id,
        name=view.name,
        cluster_id=view.cluster_id,
        cluster=view.cluster,
        usable=view.usable,
        unusable_reason=view.unusable_reason,
        ban=view.ban,
        failures=view.failures,
        cpu_total=numbers["cpu_total"],
        cpu_used=numbers["cpu_used"],
        cpu_free=numbers["cpu_free"],
        memory_total_mib=int(numbers["memory_total"]),
        memory_used_mib=int(numbers["memory_used"]),
        memory_free_mib=int(numbers["memory_free"]),
        vms=int(numbers["vms"]),
        load=numbers["load"],
        datastores={name: SnapshotRoom(free_mib=int(picture.rooms[name][row])) for name in view.datastores},
        groups=picture.groups.get(row, {}),
        images=picture.images.get(view.host_id, []),
        labels=dict(view.labels),
        attributes=dict(view.attributes),
        arch=view.arch,
        hypervisors=sorted(view.hypervisors),
        transfer_drivers=sorted(view.transfer_drivers),
        bridges=sorted(view.bridges),
    )

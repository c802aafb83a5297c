"""Whether the VMs of hosts that die would find room elsewhere (N+1), and what of them would be lost."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.placement.evacuations import Stuck, stuck_for
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.planning import placer_on_copy
from innkeeper_controller.planner.drafts import shares_storage
from innkeeper_controller.records import Host, VmRecord
from innkeeper_controller.scheduling.answers import what_if
from innkeeper_controller.scheduling.answers.what_if import Lost
from innkeeper_controller.scheduling.model import Verdicts
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, Value, VmId

_replace = msgspec.structs.replace

#: VMs of which it is told why they would find no room; of each host, where each is looked at.
_TOLD: Final = 20
_TOLD_OF_ANY: Final = 2
#: VMs that one question may move on trial: each takes a fifth of a millisecond, and nobody else is answered meanwhile.
MAX_TRIED: Final = 50_000


class Survivor(Value):
    """A VM of a host that would die, and where it would start."""

    vm_id: int
    name: str
    host_id: int
    host: str
    #: ``kept``: its disks are on storage that the other host sees too, or it has none; ``anew``: it starts from its
    #: images, and what it wrote is lost.
    disks: str


class HostLoss(Value):
    """What the death of hosts would mean."""

    #: Those that die together.
    hosts: tuple[str, ...]
    #: True where all their VMs would find room.
    holds: bool
    #: VMs that they have.
    vms: int
    #: Of those, how many would find no room; the first of them are listed.
    without_room: int = 0
    stuck: tuple[Stuck, ...] = ()
    #: VMs that lose all that they wrote: their disks are on these hosts only.
    anew: int = 0
    #: VMs that are stopped or undeployed and have their files on these hosts only.
    files_lost: int = 0


class LossPlan(Value):
    """Whether hosts may die."""

    #: ``lose``.
    kind: str
    version: str
    #: True where all VMs would find room, whichever dies: N+1.
    holds: bool
    #: True where each host was looked at by itself.
    any: bool
    hosts: int
    #: With ``any`` only those for which it does not hold.
    losses: tuple[HostLoss, ...]
    #: Where the VMs would start; only of hosts that were named.
    survivors: tuple[Survivor, ...] = ()


def plan_loss(turn: Turn, hosts: Sequence[Host]) -> LossPlan:
    """Return whether the VMs of these hosts would find room elsewhere if all of them died now.

    Raises:
        RefusalError: ``too_large``.
    """
    _check_number(turn, hosts)
    loss, survivors = _Losing(turn, _TOLD).lose(hosts)
    return LossPlan(
        kind="lose",
        version=turn.cluster.fleet.version(),
        holds=loss.holds,
        any=False,
        hosts=len(hosts),
        losses=(loss,),
        survivors=survivors,
    )


def plan_any_loss(turn: Turn) -> LossPlan:
    """Return whether any single host may die: N+1.

    Raises:
        RefusalError: ``too_large``.
    """
    _check_number(turn, turn.cluster.hosts.values())
    losing = _Losing(turn, _TOLD_OF_ANY)
    failing = [loss for host in turn.cluster.hosts.values() if not (loss := losing.lose((host,))[0]).holds]
    return LossPlan(
        kind="lose",
        version=turn.cluster.fleet.version(),
        holds=not failing,
        any=True,
        hosts=len(turn.cluster.hosts),
        losses=tuple(failing),
    )


def _check_number(turn: Turn, hosts: Iterable[Host]) -> None:
    number = sum(len(turn.cluster.vms_on.get(host.host_id, ())) for host in hosts)
    if number > MAX_TRIED:
        raise RefusalError(
            "too_large", f"These hosts have {number} VMs; ask about fewer hosts, with at most {MAX_TRIED} VMs, at once."
        )


class _Losing:
    """Lets hosts die on a copy, one after the other, and brings them back."""

    def __init__(self, turn: Turn, told: int) -> None:
        self._cluster = turn.cluster
        self._placer = placer_on_copy(turn)
        self._told = told

    def lose(self, hosts: Sequence[Host]) -> tuple[HostLoss, tuple[Survivor, ...]]:
        """Return what it would mean, and where the VMs would start."""
        dead = frozenset(host.host_id for host in hosts)
        vms = [vm for host in hosts for vm in self._vms_of(host.host_id)]
        vms.sort(key=lambda vm: (-vm.wishes.priority, vm.vm_id))
        images_lost = {vm.vm_id: words for vm in vms if (words := self._image_lost(vm, dead))}
        lost = [self._lost(vm, dead) for vm in vms if vm.vm_id not in images_lost]
        found = what_if.lose(self._placer, lost, told=self._told)
        survivors = tuple(
            self._survivor(vm, host_id) for vm in vms if (host_id := found.hosts.get(vm.vm_id)) is not None
        )
        told = (self._stuck(vm, found.verdicts.get(vm.vm_id), images_lost) for vm in vms)
        loss = HostLoss(
            hosts=tuple(host.name for host in hosts),
            holds=len(survivors) == len(vms),
            vms=len(vms),
            without_room=len(vms) - len(survivors),
            stuck=tuple(each for each in told if each is not None)[: self._told],
            anew=sum(each.disks == "anew" for each in survivors),
            files_lost=sum(self._lies_on(host.host_id) for host in hosts),
        )
        return loss, survivors

    def _vms_of(self, host_id: HostId) -> Iterator[VmRecord]:
        """Go over the VMs that have to start elsewhere: those that are there, and those that are about to come."""
        for vm_id in self._cluster.vms_on.get(host_id, ()):
            vm = self._cluster.vms[vm_id]
            claims = self._cluster.claims(vm)
            if claims and claims[0] == host_id:
                yield vm

    def _lies_on(self, host_id: HostId) -> int:
        vms = (self._cluster.vms[vm_id] for vm_id in self._cluster.vms_on.get(host_id, ()))
        return sum(vm.sealed_on == host_id for vm in vms)

    def _image_lost(self, vm: VmRecord, dead: frozenset[HostId]) -> str:
        """Return which image of the VM is on no other host that is there; empty where all are."""
        hosts, holders = self._cluster.hosts, self._cluster.placement.holders
        for ref in vm.spec.images:
            if not any(each not in dead and hosts[each].connected for each in holders.get(ref.sha256, ())):
                return f"Image {ref.name} is on no other host that is there."
        return ""

    def _lost(self, vm: VmRecord, dead: frozenset[HostId]) -> Lost:
        host_id = self._cluster.claims(vm)[0]
        demand = _replace(demand_of(self._cluster, vm), excluded=dead)
        return Lost(load=load_of(vm, host_id), host_id=host_id, demand=demand)

    def _stuck(self, vm: VmRecord, found: Verdicts | None, images_lost: dict[VmId, str]) -> Stuck | None:
        if vm.vm_id in images_lost:
            return Stuck(vm_id=vm.vm_id, name=vm.name, state=vm.state.value, why=images_lost[vm.vm_id])
        return stuck_for(vm, found) if found is not None else None

    def _survivor(self, vm: VmRecord, host_id: HostId) -> Survivor:
        target = self._cluster.hosts[host_id]
        kept = not vm.spec.disks or shares_storage(vm.spec, self._cluster.hosts[self._cluster.claims(vm)[0]], target)
        return Survivor(
            vm_id=vm.vm_id, name=vm.name, host_id=host_id, host=target.name, disks="kept" if kept else "anew"
        )

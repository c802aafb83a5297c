"""What would happen if: VMs came, hosts died, or one kind of VM came until no host had room for it.

It works on a fleet that is given to it, a copy of the one that counts, and knows no records.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, TypeVar

import msgspec
import numpy as np

from innkeeper_controller.scheduling.answers.asking import Asked, ask
from innkeeper_controller.scheduling.answers.elsewhere import verdicts_elsewhere
from innkeeper_controller.scheduling.choice.alike import kind_of
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.hosts import one_host
from innkeeper_controller.scheduling.model import Demand, Load, Verdicts
from innkeeper_controller.scheduling.nodes.devices import granted
from innkeeper_controller.scheduling.options import OrderOptions
from innkeeper_controller.scheduling.order.queue import Limits
from innkeeper_plugins.vocabulary import HostId, Value, VmId

_replace = msgspec.structs.replace
_Load = TypeVar("_Load", bound=Load)
_NOBODY: Final[Mapping[VmId, HostId | None]] = {}


class Unit(Value):
    """VMs of one user that are placed together or not at all."""

    owner: str
    demands: tuple[Demand, ...]


class Outcome(Value):
    """Where those who stood in line went; who is in neither found no room."""

    hosts: dict[VmId, HostId]
    #: ``{VM: why it was not looked at}``
    left_out: dict[VmId, str]


class Lost(Value):
    """A VM whose host dies."""

    #: What it took of the host that dies.
    load: Load
    host_id: HostId
    #: What it would ask of another, with all that die ``excluded``.
    demand: Demand


class Filled(Value):
    """How many VMs of one kind found room until no host had any."""

    #: ``{host: how many more}``
    fits: dict[HostId, int]
    #: ``{host: clauses that keep one more away}``; of hosts that were no good from the beginning too.
    keeps_out: dict[HostId, tuple[str, ...]]
    #: Hosts that could have taken one at the beginning.
    could: frozenset[HostId]
    #: False where it was stopped at the limit.
    is_full: bool

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.fits.values())


def place_line(
    placer: Placer,
    line: Sequence[Unit],
    options: OrderOptions,
    on_hosts: Mapping[str, int],
    wanted: Mapping[VmId, HostId | None] = _NOBODY,
) -> Outcome:
    """Place those who stand in line, in order, as passes of the scheduler would; they take what they need.

    Args:
        placer: The hosts and how to choose.
        line: Who is placed first comes first.
        options: Limits of users.
        on_hosts: ``{user: VMs on hosts}`` at the beginning.
        wanted: ``{VM: host}`` for those that may go to that host only, and for those (None) that may go to none.
    """
    counts = dict(on_hosts)
    hosts: dict[VmId, HostId] = {}
    left_out: dict[VmId, str] = {}
    while line:
        limits = Limits(options, dict(counts))
        later = []
        for unit in line:
            refusal = limits.refusal(unit.owner, len(unit.demands))
            if refusal is not None and refusal.next_pass:
                later.append(unit)
            elif refusal is not None:
                left_out |= dict.fromkeys((each.vm_id for each in unit.demands), refusal.words)
            elif found := _place_unit(placer, unit, wanted):
                hosts |= found
                limits.count(unit.owner, len(found))
                counts[unit.owner] = counts.get(unit.owner, 0) + len(found)
        # A limit of one pass lets at least one unit of each user through, so that this ends.
        line = later
    return Outcome(hosts=hosts, left_out=left_out)


def _place_unit(placer: Placer, unit: Unit, wanted: Mapping[VmId, HostId | None]) -> dict[VmId, HostId]:
    """Place the VMs of a unit; none of them, and nothing is taken, where one finds no room."""
    found: dict[VmId, HostId] = {}
    with ExitStack() as undo:
        for demand in unit.demands:
            host_id = _choose(placer, demand, wanted)
            if host_id is None:
                return {}
            taken = take(placer, host_id, demand)
            undo.callback(placer.fleet.give_back, host_id, taken)
            found[demand.vm_id] = host_id
        undo.pop_all()
    return found


def _choose(placer: Placer, demand: Demand, wanted: Mapping[VmId, HostId | None]) -> HostId | None:
    if demand.vm_id not in wanted:
        found = placer.choose(demand)
        return found.host_id if found is not None else None
    host_id = wanted[demand.vm_id]
    return host_id if host_id is not None and fits(placer, demand, host_id) else None


def fits(placer: Placer, demand: Demand, host_id: HostId) -> bool:
    """Say whether a VM fits on a host, by all clauses."""
    row = placer.fleet.row_of.get(host_id)
    if row is None:
        return False
    search = placer.search
    return search.best_of(search.question(demand), np.array([row])) is not None


def take(placer: Placer, host_id: HostId, demand: Demand) -> Load:
    """Let a VM take what it needs of a host that it fits on; return what that is."""
    load = demand
    if demand.numa is not None or demand.pci:
        load = granted(demand, one_host(placer.fleet, placer.fleet.row_of[host_id]))
    placer.fleet.take(host_id, load)
    return load


class Losses(Value):
    """Where the VMs of hosts that die would go."""

    #: None for those that find no room.
    hosts: dict[VmId, HostId | None]
    #: Why they find none, of the first of them.
    verdicts: dict[VmId, Verdicts]


def lose(placer: Placer, lost: Sequence[Lost], *, told: int) -> Losses:
    """Return where the VMs of hosts that die would go, in this order; the fleet is as before afterwards.

    Args:
        placer: The hosts and how to choose.
        lost: All VMs of the hosts that die.
        told: Of so many it is told why they find no room.
    """
    fleet = placer.fleet
    found: dict[VmId, HostId | None] = {}
    why: dict[VmId, Verdicts] = {}
    with ExitStack() as undo:
        for each in lost:
            fleet.give_back(each.host_id, each.load)
            undo.callback(fleet.take, each.host_id, _bringing_nothing(each.load))
        for each in lost:
            # Rankings of VMs that are alike would not live as long as it takes to make them.
            best = placer.search.best(each.demand)
            host_id = found[each.demand.vm_id] = HostId(int(best.host_id)) if best is not None else None
            if host_id is not None:
                undo.callback(fleet.give_back, host_id, take(placer, host_id, _bringing_nothing(each.demand)))
            elif len(why) < told:
                why[each.demand.vm_id] = verdicts_elsewhere(each.demand, placer.search)
    return Losses(hosts=found, verdicts=why)


def _bringing_nothing(load: _Load) -> _Load:
    """Return it without images: a host that was to have them could not be told that it will not."""
    return _replace(load, images={})


def fill(placer: Placer, demand: Demand, limit: int) -> Filled:
    """Place VMs like this one until no host has room, or so many; they take what they need.

    Args:
        placer: The hosts and how to choose.
        demand: The first one; those that follow have the numbers behind its own.
        limit: The most to be placed.
    """
    before = ask(demand, placer.search)
    could = frozenset(host_id for host_id, clauses in _keeping_out(before).items() if not clauses)
    is_alike = kind_of(demand, placer.fleet) is not None and not placer.search.question(demand).slow
    coming = _in_rounds(placer, demand) if is_alike else _one_by_one(placer, demand)
    counts: dict[HostId, int] = {}
    # The one behind the limit is only looked for.
    for number, host_id in zip(range(limit + 1), coming, strict=False):
        if number == limit:
            break
        counts[host_id] = counts.get(host_id, 0) + 1
        take(placer, host_id, _replace(demand, vm_id=VmId(demand.vm_id + number)))
    count = sum(counts.values())
    after = ask(_replace(demand, vm_id=VmId(demand.vm_id + count)), placer.search)
    return Filled(fits=counts, keeps_out=_keeping_out(after), could=could, is_full=bool(after.numbers.all()))


def _one_by_one(placer: Placer, demand: Demand) -> Iterator[HostId]:
    """Go over the hosts that VMs like this one go to; each takes its own before the next is asked for."""
    for number in itertools.count(demand.vm_id):
        found = placer.choose(_replace(demand, vm_id=VmId(number)))
        if found is None:
            return
        yield found.host_id


def _in_rounds(placer: Placer, demand: Demand) -> Iterator[HostId]:
    """Do the same for VMs of which none changes how others fit on other hosts: what a host has room for is its own."""
    search, views = placer.search, placer.fleet.views
    at = np.arange(placer.fleet.count)
    while len(at := search.fitting(search.question(demand), at)):
        yield from (view.host_id for row in at.tolist() if (view := views[row]) is not None)


def _keeping_out(asked: Asked) -> dict[HostId, tuple[str, ...]]:
    """Return ``{host: clauses that fail}``."""
    failing = [(clause.name, fails.tolist()) for clause, fails in asked.failing]
    return {
        HostId(int(host_id)): tuple(dict.fromkeys(name for name, fails in failing if fails[index]))
        for index, host_id in enumerate(asked.host_ids.tolist())
    }


def commonest(reasons: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """Return ``{clause: how often}``, the most frequent first."""
    counts: dict[str, int] = {}
    for clauses in reasons:
        for name in clauses:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))

"""Which nodes, processors and pages of a host a guest gets, so that nothing is held twice.

Pure. VMs without a wish float over the whole host: nobody is kept off by them.

A processor is either one guest's own (THREAD, CORE) or shared (SHARED), never both. SHARED guests get as many
processors of a node as they have of their own, those that the fewest run on; there may be more guests on a processor
than one, as the cores that a VM sets aside are what limits them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from innkeeper_controller.scheduling.nodes.holdings import KIB_PER_MIB, OWN, Held
from innkeeper_controller.scheduling.nodes.shortage import Shortage, counted
from innkeeper_plugins.vocabulary import NumaCell, NumaNode, NumaWish, PinPolicy

_NO_NODES: frozenset[int] = frozenset()


def assign(
    wish: NumaWish,
    vcpus: int,
    memory_mib: int,
    nodes: Sequence[NumaNode],
    held: Held,
    *,
    near: frozenset[int] = _NO_NODES,
) -> tuple[NumaCell, ...] | Shortage:
    """Return what a guest gets of a host's nodes, or why it does not fit.

    Each of its nodes is on another node of the host: on those in ``near``, then on those that it fills most.

    Args:
        wish: What it asks for.
        vcpus: Processors of the guest.
        memory_mib: Its memory.
        nodes: Those of the host.
        held: What others hold of them.
        near: Nodes to be preferred, as the guest's devices are on them.
    """
    shares = _shares(wish, vcpus, memory_mib)
    if isinstance(shares, Shortage):
        return shares
    rooms = [_room(wish, node, held) for node in nodes]
    cells: list[NumaCell] = []
    free = rooms
    for share in shares:
        # No later share is larger than this one, so that whichever node it takes leaves as many for the others.
        fitting = [room for room in free if room.fits(share)]
        if not fitting:
            return _shortage(wish, shares, rooms)
        best = min(fitting, key=lambda room: _order(room, share, held, near)) if len(fitting) > 1 else fitting[0]
        free = [room for room in free if room is not best]
        cells.append(_cell(len(cells), wish.pin_policy, share, best, held))
    return tuple(cells)


@dataclass(frozen=True, slots=True)
class _Share:
    """One node of a guest."""

    vcpus: range
    memory_mib: int
    #: Processors of the host that it cannot do without.
    processors: int
    is_shared: bool


@dataclass(frozen=True, slots=True)
class _Room:
    """What a node of the host has left for guests of one policy and one size of pages."""

    node_id: int
    #: The processors of each core that such a guest can have; cores without any are left out.
    cores: Sequence[tuple[int, ...]]
    #: How many the guest can have: of CORE guests, cores.
    processors: int
    memory_mib: int

    def fits(self, share: _Share) -> bool:
        return share.processors <= self.processors and share.memory_mib <= self.memory_mib


def _shares(wish: NumaWish, vcpus: int, memory_mib: int) -> list[_Share] | Shortage:
    """Return the guest's nodes, the larger first where it does not split evenly."""
    count, page_mib = max(1, wish.nodes), max(1, wish.hugepage_mib)
    pages, odd_mib = divmod(memory_mib, page_mib)
    if odd_mib:
        return Shortage(message=f"{memory_mib} MiB of memory are no whole pages of {page_mib} MiB")
    if vcpus < count or pages < count:
        few = counted(vcpus, "processor") if vcpus < count else f"{memory_mib} MiB of memory"
        return Shortage(message=f"{few} cannot be split over {count} nodes")
    found, first, is_shared = [], 0, wish.pin_policy is PinPolicy.SHARED
    for number in range(count):
        size = vcpus // count + (number < vcpus % count)
        memory = (pages // count + (number < pages % count)) * page_mib
        needed = size if wish.pin_policy in OWN else int(is_shared)
        found.append(_Share(range(first, first + size), memory, needed, is_shared))
        first += size
    return found


def _room(wish: NumaWish, node: NumaNode, held: Held) -> _Room:
    policy, node_id = wish.pin_policy, node.node_id
    if wish.hugepage_mib:
        size_kib = wish.hugepage_mib * KIB_PER_MIB
        pages = node.hugepages.get(size_kib, 0) - held.pages.get((node_id, size_kib), 0)
        memory_mib = pages * wish.hugepage_mib
    else:
        set_aside_kib = sum(size_kib * number for size_kib, number in node.hugepages.items())
        memory_mib = node.memory_mib - set_aside_kib // KIB_PER_MIB - held.memory_mib.get(node_id, 0)
    cores = _cores(policy, node, held)
    processors = len(cores) if policy is PinPolicy.CORE else sum(map(len, cores))
    return _Room(node_id, cores, processors, memory_mib)


def _cores(policy: PinPolicy, node: NumaNode, held: Held) -> Sequence[tuple[int, ...]]:
    """Return the processors that such a guest can have, core by core."""
    if policy is PinPolicy.NONE:
        return ()
    taken = held.own if policy is PinPolicy.SHARED else held.taken
    is_free = taken.isdisjoint
    if policy is PinPolicy.CORE:
        return [core for core in node.cores if core and is_free(core)]
    found = []
    for core in node.cores:
        if is_free(core):
            left = core
        elif not held.cores.isdisjoint(core):
            continue
        else:
            left = tuple([cpu for cpu in core if cpu not in taken])
        if left:
            found.append(left)
    return found


def _order(room: _Room, share: _Share, held: Held, near: frozenset[int]) -> tuple[bool, int, int, int, int]:
    """Return what the best node has least of."""
    return (
        room.node_id not in near,
        _crowd(room, len(share.vcpus), held) if share.is_shared else 0,
        room.processors,
        room.memory_mib,
        room.node_id,
    )


def _crowd(room: _Room, count: int, held: Held) -> int:
    """Return how many processors of guests share with those of this one, at best."""
    loads = sorted([held.shared.get(cpu, 0) for core in room.cores for cpu in core])[:count]
    return sum(loads) + count - len(loads)


def _cell(number: int, policy: PinPolicy, share: _Share, room: _Room, held: Held) -> NumaCell:
    return NumaCell(
        cell_id=number,
        host_node=room.node_id,
        vcpus=tuple(share.vcpus),
        memory_mib=share.memory_mib,
        cpus=_processors(policy, len(share.vcpus), room.cores, held),
    )


def _processors(policy: PinPolicy, count: int, cores: Sequence[tuple[int, ...]], held: Held) -> tuple[int, ...]:
    if policy is PinPolicy.CORE:
        return tuple([core[0] for core in cores[:count]])
    if policy is PinPolicy.THREAD:
        return _threads(count, cores)
    # What is left of a core that is in use comes first, so that whole cores stay for who needs one.
    crowd = sorted([(held.shared.get(cpu, 0), len(core), cpu) for core in cores for cpu in core])
    return tuple(sorted([cpu for _, _, cpu in crowd[:count]]))


def _threads(count: int, cores: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return processors of their own: whole cores while the guest fills them, then the core with the least left."""
    most = max(map(len, cores), default=0)
    chosen: list[int] = []
    rest = []
    for core in cores:
        if len(core) == most and count - len(chosen) >= most:
            chosen += core
        else:
            rest.append(core)
    for core in sorted(rest, key=len) if len(chosen) < count else ():
        chosen += core[: count - len(chosen)]
    return tuple(chosen)


def _shortage(wish: NumaWish, shares: list[_Share], rooms: list[_Room]) -> Shortage:
    largest, count = shares[0], len(shares)
    if len(rooms) < count:
        has = "the host has " + (str(len(rooms)) if rooms else "told of none")
        return Shortage(message=f"{counted(count, 'node')} {_are(count)} needed, {has}", shortfall=1.0)
    lacks = {room.node_id: _lacks(wish, largest, room) for room in rooms}
    kinds = dict.fromkeys(kind for found in lacks.values() for kind, _ in found)
    needed = [_amount(kind, each) for kind, each in _needs(wish, largest) if kind in kinds]
    where = "on one node" if count == 1 else f"on each of {count} nodes"
    told = [
        f"node {node_id} has {' and '.join(_amount(kind, free) for kind, free in found) or 'them'}"
        for node_id, found in lacks.items()
    ]
    are = _are(max(dict(_needs(wish, largest))[kind] for kind in kinds) if len(needed) == 1 else count + 1)
    return Shortage(
        message=f"{' and '.join(needed)} {where} {are} needed; {', '.join(told)}",
        shortfall=sorted(_shortfall(largest, room) for room in rooms)[count - 1],
    )


def _needs(wish: NumaWish, share: _Share) -> Iterator[tuple[str, int]]:
    """Go over ``(what, how much)`` that a node of the guest needs, with the word for one of it."""
    word = {PinPolicy.CORE: "free core", PinPolicy.SHARED: "processor to share"}.get(wish.pin_policy, "free processor")
    yield word, share.processors
    if wish.hugepage_mib:
        yield f"free page of {wish.hugepage_mib} MiB", share.memory_mib // wish.hugepage_mib
    else:
        yield "MiB of memory", share.memory_mib


def _lacks(wish: NumaWish, share: _Share, room: _Room) -> list[tuple[str, int]]:
    """Return ``(what, how much there is)`` of that which the node has too little of."""
    free = (room.processors, room.memory_mib // max(1, wish.hugepage_mib))
    return [
        (kind, max(0, has)) for (kind, needed), has in zip(_needs(wish, share), free, strict=True) if not needed <= has
    ]


def _amount(kind: str, number: int) -> str:
    noun, _, rest = kind.partition(" of ")
    if noun == "MiB":
        return f"{number} {kind}"
    if kind == "processor to share":
        return f"{counted(number, 'processor')} to share"
    return counted(number, noun) + (f" of {rest}" if rest else "")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _shortfall(share: _Share, room: _Room) -> float:
    """Return which part of what is needed is missing, of what most is missing of."""
    pairs = ((share.processors, room.processors), (share.memory_mib, room.memory_mib))
    return max((needed - min(needed, max(0, free))) / needed if needed else 0.0 for needed, free in pairs)

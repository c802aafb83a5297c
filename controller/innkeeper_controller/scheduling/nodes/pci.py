"""Which devices of a host a VM gets: an exact matching of what it asks for with what nobody holds.

Pure. What is held is derived from the VMs on a host; a device is given whole, so that it is never held twice.
"""

from collections.abc import Collection, Iterable, Sequence

from innkeeper_controller.scheduling.nodes.holdings import Guest
from innkeeper_controller.scheduling.nodes.shortage import Shortage, counted
from innkeeper_plugins.vocabulary import PciDevice, PciWish


def held_by(vms: Iterable[Guest]) -> frozenset[str]:
    """Return the addresses of the devices that those VMs hold of the host that all of them are on."""
    return frozenset(address for vm in vms for address in vm.pci_addresses)


def choose(
    wishes: Sequence[PciWish], devices: Iterable[PciDevice], held: Collection[str]
) -> tuple[str, ...] | Shortage:
    """Return the address of a device for each wish, in their order, or why there are too few.

    Where there is any way to serve all of them, one is found, the same for the same question.

    Args:
        wishes: What the VM asks for.
        devices: Those of the host that guests may be given.
        held: Addresses of those that others have.
    """
    by_address = {each.address: each for each in sorted(devices, key=lambda each: each.address)}
    free = {address: each for address, each in by_address.items() if address not in held}
    matching = _Matching([[each.address for each in free.values() if matches(wish, each)] for wish in wishes])
    for number in sorted(range(len(wishes)), key=lambda number: _rank(wishes[number])):
        seen: set[str] = set()
        if not matching.serve(number, seen):
            return _shortage(wishes, number, matching.asking_for(seen, number), list(by_address.values()), set(free))
    return tuple(matching.device_of[number] for number in range(len(wishes)))


def nodes_of(addresses: Iterable[str], devices: Iterable[PciDevice]) -> frozenset[int]:
    """Return the nodes that those devices are close to; those of which the machine says nothing are left out."""
    wanted = set(addresses)
    return frozenset(each.numa_node for each in devices if each.address in wanted and each.numa_node >= 0)


def matches(wish: PciWish, device: PciDevice) -> bool:
    """Return True where the device is what the wish asks for."""
    return (
        wish.address in {"", device.address}
        and wish.vendor in {"", device.vendor}
        and wish.device in {"", device.device}
        and wish.device_class in {"", device.device_class}
    )


class _Matching:
    """Which wish has which device, as augmenting paths make it."""

    __slots__ = ("_candidates", "_wish_of", "device_of")

    def __init__(self, candidates: list[list[str]]) -> None:
        self._candidates = candidates
        self._wish_of: dict[str, int] = {}
        self.device_of: dict[int, str] = {}

    def serve(self, number: int, seen: set[str]) -> bool:
        """Give the wish a device, where others move on to other devices if need be; ``seen`` are those tried."""
        came_by: dict[str, int] = {}
        queue = [number]
        for wish in queue:
            for address in self._candidates[wish]:
                if address in seen:
                    continue
                seen.add(address)
                came_by[address] = wish
                if address not in self._wish_of:
                    self._move_on(address, came_by)
                    return True
                queue.append(self._wish_of[address])
        return False

    def asking_for(self, addresses: Iterable[str], number: int) -> list[int]:
        """Return the wish and those that have one of the devices."""
        return [number, *(self._wish_of[address] for address in addresses)]

    def _move_on(self, address: str, came_by: dict[str, int]) -> None:
        while True:
            wish = came_by[address]
            before = self.device_of.get(wish)
            self.device_of[wish], self._wish_of[address] = address, wish
            if before is None:
                return
            address = before


def _rank(wish: PciWish) -> tuple[bool, int]:
    """Return what puts addresses first, then what is asked for most exactly."""
    return not wish.address, -sum(map(bool, (wish.vendor, wish.device, wish.device_class)))


def _shortage(
    wishes: Sequence[PciWish], number: int, rivals: list[int], devices: Sequence[PciDevice], free: set[str]
) -> Shortage:
    """Say of the wish that went empty, and of those that take the same devices, what there is."""
    wanted = [wishes[rival] for rival in sorted(rivals)]
    kinds = list(dict.fromkeys(map(words_of, wanted)))
    fitting = [each for each in devices if any(matches(wish, each) for wish in wanted)]
    left = sum(each.address in free for each in fitting)
    is_one = len(wanted) == 1 or (len(kinds) == 1 and bool(wishes[number].address))
    what = f"{counted(len(wanted), 'device')} ({' or '.join(kinds)})" if len(kinds) > 1 else ""
    what = what or (kinds[0] if wishes[number].address else f"{counted(len(wanted), 'device')} {kinds[0]}".strip())
    if not fitting:
        has = "the host gives guests none of that kind" if devices else "the host gives guests no device"
    elif is_one and wishes[number].address:
        has = "it was asked for twice" if left else "another VM has it"
    else:
        has = f"{left} of {len(fitting)} {'is' if left == 1 else 'are'} free"
    are = "is" if is_one else "are"
    return Shortage(message=f"{what} {are} needed, {has}", shortfall=(len(wanted) - left) / len(wanted))


def words_of(wish: PciWish) -> str:
    """Return what a wish asks for, as people write it; empty for any device."""
    if wish.address:
        return f"device {wish.address}"
    kind = f"{wish.vendor or '*'}:{wish.device or '*'}" if wish.vendor or wish.device else ""
    return " ".join(each for each in (kind, f"of class {wish.device_class}" if wish.device_class else "") if each)

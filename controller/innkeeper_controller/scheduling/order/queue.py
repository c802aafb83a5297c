"""Who is placed first: the order of waiting VMs, gangs that are taken as one, and limits of users.

Functions of values: they place nothing, and the time is an argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from innkeeper_controller.scheduling.options import OrderOptions
from innkeeper_controller.scheduling.wishes import Gang
from innkeeper_plugins.vocabulary import Value, VmId

HOUR_S: Final = 3600.0
#: A user's gang, by its name: others may have one of the same name.
GangKey: TypeAlias = tuple[str, str]


class Waiting(Value):
    """A VM that waits for a host, as the order sees it."""

    vm_id: VmId
    owner: str
    group: str
    priority: int = 0
    #: When it began to wait.
    since_s: float = 0.0
    gang: Gang | None = None
    #: How long it may wait; None for as long as the operator says.
    timeout_s: float | None = None


class Shares(Protocol):
    """What everybody used of late."""

    def share_of_user(self, owner: str, now_s: float) -> float:
        """Return a user's part of all that was used, 0 to 1."""
        ...

    def share_of_group(self, group: str, now_s: float) -> float:
        """Return a group's part of all that was used, 0 to 1."""
        ...


class Points(Value):
    """Why a VM has its place: the points that it has, by what they are for."""

    #: Its own number, before it was weighted.
    own_priority: int
    waited_s: float
    priority: float
    age: float
    fair_share: float

    @property
    def total(self) -> float:
        """All points; the more, the sooner."""
        return self.priority + self.age + self.fair_share

    @property
    def words(self) -> str:
        """The addends in one line."""
        priority = f"priority {self.own_priority}" + (f" {self.priority:+.1f}" if self.priority else "")
        return f"{priority}, waited {self.waited_s / HOUR_S:.1f} h {self.age:+.1f}, fair share {self.fair_share:+.1f}"


class Place(Value):
    """Where a VM is in the queue."""

    #: Counted from 1.
    position: int
    of: int
    points: Points

    @property
    def words(self) -> str:
        """``place 3 of 17: priority 0, waited 2.1 h +2.1, fair share +7.3``."""
        return f"place {self.position} of {self.of}: {self.points.words}"


class LeftOut(Value):
    """Why a VM that waits is not looked at."""

    #: One sentence.
    words: str
    #: True where the very next pass may look at it; otherwise something has to end, or to come, first.
    next_pass: bool = False


class Line(Value):
    """What a pass goes through: VMs that are placed together, all or none, in order."""

    units: tuple[tuple[VmId, ...], ...]
    left_out: dict[VmId, LeftOut] = {}


def points(waiting: Waiting, shares: Shares, options: OrderOptions, now_s: float) -> Points:
    """Return the points of one VM, by what they are for."""
    waited_s = max(now_s - waiting.since_s, 0.0)
    used = (shares.share_of_user(waiting.owner, now_s) + shares.share_of_group(waiting.group, now_s)) / 2
    return Points(
        own_priority=waiting.priority,
        waited_s=waited_s,
        priority=waiting.priority * options.priority_weight,
        age=waited_s / HOUR_S * options.age_weight_per_h,
        fair_share=(1.0 - used) * options.fair_share_weight,
    )


def ordered(waiting: Sequence[Waiting], shares: Shares, options: OrderOptions, now_s: float) -> list[VmId]:
    """Return the VMs by their points, those with most first; of two with as many, the older number."""
    if not waiting:
        return []
    vm_ids = _vm_ids(waiting)
    found: list[VmId] = vm_ids[np.lexsort((vm_ids, -_totals(waiting, shares, options, now_s)))].tolist()
    return found


def place(mine: Waiting, waiting: Sequence[Waiting], shares: Shares, options: OrderOptions, now_s: float) -> Place:
    """Return the place of one VM among all that wait, itself included."""
    own = points(mine, shares, options, now_s)
    totals = _totals(waiting, shares, options, now_s)
    before = (totals > own.total) | ((totals == own.total) & (_vm_ids(waiting) < mine.vm_id))
    return Place(position=int(np.count_nonzero(before)) + 1, of=len(waiting), points=own)


def gang_of(waiting: Waiting) -> GangKey | None:
    """Return the gang that the VM is in; None for none."""
    return (waiting.owner, waiting.gang.name) if waiting.gang is not None else None


def units(
    order: Sequence[VmId],
    waiting: Mapping[VmId, Waiting],
    gangs: Mapping[GangKey, Mapping[VmId, None]],
    on_hosts: Mapping[GangKey, int],
) -> Line:
    """Return what is placed together, in the order of each one's first member.

    A gang comes whole, even where ``order`` has only some of it, and only if there is enough of it.

    Args:
        order: VMs to be placed.
        waiting: All VMs that wait.
        gangs: Members of each gang that wait.
        on_hosts: How many members of each gang are on hosts already.
    """
    if not gangs:
        return Line(units=tuple((vm_id,) for vm_id in order))
    found: list[tuple[VmId, ...]] = []
    left_out: dict[VmId, LeftOut] = {}
    place_of = {vm_id: number for number, vm_id in enumerate(order)}
    seen: set[GangKey] = set()
    for vm_id in order:
        key = gang_of(waiting[vm_id])
        if key is None:
            found.append((vm_id,))
        elif key not in seen:
            seen.add(key)
            members = sorted(gangs[key], key=lambda each: (place_of.get(each, len(order)), each))
            words = missing(key, [waiting[each] for each in members], on_hosts.get(key, 0))
            if words:
                left_out |= dict.fromkeys(members, LeftOut(words=words))
            else:
                found.append(tuple(members))
    return Line(units=tuple(found), left_out=left_out)


def missing(key: GangKey, members: Sequence[Waiting], on_hosts: int) -> str:
    """Return what a gang lacks to be looked at; empty for nothing.

    Members that are on hosts already count: what failed of a gang comes back to the others.
    """
    size = max(each.gang.size for each in members if each.gang is not None)
    if len(members) + on_hosts >= size:
        return ""
    there = f" and {_are(on_hosts)} on hosts" if on_hosts else ""
    wait = f"{len(members)} wait" + ("s" if len(members) == 1 else "")
    return f"Its gang {key[1]} needs {size} VMs, of which {wait}{there}; it goes on when the rest wait too."


def too_large(gang: Gang, *, waiting: int, fitting: int, why: str) -> str:
    """Return why a gang is not placed that is complete: the hosts have room for some of it only.

    Args:
        gang: The gang.
        waiting: Members that wait.
        fitting: How many of them found a host before the first that did not.
        why: Why that one did not, one sentence, as the hosts were once the others had theirs.
    """
    some = "none of them fits" if not fitting else f"{fitting} fit{'s' if fitting == 1 else ''} at once"
    return f"Its gang {gang.name} is placed whole or not at all: of {_vms(waiting)}, {some}. The next one: {why}"


class Limits:
    """How many VMs of each user a pass may still place; the caller counts what it places."""

    def __init__(self, options: OrderOptions, on_hosts: Mapping[str, int]) -> None:
        """Begin a pass.

        Args:
            options: The limits.
            on_hosts: VMs that each user has on hosts.
        """
        self._options = options
        self._on_hosts = on_hosts
        self._placed: dict[str, int] = {}

    def refusal(self, owner: str, count: int = 1) -> LeftOut | None:
        """Return why that many VMs of a user cannot be placed together now; None where they can."""
        placed = self._placed.get(owner, 0)
        has, most = self._on_hosts.get(owner, 0) + placed, self._options.max_placed_per_user
        if most and has + count > most:
            return LeftOut(words=_over_limit(owner, has=has, most=most, count=count))
        in_pass = self._options.max_per_pass_and_user
        # A gang that is larger than what a pass may place comes alone: it could never be placed otherwise.
        if in_pass and placed and placed + count > in_pass:
            text = f"Its owner {owner} got {_vms(placed)} placed in this pass, where {in_pass} is the limit"
            return LeftOut(words=f"{text}; it is looked at in the next.", next_pass=True)
        return None

    def count(self, owner: str, count: int = 1) -> None:
        """Note that so many VMs of a user were placed."""
        self._placed[owner] = self._placed.get(owner, 0) + count


def _over_limit(owner: str, *, has: int, most: int, count: int) -> str:
    if count > most:
        return f"Its gang has {_vms(count)}, and its owner {owner} may have {most} on hosts, so that it never starts."
    if count == 1:
        return f"Its owner {owner} has {_vms(has)} on hosts, which is the limit; it goes on when one ends."
    return (
        f"Its owner {owner} has {_vms(has)} on hosts and may have {most}, too few for its gang of {count}; "
        f"it goes on when {has + count - most} of them have ended."
    )


def _vms(count: int) -> str:
    return f"{count} VM" if count == 1 else f"{count} VMs"


def _are(count: int) -> str:
    return f"{count} is" if count == 1 else f"{count} are"


def _vm_ids(waiting: Sequence[Waiting]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(attrgetter("vm_id"), waiting), dtype=np.int64, count=len(waiting))


def _totals(waiting: Sequence[Waiting], shares: Shares, options: OrderOptions, now_s: float) -> npt.NDArray[np.float64]:
    """Return the points of all, by the same sums in the same order as ``points``: equal ones have to be equal."""
    priorities = _column(map(attrgetter("priority"), waiting), len(waiting))
    since_s = _column(map(attrgetter("since_s"), waiting), len(waiting))
    owners, groups = list(map(attrgetter("owner"), waiting)), list(map(attrgetter("group"), waiting))
    of_user = {each: shares.share_of_user(each, now_s) for each in set(owners)}
    of_group = {each: shares.share_of_group(each, now_s) for each in set(groups)}
    used = _column(map(of_user.__getitem__, owners), len(owners))
    used = (used + _column(map(of_group.__getitem__, groups), len(groups))) / 2
    age = np.maximum(now_s - since_s, 0.0) / HOUR_S * options.age_weight_per_h
    return priorities * options.priority_weight + age + (1.0 - used) * options.fair_share_weight


def _column(values: Iterable[float], count: int) -> npt.NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64, count=count)

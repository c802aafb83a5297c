"""The hosts as columns: one row a host, one line of numbers for each thing that clauses and scores ask for.

It is an index: who owns the records tells it of every host and of every VM that comes to a host or leaves it.
It decides nothing, and reads no clock.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from innkeeper_controller.expressions import Actual
from innkeeper_controller.scheduling.columns import attributes
from innkeeper_controller.scheduling.columns.changes import Changes
from innkeeper_controller.scheduling.columns.coded import Coded
from innkeeper_controller.scheduling.columns.members import Membership, vm_key
from innkeeper_controller.scheduling.columns.remembered import Remembered
from innkeeper_controller.scheduling.columns.table import COLUMNS, MOVING, NO_ROOM, SAID, Table
from innkeeper_controller.scheduling.model import HostView, Load
from innkeeper_controller.scheduling.wishes import Relation
from innkeeper_plugins.vocabulary import HostId, VmId

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

#: Digits after the point that sums of fractions of cores are kept to.
_CORE_DIGITS: Final = 6
_LINE: Final = {name: line for line, name in enumerate(COLUMNS)}
_MOVING: Final = slice(0, len(MOVING))
_SAID: Final = slice(len(MOVING), len(MOVING) + len(SAID))
_CPU_USED, _MEMORY_USED, _VMS, _LOAD = (_LINE[name] for name in ("cpu_used", "memory_used", "vms", "load"))
_TOTALS: Final = tuple(_LINE[name] for name in ("cpu_total", "cpu_unit", "memory_total", "memory_unit"))
#: What version() tells of a row, beside who is on it.
_VERSIONED: Final = ("cpu_total", "cpu_used", "memory_total", "memory_used")


class Fleet:
    """All hosts; rows are given once and used again when their host is gone."""

    def __init__(self) -> None:
        """Begin without hosts."""
        #: Rows that are in use or have been, the first ones.
        self.count = 0
        self.row_of: dict[HostId, int] = {}
        #: None where the row's host is gone.
        self.views: list[HostView | None] = []
        self.table = Table()
        #: Rows of which anything changed.
        self.changes = Changes()
        #: Rows that became something else, beside what is on them.
        self.became = Changes()
        self.groups = Membership()
        #: ``{scope: VMs there that keep members of a group away from their place}``
        self.repelling: dict[str, Membership] = {}
        #: The VMs on each row: only their numbers, for what each takes would cost too much.
        self._vms: list[set[VmId]] = []
        #: ``{VM: row}``, and where it is taking a second host while it moves.
        self._place: dict[VmId, int] = {}
        self._second_place: dict[VmId, int] = {}
        #: ``{row: {VM: what it takes}}`` of those that have nodes or devices of their host.
        self._cells: dict[int, dict[VmId, Load]] = {}
        #: ``{row: images}`` that VMs bring to a host, until it says that it has them.
        self._coming: dict[int, set[str]] = {}
        self._free_rows: list[int] = []
        self._banned: set[int] = set()
        self._failed: set[int] = set()
        self._limited: set[int] = set()
        #: Rows that have other images than before.
        self._fetched = Changes()
        self._masks: Remembered[BoolArray] = Remembered(self.became)
        self._said: Remembered[Coded] = Remembered(self.became)
        self._images: Remembered[BoolArray] = Remembered(self._fetched)
        self._marks = np.zeros(0, dtype=np.bool_)

    # --- changes

    def put(self, view: HostView) -> None:
        """Take a host in, or what it is now; what VMs take of it stays counted."""
        row = self.row_of.get(view.host_id)
        old = self.views[row] if row is not None else None
        if row is None:
            row = self._new_row(view.host_id)
        self.views[row] = view
        self._set_totals(row, view)
        self._set_rooms(row, view, old)
        (self._failed.add if view.failures else self._failed.discard)(row)
        if old is None or _what_it_is(old) != _what_it_is(view):
            (self._banned.add if view.ban else self._banned.discard)(row)
            (self._limited.add if _has_limits(view) else self._limited.discard)(row)
            self.became.note(row)
        if old is None or old.images != view.images:
            self._fetched.note(row)
        self.changes.note(row)

    def drop(self, host_id: HostId) -> None:
        """Let a host go; VMs that are still counted on it are counted nowhere then."""
        row = self.row_of.pop(host_id, None)
        if row is None:
            return
        for vm_id in self._vms[row]:
            places = self._place if self._place.get(vm_id) == row else self._second_place
            places.pop(vm_id, None)
        self.views[row] = None
        self._vms[row] = set()
        self._cells.pop(row, None)
        self._coming.pop(row, None)
        self._banned.discard(row)
        self._failed.discard(row)
        self._limited.discard(row)
        self.groups.forget(row)
        for scope, membership in list(self.repelling.items()):
            membership.forget(row)
            if membership.is_empty:
                del self.repelling[scope]
        self.table.clear(row)
        self._free_rows.append(row)
        for changes in (self.became, self._fetched, self.changes):
            changes.note(row)

    def take(self, host_id: HostId, load: Load) -> None:
        """Count a VM on a host; nothing where the host is not known."""
        row = self.row_of.get(host_id)
        if row is None:
            return
        self._vms[row].add(load.vm_id)
        if self._place.setdefault(load.vm_id, row) != row:
            self._second_place[load.vm_id] = row
        self._count(row, load, 1)
        if load.images:
            self._bring_images(row, load.images)

    def give_back(self, host_id: HostId, load: Load) -> None:
        """Count a VM no longer on a host; ``load`` is what it was taken with."""
        row = self.row_of.get(host_id)
        if row is None or load.vm_id not in self._vms[row]:
            return
        self._vms[row].discard(load.vm_id)
        second = self._second_place.pop(load.vm_id, None)
        if second is None:
            self._place.pop(load.vm_id, None)
        elif second != row:
            self._place[load.vm_id] = second
        self._count(row, load, -1)

    def hear(self, host_id: HostId, busy: float) -> None:
        """Note which part of a host's processors is busy, 0 to 1; nonsense counts as all of them."""
        row = self.row_of.get(host_id)
        busy = max(0.0, busy) if busy < 1.0 else 1.0
        if row is not None and self.table.cells.item(_LOAD, row) != busy:
            self.table.cells[_LOAD, row] = busy
            self.changes.note(row)

    def copy(self) -> "Fleet":
        """Return a fleet that changes by itself, for what-if."""
        other = Fleet()
        other.count = self.count
        other.row_of, other.views, other.table = dict(self.row_of), list(self.views), self.table.copy()
        other.groups = self.groups.copy()
        other.repelling = {scope: membership.copy() for scope, membership in self.repelling.items()}
        other._vms = [each.copy() for each in self._vms]
        other._place, other._second_place = self._place.copy(), self._second_place.copy()
        other._cells = {row: dict(cells) for row, cells in self._cells.items()}
        other._coming = {row: set(digests) for row, digests in self._coming.items()}
        other._free_rows = list(self._free_rows)
        other._banned, other._limited = set(self._banned), set(self._limited)
        other._failed = set(self._failed)
        return other

    def _new_row(self, host_id: HostId) -> int:
        if self._free_rows:
            row = self._free_rows.pop()
        else:
            row = self.count
            self.count += 1
            self.views.append(None)
            self._vms.append(set())
            if self.count >= self.table.rows:
                self.table.grow()
                # What is known of all rows has as many entries as there is room for rows.
                self.became.forget()
                self._fetched.forget()
        self.table.clear(row)
        self.row_of[host_id] = row
        return row

    def _set_totals(self, row: int, view: HostView) -> None:
        cpu, memory = view.cpu, view.memory
        cells, cpu_total, memory_total = self.table.cells, cpu.capacity, memory.capacity
        cells[_SAID, row] = (
            view.host_id,
            view.usable,
            view.failures,
            view.cluster_id,
            view.priority,
            cpu_total,
            1.0 / cpu_total if cpu_total > 0 else 1.0,
            cpu.min_unit,
            cpu.max_unit,
            cpu.step_size,
            memory_total,
            1.0 / memory_total if memory_total > 0 else 1.0,
            memory.min_unit,
            memory.max_unit,
            memory.step_size,
        )
        self._move(row, cells.item(_CPU_USED, row), cells.item(_MEMORY_USED, row), cells.item(_VMS, row))

    def _set_rooms(self, row: int, view: HostView, old: HostView | None) -> None:
        """Count what datastores have left from what the host says now, where it says something new of them."""
        table, rooms, before = self.table, view.datastores, old.datastores if old is not None else {}
        for name in before:
            if name not in rooms:
                _, disk = table.room_lines(name)
                table.cells[disk, row] = NO_ROOM
        for name, room in rooms.items():
            if before.get(name) != room:
                given, disk = table.room_lines(name)
                left = room.inventory.capacity - table.cells.item(given, row)
                table.cells[disk, row] = min(room.free_mib, left)

    def _move(self, row: int, cpu_used: float, memory_used: float, vms: float) -> None:
        """Write what is used, and what follows from it."""
        cells = self.table.cells
        cpu_total, cpu_unit, memory_total, memory_unit = [cells.item(line, row) for line in _TOTALS]
        cpu_part, memory_part = cpu_used * cpu_unit, memory_used * memory_unit
        cells[_MOVING, row] = (
            cpu_used,
            cpu_total - cpu_used,
            cpu_part,
            memory_used,
            memory_total - memory_used,
            memory_part,
            cpu_part + memory_part,
            vms,
        )

    def _count(self, row: int, load: Load, sign: int) -> None:
        cells, capacity = self.table.cells, load.capacity
        self._move(
            row,
            round(cells.item(_CPU_USED, row) + sign * capacity.cpu_cores, _CORE_DIGITS),
            cells.item(_MEMORY_USED, row) + sign * load.ordinary_memory_mib,
            cells.item(_VMS, row) + sign,
        )
        if load.datastores:
            self._count_rooms(row, load, sign)
        if load.groups:
            self.groups.add(load.groups, row, sign)
        if load.terms:
            self._count_terms(row, load, sign)
        if load.numa_cells or load.pci_addresses:
            special = self._cells.setdefault(row, {})
            if sign > 0:
                special[load.vm_id] = load
            else:
                special.pop(load.vm_id, None)
        self.changes.note(row)

    def _count_rooms(self, row: int, load: Load, sign: int) -> None:
        table = self.table
        for name, mib in load.datastores.items():
            if mib:
                given, disk = table.room_lines(name)
                table.cells[given, row] = table.cells.item(given, row) + sign * mib
                table.cells[disk, row] = table.cells.item(disk, row) - sign * mib

    def _count_terms(self, row: int, load: Load, sign: int) -> None:
        for term in load.terms:
            if term.relation is Relation.APART and term.is_hard:
                membership = self.repelling.get(term.scope)
                if membership is None:
                    membership = self.repelling[term.scope] = Membership()
                membership.add(repelled_keys(term.groups, term.vm_ids), row, sign)
                if membership.is_empty:
                    del self.repelling[term.scope]

    def _bring_images(self, row: int, digests: Iterable[str]) -> None:
        view, coming = self.views[row], self._coming.get(row, ())
        missing = [digest for digest in digests if view and digest not in view.images and digest not in coming]
        if missing:
            self._coming.setdefault(row, set()).update(missing)
            self._fetched.note(row)

    # --- what followers, clauses and scores ask

    def number(self, name: str) -> FloatArray:
        """Return a column of ``table.COLUMNS`` or ``disk:NAME``; a datastore that no host has has no room anywhere.

        Raises:
            KeyError: there is no such column.
        """
        return self.table.column(name, self.table.cells[:, : self.count])

    def each(self, key: Hashable, holds: Callable[[HostView], bool]) -> BoolArray:
        """Return what ``holds`` says of each host, False for rows without one; remembered under the key.

        Args:
            key: The same for functions that say the same.
            holds: Reads only what the host is.
        """
        views = self.views

        def said(rows: Iterable[int]) -> list[bool]:
            return [(view := views[row]) is not None and holds(view) for row in rows]

        return self.mask(key, lambda rows: np.array(said(rows.tolist()), dtype=np.bool_))

    def mask(self, key: Hashable, asked: Callable[[IntArray], BoolArray]) -> BoolArray:
        """Return what was asked of each row, remembered under the key; False for rows that are not in use yet.

        Args:
            key: The same for functions that say the same.
            asked: Says it of some rows; reads only what hosts are.
        """

        def make() -> BoolArray:
            mask = np.zeros(self.table.rows, dtype=np.bool_)
            mask[: self.count] = asked(np.arange(self.count))
            return mask

        def mend(mask: BoolArray, rows: list[int]) -> None:
            at = np.unique(rows)
            mask[at] = asked(at)

        return self._masks.get(key, make, mend)

    def having(self, digest: str) -> BoolArray:
        """Return which hosts have an image in their cache, or will have it because a VM on them starts from it."""

        def make() -> BoolArray:
            mask = np.zeros(self.table.rows, dtype=np.bool_)
            mend(mask, range(self.count))
            return mask

        def mend(mask: BoolArray, rows: Iterable[int]) -> None:
            for row in rows:
                view = self.views[row]
                mask[row] = view is not None and (digest in view.images or digest in self._coming.get(row, ()))

        return self._images.get(digest, make, mend)

    @property
    def has_bans(self) -> bool:
        """Whether any host is banned."""
        return bool(self._banned)

    @property
    def has_failures(self) -> bool:
        """Whether VMs failed to start on any host lately."""
        return bool(self._failed)

    @property
    def has_limits(self) -> bool:
        """Whether any host limits what one VM takes."""
        return bool(self._limited)

    def marks(self) -> BoolArray:
        """Return flags that are all False, to be borrowed: whoever sets some sets them back."""
        if len(self._marks) < self.count:
            self._marks = np.zeros(self.table.rows, dtype=np.bool_)
        return self._marks

    def coded(self, name: str) -> Coded:
        """Return an attribute of hosts by number; see ``expressions.columns``."""
        return self._coded(("attribute", name), lambda view: view.attributes.get(name))

    def places(self, scope: str) -> Coded:
        """Return the value of a label by number."""
        return self._coded(("place", scope), lambda view: view.labels.get(scope))

    def _coded(self, key: Hashable, read: Callable[[HostView], Actual | None]) -> Coded:
        def said(row: int) -> Actual | None:
            view = self.views[row]
            return read(view) if view is not None else None

        def mend(coded: Coded, rows: list[int]) -> None:
            coded.say((row, said(row)) for row in rows)

        def make() -> Coded:
            coded = Coded(self.table.rows)
            coded.say((row, said(row)) for row in range(self.count))
            return coded

        return self._said.get(key, make, mend)

    def vm_ids(self, row: int) -> tuple[VmId, ...]:
        """Return the VMs on a host, in order."""
        return tuple(sorted(self._vms[row]))

    def rows_with_vm(self, vm_id: int) -> tuple[int, ...]:
        """Return where a VM is: nowhere, on one host, or on two while it moves."""
        places = (self._place.get(VmId(vm_id)), self._second_place.get(VmId(vm_id)))
        return tuple([row for row in places if row is not None])

    def special_loads(self, row: int) -> tuple[Load, ...]:
        """Return what the VMs hold that have nodes or devices of the host."""
        return tuple(self._cells.get(row, {}).values())

    def attributes_of(self, row: int) -> dict[str, Actual]:
        """Return all attributes of a host, as expressions about one host want them."""
        view = self.views[row]
        if view is None:
            return {}
        return {**view.attributes, **attributes.numbers(self, row), "CURRENT_VMS": self.vm_ids(row)}

    def __iter__(self) -> Iterator[int]:
        """Go over the rows that have a host."""
        return (row for row, view in enumerate(self.views) if view is not None)

    def picture(self) -> dict[HostId, tuple[object, ...]]:
        """Return all that is known of each host, whatever rows they have: equal for fleets that say the same."""
        return {view.host_id: self._picture_of(row, view) for row, view in enumerate(self.views) if view is not None}

    def _picture_of(self, row: int, view: HostView) -> tuple[object, ...]:
        cells = self.table.cells
        numbers = {name: cells.item(line, row) for name, line in self.table.index.items()}
        said = {name: number for name, number in numbers.items() if number not in {0.0, NO_ROOM}}
        groups = [self.groups.of_row(row), {scope: each.of_row(row) for scope, each in self.repelling.items()}]
        return view, said, self.vm_ids(row), self._cells.get(row) or {}, groups

    def __eq__(self, other: object) -> bool:
        """Whether two fleets say the same."""
        return self.picture() == other.picture() if isinstance(other, Fleet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def version(self) -> str:
        """Return a text that is the same while no host and no VM has come, gone, moved or changed in what it takes."""
        digest = hashlib.blake2b(digest_size=8)
        lines = [self.table.index[name] for name in _VERSIONED]
        for host_id, row in sorted(self.row_of.items()):
            view = self.views[row]
            assert view is not None, "the row has a host"
            numbers = [self.table.cells.item(line, row) for line in lines]
            digest.update(repr((host_id, view.usable, view.ban, numbers, self.vm_ids(row))).encode())
        return digest.hexdigest()


def repelled_keys(groups: Iterable[str], vm_ids: Iterable[int]) -> list[str]:
    """Return the keys in ``Fleet.repelling`` for those whom a hard term keeps away."""
    return [*groups, *map(vm_key, vm_ids)]


def _has_limits(view: HostView) -> bool:
    return any(each.min_unit > 0 or each.max_unit < np.inf or each.step_size > 0 for each in (view.cpu, view.memory))


def _what_it_is(view: HostView) -> tuple[object, ...]:
    """Return all of a host that masks are remembered of."""
    return (
        view.usable,
        view.unusable_reason,
        view.ban,
        view.cluster_id,
        view.attributes,
        view.labels,
        view.arch,
        view.cpu_flags,
        view.transfer_drivers,
        view.hypervisors,
        view.datastores.keys(),
        view.bridges,
        view.numa,
        view.pci,
        (view.cpu.min_unit, view.cpu.max_unit, view.cpu.step_size),
        (view.memory.min_unit, view.memory.max_unit, view.memory.step_size),
        view.name,
    )

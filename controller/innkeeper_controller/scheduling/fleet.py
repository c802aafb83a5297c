"""The hosts as columns: one row a host, one numpy array for each thing that clauses and scores ask for.

It is an index: who owns the records tells it of every host and of every VM that comes to a host or leaves it.
It decides nothing, and reads no clock.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from innkeeper_controller.expressions import Actual
from innkeeper_controller.scheduling import attributes
from innkeeper_controller.scheduling.coded import Coded
from innkeeper_controller.scheduling.members import Membership, vm_key
from innkeeper_controller.scheduling.model import HostView, Load
from innkeeper_controller.scheduling.wishes import Relation
from innkeeper_plugins.vocabulary import HostId, VmId

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

#: Columns that every fleet has; ``disk:NAME`` come beside them.
COLUMNS: Final = (
    "host_id", "usable", "cpu_total", "cpu_used", "cpu_free", "cpu_part", "cpu_unit", "memory_total", "memory_used",
    "memory_free", "memory_part", "memory_unit", "vms", "load", "failures", "ends_at_s", "cluster_id",
    "priority", "cpu_min", "cpu_max", "cpu_step", "memory_min", "memory_max", "memory_step",
)  # fmt: skip
#: Digits after the point that sums of fractions of cores are kept to.
_CORE_DIGITS: Final = 6
_FIRST_ROWS: Final = 64
#: Masks and codes that are remembered until a host changes what it is.
_REMEMBERED: Final = 512
#: Changes that are remembered for those who follow them; who is further behind begins anew.
MAX_CHANGES: Final = 65_536
_LOAD_STEPS: Final = 16
#: First part of the keys of ``having``.
_IMAGES: Final = "images"
#: What a datastore that a host does not have counts as free.
NO_ROOM: Final = -np.inf


class Fleet:
    """All hosts; rows are given once and used again when their host is gone."""

    def __init__(self) -> None:
        """Begin without hosts."""
        #: Rows that are in use or have been, the first ones.
        self.count = 0
        self.row_of: dict[HostId, int] = {}
        #: None where the row's host is gone.
        self.views: list[HostView | None] = []
        #: The VMs on each row: only their numbers, for what each takes would cost too much.
        self._vms: list[set[VmId]] = []
        self._columns = {name: np.zeros(_FIRST_ROWS) for name in COLUMNS}
        self.groups = Membership()
        #: VMs that keep members of a group away from their place, by ``repelled_keys``.
        self.repelling = Membership()
        #: ``{scope: VMs on hosts that keep others away in it}``
        self.repelling_scopes: dict[str, int] = {}
        #: ``{VM: row}``, and where it is taking a second host while it moves.
        self._place: dict[VmId, int] = {}
        self._second_place: dict[VmId, int] = {}
        #: ``{row: {VM: what it takes}}`` of those that have nodes or devices of their host.
        self._cells: dict[int, dict[VmId, Load]] = {}
        #: ``{row: images}`` that VMs bring to a host, until it says that it has them.
        self._coming: dict[int, set[str]] = {}
        self._free_rows: list[int] = []
        #: Raised when a host changes what it is, beside what is on it.
        self.static_version = 0
        self._static: dict[Hashable, object] = {}
        self._marks = np.zeros(0, dtype=np.bool_)
        self._changes: list[int] = []
        self._changes_before = 0

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
        if old is None or _what_it_is(old) != _what_it_is(view):
            self._forget_static()
        elif old.images != view.images:
            self._update_images(row)
        self._note(row)

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
        self.groups.forget(row)
        self.repelling.forget(row)
        for column in self._columns.values():
            column[row] = 0.0
        self._free_rows.append(row)
        self._forget_static()
        self._note(row)

    def take(self, host_id: HostId, load: Load) -> None:
        """Count a VM on a host; nothing where the host is not known."""
        row = self.row_of.get(host_id)
        if row is None:
            return
        self._vms[row].add(load.vm_id)
        first = self._place.setdefault(load.vm_id, row)
        if first != row:
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
        if second is not None and second != row:
            self._place[load.vm_id] = second
        elif second is None:
            self._place.pop(load.vm_id, None)
        self._count(row, load, -1)

    def hear(self, host_id: HostId, busy: float) -> None:
        """Note which part of a host's processors is busy, 0 to 1; in coarse steps, for it changes all the time."""
        row = self.row_of.get(host_id)
        busy = round(busy * _LOAD_STEPS) / _LOAD_STEPS
        if row is not None and self._columns["load"].item(row) != busy:
            self._columns["load"][row] = busy
            self._note(row)

    def copy(self) -> "Fleet":
        """Return a fleet that changes by itself, for what-if."""
        other = Fleet()
        other.count = self.count
        other.row_of = dict(self.row_of)
        other.views = list(self.views)
        other._vms = [set(each) for each in self._vms]
        other._columns = {name: column.copy() for name, column in self._columns.items()}
        other.groups, other.repelling = self.groups.copy(), self.repelling.copy()
        other.repelling_scopes = dict(self.repelling_scopes)
        other._place, other._second_place = dict(self._place), dict(self._second_place)
        other._cells = {row: dict(cells) for row, cells in self._cells.items()}
        other._coming = {row: set(digests) for row, digests in self._coming.items()}
        other._free_rows = list(self._free_rows)
        return other

    def _new_row(self, host_id: HostId) -> int:
        if self._free_rows:
            row = self._free_rows.pop()
        else:
            row = self.count
            self.count += 1
            self.views.append(None)
            self._vms.append(set())
            if row >= len(self._columns["host_id"]):
                self._columns = {
                    name: np.concatenate([each, np.zeros_like(each)]) for name, each in self._columns.items()
                }
        self.row_of[host_id] = row
        self._columns["host_id"][row] = host_id
        for name in self._columns:
            if name.startswith("disk:"):
                self._columns[name][row] = NO_ROOM
        return row

    def _set_totals(self, row: int, view: HostView) -> None:
        columns = self._columns
        columns["usable"][row] = view.usable
        columns["failures"][row] = view.failures
        columns["cluster_id"][row] = view.cluster_id
        columns["priority"][row] = view.priority
        for name, inventory in (("cpu", view.cpu), ("memory", view.memory)):
            total = inventory.capacity
            columns[f"{name}_total"][row] = total
            columns[f"{name}_unit"][row] = 1.0 / total if total > 0 else 1.0
            columns[f"{name}_min"][row] = inventory.min_unit
            columns[f"{name}_max"][row] = inventory.max_unit
            columns[f"{name}_step"][row] = inventory.step_size
        self._follow(row)

    def _set_rooms(self, row: int, view: HostView, old: HostView | None) -> None:
        for name in old.datastores if old is not None else ():
            if name not in view.datastores:
                self._columns[f"disk:{name}"][row] = NO_ROOM
        for name, room in view.datastores.items():
            given = self._column(f"given:{name}", 0.0)[row]
            self._column(f"disk:{name}", NO_ROOM)[row] = min(room.free_mib, room.inventory.capacity - given)

    def _column(self, name: str, empty: float) -> FloatArray:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = np.full(len(self._columns["host_id"]), empty)
        return column

    def _count(self, row: int, load: Load, sign: int) -> None:
        columns, capacity = self._columns, load.capacity
        columns["cpu_used"][row] = round(columns["cpu_used"].item(row) + sign * capacity.cpu_cores, _CORE_DIGITS)
        columns["memory_used"][row] += sign * capacity.memory_mib
        columns["vms"][row] += sign
        for name, mib in load.datastores.items():
            self._column(f"given:{name}", 0.0)[row] += sign * mib
            self._column(f"disk:{name}", NO_ROOM)[row] -= sign * mib
        if load.groups:
            self.groups.add(load.groups, row, sign)
        for term in load.terms:
            if term.relation is Relation.APART and term.is_hard:
                self.repelling.add(repelled_keys(term.scope, term.groups, term.vm_ids), row, sign)
                self.repelling_scopes[term.scope] = self.repelling_scopes.get(term.scope, 0) + sign
        if load.numa_cells or load.pci_addresses:
            cells = self._cells.setdefault(row, {})
            if sign > 0:
                cells[load.vm_id] = load
            else:
                cells.pop(load.vm_id, None)
        self._follow(row)
        self._note(row)

    def _follow(self, row: int) -> None:
        """Bring the columns that follow from others up to date."""
        columns = self._columns
        for name in ("cpu", "memory"):
            total, used = columns[f"{name}_total"].item(row), columns[f"{name}_used"].item(row)
            columns[f"{name}_free"][row] = total - used
            columns[f"{name}_part"][row] = used * columns[f"{name}_unit"].item(row)

    def _forget_static(self) -> None:
        self.static_version += 1
        self._static.clear()

    def _bring_images(self, row: int, digests: Iterable[str]) -> None:
        view = self.views[row]
        missing = [digest for digest in digests if view is not None and digest not in view.images]
        if missing:
            self._coming.setdefault(row, set()).update(missing)
            self._update_images(row)

    def _update_images(self, row: int) -> None:
        """Bring the remembered flags of images up to date for a host."""
        for key, column in self._static.items():
            if isinstance(key, tuple) and key[0] == _IMAGES:
                column[row] = self._has_image(row, key[1])  # type: ignore[index]  # a column of flags

    def _has_image(self, row: int, digest: str) -> bool:
        view = self.views[row]
        return view is not None and (digest in view.images or digest in self._coming.get(row, ()))

    def _note(self, row: int) -> None:
        self._changes.append(row)
        if len(self._changes) > MAX_CHANGES:
            self._changes_before += len(self._changes)
            self._changes.clear()

    # --- what followers, clauses and scores ask

    @property
    def changes_seen(self) -> int:
        """How many changes of rows there were, for ``changed_since``."""
        return self._changes_before + len(self._changes)

    def changed_since(self, seen: int) -> list[int] | None:
        """Return the rows that changed since, in order; None where they are no longer known."""
        begin = seen - self._changes_before
        return self._changes[begin:] if begin >= 0 else None

    def number(self, name: str) -> FloatArray:
        """Return a column of ``COLUMNS`` or ``disk:NAME``; a datastore that no host has has no room anywhere.

        Raises:
            KeyError: there is no such column.
        """
        column = self._columns.get(name)
        if column is None:
            if not name.startswith("disk:"):
                raise KeyError(name)
            column = self._column(name, NO_ROOM)
        return column[: self.count]

    def each(self, key: Hashable, holds: Callable[[HostView], bool]) -> BoolArray:
        """Return what ``holds`` says of each host, False for rows without one; remembered under the key.

        Args:
            key: The same for functions that say the same.
            holds: Reads only what the host is.
        """
        return self.static(key, lambda: self._each(holds))  # type: ignore[return-value]  # as made below

    def _each(self, holds: Callable[[HostView], bool]) -> BoolArray:
        said = (view is not None and holds(view) for view in self.views)
        return np.fromiter(said, dtype=np.bool_, count=self.count)

    def having(self, digest: str) -> BoolArray:
        """Return which hosts have an image in their cache, or will have it because a VM on them starts from it."""
        return self.static(  # type: ignore[return-value]  # as made here
            (_IMAGES, digest),
            lambda: np.fromiter((self._has_image(row, digest) for row in range(self.count)), np.bool_, self.count),
        )

    @property
    def has_bans(self) -> bool:
        """Whether any host is banned."""
        return bool(self.static("bans", lambda: any(view.ban for view in self.views if view is not None)))

    @property
    def has_limits(self) -> bool:
        """Whether any host limits what one VM takes."""
        return bool(self.static("limits", lambda: any(_has_limits(view) for view in self.views if view is not None)))

    def marks(self) -> BoolArray:
        """Return flags that are all False, to be borrowed: whoever sets some sets them back."""
        if len(self._marks) < self.count:
            self._marks = np.zeros(len(self._columns["host_id"]), dtype=np.bool_)
        return self._marks

    def coded(self, name: str) -> Coded:
        """Return an attribute of hosts by number; see ``expressions.columns``."""
        said = (view.attributes.get(name) if view is not None else None for view in self.views)
        return self.static(("attribute", name), lambda: Coded(said, self.count))  # type: ignore[return-value]  # as made

    def places(self, scope: str) -> Coded:
        """Return the value of a label by number."""
        said = (view.labels.get(scope) if view is not None else None for view in self.views)
        return self.static(("place", scope), lambda: Coded(said, self.count))  # type: ignore[return-value]  # as made

    def static(self, key: Hashable, make: Callable[[], object]) -> object:
        """Return what ``make`` gives, remembered until a host changes what it is."""
        found = self._static.get(key)
        if found is None:
            if len(self._static) >= _REMEMBERED:
                self._static.clear()
                self.static_version += 1
            found = self._static[key] = make()
        return found

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
        numbers = {name: column.item(row) for name, column in self._columns.items() if column.item(row) != NO_ROOM}
        return view, numbers, self.vm_ids(row), self._cells.get(row, {})

    def __eq__(self, other: object) -> bool:
        """Whether two fleets say the same."""
        return self.picture() == other.picture() if isinstance(other, Fleet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def version(self) -> str:
        """Return a text that is the same while no host and no VM has come, gone, moved or changed in what it takes."""
        digest = hashlib.blake2b(digest_size=8)
        for row in sorted(self, key=lambda each: self.views[each].host_id):  # type: ignore[union-attr]  # it has a host
            view = self.views[row]
            assert view is not None, "rows of the iteration have hosts"
            numbers = [
                self._columns[name].item(row) for name in ("cpu_total", "cpu_used", "memory_total", "memory_used")
            ]
            digest.update(repr((view.host_id, view.usable, view.ban, numbers, self.vm_ids(row))).encode())
        return digest.hexdigest()


def repelled_keys(scope: str, groups: Iterable[str], vm_ids: Iterable[int]) -> list[str]:
    """Return the keys of ``Fleet.repelling`` for those whom a hard term keeps away, with its scope."""
    return [f"{scope}/{key}" for key in (*groups, *map(vm_key, vm_ids))]


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

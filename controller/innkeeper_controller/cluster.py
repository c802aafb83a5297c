"""The whole state in memory: records by kind and key, and the indexes over them.

``apply`` is the only thing that changes records; telling the log again through it gives the same state.
It decides nothing, reads no clock and touches no disk.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from innkeeper_controller import schedule
from innkeeper_controller.deciders.standing import Standing
from innkeeper_controller.indexes import hopes
from innkeeper_controller.indexes.fleet_index import FleetIndex, claims
from innkeeper_controller.indexes.queue_index import QueueIndex
from innkeeper_controller.monitoring import Samples
from innkeeper_controller.placement.balance_runs import Balancing
from innkeeper_controller.records import (
    KIND_OF,
    KINDS,
    AclRule,
    AddressLease,
    ClusterRecord,
    Datastore,
    DefaultLimits,
    Group,
    HistoryRecord,
    Host,
    Image,
    Moment,
    Network,
    Operation,
    OperationStatus,
    Record,
    StoredTemplate,
    User,
    VmRecord,
)
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.usage import Usages
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import Capacity, HostId, ImageId, Observation, OperationId, VmId, VmState

Key = int | str

#: VMs that wait are looked at again for what one host says of itself no more often.
HOPE_INTERVAL_S = 3.0

#: Operations that go on.
UNFINISHED = (OperationStatus.RUNNING, OperationStatus.UNDOING)


def key_of(record: Record) -> Key:
    """Return the record's key in its kind."""
    return getattr(record, KINDS[KIND_OF[type(record)]].key)  # type: ignore[no-any-return]  # a column of the table


@dataclass(frozen=True, slots=True)
class Put:
    """One record's change: from ``old`` (None: new) to ``new`` (None: deleted)."""

    kind: str
    key: Key
    old: Record | None
    new: Record | None


@dataclass(slots=True)
class Progress:
    """How far a step was when it was last heard of; kept in memory only."""

    step_id: int
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Where and when VMs of a template failed to start, while none of them started anywhere; kept in memory only."""

    host_id: HostId
    at_s: Moment


@dataclass(slots=True)
class Cluster:
    """Records and indexes; read freely, change only through ``apply``."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    acl_rules: dict[int, AclRule] = field(default_factory=dict)
    default_limits: dict[str, DefaultLimits] = field(default_factory=dict)
    clusters: dict[int, ClusterRecord] = field(default_factory=dict)
    hosts: dict[HostId, Host] = field(default_factory=dict)
    datastores: dict[str, Datastore] = field(default_factory=dict)
    images: dict[ImageId, Image] = field(default_factory=dict)
    networks: dict[int, Network] = field(default_factory=dict)
    leases: dict[str, AddressLease] = field(default_factory=dict)
    templates: dict[int, StoredTemplate] = field(default_factory=dict)
    #: Those that go on, and the last of each live VM or image.
    operations: dict[OperationId, Operation] = field(default_factory=dict)
    #: All but the DONE ones.
    vms: dict[VmId, VmRecord] = field(default_factory=dict)
    #: Stays of those VMs, by their ids.
    history_records: dict[str, HistoryRecord] = field(default_factory=dict)

    #: ``{kind: highest number ever given}``; DONE VMs and ended operations count.
    last_ids: dict[str, int] = field(default_factory=dict)

    used: dict[HostId, Capacity] = field(default_factory=dict)
    #: VMs that take capacity of a host, or have files on it.
    vms_on: dict[HostId, set[VmId]] = field(default_factory=dict)
    #: VMs that wait for a host, in order of submission.
    pending: dict[VmId, None] = field(default_factory=dict)
    #: ``{VM: why it waits}``, one sentence as the scheduler saw it last; never stored.
    waits: dict[VmId, str] = field(default_factory=dict)
    #: Those of them that the scheduler has not looked at since something became better.
    unconsidered: dict[VmId, None] = field(default_factory=dict)
    #: VMs that wait for a person.
    held: set[VmId] = field(default_factory=set)
    #: VMs that the scheduler is to find a better host for.
    rescheduled: dict[VmId, None] = field(default_factory=dict)
    #: Heap of ``(when, VM)`` of what schedules say; what is not due any more then is passed over.
    due: list[tuple[Moment, VmId]] = field(default_factory=list)
    #: Operations that go on.
    running: dict[OperationId, None] = field(default_factory=dict)
    host_ids: dict[str, HostId] = field(default_factory=dict)
    host_of_key: dict[str, HostId] = field(default_factory=dict)
    image_ids: dict[str, ImageId] = field(default_factory=dict)
    #: ``{image: VMs that have it, as a disk or to boot from}``; images that nobody has are left out.
    vms_of_image: dict[ImageId, set[VmId]] = field(default_factory=dict)
    network_ids: dict[str, int] = field(default_factory=dict)
    leases_of: dict[VmId, set[str]] = field(default_factory=dict)
    user_of_token: dict[str, str] = field(default_factory=dict)
    #: ``{number: name}``
    user_names: dict[int, str] = field(default_factory=dict)
    group_names: dict[int, str] = field(default_factory=dict)
    datastore_names: dict[int, str] = field(default_factory=dict)
    template_ids: dict[str, int] = field(default_factory=dict)
    cluster_ids: dict[str, int] = field(default_factory=dict)
    #: ``{VM: its stays, in order}``
    history_of: dict[VmId, tuple[HistoryRecord, ...]] = field(default_factory=dict)
    #: Stays of VMs that have left memory in the present turn, which may be taken back.
    departed: dict[VmId, tuple[HistoryRecord, ...]] = field(default_factory=dict)
    #: What users and groups have of what may be limited.
    usages: Usages = field(default_factory=Usages)
    #: The hosts as the scheduler sees them.
    placement: FleetIndex = field(default_factory=FleetIndex)
    #: How another scheduler does; None where the built-in one decides.
    outside: Standing | None = None
    #: What is being moved so that hosts are used better; never stored.
    balancing: Balancing = field(default_factory=Balancing)
    #: What the order of those who wait is made of.
    queue: QueueIndex = field(default_factory=QueueIndex)
    #: ``{network: addresses that are not free}``
    lease_count: dict[int, int] = field(default_factory=dict)
    #: ``{network: heap of (ar_id, offset)}`` given back below the cursor, which comes to the others by itself;
    #: some may be taken again.
    given_back: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    #: ``{network: (ar_id, offset)}`` up to which all addresses were taken once.
    lease_cursor: dict[int, tuple[int, int]] = field(default_factory=dict)

    #: Told by agents, never stored.
    heard_at_s: dict[HostId, Moment] = field(default_factory=dict)
    load: dict[HostId, Heartbeat] = field(default_factory=dict)
    progress: dict[OperationId, Progress] = field(default_factory=dict)
    observed: dict[VmId, Observation] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    #: Guests that were reported as nobody of ours: ``(host, vm)``.
    strangers: set[tuple[HostId, int]] = field(default_factory=set)
    #: True where a host may have become better for somebody who waits.
    freed: bool = False
    #: Hosts that say something better of themselves, of which ``freed`` does not tell yet, and when it told last.
    bettered: dict[HostId, None] = field(default_factory=dict)
    hoped_at_s: dict[HostId, Moment] = field(default_factory=dict)
    #: Hosts that are banned.
    banned: set[HostId] = field(default_factory=set)
    #: ``{host: what of its advertisement cannot be}``, in words.
    nonsense: dict[HostId, tuple[str, ...]] = field(default_factory=dict)
    #: ``{host: {kind of nonsense: when the operators were last told of it}}``
    nonsense_told_at_s: dict[HostId, dict[str, Moment]] = field(default_factory=dict)
    #: ``{owner and template: where its VMs do not start}``, as ``bans`` has them.
    suspicions: dict[str, Suspicion] = field(default_factory=dict)

    def table(self, kind: str) -> dict[Key, Record]:
        """Return the records of a kind by key; not to be written to."""
        return getattr(self, KINDS[kind].plural)  # type: ignore[no-any-return]  # a column of the table

    def get(self, kind: str, key: Key) -> Record | None:
        """Return the record, or None where memory has none."""
        return self.table(kind).get(key)

    def load_records(self, records: Iterable[Record], last_ids: dict[str, int]) -> None:
        """Fill an empty cluster from the store."""
        for record in records:
            self.apply(Put(KIND_OF[type(record)], key_of(record), None, record))
        for kind, number in last_ids.items():
            self.last_ids[kind] = max(number, self.last_ids.get(kind, -1))

    def apply(self, put: Put) -> None:
        """Replace one record and bring the indexes along."""
        table = self.table(put.kind)
        if put.new is None or self._has_left(put.new):
            table.pop(put.key, None)
        else:
            table[put.key] = put.new
        self._count_id(put.kind, put.key, put.new)
        index = _INDEXES.get(put.kind)
        if index:
            index(self, put.old, put.new)
        self.usages.apply(put.old, put.new)
        self.queue.apply(put.old, put.new)
        self.placement.apply(put.old, put.new)

    def next_id(self, kind: str) -> int:
        """Return the next number of a kind; numbers are never given twice."""
        return self.last_ids.get(kind, -1) + 1

    def _has_left(self, record: Record) -> bool:
        """Return whether memory lets go of the record: a VM that is DONE, and its stays once it is."""
        if isinstance(record, HistoryRecord):
            return record.vm_id not in self.vms
        return _is_done(record)

    def _count_id(self, kind: str, key: Key, record: Record | None) -> None:
        if kind in _NUMBERED:
            number = int(str(key).removeprefix("o"))
        else:
            number = getattr(record, _NUMBERS[kind], -1) if kind in _NUMBERS else -1
        if number > self.last_ids.get(kind, -1):
            self.last_ids[kind] = number

    def take_hopes(self, now_s: Moment) -> None:
        """Let those who wait hope for the hosts that became better by themselves, each host once in a while."""
        for host_id in list(self.bettered):
            if now_s - self.hoped_at_s.get(host_id, -HOPE_INTERVAL_S) >= HOPE_INTERVAL_S:
                del self.bettered[host_id]
                self.hoped_at_s[host_id] = now_s
                self.freed = True

    def free_address(self, network: Network) -> tuple[int, int]:
        """Return the lowest free address of the network as (ar_id, offset); there has to be one."""
        heap = self.given_back.get(network.network_id, [])
        while heap and self._is_taken(network, heap[0]):
            heapq.heappop(heap)
        if heap:
            return heap[0]
        ar_id, offset = self.lease_cursor.get(network.network_id, (0, 0))
        for each in network.ranges:
            begin = offset if each.ar_id == ar_id else 0
            for number in range(begin, each.size if each.ar_id >= ar_id else 0):
                if not self._is_taken(network, (each.ar_id, number)):
                    self.lease_cursor[network.network_id] = (each.ar_id, number)
                    return each.ar_id, number
        raise AssertionError("there has to be a free address")

    def _is_taken(self, network: Network, address: tuple[int, int]) -> bool:
        return f"{network.network_id}.{address[0]}.{address[1]}" in self.leases

    @property
    def fleet(self) -> Fleet:
        """The hosts and what is on them, as the scheduler's columns."""
        return self.placement.fleet

    def claims(self, vm: VmRecord) -> tuple[HostId, ...]:
        """Return the hosts whose capacity the VM takes: where it is and where it goes."""
        return claims(vm)


_Record = TypeVar("_Record", bound=Record)

#: Kinds whose keys are numbers that count up.
_NUMBERED = frozenset({"acl", "cluster", "host", "image", "network", "operation", "template", "vm"})
#: ``{kind: its number}`` for those whose keys are names.
_NUMBERS = {"user": "user_id", "group": "group_id", "datastore": "datastore_id"}


def _index_name(names: str, key: str) -> Callable[[Cluster, Any, Any], None]:
    def index(cluster: Cluster, old: Any, new: Any) -> None:  # noqa: ANN401 - three kinds of record have a name
        by_name = getattr(cluster, names)
        if old is not None and (new is None or new.name != old.name):
            by_name.pop(old.name, None)
        if new is not None:
            by_name[new.name] = getattr(new, key)

    return index


def _either(old: _Record | None, new: _Record | None) -> _Record:
    """Return the record that a change is of, as it is now or as it was last."""
    record = new if new is not None else old
    assert record is not None, "a change is of some record"
    return record


def _is_done(record: Record) -> bool:
    return isinstance(record, VmRecord) and record.state is VmState.DONE


def _index_number(names: str, key: str) -> Callable[[Cluster, Any, Any], None]:
    def index(cluster: Cluster, old: Any, new: Any) -> None:  # noqa: ANN401 - several kinds of record have both
        by_number = getattr(cluster, names)
        if old is not None and new is None:
            by_number.pop(getattr(old, key), None)
        if new is not None:
            by_number[getattr(new, key)] = new.name

    return index


_index_host_name = _index_name("host_ids", "host_id")
_index_image_name = _index_name("image_ids", "image_id")
_index_network_name = _index_name("network_ids", "network_id")


def _index_host(cluster: Cluster, old: Host | None, new: Host | None) -> None:
    _index_host_name(cluster, old, new)
    if old is not None and old.public_key:
        cluster.host_of_key.pop(old.public_key, None)
    if new is not None and new.public_key:
        cluster.host_of_key[new.public_key] = new.host_id
    if new is not None:
        _note_hope(cluster, old, new)
    if new is not None and new.failures is not None and new.failures.banned_until_s > 0:
        cluster.banned.add(new.host_id)
    else:
        cluster.banned.discard(_either(old, new).host_id)
    if old is not None and new is None:
        for told in (cluster.heard_at_s, cluster.load, cluster.bettered, cluster.hoped_at_s):
            told.pop(old.host_id, None)
        for said in (cluster.nonsense, cluster.nonsense_told_at_s):
            said.pop(old.host_id, None)
        cluster.samples.forget_host(old.host_id)


def _note_hope(cluster: Cluster, old: Host | None, new: Host) -> None:
    """Note where a VM that fitted nowhere might fit there now."""
    if not new.connected:
        return
    if old is None or hopes.people_gave_hope(old, new):
        cluster.freed = True
    elif hopes.is_better(old.advertisement, new.advertisement):
        cluster.bettered[new.host_id] = None


def _index_image(cluster: Cluster, old: Image | None, new: Image | None) -> None:
    _index_image_name(cluster, old, new)
    kept = new.operation_id if new is not None else None
    if old is not None and old.operation_id is not None and old.operation_id != kept:
        _forget_ended(cluster, old.operation_id)


def _index_network(cluster: Cluster, old: Network | None, new: Network | None) -> None:
    _index_network_name(cluster, old, new)
    _note_clusters(cluster, old, new)
    if old is not None and (new is None or new.ranges != old.ranges):
        # Addresses come and go with ranges: the search begins anew.
        cluster.given_back.pop(old.network_id, None)
        cluster.lease_cursor.pop(old.network_id, None)


def _note_clusters(cluster: Cluster, old: Network | Datastore | None, new: Network | Datastore | None) -> None:
    """Let those who wait hope where something came into a cluster, or left one."""
    if old is not None and new is not None and old.clusters != new.clusters:
        cluster.freed = True


_index_datastore_number = _index_number("datastore_names", "datastore_id")
_index_cluster_name = _index_name("cluster_ids", "cluster_id")


def _index_datastore(cluster: Cluster, old: Datastore | None, new: Datastore | None) -> None:
    _index_datastore_number(cluster, old, new)
    _note_clusters(cluster, old, new)


def _index_cluster(cluster: Cluster, old: ClusterRecord | None, new: ClusterRecord | None) -> None:
    _index_cluster_name(cluster, old, new)
    if old is not None and new is not None and (old.name, old.allowances) != (new.name, new.allowances):
        # Requirements may name it; and it decides how much of its hosts may be given away.
        cluster.freed = True


_index_user_number = _index_number("user_names", "user_id")


def _index_user(cluster: Cluster, old: User | None, new: User | None) -> None:
    _index_user_number(cluster, old, new)
    for token in old.tokens if old is not None else ():
        cluster.user_of_token.pop(token.token_sha256, None)
    if new is not None:
        for token in new.tokens:
            cluster.user_of_token[token.token_sha256] = new.name


def _index_history(cluster: Cluster, old: HistoryRecord | None, new: HistoryRecord | None) -> None:
    vm_id = _either(old, new).vm_id
    if vm_id not in cluster.vms:
        return
    others = [each for each in cluster.history_of.get(vm_id, ()) if old is None or each.seq != old.seq]
    if new is not None:
        others.append(new)
    cluster.history_of[vm_id] = tuple(sorted(others, key=lambda each: each.seq))


def _index_lease(cluster: Cluster, old: AddressLease | None, new: AddressLease | None) -> None:
    for lease, sign in ((old, -1), (new, 1)):
        if lease is None:
            continue
        cluster.lease_count[lease.network_id] = cluster.lease_count.get(lease.network_id, 0) + sign
        if sign < 0 and (address := (lease.range_index, lease.offset)) < cluster.lease_cursor.get(
            lease.network_id, (0, 0)
        ):
            heapq.heappush(cluster.given_back.setdefault(lease.network_id, []), address)
        if lease.vm_id is None:
            continue
        mine = cluster.leases_of.setdefault(lease.vm_id, set())
        if sign < 0:
            mine.discard(lease.lease_id)
            if not mine:
                del cluster.leases_of[lease.vm_id]
        else:
            mine.add(lease.lease_id)


def _index_operation(cluster: Cluster, old: Operation | None, new: Operation | None) -> None:
    if new is not None and new.status in UNFINISHED:
        cluster.running[new.operation_id] = None
        return
    operation_id = _either(old, new).operation_id
    cluster.running.pop(operation_id, None)
    cluster.progress.pop(operation_id, None)


def image_ids_of(vm: VmRecord) -> set[ImageId]:
    """Return the images that the VM has, as disks or to boot from; none once it is DONE."""
    if _is_done(vm):
        return set()
    return {ref.image_id for ref in vm.spec.images}


def _count_images(cluster: Cluster, old: VmRecord | None, new: VmRecord | None) -> None:
    if old is not None and new is not None and old.spec is new.spec and _is_done(old) == _is_done(new):
        return
    had, has = image_ids_of(old) if old is not None else set(), image_ids_of(new) if new is not None else set()
    vm_id = _either(old, new).vm_id
    for image_id in had - has:
        users = cluster.vms_of_image[image_id]
        users.discard(vm_id)
        if not users:
            del cluster.vms_of_image[image_id]
    for image_id in has - had:
        cluster.vms_of_image.setdefault(image_id, set()).add(vm_id)


def _index_vm(cluster: Cluster, old: VmRecord | None, new: VmRecord | None) -> None:
    _count_images(cluster, old, new)
    if old is None or new is None or _takes(cluster, old) != _takes(cluster, new):
        if old is not None:
            _count_vm(cluster, old, -1)
        if new is not None:
            _count_vm(cluster, new, 1)
    if old is not None:
        _forget_operation(cluster, old, new)
    vm_id = _either(old, new).vm_id
    if new is not None and new.state is VmState.PENDING:
        if vm_id not in cluster.pending:
            cluster.pending[vm_id] = cluster.unconsidered[vm_id] = None
        elif old is not None and (old.requirements, old.rank, old.wishes) != (new.requirements, new.rank, new.wishes):
            cluster.unconsidered[vm_id] = None
    else:
        cluster.pending.pop(vm_id, None)
        cluster.unconsidered.pop(vm_id, None)
        cluster.waits.pop(vm_id, None)
    if old is not None and new is not None and old.owner != new.owner:
        # Owners have limits and shares.
        cluster.freed = True
    _index_waits(cluster, old, new)
    _follow_departure(cluster, old, new)


def _follow_departure(cluster: Cluster, old: VmRecord | None, new: VmRecord | None) -> None:
    """Let go of what is only known of live VMs; the stays come back where the turn that ended the VM is taken back."""
    vm_id = _either(old, new).vm_id
    if new is None or _is_done(new):
        cluster.observed.pop(vm_id, None)
        cluster.samples.forget_guest(vm_id)
        if stays := cluster.history_of.pop(vm_id, ()):
            cluster.departed[vm_id] = stays
        for stay in stays:
            cluster.history_records.pop(stay.history_id, None)
    elif old is not None and _is_done(old) and (stays := cluster.departed.pop(vm_id, ())):
        cluster.history_of[vm_id] = stays
        cluster.history_records |= {stay.history_id: stay for stay in stays}


def _index_waits(cluster: Cluster, old: VmRecord | None, new: VmRecord | None) -> None:
    vm_id = _either(old, new).vm_id
    if new is not None and new.state is VmState.HOLD:
        cluster.held.add(vm_id)
    else:
        cluster.held.discard(vm_id)
    if new is not None and new.resched and new.state is not VmState.DONE:
        cluster.rescheduled[vm_id] = None
    elif old is not None and old.resched:
        cluster.rescheduled.pop(vm_id, None)
    if new is not None and new.scheduled and (old is None or old.scheduled is not new.scheduled):
        due_s = schedule.next_due(new.scheduled)
        if due_s is not None:
            heapq.heappush(cluster.due, (due_s, vm_id))


def _takes(cluster: Cluster, vm: VmRecord) -> tuple[object, ...]:
    """Return all that ``_count_vm`` counts of a VM."""
    gone = vm.state is VmState.DONE
    return (
        cluster.claims(vm),
        vm.spec.cpu_cores,
        vm.spec.memory_mib,
        vm.host_id,
        vm.destination_id,
        vm.sealed_on,
        gone,
    )


def _count_vm(cluster: Cluster, vm: VmRecord, sign: int) -> None:
    for claimed in cluster.claims(vm):
        used = cluster.used.get(claimed, Capacity())
        cluster.used[claimed] = Capacity(
            cpu_cores=round(used.cpu_cores + sign * vm.spec.cpu_cores, 6),
            memory_mib=used.memory_mib + sign * vm.spec.memory_mib,
        )
        cluster.freed = cluster.freed or sign < 0
    if vm.state is VmState.DONE:
        return
    for host_id in (vm.host_id, vm.destination_id, vm.sealed_on):
        if host_id is None:
            continue
        on_host = cluster.vms_on.setdefault(host_id, set())
        if sign > 0:
            on_host.add(vm.vm_id)
        else:
            on_host.discard(vm.vm_id)


def _forget_operation(cluster: Cluster, old: VmRecord, new: VmRecord | None) -> None:
    """Drop an ended operation from memory once its VM has a newer one or is gone; the store keeps it."""
    kept = {new.operation_id, new.last_operation_id} if new is not None and not _is_done(new) else set()
    for operation_id in {old.operation_id, old.last_operation_id} - kept:
        if operation_id is not None:
            _forget_ended(cluster, operation_id)


def _forget_ended(cluster: Cluster, operation_id: OperationId) -> None:
    operation = cluster.operations.get(operation_id)
    if operation is not None and operation.status not in UNFINISHED:
        del cluster.operations[operation_id]


_INDEXES: dict[str, Callable[[Cluster, Any, Any], None]] = {
    "user": _index_user,
    "group": _index_number("group_names", "group_id"),
    "datastore": _index_datastore,
    "template": _index_name("template_ids", "template_id"),
    "cluster": _index_cluster,
    "history": _index_history,
    "host": _index_host,
    "image": _index_image,
    "network": _index_network,
    "lease": _index_lease,
    "operation": _index_operation,
    "vm": _index_vm,
}


def changed_fields(old: Record | None, new: Record | None) -> dict[str, object] | None:
    """Return the fields of ``new`` that differ from ``old``, all of them where there was none, None for a deletion."""
    if new is None:
        return None
    if old is None:
        return {name: value for name in new.__struct_fields__ if (value := getattr(new, name)) is not None}
    return {name: getattr(new, name) for name in new.__struct_fields__ if getattr(new, name) != getattr(old, name)}


def tell_again(kind: str, old: Record | None, fields: dict[str, object] | None) -> Record | None:
    """Return the record after a logged change: the inverse of ``changed_fields`` over plain values."""
    if fields is None:
        return None
    values = {**(msgspec.to_builtins(old) if old is not None else {}), **fields}
    return msgspec.convert(values, type=KINDS[kind].record, strict=False)

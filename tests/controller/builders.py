"""Builders of the pure controller's tests: a reactor with hosts, images, networks and VMs in any state.

Plain functions; what a test needs otherwise it says in the call. Nothing here asserts.
"""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import (
    AddressLease,
    AddressRange,
    Host,
    HostState,
    Image,
    ImageState,
    LoginToken,
    Network,
    Operation,
    Plan,
    Record,
    User,
    VmRecord,
)
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import AgentMessage, ControllerMessage, LegEnded, LegStatus
from innkeeper_plugins.steps import Seal, Step, script_line
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    DiskFormat,
    DriverFacts,
    DriverKind,
    Holder,
    HostId,
    ImageId,
    OperationId,
    Outcome,
    SealedFile,
    VmId,
    VmState,
)

NOW_S = 1_000.0
ADMIN = User(name="root", user_id=0, groups=("oneadmin",), tokens=(LoginToken(token_sha256="aa"),))
ANN = User(name="ann", user_id=2, groups=("users",), tokens=(LoginToken(token_sha256="bb"),))
BOB = User(name="bob", user_id=3, groups=("users",), tokens=(LoginToken(token_sha256="cc"),))
MIB = 1024 * 1024
TEMPLATE = 'NAME = web\nCPU = 1\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\nNIC = [ NETWORK = "lan" ]\n'
#: Nothing but a guest: no disk, no network.
BARE = "NAME = bare\nCPU = 1\nMEMORY = 512\n"
SETTINGS = Settings(
    cluster_id="6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    public_key="0" * 40,
    holder=Holder(endpoint="tcp://controller:1", public_key="C" * 40),
    shutdown_grace_s=5,
)
UNSHARED = ("live",)
SHARED = ("shared", "live")


def digest(letter: str) -> Digest:
    """Return a digest that reads well."""
    return Digest(letter * 64)


def drivers(*, transfer: Iterable[str] = ("qcow2",), abilities: Iterable[str] = UNSHARED) -> tuple[DriverFacts, ...]:
    """Return transfer drivers with those abilities, and a hypervisor that can do all."""
    return (
        *(DriverFacts(kind=DriverKind.TRANSFER, name=name, capabilities=tuple(abilities)) for name in transfer),
        DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated", capabilities=("console", "save", "migrate")),
    )


def holder_of(name: str) -> Holder:
    """Return where others fetch from that host."""
    return Holder(endpoint=f"tcp://{name}:1", public_key=name)


def a_host(
    host_id: int = 1,
    *,
    connected: bool = True,
    state: HostState = HostState.ON,
    cpu_cores: float = 8.0,
    memory_mib: int = 16384,
    images: Iterable[Digest] = (),
    has: tuple[DriverFacts, ...] = (),
    datastores: Iterable[str] = ("default",),
    bridges: tuple[str, ...] = (),
    migration_uri: str = "",
) -> Host:
    """Return host ``h1``, ``h2``... as it is once its agent has spoken."""
    name = f"h{host_id}"
    return Host(
        host_id=HostId(host_id),
        name=name,
        state=state,
        connected=connected,
        lost_at_s=None if connected else NOW_S,
        public_key=name,
        advertisement=Advertisement(
            capacity=Capacity(cpu_cores=cpu_cores, memory_mib=memory_mib),
            drivers=has or drivers(),
            datastores=tuple(DatastoreFacts(name=each, total_mib=100_000, free_mib=50_000) for each in datastores),
            bridges=bridges,
            images=tuple(images),
            holder=holder_of(name),
            facts={"MIGRATION_URI": migration_uri or f"sim://{name}"},
        ),
    )


def an_image(image_id: int = 0, name: str = "tiny", **values: Any) -> Image:
    """Return a READY image of ann's that all may use, with host 1 for its home and digest ``eee...``."""
    made = Image(
        image_id=ImageId(image_id),
        name=name,
        datastore="default",
        owner="ann",
        group="users",
        mode=0o644,
        state=ImageState.READY,
        format=DiskFormat.QCOW2,
        sha256=digest("e"),
        size_bytes=10 * MIB,
        virtual_size_bytes=100 * MIB,
        home=HostId(1),
    )
    return msgspec.structs.replace(made, **values)


def a_network(network_id: int = 0, name: str = "lan", *, size: int = 10, **values: Any) -> Network:
    """Return a network of ann's with one range from 10.0.0.1 on."""
    made = Network(
        network_id=network_id,
        name=name,
        owner="ann",
        group="users",
        ranges=(AddressRange(size=size, ip=f"10.0.{network_id}.1"),),
    )
    return msgspec.structs.replace(made, **values)


def a_reactor(*records: Record, **settings: Any) -> Reactor:
    """Return a reactor that has begun, with its three users and these records."""
    reactor = Reactor(Cluster(), msgspec.structs.replace(SETTINGS, **settings), lambda count: b"\7" * count)
    reactor.started(NOW_S)
    put(reactor, ADMIN, ANN, BOB, *records)
    return reactor


def a_site(hosts: int = 2, **settings: Any) -> Reactor:
    """Return a reactor with hosts that hold the image ``tiny`` and with the network ``lan``."""
    numbered = (a_host(number, images=[digest("e")]) for number in range(1, hosts + 1))
    return a_reactor(*numbered, an_image(), a_network(), **settings)


def turn_of(reactor: Reactor, *, user: User | None = ADMIN, now_s: float = NOW_S) -> Turn:
    """Return an open turn, for what is called without a request."""
    return Turn(
        reactor.cluster,
        reactor.settings,
        now_s,
        user.name if user else "controller",
        user=user,
        entropy=lambda count: b"\7" * count,
    )


def put(reactor: Reactor, *records: Record) -> None:
    """Let the records be as they are given."""
    turn = turn_of(reactor)
    for record in records:
        turn.put(record)


def change(reactor: Reactor, record: Any, **values: Any) -> Any:
    """Change a record's values and return it."""
    changed = msgspec.structs.replace(record, **values)
    put(reactor, changed)
    return changed


def ask_turn(
    reactor: Reactor, name: str, /, *, user: User | None = ADMIN, now_s: float = NOW_S, **params: Any
) -> tuple[Turn, Any]:
    """Ask as a client would and return the turn with the answer."""
    converted = msgspec.convert(params, type=REQUESTS[name].params)
    return reactor.request(name, converted, user=user, request_id="r1", now_s=now_s)


def ask(reactor: Reactor, name: str, /, *, user: User | None = ADMIN, now_s: float = NOW_S, **params: Any) -> Any:
    """Ask as a client would and return the answer."""
    return ask_turn(reactor, name, user=user, now_s=now_s, **params)[1]


def ask_with(
    reactor: Reactor, name: str, params: dict[str, Any], *, user: User | None = ADMIN, now_s: float = NOW_S
) -> Any:
    """Ask with parameters that may be called as ours are: ``user``."""
    converted = msgspec.convert(params, type=REQUESTS[name].params)
    return reactor.request(name, converted, user=user, request_id="r1", now_s=now_s)[1]


def refusal(act: Callable[[], object]) -> RefusalError | None:
    """Return the refusal that the act ends in, None where it is not refused."""
    try:
        act()
    except RefusalError as error:
        return error
    return None


def submit(reactor: Reactor, template: str = TEMPLATE, *, user: User = ANN, **params: Any) -> VmRecord:
    """Submit VMs in HOLD, where no scheduler touches them, and return the last."""
    answer = ask(reactor, "vm.submit", user=user, template=template, **{"hold": True, **params})
    return reactor.cluster.vms[answer.vm_ids[-1]]


#: Where a VM is in a state, as a rest there leaves it.
_WITHOUT_HOST = {VmState.PENDING, VmState.HOLD}
_SEALED = {VmState.STOPPED, VmState.UNDEPLOYED}
SEALED_DISK = SealedFile(name="disk.0", sha256=digest("d"), size_bytes=5, datastore="default")


def a_vm(
    reactor: Reactor, state: VmState = VmState.RUNNING, *, host_id: int = 1, template: str = TEMPLATE, **values: Any
) -> VmRecord:
    """Return a VM of ann's at rest in that state, on the host where the state has one."""
    vm = submit(reactor, template)
    if state not in _WITHOUT_HOST:
        vm = msgspec.structs.replace(
            vm, spec=msgspec.structs.replace(vm.spec, hypervisor=vm.spec.hypervisor or "simulated", generation=1)
        )
    if state in _SEALED:
        vm = msgspec.structs.replace(vm, sealed=(SEALED_DISK,), sealed_on=HostId(host_id))
    elif state not in _WITHOUT_HOST:
        vm = msgspec.structs.replace(vm, host_id=HostId(host_id))
    saved = state in {VmState.SUSPENDED, VmState.STOPPED}
    vm = msgspec.structs.replace(vm, state=state, saved=saved, **values)
    put(reactor, vm)
    return vm


def now(reactor: Reactor, vm: VmRecord) -> VmRecord:
    """Return the VM as it is by now."""
    return reactor.cluster.vms[vm.vm_id]


def operation_of(reactor: Reactor, vm: VmRecord) -> Operation:
    """Return the VM's operation in progress, or its last one."""
    current = now(reactor, vm)
    return reactor.cluster.operations[current.operation_id or current.last_operation_id or OperationId("")]


def say(reactor: Reactor, host_id: int, message: AgentMessage, *, now_s: float = NOW_S) -> Turn:
    """Let a host say something."""
    return reactor.message(HostId(host_id), message, now_s)


def outcome_of(code: str = "", **values: Any) -> Outcome:
    """Return how a step ended: well without a code."""
    return Outcome(ok=not code, code=code, message=f"it says {code}" if code else "", **values)


def sealed_result(*files: SealedFile) -> dict[str, str]:
    """Return what a ``seal`` step finds out."""
    return {"files": json.dumps([msgspec.to_builtins(each) for each in files])}


def _found_out(operation: Operation, step: Step) -> dict[str, Any]:
    if not isinstance(step, Seal):
        return {}
    return sealed_result(*((SEALED_DISK,) if operation.vm is not None and operation.vm.disks else ()))


def leg_ended(
    operation: Operation,
    status: LegStatus = LegStatus.DONE,
    *,
    leg: int | None = None,
    undo: bool | None = None,
    results: dict[int, dict[str, Any]] | None = None,
    outcomes: dict[int, Outcome] | None = None,
    reason: str = "",
) -> LegEnded:
    """Return the report that a leg has ended, by default the operation's present one, all its steps well.

    A ``seal`` has found one disk where the VM has any.
    """
    number = operation.leg if leg is None else leg
    steps = operation.plan.legs[number].steps if number < len(operation.plan.legs) else ()
    found = {step.step_id: _found_out(operation, step) for step in steps} | (results or {})
    well = {step.step_id: Outcome(ok=True, result=found[step.step_id]) for step in steps}
    return LegEnded(
        operation_id=operation.operation_id,
        leg=number,
        undo=operation.status.value == "undoing" if undo is None else undo,
        status=status,
        outcomes=well if outcomes is None else outcomes,
        reason=reason,
    )


def end_leg(reactor: Reactor, vm: VmRecord, status: LegStatus = LegStatus.DONE, **report: Any) -> Turn:
    """Let the host of the VM's present leg report its end."""
    operation = operation_of(reactor, vm)
    host_id = operation.plan.legs[operation.leg].host_id
    return say(reactor, host_id, leg_ended(operation, status, **report))


def finish(reactor: Reactor, vm: VmRecord) -> VmRecord | None:
    """Let every leg of the VM's operation end well; return the VM, None where it is DONE."""
    while (current := reactor.cluster.vms.get(vm.vm_id)) is not None and current.operation_id is not None:
        end_leg(reactor, vm)
    return current


def script(plan: Plan) -> list[tuple[int, list[str]]]:
    """Return the plan as people read it: host and lines of each leg."""
    return [(int(leg.host_id), [script_line(step) for step in leg.steps]) for leg in plan.legs]


def lines(plan: Plan) -> list[str]:
    """Return the lines of a plan of one leg."""
    ((_, found),) = script(plan)
    return found


def sent(turn: Turn) -> list[tuple[int, ControllerMessage]]:
    """Return what the turn sends."""
    return [(int(host_id), message) for host_id, message in turn.sends]


def told(turn: Turn) -> list[tuple[str, str]]:
    """Return what the turn tells: what happened, to what."""
    return [(event.what, event.subject) for event in turn.events]


def a_lease(network: Network, offset: int, vm_id: int | None = None, **values: Any) -> AddressLease:
    """Return a lease of the network's first range that nobody took through the front door."""
    made = AddressLease(
        network_id=network.network_id,
        range_index=0,
        offset=offset,
        mac=f"02:00:0a:00:00:{offset + 1:02x}",
        ip=f"10.0.0.{offset + 1}",
        vm_id=None if vm_id is None else VmId(vm_id),
        nic_id=None if vm_id is None else 0,
    )
    return msgspec.structs.replace(made, **values)


#: What a refused turn may leave otherwise: what is looked at again costs time only.
_MAY_DIFFER = frozenset({"waits", "freed", "given_back", "lease_cursor", "heard_at_s", "bettered", "hoped_at_s"})
#: Where nothing is as good as no entry.
_SUMS = frozenset({"used", "lease_count", "vms_on"})


def picture(cluster: Cluster) -> dict[str, Any]:
    """Return all records and indexes, to be compared with a later picture."""
    kept = [field.name for field in fields(cluster) if field.name not in _MAY_DIFFER]
    return {name: _copied(getattr(cluster, name), sums=name in _SUMS) for name in kept}


def _copied(table: Any, *, sums: bool) -> Any:
    if isinstance(table, dict):
        return {key: copy.copy(value) for key, value in table.items() if not (sums and value in (0, set(), Capacity()))}
    return copy.copy(table)

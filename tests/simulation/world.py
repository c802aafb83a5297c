"""A whole cluster in one process under a virtual clock: one controller, many agents, a network that cannot be trusted.

Everything comes from one seed. Messages get lost, late, doubled and overtaken; controller and agents crash at every
point where something has just become durable, or just not. The hosts' hypervisors and disks are a few sets that
outlive their agents.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from tests.simulation.machine import Machine, act

from innkeeper_controller import verify
from innkeeper_controller.cluster import Cluster, Put, changed_fields, tell_again
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import KIND_OF, KINDS, Host, HostState, Record, User, VmRecord
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.settings import CONTROLLER, Settings
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.effects import CancelStep, Reaction, RunStep, Send
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    Cancel,
    CarryOut,
    Confirm,
    Disown,
    Hello,
    ImagesChanged,
    LegEnded,
    Observed,
    Refused,
    Welcome,
)
from innkeeper_hostagent.protocol.wire import decode_agent_message, decode_controller_message, encode
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    DriverFacts,
    DriverKind,
    Holder,
    HostId,
    Observation,
    Outcome,
    PowerState,
    VmId,
)

ADMIN = User(name="oneadmin", user_id=0, groups=("oneadmin",))
DRIVERS = (
    DriverFacts(kind=DriverKind.TRANSFER, name="qcow2", capabilities=("live", "snapshot")),
    DriverFacts(
        kind=DriverKind.HYPERVISOR,
        name="simulated",
        capabilities=("console", "save", "migrate", "events", "hotplug", "snapshot", "resize"),
    ),
)


@dataclass(slots=True)
class Faults:
    """How bad the world is; all of them stop when ``World.heal`` is called."""

    loss: float = 0.05
    duplicate: float = 0.05
    max_delay_s: float = 0.5
    step_failure: float = 0.08
    #: Crashes a minute.
    controller_crashes: float = 1.0
    agent_crashes: float = 2.0


class World:
    """The cluster and its clock; ``run`` until a moment, then ``heal`` and ``settle``."""

    def __init__(self, seed: int, hosts: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.faults = faults or Faults()
        self.now_s = 1_000_000.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.log: list[tuple[str, object, dict[str, object] | None]] = []
        self.durable: dict[tuple[str, object], Record] = {}
        self.last_ids: dict[str, int] = {}
        self.acknowledged: list[int] = []
        self.machines = {HostId(n): Machine(HostId(n), f"h{n}") for n in range(1, hosts + 1)}
        self.links: dict[HostId, int] = {}
        self.arrivals: dict[int, float] = {}
        self.controller = Controller(self)
        self.agents: dict[HostId, Agent] = {}
        self._enrol()
        for machine in self.machines.values():
            self.agents[machine.host_id] = Agent(self, machine)
            self.agents[machine.host_id].dial()
        self._every(1.0, self._tick)
        self._every(2.0, self._break_something)

    def _enrol(self) -> None:
        turn = self.controller.reactor.started(self.now_s)
        turn.put(ADMIN)
        for machine in self.machines.values():
            turn.put(Host(host_id=machine.host_id, name=machine.name, state=HostState.ON, public_key=machine.name))
        self.controller.commit(turn)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), act))

    def _every(self, interval_s: float, act: Callable[[], None]) -> None:
        def again() -> None:
            act()
            self.later(interval_s, again)

        self.later(interval_s, again)

    def run(self, duration_s: float) -> None:
        """Let that much time pass; the safety of the world is checked after every event."""
        end_s = self.now_s + duration_s
        while self._queue and self._queue[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._queue)
            act()
            self.check_safety()
        self.now_s = end_s

    def heal(self) -> None:
        """Let all faults stop."""
        self.faults = Faults(0.0, 0.0, 0.05, 0.0, 0.0, 0.0)

    def check_safety(self) -> None:
        """Check what must hold at every moment."""
        alive: dict[VmId, list[str]] = {}
        for machine in self.machines.values():
            for vm_id, guest in machine.guests.items():
                if guest.power is PowerState.RUNNING:
                    alive.setdefault(vm_id, []).append(machine.name)
        double = {vm_id: names for vm_id, names in alive.items() if len(names) > 1}
        assert not double, f"seed {self.seed}: VMs run twice: {double}"
        found = verify.findings(self.controller.reactor.cluster)
        assert not found, f"seed {self.seed}: {found}"

    def replayed(self) -> Cluster:
        """Return the state told again from the log of changes."""
        told: dict[tuple[str, object], Record] = {}
        for kind, key, fields in self.log:
            record = tell_again(kind, told.get((kind, key)), fields)
            if record is None:
                told.pop((kind, key), None)
            else:
                told[kind, key] = record
        return rebuilt(told, self.last_ids)

    def _tick(self) -> None:
        self.controller.turn(lambda reactor: reactor.tick(self.now_s))

    def _break_something(self) -> None:
        if self.random.random() < self.faults.controller_crashes / 30:
            self.controller.crash()
        if self.random.random() < self.faults.agent_crashes / 30:
            self.random.choice(list(self.agents.values())).crash()

    def travel(self, host_id: HostId, arrive: Callable[[], None], *, in_order: bool) -> None:
        """Carry a message over the network as it is: lost (then the connection breaks), doubled, late.

        Agents speak in order, as their session does; orders to them may overtake each other as well.
        """
        link = self.links.get(host_id)

        def deliver() -> None:
            if self.links.get(host_id) == link is not None:
                arrive()

        if self.random.random() < self.faults.loss:
            self.later(self.random.uniform(0, 3), lambda: self.agents[host_id].hang_up(link))
            return
        for _ in range(2 if self.random.random() < self.faults.duplicate else 1):
            delay_s = self.random.uniform(0.001, self.faults.max_delay_s)
            if in_order and link is not None:
                arrives_s = max(self.now_s + delay_s, self.arrivals.get(link, 0.0) + 1e-6)
                self.arrivals[link] = arrives_s
                delay_s = arrives_s - self.now_s
            self.later(delay_s, deliver)


def rebuilt(records: dict[tuple[str, object], Record], last_ids: dict[str, int]) -> Cluster:
    """Return a cluster filled with these records, in the order of their kinds."""
    cluster = Cluster()
    order = list(KINDS)
    by_kind = sorted(records.values(), key=lambda record: order.index(KIND_OF[type(record)]))
    cluster.load_records(by_kind, dict(last_ids))
    return cluster


class Controller:
    """The controller's shell, durable in a dict: a crash forgets what was not committed and sends nothing of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epoch = 0
        self.reactor = self._born()

    def _born(self) -> Reactor:
        settings = Settings(cluster_id="6ba7b810-9dad-11d1-80b4-00c04fd430c8", unknown_after_s=5.0, shutdown_grace_s=5)
        return Reactor(rebuilt(self.world.durable, self.world.last_ids), settings, bytes)

    def crash(self) -> None:
        """Lose everything that is not durable, and start again."""
        self.epoch += 1
        self.world.links.clear()
        self.reactor = self._born()
        self.commit(self.reactor.started(self.world.now_s))
        for agent in self.world.agents.values():
            agent.hang_up(None)

    def turn(self, react: Callable[[Reactor], Turn]) -> None:
        """React, let the scheduler run, and make both durable before anything is sent."""
        epoch = self.epoch
        turns = [react(self.reactor), self.reactor.schedule(self.world.now_s)]
        if self.world.random.random() < self.world.faults.controller_crashes / 500:
            self.crash()
            return
        for turn in turns:
            self.commit(turn)
        if self.world.random.random() < self.world.faults.controller_crashes / 500:
            self.crash()
            return
        assert epoch == self.epoch
        for turn in turns:
            for host_id, message in turn.sends:
                self.send(host_id, encode(message))

    def commit(self, turn: Turn) -> None:
        """Make a turn durable: the records, and the log of what changed."""
        for change in turn.changes:
            self._write(change)
        self.world.last_ids.update(self.reactor.cluster.last_ids)

    def _write(self, change: Put) -> None:
        fields = msgspec.json.decode(msgspec.json.encode(changed_fields(change.old, change.new)))
        self.world.log.append((change.kind, change.key, fields))
        if change.new is None:
            self.world.durable.pop((change.kind, change.key), None)
        else:
            self.world.durable[change.kind, change.key] = change.new

    def send(self, host_id: HostId, data: bytes) -> None:
        """Put a message on the wire."""
        if host_id == CONTROLLER or host_id not in self.world.links:
            return
        agent = self.world.agents[host_id]
        self.world.travel(host_id, lambda: agent.receive(data), in_order=False)

    def request(self, name: str, /, **params: object) -> object | None:
        """Ask as a client would; None where it was refused or the controller crashed before it could answer."""
        request = REQUESTS[name]
        answers: list[object] = []

        def react(reactor: Reactor) -> Turn:
            converted = msgspec.convert(params, type=request.params)
            try:
                turn, answer = reactor.request(
                    name, converted, user=ADMIN, request_id=f"r{next(self.world._order)}", now_s=self.world.now_s
                )
            except RefusalError:
                return Turn(reactor.cluster, reactor.settings, self.world.now_s, "nobody")
            answers.append(answer)
            return turn

        epoch = self.epoch
        self.turn(react)
        return answers[0] if answers and epoch == self.epoch else None


class Agent:
    """An agent's shell over a machine; a crash forgets all but the machine."""

    def __init__(self, world: World, machine: Machine) -> None:
        self.world = world
        self.machine = machine
        self.born()

    def born(self) -> None:
        """Start, and go on with what the journal tells."""
        self.alive = True
        self.epoch = next(self.world._order)
        self.cancelled: set[tuple[object, int, int]] = set()
        self.executor = Executor(DRIVERS)
        reaction = self.executor.recover(tuple(self.machine.journal), self.world.now_s)
        self.carry_out(reaction)

    def crash(self) -> None:
        """Die now, come back later."""
        self.alive = False
        self.epoch = next(self.world._order)
        self.hang_up(self.world.links.get(self.machine.host_id))
        self.world.later(self.world.random.uniform(0.1, 4.0), self.born)

    def dial(self) -> None:
        """Connect: hello, welcome, then everything that the controller has to know."""
        host_id = self.machine.host_id
        if host_id in self.world.links or not self.alive:
            self.world.later(0.5, self.dial) if not self.alive else None
            return
        self.world.links[host_id] = next(self.world._order)
        hello = Hello(
            major=1, minor=0, agent_version="sim", host_name=self.machine.name, operations=self.executor.unconfirmed()
        )

        def connect(reactor: Reactor) -> Turn:
            turn, answer = reactor.connected(host_id, hello, self.world.now_s)
            if isinstance(answer, Welcome):
                turn.sends.insert(0, (host_id, Confirm(operations=answer.confirmed)))
            assert not isinstance(answer, Refused)
            return turn

        self.world.controller.turn(connect)
        self.tell(Advertise(advertisement=self.advertisement()))
        self.tell(Observed(guests=self.observations(), complete=True))
        for answer in self.executor.answers():
            self.tell(answer)

    def hang_up(self, link: int | None) -> None:
        """Lose the connection, if it is still that one, and dial again."""
        host_id = self.machine.host_id
        current = self.world.links.get(host_id)
        if link is not None and current != link:
            return
        if current is not None:
            del self.world.links[host_id]
            self.world.controller.turn(lambda reactor: reactor.lost(host_id, self.world.now_s))
        self.world.later(self.world.random.uniform(0.1, 1.0), self.dial)

    def advertisement(self) -> Advertisement:
        """Say what the machine has."""
        return Advertisement(
            capacity=Capacity(cpu_cores=8.0, memory_mib=16384),
            drivers=DRIVERS,
            datastores=(DatastoreFacts(name="default", total_mib=100_000, free_mib=50_000),),
            images=tuple(map(Digest, sorted(self.machine.images))),
            holder=Holder(endpoint=f"tcp://{self.machine.name}:1", public_key=self.machine.name),
            facts={"MIGRATION_URI": f"sim://{self.machine.name}"},
        )

    def observations(self) -> tuple[Observation, ...]:
        """Say what the hypervisor says of guests that no operation is busy with."""
        busy = {subject.removeprefix("vm:") for subject in self.executor.ledger.busy}
        return tuple(
            Observation(vm_id=vm_id, generation=guest.generation, power=guest.power)
            for vm_id, guest in self.machine.guests.items()
            if str(vm_id) not in busy
        )

    def tell(self, message: object) -> None:
        """Send a message to the controller."""
        host_id = self.machine.host_id
        if host_id not in self.world.links:
            return
        data = encode(message)  # type: ignore[arg-type]

        def arrive() -> None:
            decoded = decode_agent_message(data)
            self.world.controller.turn(lambda reactor: reactor.message(host_id, decoded, self.world.now_s))

        self.world.travel(host_id, arrive, in_order=True)

    def receive(self, data: bytes) -> None:
        """React to a message of the controller."""
        if not self.alive:
            return
        message = decode_controller_message(data)
        match message:
            case CarryOut():
                self.carry_out(self.executor.on_carry_out(message, self.world.now_s))
            case Cancel():
                self.carry_out(self.executor.on_cancel(message.operation_id, self.world.now_s))
            case Confirm():
                self.carry_out(self.executor.on_confirm(message.operations))
            case Disown():
                self.carry_out(self.executor.on_disown(message, self.world.now_s))

    def carry_out(self, reaction: Reaction) -> None:
        """Persist, then act; a crash may come between any two."""
        rate = self.world.faults.agent_crashes / 500
        if self.world.random.random() < rate:
            self.crash()
            return
        self.machine.journal.extend(reaction.entries)
        for effect in reaction.effects:
            if self.world.random.random() < rate:
                self.crash()
                return
            if isinstance(effect, Send):
                self.tell(effect.message)
                if isinstance(effect.message, LegEnded):
                    self.tell(Observed(guests=self.observations(), complete=True))
            elif isinstance(effect, RunStep):
                self._begin(effect)
            elif isinstance(effect, CancelStep):
                self.cancelled.add((effect.operation_id, effect.leg, effect.step_id))

    def _begin(self, run: RunStep) -> None:
        epoch = self.epoch

        def end() -> None:
            if self.epoch != epoch:
                return
            outcome = self._perform(run)
            self.carry_out(self.executor.on_step_ended(run, outcome, self.world.now_s))

        self.world.later(self.world.random.uniform(0.01, 1.0), end)

    def _perform(self, run: RunStep) -> Outcome:
        if not run.undo and (run.operation_id, run.leg, run.step.step_id) in self.cancelled:
            return Outcome(ok=False, code="cancelled", message="cancelled")
        # A driver that has done its work before a crash may not fail when it is asked for the same again.
        acted = (run.operation_id, run.leg, run.step.step_id)
        may_fail = not run.undo and acted not in self.machine.done
        if may_fail and self.world.random.random() < self.world.faults.step_failure:
            return Outcome(
                ok=False, code="tool_failed", message="the simulated tool failed", argv=("tool",), exit_status=1
            )
        self.machine.done.add(acted)
        before = set(self.machine.images)
        outcome = act(self.world.machines, self.machine, run)
        if before != self.machine.images:
            added, removed = self.machine.images - before, before - self.machine.images
            self.tell(ImagesChanged(added=tuple(map(Digest, added)), removed=tuple(map(Digest, removed))))
        return outcome


def vm_records(world: World) -> dict[int, VmRecord]:
    """Return the live VMs by id."""
    return {int(vm_id): vm for vm_id, vm in world.controller.reactor.cluster.vms.items()}

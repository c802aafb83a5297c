"""The heart as a whole: every message is heard by somebody, and whatever is asked and said, the state stays sound."""

import os
import random
from typing import get_args

import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    BOB,
    NOW_S,
    SHARED,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_turn,
    digest,
    drivers,
    end_leg,
    leg_ended,
    outcome_of,
    picture,
    refusal,
    say,
    submit,
)

from innkeeper_controller import agents, verify
from innkeeper_controller.cluster import Cluster, changed_fields, tell_again
from innkeeper_controller.furniture import DATASTORES, DEFAULT_CLUSTER
from innkeeper_controller.lifecycle import AT_REST
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import KINDS
from innkeeper_controller.requests.table import Nothing
from innkeeper_controller.requests.vms import OneVm
from innkeeper_controller.turn import RefusalError
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    AgentMessage,
    CarryOut,
    ConsoleOutput,
    Hello,
    ImagesChanged,
    Join,
    LegStatus,
    Observed,
    StepStarted,
)
from innkeeper_plugins.vocabulary import Capacity, HostId, Observation, PowerState, VmState

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
WALKS = int(os.environ.get("INNKEEPER_WALKS", "6"))
HELLO = Hello(major=1, minor=0, agent_version="1", host_name="h")
#: Messages that never reach ``agents.HANDLERS``: the session's own, and the shell's.
ELSEWHERE = {Hello, Join, ConsoleOutput}


def test_every_message_of_an_agent_has_a_handler_or_is_the_shells():
    assert set(get_args(AgentMessage)) == set(agents.HANDLERS) | ELSEWHERE
    assert not set(agents.HANDLERS) & ELSEWHERE


def test_a_handler_is_called_after_its_message():
    tags = {kind: kind.__struct_config__.tag for kind in agents.HANDLERS}

    assert {kind: handler.__name__ for kind, handler in agents.HANDLERS.items()} == {
        kind: f"on_{tag}" for kind, tag in tags.items()
    }


def test_the_first_start_furnishes_and_a_later_one_does_not():
    reactor = Reactor(Cluster(), a_reactor().settings, bytes)
    first = reactor.started(NOW_S)
    ask(reactor, "host.add", name="x")
    ask(reactor, "datastore.delete", datastore="files")
    second = reactor.started(NOW_S)

    assert [change.new for change in first.changes if change.kind in {"datastore", "cluster"}] == [
        DEFAULT_CLUSTER,
        *DATASTORES,
    ]
    assert (second.changes, [event.what for event in second.events]) == ([], ["controller.started"])


def test_no_agent_is_there_when_the_controller_starts():
    reactor = a_reactor(a_host(1), a_host(2, connected=False))
    turn = reactor.started(NOW_S + 5)

    assert [(change.key, change.new.connected, change.new.lost_at_s) for change in turn.changes] == [
        (1, False, NOW_S + 5)
    ]
    assert [(event.what, event.detail) for event in turn.events] == [
        ("host.lost", {"why": "the controller started"}),
        ("controller.started", {}),
    ]


def test_a_refused_request_has_changed_nothing_even_half_way_through():
    reactor = a_site()
    before = picture(reactor.cluster)
    refused = refusal(lambda: submit(reactor, TEMPLATE, count=11))

    assert (refused.code, picture(reactor.cluster)) == ("no_address", before)


def test_a_request_that_breaks_is_taken_back_as_a_whole():
    """The token cannot be made with such a key, and by then the host has been made."""
    reactor = a_site(public_key="too short")
    before = picture(reactor.cluster)
    with pytest.raises(ValueError, match="public key"):
        ask(reactor, "host.add", name="web1")
    broken = picture(reactor.cluster)
    reactor.take_back()

    assert (broken == before, picture(reactor.cluster) == before) == (False, True)


def test_requests_of_nobody_are_refused_before_anything_else():
    reactor = a_site()
    with pytest.raises(RefusalError) as refused:
        reactor.request("vm.show", OneVm(vm_id=0), user=None, request_id="", now_s=NOW_S)

    assert refused.value.code == "unauthenticated"


def test_a_turn_has_its_moment_its_actor_and_its_request():
    reactor = a_site()
    turn, _ = reactor.request("system.status", Nothing(), user=ANN, request_id="r7", now_s=NOW_S + 1)

    assert (turn.now_s, turn.actor, turn.user, turn.request_id) == (NOW_S + 1, "ann", ANN, "r7")
    assert reactor.message(HostId(1), Observed(guests=()), NOW_S).actor == "host:1"
    assert (reactor.tick(NOW_S).actor, reactor.schedule(NOW_S).actor) == ("controller", "scheduler")


def test_an_idle_cluster_does_nothing_by_itself():
    reactor = a_site()
    a_vm(reactor)
    reactor.schedule(NOW_S)

    for turn in (reactor.tick(NOW_S + 1), reactor.schedule(NOW_S + 1)):
        assert (turn.changes, turn.events, turn.sends) == ([], [], [])


def test_an_end_that_was_asked_for_is_followed_in_the_name_of_who_asked():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id)
    turn = end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})

    assert [(event.what, event.actor) for event in turn.events] == [
        ("operation.cancelled", "host:1"),
        ("vm.state", "host:1"),
        ("operation.started", "ann"),
        ("vm.state", "ann"),
    ]
    assert turn.actor == "host:1"


# --- whatever is asked and said

VERBS = (
    ("vm.suspend", {}),
    ("vm.resume", {}),
    ("vm.stop", {}),
    ("vm.poweroff", {"hard": True}),
    ("vm.undeploy", {}),
    ("vm.reboot", {}),
    ("vm.shutdown", {}),
    ("vm.terminate", {}),
    ("vm.terminate", {"hard": True}),
    ("vm.migrate", {}),
    ("vm.migrate", {"live": True}),
    ("vm.recover", {"how": "retry"}),
    ("vm.recover", {"how": "rollback"}),
    ("vm.hold", {}),
    ("vm.release", {}),
    ("vm.cancel", {}),
)
#: How legs end, and how often.
ENDS = (LegStatus.DONE,) * 12 + (LegStatus.UNDONE, LegStatus.FAILED, LegStatus.CANCELLED, LegStatus.REFUSED)


class Walk:
    """People and hosts that do as they like; after every turn the state is checked and the log kept."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        mixed = drivers(transfer=("qcow2",), abilities=SHARED if seed % 3 == 0 else ("live",))
        hosts = [a_host(n, images=[digest("e")] if n < 3 else (), has=mixed, memory_mib=4096) for n in (1, 2, 3)]
        self.reactor = a_reactor(
            *hosts, an_image(), a_network(size=12), scheduler="none" if seed % 4 == 0 else "match-making"
        )
        self.now_s = NOW_S
        self.told = {(word, key): record for word in KINDS for key, record in self.reactor.cluster.table(word).items()}
        self.generations = {}
        self.acts = (
            (self.submit, 3),
            (self.act, 10),
            (self.end, 24),
            (self.begin_step, 6),
            (self.observe, 4),
            (self.come_or_go, 2),
            (self.change_hosts, 2),
            (self.change_images, 2),
            (self.pass_time, 3),
        )

    @property
    def cluster(self):
        return self.reactor.cluster

    def go(self, steps):
        for _ in range(steps):
            (act,) = self.chance.choices([act for act, _ in self.acts], [weight for _, weight in self.acts])
            turn = act()
            if turn is not None:
                self.check(turn)
            self.check(self.reactor.schedule(self.now_s))

    def ask(self, name, /, **params):
        turns = []
        before = picture(self.cluster) if self.chance.random() < 0.2 else None
        user = self.chance.choice((ADMIN, ANN, ANN, BOB))
        refused = refusal(lambda: turns.append(ask_turn(self.reactor, name, user=user, now_s=self.now_s, **params)[0]))
        if refused is not None and before is not None:
            assert picture(self.cluster) == before, (name, params)
        return turns[0] if turns else None

    def submit(self):
        template = self.chance.choice((TEMPLATE, BARE, "MEMORY = 9\nDISK = [ TYPE = fs, SIZE = 1 ]\n"))
        return self.ask(
            "vm.submit", template=template, hold=self.chance.random() < 0.3, count=self.chance.choice((1, 1, 4))
        )

    def act(self):
        if not self.cluster.vms:
            return None
        name, params = self.chance.choice(VERBS)
        if name == "vm.migrate" or self.chance.random() < 0.1:
            host = self.chance.choice([str(host_id) for host_id in self.cluster.hosts] or ["h1"])
            params = {**params, "host": host} if name == "vm.migrate" else {"host": host}
            name = name if name == "vm.migrate" else "vm.deploy"
        return self.ask(name, vm_id=self.chance.choice(sorted(self.cluster.vms)), **params)

    def end(self):
        if not self.cluster.running:
            return None
        operation = self.cluster.operations[self.chance.choice(sorted(self.cluster.running))]
        status = self.chance.choice(ENDS)
        late = self.chance.random() < 0.15
        outcomes = None if status is LegStatus.DONE else {self.chance.randrange(4): outcome_of("no_space")}
        report = leg_ended(
            operation,
            status,
            outcomes=outcomes,
            results=_facts(operation),
            leg=self.chance.randrange(3) if late else None,
            undo=self.chance.random() < 0.5 if late else None,
        )
        host_id = operation.plan.legs[operation.leg].host_id
        if late and self.chance.random() < 0.5:
            host_id = self.chance.choice((1, 2, 3))
        host = self.cluster.hosts.get(HostId(host_id))
        return say(self.reactor, host_id, report, now_s=self.now_s) if host and host.connected else None

    def begin_step(self):
        if not self.cluster.running:
            return None
        operation = self.cluster.operations[self.chance.choice(sorted(self.cluster.running))]
        leg = operation.plan.legs[operation.leg]
        step = self.chance.choice(leg.steps)
        message = StepStarted(operation_id=operation.operation_id, leg=operation.leg, step_id=step.step_id)
        return say(self.reactor, leg.host_id, message, now_s=self.now_s)

    def observe(self):
        guests = tuple(
            Observation(
                vm_id=self.chance.randrange(12),
                generation=self.chance.randrange(5),
                power=self.chance.choice(list(PowerState)),
            )
            for _ in range(self.chance.randrange(4))
        )
        message = Observed(guests=guests, complete=self.chance.random() < 0.5)
        return say(self.reactor, self.chance.randrange(1, 5), message, now_s=self.now_s)

    def come_or_go(self):
        if not self.cluster.hosts:
            return None
        host = self.cluster.hosts[self.chance.choice(sorted(self.cluster.hosts))]
        if host.connected:
            return self.reactor.lost(host.host_id, self.now_s)
        return self.reactor.connected(host.host_id, HELLO, self.now_s)[0] if host.public_key else None

    def change_hosts(self):
        names = sorted(self.cluster.host_ids) or ["h1"]
        verb = self.chance.choice(("enable", "enable", "enable", "disable", "drain", "delete", "add"))
        if verb == "add":
            number = self.cluster.next_id("host")
            return self.reactor_puts(a_host(number, images=[digest("e")], memory_mib=4096)) if number < 9 else None
        force = {"force": self.chance.random() < 0.7} if verb == "delete" else {}
        return self.ask(f"host.{verb}", host=self.chance.choice(names), **force)

    def reactor_puts(self, record):
        turn = self.reactor.tick(self.now_s)
        turn.put(record)
        return turn

    def change_images(self):
        match self.chance.randrange(4):
            case 0:
                return self.ask("image.add", name=f"i{self.chance.randrange(4)}", url="http://x/y")
            case 1:
                return self.ask("image.delete", image=self.chance.choice(sorted(self.cluster.image_ids) or ["x"]))
            case 2:
                change = ImagesChanged(added=(digest("f"),), removed=(digest("e"),))
                return say(self.reactor, self.chance.randrange(1, 4), change, now_s=self.now_s)
            case _:
                host_id = self.chance.randrange(1, 4)
                told = a_host(host_id, images=[digest("e")], memory_mib=4096).advertisement
                return say(self.reactor, host_id, Advertise(advertisement=told), now_s=self.now_s)

    def pass_time(self):
        self.now_s += self.chance.choice((1, 30, 90))
        return self.reactor.tick(self.now_s)

    # --- what must hold

    def check(self, turn):
        assert verify.findings(self.cluster) == ()
        self.replay(turn)
        for host_id, message in turn.sends:
            if isinstance(message, CarryOut):
                assert self.cluster.hosts[host_id].connected
                self.check_generation(host_id, message)
        for vm in self.cluster.vms.values():
            assert (vm.operation_id is None) is (vm.state in AT_REST) or vm.state is VmState.RUNNING, vm

    def replay(self, turn):
        for each in turn.changes:
            assert self.told.get((each.kind, each.key)) == each.old or each.old is None
            told = tell_again(each.kind, each.old, changed_fields(each.old, each.new))
            assert told == each.new
            self.told[each.kind, each.key] = each.new

    def check_generation(self, host_id, message):
        """A VM is booted by one host only in each generation, but for the one that it had left."""
        boots = [step for step in message.steps if type(step).__name__ in {"Deploy", "Restore"}]
        if not boots or message.undo:
            return
        key = (message.vm.vm_id, message.vm.generation)
        assert self.generations.setdefault(key, host_id) == host_id, key


@pytest.mark.parametrize("walk", range(WALKS))
def test_whatever_is_asked_and_said_the_state_stays_sound(walk):
    seed = SEED * 1000 + walk
    try:
        Walk(seed).go(200)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.parametrize("walk", range(3))
def test_whatever_happened_before_everything_ends_once_hosts_do_as_they_are_told(walk):
    seed = SEED * 1000 + walk
    world = Walk(seed)
    world.go(150)
    reactor, cluster = world.reactor, world.cluster
    for host_id in sorted(cluster.hosts):
        reactor.connected(host_id, HELLO, world.now_s)
    for _ in range(200):
        for operation in [cluster.operations[each] for each in cluster.running]:
            host_id = operation.plan.legs[operation.leg].host_id
            say(reactor, host_id, leg_ended(operation, results=_facts(operation)))
    for vm_id in sorted(cluster.vms):
        ask(reactor, "vm.terminate", vm_id=vm_id, hard=True)
        while vm_id in cluster.vms:
            end_leg(reactor, cluster.vms[vm_id])

    assert (cluster.vms, cluster.running, cluster.leases_of) == ({}, {}, {}), f"seed {seed}"
    assert [used for used in cluster.used.values() if used != Capacity()] == [], f"seed {seed}"


def _facts(operation):
    if operation.vm is not None:
        return {}
    facts = {"sha256": digest("f"), "size_bytes": 1, "virtual_size_bytes": 1, "format": "raw"}
    return {step.step_id: facts for step in operation.plan.legs[operation.leg].steps}

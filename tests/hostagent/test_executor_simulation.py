"""The executor under any order of events, with a crash at every point between deciding, writing and acting.

The world is a set of things that steps make and take away; a step may be half done when the crash comes.
"""

from dataclasses import dataclass, field

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostagent.orders_of_tests import (
    BROKEN,
    DRIVERS,
    OK,
    a_vm,
    cancel,
    clone,
    context,
    delete,
    deploy,
    fetch,
    migrate,
    order,
    save,
)

from innkeeper_hostagent.effects import CancelStep, Reaction, RunStep, Send
from innkeeper_hostagent.entries import Entry
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.ledger import Ledger
from innkeeper_hostagent.legs import LegState
from innkeeper_hostagent.orders import is_ours
from innkeeper_hostagent.protocol.messages import Disown, LegEnded, LegStatus
from innkeeper_plugins.steps import Delete, undo_of, verb_of
from innkeeper_plugins.vocabulary import OperationId, VmId

LEGS = (
    (fetch(0), clone(1), context(2), deploy(3)),
    (clone(0), deploy(1)),
    (save(0),),
    (cancel(0), delete(1)),
    (migrate(0), cancel(1)),
    (),
)
OPERATIONS = ("o1", "o2", "o3")

carry_outs = st.builds(
    lambda steps, operation_id, leg, vm_id, generation, undo, patience: order(
        LEGS[steps],
        operation_id=f"{operation_id}.{vm_id}",
        leg=leg,
        vm=a_vm(vm_id, generation=generation),
        undo=undo,
        expires_in_s=patience,
    ),
    st.integers(0, len(LEGS) - 1),
    st.sampled_from(OPERATIONS),
    st.integers(0, 1),
    st.integers(1, 2),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([0.0, 3.0, 1000.0]),
)
names = st.builds(lambda o, v: OperationId(f"{o}.{v}"), st.sampled_from(OPERATIONS), st.integers(1, 2))
events = st.one_of(
    st.tuples(st.just("carry_out"), carry_outs),
    st.tuples(st.just("carry_out"), carry_outs),
    st.tuples(st.just("end"), st.tuples(st.integers(0, 3), st.booleans())),
    st.tuples(st.just("end"), st.tuples(st.integers(0, 3), st.sampled_from([True]))),
    st.tuples(st.just("cancel"), names),
    st.tuples(st.just("confirm"), names),
    st.tuples(st.just("disown"), st.tuples(st.integers(1, 2), st.integers(1, 3))),
    st.tuples(st.just("late"), st.integers(0, 50)),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("crash"), st.sampled_from(["before_write", "after_write", "half_way"])),
    st.tuples(st.just("compact"), st.none()),
)


def picture(ledger: Ledger) -> dict:
    """All of a ledger that has to survive; deadlines belong to a clock that does not."""
    return {
        "legs": {
            key: (leg.request, leg.newcomer, leg.state, leg.verdict, leg.reason, leg.todo, leg.ran, leg.outcomes)
            for key, leg in ledger.legs.items()
        },
        **{name: getattr(ledger, name) for name in ("refused", "busy", "waiting", "generations", "vms")},
        "forgotten": list(ledger.forgotten),
        "of_operation": {name: sorted(keys) for name, keys in ledger.of_operation.items()},
    }


@dataclass
class World:
    executor: Executor = field(default_factory=lambda: Executor(DRIVERS))
    journal: list[Entry] = field(default_factory=list)
    running: list[RunStep] = field(default_factory=list)
    ended: list[RunStep] = field(default_factory=list)
    asked: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)
    #: ``{(operation, leg): what its steps made and nothing has taken away}``
    made: dict = field(default_factory=dict)
    now_s: float = 0.0
    crash: str = ""

    def take(self, reaction: Reaction) -> None:
        crash, self.crash = self.crash, ""
        if crash == "before_write":
            self.restart()
            return
        self.journal += msgspec.msgpack.decode(msgspec.msgpack.encode(reaction.entries), type=tuple[Entry, ...])
        if crash == "after_write":
            self.restart()
            return
        effects = reaction.effects[: len(reaction.effects) // 2] if crash else reaction.effects
        for effect in effects:
            self.carry_out(effect)
        if crash:
            self.restart()

    def carry_out(self, effect) -> None:
        match effect:
            case RunStep():
                assert effect.vm is not None
                busy = {run.vm.vm_id for run in self.running}
                assert effect.vm.vm_id not in busy, "two steps of one VM at a time"
                assert effect.undo or self.is_current(effect), "a stale generation acted"
                self.running.append(effect)
                self.act(effect)
            case Send(message=LegEnded() as answer):
                key = (answer.operation_id, answer.leg, answer.undo)
                if answer.reason != "forgotten":
                    assert self.answers.setdefault(key, answer) == answer, "two answers to one question"
            case CancelStep():
                assert any(
                    (run.operation_id, run.leg, run.step.step_id) == (effect.operation_id, effect.leg, effect.step_id)
                    for run in self.running
                ), "a step that does not run was told to stop"

    def is_current(self, run: RunStep) -> bool:
        """Whether the step is of the highest generation, or its VM is to be given up as soon as it has ended."""
        ledger = self.executor.ledger
        given_up = any(is_ours(key[0]) for key in ledger.waiting.get(f"vm:{run.vm.vm_id}", ()))
        return run.vm.generation == ledger.generations[run.vm.vm_id] or run.spare_shared or given_up

    def act(self, run: RunStep) -> None:
        """A step has its effect when it begins, so a crash or a failure finds it done without an end."""
        made = self.made.setdefault((run.operation_id, run.leg), set())
        if not run.undo and undo_of(run.step) is not None:
            made.add(run.step.step_id)
        if run.undo:
            made.discard(run.step.step_id)
        if isinstance(run.step, Delete) and run.step.disk_id is None:
            made.clear()

    def restart(self) -> None:
        self.running.clear()
        self.executor = Executor(DRIVERS)
        self.take(self.executor.recover(list(self.journal), self.now_s))

    def event(self, kind: str, value) -> None:  # noqa: C901 - one line an event
        self.now_s += 1.0
        match kind:
            case "carry_out":
                self.asked.append(value)
                self.take(self.executor.on_carry_out(value, self.now_s))
            case "again" if self.asked:
                self.take(self.executor.on_carry_out(self.asked[value % len(self.asked)], self.now_s))
            case "end" if self.running:
                self.end(value[0], ok=value[1])
            case "late" if self.ended:
                late = self.ended[value % len(self.ended)]
                if late not in self.running:
                    before = picture(self.executor.ledger)
                    assert self.executor.on_step_ended(late, OK, self.now_s) == Reaction()
                    assert picture(self.executor.ledger) == before
            case "cancel":
                self.take(self.executor.on_cancel(value, self.now_s))
            case "confirm":
                self.confirm(value)
            case "disown":
                self.take(self.executor.on_disown(Disown(vm_id=VmId(value[0]), generation=value[1]), self.now_s))
            case "crash":
                self.crash = value
            case "compact":
                self.journal = list(self.executor.ledger.snapshot())
        self.check()

    def confirm(self, operation_id) -> None:
        """The controller confirms only what it has had an answer to."""
        self.take(self.executor.on_confirm([operation_id]))

    def end(self, which: int, *, ok: bool) -> None:
        run = self.running.pop(which % len(self.running))
        self.ended.append(run)
        self.take(self.executor.on_step_ended(run, OK if ok else BROKEN, self.now_s))

    def check(self) -> None:
        told_again = Ledger()
        for entry in self.journal:
            told_again.apply(entry)
        assert picture(told_again) == picture(self.executor.ledger), "the journal tells another story"
        shorter = Ledger()
        for entry in self.executor.ledger.snapshot():
            shorter.apply(entry)
        assert picture(shorter) == picture(self.executor.ledger), "the short journal tells another story"
        active = {key for key, leg in self.executor.ledger.legs.items() if leg.is_active}
        assert active == set(self.executor.ledger.busy.values())
        assert len(active) == len(self.running)

    def settle(self) -> None:
        for _ in range(1000):
            if not self.running:
                return
            self.end(0, ok=True)
            self.check()
        raise AssertionError("the host never comes to rest")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, max_size=40))
def test_any_order_of_events_and_crashes_keeps_every_promise_and_comes_to_rest(story):
    world = World()

    for kind, value in story:
        world.event(kind, value)
    world.settle()

    ledger = world.executor.ledger
    assert all(leg.state is LegState.ENDED for leg in ledger.legs.values())
    assert ledger.busy == {}
    assert ledger.waiting == {}
    for answer in world.executor.answers():
        key = (answer.operation_id, answer.leg, answer.undo)
        assert world.answers.get(key, answer) == answer


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1),
    st.lists(st.tuples(st.booleans(), st.sampled_from(["", "before_write", "after_write", "half_way"])), max_size=12),
)
def test_a_leg_taken_back_leaves_nothing_behind_whenever_the_crash_comes(which, ends):
    world = World()
    steps = LEGS[which]
    request = order(steps, operation_id="o1.1", vm=a_vm(1))
    world.event("carry_out", request)

    for ok, crash in ends:
        world.crash = crash
        if world.running:
            world.end(0, ok=ok)
        world.crash = ""
    world.settle()
    world.event("carry_out", request)

    answer = world.answers[OperationId("o1.1"), 0, False]
    if answer.status is LegStatus.DONE:
        assert world.made[OperationId("o1.1"), 0] == {s.step_id for s in steps if verb_of(s).undo}
    elif answer.status is LegStatus.UNDONE:
        assert world.made[OperationId("o1.1"), 0] == set()

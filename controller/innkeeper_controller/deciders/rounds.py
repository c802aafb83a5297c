"""Rounds with another scheduler: what it is asked and when, and what becomes of its answer.

What it answers is a wish: each VM goes through the same ``deploy`` that people use, which looks at the records as they
are by then. It runs nothing itself: ``asking`` does.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from innkeeper_controller import actions
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.deciders.snapshot import MAX_ASKED, Chosen, Picture, Snapshot, lie_in, picture_of, snapshot_of
from innkeeper_controller.deciders.standing import Standing
from innkeeper_controller.placement import queueing
from innkeeper_controller.placement.scheduler import BATCH, Scheduler
from innkeeper_controller.records import Moment
from innkeeper_controller.scheduling.order.queue import Limits
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

#: It is asked no more often.
INTERVAL_S: Final = 1.0
#: After a failure the built-in scheduler decides for so long, and for twice as long after each further one.
FIRST_REST_S: Final = 1.0
MAX_REST_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Question:
    """What it is asked."""

    picture: Picture
    #: The VMs, those that are placed together in one tuple.
    units: tuple[tuple[VmId, ...], ...]
    #: The hosts that it is told of.
    host_ids: dict[str, HostId]

    @property
    def snapshot(self) -> Snapshot:
        """What it is told; made in any thread."""
        return snapshot_of(self.picture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What it answered, or why it did not."""

    chosen: tuple[Chosen, ...] = ()
    #: What went wrong, one clause of a sentence.
    trouble: str = ""


#: A unit of VMs with where they are wanted.
_Wanted = tuple[tuple[VmId, HostId, str], ...]


class Rounds:
    """One question at a time, and its answer carried out a limited number of VMs a turn."""

    def __init__(self, standing: Standing, built_in: Scheduler) -> None:
        """Begin without a question.

        Args:
            standing: How it does.
            built_in: Decides while the other cannot.
        """
        self.standing = standing
        #: Called where there is something to be asked; set by who asks.
        self.wake: Callable[[], None] = lambda: None
        self._built_in = built_in
        #: Whether something changed since it was asked last.
        self.wants = False
        self._question: Question | None = None
        self._line: deque[_Wanted] = deque()
        #: Of the present answer, while it is carried out.
        self._asked = self._placed = self._refused = 0
        self._last_refusal = ""
        self._rest_s = 0.0
        #: Where in the queue the question begins: it goes through a long one in parts.
        self._begin_at = 0
        self._has_more = False
        #: Whether something changed since it was asked about the first part.
        self._changed = False

    @property
    def is_asked(self) -> bool:
        """Whether an answer is waited for."""
        return self._question is not None

    @property
    def due_at_s(self) -> Moment:
        """When it may be asked next."""
        asked_at_s = self.standing.asked_at_s
        return max(-math.inf if asked_at_s is None else asked_at_s + INTERVAL_S, self.standing.rests_until_s)

    def run(self, turn: Turn) -> None:
        """Carry out what it has chosen, and note what changed; while it rests the built-in scheduler decides."""
        cluster = turn.cluster
        if self.standing.rests(turn.now_s):
            self.wants = True
            self.wake()
            self._built_in.run(turn)
            return
        in_line = {vm_id for wanted in self._line for vm_id, _, _ in wanted}
        if cluster.freed or cluster.unconsidered.keys() - in_line:
            cluster.freed = False
            self.wants = self._changed = True
        self._carry_out(turn)
        if self.wants:
            self.wake()

    def question(self, cluster: Cluster, settings: Settings, now_s: Moment) -> Question | None:
        """Return what to ask now; None where there is nothing, or an answer is still waited for or carried out."""
        if self.is_asked or self._line or not self.wants or now_s < self.due_at_s:
            return None
        self.wants = False
        units = _within_limits(cluster, settings, queueing.line_of(cluster, settings, now_s).units)
        asked = _first(units, self._begin_at)
        if not asked and self._begin_at:
            self._begin_at = 0
            asked = _first(units, 0)
        if not asked:
            return None
        self._has_more = asked[-1] != units[-1]
        self._changed = self._changed and self._begin_at > 0
        self.standing.asked_at_s = now_s
        vm_ids = [vm_id for unit in asked for vm_id in unit]
        self._question = Question(picture_of(cluster, vm_ids, now_s), asked, dict(cluster.host_ids))
        return self._question

    def dropped(self) -> None:
        """Note that the question was not asked after all."""
        self._question, self.wants = None, True

    def on_outcome(self, turn: Turn, outcome: Outcome) -> None:
        """Begin to carry out what it answered; nothing of an answer that cannot be right."""
        question, self._question = self._question, None
        assert question is not None, "there is an outcome for each question, and no other"
        asked = frozenset(vm_id for unit in question.units for vm_id in unit)
        trouble = outcome.trouble or lie_in(outcome.chosen, asked, question.host_ids)
        if trouble:
            self._fail(turn, trouble)
            return
        where = {VmId(each.vm): each.host for each in outcome.chosen}
        for unit in question.units:
            wanted = tuple((vm_id, question.host_ids[where[vm_id]], where[vm_id]) for vm_id in unit if vm_id in where)
            if len(wanted) == len(unit):
                self._line.append(wanted)
            elif wanted:
                self._refuse(turn, wanted, "its gang is placed whole or not at all")
            else:
                self._leave(turn, unit)
        self._asked = len(asked)
        self._carry_out(turn)
        if self.wants:
            self.wake()

    def _carry_out(self, turn: Turn) -> None:
        """Deploy what it has chosen, a limited number of VMs at once."""
        limits = queueing.limits_of(turn.cluster, turn.settings)
        looked_at = 0
        while self._line and looked_at < BATCH:
            wanted = self._line.popleft()
            looked_at += len(wanted)
            self._deploy_all(turn, wanted, limits)
        # Those that are left are in line, so that the turn after this one goes on with them.
        turn.cluster.unconsidered = {vm_id: None for wanted in self._line for vm_id, _, _ in wanted}
        if self._asked and not self._line:
            self._judge(turn)

    def _judge(self, turn: Turn) -> None:
        """Say how a round went once all of its answer is carried out."""
        placed, refused, asked = self._placed, self._refused, self._asked
        if refused and not placed:
            self._fail(turn, f"nothing that it chose could be done: {self._last_refusal}")
            return
        self._placed = self._refused = self._asked = 0
        if self.standing.trouble:
            turn.event("scheduler.program_works", "controller", program=self.standing.called)
        self.standing.trouble, self._rest_s = "", 0.0
        if placed:
            # Those that are left may fit elsewhere by now, and be no longer over a limit.
            self._begin_at = 0
            self.wants = self.wants or bool(turn.cluster.pending)
        elif self._has_more:
            self._begin_at += asked
            self.wants = True
        else:
            self._begin_at = 0
            self.wants = self.wants or self._changed

    def _deploy_all(self, turn: Turn, wanted: _Wanted, limits: Limits) -> None:
        """Deploy the VMs of a unit, all or none."""
        mark, freed = turn.mark(), turn.cluster.freed
        try:
            for vm_id, host_id, _ in wanted:
                self._deploy(turn, vm_id, host_id, limits, len(wanted))
        except RefusalError as refusal:
            turn.take_back(mark)
            # What is given back so is nothing new to anybody.
            turn.cluster.freed = freed
            self._refuse(turn, wanted, str(refusal))
            return
        limits.count(turn.cluster.vms[wanted[0][0]].owner, len(wanted))
        self._placed += len(wanted)

    def _deploy(self, turn: Turn, vm_id: VmId, host_id: HostId, limits: Limits, count: int) -> None:
        vm, host = turn.cluster.vms.get(vm_id), turn.cluster.hosts.get(host_id)
        if vm is None or vm.state is not VmState.PENDING:
            raise RefusalError("wrong_state", "it does not wait any more")
        if host is None:
            raise RefusalError("not_found", "the host was deleted")
        over = limits.refusal(vm.owner, count)
        if over is not None:
            raise RefusalError("over_quota", over.words)
        actions.deploy(turn, vm, host)

    def _refuse(self, turn: Turn, wanted: _Wanted, why: str) -> None:
        self._refused += len(wanted)
        self._last_refusal = why
        for vm_id, _, host_name in wanted:
            turn.event("scheduler.refused", f"vm:{vm_id}", host=host_name, why=why)
            self._note(turn, vm_id, f"{self.standing.called} chose {host_name}, which was refused: {why}")

    def _leave(self, turn: Turn, unit: tuple[VmId, ...]) -> None:
        for vm_id in unit:
            self._note(turn, vm_id, f"{self.standing.called} chose no host for it")

    def _note(self, turn: Turn, vm_id: VmId, words: str) -> None:
        """Keep why a VM waits."""
        if vm_id in turn.cluster.pending:
            turn.cluster.waits[vm_id] = f"{words[:1].upper()}{words[1:].rstrip('.')}."

    def _fail(self, turn: Turn, trouble: str) -> None:
        """Let the built-in scheduler decide for a while; the operator is told of the first failure of a row."""
        if not self.standing.trouble:
            turn.event("scheduler.program_failed", "controller", program=self.standing.called, why=trouble)
        self._rest_s = min(MAX_REST_S, max(FIRST_REST_S, self._rest_s * 2))
        self.standing.trouble = trouble
        self.standing.rests_until_s = turn.now_s + self._rest_s
        self._line.clear()
        self._asked = self._placed = self._refused = self._begin_at = 0
        self.wants = True
        # All that wait are looked at by the built-in scheduler, in the next pass.
        turn.cluster.freed = True


def _within_limits(
    cluster: Cluster, settings: Settings, units: tuple[tuple[VmId, ...], ...]
) -> tuple[tuple[VmId, ...], ...]:
    """Return the units that may all be placed without anybody having more than the operator allows."""
    limits = queueing.limits_of(cluster, settings)
    found: list[tuple[VmId, ...]] = []
    for unit in units:
        owner = cluster.vms[unit[0]].owner
        if limits.refusal(owner, len(unit)) is None:
            limits.count(owner, len(unit))
            found.append(unit)
    return tuple(found)


def _first(units: tuple[tuple[VmId, ...], ...], begin_at: int) -> tuple[tuple[VmId, ...], ...]:
    """Return units with no more VMs than may be asked about, from the VM at a place of the queue on; a gang whole."""
    found: list[tuple[VmId, ...]] = []
    count = at = 0
    for unit in units:
        if at >= begin_at:
            if found and count + len(unit) > MAX_ASKED:
                break
            found.append(unit)
            count += len(unit)
        at += len(unit)
    return tuple(found)

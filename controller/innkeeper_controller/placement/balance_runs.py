"""A rebalancing under way: what is still to be moved and what moves; kept in memory only, and it decides nothing."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from innkeeper_controller.records import Moment
from innkeeper_controller.scheduling.moves.balance_plans import Goal, PlannedMove
from innkeeper_plugins.vocabulary import OperationId, VmId

#: Who asks for what nobody asked for.
ACTOR: Final = "balance"


@dataclass(slots=True)
class Run:
    """A plan that is being carried out, in its order."""

    goal: Goal
    #: Who asked.
    actor: str
    #: Migrations that run at once.
    max_at_once: int
    left: deque[PlannedMove]
    #: ``{VM: (its move, the operation)}``
    going: dict[VmId, tuple[PlannedMove, OperationId]] = field(default_factory=dict)
    #: Moves that ended well.
    made: int = 0
    #: Why no more moves are begun; empty while they are.
    stopped: str = ""


@dataclass(slots=True)
class Balancing:
    """What there is of it."""

    run: Run | None = None
    #: When it was last looked whether something is to be moved unattended; None for not yet.
    looked_at_s: Moment | None = None

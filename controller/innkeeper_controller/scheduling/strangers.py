"""Clauses and scores of plugins as the scheduler has them: whatever they do, nothing stops the queue.

What never comes back cannot be helped here: it runs in the controller's own thread.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from innkeeper_controller.scheduling.clauses import Clause
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_controller.scheduling.scores import Score
from innkeeper_plugins import scheduling

_Said = TypeVar("_Said")

#: A plugin's function that takes longer for one VM is not asked again for a while; the built-in ones take 0.001 s.
SLOW_S: Final = 0.5
REST_S: Final = 60.0


@dataclass(slots=True)
class Troubles:
    """What went wrong with plugins."""

    #: Gives seconds that only go on, to find out who is slow; one that stands still finds nobody.
    clock: Callable[[], float] = lambda: 0.0
    #: ``{clause or score: what went wrong with it last}``, until somebody takes it.
    last: dict[str, str] = field(default_factory=dict)
    #: ``{clause or score: when it may be asked again, by the clock}``
    resting: dict[str, float] = field(default_factory=dict)

    def guarded(self, name: str, ask: Callable[[], _Said], *, otherwise: _Said) -> _Said:
        """Return what a plugin's function says; ``otherwise`` where it fails or rests because it was slow."""
        began_s = self.clock()
        if began_s < self.resting.get(name, -math.inf):
            return otherwise
        try:
            said = ask()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's function may raise anything, and must cost only itself
            self.last[name] = f"{type(error).__name__}: {error}"
            return otherwise
        took_s = self.clock() - began_s
        if took_s > SLOW_S:
            self.last[name] = f"it took {took_s:.1f} s for one VM and is left out for {REST_S:g} s"
            self.resting[name] = began_s + took_s + REST_S
        return said

    def take(self) -> dict[str, str]:
        """Return what went wrong since this was asked last."""
        taken, self.last = self.last, {}
        return taken


def clause(name: str, brought: scheduling.Clause, troubles: Troubles) -> Clause:
    """Return a plugin's clause; where it fails it holds nowhere, and says so.

    Args:
        name: As people see it.
        brought: What the plugin brings.
        troubles: Notes what goes wrong.
    """

    def concerns(demand: Demand, _fleet: Fleet) -> bool:
        return troubles.guarded(name, lambda: bool(brought.concerns(demand)), otherwise=True)

    def holds(demand: Demand, hosts: Rows) -> BoolArray:
        nowhere = np.zeros(len(hosts.at), dtype=np.bool_)
        return troubles.guarded(name, lambda: _bools(brought.holds(demand, hosts), len(hosts.at)), otherwise=nowhere)

    def words(demand: Demand, host: OneHost) -> Obstacle:
        if name in troubles.resting and troubles.clock() < troubles.resting[name]:
            return Obstacle(clause=name, message="a plugin's clause is too slow and left out for a while")
        return Obstacle(clause=name, message=_words(brought, demand, host))

    return Clause(name=name, holds=holds, words=words, concerns=concerns, is_binding=False)


def score(name: str, brought: scheduling.Score, troubles: Troubles) -> Score:
    """Return a plugin's score, cut off at 0 and 1; 0 where it fails or is no number. The arguments are as above."""

    def of(demand: Demand, hosts: Rows) -> FloatArray:
        count = len(hosts.at)
        said = troubles.guarded(name, lambda: _floats(brought.of(demand, hosts), count), otherwise=np.zeros(count))
        return np.minimum(1.0, np.maximum(0.0, np.nan_to_num(said, nan=0.0)))

    def concerns(demand: Demand, _fleet: Fleet) -> bool:
        return troubles.guarded(name, lambda: bool(brought.concerns(demand)), otherwise=False)

    return Score(name=name, of=of, concerns=concerns)


def _words(brought: scheduling.Clause, demand: Demand, host: OneHost) -> str:
    """Return why a plugin's clause does not hold on a host: its words, or how it failed."""
    try:
        _bools(brought.holds(demand, Rows(host.fleet, np.array([host.row]))), 1)
        return str(brought.words(demand, host))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        return f"a plugin's clause failed: {type(error).__name__}: {error}"


def _bools(said: Any, count: int) -> BoolArray:  # noqa: ANN401 - a stranger's function may return anything
    """Return one bool a host.

    Raises:
        ValueError: it said something else; a number is no bool, since nonsense would let VMs in.
    """
    found = np.asarray(said)
    if found.shape != (count,) or found.dtype != np.bool_:
        raise ValueError(f"it said {found.dtype} {found.shape}, not one bool for each of {count} hosts")
    return found


def _floats(said: Any, count: int) -> FloatArray:  # noqa: ANN401 - as above
    """Return one number a host.

    Raises:
        ValueError: it said something else.
    """
    found = np.asarray(said, dtype=np.float64)
    if found.shape != (count,):
        raise ValueError(f"it said {found.shape}, not one number for each of {count} hosts")
    return found

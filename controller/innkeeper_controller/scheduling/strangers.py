"""Clauses and scores of plugins as the scheduler has them: whatever they do, nothing stops the queue."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from innkeeper_controller.scheduling.clauses import Clause
from innkeeper_controller.scheduling.fleet import BoolArray, Fleet, FloatArray
from innkeeper_controller.scheduling.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_controller.scheduling.scores import Score
from innkeeper_plugins import scheduling

_Said = TypeVar("_Said")


def clause(name: str, brought: scheduling.Clause, troubles: dict[str, str]) -> Clause:
    """Return a plugin's clause; where it fails it holds nowhere, and says so.

    Args:
        name: As people see it.
        brought: What the plugin brings.
        troubles: ``{name: what went wrong last}``, to be written to.
    """

    def concerns(demand: Demand, _fleet: Fleet) -> bool:
        return _guarded(name, troubles, lambda: bool(brought.concerns(demand)), otherwise=True)

    def holds(demand: Demand, hosts: Rows) -> BoolArray:
        nowhere = np.zeros(len(hosts.at), dtype=np.bool_)
        return _guarded(name, troubles, lambda: _shaped(brought.holds(demand, hosts), nowhere), otherwise=nowhere)

    def words(demand: Demand, host: OneHost) -> Obstacle:
        trouble = troubles.get(name)
        failed = f"a plugin's clause failed: {trouble}" if trouble else "a plugin's clause does not hold"
        text = _guarded(name, troubles, lambda: str(brought.words(demand, host)), otherwise=failed)
        return Obstacle(clause=name, message=failed if trouble else text)

    return Clause(name=name, holds=holds, words=words, concerns=concerns, is_binding=False)


def score(name: str, brought: scheduling.Score, troubles: dict[str, str]) -> Score:
    """Return a plugin's score, cut off at 0 and 1; 0 where it fails or is no number. The arguments are as above."""

    def of(demand: Demand, hosts: Rows) -> FloatArray:
        nothing = np.zeros(len(hosts.at))
        said = _guarded(name, troubles, lambda: _shaped(brought.of(demand, hosts), nothing), otherwise=nothing)
        return np.minimum(1.0, np.maximum(0.0, np.nan_to_num(said, nan=0.0)))

    def concerns(demand: Demand) -> bool:
        return _guarded(name, troubles, lambda: bool(brought.concerns(demand)), otherwise=False)

    return Score(name=name, of=of, concerns=concerns)


def _guarded(name: str, troubles: dict[str, str], ask: Callable[[], _Said], *, otherwise: _Said) -> _Said:
    try:
        said = ask()
    except Exception as error:  # noqa: BLE001 - a stranger's function may raise anything, and must cost only itself
        troubles[name] = f"{type(error).__name__}: {error}"
        return otherwise
    return said


def _shaped(said: Any, like: Any) -> Any:  # noqa: ANN401 - arrays of bools and of floats
    """Return an array with one element a host.

    Raises:
        ValueError: it is none such.
    """
    found = np.asarray(said, dtype=like.dtype)
    if found.shape != like.shape:
        raise ValueError(f"it said {found.shape} of {like.shape} hosts")
    return found

"""What the operator's configuration and the plugins of this machine make of scheduling; every wrong name is refused."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from innkeeper_controller.config import BUILT_IN_SCHEDULERS, PROGRAM, Config
from innkeeper_controller.deciders.asking import GRACE_S, Run, run_plugin, run_program
from innkeeper_controller.scheduling.rules import Rules, built_in_names, with_plugins
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.registry import Problem, Registry
from innkeeper_plugins.scheduling import Clause, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Another scheduler."""

    #: As people are told: ``the program /usr/local/bin/first-fit``.
    called: str
    run: Run
    #: Nobody waits longer for it; a program is killed before.
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What this controller schedules by."""

    rules: Rules
    #: None where the built-in scheduler decides, or nobody.
    decider: Decider | None
    #: Names of all schedulers that could be chosen.
    schedulers: tuple[str, ...]
    #: What of the plugins is left out, and why.
    problems: tuple[Problem, ...]


def chosen(config: Config, registry: Registry, clock: Callable[[], float]) -> Chosen:
    """Put the rules together, and find out who decides.

    Args:
        config: The configuration.
        registry: The plugins.
        clock: Gives seconds that only go on, to find out which plugins are slow.

    Raises:
        ConfigError: the policy, a weight or the scheduler has a name that nobody brings.
    """
    problems: list[Problem] = []
    known = built_in_names()
    clauses = _usable("clause", registry.scheduling_clauses(), known, _is_clause, problems)
    scores = _usable("score", registry.scheduling_scores(), known, _is_score, problems)
    policies = _usable("policy", registry.scheduling_policies(), known, _is_policy, problems)
    try:
        rules = with_plugins(clauses, scores, policies, clock=clock)
        rules.policy(config.policy, config.scheduling.weights)
    except InnkeeperError as error:
        raise ConfigError(str(error)) from error
    schedulers = _usable("scheduler", registry.schedulers(), known, callable, problems)
    names = (*BUILT_IN_SCHEDULERS, *schedulers)
    return Chosen(rules=rules, decider=_decider(config, schedulers, names), schedulers=names, problems=tuple(problems))


def _decider(config: Config, schedulers: Mapping[str, Any], names: tuple[str, ...]) -> Decider | None:
    name, options = config.scheduler, config.scheduling.program
    if name == PROGRAM:
        called = f"the program {options.argv[0]}"
        run = run_program(options.argv, options.timeout_s)
        return Decider(called=called, run=run, timeout_s=options.timeout_s + GRACE_S)
    if name in BUILT_IN_SCHEDULERS:
        return None
    if name not in schedulers:
        close = difflib.get_close_matches(name, names, n=1)
        told = f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"
        raise ConfigError(f"scheduler is {name!r}; {told}")
    called = f"the plugin's scheduler {name}"
    return Decider(called=called, run=run_plugin(schedulers[name]), timeout_s=options.timeout_s)


def _usable(
    what: str,
    brought: Mapping[str, Any],
    known: Mapping[str, frozenset[str]],
    is_one: Callable[[Any], bool],
    problems: list[Problem],
) -> dict[str, Any]:
    built_in = known.get(what, frozenset(BUILT_IN_SCHEDULERS))
    usable = {}
    for name, each in brought.items():
        if name in built_in:
            problems.append(Problem(plugin=name, reason=f"the {what} {name!r} is built in and stays what it is"))
        elif not is_one(each):
            problems.append(Problem(plugin=name, reason=f"what it brings as the {what} {name!r} is no {_TYPES[what]}"))
        else:
            usable[name] = each
    return usable


_TYPES: Final = {
    "clause": "innkeeper_plugins.scheduling.Clause",
    "score": "innkeeper_plugins.scheduling.Score with a weight",
    "policy": "mapping of scores to weights",
    "scheduler": "function",
}


def _is_clause(brought: object) -> bool:
    return isinstance(brought, Clause)


def _is_score(brought: object) -> bool:
    return isinstance(brought, Score) and _are_weights((brought.weight,))


def _is_policy(brought: object) -> bool:
    return (
        isinstance(brought, Mapping)
        and all(isinstance(name, str) for name in brought)
        and _are_weights(brought.values())
    )


def _are_weights(values: Iterable[object]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)

"""What scheduling goes by: the clauses, the scores and the policies, the built-in ones and those of plugins."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from innkeeper_controller.scheduling import strangers
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.scores import POLICIES, SCORES, Policy, Score
from innkeeper_controller.scheduling.strangers import Troubles
from innkeeper_plugins.errors import InnkeeperError

#: The policy whose weights the operator gives.
CUSTOM = "custom"


class RulesError(InnkeeperError):
    """A policy or a score has a name that nobody brings; the operator must act."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All of them."""

    clauses: tuple[Clause, ...] = CLAUSES
    scores: Mapping[str, Score] = field(default_factory=lambda: SCORES)
    policies: Mapping[str, Policy] = field(default_factory=lambda: POLICIES)
    #: What went wrong with those of plugins.
    troubles: Troubles = field(default_factory=Troubles)

    @property
    def has_strangers(self) -> bool:
        """Whether plugins have brought any clause or score, which may read what nothing else does."""
        return len(self.clauses) > len(CLAUSES) or len(self.scores) > len(SCORES)

    @property
    def binding(self) -> tuple[Clause, ...]:
        """What nobody may break."""
        return tuple(clause for clause in self.clauses if clause.is_binding)

    def policy(self, name: str, weights: Mapping[str, float]) -> Policy:
        """Return a policy.

        Args:
            name: One of ``policies``, or ``custom``.
            weights: ``{score: weight}`` for ``custom``; ``_`` stands for the blanks of names.

        Raises:
            RulesError: there is no such policy or score; it names the nearest one.
        """
        if name == CUSTOM:
            return self.weighted(weights, f"the policy {CUSTOM!r}")
        if name not in self.policies:
            raise RulesError(f"policy is {name!r}; {_instead(name, (*self.policies, CUSTOM))}")
        return self.policies[name]

    def weighted(self, weights: Mapping[str, float], whose: str = "a policy") -> Policy:
        """Return the policy of these weights.

        Raises:
            RulesError: there is no such score; it names the nearest one.
        """
        named = {name.replace("_", " "): weight for name, weight in weights.items()}
        for name in named:
            if name not in self.scores:
                raise RulesError(f"{whose} has a weight for {name!r}, which is no score; {_instead(name, self.scores)}")
        return tuple((self.scores[name], weight) for name, weight in named.items() if weight)


BUILT_IN = Rules()


def with_plugins(
    clauses: Mapping[str, Any],
    scores: Mapping[str, Any],
    policies: Mapping[str, Mapping[str, float]],
    *,
    clock: Callable[[], float] = lambda: 0.0,
) -> Rules:
    """Return the built-in rules and those of plugins; a name that is built in stays what it is.

    Args:
        clauses: ``{name: innkeeper_plugins.scheduling.Clause}``
        scores: ``{name: innkeeper_plugins.scheduling.Score}``
        policies: ``{name: {score: weight}}``
        clock: Gives seconds that only go on, to find out which of them are slow.

    Raises:
        RulesError: a policy has a score that nobody brings.
    """
    troubles = Troubles(clock)
    known = built_in_names()
    more_clauses = [
        strangers.clause(name, each, troubles) for name, each in clauses.items() if name not in known["clause"]
    ]
    more_scores = {name: strangers.score(name, each, troubles) for name, each in scores.items() if name not in SCORES}
    usual: Policy = tuple((score, scores[name].weight) for name, score in more_scores.items())
    rules = Rules(
        clauses=(*CLAUSES, *more_clauses),
        scores={**SCORES, **more_scores},
        policies={name: (*policy, *usual) for name, policy in POLICIES.items()},
        troubles=troubles,
    )
    of_plugins = {
        name: rules.weighted(weights, f"a plugin's policy {name!r}")
        for name, weights in policies.items()
        if name not in known["policy"]
    }
    return Rules(rules.clauses, rules.scores, {**rules.policies, **of_plugins}, troubles)


def built_in_names() -> dict[str, frozenset[str]]:
    """Return the names that plugins cannot have: ``{clause | score | policy: names}``."""
    return {
        "clause": frozenset(clause.name for clause in CLAUSES),
        "score": frozenset(SCORES),
        "policy": frozenset({*POLICIES, CUSTOM}),
    }


def _instead(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"

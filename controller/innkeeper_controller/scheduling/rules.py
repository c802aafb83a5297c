"""What scheduling goes by: the clauses, the scores and the policies, the built-in ones and those of plugins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from innkeeper_controller.scheduling import strangers
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.scores import POLICIES, SCORES, Policy, Score

#: The policy whose weights the operator gives.
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Rules:
    """All of them."""

    clauses: tuple[Clause, ...] = CLAUSES
    scores: Mapping[str, Score] = field(default_factory=lambda: SCORES)
    policies: Mapping[str, Policy] = field(default_factory=lambda: POLICIES)
    #: ``{plugin's clause or score: what went wrong with it last}``
    troubles: dict[str, str] = field(default_factory=dict)

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
            KeyError: there is no such policy or score.
        """
        return self.weighted(weights) if name == CUSTOM else self.policies[name]

    def weighted(self, weights: Mapping[str, float]) -> Policy:
        """Return the policy of these weights.

        Raises:
            KeyError: there is no such score.
        """
        return tuple((self.scores[name.replace("_", " ")], weight) for name, weight in weights.items() if weight)


BUILT_IN = Rules()


def with_plugins(
    clauses: Mapping[str, Any], scores: Mapping[str, Any], policies: Mapping[str, Mapping[str, float]]
) -> Rules:
    """Return the built-in rules and those of plugins; a name that is built in stays what it is.

    Args:
        clauses: ``{name: innkeeper_plugins.scheduling.Clause}``
        scores: ``{name: innkeeper_plugins.scheduling.Score}``
        policies: ``{name: {score: weight}}``

    Raises:
        KeyError: a policy has a score that nobody brings.
    """
    troubles: dict[str, str] = {}
    known = {clause.name for clause in CLAUSES}
    more_clauses = [strangers.clause(name, each, troubles) for name, each in clauses.items() if name not in known]
    more_scores = {
        name: strangers.score(name, each, troubles) for name, each in scores.items() if name not in SCORES
    }
    usual: Policy = tuple((score, scores[name].weight) for name, score in more_scores.items())
    rules = Rules(
        clauses=(*CLAUSES, *more_clauses),
        scores={**SCORES, **more_scores},
        policies={name: (*policy, *usual) for name, policy in POLICIES.items()},
        troubles=troubles,
    )
    of_plugins = {name: rules.weighted(weights) for name, weights in policies.items() if name not in POLICIES}
    return Rules(rules.clauses, rules.scores, {**rules.policies, **of_plugins}, troubles)

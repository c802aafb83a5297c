"""The manual of scheduling has everything that there is."""

from pathlib import Path

import pytest

from innkeeper_controller.expressions.names import PROBED, STANDARD
from innkeeper_controller.scheduling.clauses import CLAUSES
from innkeeper_controller.scheduling.scores import POLICIES, SCORES

MANUAL = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()


@pytest.mark.parametrize("clause", sorted({clause.name for clause in CLAUSES}))
def test_every_clause_is_explained(clause):
    assert f"| {clause} | " in MANUAL


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_explained(policy):
    weights = ", ".join(f"{score.name} {weight:g}" for score, weight in POLICIES[policy])

    assert f"| `{policy}` | {weights} |" in MANUAL


@pytest.mark.parametrize("score", SCORES)
def test_every_score_is_explained(score):
    assert f"| {score} | " in MANUAL


def test_every_attribute_of_hosts_is_explained():
    assert [name for name, says in STANDARD.items() if f"| `{name}` | {says} |" not in MANUAL] == []
    assert [name for name in PROBED if f"`{name}`" not in MANUAL] == []

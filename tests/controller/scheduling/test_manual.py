"""The manual of scheduling has everything that there is."""

from pathlib import Path

import pytest

from innkeeper_controller.expressions.names import PROBED, STANDARD
from innkeeper_controller.scheduling.scores import POLICIES, score_name

MANUAL = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()
CLAUSES = (
    "host state",
    "cluster",
    "memory",
    "cpu",
    "hypervisor",
    "datastore",
    "transfer driver",
    "bridge",
    "requirements",
    "exclusion",
)


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_is_explained(clause):
    assert f"| {clause} | " in MANUAL


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_and_its_scores_are_explained(policy):
    weights = ", ".join(f"{score_name(score)} {weight:g}" for score, weight in POLICIES[policy])

    assert f"| `{policy}` | {weights} |" in MANUAL
    assert all(f"| {score_name(score)} | " in MANUAL for score, _ in POLICIES[policy])


def test_every_attribute_of_hosts_is_explained():
    assert [name for name, says in STANDARD.items() if f"| `{name}` | {says} |" not in MANUAL] == []
    assert [name for name in PROBED if f"`{name}`" not in MANUAL] == []

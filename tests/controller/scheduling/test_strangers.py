"""Clauses and scores of plugins: they count like the built-in ones, and whatever they do costs only themselves."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from sample_hosts import make_demand, make_fleet, make_host

from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.rules import CUSTOM, RulesError, with_plugins
from innkeeper_controller.scheduling.strangers import REST_S
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.scheduling import Clause, Score

EXAMPLE = Path(__file__).parents[3] / "contrib" / "innkeeper-example-policy" / "innkeeper_licences.py"
HOLDS = Clause(holds=lambda asked, hosts: hosts.number("vms") >= 0, words=lambda asked, host: "")


def clause(holds, **more):
    return {"odd": Clause(holds=holds, words=lambda asked, host: f"{host.view.name} is odd", **more)}


def only_h2(asked, hosts):
    return hosts.each("h2", lambda host: host.name == "h2")


def chosen(rules, *demands, fleet=None):
    """Return the host that each VM gets, None for none."""
    placer = Placer(fleet or make_fleet(make_host(1), make_host(2)), rules.policy("packing", {}), rules.clauses)
    return [found.host_id if (found := placer.choose(each)) else None for each in demands or (make_demand(),)]


def told(rules):
    """Return what is said of h1."""
    fleet = make_fleet(make_host(1))
    found = verdicts(make_demand(), Search(fleet, rules.policy("packing", {}), rules.clauses))
    return [obstacle.message for obstacle in found.hosts[0].obstacles]


def test_a_clause_of_a_plugin_keeps_vms_out_like_any_other_and_has_words():
    rules = with_plugins(clause(only_h2), {}, {})

    assert chosen(rules) == [2]
    assert told(rules) == ["h1 is odd"]
    assert rules.troubles.take() == {}


def test_a_clause_of_a_plugin_is_a_wish_that_who_chooses_by_hand_may_pass_over():
    assert "odd" not in {each.name for each in with_plugins(clause(only_h2), {}, {}).binding}


def test_a_score_of_a_plugin_counts_in_every_built_in_policy_and_in_custom():
    rules = with_plugins({}, {"second": Score(of=lambda asked, hosts: hosts.number("host_id") == 2, weight=9)}, {})
    placer = Placer(make_fleet(make_host(1), make_host(2)), rules.policy(CUSTOM, {"second": 1.0}), rules.clauses)

    assert chosen(rules) == [2]
    assert placer.choose(make_demand()).host_id == 2


def test_vms_that_differ_in_what_a_plugin_reads_do_not_share_their_ranking():
    def wanted(asked, hosts):
        return hosts.each(("at", asked.attributes["AT"]), lambda host: host.name == asked.attributes["AT"])

    demands = [make_demand(number, attributes={"AT": f"h{1 + number % 2}"}) for number in range(8)]

    assert chosen(with_plugins(clause(wanted), {}, {}), *demands) == [1, 2] * 4


def test_a_plugin_that_fails_of_a_host_that_changed_is_asked_again_and_not_taken_at_its_old_word():
    def holds(asked, hosts):
        return hosts.each("rack", lambda host: int(host.labels.get("rack", "1")) > 0)

    rules = with_plugins(clause(holds), {}, {})
    fleet = make_fleet(make_host(1), make_host(2))
    before = chosen(rules, fleet=fleet)
    fleet.put(make_host(1, labels={"rack": "left"}))
    failing = [chosen(rules, fleet=fleet), chosen(rules, fleet=fleet)]
    fleet.put(make_host(1, labels={"rack": "0"}))

    assert (before, failing, chosen(rules, fleet=fleet)) == ([1], [[None], [None]], [2])


def fail(asked, hosts):
    raise KeyError("LICENSE")


@pytest.mark.parametrize(
    ("holds", "trouble"),
    [
        (fail, "KeyError: 'LICENSE'"),
        (lambda asked, hosts: True, "ValueError: it said bool (), not one bool for each of 1 hosts"),
        (lambda asked, hosts: [True] * 3, "ValueError: it said bool (3,), not one bool for each of 1 hosts"),
        (lambda asked, hosts: np.full(1, np.nan), "ValueError: it said float64 (1,), not one bool for each of 1 hosts"),
        (lambda asked, hosts: None, "ValueError: it said object (), not one bool for each of 1 hosts"),
        (lambda asked, hosts: hosts.number("beauty"), "KeyError: 'beauty'"),
        (lambda asked, hosts: sys.exit(3), "SystemExit: 3"),
    ],
)
def test_a_clause_that_fails_keeps_the_vm_out_and_tells_how(holds, trouble):
    rules = with_plugins(clause(holds), {}, {})
    found = told(rules)

    assert found == [f"a plugin's clause failed: {trouble}"]
    assert rules.troubles.take() == {"odd": trouble}
    assert chosen(rules) == [None]


def test_a_list_of_bools_is_as_good_as_an_array():
    assert chosen(with_plugins(clause(lambda asked, hosts: [True] * len(hosts.number("vms"))), {}, {})) == [1]


def test_a_clause_that_failed_once_is_told_of_by_its_own_words_once_it_works():
    failing = [True]

    def holds(asked, hosts):
        return fail(asked, hosts) if failing else np.zeros(len(hosts.number("vms")), dtype=bool)

    rules = with_plugins(clause(holds), {}, {})
    before = told(rules)
    failing.clear()

    assert before == ["a plugin's clause failed: KeyError: 'LICENSE'"]
    assert told(rules) == ["h1 is odd"]


@pytest.mark.parametrize(
    "of",
    [
        fail,
        lambda asked, hosts: np.full(len(hosts.number("vms")), np.nan),
        lambda asked, hosts: np.ones(17),
        lambda asked, hosts: ["much"] * len(hosts.number("vms")),
        lambda asked, hosts: np.full(len(hosts.number("vms")), -np.inf),
        lambda asked, hosts: np.full(len(hosts.number("vms")), 1e300),
    ],
)
def test_a_score_that_fails_or_is_nonsense_moves_nobody(of):
    assert chosen(with_plugins({}, {"odd": Score(of=of)}, {})) == [1]


def test_what_a_plugin_does_not_know_whether_it_concerns_it_keeps_out_and_does_not_score():
    def concerns(asked):
        raise RuntimeError("who?")

    assert chosen(with_plugins(clause(only_h2, concerns=concerns), {}, {})) == [2]
    assert chosen(with_plugins({}, {"odd": Score(of=only_h2, concerns=concerns)}, {})) == [1]


def test_a_slow_clause_is_left_out_for_a_while_and_lets_nobody_in_meanwhile():
    clock = [0.0]

    def slow(asked, hosts):
        clock[0] += 0.7
        return np.ones(len(hosts.number("vms")), dtype=bool)

    rules = with_plugins(clause(slow), {}, {}, clock=lambda: clock[0])
    first = chosen(rules)
    after_one = clock[0]
    meanwhile = chosen(rules)
    clock[0] += REST_S + 1

    assert (first, meanwhile, chosen(rules)) == ([1], [None], [1])
    assert after_one == 0.7
    assert rules.troubles.take() == {"odd": "it took 0.7 s for one VM and is left out for 60 s"}


def test_a_policy_with_a_score_that_nobody_brings_is_refused_with_the_nearest_one():
    with pytest.raises(RulesError) as refused:
        with_plugins({}, {}, {"mine": {"pakcing": 1.0}})
    with pytest.raises(RulesError, match="policy is 'stripping'; did you mean striping"):
        with_plugins({}, {}, {}).policy("stripping", {})
    with pytest.raises(RulesError, match="the policy 'custom' has a weight for 'imagelocality', which is no score"):
        with_plugins({}, {}, {}).policy(CUSTOM, {"imagelocality": 1.0})

    assert str(refused.value) == (
        "a plugin's policy 'mine' has a weight for 'pakcing', which is no score; did you mean packing?"
    )


def test_the_example_of_a_third_party_works_and_stays_under_thirty_lines():
    spec = importlib.util.spec_from_file_location("innkeeper_licences", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    registry = Registry({"example": example})
    rules = with_plugins(registry.scheduling_clauses(), registry.scheduling_scores(), registry.scheduling_policies())
    fleet = make_fleet(
        make_host(1), make_host(2, labels={"licences": "matlab,oracle"}), make_host(3, labels={"power": "green"})
    )
    demands = [make_demand(1, attributes={"LICENSE": name}) for name in ("oracle", "maple")]
    wind = Placer(fleet, rules.policy("wind", {}), rules.clauses)

    code = [line for line in EXAMPLE.read_text().splitlines() if line and not line.strip().startswith(('"""', "#"))]
    assert chosen(rules, *demands, fleet=fleet) == [2, None]
    assert wind.choose(make_demand()).host_id == 3
    assert registry.problems == ()
    assert len(code) < 30

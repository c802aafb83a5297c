"""Fair shares: what was used counts less and less, exactly as much as if it were looked at all the time."""

import os
from operator import itemgetter

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.scheduling.order.fair_shares import FairShares

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
HALF_LIFE_S = 1000.0
CORES = st.floats(0.01, 64, allow_nan=False)
SECONDS = st.floats(0, 5000, allow_nan=False)


def shares():
    return FairShares(HALF_LIFE_S)


def test_what_was_used_counts_half_after_each_half_life():
    found = shares()
    found.charge("ann", "users", 800.0, 0.0)

    assert [found.used_core_s("ann", at_s) for at_s in (0.0, 1000.0, 2000.0, 3000.0)] == pytest.approx(
        [800.0, 400.0, 200.0, 100.0]
    )


def test_nobody_has_a_share_while_nothing_was_used():
    assert shares().share("ann", "users", 5.0) == 0.0


def test_a_share_is_the_mean_of_the_users_part_and_of_the_groups():
    found = shares()
    found.charge("ann", "users", 100.0, 0.0)
    found.charge("bob", "users", 200.0, 0.0)
    found.charge("eve", "lab", 100.0, 0.0)

    parts = {each: found.share(*each, 500.0) for each in [("ann", "users"), ("eve", "lab"), ("new", "users")]}
    assert parts == pytest.approx({("ann", "users"): 0.5, ("eve", "lab"): 0.25, ("new", "users"): 0.375})


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(cores=CORES, begin_s=SECONDS, lasts_s=st.floats(1, 5000), later_s=SECONDS)
def test_use_that_went_on_counts_as_the_stay_that_it_was(cores, begin_s, lasts_s, later_s):
    followed, told = shares(), shares()
    end_s = begin_s + lasts_s
    followed.using("ann", "users", cores, begin_s)
    followed.using("ann", "users", 0.0, end_s)
    told.charge_stay(("ann", "users"), cores, begin_s, end_s, end_s + later_s)

    assert followed.used_core_s("ann", end_s + later_s) == pytest.approx(told.used_core_s("ann", end_s + later_s))


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(cores=CORES, moments=st.lists(SECONDS, max_size=20))
def test_how_often_it_is_looked_at_changes_nothing(cores, moments):
    often, once = shares(), shares()
    for each in (often, once):
        each.using("ann", "users", cores, 0.0)
    for at_s in sorted(moments):
        often.charge("ann", "users", 0.0, at_s)

    assert often.used_core_s("ann", 5000.0) == pytest.approx(once.used_core_s("ann", 5000.0))


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), CORES, SECONDS), max_size=20), SECONDS)
def test_the_parts_of_all_users_are_all_of_it(uses, now_s):
    found = shares()
    for owner, group, cores, at_s in sorted(uses, key=itemgetter(3)):
        found.using(owner, group, cores, at_s)
    users = [found.share_of_user(each, 5000.0 + now_s) for each in "abc"]
    groups = [found.share_of_group(each, 5000.0 + now_s) for each in "xy"]

    assert [sum(users), sum(groups)] == pytest.approx([1.0, 1.0] if users != [0.0] * 3 else [0.0, 0.0], abs=1e-6)


def test_who_is_not_named_any_more_uses_nothing_from_then_on():
    found = shares()
    found.follow({("ann", "users"): 2.0, ("bob", "users"): 1.0}, 0.0)
    found.follow({("bob", "users"): 1.0}, 10.0)
    ended = found.used_core_s("ann", 10.0)

    assert ended == pytest.approx(20.0, rel=0.01)
    assert found.used_core_s("ann", 1010.0) == pytest.approx(ended / 2)


def test_who_used_nothing_that_counts_is_forgotten():
    found = shares()
    for number in range(5000):
        found.charge(f"user{number}", "users", 1.0, float(number) * HALF_LIFE_S)

    assert len(found) < 100


def test_a_clock_that_was_set_back_counts_nothing_twice():
    found = shares()
    found.using("ann", "users", 1.0, 1000.0)
    found.using("ann", "users", 2.0, 500.0)
    found.using("ann", "users", 0.0, 1010.0)

    assert found.used_core_s("ann", 1010.0) == pytest.approx(20.0, rel=0.01)

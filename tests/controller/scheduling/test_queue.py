"""The order of the queue: total, fair, and such that nobody waits for ever; gangs and limits."""

import os

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.scheduling.options import OrderOptions
from innkeeper_controller.scheduling.order.fair_shares import FairShares
from innkeeper_controller.scheduling.order.queue import (
    HOUR_S,
    LeftOut,
    Limits,
    Line,
    Place,
    Points,
    Waiting,
    ordered,
    place,
    points,
    too_large,
    units,
)
from innkeeper_controller.scheduling.wishes import Gang
from innkeeper_plugins.vocabulary import VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
NOW_S = 1_000_000.0
OPTIONS = OrderOptions()


def a_waiting(vm_id=0, owner="ann", group="users", **values):
    return Waiting(vm_id=VmId(vm_id), owner=owner, group=group, **{"since_s": NOW_S, **values})


def shares(**used):
    found = FairShares(OPTIONS.half_life_s)
    for owner, core_s in used.items():
        found.charge(owner, "users", core_s, NOW_S)
    return found


@st.composite
def queues(draw):
    count = draw(st.integers(1, 12))
    return [
        a_waiting(
            number,
            owner=draw(st.sampled_from(["ann", "bob", "eve"])),
            group=draw(st.sampled_from(["users", "lab"])),
            priority=draw(st.integers(-3, 3)),
            since_s=NOW_S - draw(st.sampled_from([0.0, 0.1, 3600.0, 7200.0, 1e6])),
        )
        for number in range(count)
    ]


USED = st.dictionaries(st.sampled_from(["ann", "bob", "eve"]), st.floats(0, 1e6), max_size=3)
WEIGHTS = st.builds(
    OrderOptions,
    priority_weight=st.sampled_from([0.0, 1.0, 2.5]),
    age_weight_per_h=st.sampled_from([0.0, 1.0, 0.3]),
    fair_share_weight=st.sampled_from([0.0, 10.0, 7.7]),
)


@seed(SEED)
@settings(max_examples=40, deadline=None)
@given(queues(), USED, WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_is_the_same_however_the_vms_come(waiting, used, options, random):
    mixed = list(waiting)
    random.shuffle(mixed)

    found = ordered(mixed, shares(**used), options, NOW_S)
    assert found == ordered(waiting, shares(**used), options, NOW_S)
    assert sorted(found) == [each.vm_id for each in waiting]


@seed(SEED)
@settings(max_examples=40, deadline=None)
@given(queues(), USED, WEIGHTS)
def test_the_order_is_that_of_the_points_which_are_told_and_of_the_numbers(waiting, used, options):
    totals = {each.vm_id: points(each, shares(**used), options, NOW_S).total for each in waiting}

    found = ordered(waiting, shares(**used), options, NOW_S)
    assert found == sorted(totals, key=lambda vm_id: (-totals[vm_id], vm_id))
    assert [place(each, waiting, shares(**used), options, NOW_S).position for each in waiting] == [
        found.index(each.vm_id) + 1 for each in waiting
    ]


@seed(SEED)
@settings(max_examples=40, deadline=None)
@given(queues(), st.integers(0, 10**7))
def test_who_waits_keeps_the_place_before_those_of_the_same_user_as_time_goes_on(waiting, passed_s):
    mine = [msgspec.structs.replace(each, owner="ann", group="users") for each in waiting]

    assert ordered(mine, shares(), OPTIONS, NOW_S) == ordered(mine, shares(), OPTIONS, NOW_S + passed_s)


@seed(SEED)
@settings(max_examples=40, deadline=None)
@given(priority=st.integers(-1000, 1000), rival=st.integers(-1000, 1000), used=USED)
def test_nobody_who_comes_late_enough_overtakes_whatever_their_advantage(priority, rival, used):
    """So that only so many come before a VM that waits: it is first in the end."""
    last = a_waiting(0, owner="ann", priority=priority)
    most_h = (rival - priority) * OPTIONS.priority_weight + OPTIONS.fair_share_weight
    late_s = NOW_S + (max(most_h, 0.0) / OPTIONS.age_weight_per_h + 0.001) * HOUR_S
    latecomer = a_waiting(1, owner="new", group="lab", priority=rival, since_s=late_s)

    assert ordered([last, latecomer], shares(**used), OPTIONS, late_s + 1) == [0, 1]


def test_who_used_less_comes_first_and_the_older_number_of_equals():
    waiting = [a_waiting(3, owner="bob"), a_waiting(2, owner="ann"), a_waiting(1, owner="ann")]

    assert ordered(waiting, shares(ann=900.0, bob=100.0), OPTIONS, NOW_S) == [3, 1, 2]
    assert ordered([], shares(), OPTIONS, NOW_S) == []


def test_a_place_says_what_put_the_vm_there():
    waiting = [
        a_waiting(7, since_s=NOW_S - 2.1 * HOUR_S),
        a_waiting(8, owner="bob", priority=5),
        a_waiting(9, since_s=NOW_S),
    ]
    found = place(waiting[0], waiting, shares(ann=28.0, eve=72.0), OPTIONS, NOW_S)
    urgent = points(waiting[1], shares(), OrderOptions(priority_weight=2), NOW_S)

    assert (found.position, found.of) == (2, 3)
    assert found.words == "place 2 of 3: priority 0, waited 2.1 h +2.1, fair share +3.6"
    assert urgent == Points(own_priority=5, waited_s=0.0, priority=10.0, age=0.0, fair_share=10.0)
    assert urgent.words == "priority 5 +10.0, waited 0.0 h +0.0, fair share +10.0"
    assert Place(position=1, of=1, points=urgent).words.startswith("place 1 of 1: priority 5")


def line(waiting, on_hosts=None, order=None):
    by_id = {each.vm_id: each for each in waiting}
    gangs = {}
    for each in waiting:
        if each.gang is not None:
            gangs.setdefault((each.owner, each.gang.name), {})[each.vm_id] = None
    return units([each.vm_id for each in waiting] if order is None else order, by_id, gangs, on_hosts or {})


MPI = Gang(name="mpi", size=3)


def test_vms_without_a_gang_are_taken_one_by_one():
    assert line([a_waiting(2), a_waiting(1)]) == Line(units=((2,), (1,)))


def test_a_gang_is_taken_whole_where_its_first_member_stands():
    waiting = [a_waiting(5), a_waiting(2, gang=MPI), a_waiting(1), a_waiting(4, gang=MPI), a_waiting(3, gang=MPI)]

    assert line(waiting) == Line(units=((5,), (2, 4, 3), (1,)))


def test_a_gang_comes_whole_even_where_only_one_of_it_is_looked_at():
    waiting = [a_waiting(2, gang=MPI), a_waiting(4, gang=MPI), a_waiting(3, gang=MPI)]

    assert line(waiting, order=[4]) == Line(units=((4, 2, 3),))


def test_a_gang_with_too_few_members_is_not_looked_at_and_says_so():
    waiting = [a_waiting(1, gang=MPI), a_waiting(2), a_waiting(3, gang=MPI), a_waiting(4, owner="bob", gang=MPI)]

    many = "Its gang mpi needs 3 VMs, of which 2 wait; it goes on when the rest wait too."
    one = "Its gang mpi needs 3 VMs, of which 1 waits; it goes on when the rest wait too."
    assert line(waiting) == Line(
        units=((2,),), left_out={1: LeftOut(words=many), 3: LeftOut(words=many), 4: LeftOut(words=one)}
    )


def test_members_on_hosts_count_for_those_that_come_back():
    waiting = [a_waiting(1, gang=MPI)]

    assert line(waiting, {("ann", "mpi"): 2}) == Line(units=((1,),))
    assert line(waiting, {("ann", "mpi"): 1}).left_out[1].words == (
        "Its gang mpi needs 3 VMs, of which 1 waits and 1 is on hosts; it goes on when the rest wait too."
    )


@pytest.mark.parametrize(("fitting", "some"), [(0, "none of them fits"), (1, "1 fits at once"), (2, "2 fit at once")])
def test_a_gang_that_does_not_fit_whole_says_how_much_of_it_does(fitting, some):
    assert too_large(MPI, waiting=3, fitting=fitting, why="None of 1 hosts can take it.") == (
        f"Its gang mpi is placed whole or not at all: of 3 VMs, {some}. The next one: None of 1 hosts can take it."
    )


def test_a_user_at_the_limit_waits_for_one_to_end():
    limits = Limits(OrderOptions(max_placed_per_user=3), {"ann": 2})
    first = limits.refusal("ann")
    limits.count("ann")

    assert first is None
    assert limits.refusal("bob") is None
    assert limits.refusal("ann") == LeftOut(
        words="Its owner ann has 3 VMs on hosts, which is the limit; it goes on when one ends."
    )


def test_a_gang_that_is_more_than_the_limit_leaves_is_refused_whole():
    limits = Limits(OrderOptions(max_placed_per_user=5), {"ann": 3})

    assert limits.refusal("ann", 2) is None
    assert limits.refusal("ann", 4) == LeftOut(
        words=(
            "Its owner ann has 3 VMs on hosts and may have 5, too few for its gang of 4; "
            "it goes on when 2 of them have ended."
        )
    )
    assert limits.refusal("ann", 6) == LeftOut(
        words="Its gang has 6 VMs, and its owner ann may have 5 on hosts, so that it never starts."
    )


@pytest.mark.parametrize(("counts", "refused"), [([1], False), ([2], True), ([1, 1], True), ([0], False)])
def test_a_user_who_had_enough_in_a_pass_comes_in_the_next(counts, refused):
    limits = Limits(OrderOptions(max_per_pass_and_user=2), {})
    for each in counts:
        limits.count("ann", each)
    found = limits.refusal("ann")

    assert (found is not None) is refused
    assert found is None or found == LeftOut(
        words="Its owner ann got 2 VMs placed in this pass, where 2 is the limit; it is looked at in the next.",
        next_pass=True,
    )


def test_a_gang_that_is_larger_than_what_a_pass_may_place_comes_alone():
    assert Limits(OrderOptions(max_per_pass_and_user=2), {}).refusal("ann", 4) is None

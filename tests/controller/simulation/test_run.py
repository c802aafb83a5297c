"""What happens in a run, instant by instant."""

import pytest
from best_fit import BestFit, trace_of

from innkeeper_controller.scheduling.model import Placement
from innkeeper_controller.simulation.host_shapes import parse_hosts
from innkeeper_controller.simulation.placing import Move
from innkeeper_controller.simulation.run import GANG_TOO_LARGE, NO_ROOM, TOO_LARGE, Rules, run

GIB = 1024
ONE_HOST = "1x4c8g"


def go(hosts, *requests, placing=None, **rules):
    placing = placing or BestFit(hosts)
    return run(trace_of(*requests), parse_hosts(hosts), placing, rules=Rules(**rules)), placing


def course(outcome):
    """Return ``(time, cores used, MiB used, hosts used, VMs waiting)`` of each instant."""
    seen = outcome.course
    return list(zip(seen.time_s, seen.cores_used, seen.memory_used_mib, seen.hosts_used, seen.vms_waiting, strict=True))


def summary(outcome):
    return outcome.arrived, outcome.placed, outcome.waiting, outcome.failed


def test_vms_take_room_when_they_arrive_and_give_it_back_when_they_end():
    outcome, placing = go("2x4c8g", (0, 3, GIB, 100), (50, 3, 2 * GIB, None))

    assert course(outcome) == [(0, 3, 1024, 1, 0), (50, 6, 3072, 2, 0), (100, 3, 2048, 1, 0)]
    assert placing.asked == [(0, "place", 0), (50, "place", 1), (100, "end", 0)]
    assert summary(outcome) == (2, 2, 0, 0)


def test_what_ends_makes_room_for_what_arrives_at_the_same_instant():
    outcome, placing = go(ONE_HOST, (0, 4, GIB, 100), (100, 4, GIB, 100))

    assert placing.asked == [(0, "place", 0), (100, "end", 0), (100, "place", 1), (200, "end", 1)]
    assert outcome.waits_s.tolist() == [0.0, 0.0]


def test_what_does_not_fit_waits_until_something_ends_and_lives_from_then_on():
    outcome, _ = go(ONE_HOST, (0, 3, GIB, 100), (10, 2, GIB, 50))

    assert course(outcome) == [(0, 3, 1024, 1, 0), (10, 3, 1024, 1, 1), (100, 2, 1024, 1, 0), (150, 0, 0, 0, 0)]
    assert outcome.waits_s.tolist() == [0.0, 90.0]


def test_a_vm_that_waits_holds_up_nobody_behind_it():
    outcome, _ = go(ONE_HOST, (0, 3, GIB, 100), (10, 4, GIB, 10), (20, 1, GIB, 5))

    assert outcome.waits_s.tolist() == [0.0, 90.0, 0.0]


def test_those_who_wait_are_served_in_the_order_of_their_arrival():
    big, small = (4, GIB), (2, GIB)
    outcome, _ = go(ONE_HOST, (0, *big, 100), (1, *small, 10), (2, *small, 10), (3, *small, 10), (4, *big, 10))

    assert outcome.waits_s.tolist() == [0.0, 99.0, 98.0, 107.0, 116.0]


def test_thousands_that_wait_are_not_all_tried_again_when_one_vm_ends():
    waiting = [(1, 1 + number / 10_000, GIB, None) for number in range(3000)]
    outcome, placing = go("1x4c2000g", (0, 2, GIB, None), (0, 2, GIB, 50), *waiting)

    assert [asked for asked in placing.asked if asked[0] == 50] == [(50, "end", 1), (50, "place", 2)]
    assert outcome.waiting == 2999


def test_vms_of_a_kind_that_does_not_fit_are_not_tried_until_something_ends():
    _, placing = go(ONE_HOST, (0, 4, GIB, None), *[(1, 1, GIB, None)] * 100, waits=False)

    assert placing.asked == [(0, "place", 0), (1, "place", 1)]


def test_without_waiting_what_does_not_fit_fails_with_the_clause_that_kept_it_out():
    outcome, _ = go("1x4c2g", (0, 3, GIB, None), (1, 2, GIB, None), (1, 1, 2 * GIB, None, 1), waits=False)

    assert outcome.failures == {"no room: cpu": 1, "no room: memory": 1}
    assert summary(outcome) == (3, 1, 0, 2)


def test_what_fits_on_no_empty_host_fails_at_once_although_others_may_wait():
    outcome, placing = go("2x4c8g,1x2c16g", (0, 5, GIB, 1), (0, 1, 32 * GIB, 1), (0, 4, 16 * GIB, 1))

    assert outcome.failures == {TOO_LARGE: 3}
    assert placing.asked == []


def test_a_gang_starts_all_at_once_or_waits():
    outcome, placing = go("2x4c8g", (0, 1, GIB, 100), (10, 2, GIB, 50, 4))

    assert placing.asked[:2] == [(0, "place", 0), (100, "end", 0)]
    assert placing.asked[2:] == [
        *((100, "place", vm) for vm in (1, 2, 3, 4)),
        *((150, "end", vm) for vm in (1, 2, 3, 4)),
    ]
    assert outcome.waits_s.tolist() == [0.0, 90.0]
    assert summary(outcome) == (5, 5, 0, 0)


def test_a_gang_larger_than_all_hosts_together_fails_at_once():
    outcome, _ = go("2x4c8g", (0, 2, GIB, 50, 5))

    assert outcome.failures == {GANG_TOO_LARGE: 5}


def test_without_waiting_all_vms_of_a_gang_fail():
    outcome, _ = go(ONE_HOST, (0, 3, GIB, 50), (0, 1, GIB, 50, 2), waits=False)

    assert outcome.failures == {NO_ROOM: 2}


def test_a_gang_that_the_core_refuses_half_way_gives_back_what_it_took():
    class Stubborn(BestFit):
        def place(self, demand, *, now_s):
            return super().place(demand, now_s=now_s) if demand.vm_id != 1 else self.refuse(demand, now_s)

        def refuse(self, demand, now_s):
            self.free -= 100
            refusal = super().place(demand, now_s=now_s)
            self.free += 100
            return refusal

    outcome, placing = go("2x4c8g", (0, 2, GIB, 50, 2), placing=Stubborn())

    assert placing.asked == [(0, "place", 0), (0, "place", 1), (0, "end", 0)]
    assert (placing.free == placing.total).all()
    assert summary(outcome) == (2, 0, 2, 0)


def test_the_clock_stops_where_it_is_told_to():
    outcome, _ = go(ONE_HOST, (0, 3, GIB, 100), (10, 2, GIB, 50), (200, 1, GIB, 1), until_s=50)

    assert summary(outcome) == (2, 1, 1, 0)
    assert outcome.end_s == 50


def test_a_run_is_over_when_nothing_is_left_to_happen():
    outcome, _ = go(ONE_HOST, (0, 3, GIB, 100), until_s=10_000)

    assert outcome.end_s == 100


def test_a_vm_that_lives_no_time_is_there_for_an_instant():
    outcome, _ = go(ONE_HOST, (7, 1, GIB, 0))

    assert course(outcome) == [(7, 1, 1024, 1, 0), (7, 0, 0, 0, 0)]


def test_moves_of_a_policy_are_carried_out_counted_and_make_room_for_who_waits():
    moves = [Move(vm_id=2, host_id=1)]
    placing = BestFit("2x4c8g", moves={101: moves})
    outcome, placing = go(
        "2x4c8g",
        (0, 3, GIB, 100),
        (0, 1, GIB, None),
        (1, 1, GIB, None),
        (2, 4, GIB, 10),
        (101, 1, GIB, 1),
        placing=placing,
    )

    assert outcome.migrations == 1
    assert outcome.waits_s.tolist() == [0.0, 0.0, 0.0, 99.0, 0.0]


def test_a_core_that_overfills_a_host_is_found_out():
    class Careless(BestFit):
        def place(self, demand, *, now_s):
            return Placement(vm_id=demand.vm_id, host_id=1, rank=0.0, score=0.0)

    with pytest.raises(AssertionError, match="host 1 was given 2 cores more than it has"):
        go("2x4c8g", *[(0, 3, GIB, None)] * 2, placing=Careless())


def test_progress_is_heard_until_the_end():
    heard = []
    run(
        trace_of(*[(number, 1, GIB, 1) for number in range(2500)]),
        parse_hosts(ONE_HOST),
        BestFit(ONE_HOST),
        heard=lambda *said: heard.append(said),
    )

    assert heard == [(1024, 2500), (2048, 2500), (2500, 2500)]

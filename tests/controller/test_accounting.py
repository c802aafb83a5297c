"""What VMs took of hosts, and what that costs."""

from datetime import UTC, datetime

import pytest
from tests.controller.builders import ADMIN, ANN, BOB, a_site, a_vm, ask, put

from innkeeper_controller import accounting
from innkeeper_controller.accounting import Cost
from innkeeper_controller.monitoring import MAX_GUEST_SAMPLES, GuestSample, Samples
from innkeeper_controller.records import HistoryRecord
from innkeeper_plugins.vocabulary import Observation, PowerState, VmId, VmState

HOUR_S = 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def a_stay(seq=0, vm_id=0, **values):
    return HistoryRecord(
        vm_id=vm_id, seq=seq, host_id=1, host_name="h1", **({"owner": "ann", "group": "users"} | values)
    )


@pytest.mark.parametrize(
    ("from_s", "to_s", "expected"),
    [(0, None, [0, 1]), (0, 10, []), (0, 11, [0]), (20, None, [1]), (19, 21, [0, 1])],
)
def test_stays_that_touch_the_time_are_listed(from_s, to_s, expected):
    records = [a_stay(1, began_at_s=20.0), a_stay(0, began_at_s=10.0, ended_at_s=20.0)]

    assert [each.seq for each in accounting.overlapping(records, from_s, to_s)] == expected


def test_costs_are_told_by_month_and_memory_costs_while_the_guest_runs():
    stay = a_stay(
        began_at_s=at("2026-10-31T22:00"),
        ended_at_s=at("2026-11-01T03:00"),
        running_began_s=at("2026-10-31T23:00"),
        running_ended_s=at("2026-11-01T02:00"),
        vm_name="web",
        cpu_cores=2.0,
        memory_mib=100,
        disks_mib=10,
        cpu_cost=0.5,
        memory_cost=0.01,
        disk_cost=0.1,
    )
    who = {"vm_id": 0, "vm_name": "web", "owner": "ann", "group": "users", "year": 2026}

    assert accounting.showback([stay], 0.0, at("2026-12-01T00:00")) == [
        Cost(**who, month=10, cpu_cost=1.0, memory_cost=1.0, disk_cost=2.0, hours=2.0, running_hours=1.0),
        Cost(**who, month=11, cpu_cost=2.0, memory_cost=2.0, disk_cost=3.0, hours=3.0, running_hours=2.0),
    ]


def test_stays_of_one_vm_in_one_month_are_added_up_and_what_goes_on_counts_until_now():
    stays = [
        a_stay(0, began_at_s=0.0, ended_at_s=HOUR_S, running_began_s=0.0, running_ended_s=HOUR_S),
        a_stay(1, began_at_s=HOUR_S, running_began_s=HOUR_S),
    ]
    (row,) = accounting.showback(stays, 0.0, 4 * HOUR_S)

    assert (row.year, row.month, row.hours, row.running_hours) == (1970, 1, 4.0, 4.0)


@pytest.mark.parametrize(
    ("user", "params", "expected"),
    [
        (ADMIN, {}, [0, 1]),
        (ADMIN, {"owner": "bob"}, [1]),
        (ANN, {}, [0]),
        (BOB, {"owner": "ann"}, []),
        (ADMIN, {"vm_id": 0}, [0]),
    ],
)
def test_everybody_sees_the_stays_of_their_own_vms(user, params, expected):
    reactor = a_site()
    for vm_id, owner in enumerate(("ann", "bob")):
        a_vm(reactor, VmState.RUNNING)
        put(reactor, a_stay(vm_id=vm_id, began_at_s=10.0, owner=owner, group=owner))
    found = ask(reactor, "vm.accounting", user=user, **params)

    assert [each.vm_id for each in found.records] == expected


def test_months_may_be_left_open():
    reactor = a_site()
    a_vm(reactor, VmState.RUNNING)
    put(reactor, a_stay(began_at_s=0.0))
    everything = ask(reactor, "vm.showback", now_s=HOUR_S)
    later = ask(reactor, "vm.showback", now_s=HOUR_S, from_month=2, from_year=1970)

    assert ([each.hours for each in everything.rows], later.rows) == ([1.0], ())


def test_samples_of_a_guest_are_bounded_and_say_how_much_of_a_core_it_took():
    samples = Samples()
    for number in range(MAX_GUEST_SAMPLES + 5):
        guest = Observation(
            vm_id=VmId(1), generation=1, power=PowerState.RUNNING, cpu_time_s=15.0 * number, memory_mib=64
        )
        samples.add_guest(VmId(1), guest, 60.0 * number)
        samples.add_guest(VmId(1), guest, 60.0 * number + 1)
    found = samples.of_guest(VmId(1))

    assert len(found) == MAX_GUEST_SAMPLES
    assert found[-1] == GuestSample(at_s=1200.0, cpu_time_s=300.0, cpu_percent=25.0, memory_mib=64)

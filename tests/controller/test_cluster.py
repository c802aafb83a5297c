"""The state in memory: what records are counted in which index, and that taking a change back leaves no trace."""

import itertools
import random

import msgspec
from tests.controller.builders import (
    BARE,
    NOW_S,
    SEALED_DISK,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    change,
    finish,
    picture,
    put,
    say,
    submit,
    turn_of,
)

from innkeeper_controller import leases
from innkeeper_controller.cluster import Cluster, changed_fields, key_of, tell_again
from innkeeper_controller.records import (
    KIND_OF,
    KINDS,
    AddressRange,
    HistoryRecord,
    HostState,
    Leg,
    Operation,
    OperationKind,
    OperationStatus,
    Plan,
)
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import Capacity, HostId, OperationId, VmId, VmState

replace = msgspec.structs.replace


def an_operation(number=0, subject="vm:0", **values):
    return Operation(
        operation_id=OperationId(f"o{number}"),
        kind=OperationKind.SUSPEND,
        subject=subject,
        origin="RUNNING",
        plan=Plan(legs=(Leg(host_id=HostId(1), steps=()),)),
        **values,
    )


def rebuilt(cluster):
    """Return a cluster filled from the records of another, as at a start."""
    again = Cluster()
    again.load_records([record for word in KINDS for record in cluster.table(word).values()], dict(cluster.last_ids))
    return again


def free_addresses(reactor, network, count):
    """Take that many addresses and return their offsets."""
    turn = turn_of(reactor)
    taken = [leases.take(turn, network, vm_id=VmId(0), nic_id=number) for number in range(count)]
    return [(each.range_index, each.offset) for each in taken]


def test_a_vm_takes_capacity_only_in_the_states_that_hold_it():
    holding = {}
    for state in VmState:
        reactor = a_site()
        if state is not VmState.DONE:
            a_vm(reactor, state)
            holding[state] = reactor.cluster.used.get(HostId(1), Capacity()) != Capacity()

    without = {VmState.PENDING, VmState.HOLD, VmState.STOPPED, VmState.UNDEPLOYED}
    assert holding == {state: state not in without for state in VmState if state is not VmState.DONE}


def test_a_vm_that_moves_takes_capacity_where_it_is_and_where_it_goes():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    change(reactor, vm, destination_id=HostId(2))

    one = Capacity(cpu_cores=1.0, memory_mib=512)
    assert reactor.cluster.used == {HostId(1): one, HostId(2): one}
    assert reactor.cluster.vms_on == {HostId(1): {0}, HostId(2): {0}}


def test_sums_of_fractions_of_cores_come_back_to_nothing_in_whatever_order_vms_go():
    reactor = a_site()
    vms = [
        a_vm(reactor, template=f"CPU = {cpu}\nMEMORY = 1\n")
        for cpu in (0.1, 0.2, 0.3, 0.7, 0.3333333, 0.6666667, 0.1000005, 0.2000005, 0.0100005)
    ]
    random.Random(1).shuffle(vms)
    for vm in vms:
        change(reactor, vm, state=VmState.DONE)

    assert reactor.cluster.used == {HostId(1): Capacity()}


def test_the_same_vms_take_the_same_capacity_whether_they_came_one_by_one_or_from_the_store():
    template = "CPU = {}\nMEMORY = 1\n"
    for order in itertools.permutations(("0.1000005", "0.2000005", "0.3000005")):
        reactor = a_site()
        for cpu in order:
            a_vm(reactor, template=template.format(cpu))

        assert picture(rebuilt(reactor.cluster))["used"] == picture(reactor.cluster)["used"]


def test_a_cluster_from_the_store_has_the_indexes_of_the_one_that_lived():
    reactor = a_site()
    for state in (VmState.RUNNING, VmState.STOPPED, VmState.FAILED, VmState.PENDING, VmState.SUSPENDED):
        a_vm(reactor, state)
    ask(reactor, "vm.suspend", vm_id=0)
    ask(reactor, "vm.terminate", vm_id=4)
    ask(reactor, "network.hold", network="lan", address="10.0.0.9")

    live, again = reactor.cluster, rebuilt(reactor.cluster)
    assert picture(again) == picture(live)


def test_taking_back_the_start_of_an_operation_leaves_nothing_of_it():
    reactor = a_site()
    vm = a_vm(reactor)
    before = picture(reactor.cluster)
    turn = turn_of(reactor)
    turn.put(an_operation())
    turn.put(replace(vm, operation_id=OperationId("o0")))
    turn.take_back()

    assert picture(reactor.cluster) == before
    assert (turn.changes, turn.events, turn.sends) == ([], [], [])


def test_taking_back_any_change_of_any_record_leaves_nothing_of_it():
    reactor = a_site()
    a_vm(reactor)
    before = picture(reactor.cluster)
    turn = turn_of(reactor)
    for word in ("host", "image", "network", "lease", "vm", "user", "datastore"):
        for record in list(reactor.cluster.table(word).values()):
            turn.drop(record)
    turn.take_back()

    assert picture(reactor.cluster) == before


def test_a_number_is_never_given_twice_even_where_its_record_is_gone():
    reactor = a_site()
    network = reactor.cluster.networks[0]
    ask(reactor, "network.delete", network="lan")

    assert reactor.cluster.next_id("network") == network.network_id + 1
    assert ask(reactor, "network.add", name="lan", ranges=({"size": 1, "ip": "10.9.0.1"},)).network_id == 1


def test_ids_of_operations_are_counted_as_numbers():
    reactor = a_site()
    put(reactor, an_operation(9, status=OperationStatus.DONE), an_operation(10, status=OperationStatus.DONE))

    assert reactor.cluster.next_id("operation") == 11


def test_a_vm_is_found_waiting_only_while_it_is_pending():
    reactor = a_site()
    vm = submit(reactor)
    seen = [list(reactor.cluster.pending)]
    for state in (VmState.PENDING, VmState.PROLOG, VmState.PENDING, VmState.DONE):
        change(reactor, vm, state=state)
        seen.append(list(reactor.cluster.pending))

    assert seen == [[], [0], [], [0], []]


def test_names_and_keys_are_found_until_they_are_given_up():
    reactor = a_reactor(a_host(1), an_image(3), a_network(4))
    cluster = reactor.cluster
    found = (dict(cluster.host_ids), dict(cluster.host_of_key), dict(cluster.image_ids), dict(cluster.network_ids))
    change(reactor, cluster.hosts[1], public_key="new")
    keys = dict(cluster.host_of_key)
    for record in (cluster.hosts[1], cluster.images[3], cluster.networks[4]):
        turn_of(reactor).drop(record)

    assert found == ({"h1": 1}, {"h1": 1}, {"tiny": 3}, {"lan": 4})
    assert keys == {"new": 1}
    assert (cluster.host_ids, cluster.host_of_key, cluster.image_ids, cluster.network_ids) == ({}, {}, {}, {})


def test_an_ended_operation_is_let_go_once_its_vm_has_a_newer_one_or_is_gone():
    reactor = a_site()
    vm = a_vm(reactor)
    known = []
    for verb in ("suspend", "resume", "terminate"):
        ask(reactor, f"vm.{verb}", vm_id=vm.vm_id)
        finish(reactor, vm)
        known.append(set(reactor.cluster.operations))

    assert known == [{"o0"}, {"o1"}, set()]


def test_an_ended_operation_is_let_go_once_its_image_has_a_newer_one_or_is_gone():
    reactor = a_site()
    image = reactor.cluster.images[0]
    done, newer = (an_operation(number, "image:0", status=OperationStatus.DONE) for number in (0, 1))
    put(reactor, done, replace(image, operation_id=done.operation_id))
    put(reactor, newer, replace(image, operation_id=newer.operation_id))
    known = set(reactor.cluster.operations)
    turn_of(reactor).drop(reactor.cluster.images[0])

    assert known == {"o1"}
    assert reactor.cluster.operations == {}


def test_addresses_are_given_out_from_the_lowest_on_over_several_ranges():
    network = a_network(ranges=(AddressRange(size=2, ip="10.0.0.1"), AddressRange(size=1, ar_id=1, ip="10.0.9.1")))
    reactor = a_reactor(network)

    assert free_addresses(reactor, network, 3) == [(0, 0), (0, 1), (1, 0)]


def test_an_address_that_was_given_back_is_the_next_only_if_it_is_the_lowest():
    network = a_network()
    reactor = a_reactor(network)
    free_addresses(reactor, network, 3)
    ask(reactor, "network.hold", network="lan", address="10.0.0.9")
    ask(reactor, "network.release", network="lan", address="10.0.0.9")

    assert free_addresses(reactor, network, 2) == [(0, 3), (0, 4)]


def test_addresses_stay_lowest_first_whatever_is_taken_and_given_back():
    chance = random.Random(7)
    network = a_network(ranges=(AddressRange(size=4, ip="10.0.0.1"), AddressRange(size=5, ar_id=1, ip="10.0.9.1")))
    every = [(0, offset) for offset in range(4)] + [(1, offset) for offset in range(5)]
    for _ in range(50):
        reactor = a_reactor(network)
        turn, taken = turn_of(reactor), set()
        for _ in range(40):
            free = [each for each in every if each not in taken]
            if taken and (not free or chance.random() < 0.4):
                place = chance.choice(sorted(taken))
                turn.drop(reactor.cluster.leases[f"0.{place[0]}.{place[1]}"])
                taken.discard(place)
            elif chance.random() < 0.3:
                place = chance.choice(free)
                ip = f"10.0.{9 * place[0]}.{place[1] + 1}"
                leases.take(turn, network, vm_id=VmId(0), nic_id=0, ip=ip)
                taken.add(place)
            else:
                lease = leases.take(turn, network, vm_id=VmId(0), nic_id=0)
                assert (lease.range_index, lease.offset) == free[0]
                taken.add(free[0])


def test_what_is_logged_of_a_change_tells_the_record_again():
    reactor = a_site()
    records = [record for word in KINDS for record in reactor.cluster.table(word).values()]
    records += [a_vm(reactor, VmState.STOPPED, sealed=(SEALED_DISK,)), an_operation(5)]
    for record in records:
        fields = msgspec.json.decode(msgspec.json.encode(changed_fields(None, record)))
        assert tell_again(KIND_OF[type(record)], None, fields) == record


def test_only_what_differs_is_logged_and_telling_it_again_gives_the_new_record():
    reactor = a_site()
    vm = a_vm(reactor)
    new = replace(vm, state=VmState.UNKNOWN, since_s=5.0, operation_id=None, host_id=None)
    fields = changed_fields(vm, new)

    assert fields == {"state": VmState.UNKNOWN, "since_s": 5.0, "host_id": None}
    assert tell_again("vm", vm, msgspec.json.decode(msgspec.json.encode(fields))) == new
    assert tell_again("vm", vm, None) is None


def test_every_kind_of_record_has_its_key():
    reactor = a_site()
    a_vm(reactor)
    keys = {word: list(reactor.cluster.table(word)) for word in KINDS}

    assert {word: [key_of(each) for each in reactor.cluster.table(word).values()] for word in KINDS} == keys


def test_what_a_host_lost_is_nothing_that_somebody_waits_for():
    reactor = a_site()
    freed = {}
    host = reactor.cluster.hosts[HostId(1)]
    for word, values in {
        "nothing": {},
        "lost": {"connected": False, "lost_at_s": NOW_S},
        "back": {"connected": True, "lost_at_s": None},
        "disabled": {"state": HostState.DISABLED},
        "enabled": {"state": HostState.ON},
        "token": {"join_token_sha256": "x"},
        "larger": {"advertisement": replace(host.advertisement, capacity=Capacity(cpu_cores=64, memory_mib=1))},
    }.items():
        reactor.cluster.freed = False
        host = change(reactor, host, **values)
        reactor.cluster.take_hopes(NOW_S)
        freed[word] = reactor.cluster.freed

    assert freed == {
        "nothing": False,
        "lost": False,
        "back": True,
        "disabled": False,
        "enabled": True,
        "token": False,
        "larger": True,
    }


def test_a_vm_that_leaves_a_host_lets_others_hope_and_one_that_comes_does_not():
    reactor = a_site()
    reactor.cluster.freed = False
    vm = a_vm(reactor, template=BARE)
    came = reactor.cluster.freed
    change(reactor, vm, state=VmState.DONE)

    assert (came, reactor.cluster.freed) == (False, True)


def test_nothing_is_remembered_of_hosts_and_networks_that_are_gone():
    reactor = a_reactor(a_host(1), a_network())
    say(reactor, 1, Heartbeat(cpu_used_cores=1, memory_used_mib=1))
    for verb in ("hold", "release"):
        ask(reactor, f"network.{verb}", network="lan", address="10.0.0.1")
    submit(reactor, "MEMORY = 1\nNIC = [ NETWORK = lan ]\n")
    ask(reactor, "vm.terminate", vm_id=0)
    ask(reactor, "host.delete", host="h1")
    ask(reactor, "network.delete", network="lan")
    say(reactor, 1, Heartbeat(cpu_used_cores=1, memory_used_mib=1))

    cluster = reactor.cluster
    assert (cluster.heard_at_s, cluster.load, cluster.given_back, cluster.lease_cursor) == ({}, {}, {}, {})


def test_stays_of_a_vm_are_there_again_when_its_end_is_taken_back():
    reactor = a_site()
    cluster, vm = reactor.cluster, a_vm(reactor)
    put(reactor, *(HistoryRecord(vm_id=vm.vm_id, seq=seq, host_id=HostId(1), host_name="h1") for seq in (0, 1)))
    before = dict(cluster.history_of), dict(cluster.history_records)
    turn = turn_of(reactor)
    turn.put(replace(vm, state=VmState.DONE))
    ended = dict(cluster.history_of), dict(cluster.history_records)
    turn.take_back()

    assert ended == ({}, {})
    assert (cluster.history_of, cluster.history_records) == before

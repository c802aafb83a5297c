"""Where VMs go on two real hosts, why others wait, and that what was planned, told or promised is what happens."""

import json
from contextlib import contextmanager

import pytest
from configuration import TEMPLATE
from guest import KERNEL_CMDLINE
from machines import LabError
from waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

APART = 'PLACEMENT_GROUP = "quorum"\nANTI_AFFINITY = [ GROUP = "quorum" ]\n'


def template(name, more="", *, cpu="0.5"):
    text = TEMPLATE.format(name=name, cmdline=KERNEL_CMDLINE, image="disk", machine="pc")
    return text.replace("CPU = 0.5", f"CPU = {cpu}") + more


def submit(cluster, name, more="", *, count=1, **options):
    """Submit VMs that the scheduler is to place, and return their numbers."""
    text = template(name, more, **options)
    return cluster.inn("vm", "submit", "-", "--count", str(count), typed=text)["vm_ids"]


def obstacles(cluster, vm_id):
    """Return ``{host: {clause: words}}``."""
    hosts = cluster.inn("vm", "why", str(vm_id), "--all")["hosts"]
    return {host["host"]: dict(host.get("obstacles", ())) for host in hosts}


def is_in(cluster, state):
    return lambda vm_id: cluster.show(vm_id)["state"] == state


@pytest.fixture
def vacant(cluster):
    """Give a cluster without any VM."""
    cluster.evict()
    cluster.terminate_all()
    return cluster


@contextmanager
def given_away(cluster, host, **allowances):
    """Let so much of a host be given away meanwhile."""
    words = {f"--{name.replace('_', '-')}": str(value) for name, value in allowances.items()}
    cluster.inn("host", "set", host.name, *(word for pair in words.items() for word in pair))
    try:
        yield
    finally:
        cluster.inn("host", "set", host.name, *(word for name in words for word in (name, "none")))


@contextmanager
def closed(cluster, *hosts):
    """Let no VM come to these hosts meanwhile."""
    for host in hosts:
        cluster.inn("host", "disable", host.name)
    try:
        yield
    finally:
        for host in hosts:
            cluster.inn("host", "enable", host.name)


def test_vms_that_keep_apart_run_on_a_host_each_and_one_more_waits_for_the_end_of_another(vacant):
    cluster = vacant
    first, second, third = submit(cluster, "peer", APART, count=3)
    homes = {vm_id: cluster.wait(vm_id)["host"] for vm_id in (first, second)}
    waiting, why = cluster.show(third), obstacles(cluster, third)

    assert waiting["state"] == "PENDING"
    assert sorted(homes.values()) == ["h1", "h2"]
    for vm_id, host in homes.items():
        assert cluster.where(vm_id) == [host]
        assert list(why[host]) == ["anti-affinity"]
        assert f"VM {vm_id}" in why[host]["anti-affinity"]

    cluster.do("terminate", first, "--hard")

    assert cluster.wait(third)["host"] == homes[first]


def test_a_vm_that_wants_to_be_in_the_rack_of_another_waits_for_that_rack(vacant):
    cluster = vacant
    near, far = cluster.lab.hosts
    for host, rack in ((near, "r1"), (far, "r2")):
        cluster.inn("host", "update", host.name, "-", typed=f'RACK = "{rack}"\n')
    database = cluster.deploy("database", far, more='PLACEMENT_GROUP = "db"\n')
    cluster.wait(database)
    with closed(cluster, far):
        (beside,) = submit(cluster, "beside", 'AFFINITY = [ GROUP = "db", SCOPE = rack ]\n')
        (away,) = submit(cluster, "away", 'ANTI_AFFINITY = [ GROUP = "db", SCOPE = rack ]\n')
        cluster.wait(away)
        waiting, why = cluster.show(beside), obstacles(cluster, beside)

    assert waiting["state"] == "PENDING"
    assert {host: list(clauses) for host, clauses in why.items()} == {"h1": ["affinity"], "h2": ["host state"]}
    assert [cluster.wait(vm_id)["host"] for vm_id in (away, beside)] == ["h1", "h2"]


def test_who_has_priority_is_first_and_who_gave_up_waiting_waits_again_until_more_is_given_away(vacant):
    cluster = vacant
    host, other = cluster.lab.hosts
    with closed(cluster, other):
        with closed(cluster, host):
            (late,) = submit(cluster, "late", "PENDING_TIMEOUT = 4\n", cpu=2)
            (soon,) = submit(cluster, "soon", "SCHED_PRIORITY = 9\n", cpu=2)
        cluster.wait(soon)
        cluster.inn("vm", "wait", str(late), "--for", "FAILED", "--timeout", "60s")
        failed = cluster.inn_text("vm", "why", str(late))
        cluster.inn("vm", "recover", str(late), "--retry", "--no-wait")
        again, why = cluster.show(late), obstacles(cluster, late)["h1"]
        with given_away(cluster, host, cpu_ratio=1.5):
            more = obstacles(cluster, late)["h1"]
        with given_away(cluster, host, cpu_ratio=2):
            started = cluster.wait(late)
            findings = cluster.inn("verify")["findings"]

    assert "It was PENDING for 4 s, its limit" in " ".join(failed.split())
    assert again["state"] == "PENDING"
    assert list(why) == ["cpu"]
    assert "1 of 3 (2 in all, ratio 1.5) are free" in more["cpu"]
    assert (started["host"], cluster.show(soon)["host"]) == ("h1", "h1")
    assert findings == []


def test_as_many_fit_as_promised_and_a_drained_host_goes_as_planned_but_not_by_a_plan_of_before(cluster, resident):
    home = cluster.home(resident)
    away = cluster.other(home)
    before = cluster.status(resident)
    old = cluster.inn("plan", "drain", home.name)
    with given_away(cluster, home, cpu_reserved=0.5), given_away(cluster, away, cpu_reserved=1):
        room = cluster.inn("capacity", "--template", "-", typed=template("more", cpu=1))
        vm_ids = submit(cluster, "more", cpu=1, count=room["fits"] + 1)
        for vm_id in vm_ids[:-1]:
            cluster.wait(vm_id)
        beyond = cluster.show(vm_ids[-1])["state"]
    with pytest.raises(LabError, match="stale"):
        cluster.inn("plan", "apply", "-", typed=json.dumps(old))
    cluster.inn("vm", "terminate", *map(str, vm_ids), "--hard", "--wait", "--timeout", "120s")
    # The other host has the image now: it was fetched there.
    lost = cluster.inn("plan", "lose", home.name)
    plan = cluster.inn("plan", "drain", home.name)
    try:
        cluster.inn("plan", "apply", "-", typed=json.dumps(plan))
        eventually(lambda: cluster.where(resident) == [away.name], "the guest on the other host alone")
        cluster.wait(resident)
    finally:
        cluster.inn("host", "enable", home.name)

    assert [(move["vm_id"], move["host"], move["live"]) for move in old["moves"]] == [(resident, away.name, True)]
    assert (lost["holds"], [each["host"] for each in lost["survivors"]]) == (True, [away.name])
    assert (room["fits"], room["runs_out"], beyond) == (2, "cpu", "PENDING")
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_guests_that_are_gathered_on_one_host_run_on_and_leave_the_other_one_empty(cluster, resident):
    neighbour = cluster.boot("neighbour", host=cluster.other(cluster.home(resident)))
    vm_ids = sorted((resident, neighbour))
    before = {vm_id: cluster.status(vm_id)["boot_id"] for vm_id in vm_ids}
    plan = cluster.inn("balance", "--plan", "--goal", "consolidate")
    still = sorted(cluster.where(vm_id) for vm_id in vm_ids)
    (move,) = plan["moves"]
    with cluster.following(f"vm:{move['vm_id']}") as events:
        cluster.inn("balance", "--apply", "-", typed=json.dumps(plan))
        events.until("operation.done", kind="migrate_live")

    assert still == [["h1"], ["h2"]]
    assert [cluster.where(vm_id) for vm_id in vm_ids] == [[move["target"]]] * 2
    assert {vm_id: cluster.status(vm_id)["boot_id"] for vm_id in vm_ids} == before
    cluster.do("terminate", neighbour, "--hard")

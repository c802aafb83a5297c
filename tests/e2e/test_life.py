"""The life of VMs on two real hosts, from the template to the last file."""

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_guest_boots_with_the_name_and_address_that_were_leased_to_it(cluster):
    vm_id = cluster.boot("first")
    nic = cluster.show(vm_id)["nics"][0]
    status = cluster.status(vm_id)

    assert (status["name"], status["ip"], status["mac"], status["boots"]) == ("first", nic["ip"], nic["mac"], "1")
    assert cluster.leases() == [{"ip": nic["ip"], "mac": nic["mac"], "vm_id": vm_id, "nic_id": 0}]


def test_the_console_shows_what_the_guest_prints(cluster):
    vm_id = cluster.submit("talker")
    cluster.wait(vm_id)

    assert "INNKEEPER-GUEST-READY name=talker" in cluster.inn_text(
        "vm", "console", str(vm_id), "--until", "boots=1", "--timeout", "150s"
    )


def test_guests_on_two_hosts_reach_each_other(cluster):
    first, second = (cluster.boot(f"guest-{host.name}", host=host) for host in cluster.lab.hosts)
    addresses = [cluster.show(vm_id)["ips"][0] for vm_id in (first, second)]

    assert [cluster.where(first), cluster.where(second)] == [["h1"], ["h2"]]
    assert cluster.get(first, f"ping?{addresses[1]}") == "reachable\n"
    assert cluster.get(second, f"ping?{addresses[0]}") == "reachable\n"


def test_a_suspended_guest_goes_on_where_it_was(cluster):
    vm_id = cluster.boot("sleeper")
    before = cluster.status(vm_id)
    suspended = cluster.do("suspend", vm_id)
    silent = cluster.get(vm_id, "status")

    resumed = cluster.do("resume", vm_id)

    assert (suspended["state"], silent, resumed["state"]) == ("SUSPENDED", "", "RUNNING")
    assert resumed["host"] == suspended["host"]
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]


def test_a_stopped_guest_goes_on_on_the_other_host_with_its_memory_and_its_disk(cluster):
    vm_id = cluster.boot("traveller")
    cluster.get(vm_id, "write?luggage")
    before, home = cluster.status(vm_id), cluster.show(vm_id)["host"]
    stopped = cluster.do("stop", vm_id)
    cluster.inn("host", "disable", home)
    try:
        cluster.inn("vm", "resume", str(vm_id))
        resumed = cluster.wait(vm_id)
    finally:
        cluster.inn("host", "enable", home)

    assert stopped["state"] == "STOPPED"
    assert resumed["host"] == cluster.other(home).name
    assert cluster.where(vm_id) == [resumed["host"]]
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]
    assert cluster.get(vm_id, "write") == "luggage\n"
    assert {place.split(":")[0] for place in cluster.files(vm_id)} == {resumed["host"]}


@pytest.mark.parametrize("image", ["disk", "shared-disk"])
def test_a_running_guest_moves_to_the_other_host_and_back_without_a_restart(cluster, image):
    vm_id = cluster.boot("mover", image=image)
    cluster.get(vm_id, "write?before")
    before, home = cluster.status(vm_id), cluster.show(vm_id)["host"]
    there = cluster.do("migrate", vm_id, cluster.other(home).name, "--live")
    cluster.get(vm_id, "write?there")
    on_the_way = cluster.where(vm_id)
    back = cluster.do("migrate", vm_id, home, "--live")

    assert (there["host"], on_the_way, back["host"]) == (cluster.other(home).name, [cluster.other(home).name], home)
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]
    assert cluster.get(vm_id, "write") == "before\nthere\n"


def test_a_cold_migration_moves_the_memory_too(cluster):
    vm_id = cluster.boot("mover")
    before, home = cluster.status(vm_id), cluster.show(vm_id)["host"]
    moved = cluster.do("migrate", vm_id)

    assert moved["host"] == cluster.other(home).name
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]


def test_a_guest_that_was_powered_off_boots_again_from_its_own_disk(cluster):
    vm_id = cluster.boot("early-bird")
    off = cluster.do("poweroff", vm_id)
    cluster.do("resume", vm_id)

    assert off["state"] == "POWEROFF"
    assert cluster.status(vm_id)["boots"] == "2"


def test_an_undeployed_guest_boots_again_on_the_other_host(cluster):
    vm_id = cluster.boot("nomad")
    home = cluster.show(vm_id)["host"]
    gone = cluster.do("undeploy", vm_id)
    cluster.inn("host", "disable", home)
    try:
        cluster.inn("vm", "resume", str(vm_id))
        cluster.wait(vm_id)
    finally:
        cluster.inn("host", "enable", home)

    assert gone["state"] == "UNDEPLOYED"
    assert cluster.show(vm_id)["host"] == cluster.other(home).name
    assert cluster.status(vm_id)["boots"] == "2"


def test_a_rebooted_guest_comes_back_on_its_own_disk(cluster):
    vm_id = cluster.boot("again")
    before = cluster.status(vm_id)
    cluster.do("reboot", vm_id)
    after = cluster.changed_status(vm_id, "boot_id", before["boot_id"])

    assert (after["boots"], after["ip"]) == ("2", before["ip"])


def test_a_drained_host_loses_its_guests_to_the_other_one_alive(cluster):
    first, second = cluster.lab.hosts
    vm_id = cluster.boot("tenant", host=first)
    before = cluster.status(vm_id)
    cluster.inn("host", "drain", first.name)
    try:
        cluster.arrived(vm_id, second)
    finally:
        cluster.inn("host", "enable", first.name)

    assert cluster.where(vm_id) == ["h2"]
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]


def test_nothing_is_left_of_a_terminated_vm(cluster):
    vm_id = cluster.boot("guest")
    before = cluster.files(vm_id)
    ended = cluster.do("terminate", vm_id)

    assert before != []
    assert (ended["state"], cluster.where(vm_id), cluster.files(vm_id)) == ("DONE", [], [])
    assert cluster.leases() == []


def test_one_command_rules_many_guests(cluster):
    vm_ids = [str(cluster.submit(f"crowd-{number}")) for number in range(4)]
    cluster.inn("vm", "wait", *vm_ids, "--timeout", "240s")
    for vm_id in vm_ids:
        cluster.status(int(vm_id))
    for verb, state in (("suspend", "SUSPENDED"), ("resume", "RUNNING")):
        cluster.inn("vm", verb, *vm_ids, "--wait", "--timeout", "240s")

        assert {vm["state"] for vm in cluster.inn("vm", "list")} == {state}

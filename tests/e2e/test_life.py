"""The life of VMs on two real hosts, from the template to the last file."""

import hashlib
import os
from contextlib import contextmanager

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@contextmanager
def closed(cluster, host):
    """Let no VM come to that host meanwhile."""
    cluster.inn("host", "disable", host.name)
    try:
        yield
    finally:
        cluster.inn("host", "enable", host.name)


def test_a_guest_boots_with_the_name_and_address_that_were_leased_to_it(cluster):
    vm_id = cluster.boot("first")
    nic = cluster.show(vm_id)["nics"][0]
    status = cluster.status(vm_id)

    assert (status["name"], status["ip"], status["mac"], status["boots"]) == ("first", nic["ip"], nic["mac"], "1")
    assert {"ip": nic["ip"], "mac": nic["mac"], "vm_id": vm_id, "nic_id": 0} in cluster.leases()
    assert len(cluster.where(vm_id)) == 1


def test_guests_on_two_hosts_reach_each_other(cluster, resident):
    other = cluster.boot("neighbour", host=cluster.other(cluster.home(resident)))
    addresses = {vm_id: cluster.show(vm_id)["ips"][0] for vm_id in (resident, other)}

    assert cluster.where(resident) != cluster.where(other)
    assert cluster.get(resident, f"ping?{addresses[other]}") == "reachable\n"
    assert cluster.get(other, f"ping?{addresses[resident]}") == "reachable\n"
    assert "name=neighbour" in cluster.get(resident, f"fetch?{addresses[other]}")
    assert "name=resident" in cluster.get(other, f"fetch?{addresses[resident]}")


def test_a_suspended_guest_goes_on_where_it_was(cluster, resident):
    before = cluster.status(resident)
    suspended = cluster.do("suspend", resident)
    silent = cluster.get(resident, "status")
    resumed = cluster.do("resume", resident)

    assert (suspended["state"], silent, resumed["state"]) == ("SUSPENDED", "", "RUNNING")
    assert resumed["host"] == suspended["host"]
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_a_stopped_guest_goes_on_on_the_other_host_with_its_memory_and_its_disk(cluster, resident):
    kept = cluster.get(resident, "write?luggage")
    before, home = cluster.status(resident), cluster.home(resident)
    stopped = cluster.do("stop", resident)
    with closed(cluster, home):
        cluster.begin("resume", resident)
        resumed = cluster.wait(resident)

    assert stopped["state"] == "STOPPED"
    assert resumed["host"] == cluster.other(home).name
    assert cluster.where(resident) == [resumed["host"]]
    assert cluster.status(resident)["boot_id"] == before["boot_id"]
    assert cluster.get(resident, "write") == kept
    assert {place.split(":")[0] for place in cluster.files(resident)} == {resumed["host"]}


@pytest.mark.parametrize("image", ["disk", "shared-disk"])
def test_a_running_guest_moves_to_the_other_host_and_back_without_a_restart(cluster, request, image):
    vm_id = request.getfixturevalue("resident") if image == "disk" else cluster.boot("mover", image=image)
    begun = cluster.get(vm_id, "write?before")
    before, home = cluster.status(vm_id), cluster.home(vm_id)
    away = cluster.other(home)
    there = cluster.do("migrate", vm_id, away.name, "--live")
    cluster.get(vm_id, "write?there")
    on_the_way = cluster.where(vm_id)
    back = cluster.do("migrate", vm_id, home.name, "--live")

    assert (there["host"], on_the_way, back["host"]) == (away.name, [away.name], home.name)
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]
    assert cluster.get(vm_id, "write") == f"{begun}there\n"


def test_a_cold_migration_moves_the_memory_too(cluster, resident):
    before, home = cluster.status(resident), cluster.home(resident)
    moved = cluster.do("migrate", resident)

    assert moved["host"] == cluster.other(home).name
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_a_suspended_guest_moves_at_rest_and_goes_on_there(cluster, resident):
    before, home = cluster.status(resident), cluster.home(resident)
    cluster.do("suspend", resident)
    moved = cluster.do("migrate", resident, cluster.other(home).name)
    cluster.do("resume", resident)

    assert (moved["state"], moved["host"]) == ("SUSPENDED", cluster.other(home).name)
    assert cluster.where(resident) == [moved["host"]]
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_a_guest_that_was_powered_off_boots_again_from_its_own_disk(cluster, resident):
    before = cluster.status(resident)
    off = cluster.do("poweroff", resident)
    silent = cluster.get(resident, "status")
    cluster.do("resume", resident)
    after = cluster.status(resident, boot_id=before["boot_id"])

    assert (off["state"], silent) == ("POWEROFF", "")
    assert int(after["boots"]) == int(before["boots"]) + 1


def test_an_undeployed_guest_boots_again_on_the_other_host(cluster, resident):
    before, home = cluster.status(resident), cluster.home(resident)
    gone = cluster.do("undeploy", resident)
    nowhere = cluster.where(resident)
    with closed(cluster, home):
        cluster.begin("resume", resident)
        cluster.wait(resident)
    after = cluster.status(resident, boot_id=before["boot_id"])

    assert (gone["state"], nowhere) == ("UNDEPLOYED", [])
    assert cluster.home(resident) is cluster.other(home)
    assert int(after["boots"]) == int(before["boots"]) + 1


@pytest.mark.parametrize("how", [(), ("--hard",)], ids=["asked", "reset"])
def test_a_rebooted_guest_comes_back_on_its_own_disk(cluster, resident, how):
    before = cluster.status(resident)
    cluster.do("reboot", resident, *how)
    after = cluster.status(resident, boot_id=before["boot_id"])

    assert (int(after["boots"]), after["ip"]) == (int(before["boots"]) + 1, before["ip"])


def test_a_drained_host_loses_its_guests_to_the_other_one_alive(cluster, resident):
    before, home = cluster.status(resident), cluster.home(resident)
    with cluster.following(f"vm:{resident}") as events:
        cluster.inn("host", "drain", home.name)
        try:
            events.until("operation.done", kind="migrate_live")
        finally:
            cluster.inn("host", "enable", home.name)

    assert cluster.where(resident) == [cluster.other(home).name]
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_an_image_comes_to_a_host_from_the_one_that_has_it(cluster):
    home, far = cluster.lab.hosts
    file = cluster.lab.directory / "cargo.img"
    file.write_bytes(os.urandom(3 << 20))
    cluster.inn("image", "add", "cargo", "--file", str(file), "--format", "raw", "--host", home.name)
    vm_id = cluster.deploy("carrier", far, more='DISK = [ IMAGE = "cargo" ]\n')
    cluster.wait(vm_id)
    cargo = cluster.inn("image", "show", "cargo")
    arrived = far.directory / "srv" / "datastore" / "images" / cargo["sha256"]

    assert f"agent fetch sha256:{cargo['sha256'][:12]} cargo from tcp://{home.address}:2635: ok" in cluster.inn_text(
        "vm", "log", str(vm_id)
    )
    assert (cargo["hosts"], cargo["home"]) == (["h1", "h2"], "h1")
    assert hashlib.sha256(arrived.read_bytes()).hexdigest() == hashlib.sha256(file.read_bytes()).hexdigest()

    cluster.terminate_all()
    cluster.inn("image", "delete", "cargo", "--wait")

    assert not arrived.exists()


def test_one_command_rules_many_guests(cluster):
    vm_ids = [str(cluster.submit(f"crowd-{number}")) for number in range(4)]
    cluster.inn("vm", "wait", *vm_ids, "--timeout", "240s")
    for verb, state in (("suspend", "SUSPENDED"), ("resume", "RUNNING"), ("terminate", "DONE")):
        cluster.inn("vm", verb, *vm_ids, *(["--hard"] if verb == "terminate" else []), "--wait", "--timeout", "240s")

        assert {cluster.show(int(vm_id))["state"] for vm_id in vm_ids} == {state}


@pytest.mark.parametrize("verb", ["terminate", "shutdown"])
def test_nothing_is_left_of_a_vm_that_has_ended(cluster, resident, verb):
    before = cluster.files(resident)
    ended = cluster.do(verb, resident)

    assert before != []
    assert (ended["state"], cluster.where(resident), cluster.files(resident)) == ("DONE", [], [])
    assert cluster.leases() == []

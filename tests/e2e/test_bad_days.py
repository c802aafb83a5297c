"""Guests, hosts and disks that fail, and people who change their minds: nothing is lost that was not, and nothing left.

What daemons survive is in ``test_crashes``.
"""

import os

import pytest
from waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MIB = 1 << 20


def add_image(cluster, name, size_mib, *, host="h1", datastore="default"):
    """Register an image that nobody can compress or clone for nothing."""
    file = cluster.lab.directory / f"{name}.img"
    file.write_bytes(os.urandom(size_mib * MIB))
    words = ["--file", str(file), "--format", "raw", "--type", "datablock", "--host", host, "--datastore", datastore]
    cluster.inn("image", "add", name, *words)
    return f'DISK = [ IMAGE = "{name}" ]\n'


def test_a_guest_whose_qemu_was_killed_is_told_of_and_boots_again(cluster, resident):
    before = cluster.status(resident)
    cluster.home(resident).kill_guest(f"inn-{resident}")
    off = cluster.wait(resident, "POWEROFF")
    cluster.do("resume", resident)

    assert off["state"] == "POWEROFF"
    assert int(cluster.status(resident)["boots"]) == int(before["boots"]) + 1


def test_a_host_that_was_cut_off_is_lost_and_found_with_its_guest_untouched(cluster, resident):
    host = cluster.home(resident)
    before = cluster.status(resident)
    host.cable(plugged=False)
    try:
        lost = cluster.wait(resident, "UNKNOWN")
    finally:
        host.cable(plugged=True)
    found = cluster.wait(resident, "RUNNING")

    assert (lost["host"], found["host"]) == (host.name, host.name)
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_a_machine_that_lost_power_comes_back_with_its_guest_off_and_its_disk_whole(cluster, resident):
    host = cluster.home(resident)
    kept, before = cluster.get(resident, "write?kept"), cluster.status(resident)
    host.power_off()
    lost = cluster.wait(resident, "UNKNOWN")
    nobody = cluster.where(resident, but=host)
    host.come_back()
    cluster.start_agent(host)
    off = cluster.wait(resident, "POWEROFF")
    cluster.do("resume", resident)

    assert (lost["host"], nobody, off["host"]) == (host.name, [], host.name)
    assert int(cluster.status(resident)["boots"]) == int(before["boots"]) + 1
    assert cluster.get(resident, "write") == kept


def test_a_vm_of_a_dead_machine_starts_anew_elsewhere_once_a_person_says_so(cluster):
    safe, dead = cluster.lab.hosts
    vm_id = cluster.boot("phoenix", host=dead)
    dead.power_off()
    cluster.wait(vm_id, "UNKNOWN")
    cluster.inn("host", "delete", dead.name, "--force")
    failed = cluster.show(vm_id)
    cluster.do("recover", vm_id, "--retry")
    cluster.status(vm_id)

    assert (failed["state"], failed.get("host", "")) == ("FAILED", "")
    assert cluster.home(vm_id) is safe

    dead.come_back()
    cluster.join(dead)
    eventually(lambda: not dead.guests(), "the end of the guest that was given up")
    eventually(lambda: not [path for path in cluster.files(vm_id) if path.startswith(dead.name)], "no file of it")

    assert cluster.where(vm_id) == [safe.name]


@pytest.mark.parametrize("ended", [False, True], ids=["cancelled", "terminated"])
def test_a_deployment_that_nobody_wants_any_more_is_taken_back(cluster, ended):
    far = cluster.lab.hosts[1]
    cargo = add_image(cluster, "cargo", 40)
    vm_id = cluster.submit("unwanted", hold=True, more=cargo)
    with cluster.following(f"vm:{vm_id}") as events:
        cluster.begin("deploy", vm_id, far.name)
        events.until("vm.state", new="PROLOG")
        cluster.inn("vm", "terminate" if ended else "cancel", str(vm_id), "--wait", "--timeout", "60s")
    vm = cluster.show(vm_id)

    assert (vm["state"], vm.get("host", "")) == ("DONE" if ended else "HOLD", "")
    assert (cluster.where(vm_id), cluster.files(vm_id)) == ([], [])

    if not ended:
        cluster.do("deploy", vm_id, far.name)

        assert cluster.where(vm_id) == [far.name]
    cluster.terminate_all()
    cluster.inn("image", "delete", "cargo", "--wait")


def test_a_refusal_of_libvirt_reaches_whoever_asks_in_its_own_words(cluster):
    vm_id = cluster.deploy("misfit", cluster.lab.hosts[0], machine="no-such-machine")
    failed = cluster.wait(vm_id, "FAILED")

    assert (failed["last_operation"]["error"]["step"], cluster.where(vm_id)) == ("libvirt deploy", [])
    assert cluster.files(vm_id) == []
    for verb in ("log", "why", "show"):
        assert "No PCI buses available" in cluster.inn_text("vm", verb, str(vm_id))

    back = cluster.do("recover", vm_id, "--rollback")

    assert back["state"] == "HOLD"


def test_a_disk_that_is_full_while_an_image_is_cloned_takes_the_plan_back_until_there_is_room(cluster):
    host = cluster.lab.hosts[0]
    cargo = add_image(cluster, "cargo", 20, datastore="small")
    host.run(["dd", "if=/dev/zero", "of=/srv/small/filler", "bs=1M", "count=30", "status=none"])
    vm_id = cluster.deploy("big", host, more=cargo)
    failed = cluster.wait(vm_id, "FAILED")
    error = failed["last_operation"]["error"]

    assert (error["code"], error["step"], error["host"]) == ("no_space", "copy clone", host.name)
    assert (cluster.where(vm_id), cluster.files(vm_id)) == ([], [])
    assert "no_space" in cluster.inn_text("vm", "why", str(vm_id))

    other = cluster.deploy("small", host)
    cluster.wait(other)
    host.run(["rm", "/srv/small/filler"])
    cluster.do("recover", vm_id, "--retry")

    assert cluster.where(vm_id) == [host.name]
    cluster.terminate_all()
    cluster.inn("image", "delete", "cargo", "--wait")

"""Bad days: something dies in the middle of something else, and in the end everything is as if it had not."""

import os

import pytest
from cluster import eventually

#: Three seconds at the rate that the hosts are limited to.
BALLAST_BYTES = 24 << 20

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def mid_fetch(cluster, vm_id):
    """Return once the host is in the middle of fetching an image from the other one."""

    def fetching():
        operation = cluster.show(vm_id).get("last_operation") or {}
        return " fetch " in operation.get("step", "")

    eventually(fetching, "a fetch")


@pytest.fixture
def heavy(cluster):
    """Give the line of a template that asks for an image that takes seconds to fetch, and a host that has to."""
    home, far = cluster.lab.hosts
    file = cluster.lab.directory / "ballast.img"
    file.write_bytes(os.urandom(BALLAST_BYTES))
    words = ["--file", str(file), "--format", "raw", "--type", "datablock", "--host", home.name]
    cluster.inn("image", "add", "ballast", *words)
    yield 'DISK = [ IMAGE = "ballast" ]\n', far
    cluster.terminate_all()
    cluster.inn("image", "delete", "ballast", "--wait")


def test_a_killed_agent_goes_on_with_the_deployment_that_it_was_in(cluster, heavy):
    ballast, far = heavy
    vm_id = cluster.submit("survivor", host=far, more=ballast)
    mid_fetch(cluster, vm_id)
    cluster.kill_agent(far)
    cluster.start_agent(far)
    cluster.wait(vm_id)

    assert cluster.status(vm_id)["boots"] == "1"
    assert cluster.where(vm_id) == [far.name]


def test_a_killed_controller_learns_the_end_of_the_deployment_that_went_on_without_it(cluster, heavy):
    ballast, far = heavy
    vm_id = cluster.submit("survivor", host=far, more=ballast)
    mid_fetch(cluster, vm_id)
    cluster.controller.kill()
    cluster.start_controller()
    cluster.wait(vm_id)

    assert cluster.status(vm_id)["boots"] == "1"
    assert cluster.where(vm_id) == [far.name]


def test_agent_and_controller_may_die_together(cluster, heavy):
    ballast, far = heavy
    vm_id = cluster.submit("survivor", host=far, more=ballast)
    mid_fetch(cluster, vm_id)
    cluster.controller.kill()
    cluster.kill_agent(far)
    cluster.start_agent(far)
    cluster.start_controller()
    cluster.wait(vm_id)

    assert cluster.status(vm_id)["boots"] == "1"
    assert cluster.where(vm_id) == [far.name]


def test_the_host_that_serves_an_image_may_die_in_the_middle_of_it(cluster, heavy):
    ballast, far = heavy
    vm_id = cluster.submit("patient", host=far, more=ballast)
    mid_fetch(cluster, vm_id)
    first = cluster.lab.hosts[0]
    cluster.kill_agent(first)
    cluster.start_agent(first)
    cluster.settled(vm_id)

    assert cluster.status(vm_id)["boots"] == "1"


def test_guests_run_on_while_their_agent_is_dead_and_are_found_again(cluster):
    vm_id = cluster.boot("orphan")
    host = cluster.host(cluster.show(vm_id)["host"])
    before = cluster.status(vm_id)
    cluster.kill_agent(host)
    alone = cluster.status(vm_id)
    cluster.start_agent(host)
    suspended = cluster.do("suspend", vm_id)
    cluster.do("resume", vm_id)

    assert suspended["state"] == "SUSPENDED"
    assert alone["boot_id"] == before["boot_id"] == cluster.status(vm_id)["boot_id"]


def test_guests_and_agent_survive_the_death_of_libvirtd(cluster):
    vm_id = cluster.boot("steady")
    host = cluster.host(cluster.show(vm_id)["host"])
    before = cluster.status(vm_id)
    host.kill_libvirtd()
    host.start_libvirtd()
    cluster.do("suspend", vm_id)
    cluster.do("resume", vm_id)

    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]


def test_a_guest_whose_qemu_was_killed_is_told_of_and_boots_again(cluster):
    vm_id = cluster.boot("victim")
    host = cluster.host(cluster.show(vm_id)["host"])
    host.kill_guest(cluster.show(vm_id)["spec"]["uuid"])
    state = eventually(lambda: (found := cluster.show(vm_id)["state"]) != "RUNNING" and found, "another state")
    cluster.do("resume", vm_id)

    assert state == "POWEROFF"
    assert cluster.status(vm_id)["boots"] == "2"


def test_a_host_that_was_cut_off_is_lost_and_found_with_its_guest_untouched(cluster):
    vm_id = cluster.boot("islander")
    host = cluster.host(cluster.show(vm_id)["host"])
    before = cluster.status(vm_id)
    host.cable(plugged=False)
    try:
        lost = cluster.wait(vm_id, "UNKNOWN")
    finally:
        host.cable(plugged=True)
    found = cluster.wait(vm_id, "RUNNING")

    assert (lost["host"], found["host"]) == (host.name, host.name)
    assert cluster.status(vm_id)["boot_id"] == before["boot_id"]


def test_a_refusal_of_libvirt_reaches_the_log_in_its_own_words(cluster):
    vm_id = cluster.submit("misfit", machine="no-such-machine", host=cluster.lab.hosts[0])
    cluster.wait(vm_id, "FAILED")

    assert "XML error: No PCI buses available" in cluster.inn_text("vm", "log", str(vm_id))

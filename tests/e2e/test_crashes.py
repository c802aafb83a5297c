"""Daemons that die in the middle of something: in the end everything is as if they had not."""

import os
from typing import NamedTuple

import pytest
from waiting import eventually

#: Some seconds at the rate that the hosts are limited to.
BALLAST_BYTES = 64 << 20

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def crash(cluster, victim, *hosts):
    """Kill daemons, all before the first of them is started again."""
    if victim in {"controller", "both"}:
        cluster.controller.kill()
    if victim in {"agent", "both"}:
        for host in hosts:
            cluster.kill_agent(host)
        for host in hosts:
            cluster.start_agent(host)
    if victim in {"controller", "both"}:
        cluster.start_controller()


def fetched_bytes(cluster, vm_id):
    """Return once a host has fetched a part of the ballast, and how much."""

    def fetching():
        operation = cluster.show(vm_id).get("last_operation") or {}
        return " fetch " in operation.get("step", "") and operation.get("done_bytes", 0)

    return eventually(fetching, "a part of the ballast")


@pytest.fixture
def heavy(cluster):
    """Give the line of a template that asks for an image that takes seconds to fetch, and the host that has to."""
    home, far = cluster.lab.hosts
    file = cluster.lab.directory / "ballast.img"
    file.write_bytes(os.urandom(BALLAST_BYTES))
    words = ["--file", str(file), "--format", "raw", "--type", "datablock", "--host", home.name]
    cluster.inn("image", "add", "ballast", *words)
    yield 'DISK = [ IMAGE = "ballast" ]\n', far
    cluster.terminate_all()
    cluster.inn("image", "delete", "ballast", "--wait")


@pytest.mark.parametrize("victim", ["agent", "controller", "both"])
def test_a_deployment_survives_a_crash_while_it_fetches_an_image(cluster, heavy, victim):
    ballast, far = heavy
    vm_id = cluster.deploy("survivor", far, more=ballast)
    fetched_bytes(cluster, vm_id)
    crash(cluster, victim, far)
    vm = cluster.wait(vm_id)

    assert (vm["last_operation"]["kind"], vm["last_operation"]["status"]) == ("deploy", "done")
    assert cluster.where(vm_id) == [far.name]


@pytest.mark.parametrize("victim", ["agent", "both"])
def test_a_deployment_survives_a_crash_while_the_guest_is_started(cluster, victim):
    host = cluster.lab.hosts[1]
    vm_id = cluster.submit("survivor", hold=True)
    with cluster.following(f"vm:{vm_id}") as events:
        cluster.begin("deploy", vm_id, host.name)
        events.until("vm.state", new="BOOT")
        crash(cluster, victim, host)
    vm = cluster.wait(vm_id)

    assert (vm["last_operation"]["kind"], vm["last_operation"]["status"]) == ("deploy", "done")
    assert cluster.where(vm_id) == [host.name]
    assert cluster.status(vm_id)["boots"] == "1"


class Step(NamedTuple):
    """Something that is done with a VM, during which daemons die."""

    words: str
    #: The state in which they die.
    phase: str
    #: Where the VM ends nevertheless.
    end: str
    #: Its host may not have it back.
    elsewhere: bool = False


#: Ways through the life of a guest that runs: the first without a restart, the second with two, and to its end.
LIVES_ON = [
    Step("suspend", "SAVE", "SUSPENDED"),
    Step("resume", "BOOT", "RUNNING"),
    Step("stop", "SAVE", "STOPPED"),
    Step("resume", "PROLOG", "RUNNING", elsewhere=True),
    Step("migrate", "SAVE", "RUNNING"),
    Step("migrate --live", "PROLOG", "RUNNING"),
    Step("migrate --live", "MIGRATE", "RUNNING"),
    Step("migrate --live", "EPILOG", "RUNNING"),
]
ENDS = [
    Step("poweroff", "SHUTDOWN", "POWEROFF"),
    Step("resume", "BOOT", "RUNNING"),
    Step("undeploy --hard", "SHUTDOWN", "UNDEPLOYED"),
    Step("resume", "PROLOG", "RUNNING", elsewhere=True),
    Step("terminate --hard", "SHUTDOWN", "DONE"),
]


def take(cluster, vm_id, step, victim):
    """Take one step with a VM, crash a daemon on the way, and expect it at the step's end."""
    verb, *options = step.words.split()
    home = cluster.show(vm_id)["last_operation"]["hosts"][0]
    if step.elsewhere:
        cluster.inn("host", "disable", home)
    with cluster.following(f"vm:{vm_id}") as events:
        cluster.begin(verb, vm_id, *options)
        events.until("vm.state", new=step.phase)
        crash(cluster, victim, *cluster.lab.hosts)
    vm = cluster.wait(vm_id, step.end)
    if step.elsewhere:
        cluster.inn("host", "enable", home)

    assert (step, vm["last_operation"]["status"]) == (step, "done")
    assert len(cluster.where(vm_id)) == (step.end in {"RUNNING", "POWEROFF"})


@pytest.mark.parametrize("victim", ["agent", "controller"])
def test_a_guest_lives_on_through_crashes_in_the_midst_of_everything(cluster, resident, victim):
    before = cluster.status(resident)
    for step in LIVES_ON:
        take(cluster, resident, step, victim)

    assert cluster.status(resident)["boot_id"] == before["boot_id"]


@pytest.mark.parametrize("victim", ["agent", "controller"])
def test_a_guest_boots_again_and_ends_through_crashes(cluster, resident, victim):
    before = cluster.status(resident)
    for step in ENDS[:2]:
        take(cluster, resident, step, victim)
    after = cluster.status(resident, boot_id=before["boot_id"])
    for step in ENDS[2:]:
        take(cluster, resident, step, victim)

    assert int(after["boots"]) == int(before["boots"]) + 1


def test_a_host_whose_agent_crashes_goes_on_serving_an_image(cluster, heavy):
    ballast, far = heavy
    vm_id = cluster.deploy("patient", far, more=ballast)
    fetched_bytes(cluster, vm_id)
    crash(cluster, "agent", cluster.other(far))

    assert cluster.wait(vm_id)["last_operation"]["status"] == "done"


def test_a_host_that_dies_while_it_serves_an_image_fails_the_deployment_until_it_is_back(cluster, heavy):
    ballast, far = heavy
    home = cluster.other(far)
    vm_id = cluster.deploy("patient", far, more=ballast)
    fetched_bytes(cluster, vm_id)
    home.power_off()
    failed = cluster.wait(vm_id, "FAILED")
    home.come_back()
    cluster.start_agent(home)
    cluster.do("recover", vm_id, "--retry")

    assert (failed["last_operation"]["status"], failed["last_operation"]["error"]["step"]) == ("failed", "agent fetch")
    assert cluster.where(vm_id) == [cluster.home(vm_id).name]


def test_what_was_asked_while_an_agent_is_dead_is_done_when_it_is_back(cluster, resident):
    host = cluster.home(resident)
    before = cluster.status(resident)
    cluster.kill_agent(host)
    alone = cluster.status(resident)
    cluster.begin("suspend", resident)
    cluster.start_agent(host)
    suspended = cluster.wait(resident, "SUSPENDED")
    cluster.do("resume", resident)

    assert alone["boot_id"] == before["boot_id"] == cluster.status(resident)["boot_id"]
    assert suspended["last_operation"]["status"] == "done"


def test_guests_and_agent_survive_the_death_of_libvirtd(cluster, resident):
    host = cluster.home(resident)
    before = cluster.status(resident)
    host.kill_libvirtd()
    host.start_libvirtd()
    cluster.do("suspend", resident)
    cluster.do("resume", resident)

    assert cluster.status(resident)["boot_id"] == before["boot_id"]

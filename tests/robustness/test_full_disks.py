"""Disks that take nothing more, of the controller and of hosts: what was acknowledged stays, and the rest is told."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from ground import TEMPLATE, eventually, ground_in

#: What the controller ends with when it cannot know any more what the disk holds.
IO_ERROR = 74
IMPATIENT_S = 0.5
#: What a small disk is called, before the number of the process whose test it belongs to.
DISK_OF = "innkeeper-test-"


@pytest.fixture
def ground(tmp_path):
    with ground_in(tmp_path) as ground:
        ground.build("a", "b")
        ground.check_next("a", "b")
        yield ground
        ground.check_next("a", "b")
        ground.check_empty()


@contextlib.contextmanager
def nothing_written(daemon):
    """Let every file of a process be too long already."""
    unlimited = resource.RLIM_INFINITY
    process = daemon.process
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, unlimited))
    yield
    if process.poll() is None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


@contextlib.contextmanager
def small_disk(daemon, directory, size):
    """Bring a directory of a daemon that does not run to a disk of its own, and its content back afterwards."""
    unmount_leftovers()
    kept = directory.rename(directory.with_name("kept"))
    directory.mkdir()
    disk = f"{DISK_OF}{os.getpid()}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", disk, str(directory)], check=True)
    try:
        shutil.copytree(kept, directory, dirs_exist_ok=True)
        yield directory
        daemon.end()
        shutil.rmtree(kept)
        shutil.copytree(directory, kept)
    finally:
        # Whatever still has a file open there does not keep it.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()
        kept.rename(directory)


def unmount_leftovers():
    """Take away the disks of tests that were killed."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        disk, directory, *_ = line.split()
        if disk.startswith(DISK_OF) and not Path("/proc", disk.removeprefix(DISK_OF)).exists():
            subprocess.run(["umount", "--lazy", directory], check=False)


@contextlib.contextmanager
def full(directory):
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65_536))
    yield
    filler.unlink()


def ask_in_vain(ground, request_id):
    """Ask for VMs of a controller that cannot write, and do not wait for its answer for long."""
    body = json.dumps({"template": TEMPLATE, "count": 100})
    headers = {"Authorization": f"Bearer {ground.controller.token}", "X-Request-Id": request_id}
    connection = http.client.HTTPConnection("127.0.0.1", ground.controller.http_port, timeout=IMPATIENT_S)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/v1/vms", body, headers)
        assert connection.getresponse().status == http.client.SERVICE_UNAVAILABLE


def test_a_controller_whose_disk_fails_ends_and_its_successor_has_all_that_was_acknowledged(ground):
    vm_ids = ground.submit(count=5)
    with nothing_written(ground.controller):
        ask_in_vain(ground, "in vain")
        assert ground.controller.wait() == IO_ERROR
    ground.controller.up()
    assert {vm["vm_id"] for vm in ground.client.call("vm.list")} in ({*vm_ids}, {*vm_ids, *range(7, 107)})
    more = ground.submit(count=100, request_id="in vain")
    ground.connected("a", "b")
    ground.wait([*vm_ids, *more])

    ground.check()
    ground.end([*vm_ids, *more])
    ground.controller.check_offline()


def test_an_agent_whose_journal_fails_ends_and_its_successor_goes_on(ground):
    agent = ground.agents["a"]
    with nothing_written(agent):
        vm_ids = ground.submit(host="a", count=5)
        assert agent.wait() == 1
    assert "cannot write to" in agent.last_words()
    agent.start()
    ground.wait(vm_ids)

    ground.check()
    ground.end(vm_ids)


@pytest.mark.root
def test_a_controller_with_a_full_disk_accepts_nothing_and_goes_on_when_there_is_room(ground):
    controller = ground.controller
    vm_ids = ground.submit(count=5)
    ground.wait(vm_ids)
    controller.end()
    with small_disk(controller, controller.state_dir, "8m") as disk:
        controller.up()
        ground.connected("a", "b")
        with full(disk):
            ask_in_vain(ground, "later")
            eventually(lambda: controller.metrics()["innkeeper_store_writable"] == 0.0, "trouble")
            ask_in_vain(ground, "much later")
        eventually(lambda: controller.metrics()["innkeeper_store_writable"] == 1.0, "no trouble")
        later = ground.submit(count=100, request_id="later", template=TEMPLATE)
        much_later = ground.submit(count=100, request_id="much later", template=TEMPLATE)
        ground.wait([*vm_ids, *later, *much_later])

        assert len({*vm_ids, *later, *much_later}) == 205
        ground.check()
        ground.end([*vm_ids, *later, *much_later])
    controller.up()
    ground.connected("a", "b")


@pytest.mark.root
def test_a_host_with_a_full_journal_takes_nothing_on_and_ends_what_it_has_begun(ground):
    agent = ground.agents["a"]
    before = ground.submit(host="a", count=2)
    ground.wait(before)
    agent.end()
    with small_disk(agent, agent.state_dir, "8m") as disk:
        agent.start()
        ground.connected("a")
        with full(disk):
            vm_ids = ground.submit(host="a", count=250)
            eventually(lambda: not ground.client.call("system.status")["operations"], "the end of all deployments")
            vms = [ground.vm(vm_id) for vm_id in vm_ids]
            assert {vm["state"] for vm in vms} == {"RUNNING", "FAILED"}
            assert {vm["error"] for vm in vms if vm["state"] == "FAILED"} == {"Host a refused the plan: no_space."}
            ground.check()
        failed = [vm["vm_id"] for vm in vms if vm["state"] == "FAILED"]
        for vm_id in failed:
            ground.client.call("vm.recover", vm_id=vm_id, how="retry")
        ground.wait(vm_ids)
        ground.check()
        ground.end([*before, *vm_ids])
    agent.start()
    ground.connected("a")


@pytest.mark.root
def test_a_deployment_that_finds_the_datastore_full_is_taken_back_and_can_be_tried_again(ground):
    agent = ground.agents["b"]
    ground.add_image("big", os.urandom(1 << 20), host="a")
    agent.end()
    with small_disk(agent, agent.directory / "datastore", "32m") as disk:
        agent.start()
        ground.connected("b")
        (vm_id,) = ground.submit(template=TEMPLATE.replace("base", "big"), hold=True)
        with full(disk):
            ground.client.call("vm.deploy", vm_id=vm_id, host="b")
            ground.wait([vm_id], "FAILED")
            error = ground.vm(vm_id)["last_operation"]["error"]
            assert (error["code"], error["step"]) == ("no_space", "agent fetch")
            assert agent.files() == []
            ground.check()
        ground.client.call("vm.recover", vm_id=vm_id, how="rollback")
        ground.client.call("vm.deploy", vm_id=vm_id, host="b")
        ground.wait([vm_id])
        ground.check()
        ground.end([vm_id])
        ground.client.call("image.delete", image="big")
    agent.start()
    ground.connected("b")

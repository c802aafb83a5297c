"""A host that was given up and comes back: it gives up what is over, and nothing of a live VM is touched."""

import pytest
from ground import eventually, ground_in


@pytest.fixture
def ground(tmp_path):
    with ground_in(tmp_path) as ground:
        ground.build("a", "b")
        # So that the image is on both.
        ground.check_next("b")
        yield ground


def on_host(ground, name, count):
    """Return VMs that run on that host and may run on any."""
    vm_ids = ground.submit(count=count, hold=True)
    for vm_id in vm_ids:
        ground.client.call("vm.deploy", vm_id=vm_id, host=name)
    ground.wait(vm_ids)
    return vm_ids


def test_a_host_that_was_declared_dead_comes_back_and_gives_up_what_is_over(ground):
    old = ground.agents["a"]
    running, suspended, stopped, off, ended, left = on_host(ground, "a", 6)
    for vm_id, verb, state in (
        (suspended, "vm.suspend", "SUSPENDED"),
        (stopped, "vm.stop", "STOPPED"),
        (off, "vm.poweroff", "POWEROFF"),
    ):
        ground.client.call(verb, vm_id=vm_id)
        ground.wait([vm_id], state)
    old.kill()
    ground.lost("a")
    ground.client.call("host.delete", host="a", force=True)
    for vm_id in (running, suspended, stopped, off):
        ground.client.call("vm.recover", vm_id=vm_id, how="retry")
    ground.wait((running, suspended, stopped, off))
    ground.client.call("vm.terminate", vm_id=ended, hard=True)
    again = ground.agents["b"].guests()

    old.join(ground.client.call("host.add", name="a")["join_token"])
    old.start()
    ground.connected("a")
    # What nobody has begun anew has its only disks here: it is told of and left alone.
    eventually(lambda: {name.split("/")[0] for name in old.files()} == {str(left)}, "only files of the VM that is left")
    assert old.guests() == {left: 1}
    assert ground.agents["b"].guests() == again == dict.fromkeys((running, suspended, stopped, off), 1)
    assert [event["detail"]["vm_id"] for event in ground.client.past_events(what="guest.foreign")] == [left]

    ground.client.call("vm.recover", vm_id=left, how="retry")
    ground.wait([left])
    eventually(lambda: not old.files(), "no files")
    ground.check()
    ground.end([running, suspended, stopped, off, left])
    ground.check_empty()
    ground.check_next("a", "b")


def test_a_host_that_is_only_away_keeps_its_vms(ground):
    vm_ids = on_host(ground, "a", 3)
    agent = ground.agents["a"]
    agent.kill()
    ground.lost("a")
    before = agent.guests()
    agent.start()
    ground.connected("a")
    ground.check_next("a")

    assert agent.guests() == before == dict.fromkeys(vm_ids, 1)
    ground.end(vm_ids)
    ground.check_empty()

"""Whoever decides, programs and people at once: no VM is placed twice, and no host has more than it has room for."""

import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from ground import TEMPLATE, eventually, ground_in

from innkeeper_controller.client import RefusedError

FIRST_FIT = Path(__file__).parents[2] / "contrib" / "schedulers" / "first-fit"
#: Eight of these fill a host.
LARGE = TEMPLATE.replace("CPU = 0.1", "CPU = 8")
CLIENTS = 4
PROGRAM = f'[scheduling.program]\nargv = ["{FIRST_FIT}"]\ntimeout_s = 30\n'


def test_the_example_program_decides_for_a_real_controller_with_real_agents(tmp_path):
    with ground_in(tmp_path, top='scheduler = "program"', more=PROGRAM) as ground:
        ground.build("a", "b")
        vm_ids = ground.submit(template=LARGE, count=12)
        ground.wait(vm_ids)
        (waiting,) = ground.submit(template=TEMPLATE.replace("CPU = 0.1", "CPU = 50"))
        chose = f"The program {FIRST_FIT} chose no host for it."
        eventually(lambda: chose in ground.client.call("vm.why", vm_id=waiting)["reason"], chose)

        assert Counter(ground.vm(vm_id)["host"] for vm_id in vm_ids) == {"a": 8, "b": 4}
        assert ground.client.past_events(what="scheduler.program_failed") == []
        assert ground.client.past_events(what="scheduler.refused") == []
        ground.end(vm_ids[:8])
        ground.wait([waiting])
        ground.check()


@pytest.fixture(params=["none", "program", "match-making"])
def busy(tmp_path, request):
    with ground_in(tmp_path, top=f'scheduler = "{request.param}"', more=PROGRAM) as ground:
        ground.build("a", "b", "c")
        yield ground


def test_many_clients_whoever_else_decides_and_a_dying_host_place_no_vm_twice_nor_more_than_fit(busy):
    vm_ids = busy.submit(template=LARGE, count=40)
    said: Counter[str] = Counter()
    half_way = threading.Event()

    def deploy_all(number: int) -> None:
        client = busy.controller.new_client()
        wanted = [(vm_id, host) for vm_id in vm_ids for host in "abc"]
        random.Random(number).shuffle(wanted)
        for done, (vm_id, host) in enumerate(wanted):
            try:
                client.call("vm.deploy", vm_id=vm_id, host=host)
                said["placed"] += 1
            except RefusedError as error:
                said[error.code] += 1
            if done == len(wanted) // 4:
                half_way.set()

    threads = [threading.Thread(target=deploy_all, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    half_way.wait()
    busy.agents["c"].kill()
    for thread in threads:
        thread.join()
    busy.agents["c"].start()
    busy.connected("c")
    if busy.client.call("system.status")["scheduler"] != "none":
        eventually(lambda: len(vm_ids_on_hosts(busy, vm_ids)) == 24, "all three hosts are full")
    placed = vm_ids_on_hosts(busy, vm_ids)
    busy.wait(placed)
    on = Counter(busy.vm(vm_id)["host"] for vm_id in placed)

    assert set(said) <= {"placed", "busy", "wrong_state", "no_capacity", "unreachable", "in_use"}
    assert said["placed"] <= len(placed)
    assert on["a"] == on["b"] == max(on.values()) == 8
    busy.check()


def vm_ids_on_hosts(ground, vm_ids):
    return [vm_id for vm_id in vm_ids if ground.vm(vm_id)["state"] != "PENDING"]

"""A guest of a real host has the processors that the controller chose for it, wherever it goes."""

import xml.etree.ElementTree as ET

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PINNED = "\nTOPOLOGY = [ PIN_POLICY = THREAD ]\n"


def chosen(shown):
    """Return the processors that the controller chose."""
    (cell,) = shown["spec"]["numa_cells"]
    return [str(cpu) for cpu in cell["cpus"]]


def pins(host, vm_id):
    definition = ET.fromstring(host.virsh("dumpxml", f"inn-{vm_id}"))
    return [each.get("cpuset") for each in definition.iterfind("cputune/vcpupin")]


def test_pinned_guests_of_one_host_have_processors_of_their_own_and_others_where_they_move(cluster):
    cluster.evict()
    home, away = cluster.lab.hosts
    first, second = (cluster.deploy(name, home, more=PINNED) for name in ("first", "second"))
    shown = [cluster.wait(vm_id) for vm_id in (first, second)]
    cluster.status(second)
    here = [pins(home, vm_id) for vm_id in (first, second)]
    cluster.do("terminate", first, "--hard")
    cluster.do("migrate", second, away.name, "--live")

    assert here == [chosen(each) for each in shown] == [["0"], ["1"]]
    assert pins(away, second) == chosen(cluster.show(second)) == ["0"]
    cluster.do("terminate", second, "--hard")

"""Running VMs that change on real hosts: what is plugged in and out, kept, gone back to, grown and saved."""

import json
import sys

import pytest
from waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: Makes a request as the administrator and waits for what it has begun; what the command line has no word for yet.
ASK = """\
import json, pathlib, sys
from innkeeper_controller.client import Client
client = Client("http://127.0.0.1:2633", pathlib.Path("/srv/controller/admin.token").read_text().strip())
answer = client.call(sys.argv[1], **json.loads(sys.argv[2]))
ended = client.wait_operation(answer["operation_id"], timeout_s=240) if answer.get("operation_id") else {}
print(json.dumps([answer, ended.get("status"), ended.get("error")]))
"""


def ask(cluster, name, /, **params):
    """Make the request, wait until all that it begins has ended well, and return its answer."""
    words = [sys.executable, "-c", ASK, name, json.dumps(params)]
    answer, status, error = json.loads(cluster.lab.switch.run(words, timeout_s=280))
    assert (status, error) in [(None, None), ("done", None)], f"{name}: {status} {error}"
    return answer


def disk_files(cluster, vm_id):
    return [path for path in cluster.files(vm_id) if "/disk." in path]


def devices(cluster, vm_id):
    """Return the targets of the guest's disks and the MAC addresses of its cards, as its host's libvirt says."""
    virsh, name = cluster.home(vm_id).virsh, f"inn-{vm_id}"
    disks = [line.split()[0] for line in virsh("domblklist", name).splitlines()[2:] if line.strip()]
    cards = [line.split()[-1] for line in virsh("domiflist", name).splitlines()[2:] if line.strip()]
    return sorted(disks), sorted(cards)


def test_a_disk_and_a_card_come_to_a_running_guest_and_go_again_with_all_that_they_took(cluster, resident):
    before, files, leases = devices(cluster, resident), disk_files(cluster, resident), cluster.leases()
    status = cluster.status(resident)
    disk = ask(cluster, "vm.attach_disk", vm_id=resident, template='DISK = [ IMAGE = "disk" ]')
    nic = ask(cluster, "vm.attach_nic", vm_id=resident, template='NIC = [ NETWORK = "lan" ]')
    between, more_files, more_leases = devices(cluster, resident), disk_files(cluster, resident), cluster.leases()
    ask(cluster, "vm.detach_disk", vm_id=resident, disk_id=disk["disk_id"])
    ask(cluster, "vm.detach_nic", vm_id=resident, nic_id=nic["nic_id"])

    assert [len(after) - len(first) for first, after in zip(before, between, strict=True)] == [1, 1]
    assert (len(more_files) - len(files), len(more_leases) - len(leases)) == (1, 1)
    assert (devices(cluster, resident), disk_files(cluster, resident), cluster.leases()) == (before, files, leases)
    assert cluster.status(resident)["boot_id"] == status["boot_id"]


def test_a_guest_goes_back_to_its_snapshot_with_its_memory_and_its_disk(cluster, resident):
    kept = cluster.get(resident, "write?before")
    before = cluster.status(resident)
    snapshot = ask(cluster, "vm.snapshot_create", vm_id=resident, name="before the upgrade")
    cluster.get(resident, "write?after")
    ask(cluster, "vm.snapshot_revert", vm_id=resident, snapshot_id=snapshot["snapshot_id"])
    eventually(lambda: cluster.get(resident, "write") == kept, "the disk of then")

    assert cluster.status(resident)["boot_id"] == before["boot_id"]
    ask(cluster, "vm.snapshot_delete", vm_id=resident, snapshot_id=snapshot["snapshot_id"])
    assert cluster.status(resident)["boot_id"] == before["boot_id"]


def test_a_disk_grows_while_its_guest_runs(cluster, resident):
    size_mib = 2 * (cluster.show(resident)["spec"]["disks"][0]["size_bytes"] >> 20)
    ask(cluster, "vm.disk_resize", vm_id=resident, disk_id=0, size_mib=size_mib)

    told = cluster.home(resident).virsh("domblkinfo", f"inn-{resident}", "vda")
    assert f"{size_mib << 20}" in told.split()


def test_a_disk_that_was_saved_as_an_image_boots_on_the_other_host(cluster):
    vm_id = cluster.boot("original")
    kept = cluster.get(vm_id, "write?luggage")
    home = cluster.home(vm_id)
    cluster.do("poweroff", vm_id)
    ask(cluster, "vm.disk_saveas", vm_id=vm_id, disk_id=0, name="saved")
    copy = cluster.boot("copy", image="saved", host=cluster.other(home))

    assert kept
    assert cluster.get(copy, "write") == kept
    assert cluster.status(copy)["boots"] == "2"
    cluster.do("terminate", copy, "--hard")
    cluster.do("terminate", vm_id, "--hard")
    cluster.inn("image", "delete", "saved")

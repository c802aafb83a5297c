"""Whole stories, as a person tells them who knows OpenNebula and nothing else."""

import base64

import pyone
import pytest
from ground import eventually

RUNNING, POWEROFF, SUSPENDED, HOLD, DONE = (3, 3), (8, 0), (5, 0), (2, 0), (6, 0)
LCM_FAILURES = {*range(36, 43), 44, *range(46, 51), 61}
TEMPLATE = {
    "TEMPLATE": {
        "NAME": "small",
        "CPU": "0.1",
        "MEMORY": "16",
        "HYPERVISOR": "simulated",
        "DISK": [{"IMAGE": "base"}, {"TYPE": "swap", "SIZE": "1"}],
        "NIC": {"NETWORK": "lan"},
        "CONTEXT": {"NETWORK": "YES", "WHO": "$NAME", "WHERE": '$NIC[IP, NETWORK="lan"]'},
        "LABELS": "web,<&test>",
    }
}


def wait(one, vm_id, state):
    """Poll as the clients do, by exact numbers."""

    def there():
        vm = one.vm.info(vm_id)
        assert vm.LCM_STATE not in LCM_FAILURES, (vm.LCM_STATE, vm.USER_TEMPLATE)
        return (vm.STATE, vm.LCM_STATE) == state and vm

    return eventually(there, f"VM {vm_id} in {state}")


def act(one, action, vm_id):
    """Ask again while the VM is busy: a reboot shows in no number."""

    def accepted():
        try:
            return one.vm.action(action, vm_id) == vm_id
        except pyone.OneActionException:
            return False

    assert eventually(accepted, action)


@pytest.fixture(scope="module")
def template_id(one):
    return one.template.allocate(TEMPLATE)


@pytest.fixture
def running(one, template_id):
    """A VM that runs, and is terminated afterwards."""
    vm_id = one.template.instantiate(template_id, "guest")
    yield wait(one, vm_id, RUNNING)
    if one.vm.info(vm_id).STATE != DONE[0]:
        one.vm.action("terminate-hard", vm_id)
    wait(one, vm_id, DONE)


def test_a_vm_lives_from_a_stored_template_to_its_end(one, template_id):
    vm_id = one.template.instantiate(template_id, "web", True, "MEMORY = 32", False)
    held = wait(one, vm_id, HOLD)
    one.vm.action("release", vm_id)
    vm = wait(one, vm_id, RUNNING)
    stay = vm.HISTORY_RECORDS.HISTORY[-1]

    assert (held.NAME, held.TEMPLATE["MEMORY"], held.TEMPLATE["TEMPLATE_ID"]) == ("web", "32", str(template_id))
    assert vm.TEMPLATE["CONTEXT"]["WHO"] == "web"
    assert vm.TEMPLATE["CONTEXT"]["WHERE"] == vm.TEMPLATE["NIC"]["IP"]
    assert vm.USER_TEMPLATE["LABELS"] == "web,<&test>"
    assert 0 < stay.PSTIME <= stay.PETIME <= stay.RSTIME
    assert (stay.RETIME, stay.ETIME) == (0, 0)

    for action, state in (
        ("suspend", SUSPENDED),
        ("resume", RUNNING),
        ("poweroff", POWEROFF),
        ("resume", RUNNING),
        ("reboot", RUNNING),
        ("stop", (4, 0)),
        ("resume", RUNNING),
        ("undeploy", (9, 0)),
        ("resume", RUNNING),
    ):
        act(one, action, vm_id)
        wait(one, vm_id, state)
    one.vm.action("terminate", vm_id)
    ended = wait(one, vm_id, DONE)

    assert ended.ETIME > 0
    assert ended.HISTORY_RECORDS.HISTORY[-1].ETIME > 0
    assert vm_id not in [vm.ID for vm in one.vmpool.info(-2, -1, -1, -1).VM]
    assert vm_id in [vm.ID for vm in one.vmpool.info(-2, -1, -1, -2).VM]


def test_a_vm_is_deployed_and_moved_by_hand(one, template_id):
    vm_id = one.template.instantiate(template_id, "moved", True)
    hosts = {host.NAME: host.ID for host in one.hostpool.info().HOST}
    one.vm.deploy(vm_id, hosts["h0"], False, -1, "")
    wait(one, vm_id, RUNNING)
    for live, target in ((True, "h1"), (False, "h0")):
        one.vm.migrate(vm_id, hosts[target], live, False, -1, 0)
        eventually(lambda: one.vm.info(vm_id).HISTORY_RECORDS.HISTORY[-1].HOSTNAME == target, target)  # noqa: B023 - called at once
        wait(one, vm_id, RUNNING)
    stays = [each.HOSTNAME for each in one.vm.info(vm_id).HISTORY_RECORDS.HISTORY]
    one.vm.action("terminate-hard", vm_id)
    wait(one, vm_id, DONE)

    assert stays == ["h0", "h1", "h0"]


def test_disks_and_cards_come_and_go_while_the_guest_runs(one, running):
    before = running.TEMPLATE["DISK"]
    one.vm.attach(running.ID, 'DISK = [ IMAGE = "base" ]')
    vm = wait(one, running.ID, RUNNING)
    (new,) = [disk for disk in vm.TEMPLATE["DISK"] if disk not in before]
    one.vm.attachnic(running.ID, 'NIC = [ NETWORK = "lan" ]')
    vm = wait(one, running.ID, RUNNING)
    cards = [nic["NIC_ID"] for nic in vm.TEMPLATE["NIC"]]
    used = one.vn.info(0).USED_LEASES
    one.vm.detachnic(running.ID, 1)
    wait(one, running.ID, RUNNING)
    one.vm.detach(running.ID, int(new["DISK_ID"]))
    vm = wait(one, running.ID, RUNNING)

    assert cards == ["0", "1"]
    assert one.vn.info(0).USED_LEASES == used - 1
    assert [disk["DISK_ID"] for disk in vm.TEMPLATE["DISK"]] == [disk["DISK_ID"] for disk in before]


def test_snapshots_are_made_reverted_to_and_deleted(one, running):
    snapshot_id = one.vm.snapshotcreate(running.ID, "before")
    vm = wait(one, running.ID, RUNNING)

    assert [each["NAME"] for each in vm.TEMPLATE["SNAPSHOT"]] == ["before"]

    one.vm.snapshotrevert(running.ID, snapshot_id)
    wait(one, running.ID, RUNNING)
    one.vm.snapshotdelete(running.ID, snapshot_id)
    vm = wait(one, running.ID, RUNNING)

    assert "SNAPSHOT" not in vm.TEMPLATE

    one.vm.action("poweroff", running.ID)
    wait(one, running.ID, POWEROFF)
    disk_snapshot = one.vm.disksnapshotcreate(running.ID, 0, "clean")
    vm = wait(one, running.ID, POWEROFF)

    assert [(each.ID, each.NAME) for each in vm.SNAPSHOTS[0].SNAPSHOT] == [(disk_snapshot, "clean")]

    one.vm.disksnapshotrename(running.ID, 0, disk_snapshot, "cleaner")
    one.vm.disksnapshotrevert(running.ID, 0, disk_snapshot)
    wait(one, running.ID, POWEROFF)
    one.vm.disksnapshotdelete(running.ID, 0, disk_snapshot)
    vm = wait(one, running.ID, POWEROFF)

    assert [each for snapshots in vm.SNAPSHOTS for each in snapshots.SNAPSHOT] == []


def test_a_vm_that_is_off_grows_and_its_disk_becomes_an_image(one, running):
    one.vm.action("poweroff", running.ID)
    wait(one, running.ID, POWEROFF)
    one.vm.resize(running.ID, "CPU = 0.2\nMEMORY = 48\n", True)
    image_id = one.vm.disksaveas(running.ID, 0, "golden", "OS", -1)
    eventually(lambda: one.image.info(image_id).STATE == 1, "the new image ready")
    vm = wait(one, running.ID, POWEROFF)
    one.image.delete(image_id)

    def gone():
        try:
            one.image.info(image_id)
        except pyone.OneNoExistsException:
            return True
        return False

    eventually(gone, "the image gone")

    assert (vm.TEMPLATE["CPU"], vm.TEMPLATE["MEMORY"]) == ("0.2", "48")


def test_a_locked_vm_is_left_alone(one, running):
    one.vm.lock(running.ID, 4)

    assert one.vm.info(running.ID).LOCK.LOCKED == 4
    with pytest.raises(pyone.OneException, match="lock"):
        one.vm.action("terminate-hard", running.ID)

    one.vm.unlock(running.ID)

    assert one.vm.info(running.ID).LOCK is None


def test_an_action_is_carried_out_at_its_time(one, running):
    one.vm.schedadd(running.ID, "SCHED_ACTION = [ ACTION = suspend, TIME = +1 ]")
    vm = wait(one, running.ID, SUSPENDED)
    action = vm.TEMPLATE["SCHED_ACTION"]

    assert (action["ACTION"], int(action["DONE"]) > 0) == ("suspend", True)


def test_networks_have_ranges_holds_and_reservations(one):
    network_id = one.vn.allocate(
        'NAME = "dmz"\nVN_MAD = "dummy"\nBRIDGE = "br9"\nAR = [ TYPE = IP4, IP = "10.9.0.1", SIZE = 10 ]', -1
    )
    one.vn.add_ar(network_id, 'AR = [ TYPE = IP4_6, IP = "10.9.1.1", SIZE = 4, GLOBAL_PREFIX = "2001:db8::" ]')
    one.vn.hold(network_id, "LEASES = [ IP = 10.9.0.3 ]")
    child_id = one.vn.reserve(network_id, 'SIZE = 2\nNAME = "mine"')
    network = one.vn.info(network_id)

    assert [(each.AR_ID, each.TYPE, each.SIZE) for each in network.AR_POOL.AR] == [("0", "IP4", 10), ("1", "IP4_6", 4)]
    assert network.USED_LEASES == 3
    assert one.vn.info(child_id).PARENT_NETWORK_ID == str(network_id)

    one.vn.delete(child_id)
    one.vn.release(network_id, "LEASES = [ IP = 10.9.0.3 ]")
    one.vn.rm_ar(network_id, 1)

    assert one.vn.info(network_id).USED_LEASES == 0
    one.vn.delete(network_id)


def test_users_groups_quotas_and_rules_hold_for_everybody(one, connect, template_id):
    group_id = one.group.allocate("staff")
    user_id = one.user.allocate("ann", "s3cret", "core", [group_id])
    one.user.quota(user_id, "VM = [ VMS = 1, CPU = -2, MEMORY = -2, SYSTEM_DISK_SIZE = -2 ]")
    ann = connect("ann:s3cret")

    with pytest.raises(pyone.OneAuthenticationException):
        connect("ann:wrong").user.info(-1)
    with pytest.raises(pyone.OneAuthorizationException):
        ann.template.instantiate(template_id, "not hers")
    with pytest.raises(pyone.OneAuthorizationException):
        ann.host.delete(one.hostpool.info().HOST[0].ID)

    one.template.chmod(template_id, 1, 1, 0, 0, 0, 0, 1, 0, 0)
    rules = [
        one.acl.addrule(f"{0x200000000 | group_id:x}", f"{0x28000000000 | 0x400000000:x}", f"{1:x}", ""),
        one.acl.addrule(f"{0x200000000 | group_id:x}", f"{0x104000000000 | 0x400000000:x}", f"{1:x}", ""),
        one.acl.addrule(f"{0x200000000 | group_id:x}", f"{0x1000000000 | 0x400000000:x}", f"{8:x}", ""),
    ]
    vm_id = ann.template.instantiate(template_id, "hers", True)

    with pytest.raises(pyone.OneException, match=r"(?i)quota|limit"):
        ann.template.instantiate(template_id, "too much", True)
    assert one.user.info(user_id).VM_QUOTA.VM[0].VMS_USED == "1"

    token = ann.user.login("ann", "", 600, -1)
    by_token = connect(f"ann:{token}")

    assert [vm.ID for vm in by_token.vmpool.info(-3, -1, -1, -1).VM] == [vm_id]

    by_token.vm.action("terminate-hard", vm_id)
    wait(one, vm_id, DONE)
    one.user.enable(user_id, False)
    with pytest.raises(pyone.OneAuthenticationException):
        by_token.vmpool.info(-3, -1, -1, -1)
    for rule in rules:
        one.acl.delrule(rule)
    one.template.chmod(template_id, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    one.user.delete(user_id)
    one.group.delete(group_id)


def test_images_are_made_cloned_switched_off_and_deleted(one):
    image_id = one.image.allocate("NAME = data\nTYPE = DATABLOCK\nSIZE = 8\n", 1)
    eventually(lambda: one.image.info(image_id).STATE == 1, "the datablock ready")
    clone_id = one.image.clone(image_id, "data-2")
    eventually(lambda: one.image.info(clone_id).STATE == 1, "the clone ready")
    one.image.persistent(clone_id, True)
    one.image.enable(image_id, False)

    assert (one.image.info(image_id).STATE, one.image.info(clone_id).PERSISTENT) == (3, 1)

    one.image.enable(image_id, True)
    for each in (image_id, clone_id):
        one.image.delete(each)
    eventually(
        lambda: not {image_id, clone_id} & {image.ID for image in one.imagepool.info(-2, -1, -1).IMAGE}, "none left"
    )


def test_a_persistent_image_has_what_its_last_vm_left(one):
    image_id = one.image.allocate("NAME = home\nTYPE = DATABLOCK\nSIZE = 4\nPERSISTENT = YES\n", 1)
    eventually(lambda: one.image.info(image_id).STATE == 1, "the image ready")
    text = "CPU = 0.1\nMEMORY = 16\nHYPERVISOR = simulated\nDISK = [ IMAGE = home ]\n"
    vm_id = one.vm.allocate(text)
    wait(one, vm_id, RUNNING)

    assert one.image.info(image_id).STATE == 8
    with pytest.raises(pyone.OneException, match="home"):
        one.vm.allocate(text)

    one.vm.action("terminate", vm_id)
    wait(one, vm_id, DONE)
    eventually(lambda: one.image.info(image_id).STATE == 1, "the image given back")
    one.image.delete(image_id)


def test_hosts_are_switched_off_and_on_and_told_apart_by_cluster(one):
    hosts = {host.NAME: host.ID for host in one.hostpool.info().HOST}
    cluster_id = one.cluster.allocate("east")
    one.cluster.addhost(cluster_id, hosts["h1"])
    for status, state in ((1, 4), (2, 8), (0, 2)):
        one.host.status(hosts["h1"], status)

        assert one.host.info(hosts["h1"]).STATE == state
    assert one.cluster.info(cluster_id).HOSTS.ID == [hosts["h1"]]
    assert one.host.info(hosts["h1"]).CLUSTER == "east"

    one.cluster.delhost(cluster_id, hosts["h1"])
    one.cluster.delete(cluster_id)


def test_what_was_used_is_accounted_for(one, running):
    records = one.vmpool.accounting(-2, -1, -1).HISTORY
    months = one.vmpool.showback(-2, -1, -1, -1, -1)

    assert running.ID in [each.OID for each in records]
    assert months is not None
    assert one.vm.monitoring(running.ID) is not None


def test_a_start_script_and_a_picture_of_text_survive_the_journey(one, template_id):
    script = base64.b64encode(b"#!/bin/sh\necho '<&>' \"$1\"\n").decode()
    vm_id = one.template.instantiate(template_id, "scripted", True, f'CONTEXT = [ START_SCRIPT_BASE64 = "{script}" ]')
    vm = one.vm.info(vm_id)
    one.vm.action("terminate-hard", vm_id)

    assert vm.TEMPLATE["CONTEXT"]["START_SCRIPT_BASE64"] == script


def test_clients_learn_what_they_did_wrong(one):
    for call, error in (
        (lambda: one.vm.info(99_999), pyone.OneNoExistsException),
        (lambda: one.vm.allocate("MEMORY = lots"), pyone.OneException),
        (lambda: one.vm.action("fly", 0), pyone.OneException),
        (lambda: one.vmpool.info(-9, -1, -1, -1), pyone.OneApiException),
        (lambda: one.vrouter.allocate("NAME = r"), pyone.OneException),
    ):
        with pytest.raises(error):
            call()


def test_a_vm_that_waits_says_why_in_its_own_document(one):
    vm_id = one.vm.allocate("CPU = 1000\nMEMORY = 16\nHYPERVISOR = simulated\n", False)
    said = eventually(lambda: one.vm.info(vm_id).USER_TEMPLATE.get("SCHED_MESSAGE"), "SCHED_MESSAGE")
    waiting = one.vm.info(vm_id)

    assert (waiting.STATE, waiting.LCM_STATE) == (1, 0)
    assert said.endswith("h0 comes closest, it lacks 936 cores.")

    one.vm.action("terminate-hard", vm_id)
    wait(one, vm_id, DONE)

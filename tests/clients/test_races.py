"""Many clients at once, at the edge of what is allowed."""

from concurrent.futures import ThreadPoolExecutor

import pyone

CLIENTS = 16
CALLS = 64
LIMIT = 10


def test_submissions_at_once_end_exactly_at_the_limit(one, connect):
    user_id = one.user.allocate("racer", "pw", "core", [1])
    one.user.quota(user_id, f"VM = [ VMS = {LIMIT}, CPU = -2, MEMORY = -2, SYSTEM_DISK_SIZE = -2 ]")

    def submit(_number):
        try:
            return connect("racer:pw").vm.allocate("CPU = 0.1\nMEMORY = 16\n", True)
        except pyone.OneException:
            return None

    with ThreadPoolExecutor(CLIENTS) as pool:
        vm_ids = [vm_id for vm_id in pool.map(submit, range(CALLS)) if vm_id is not None]
    mine = connect("racer:pw")
    used = one.user.info(user_id).VM_QUOTA.VM[0].VMS_USED

    assert (len(vm_ids), len(set(vm_ids)), used) == (LIMIT, LIMIT, str(LIMIT))

    for vm_id in vm_ids:
        mine.vm.action("terminate-hard", vm_id)

    assert [quota.VMS_USED for quota in one.user.info(user_id).VM_QUOTA.VM] in ([], ["0"])
    one.user.delete(user_id)


def test_addresses_taken_at_once_belong_to_one_vm_each(one):
    network_id = one.vn.allocate('NAME = tight\nVN_MAD = dummy\nAR = [ TYPE = IP4, IP = "10.40.0.1", SIZE = 8 ]', -1)
    text = "CPU = 0.1\nMEMORY = 16\nNIC = [ NETWORK = tight ]\n"

    def submit(_number):
        try:
            return one.vm.allocate(text, True)
        except pyone.OneException:
            return None

    with ThreadPoolExecutor(CLIENTS) as pool:
        vm_ids = [vm_id for vm_id in pool.map(submit, range(CALLS // 2)) if vm_id is not None]
    ips = [one.vm.info(vm_id).TEMPLATE["NIC"]["IP"] for vm_id in vm_ids]

    assert sorted(ips) == [f"10.40.0.{number}" for number in range(1, 9)]

    for vm_id in vm_ids:
        one.vm.action("terminate-hard", vm_id)
    assert one.vn.info(network_id).USED_LEASES == 0
    one.vn.delete(network_id)

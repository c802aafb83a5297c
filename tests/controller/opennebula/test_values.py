"""What is in the documents, as pyone reads it."""

import msgspec
import pytest
from pyone import bindings
from tests.controller.opennebula.records_of_tests import NOW_S, TEXTS, a_cluster
from tests.controller.opennebula.site_of_tests import ANN, H1, LAN, STAY, TINY, WEB, site
from tests.controller.opennebula.validated import validated

from innkeeper_controller.accounting import Cost
from innkeeper_controller.cluster import Put
from innkeeper_controller.furniture import DATASTORES
from innkeeper_controller.opennebula.documents import markup
from innkeeper_controller.opennebula.documents.accounting import accounting, showback
from innkeeper_controller.opennebula.documents.acl import acl_pool
from innkeeper_controller.opennebula.documents.datastore import datastore
from innkeeper_controller.opennebula.documents.group import group
from innkeeper_controller.opennebula.documents.host import host
from innkeeper_controller.opennebula.documents.image import image
from innkeeper_controller.opennebula.documents.monitoring import host_monitoring, vm_monitoring
from innkeeper_controller.opennebula.documents.network import network
from innkeeper_controller.opennebula.documents.template import template
from innkeeper_controller.opennebula.documents.user import user
from innkeeper_controller.opennebula.documents.vm import vm, vm_in_pool
from innkeeper_controller.records import (
    AclRule,
    AddressLease,
    AddressRange,
    Datastore,
    Group,
    HistoryRecord,
    Host,
    HostState,
    Network,
    Operation,
    OperationKind,
    Plan,
    StoredTemplate,
)
from innkeeper_plugins.vocabulary import (
    Graphics,
    HostId,
    OperationId,
    VmId,
)

_replace = msgspec.structs.replace


def read(document):
    """Return what pyone makes of the document, which is a valid one."""
    validated(document)
    return bindings.parseString(document.encode())


def values(thing, *names):
    """Return some values of what pyone gave."""
    return {name: getattr(thing, name) for name in names}


def test_a_vm_is_what_its_record_says():
    shown = read(vm(site(), WEB))

    names = ("ID", "UID", "GID", "UNAME", "GNAME", "NAME", "LAST_POLL", "STATE", "LCM_STATE", "RESCHED", "DEPLOY_ID")
    assert values(shown, *names) == {
        "ID": 7,
        "UID": 2,
        "GID": 1,
        "UNAME": "ann",
        "GNAME": "users",
        "NAME": "web",
        "LAST_POLL": int(NOW_S),
        "STATE": 3,
        "LCM_STATE": 3,
        "RESCHED": 0,
        "DEPLOY_ID": "one-7",
    }
    assert values(shown.PERMISSIONS, "OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "OTHER_U") == {
        "OWNER_U": 1,
        "OWNER_M": 1,
        "OWNER_A": 0,
        "GROUP_U": 1,
        "GROUP_M": 0,
        "OTHER_U": 0,
    }
    assert values(shown.LOCK, "LOCKED", "OWNER", "TIME") == {"LOCKED": 2, "OWNER": 2, "TIME": int(NOW_S)}
    assert values(shown.MONITORING, "CPU", "MEMORY", "TIMESTAMP") == {
        "CPU": 50.0,
        "MEMORY": 300 * 1024,
        "TIMESTAMP": int(NOW_S),
    }
    assert dict(shown.USER_TEMPLATE) == {
        "LABELS": "a,b",
        "HAIZEA": {"START": "now", "DURATION": "1:00"},
        "DISK_OF": [{"A": "1"}, {"A": "2"}],
        "SCHED_REQUIREMENTS": "CLUSTER_ID = 0",
    }


def test_a_vm_is_said_to_go_where_the_datastores_of_its_images_and_its_networks_are():
    team = Datastore(datastore_id=100, name="team", kept_in="default", clusters=(100, 101))
    around = site(team, _replace(TINY, datastore="team"), _replace(LAN, clusters=(0, 101)))

    assert read(vm(around, WEB)).TEMPLATE["AUTOMATIC_REQUIREMENTS"] == "(CLUSTER_ID = 101)"


def test_a_vms_template_has_its_capacity_disks_and_cards():
    shown = read(vm(site(), WEB)).TEMPLATE

    assert {name: shown[name] for name in ("CPU", "VCPU", "MEMORY", "VMID", "TEMPLATE_ID", "TM_MAD_SYSTEM")} == {
        "CPU": "0.5",
        "VCPU": "2",
        "MEMORY": "512",
        "VMID": "7",
        "TEMPLATE_ID": "9",
        "TM_MAD_SYSTEM": "qcow2",
    }
    assert shown["AUTOMATIC_REQUIREMENTS"] == "(CLUSTER_ID = 0)"
    assert dict(shown["CONTEXT"]) == {"DISK_ID": "1", "TARGET": "hda", "NETWORK": "YES"}
    assert dict(shown["DISK"]) == {
        "DISK_ID": "0",
        "IMAGE": "tiny",
        "IMAGE_ID": "5",
        "DATASTORE": "default",
        "DATASTORE_ID": "1",
        "TARGET": "vda",
        "DEV_PREFIX": "vd",
        "SIZE": "200",
        "ORIGINAL_SIZE": "101",
        "TYPE": "FILE",
        "TM_MAD": "qcow2",
        "DRIVER": "qcow2",
        "FORMAT": "qcow2",
        "CACHE": "default",
        "READONLY": "NO",
        "CLONE": "YES",
        "SAVE": "NO",
    }
    assert dict(shown["NIC"]) == {
        "NIC_ID": "0",
        "NAME": "NIC0",
        "NETWORK": "lan",
        "NETWORK_ID": "3",
        "IP": "192.168.0.2",
        "MAC": "02:00:c0:a8:00:02",
        "BRIDGE": "br0",
        "VN_MAD": "bridge",
        "MODEL": "virtio",
        "SECURITY_GROUPS": "0",
    }


def test_a_screen_has_its_type_as_opennebula_writes_it_and_no_password():
    spec = _replace(WEB.spec, graphics=Graphics(listen="0.0.0.0", port=5907, password="secret"))
    shown = read(vm(site(), _replace(WEB, spec=spec))).TEMPLATE["GRAPHICS"]

    assert dict(shown) == {"TYPE": "VNC", "LISTEN": "0.0.0.0", "PORT": "5907"}


def test_a_vms_stays_have_the_times_of_their_parts():
    (stay,) = read(vm(site(), WEB)).HISTORY_RECORDS.HISTORY

    names = ("OID", "SEQ", "HOSTNAME", "HID", "CID", "STIME", "ETIME", "VM_MAD", "TM_MAD", "DS_ID")
    assert values(stay, *names) == {
        "OID": 7,
        "SEQ": 0,
        "HOSTNAME": "h1",
        "HID": 1,
        "CID": 0,
        "STIME": 100,
        "ETIME": 0,
        "VM_MAD": "kvm",
        "TM_MAD": "qcow2",
        "DS_ID": 1,
    }
    assert values(stay, "PSTIME", "PETIME", "RSTIME", "RETIME", "ACTION", "UID", "GID", "REQUEST_ID") == {
        "PSTIME": 100,
        "PETIME": 110,
        "RSTIME": 110,
        "RETIME": 0,
        "ACTION": 30,
        "UID": 0,
        "GID": 0,
        "REQUEST_ID": "r1",
    }


def test_a_vm_that_is_being_suspended_says_so_and_where_it_was():
    running = Operation(
        operation_id=OperationId("o1"), kind=OperationKind.SUSPEND, subject="vm:7", origin="RUNNING", plan=Plan(legs=())
    )
    cluster = site(running)
    cluster.apply(Put("vm", 7, WEB, busy := type(WEB)(**{**_fields(WEB), "operation_id": OperationId("o1")})))

    assert values(read(vm(cluster, busy)), "STATE", "LCM_STATE", "PREV_STATE", "PREV_LCM_STATE") == {
        "STATE": 3,
        "LCM_STATE": 6,
        "PREV_STATE": 3,
        "PREV_LCM_STATE": 3,
    }


def _fields(record):
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_what_is_gone_has_the_number_minus_one():
    cluster = site()
    cluster.apply(Put("user", "ann", ANN, None))

    (shown,) = read(f"<VM_POOL>{vm_in_pool(cluster, WEB)}</VM_POOL>").VM
    assert values(shown, "UID", "UNAME") == {"UID": -1, "UNAME": "ann"}


def test_a_host_counts_in_kb_and_hundredths_of_cores():
    shown = read(host(site(), H1))

    assert values(shown, "ID", "STATE", "CLUSTER_ID", "CLUSTER") == {
        "ID": 1,
        "STATE": 2,
        "CLUSTER_ID": 0,
        "CLUSTER": "default",
    }
    assert values(shown.HOST_SHARE, "MEM_USAGE", "CPU_USAGE", "MAX_MEM", "MAX_CPU", "RUNNING_VMS") == {
        "MEM_USAGE": 512 * 1024,
        "CPU_USAGE": 50,
        "MAX_MEM": 1024 * 1024,
        "MAX_CPU": 800,
        "RUNNING_VMS": 1,
    }
    assert [values(each, "ID", "TOTAL_MB", "FREE_MB", "USED_MB") for each in shown.HOST_SHARE.DATASTORES.DS] == [
        {"ID": number, "TOTAL_MB": 1000, "FREE_MB": 400, "USED_MB": 600} for number in (0, 1, 2)
    ]
    assert values(shown.MONITORING.CAPACITY, "USED_CPU", "FREE_CPU", "USED_MEMORY") == {
        "USED_CPU": 150,
        "FREE_CPU": 650,
        "USED_MEMORY": 102_400,
    }
    assert (shown.VMS.ID, shown.TEMPLATE["ARCH"], shown.TEMPLATE["RACK"]) == ([7], "x86_64", "3")


@pytest.mark.parametrize(
    ("state", "connected", "shown"),
    [
        (HostState.ON, True, 2),
        (HostState.ON, False, 3),
        (HostState.JOINING, False, 0),
        (HostState.DISABLED, False, 4),
        (HostState.DRAINING, True, 4),
        (HostState.OFFLINE, False, 8),
    ],
)
def test_a_host_that_should_be_there_and_is_not_is_in_error(state, connected, shown):
    record = Host(host_id=HostId(1), name="h1", state=state, connected=connected)

    assert read(host(site(), record)).STATE == shown


def test_an_image_is_used_while_a_vm_has_it():
    cluster = site()
    names = ("ID", "STATE", "TYPE", "PERSISTENT", "SIZE", "RUNNING_VMS", "DATASTORE_ID", "PATH", "FORMAT")

    used = read(image(cluster, TINY))
    cluster.apply(Put("vm", 7, WEB, None))
    unused = read(image(cluster, TINY))

    common = {"ID": 5, "TYPE": 0, "PERSISTENT": 1, "SIZE": 101, "DATASTORE_ID": 1}
    common |= {"PATH": "/srv/tiny.qcow2", "FORMAT": "qcow2"}
    assert values(used, *names) == {**common, "STATE": 8, "RUNNING_VMS": 1}
    assert values(unused, *names) == {**common, "STATE": 1, "RUNNING_VMS": 0}
    assert (used.VMS.ID, unused.VMS.ID) == ([7], [])


def test_a_network_shows_who_has_its_addresses():
    mac = "02:00:c0:a8:00:02"
    cluster = site(
        AddressLease(network_id=3, range_index=2, offset=1, mac=mac, ip="192.168.0.2", vm_id=VmId(7), nic_id=0),
        AddressLease(network_id=3, range_index=2, offset=0, mac=mac, ip="192.168.0.1"),
        AddressLease(network_id=3, range_index=2, offset=2, mac=mac, ip="192.168.0.3", reserved_by=4),
        AddressLease(network_id=4, range_index=2, offset=3, mac=mac, ip="192.168.0.4", vm_id=VmId(7)),
    )

    shown = read(network(cluster, LAN))
    (addresses,) = shown.AR_POOL.AR
    assert values(shown, "BRIDGE", "VLAN_ID", "VN_MAD", "USED_LEASES") == {
        "BRIDGE": "br0",
        "VLAN_ID": "7",
        "VN_MAD": "bridge",
        "USED_LEASES": 3,
    }
    assert values(addresses, "AR_ID", "IP", "IP_END", "MAC", "MAC_END", "SIZE", "USED_LEASES") == {
        "AR_ID": "2",
        "IP": "192.168.0.1",
        "IP_END": "192.168.0.10",
        "SIZE": 10,
        "USED_LEASES": "3",
        "MAC": "02:00:c0:a8:00:01",
        "MAC_END": "02:00:c0:a8:00:0a",
    }
    assert [(each.IP, each.VM, each.VNET) for each in addresses.LEASES.LEASE] == [
        ("192.168.0.1", -1, None),
        ("192.168.0.2", 7, None),
        ("192.168.0.3", None, 4),
    ]
    assert shown.TEMPLATE["DNS"] == "192.168.0.254"


def test_a_user_has_groups_tokens_limits_and_usages():
    shown = read(user(site(), ANN))

    assert values(shown, "ID", "GID", "GNAME", "NAME", "ENABLED", "AUTH_DRIVER", "PASSWORD") == {
        "ID": 2,
        "GID": 1,
        "GNAME": "users",
        "NAME": "ann",
        "ENABLED": 1,
        "AUTH_DRIVER": "core",
        "PASSWORD": "",
    }
    assert shown.GROUPS.ID == [0, 1]
    assert [(each.TOKEN, each.EXPIRATION_TIME, each.EGID) for each in shown.LOGIN_TOKEN] == [
        ("0123456789ab", int(NOW_S), -1)
    ]
    (used,) = shown.VM_QUOTA.VM
    assert values(used, "CPU", "CPU_USED", "MEMORY", "MEMORY_USED", "RUNNING_VMS_USED", "SYSTEM_DISK_SIZE_USED") == {
        "CPU": "4",
        "CPU_USED": "0.5",
        "MEMORY": "-1",
        "MEMORY_USED": "512",
        "RUNNING_VMS_USED": "1",
        "SYSTEM_DISK_SIZE_USED": "200",
    }
    assert [values(each, "ID", "LEASES", "LEASES_USED") for each in shown.NETWORK_QUOTA.NETWORK] == [
        {"ID": "3", "LEASES": "-1", "LEASES_USED": "1"}
    ]
    assert [values(each, "ID", "IMAGES_USED", "SIZE_USED") for each in shown.DATASTORE_QUOTA.DATASTORE] == [
        {"ID": "1", "IMAGES_USED": "1", "SIZE_USED": "101"}
    ]
    assert [values(each, "ID", "RVMS", "RVMS_USED") for each in shown.IMAGE_QUOTA.IMAGE] == [
        {"ID": "5", "RVMS": "-1", "RVMS_USED": "1"}
    ]


def test_samples_of_guests_and_hosts_are_told_the_oldest_first():
    cluster = site()

    guests = validated(vm_monitoring(cluster, WEB))
    hosts = validated(host_monitoring(cluster, H1))
    assert [(each.findtext("CPU"), each.findtext("TIMESTAMP")) for each in guests] == [
        ("0", str(int(NOW_S - 60))),
        ("50", str(int(NOW_S))),
    ]
    assert [(each.findtext("CAPACITY/USED_CPU"), each.findtext("ID")) for each in hosts] == [("150", "1")] * 2


def test_a_group_has_its_users_and_admins():
    rich = Group(group_id=1, name="users", admins=("ann",), attributes={"FOO": "bar"})

    shown = read(group(site(rich), rich))
    assert (shown.ID, shown.NAME, shown.USERS.ID, shown.ADMINS.ID) == (1, "users", [2], [2])
    assert dict(shown.TEMPLATE) == {"FOO": "bar"}


def test_a_datastore_is_as_large_as_its_hosts_say():
    shown = read(datastore(site(), DATASTORES[0]))

    assert values(shown, "ID", "TYPE", "STATE", "TOTAL_MB", "FREE_MB", "USED_MB", "TM_MAD") == {
        "ID": 0,
        "TYPE": 1,
        "STATE": 0,
        "TOTAL_MB": 1000,
        "FREE_MB": 400,
        "USED_MB": 600,
        "TM_MAD": "qcow2",
    }


def test_a_stored_template_keeps_its_vectors_and_repetitions():
    text = 'NAME = x\nCPU = 1\nDISK = [ IMAGE = "a<b", SIZE = 5 ]\nDISK = [ TYPE = swap ]\n'

    shown = read(template(site(), StoredTemplate(template_id=1, name="x", owner="ann", text=text)))
    assert dict(shown.TEMPLATE) == {"CPU": "1", "DISK": [{"IMAGE": "a<b", "SIZE": "5"}, {"TYPE": "swap"}]}


def test_acl_rules_have_numbers_and_words():
    rules = (AclRule(rule_id=4, text="@1 VM+NET/#5 USE+MANAGE *"), AclRule(rule_id=0, text="* HOST/* CREATE"))

    assert [
        (each.ID, each.USER, each.RESOURCE, each.RIGHTS, each.ZONE, each.STRING)
        for each in read(acl_pool(site(*rules).acl_rules.values())).ACL
    ] == [
        (0, "400000000", "2400000000", "8", "400000000", "* HOST/* CREATE *"),
        (4, "200000001", "5100000005", "3", "400000000", "@1 VM+NET/#5 USE+MANAGE *"),
    ]


def test_accounting_tells_of_a_vm_what_it_had_then():
    gone = HistoryRecord(**{**_fields(STAY), "vm_id": VmId(3), "memory_mib": 64, "ended_at_s": 200.0})

    shown = read(accounting(site(), [STAY, gone])).HISTORY
    assert [(each.OID, each.ETIME, each.VM.STATE, each.VM.NAME, each.VM.UNAME) for each in shown] == [
        (7, 0, 3, "web", "ann"),
        (3, 200, 6, "web", "ann"),
    ]
    assert [each.VM.TEMPLATE["MEMORY"] for each in shown] == ["512", "64"]


COST = Cost(
    vm_id=7,
    vm_name="web",
    owner="ann",
    group="users",
    year=2026,
    month=11,
    cpu_cost=1.5,
    memory_cost=0.25,
    hours=3.0,
    running_hours=2.5,
)


def test_showback_adds_up_the_costs():
    (shown,) = read(showback(site(), [COST])).SHOWBACK

    assert values(shown, "VMID", "VMNAME", "UID", "GID", "YEAR", "MONTH", "TOTAL_COST", "HOURS", "RHOURS") == {
        "VMID": 7,
        "VMNAME": "web",
        "UID": 2,
        "GID": 1,
        "YEAR": 2026,
        "MONTH": 11,
        "TOTAL_COST": 1.75,
        "HOURS": 3.0,
        "RHOURS": 2.5,
    }


@pytest.mark.parametrize("seed", range(5))
def test_pyone_reads_every_vm_of_random_clusters(seed):
    cluster = a_cluster(seed)

    for record in cluster.vms.values():
        assert read(vm(cluster, record)).ID == record.vm_id


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_as_it_was_but_for_what_xml_cannot_carry(text):
    carried = "".join(each if each not in "\x00\x1b\ufffe\ud800" else markup.REPLACEMENT for each in text)

    assert (validated(f"<HOOKLOG>{markup.element('A', text)}</HOOKLOG>").findtext("A") or "") == carried


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1"),
        (True, "1"),
        (2.0, "2"),
        (0.5, "0.5"),
        (-1.0, "-1"),
        (0.000001, "0.000001"),
        (1e15, "1" + "0" * 15),
        (0.0, "0"),
    ],
)
def test_a_number_has_no_exponent_and_no_needless_digits(value, shown):
    assert markup.number(value) == shown


@pytest.mark.parametrize(
    ("text", "name"),
    [("FOO", "FOO"), ("1ST", "_1ST"), ("with blank", "with_blank"), ("", "_"), ("É<x>", "__x_"), ("-a", "_-a")],
)
def test_an_attributes_name_becomes_one_that_elements_may_have(text, name):
    assert markup.name_of(text) == name


def test_a_range_of_ipv6_has_its_first_and_last_addresses():
    record = Network(
        network_id=8,
        name="six",
        owner="ann",
        ranges=(
            AddressRange(size=3, type="IP6", mac="02:00:00:00:00:01", global_prefix="2001:db8::", ula_prefix="fd00::"),
        ),
    )

    (addresses,) = read(network(site(), record)).AR_POOL.AR
    assert values(addresses, "TYPE", "IP", "GLOBAL_PREFIX", "IP6_GLOBAL", "IP6_GLOBAL_END", "IP6_ULA_END") == {
        "TYPE": "IP6",
        "IP": None,
        "GLOBAL_PREFIX": "2001:db8::",
        "IP6_GLOBAL": "2001:db8::ff:fe00:1",
        "IP6_GLOBAL_END": "2001:db8::ff:fe00:3",
        "IP6_ULA_END": "fd00::ff:fe00:3",
    }

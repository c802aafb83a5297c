"""The elements that OpenNebula's Ruby clients need are there: absent ones end in a crash, not in a message.

What they need was found by leaving elements out of documents, one after the other, and running the clients.
"""

from dataclasses import dataclass

import msgspec
import pytest
from lxml import etree
from tests.controller.opennebula.records_of_tests import NOW_S
from tests.controller.opennebula.site_of_tests import ANN, H1, LAN, TINY, WEB, site
from tests.controller.opennebula.validated import validated

from innkeeper_controller.furniture import DATASTORES, DEFAULT_CLUSTER, GROUPS
from innkeeper_controller.opennebula.documents import constants
from innkeeper_controller.opennebula.documents.acl import acl_pool
from innkeeper_controller.opennebula.documents.cluster import cluster_document
from innkeeper_controller.opennebula.documents.datastore import datastore
from innkeeper_controller.opennebula.documents.group import group, group_in_pool
from innkeeper_controller.opennebula.documents.host import host
from innkeeper_controller.opennebula.documents.image import image
from innkeeper_controller.opennebula.documents.network import network, network_in_pool
from innkeeper_controller.opennebula.documents.quotas import default_group_quotas, default_user_quotas
from innkeeper_controller.opennebula.documents.template import template
from innkeeper_controller.opennebula.documents.user import user, user_in_pool
from innkeeper_controller.opennebula.documents.vm import vm, vm_in_pool
from innkeeper_controller.records import (
    AclRule,
    AddressLease,
    ClusterRecord,
    Datastore,
    DiskSnapshot,
    Group,
    Host,
    Image,
    ImageState,
    Network,
    ScheduledAction,
    StoredTemplate,
    User,
    VmRecord,
    VmSnapshot,
)
from innkeeper_plugins.vocabulary import Advertisement, Boot, Capacity, Graphics, HostId, ImageId, Vm, VmId, VmState

#: A VM with everything that ``onevm show`` has a table for.
FULL_VM = msgspec.structs.replace(
    WEB,
    spec=msgspec.structs.replace(
        WEB.spec,
        graphics=Graphics(port=5907),
        boot=Boot(arch="x86_64"),
    ),
    snapshots=(VmSnapshot(snapshot_id=0, name="s", at_s=NOW_S, hypervisor_id="h"),),
    disk_snapshots=(DiskSnapshot(disk_id=0, snapshot_id=0, name="d", at_s=NOW_S, active=True),),
    scheduled=(ScheduledAction(action_id=0, action="poweroff", at_s=NOW_S),),
    attributes={"FOO": "bar"},
)
BARE_VM = VmRecord(
    vm_id=VmId(8),
    name="bare",
    owner="ann",
    state=VmState.PENDING,
    spec=Vm(vm_id=VmId(8), name="bare", uuid="", generation=0, cpu_cores=1.0, vcpus=1, memory_mib=1, hypervisor=""),
)
BARE_HOST = Host(host_id=HostId(2), name="h2", advertisement=Advertisement(capacity=Capacity()))
BARE_IMAGE = Image(image_id=ImageId(6), name="new", datastore="gone", owner="nobody", state=ImageState.LOCKED)
BARE_NETWORK = Network(network_id=4, name="none", owner="ann")
BARE_TEMPLATE = StoredTemplate(template_id=0, name="t", owner="ann")
FULL_TEMPLATE = StoredTemplate(
    template_id=1, name="t", owner="ann", text="CPU = 1\nMEMORY = 2\nDISK = [ IMAGE = tiny ]\n", registered_at_s=NOW_S
)
BARE_USER = User(name="new", user_id=7, groups=())
BARE_GROUP = Group(group_id=107, name="empty")
BARE_CLUSTER = ClusterRecord(cluster_id=107, name="empty")
BARE_DATASTORE = Datastore(name="new", datastore_id=107, clusters=())
LEASE = AddressLease(
    network_id=3, range_index=2, offset=1, mac="02:00:c0:a8:00:02", ip="192.168.0.2", vm_id=VmId(7), nic_id=0
)
RULE = AclRule(rule_id=0, text="@1 VM+NET+IMAGE/* CREATE *")
ENDPOINT = "http://localhost:2633/RPC2"


@dataclass(frozen=True)
class Command:
    """One command of OpenNebula's and the document that it is answered with."""

    line: str
    #: The smallest document that it does not crash on.
    least: str
    #: What it prints.
    shows: str
    #: Makes the document of a record that has everything.
    document: object
    full: object = None
    #: A record with as little as there can be; None where there is but one document.
    bare: object = None

    def answers(self):
        """Return the documents: of much, and of little."""
        cluster = site(LEASE, RULE)
        return [self.document(cluster, each) for each in (self.full, self.bare) if each is not None]


def pool(root, function, end=lambda _: ""):
    return lambda cluster, record: f"<{root}>{function(cluster, record)}{end(cluster)}</{root}>"


def always(document):
    return lambda _cluster, _record: document


OWNER = "PERMISSIONS/OWNER_M PERMISSIONS/OWNER_U"
COMMANDS = (
    Command(
        "onevm list",
        "<VM_POOL><VM><TEMPLATE/></VM></VM_POOL>",
        "VM/ETIME VM/GNAME VM/HISTORY_RECORDS/HISTORY/HOSTNAME VM/ID VM/LCM_STATE VM/NAME VM/STATE VM/TEMPLATE/CPU "
        "VM/TEMPLATE/MEMORY VM/UNAME",
        pool("VM_POOL", vm_in_pool),
        FULL_VM,
        BARE_VM,
    ),
    Command(
        "onevm show",
        "<VM><MONITORING/><TEMPLATE/></VM>",
        f"DEPLOY_ID GNAME ID LCM_STATE NAME STATE STIME UNAME USER_TEMPLATE/FOO {OWNER} MONITORING/CPU "
        "HISTORY_RECORDS/HISTORY/CID HISTORY_RECORDS/HISTORY/DS_ID HISTORY_RECORDS/HISTORY/ETIME "
        "HISTORY_RECORDS/HISTORY/HOSTNAME HISTORY_RECORDS/HISTORY/PETIME HISTORY_RECORDS/HISTORY/PSTIME "
        "HISTORY_RECORDS/HISTORY/REQUEST_ID HISTORY_RECORDS/HISTORY/SEQ HISTORY_RECORDS/HISTORY/STIME "
        "HISTORY_RECORDS/HISTORY/UID MONITORING/MEMORY MONITORING/TIMESTAMP SNAPSHOTS/DISK_ID "
        "SNAPSHOTS/SNAPSHOT/ACTIVE SNAPSHOTS/SNAPSHOT/DATE SNAPSHOTS/SNAPSHOT/ID SNAPSHOTS/SNAPSHOT/NAME "
        "SNAPSHOTS/SNAPSHOT/PARENT SNAPSHOTS/SNAPSHOT/SIZE TEMPLATE/AUTOMATIC_DS_REQUIREMENTS "
        "TEMPLATE/AUTOMATIC_REQUIREMENTS TEMPLATE/CONTEXT/DISK_ID TEMPLATE/CONTEXT/NETWORK TEMPLATE/CONTEXT/TARGET "
        "TEMPLATE/CPU TEMPLATE/DISK/DATASTORE TEMPLATE/DISK/DISK_ID TEMPLATE/DISK/IMAGE TEMPLATE/DISK/SIZE "
        "TEMPLATE/DISK/TARGET TEMPLATE/DISK/TYPE TEMPLATE/GRAPHICS/LISTEN TEMPLATE/GRAPHICS/PORT "
        "TEMPLATE/GRAPHICS/TYPE TEMPLATE/MEMORY TEMPLATE/NIC/BRIDGE TEMPLATE/NIC/IP TEMPLATE/NIC/MAC "
        "TEMPLATE/NIC/NETWORK TEMPLATE/NIC/NIC_ID TEMPLATE/OS/ARCH TEMPLATE/SCHED_ACTION/ACTION "
        "TEMPLATE/SCHED_ACTION/ID TEMPLATE/SCHED_ACTION/TIME TEMPLATE/SNAPSHOT/HYPERVISOR_ID TEMPLATE/SNAPSHOT/NAME "
        "TEMPLATE/SNAPSHOT/SNAPSHOT_ID TEMPLATE/SNAPSHOT/TIME TEMPLATE/TEMPLATE_ID TEMPLATE/TM_MAD_SYSTEM "
        "TEMPLATE/VCPU TEMPLATE/VMID",
        vm,
        FULL_VM,
        BARE_VM,
    ),
    Command(
        "onehost list",
        "<HOST_POOL><HOST><HOST_SHARE/></HOST></HOST_POOL>",
        "HOST/CLUSTER HOST/HOST_SHARE/CPU_USAGE HOST/HOST_SHARE/MAX_CPU HOST/HOST_SHARE/MAX_MEM "
        "HOST/HOST_SHARE/MEM_USAGE HOST/HOST_SHARE/RUNNING_VMS HOST/ID HOST/NAME HOST/STATE",
        pool("HOST_POOL", host),
        H1,
        BARE_HOST,
    ),
    Command(
        "onehost show",
        "<HOST><HOST_SHARE><DATASTORES/></HOST_SHARE><TEMPLATE/></HOST>",
        "CLUSTER HOST_SHARE/CPU_USAGE HOST_SHARE/DATASTORES HOST_SHARE/MAX_CPU HOST_SHARE/MAX_MEM "
        "HOST_SHARE/MEM_USAGE HOST_SHARE/RUNNING_VMS HOST_SHARE/TOTAL_CPU HOST_SHARE/TOTAL_MEM IM_MAD "
        "MONITORING/CAPACITY/USED_CPU MONITORING/CAPACITY/USED_MEMORY MONITORING/TIMESTAMP NAME STATE TEMPLATE/ARCH "
        "TEMPLATE/HYPERVISOR VM_MAD",
        host,
        H1,
        BARE_HOST,
    ),
    Command(
        "onevnet list",
        "<VNET_POOL><VNET><OUTDATED_VMS/><ERROR_VMS/></VNET></VNET_POOL>",
        "VNET/BRIDGE VNET/CLUSTERS/ID VNET/ERROR_VMS VNET/GNAME VNET/ID VNET/NAME VNET/OUTDATED_VMS VNET/STATE "
        "VNET/UNAME VNET/USED_LEASES",
        pool("VNET_POOL", network_in_pool),
        LAN,
        BARE_NETWORK,
    ),
    Command(
        "onevnet show",
        "<VNET><VN_MAD/><PHYDEV/><VLAN_ID/><TEMPLATE/><AR_POOL/></VNET>",
        "AR_POOL/AR/AR_ID AR_POOL/AR/IP AR_POOL/AR/IP_END AR_POOL/AR/LEASES/LEASE/IP AR_POOL/AR/LEASES/LEASE/MAC "
        "AR_POOL/AR/LEASES/LEASE/VM AR_POOL/AR/MAC AR_POOL/AR/MAC_END AR_POOL/AR/SIZE AR_POOL/AR/USED_LEASES BRIDGE "
        f"CLUSTERS/ID GNAME NAME OUTER_VLAN_ID PHYDEV STATE TEMPLATE/BRIDGE TEMPLATE/VN_MAD UNAME USED_LEASES VLAN_ID "
        f"VN_MAD {OWNER}",
        network,
        LAN,
        BARE_NETWORK,
    ),
    Command(
        "oneimage list",
        "<IMAGE_POOL><IMAGE/></IMAGE_POOL>",
        "IMAGE/DATASTORE IMAGE/GNAME IMAGE/ID IMAGE/NAME IMAGE/RUNNING_VMS IMAGE/SIZE IMAGE/STATE IMAGE/UNAME",
        pool("IMAGE_POOL", image),
        TINY,
        BARE_IMAGE,
    ),
    Command(
        "oneimage show",
        "<IMAGE><TEMPLATE/></IMAGE>",
        "DATASTORE FORMAT GNAME ID MODTIME NAME PATH REGTIME RUNNING_VMS SIZE SOURCE STATE TEMPLATE/DEV_PREFIX UNAME "
        f"{OWNER}",
        image,
        TINY,
        BARE_IMAGE,
    ),
    Command(
        "onetemplate list",
        "<VMTEMPLATE_POOL><VMTEMPLATE/></VMTEMPLATE_POOL>",
        "VMTEMPLATE/GNAME VMTEMPLATE/ID VMTEMPLATE/NAME VMTEMPLATE/REGTIME VMTEMPLATE/UNAME",
        pool("VMTEMPLATE_POOL", template),
        FULL_TEMPLATE,
        BARE_TEMPLATE,
    ),
    Command(
        "onetemplate show",
        "<VMTEMPLATE><TEMPLATE/></VMTEMPLATE>",
        f"GNAME ID NAME REGTIME TEMPLATE/CPU TEMPLATE/DISK/IMAGE TEMPLATE/MEMORY UNAME {OWNER}",
        template,
        FULL_TEMPLATE,
        BARE_TEMPLATE,
    ),
    Command(
        "oneuser list",
        "<USER_POOL><USER/></USER_POOL>",
        "USER/AUTH_DRIVER USER/ENABLED USER/GNAME USER/ID USER/NAME",
        pool("USER_POOL", user_in_pool, default_user_quotas),
        ANN,
        BARE_USER,
    ),
    Command(
        "oneuser show",
        "<USER><GROUPS><ID/></GROUPS><TEMPLATE/><DATASTORE_QUOTA/><NETWORK_QUOTA/><VM_QUOTA/><IMAGE_QUOTA/></USER>",
        "AUTH_DRIVER DATASTORE_QUOTA ENABLED GNAME GROUPS/ID ID IMAGE_QUOTA NAME NETWORK_QUOTA PASSWORD TEMPLATE "
        "VM_QUOTA",
        user,
        ANN,
        BARE_USER,
    ),
    Command(
        "onegroup list",
        "<GROUP_POOL><GROUP><USERS/></GROUP></GROUP_POOL>",
        "GROUP/ID GROUP/NAME GROUP/USERS/ID",
        pool("GROUP_POOL", group_in_pool, default_group_quotas),
        GROUPS[1],
        BARE_GROUP,
    ),
    Command(
        "onegroup show",
        "<GROUP><TEMPLATE/><DATASTORE_QUOTA/><NETWORK_QUOTA/><VM_QUOTA/><IMAGE_QUOTA/></GROUP>",
        "DATASTORE_QUOTA ID IMAGE_QUOTA NAME NETWORK_QUOTA TEMPLATE USERS/ID VM_QUOTA",
        group,
        GROUPS[1],
        BARE_GROUP,
    ),
    Command(
        "onecluster list",
        "<CLUSTER_POOL><CLUSTER/></CLUSTER_POOL>",
        "CLUSTER/DATASTORES/ID CLUSTER/HOSTS/ID CLUSTER/ID CLUSTER/NAME CLUSTER/VNETS/ID",
        pool("CLUSTER_POOL", cluster_document),
        DEFAULT_CLUSTER,
        BARE_CLUSTER,
    ),
    Command(
        "onecluster show",
        "<CLUSTER><HOSTS/><TEMPLATE/></CLUSTER>",
        "DATASTORES/ID HOSTS/ID ID NAME TEMPLATE VNETS/ID",
        cluster_document,
        DEFAULT_CLUSTER,
        BARE_CLUSTER,
    ),
    Command(
        "onedatastore list",
        "<DATASTORE_POOL><DATASTORE><CLUSTERS/><IMAGES/><TEMPLATE/></DATASTORE></DATASTORE_POOL>",
        "DATASTORE/CLUSTERS/ID DATASTORE/DS_MAD DATASTORE/FREE_MB DATASTORE/GNAME DATASTORE/ID DATASTORE/IMAGES "
        "DATASTORE/NAME DATASTORE/TEMPLATE DATASTORE/TM_MAD DATASTORE/TOTAL_MB DATASTORE/TYPE DATASTORE/UNAME",
        pool("DATASTORE_POOL", datastore),
        DATASTORES[1],
        BARE_DATASTORE,
    ),
    Command(
        "onedatastore show",
        "<DATASTORE><TEMPLATE/></DATASTORE>",
        "BASE_PATH CLUSTERS/ID DS_MAD FREE_MB GNAME ID NAME TEMPLATE/DS_MAD TEMPLATE/TM_MAD TM_MAD TOTAL_MB TYPE UNAME "
        f"USED_MB {OWNER}",
        datastore,
        DATASTORES[1],
        BARE_DATASTORE,
    ),
    Command(
        "onezone list",
        "<ZONE_POOL><ZONE><TEMPLATE><ENDPOINT/></TEMPLATE></ZONE></ZONE_POOL>",
        "ZONE/ID ZONE/NAME ZONE/TEMPLATE/ENDPOINT",
        always(constants.zone_pool(ENDPOINT)),
        "the one",
    ),
    Command(
        "onezone show", "<ZONE><TEMPLATE/></ZONE>", "ID NAME TEMPLATE/ENDPOINT", always(constants.zone(ENDPOINT)), "it"
    ),
    Command(
        "onesecgroup list",
        "<SECURITY_GROUP_POOL><SECURITY_GROUP><UPDATED_VMS/><OUTDATED_VMS/><ERROR_VMS/></SECURITY_GROUP>"
        "</SECURITY_GROUP_POOL>",
        "SECURITY_GROUP/ERROR_VMS SECURITY_GROUP/GNAME SECURITY_GROUP/ID SECURITY_GROUP/NAME "
        "SECURITY_GROUP/OUTDATED_VMS SECURITY_GROUP/UNAME SECURITY_GROUP/UPDATED_VMS",
        always(constants.SECURITY_GROUP_POOL),
        "the one",
    ),
    Command(
        "onesecgroup show",
        "<SECURITY_GROUP><TEMPLATE/></SECURITY_GROUP>",
        f"GNAME ID NAME TEMPLATE UNAME {OWNER}",
        always(constants.SECURITY_GROUP),
        "it",
    ),
    Command(
        "oneacl list",
        "<ACL_POOL><ACL><STRING/></ACL></ACL_POOL>",
        "ACL/ID ACL/STRING",
        lambda cluster, _: acl_pool(cluster.acl_rules.values()),
        "all",
    ),
)


def paths(element, prefix=""):
    """Return the path of every element below one."""
    found = {prefix + child.tag for child in element}
    return found.union(*(paths(child, f"{prefix}{child.tag}/") for child in element)) if found else found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.line)
def test_what_a_command_would_crash_without_is_in_every_document(command):
    needed = paths(etree.fromstring(command.least))

    assert [needed - paths(validated(each)) for each in command.answers()] == [set() for _ in command.answers()]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.line)
def test_what_a_command_shows_is_in_the_document_of_what_has_it(command):
    assert set(command.shows.split()) - paths(validated(command.answers()[0])) == set()


@pytest.mark.parametrize("name", ["HOOK_POOL", "VDC_POOL", "VM_GROUP_POOL", "MARKETPLACE_POOL", "DOCUMENT_POOL"])
def test_a_pool_of_what_there_is_none_of_is_empty_but_there(name):
    assert len(validated(constants.EMPTY_POOLS[name])) == 0

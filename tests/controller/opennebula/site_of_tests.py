"""A small cluster with one running VM, its image, its network and its users, all values known."""

from tests.controller.opennebula.records_of_tests import MIB, NOW_S

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.furniture import DATASTORES, DEFAULT_CLUSTER, GROUPS
from innkeeper_controller.records import (
    AddressRange,
    HistoryRecord,
    Host,
    HostState,
    Image,
    ImageState,
    Lock,
    LoginToken,
    Network,
    User,
    VmRecord,
)
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    Disk,
    DiskFormat,
    DiskKind,
    HostId,
    ImageId,
    ImageRef,
    Nic,
    Observation,
    PowerState,
    Vm,
    VmId,
    VmState,
)

ONEADMIN = User(name="oneadmin", user_id=0, groups=("oneadmin",))
ANN = User(
    name="ann",
    user_id=2,
    groups=("users", "oneadmin"),
    limits={"vm.cpu": 4.0},
    tokens=(LoginToken(token_sha256="0123456789abcdef" * 4, expires_at_s=NOW_S),),
    attributes={"SSH_PUBLIC_KEY": "ssh-rsa AAA"},
)
TINY = Image(
    image_id=ImageId(5),
    name="tiny",
    datastore="default",
    owner="ann",
    group="users",
    mode=0o640,
    state=ImageState.READY,
    persistent=True,
    source="/srv/tiny.qcow2",
    format=DiskFormat.QCOW2,
    sha256=Digest("e" * 64),
    virtual_size_bytes=100 * MIB + 1,
)
LAN = Network(
    network_id=3,
    name="lan",
    owner="ann",
    group="users",
    ranges=(AddressRange(ar_id=2, size=10, ip="192.168.0.1"),),
    bridge="br0",
    vlan_id=7,
    dns="192.168.0.254",
)
SPEC = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="u",
    generation=1,
    cpu_cores=0.5,
    vcpus=2,
    memory_mib=512,
    hypervisor="kvm",
    disks=(
        Disk(
            disk_id=0,
            kind=DiskKind.IMAGE,
            datastore="default",
            driver="qcow2",
            format=DiskFormat.QCOW2,
            size_bytes=200 * MIB,
            target="vda",
            image=ImageRef(
                image_id=ImageId(5),
                name="tiny",
                datastore="default",
                sha256=Digest("e" * 64),
                size_bytes=1,
                virtual_size_bytes=100 * MIB + 1,
                format=DiskFormat.QCOW2,
            ),
        ),
    ),
    nics=(Nic(nic_id=0, network="lan", network_id=3, mac="02:00:c0:a8:00:02", ip="192.168.0.2", bridge="br0"),),
    context={"NETWORK": "YES"},
)
WEB = VmRecord(
    vm_id=VmId(7),
    name="web",
    owner="ann",
    group="users",
    mode=0o640,
    state=VmState.RUNNING,
    spec=SPEC,
    lock=Lock(level="manage", owner="ann", at_s=NOW_S),
    requirements="CLUSTER_ID = 0",
    attributes={"LABELS": "a,b", "HAIZEA": '[ START = "now", DURATION = "1:00" ]', "DISK_OF": "[ A = 1 ]\n[ A = 2 ]"},
    host_id=HostId(1),
    deploy_id="one-7",
    submitted_at_s=NOW_S,
    template_id=9,
)
STAY = HistoryRecord(
    vm_id=VmId(7),
    seq=0,
    host_id=HostId(1),
    host_name="h1",
    hypervisor="kvm",
    transfer="qcow2",
    datastore="default",
    began_at_s=100.0,
    prolog_began_s=100.0,
    prolog_ended_s=110.0,
    running_began_s=110.0,
    action="deploy",
    actor="oneadmin",
    request_id="r1",
    owner="ann",
    group="users",
    vm_name="web",
    cpu_cores=0.5,
    vcpus=2,
    memory_mib=512,
    disks_mib=200,
)
H1 = Host(
    host_id=HostId(1),
    name="h1",
    state=HostState.ON,
    connected=True,
    advertisement=Advertisement(
        capacity=Capacity(cpu_cores=8.0, memory_mib=1024),
        datastores=(DatastoreFacts(name="default", total_mib=1000, free_mib=400),),
        facts={"ARCH": "x86_64", "HYPERVISOR": "kvm"},
    ),
    labels={"RACK": "3"},
)


def site(*more):
    """Return a small cluster with one running VM."""
    cluster = Cluster()
    records = [*GROUPS, ONEADMIN, ANN, DEFAULT_CLUSTER, *DATASTORES, H1, TINY, LAN, WEB, STAY, *more]
    cluster.load_records(records, {})
    cluster.heard_at_s[HostId(1)] = NOW_S
    cluster.load[HostId(1)] = Heartbeat(cpu_used_cores=1.5, memory_used_mib=100)
    for number in range(2):
        guest = Observation(
            vm_id=VmId(7), generation=1, power=PowerState.RUNNING, memory_mib=300, cpu_time_s=30.0 * number
        )
        cluster.samples.add_guest(VmId(7), guest, NOW_S - 60.0 + 60.0 * number)
        cluster.samples.add_host(HostId(1), cluster.load[HostId(1)], NOW_S - 60.0 + 60.0 * number)
    return cluster

"""A host in the words of requirement and rank expressions."""

from innkeeper_controller.expressions.names import STANDARD
from innkeeper_controller.records import Host
from innkeeper_controller.scheduling.attributes import host_attributes, with_vm
from innkeeper_plugins.vocabulary import Advertisement, Capacity, DatastoreFacts, DriverFacts, DriverKind, HostId

HOST = Host(
    host_id=HostId(3),
    name="h3",
    advertisement=Advertisement(
        capacity=Capacity(cpu_cores=8.0, memory_mib=1024),
        drivers=(
            DriverFacts(kind=DriverKind.HYPERVISOR, name="libvirt"),
            DriverFacts(kind=DriverKind.TRANSFER, name="qcow2"),
        ),
        datastores=(DatastoreFacts(name="default", total_mib=10, free_mib=5),),
        bridges=("br0",),
        facts={
            "arch": "x86_64",
            "HYPERVISOR": "kvm",
            "NAME": "liar",
            "FREE_CPU": 9e9,
            "HEAT": float("nan"),
            "RACK": "r9",
        },
    ),
    labels={"rack": "r1", "ID": "77"},
)
USED = Capacity(cpu_cores=2.5, memory_mib=256)


def test_a_host_is_told_in_the_names_and_units_of_opennebula():
    assert host_attributes(HOST, USED, 2, {9, 4}) == {
        "ID": 3,
        "NAME": "h3",
        "HOSTNAME": "h3",
        "CLUSTER": "default",
        "CLUSTER_ID": 0,
        "HYPERVISOR": ("libvirt", "kvm"),
        "ARCH": "x86_64",
        "RACK": "r1",
        "DATASTORES": ("default",),
        "BRIDGES": ("br0",),
        "TOTAL_CPU": 800.0,
        "MAX_CPU": 800.0,
        "USED_CPU": 250.0,
        "CPU_USAGE": 250.0,
        "FREE_CPU": 550.0,
        "TOTAL_MEMORY": 1048576,
        "MAX_MEM": 1048576,
        "USED_MEMORY": 262144,
        "MEM_USAGE": 262144,
        "FREE_MEMORY": 786432,
        "FREE_MEM": 786432,
        "RUNNING_VMS": 2,
        "CURRENT_VMS": (4, 9),
    }


def test_every_host_has_the_attributes_that_the_manual_promises():
    assert set(STANDARD) <= set(host_attributes(HOST, USED, 0))


def test_a_placed_vm_changes_what_is_left_and_nothing_else():
    before = host_attributes(HOST, USED, 1, [4])
    total = HOST.advertisement.capacity

    after = with_vm(before, total, Capacity(cpu_cores=3.0, memory_mib=512), 7)

    assert after == host_attributes(HOST, Capacity(cpu_cores=3.0, memory_mib=512), 2, [4, 7])

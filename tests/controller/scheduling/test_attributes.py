"""A host in the words of requirement and rank expressions."""

from sample_hosts import make_load

from innkeeper_controller.expressions.names import STANDARD
from innkeeper_controller.indexes.host_views import view_of
from innkeeper_controller.records import Host
from innkeeper_controller.scheduling.columns.attributes import static_attributes
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.columns.hosts import all_rows
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
STATIC = {
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
}


def a_fleet(*loads):
    fleet = Fleet()
    fleet.put(view_of(HOST, None))
    for load in loads:
        fleet.take(HOST.host_id, load)
    return fleet


def test_what_a_host_is_comes_from_its_labels_before_its_facts_and_from_us_before_both():
    assert static_attributes(HOST) == STATIC


def test_a_host_is_told_in_the_names_and_units_of_opennebula():
    fleet = a_fleet(make_load(9, cpu_cores=2.0, memory_mib=200), make_load(4, cpu_cores=0.5, memory_mib=56))

    assert fleet.attributes_of(0) == {
        **STATIC,
        "CLUSTER": "0",
        "TOTAL_CPU": 800.0,
        "MAX_CPU": 800.0,
        "USED_CPU": 250.0,
        "CPU_USAGE": 250.0,
        "FREE_CPU": 550.0,
        "TOTAL_MEMORY": 1048576.0,
        "MAX_MEM": 1048576.0,
        "USED_MEMORY": 262144.0,
        "MEM_USAGE": 262144.0,
        "FREE_MEMORY": 786432.0,
        "FREE_MEM": 786432.0,
        "RUNNING_VMS": 2.0,
        "CURRENT_VMS": (4, 9),
    }


def test_every_host_has_the_attributes_that_the_manual_promises():
    assert set(STANDARD) <= set(a_fleet().attributes_of(0))


def test_a_row_without_a_host_has_no_attributes():
    fleet = a_fleet()
    fleet.drop(HOST.host_id)

    assert fleet.attributes_of(0) == {}


def test_columns_say_what_the_attributes_of_one_host_say(requirement, rank):
    fleet = a_fleet(make_load(9, cpu_cores=2.0, memory_mib=200))

    hosts, attributes = all_rows(fleet), fleet.attributes_of(0)

    assert [hosts.meeting(requirement(text)).tolist() for text in REQUIREMENTS] == [
        [requirement(text).holds(attributes)] for text in REQUIREMENTS
    ]
    assert [hosts.ranked(rank(text)).tolist() for text in RANKS] == [[rank(text).of(attributes)] for text in RANKS]


REQUIREMENTS = ("FREE_CPU = 600", "CURRENT_VMS = 9", "CURRENT_VMS = 1", "RACK = r1", "HEAT > 0", "HYPERVISOR = kvm")
RANKS = ("FREE_MEMORY / 1024", "RUNNING_VMS", "HEAT", "1 / 0", "CLUSTER_ID - ID")

"""Which attributes only administrators may give."""

import pytest

from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import sentence
from innkeeper_controller.templates.restricted import IMAGE, NETWORK, USUAL, VM, restricted


def found(text, table, **more):
    return [each.field for each in restricted(parse(text), table, **more)]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("NAME = web MEMORY = 1 CONTEXT = [ NETWORK = YES ] NIC = [ NETWORK = lan, IP = 10.0.0.1, MODEL = e1000 ]", []),
        ("NIC = [ NETWORK = lan, MAC = 02:00:00:00:00:01, BRIDGE = br0 ]", ["NIC/MAC", "NIC/BRIDGE"]),
        ("NIC = [ NETWORK = a ] NIC = [ NETWORK = b, INBOUND_AVG_BW = 1, OUTBOUND_PEAK_KB = 1, VLAN_ID = 1 ]",
         ["NIC/INBOUND_AVG_BW", "NIC/OUTBOUND_PEAK_KB", "NIC/VLAN_ID"]),
        ("DISK = [ IMAGE = x, TOTAL_BYTES_SEC = 1, READ_IOPS_SEC_MAX = 1, ORIGINAL_SIZE = 1, SIZE = 1 ]",
         ["DISK/TOTAL_BYTES_SEC", "DISK/READ_IOPS_SEC_MAX", "DISK/ORIGINAL_SIZE"]),
        ("CONTEXT = [ FILES = /etc/passwd, FILES_DS = x ]", ["CONTEXT/FILES"]),
        ("RAW = [ TYPE = kvm, DATA = x ] RAW = kvm PCI = [ CLASS = 1 ] EMULATOR = /bin/x DEPLOY_ID = one-1",
         ["RAW", "RAW", "PCI", "EMULATOR", "DEPLOY_ID"]),
        ("CPU_COST = 1 MEMORY_COST = 1 DISK_COST = 1 OWN_COST = 1", ["CPU_COST", "MEMORY_COST", "DISK_COST"]),
        ("MAC = 1 FILES = 2 NIC = web", []),
    ],
)  # fmt: skip
def test_attributes_of_vms_are_found_with_their_keys(text, fields):
    assert found(text, VM) == fields


def test_each_one_is_told_with_its_place():
    mistakes = restricted(parse("NIC = [ NETWORK = lan,\n  MAC = 02:00:00:00:00:01 ]\nRAW = x"), VM)

    assert [sentence(each) for each in mistakes] == [
        "line 2, column 3: Only administrators may give NIC/MAC; leave it out.",
        "line 3, column 1: Only administrators may give RAW; leave it out.",
    ]


def test_the_table_can_be_another_one_or_the_usual_one_with_more():
    text = "NIC = [ MAC = x, MODEL = y ] CONTEXT = [ A = 1 ] SOURCE = x"

    assert (
        found(text, ()),
        found(text, ("nic/model",)),
        found(text, (USUAL, "CONTEXT")),
        found(text, ("*/A",)),
        found(text, (USUAL,), usual=IMAGE),
    ) == ([], ["NIC/MODEL"], ["NIC/MAC", "CONTEXT"], ["CONTEXT/A"], ["SOURCE"])


def test_attributes_of_networks_are_found_in_their_ranges_too():
    text = (
        "NAME = lan BRIDGE = br0 AR = [ IP = 10.0.0.1, SIZE = 5, VLAN_ID = 3 ] GATEWAY = 10.0.0.1 OUTBOUND_AVG_BW = 1"
    )

    assert found(text, NETWORK) == ["BRIDGE", "AR/VLAN_ID", "OUTBOUND_AVG_BW"]

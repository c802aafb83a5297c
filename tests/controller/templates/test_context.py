"""What becomes of references in context variables."""

import pytest

from innkeeper_controller.templates.context import expand, reference_mistakes
from innkeeper_plugins.vocabulary import Nic, Vm, VmId

VM = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="3f2b",
    generation=1,
    cpu_cores=0.5,
    vcpus=2,
    memory_mib=96,
    hypervisor="libvirt",
    nics=(
        Nic(nic_id=0, network="lan", mac="02:00:0a:00:00:07", ip="10.0.0.7", netmask="255.255.0.0", gateway="10.0.0.1"),
        Nic(nic_id=1, network="back end", mac="52:54:00:00:00:01", vlan_id=5, bridge="br1"),
    ),
)


def expanded(value, **attributes):
    return expand({"X": value}, VM, attributes)["X"]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("", ""),
        ("$NAME", "web"),
        ("vm-$VMID.example", "vm-7.example"),
        ("$name", "web"),
        ("$NAMES", "$NAMES"),
        ("$MEMORY/$VCPU/$CPU/$UUID", "96/2/0.5/3f2b"),
        ("$NIC[IP]", "10.0.0.7"),
        ("$NIC[ ip ]", "10.0.0.7"),
        ('$NIC[MAC, NETWORK="back end"]', "52:54:00:00:00:01"),
        ('$NIC[IP, NETWORK="back end"]', ""),
        ("$NIC[VLAN_ID, NIC_ID=1]", "5"),
        ("$NIC[VLAN_ID]", ""),
        ("$NETWORK[GATEWAY, NAME=lan]", "10.0.0.1"),
        ("$NETWORK[NETWORK_MASK, NETWORK=lan]", "255.255.0.0"),
        ('$NIC[IP, NETWORK="absent"]', ""),
        ("$OWNER", "me"),
        ("\\$NAME $NAME", "$NAME web"),
        ("echo $HOME $(date) $1 $$ ${NAME} \\$HOME", "echo $HOME $(date) $1 $$ ${NAME} \\$HOME"),
        ("100$", "100$"),
        ("$NIC", "$NIC"),
        ("$NIC[WHAT]", "$NIC[WHAT]"),
    ],
)
def test_references_are_replaced_and_everything_else_stays(value, result):
    assert expanded(value, OWNER="me") == result


def test_what_a_replacement_brings_is_not_replaced_again():
    assert expanded("$OWNER", OWNER="$NAME") == "$NAME"


def test_addresses_are_added_where_network_is_asked_for():
    assert expand({"NETWORK": "yes", "SET_HOSTNAME": "$NAME"}, VM, {}) == {
        "ETH0_MAC": "02:00:0a:00:00:07",
        "ETH0_IP": "10.0.0.7",
        "ETH0_MASK": "255.255.0.0",
        "ETH0_NETWORK": "10.0.0.0",
        "ETH0_GATEWAY": "10.0.0.1",
        "ETH1_MAC": "52:54:00:00:00:01",
        "NETWORK": "yes",
        "SET_HOSTNAME": "web",
    }


def test_addresses_in_the_template_win_over_the_leased_ones():
    assert expand({"NETWORK": "YES", "ETH0_IP": "1.2.3.4"}, VM, {})["ETH0_IP"] == "1.2.3.4"


def test_no_addresses_are_added_where_network_is_not_asked_for():
    assert expand({"NETWORK": "NO"}, VM, {}) == {"NETWORK": "NO"}


@pytest.mark.parametrize(
    ("value", "mistakes"),
    [
        ("$NIC[IP] $NETWORK[DNS, NAME=x] $HOME \\$NIC[WHAT]", []),
        ("$NIC[ADRESS]", [("$NIC has no ADRESS; it has ", "")]),
        ("$NIC[GATEWY]", [("$NIC has no GATEWY; it has ", "GATEWAY")]),
        ("$NIC[IP, NETWRK=x]", [("$NIC is chosen by NETWORK, NAME, NIC_ID, not by NETWRK.", "NETWORK")]),
        ('$IMAGE[PATH, IMAGE="x"]', [("$IMAGE[...] cannot be replaced here; write the value.", "")]),
        ("$USER[NAME]", [("$USER[...] cannot be replaced here; write the value.", "")]),
    ],
)
def test_references_that_can_never_be_replaced_are_mistakes(value, mistakes):
    found = reference_mistakes(value)

    assert [meant for _, meant in found] == [meant for _, meant in mistakes]
    assert all(text.startswith(start) for (text, _), (start, _) in zip(found, mistakes, strict=True))

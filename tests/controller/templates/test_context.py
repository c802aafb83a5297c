"""What becomes of references in context variables."""

import pytest

from innkeeper_controller.templates.context import Surroundings, expand, reference_mistakes
from innkeeper_plugins.vocabulary import Digest, Disk, DiskFormat, DiskKind, ImageId, ImageRef, Nic, Vm, VmId

VM = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="3f2b",
    generation=1,
    cpu_cores=0.5,
    vcpus=2,
    memory_mib=96,
    hypervisor="libvirt",
    disks=(
        Disk(
            disk_id=0,
            kind=DiskKind.IMAGE,
            datastore="default",
            driver="qcow2",
            format=DiskFormat.QCOW2,
            size_bytes=8 << 20,
            target="vda",
            image=ImageRef(
                image_id=ImageId(3),
                name="tiny",
                datastore="default",
                sha256=Digest("aa"),
                size_bytes=1,
                virtual_size_bytes=8 << 20,
                format=DiskFormat.QCOW2,
            ),
        ),
    ),
    nics=(
        Nic(nic_id=0, network="lan", mac="02:00:0a:00:00:07", ip="10.0.0.7", netmask="255.255.0.0", gateway="10.0.0.1"),
        Nic(nic_id=1, network="back end", mac="52:54:00:00:00:01", vlan_id=5, bridge="br1"),
    ),
)


AROUND = Surroundings(
    variables={"UID": "2", "UNAME": "ann", "GID": "1", "GNAME": "users"},
    user={"SSH_PUBLIC_KEY": "ssh-ed25519 A"},
    template=lambda: "PFRFTVBMQVRFPg==",
    network={"lan": {"VXLAN": "7"}}.__getitem__,
    image={"tiny": {"SIZE": "8", "OWN": "yes"}, "3": {"SIZE": "9"}}.__getitem__,
)


def expanded(value, **attributes):
    return expand({"X": value}, VM, attributes, AROUND)["X"]


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
        ("\\$NIC[IP]", "$NIC[IP]"),
        ("$UID $UNAME $GID $GNAME", "2 ann 1 users"),
        ("\\$UID", "$UID"),
        ("$TEMPLATE", "PFRFTVBMQVRFPg=="),
        ("\\$TEMPLATE", "$TEMPLATE"),
        ("$USER[SSH_PUBLIC_KEY]", "ssh-ed25519 A"),
        ("$USER[NONE]", ""),
        ("$NETWORK[VXLAN, NETWORK=lan]", "7"),
        ("$NETWORK[VXLAN]", "7"),
        ('$NIC[IP, NETWORK="lan", NETWORK_UNAME="ann"]', "10.0.0.7"),
        ('$IMAGE[SIZE, IMAGE="tiny"] $IMAGE[own, IMAGE_UNAME=ann, IMAGE=tiny] $IMAGE[SIZE, IMAGE_ID=3]', "8 yes 9"),
        ('$IMAGE[NONE, IMAGE="tiny"]', ""),
        ("$IMAGE[SIZE]", "$IMAGE[SIZE]"),
        ("\\$IMAGE[SIZE, IMAGE=absent]", "$IMAGE[SIZE, IMAGE=absent]"),
        ("$DISK[TARGET] $DISK[SIZE, IMAGE=tiny]", "vda 8"),
        ("$HAIZEA[START] $HAIZEA[NONE] $LIST[0]", "now  $LIST[0]"),
    ],
)
def test_references_are_replaced_and_everything_else_stays(value, result):
    assert expanded(value, OWNER="me", HAIZEA='[ START = "now" ]') == result


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
        ("$NIC[IP, NETWRK=x]", [("$NIC is chosen by NETWORK, NAME, NIC_ID, NETWORK_ID, not by NETWRK.", "NETWORK")]),
        ('$NIC[IP, NETWORK="x", NETWORK_UNAME="ann"]', []),
        ("$NETWORK[OWN, NETWORK=x]", []),
        ("$NETWORK[GATEWY, NETWORK=x]", [("$NETWORK has no GATEWY.", "GATEWAY")]),
        ('$IMAGE[PATH, IMAGE="x"]', []),
        ("$IMAGE[PATH]", [('$IMAGE needs to be told which one: $IMAGE[PATH, IMAGE="name"].', "")]),
        ("$IMAGE[PATH, IMGE=3]", [("$IMAGE is chosen by IMAGE, IMAGE_ID, not by IMGE.", "IMAGE")]),
        ("$DISK[TARGT]", [("$DISK has no TARGT; it has ", "TARGET")]),
        ("$USER[SSH_KEY] ${LIST[0]} $LIST[0] $1[2]", []),
    ],
)
def test_references_that_can_never_be_replaced_are_mistakes(value, mistakes):
    found = reference_mistakes(value)

    assert [meant for _, meant in found] == [meant for _, meant in mistakes]
    assert all(text.startswith(start) for (text, _), (start, _) in zip(found, mistakes, strict=True))


@pytest.mark.parametrize(
    "value",
    ["$A[b,c=" * 20_000, "$NIC[IP" + " " * 100_000, '$NIC[IP,A="' * 20_000, "$" * 100_000, "\\$NIC[" * 20_000,
     "$A[b,c=d,e=" * 20_000],
    ids=range(6),
)  # fmt: skip
def test_long_texts_of_broken_references_cost_no_more_than_reading_them(value):
    assert expand({"X": value}, VM, {})["X"] == value
    assert reference_mistakes(value) == ()

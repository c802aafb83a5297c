"""A guest is told exactly what its template and its address leases say."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.context_files import context_files, context_sh, variables
from innkeeper_plugins.vocabulary import Nic

LAN = Nic(
    nic_id=0,
    network="lan",
    mac="02:00:0A:4D:00:07",
    ip="10.77.0.7",
    netmask="255.255.255.0",
    gateway="10.77.0.254",
    dns="10.77.0.1 9.9.9.9",
)
#: Names that no shell and no dynamic loader gives a meaning to.
NAMES = st.from_regex(r"X_[A-Za-z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60)


def test_variables_are_the_template_s_and_the_leases_in_order(a_vm):
    vm = a_vm(context={"GREETING": "hello"}, nics=(LAN,))

    assert variables(vm) == {
        "ETH0_DNS": "10.77.0.1 9.9.9.9",
        "ETH0_GATEWAY": "10.77.0.254",
        "ETH0_IP": "10.77.0.7",
        "ETH0_MAC": "02:00:0A:4D:00:07",
        "ETH0_MASK": "255.255.255.0",
        "ETH0_NETWORK": "10.77.0.0",
        "GREETING": "hello",
        "SET_HOSTNAME": "web",
        "VMID": "7",
    }


def test_what_the_template_says_is_stronger(a_vm):
    said = {"ETH0_IP": "10.0.0.1", "SET_HOSTNAME": "own", "VMID": "none"}

    assert said.items() <= variables(a_vm(context=said, nics=(LAN,))).items()


def test_a_template_can_refuse_the_network_variables(a_vm):
    assert variables(a_vm(context={"NETWORK": "no"}, nics=(LAN,))) == {
        "NETWORK": "no",
        "SET_HOSTNAME": "web",
        "VMID": "7",
    }


def test_cards_are_numbered_by_their_ids_and_say_their_vlan(a_vm):
    nic = Nic(nic_id=3, network="dmz", mac="02:00:00:00:00:03", vlan_id=12)

    assert variables(a_vm(nics=(nic,))) == {
        "ETH3_MAC": "02:00:00:00:00:03",
        "ETH3_VLAN_ID": "12",
        "SET_HOSTNAME": "web",
        "VMID": "7",
    }


SIX = {"ip6_global": "2001:db8::400:aff:fe4d:7", "ip6_ula": "fd00::400:aff:fe4d:7"}


def test_a_card_tells_its_addresses_of_the_sixth_version(a_vm):
    nic = Nic(nic_id=0, network="six", mac="02:00:0a:4d:00:07", **SIX)

    assert variables(a_vm(nics=(nic,))) == {
        "ETH0_IP6": SIX["ip6_global"],
        "ETH0_IP6_PREFIX_LENGTH": "64",
        "ETH0_IP6_ULA": SIX["ip6_ula"],
        "ETH0_MAC": "02:00:0a:4d:00:07",
        "SET_HOSTNAME": "web",
        "VMID": "7",
    }


@pytest.mark.parametrize(
    ("values", "addresses"),
    [
        (
            {"ip": "10.0.0.7", "netmask": "255.255.255.0", **SIX},
            ["10.0.0.7/24", *(f"{one}/64" for one in SIX.values())],
        ),
        ({"ip6_ula": SIX["ip6_ula"]}, [f"{SIX['ip6_ula']}/64"]),
        ({}, None),
    ],
)
def test_cloud_init_is_told_every_address_of_a_card(a_vm, values, addresses):
    nic = Nic(nic_id=0, network="six", mac="02:00:0a:4d:00:07", **values)

    card = json.loads(context_files(a_vm(nics=(nic,)))["network-config"])["ethernets"]["eth0"]
    assert card.get("addresses") == addresses
    assert ("dhcp4" in card) is (addresses is None)


@pytest.mark.parametrize("name", ["web server", "-web", "a" * 64, "ünicode", "web\n", "a." * 130 + "a"])
def test_a_name_that_is_no_host_name_is_not_told_as_one(a_vm, name):
    assert variables(a_vm(name=name)) == {"VMID": "7"}


def sourced(script):
    """What a shell has in its environment after it has read the script, as the script set it."""
    argv = ("sh", "-c", "set -a; . /dev/stdin; exec env -0")
    printed = commands.run(argv, stdin=script, timeout_s=20).stdout
    pairs = (entry.partition(b"=") for entry in printed.split(b"\0") if entry)
    return {name.decode(): value.decode() for name, _, value in pairs if name.startswith(b"X_")}


@settings(max_examples=40, deadline=None)
@given(said=st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_shell_gets_back_exactly_the_values(said):
    assert sourced(context_sh(said)) == said


def test_hostile_values_stay_values():
    said = {
        "X_QUOTE": "it's $(touch /tmp/pwned) `id` \\ \" ; rm -rf /",
        "X_LINES": "first\nX_INJECTED='yes'\n\n\tlast\n",
        "X_UNICODE": "größe 東京 🏨",
        "X_EMPTY": "",
        "X_RETURN": "a\r\nb",
    }

    assert sourced(context_sh(said)) == said


@pytest.mark.parametrize("name", ["", "A-B", "1ST", "A B", "A;id", "A\n", "GRÖSSE", "A=B"])
def test_a_name_that_no_shell_takes_is_refused(name):
    with pytest.raises(DriverError, match="a name that no shell takes") as refused:
        context_sh({name: "value"})

    assert refused.value.code == "refused"


@pytest.mark.parametrize(("value", "reason"), [("a\0b", "NUL"), ("\ud800", "not Unicode")])
def test_a_value_that_cannot_be_told_is_refused(value, reason):
    with pytest.raises(DriverError, match=reason) as refused:
        context_sh({"X": value})

    assert refused.value.code == "refused"


def test_cloud_init_is_told_the_same(a_vm):
    vm = a_vm(
        context={
            "SSH_PUBLIC_KEY": "ssh-ed25519 AAAA one\n\nssh-ed25519 BBBB two",
            "USERNAME": "guest",
            "PASSWORD": "s3cret",
            "START_SCRIPT": "#!/bin/sh\necho 'hi'\n",
        },
        nics=(LAN, Nic(nic_id=1, network="any", mac="02:00:00:00:00:0A")),
    )
    files = context_files(vm)

    assert sorted(files) == ["context.sh", "meta-data", "network-config", "user-data"]
    assert json.loads(files["meta-data"]) == {"instance-id": vm.uuid, "local-hostname": "web"}
    first_line, _, rest = files["user-data"].partition(b"\n")
    assert first_line == b"#cloud-config"
    assert json.loads(rest) == {
        "hostname": "web",
        "user": "guest",
        "password": "s3cret",
        "chpasswd": {"expire": False},
        "ssh_pwauth": True,
        "ssh_authorized_keys": ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"],
        "write_files": [
            {
                "path": "/var/lib/cloud/scripts/per-instance/innkeeper-start-script",
                "permissions": "0700",
                "encoding": "b64",
                "content": base64.b64encode(b"#!/bin/sh\necho 'hi'\n").decode(),
            }
        ],
    }
    assert json.loads(files["network-config"]) == {
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": {"macaddress": "02:00:0a:4d:00:07"},
                "addresses": ["10.77.0.7/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.77.0.254"}],
                "nameservers": {"addresses": ["10.77.0.1", "9.9.9.9"]},
            },
            "eth1": {"match": {"macaddress": "02:00:00:00:00:0a"}, "dhcp4": True},
        },
    }


def test_an_ipv6_address_has_an_ipv6_route(a_vm):
    nic = Nic(nic_id=0, network="six", mac="02:00:00:00:00:06", ip="fd00::7", netmask="64", gateway="fd00::1")

    assert json.loads(context_files(a_vm(nics=(nic,)))["network-config"])["ethernets"]["eth0"] == {
        "match": {"macaddress": "02:00:00:00:00:06"},
        "addresses": ["fd00::7/64"],
        "routes": [{"to": "::/0", "via": "fd00::1"}],
    }


def test_a_vm_without_network_gives_cloud_init_no_network_file(a_vm):
    assert "network-config" not in context_files(a_vm())
    assert "network-config" not in context_files(a_vm(context={"NETWORK": "NO"}, nics=(LAN,)))


@pytest.mark.parametrize(
    "context",
    [
        {"USER_DATA": "#!/bin/sh\n"},
        {"USERDATA": "#!/bin/sh\n"},
        {"USER_DATA": base64.b64encode(b"#!/bin/sh\n").decode(), "USER_DATA_ENCODING": "base64"},
    ],
)
def test_user_data_of_the_template_goes_to_cloud_init_as_it_is(a_vm, context):
    assert context_files(a_vm(context=context))["user-data"] == b"#!/bin/sh\n"


@pytest.mark.parametrize(
    "context", [{"USER_DATA": "???", "USER_DATA_ENCODING": "base64"}, {"START_SCRIPT_BASE64": "?"}]
)
def test_what_is_not_base64_is_refused(a_vm, context):
    with pytest.raises(DriverError, match="is not base64") as refused:
        context_files(a_vm(context=context))

    assert refused.value.code == "refused"


def test_an_address_that_is_none_is_refused(a_vm):
    with pytest.raises(DriverError, match="network card 0 has an address that is none"):
        context_files(a_vm(nics=(Nic(nic_id=0, network="lan", mac="02:00:00:00:00:01", ip="10.0.0.300"),)))

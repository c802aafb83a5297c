"""Templates of virtual networks and images."""

import pytest

from innkeeper_controller.records import AddressRange, Network
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import TemplateError, sentence
from innkeeper_controller.templates.image import ImageTemplate, image_template
from innkeeper_controller.templates.network import NetworkTemplate, network_remarks, network_template

DIGEST = "ab" * 32


def mistakes(read, text):
    with pytest.raises(TemplateError) as caught:
        read(parse(text))
    return [sentence(each) for each in caught.value.mistakes]


def test_a_network_has_ranges_and_what_guests_are_told():
    text = """
    NAME = lan  BRIDGE = br0  VLAN_ID = 5  PHYDEV = eth1
    AR = [ TYPE = IP4, IP = 192.168.0.10, SIZE = 20 ]
    AR = [ IP = 192.168.1.10, MAC = 52:54:00:00:00:01, SIZE = 2 ]
    AR = [ TYPE = ETHER, MAC = 52:54:01:00:00:01, SIZE = 3 ]
    GATEWAY = 192.168.0.1  NETWORK_MASK = 255.255.0.0  DNS = "1.1.1.1 8.8.8.8"
    """

    assert network_template(parse(text)) == NetworkTemplate(
        name="lan",
        bridge="br0",
        vlan_id=5,
        physical_device="eth1",
        ranges=(
            AddressRange(size=20, ip="192.168.0.10"),
            AddressRange(size=2, ip="192.168.1.10", mac="52:54:00:00:00:01"),
            AddressRange(size=3, type="ETHER", mac="52:54:01:00:00:01"),
        ),
        gateway="192.168.0.1",
        netmask="255.255.0.0",
        dns="1.1.1.1 8.8.8.8",
    )


def test_a_network_template_has_fields_of_a_network_and_no_others():
    given_by_us = {"network_id", "owner", "group", "mode", "lock", "clusters", "parent_id", "last_ar_id"}

    assert set(NetworkTemplate.__struct_fields__) == set(Network.__struct_fields__) - given_by_us


def test_a_range_has_the_addresses_of_its_type_and_keeps_what_is_not_ours():
    text = """
    VN_MAD = 802.1Q
    MTU = 9000
    OWNER = me
    AR = [ TYPE = IP6, SIZE = 2, GLOBAL_PREFIX = "2001:db8::", ULA_PREFIX = "fd00::", SECURITY_GROUPS = "0" ]
    AR = [ TYPE = IP4_6, IP = 10.0.0.1, SIZE = 3, GLOBAL_PREFIX = "2001:db8::/64", AR_ID = 7, USED_LEASES = 4 ]
    AR = [ TYPE = ETHER, IP = 10.0.0.1, SIZE = 1 ]
    """
    template = network_template(parse(text))

    assert template.ranges == (
        AddressRange(
            size=2,
            type="IP6",
            global_prefix="2001:db8::",
            ula_prefix="fd00::",
            attributes={"SECURITY_GROUPS": "0"},
        ),
        AddressRange(size=3, type="IP4_6", ip="10.0.0.1", global_prefix="2001:db8::/64"),
        AddressRange(size=1, type="ETHER"),
    )
    assert (template.vn_mad, template.attributes) == ("802.1Q", {"MTU": "9000", "OWNER": "me"})


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("TYPE = RANGED NETWORK_ADDRESS = 192.168.0.0 NETWORK_SIZE = C", [(254, "192.168.0.1", "")]),
        ("TYPE = RANGED NETWORK_ADDRESS = 192.168.0.0 NETWORK_SIZE = 20", [(20, "192.168.0.1", "")]),
        ("TYPE = RANGED NETWORK_ADDRESS = 10.0.0.0 NETWORK_SIZE = b", [(65534, "10.0.0.1", "")]),
        ("NETWORK_ADDRESS = 10.0.0.0/28", [(14, "10.0.0.1", "")]),
        (
            (
                "TYPE = FIXED LEASES = [ IP = 10.0.0.4 ] LEASES = [ IP = 10.0.0.5, MAC = 02:00:0a:00:00:05 ] "
                "LEASES = [ IP = 10.0.0.9, MAC = 50:20:20:20:20:20 ]"
            ),
            [(2, "10.0.0.4", ""), (1, "10.0.0.9", "50:20:20:20:20:20")],
        ),
    ],
)
def test_networks_of_old_become_ranges(text, ranges):
    expected = tuple(AddressRange(size=size, ip=ip, mac=mac) for size, ip, mac in ranges)

    assert network_template(parse(text)).ranges == expected


@pytest.mark.parametrize("ranges", ["", "AR = [ IP = 192.168.0.10, SIZE = 20 ]"])
def test_the_address_of_a_network_of_today_makes_no_range_and_is_kept(ranges):
    template = network_template(parse(f"NETWORK_ADDRESS = 192.168.0.0 NETWORK_MASK = 255.255.255.0 {ranges}"))

    assert template.ranges == ((AddressRange(size=20, ip="192.168.0.10"),) if ranges else ())
    assert (template.netmask, template.attributes) == ("255.255.255.0", {"NETWORK_ADDRESS": "192.168.0.0"})


def test_a_fixed_network_has_many_addresses_in_a_row_but_not_many_all_over():
    together = "".join(f"LEASES = [ IP = 10.0.{n // 256}.{n % 256} ]\n" for n in range(1, 1000))
    apart = "".join(f"LEASES = [ IP = 10.{n // 100}.{n % 100 * 2}.1 ]\n" for n in range(257))

    assert network_template(parse(together)).ranges == (AddressRange(size=999, ip="10.0.0.1"),)
    assert mistakes(network_template, apart) == ["The LEASES of a network are at most 256 runs of addresses, not 257."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AR = [ IP = 10.0.0.1 ]", "line 1, column 1: AR needs SIZE, like SIZE = 20."),
        ("AR = [ SIZE = 2 ]", "line 1, column 1: A range needs its first IP, its first MAC, or both."),
        (
            "AR = [ IP = 10.0.0.1, SIZE = 9 ]\nAR = [ IP = 10.0.0.9, SIZE = 1 ]",
            "line 2, column 13: Range 1 has IP addresses that range 0 has already.",
        ),
        (
            "AR = [ TYPE = IP5, SIZE = 1 ]",
            "line 1, column 15: TYPE has to be one of IP4, IP6, IP4_6, ETHER, not 'IP5'.",
        ),
        (
            'AR = [ IP = 10.0.0.1, SIZE = 1, ULA_PREFIX = "fd00::" ]',
            "line 1, column 47: A range of type IP4 has no IPv6 prefix; use TYPE = IP4_6 or IP6.",
        ),
        (
            'AR = [ TYPE = IP6, SIZE = 1, ULA_PREFIX = "fd00::1" ]',
            "line 1, column 44: 'fd00::1' has more than 64 bits; a prefix looks like 2001:db8::.",
        ),
        ("LEASES = [ IP = 10.0.0.4 ] LEASES = [ IP = 10.0.0.4 ]", "Range 1 has IP addresses that range 0 has already."),
        ("VLAN_ID = 4095", "line 1, column 11: VLAN_ID has to be 1 to 4094, not 4095."),
        ("BRIDGE = a_bridge_with_a_long_name", "line 1, column 10: BRIDGE has to be up to 15 letters"),
        ("BRIDG = br0", "line 1, column 1: BRIDG is no attribute of a network. Did you mean BRIDGE?"),
        ("GATEWAY = x", "line 1, column 11: GATEWAY: 'x' is no IPv4 address"),
    ],
)
def test_a_mistake_in_a_network_is_told_with_its_place(text, expected):
    assert mistakes(network_template, text)[0].startswith(expected)


def test_what_may_surprise_in_a_network_is_remarked_on():
    text = "MTU = 9000\nOWNER = me\nAR = [ IP = 10.0.0.1, SIZE = 9, AR_ID = 1 ]\nGATEWAY = 10.0.0.1"

    assert [sentence(each) for each in network_remarks(parse(text))] == [
        "line 1, column 1: MTU has no effect yet.",
        (
            "line 4, column 11: 10.0.0.1 is in a range, so a VM may be given it; "
            "hold it: inn network hold NETWORK 10.0.0.1."
        ),
    ]


def test_remarks_on_a_broken_network_do_not_fail():
    assert network_remarks(parse("AR = [ SIZE = 3 ] GATEWAY = 10.0.0.1")) == ()


def test_an_image_comes_from_a_path_or_a_url():
    text = f"NAME = tiny PATH = imports/tiny.qcow2 TYPE = OS DRIVER = qcow2 DATASTORE = fast SHA256 = {DIGEST.upper()}"

    assert image_template(parse(text)) == ImageTemplate(
        name="tiny", path="imports/tiny.qcow2", type="os", format="qcow2", datastore="fast", sha256=DIGEST
    )
    assert image_template(parse('PATH = "https://host/x.img"')) == ImageTemplate(url="https://host/x.img")
    assert image_template(parse("SIZE = 64 TYPE = datablock")) == ImageTemplate(type="datablock", size_mib=64)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NAME = x", "An image needs a PATH to take it from, or a SIZE to be empty."),
        ("PATH = x TYPE = disk", "line 1, column 17: TYPE has to be one of os, datablock, cdrom, kernel, ramdisk"),
        ("PATH = x FORMAT = vmdk", "line 1, column 19: FORMAT has to be one of qcow2, raw, not 'vmdk'."),
        ("PATH = x SHA256 = ab", "line 1, column 19: SHA256 has to be 64 hexadecimal digits, not 'ab'."),
        ("PAHT = x", "line 1, column 1: PAHT is no attribute of an image. Did you mean PATH?"),
    ],
)
def test_a_mistake_in_an_image_is_told_with_its_place(text, expected):
    assert any(each.startswith(expected) for each in mistakes(image_template, text))

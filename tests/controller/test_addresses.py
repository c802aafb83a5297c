import os

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.addresses import (
    AddressError,
    RangeFault,
    address_at,
    completed,
    find,
    format_ip,
    format_mac,
    ip6_of,
    mac_of,
    overlap,
    parse_ip,
    parse_mac,
    range_faults,
)
from innkeeper_controller.records import AddressRange

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
LAN = AddressRange(size=10, ip="192.168.0.250")
CARDS = AddressRange(size=4, mac="52:54:00:00:00:fe")
BOTH = AddressRange(size=4, ip="10.0.0.1", mac="52:54:00:aa:00:01")


def test_the_mac_of_an_ip_is_two_fixed_octets_and_the_four_of_the_ip():
    assert mac_of("192.168.0.1") == "02:00:c0:a8:00:01"
    assert mac_of("255.255.255.255") == "02:00:ff:ff:ff:ff"


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "::1", "a.b.c.d"])
def test_what_is_no_ip_is_refused_with_an_example(text):
    with pytest.raises(AddressError, match=r"looks like 192\.168\.0\.10"):
        parse_ip(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:00:c0:a8:00",
        "02:00:c0:a8:00:0g",
        "02:00-c0:a8:00:01",
        "0200c0a80001",
        "\N{ARABIC-INDIC DIGIT ZERO}2:00:00:00:00:00",
    ],
)
def test_what_is_no_mac_is_refused_with_an_example(text):
    with pytest.raises(AddressError, match="looks like 02:00:c0:a8:00:0a"):
        parse_mac(text)


def test_a_mac_may_be_written_in_upper_case_and_with_dashes():
    assert format_mac(parse_mac("52-54-00-AB-CD-EF")) == "52:54:00:ab:cd:ef"


def test_addresses_of_a_range_count_over_the_ends_of_octets():
    assert address_at(LAN, 0) == ("02:00:c0:a8:00:fa", "192.168.0.250")
    assert address_at(LAN, 6) == ("02:00:c0:a8:01:00", "192.168.1.0")
    assert address_at(CARDS, 2) == ("52:54:00:00:01:00", "")
    assert address_at(BOTH, 3) == ("52:54:00:aa:00:04", "10.0.0.4")


@pytest.mark.parametrize("offset", [-1, 10])
def test_a_number_outside_the_range_is_refused(offset):
    with pytest.raises(AddressError, match=f"Number {offset} is outside"):
        address_at(LAN, offset)


def test_an_address_is_found_by_ip_by_mac_and_by_both():
    ranges = (LAN, msgspec.structs.replace(CARDS, ar_id=4), msgspec.structs.replace(BOTH, ar_id=7))

    assert find(ranges, ip="10.0.0.4") == (7, 3)
    assert find(ranges, mac="52:54:00:00:01:00") == (4, 2)
    assert find(ranges, mac="02:00:c0:a8:00:fa") == (0, 0)
    assert find(ranges, ip="10.0.0.2", mac="52:54:00:aa:00:02") == (7, 1)


def test_an_ip_and_a_mac_that_do_not_belong_together_are_not_found():
    assert find((LAN, CARDS, BOTH), ip="10.0.0.2", mac="52:54:00:aa:00:03") is None


@pytest.mark.parametrize(
    "wanted", [{"ip": "10.0.0.5"}, {"ip": "9.9.9.9"}, {"mac": "52:54:00:00:01:02"}, {"ip": "x"}, {"mac": "x"}]
)
def test_an_address_that_no_range_has_is_not_found(wanted):
    assert find((LAN, CARDS, BOTH), **wanted) is None


@seed(SEED)
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1 << 24, 0xDFFFFFFF - 5000),
    st.integers(1, 5000),
    st.one_of(st.just(""), st.integers(1, (1 << 40) - 6000).map(format_mac)),
    st.data(),
)
def test_every_address_of_a_range_is_found_where_it_was_made(first, size, mac, data):
    each = AddressRange(size=size, ip=format_ip(first), mac=mac)
    offset = data.draw(st.integers(0, size - 1))

    made_mac, made_ip = address_at(each, offset)

    assert range_faults((each,)) == ()
    assert (
        find((each,), ip=made_ip)
        == find((each,), mac=made_mac)
        == find((each,), ip=made_ip, mac=made_mac)
        == (0, offset)
    )


def fault(index, field, message):
    return RangeFault(range_index=index, field=field, message=message)


def test_ranges_that_touch_but_do_not_overlap_are_fine():
    assert range_faults((AddressRange(size=9, ip="10.0.0.1"), AddressRange(size=9, ip="10.0.0.10"))) == ()


def test_ranges_that_share_an_address_are_refused():
    assert range_faults((AddressRange(size=10, ip="10.0.0.1"), AddressRange(size=9, ip="10.0.0.10"))) == (
        fault(1, "ip", "Range 1 has IP addresses that range 0 has already."),
    )


def test_ranges_that_share_only_macs_are_refused():
    ranges = (AddressRange(size=10, ip="10.0.0.1"), AddressRange(size=1, mac=mac_of("10.0.0.10")))

    assert range_faults(ranges) == (fault(1, "mac", "Range 1 has MAC addresses that range 0 has already."),)


def test_a_range_past_the_last_address_is_refused_with_how_many_would_be_left():
    assert range_faults((AddressRange(size=7, ip="255.255.255.250"),)) == (
        fault(0, "ip", "7 addresses from 255.255.255.250 run past 255.255.255.255; 6 would be left."),
    )


def test_a_range_of_group_addresses_is_refused():
    assert range_faults((AddressRange(size=2, ip="223.255.255.255"), AddressRange(size=1, ip="0.0.0.7"))) == (
        fault(
            0,
            "ip",
            "223.255.255.255 to 224.0.0.0 is not all addresses of machines: those are 1.0.0.0 to 223.255.255.255.",
        ),
        fault(1, "ip", "0.0.0.7 to 0.0.0.7 is not all addresses of machines: those are 1.0.0.0 to 223.255.255.255."),
    )


def test_a_multicast_mac_is_refused_with_one_that_would_do():
    assert range_faults((AddressRange(size=2, mac="01:00:5e:00:00:01"),)) == (
        fault(
            0,
            "mac",
            "01:00:5e:00:00:01 is a multicast MAC (its first octet is odd), which no card can have; "
            "00:00:5e:00:00:01 would do.",
        ),
    )


def test_macs_that_run_into_multicast_or_past_the_end_are_refused():
    assert [each.field for each in range_faults((AddressRange(size=2, mac="02:ff:ff:ff:ff:ff"),))] == ["mac"]
    assert range_faults((AddressRange(size=2, mac="ff:ff:ff:ff:ff:ff"),)) == (
        fault(0, "mac", "2 addresses from ff:ff:ff:ff:ff:ff run past ff:ff:ff:ff:ff:ff."),
    )


def test_every_fault_of_every_range_is_told_at_once():
    ranges = (
        AddressRange(size=0, ip="10.0.0.1"),
        AddressRange(size=1),
        AddressRange(size=1, ip="nonsense", mac="nonsense"),
        AddressRange(size=1, mac="00:00:00:00:00:00"),
    )

    assert [(each.range_index, each.field) for each in range_faults(ranges)] == [
        (0, "size"),
        (1, "ip"),
        (2, "ip"),
        (2, "mac"),
        (3, "mac"),
    ]


GLOBAL = "2001:db8::"
IP6 = AddressRange(size=3, type="IP6", mac="02:00:00:00:00:ff", global_prefix=GLOBAL, ula_prefix="fd00::/64")


@pytest.mark.parametrize(
    ("mac", "prefix", "expected"),
    [
        ("02:00:c0:a8:00:01", GLOBAL, "2001:db8::c0ff:fea8:1"),
        ("52:54:00:12:34:56", "fd00:0:0:1::", "fd00::1:5054:ff:fe12:3456"),
        ("52:54:00:12:34:56", "", ""),
    ],
)
def test_an_ip6_address_is_the_prefix_and_the_cards_own_number(mac, prefix, expected):
    assert ip6_of(prefix, mac) == expected


def test_an_ip6_address_is_found_by_either_prefix_and_by_no_other():
    found = [find((IP6,), ip=ip6_of(prefix, "02:00:00:00:01:01")) for prefix in (GLOBAL, "fd00::", "fd01::")]

    assert found == [(0, 2), (0, 2), None]
    assert find((IP6,), ip=ip6_of(GLOBAL, "02:00:00:00:01:02")) is None
    assert find((IP6,), ip="2001:db8::1") is None


def test_a_range_without_ip_gets_a_mac_that_is_its_own_and_always_the_same():
    wanted = AddressRange(size=1 << 24, type="ETHER")
    made = completed(wanted, (), network_id=3, ar_id=5)

    assert made == completed(wanted, (), network_id=3, ar_id=5)
    assert (made.ar_id, made.mac[:3], range_faults((made,))) == (5, "06:", ())
    assert overlap(made, completed(wanted, (made,), network_id=3, ar_id=5)) is None


def test_as_many_of_the_largest_ranges_as_a_network_may_have_find_macs():
    wanted, ranges = AddressRange(size=1 << 24, type="ETHER"), []
    for number in range(256):
        ranges.append(completed(wanted, ranges, network_id=0, ar_id=number))

    assert range_faults(ranges) == ()


@pytest.mark.parametrize(
    ("wanted", "kind", "mac"),
    [
        (AddressRange(size=1, ip="10.0.0.1"), "IP4", ""),
        (AddressRange(size=1, mac="02:00:00:00:00:01"), "ETHER", "02:00:00:00:00:01"),
        (AddressRange(size=1, type="IP4_6", ip="10.0.0.1"), "IP4_6", ""),
    ],
)
def test_a_range_is_kept_as_what_it_is(wanted, kind, mac):
    made = completed(wanted, (), network_id=0, ar_id=2)

    assert (made.type, made.mac, made.ar_id) == (kind, mac, 2)


def test_what_a_range_cannot_be_is_told():
    ranges = (
        AddressRange(size=1, type="IP7", ip="10.0.0.1"),
        AddressRange(size=1, type="IP4_6"),
        AddressRange(size=1, type="ETHER", global_prefix=GLOBAL),
        AddressRange(size=1, type="IP6", global_prefix="ff02::"),
        AddressRange(size=1, type="IP6", ula_prefix="x"),
    )

    assert [(each.range_index, each.field) for each in range_faults(ranges)] == [
        (0, "type"),
        (1, "ip"),
        (2, "global_prefix"),
        (3, "global_prefix"),
        (4, "ula_prefix"),
    ]

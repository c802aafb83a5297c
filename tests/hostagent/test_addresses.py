"""Which addresses a URL may lead to."""

import pytest

from innkeeper_hostagent.addresses import is_allowed, parse_networks

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001:db8::1",
]
PUBLIC = [
    "1.1.1.1",
    "193.0.6.139",
    "2606:4700::1111",
    "2001:67c:2e8:22::c100:68b",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_in_every_disguise(address):
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address):
    assert is_allowed(address, ())


def test_the_operator_allows_networks_of_their_own_and_nothing_beside_them():
    allowed = parse_networks(["10.0.0.0/8", "fd00::/8"])

    assert is_allowed("10.1.2.3", allowed)
    assert is_allowed("::ffff:10.1.2.3", allowed)
    assert is_allowed("fd00::7", allowed)
    assert not is_allowed("192.168.1.1", allowed)

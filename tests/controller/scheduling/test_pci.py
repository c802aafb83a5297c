"""Devices: each is given once, and no VM is refused that could have been served."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper_controller.scheduling.nodes import pci
from innkeeper_controller.scheduling.nodes.shortage import Shortage
from innkeeper_plugins.vocabulary import PciDevice, PciWish


def device(address, vendor="10de", device="1eb8", device_class="0302", numa_node=-1):
    return PciDevice(address=address, vendor=vendor, device=device, device_class=device_class, numa_node=numa_node)


GPUS = (device("0000:3b:00.0"), device("0000:3c:00.0"))
CARD = device("0000:01:00.0", "8086", "1572", "0200", 1)
FIRST, NVIDIA, ANY = PciWish(address="0000:3b:00.0"), PciWish(vendor="10de"), PciWish()


def test_devices_are_given_in_the_order_of_the_wishes_lowest_address_first():
    wishes = (NVIDIA, PciWish(device_class="0200"), NVIDIA)

    assert pci.choose(wishes, (*GPUS[::-1], CARD), frozenset()) == ("0000:3b:00.0", "0000:01:00.0", "0000:3c:00.0")


def test_what_is_asked_for_exactly_is_left_by_who_would_take_any():
    assert pci.choose((ANY, PciWish(address="0000:01:00.0")), (*GPUS, CARD), ()) == ("0000:3b:00.0", "0000:01:00.0")


def test_a_device_of_another_vm_is_not_given():
    assert pci.choose((NVIDIA,), GPUS, {"0000:3b:00.0"}) == ("0000:3c:00.0",)


@pytest.mark.parametrize(
    ("wishes", "devices", "held", "message"),
    [
        ((NVIDIA, NVIDIA), GPUS, {"0000:3b:00.0"}, "2 devices 10de:* are needed, 1 of 2 is free"),
        ((NVIDIA,), (CARD,), (), "1 device 10de:* is needed, the host gives guests none of that kind"),
        ((PciWish(device_class="0302"),), (), (), "1 device of class 0302 is needed, the host gives guests no device"),
        ((FIRST,), GPUS, {"0000:3b:00.0"}, "device 0000:3b:00.0 is needed, another VM has it"),
        ((FIRST, FIRST), GPUS, {}, "device 0000:3b:00.0 is needed, it was asked for twice"),
        (
            (FIRST, NVIDIA, NVIDIA),
            GPUS,
            (),
            "3 devices (device 0000:3b:00.0 or 10de:*) are needed, 2 of 2 are free",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_needed_and_what_there_is(wishes, devices, held, message):
    found = pci.choose(wishes, devices, held)

    assert isinstance(found, Shortage)
    assert found.message == message
    assert 0 < found.shortfall <= 1


def test_the_nodes_of_devices_are_those_that_the_machine_tells():
    assert pci.nodes_of(["0000:01:00.0", "0000:3b:00.0"], (*GPUS, CARD)) == {1}


HEX = st.sampled_from(["a", "b"])
WISHES = st.builds(
    PciWish,
    address=st.sampled_from(["", "", "", "0", "1", "2"]),
    vendor=st.sampled_from(["", "a", "b"]),
    device=st.sampled_from(["", "a", "b"]),
    device_class=st.sampled_from(["", "a", "b"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WISHES, max_size=5), st.lists(st.tuples(HEX, HEX, HEX), max_size=6), st.sets(st.integers(0, 5)))
def test_each_wish_gets_a_device_of_its_own_wherever_there_is_a_way(wishes, kinds, taken):
    devices = [device(str(number), *kind) for number, kind in enumerate(kinds)]
    held = set(map(str, taken))
    free = [each for each in devices if each.address not in held]
    found = pci.choose(wishes, devices, held)

    there_is_a_way = any(
        all(pci.matches(*pair) for pair in zip(wishes, chosen, strict=True))
        for chosen in itertools.permutations(free, len(wishes))
    )
    if isinstance(found, Shortage):
        assert not there_is_a_way
        assert 0 < found.shortfall <= 1
        return
    by_address = {each.address: each for each in free}
    assert there_is_a_way
    assert len(set(found)) == len(found) == len(wishes)
    assert all(pci.matches(each, by_address[address]) for each, address in zip(wishes, found, strict=True))

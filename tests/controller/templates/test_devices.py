"""Pinning, nodes, huge pages and devices, as templates ask for them."""

import pytest

from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.templates.vm import read_vm_template
from innkeeper_plugins.vocabulary import NumaWish, PciWish, PinPolicy


def read(text):
    return read_vm_template(f"MEMORY = 1024\nCPU = 1\n{text}")


def mistakes(text):
    with pytest.raises(TemplateError) as raised:
        read(text)
    return [(each.field, each.message) for each in raised.value.mistakes]


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("", None),
        ("TOPOLOGY = [ SOCKETS = 2 ]", None),
        ("TOPOLOGY = [ PIN_POLICY = NONE ]", None),
        ("TOPOLOGY = [ PIN_POLICY = thread ]", NumaWish(pin_policy=PinPolicy.THREAD)),
        ("TOPOLOGY = [ HUGEPAGE_SIZE = 2 ]", NumaWish(hugepage_mib=2)),
        ("VCPU = 8 TOPOLOGY = [ PIN_POLICY = CORE, SOCKETS = 2 ]", NumaWish(pin_policy=PinPolicy.CORE, nodes=2)),
        ("VCPU = 4 NUMA_NODE = [ TOTAL_CPUS = 2, MEMORY = 512 ] NUMA_NODE = [ MEMORY = 512 ]", NumaWish(nodes=2)),
    ],
)
def test_a_guest_sees_the_nodes_that_its_template_names_or_one_a_socket(text, wish):
    assert read(text).numa == wish


@pytest.mark.parametrize(
    ("text", "cores", "remarks"),
    [
        ("VCPU = 4 TOPOLOGY = [ PIN_POLICY = SHARED ]", 1.0, []),
        (
            "VCPU = 4 TOPOLOGY = [ PIN_POLICY = THREAD ]",
            4.0,
            ["4 cores are set aside: the guest has processors of its own (PIN_POLICY = THREAD)."],
        ),
        ("TOPOLOGY = [ PIN_POLICY = CORE ]", 1.0, []),
    ],
)
def test_as_many_cores_are_set_aside_as_a_guest_has_for_itself(text, cores, remarks):
    template = read(text)

    assert (template.cpu_cores, [each.message for each in template.remarks]) == (cores, remarks)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("VCPU = 3 NUMA_NODE = [] NUMA_NODE = []", "NUMA_NODE", "3 processors cannot be split evenly over 2 nodes."),
        (
            "TOPOLOGY = [ HUGEPAGE_SIZE = 1000 ]",
            "MEMORY",
            "1024 MB of memory cannot be split evenly over 1 node of pages of 1000 MB.",
        ),
        (
            "VCPU = 4 NUMA_NODE = [ TOTAL_CPUS = 1 ] NUMA_NODE = []",
            "NUMA_NODE/TOTAL_CPUS",
            "All nodes of a guest are alike: TOTAL_CPUS would be 2, not 1.",
        ),
        (
            "VCPU = 2 VCPU_MAX = 4 TOPOLOGY = [ PIN_POLICY = SHARED ]",
            "VCPU_MAX",
            "A guest that is tied to nodes of its host keeps its size while it runs; leave VCPU_MAX out.",
        ),
        ("PCI = []", "PCI", "PCI says nothing of the device; give VENDOR, DEVICE, CLASS or ADDRESS."),
        (
            'PCI = [ SHORT_ADDRESS = "3b:00.0", ADDRESS = "0000:3c:00.0" ]',
            "PCI/SHORT_ADDRESS",
            "3b:00.0 is not at 0000:3c:00.0.",
        ),
        (
            'PCI = [ ADDRESS = "0000:3b:00.0" ] PCI = [ CLASS = 0302 ] PCI = [ SHORT_ADDRESS = "3B:00.0" ]',
            "PCI/SHORT_ADDRESS",
            "The device at 0000:3b:00.0 is asked for already; a guest has it once.",
        ),
        ("PCI = [ CLASS = gpu ]", "PCI/CLASS", "CLASS has to be four hexadecimal digits, not 'gpu'."),
    ],
)
def test_what_cannot_be_given_is_told_before_anybody_waits_for_it(text, field, message):
    assert mistakes(text) == [(field, message)]


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("VENDOR = 0x10DE, DEVICE = 1eb8", PciWish(vendor="10de", device="1eb8")),
        ("CLASS = 0302", PciWish(device_class="0302")),
        ('SHORT_ADDRESS = "3B:00.0"', PciWish(address="0000:3b:00.0")),
        ('ADDRESS = "0001:3b:00:1"', PciWish(address="0001:3b:00.1")),
    ],
)
def test_a_device_is_asked_for_by_kind_or_by_address(text, wish):
    assert read(f"PCI = [ {text} ]").pci == (wish,)


def test_devices_are_asked_for_in_order():
    assert read("PCI = [ CLASS = 0302 ] PCI = [ VENDOR = 8086 ]").pci == (
        PciWish(device_class="0302"),
        PciWish(vendor="8086"),
    )

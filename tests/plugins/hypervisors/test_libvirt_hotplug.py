"""Plugging in and out, with a stand-in for libvirt's domain: only what has been seen to be gone is gone."""

import xml.etree.ElementTree as ET

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper_plugins.conformance.guests import failure_of  # noqa: E402 - only where libvirt is
from innkeeper_plugins.conformance.place import LocalPlace  # noqa: E402
from innkeeper_plugins.hypervisors.libvirt import hotplug  # noqa: E402
from innkeeper_plugins.hypervisors.libvirt.identity import metadata_text  # noqa: E402
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, Nic, Vm, VmId  # noqa: E402

VM = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
    generation=3,
    cpu_cores=0.5,
    vcpus=1,
    memory_mib=96,
    hypervisor="libvirt",
)
LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
MINE = "<disk><source file='/vms/7/disk.1'/><target dev='vdb'/></disk>"
OTHERS = "<disk><source file='/vms/7/disk.2'/><target dev='vdb'/></disk>"
CARD = "<interface type='bridge'><mac address='02:00:0a:00:00:07'/><source bridge='br0'/></interface>"


class Guest:
    """A domain that has devices, and lets go of them after so many looks at it."""

    def __init__(self, live=(), config=(), *, runs=True, lets_go_after=0):
        self.devices = {LIVE: list(live), CONFIG: list(config)}
        self.runs = runs
        self.calls = []
        self._looks_left = lets_go_after
        self._asked = False

    def lookupByName(self, _name):  # noqa: N802 - libvirt's name
        return self

    def isActive(self):  # noqa: N802 - libvirt's name
        return self.runs

    def isPersistent(self):  # noqa: N802 - libvirt's name
        return True

    def UUIDString(self):  # noqa: N802 - libvirt's name
        return VM.uuid

    def metadata(self, _kind, _namespace):
        return metadata_text(VM)

    def XMLDesc(self, flags):  # noqa: N802 - libvirt's name
        affected = CONFIG if flags else LIVE
        if affected == LIVE and self._asked:
            if self._looks_left == 0:
                self.devices[LIVE].clear()
            self._looks_left -= 1
        return f"<domain><devices>{''.join(self.devices[affected])}</devices></domain>"

    def attachDeviceFlags(self, xml, flags):  # noqa: N802 - libvirt's name
        self.calls.append(("attach", xml, flags))

    def detachDeviceFlags(self, xml, flags):  # noqa: N802 - libvirt's name
        kind = ET.fromstring(xml).tag
        if flags == LIVE and self._asked:
            raise libvirt.libvirtError(f"{kind} is already in the process of unplug")
        self.calls.append(("detach", kind, flags))
        self._asked = self._asked or flags == LIVE
        if flags == CONFIG:
            self.devices[CONFIG].clear()


class Events:
    """Wakes at once: the guest is looked at again."""

    count = 0

    def wait(self, _count, _timeout_s):
        """Do not wait."""


@pytest.fixture
def place(tmp_path):
    return LocalPlace(tmp_path)


def disk_device():
    disk = Disk(
        disk_id=1,
        kind=DiskKind.VOLATILE,
        datastore="default",
        driver="qcow2",
        format=DiskFormat.QCOW2,
        size_bytes=1 << 20,
        target="vdb",
    )
    return hotplug.disk_device(disk, "/vms/7/disk.1")


def detach(guest, place, *, device=None, timeout_s=60.0):
    return failure_of(lambda: hotplug.detach(guest, VM, device or disk_device(), place, Events(), timeout_s=timeout_s))


def test_a_device_is_gone_only_when_the_guest_has_been_seen_without_it(place):
    guest = Guest([MINE], [MINE], lets_go_after=5)

    assert detach(guest, place) is None
    assert guest.calls == [("detach", "disk", LIVE), ("detach", "disk", CONFIG)]


def test_a_guest_that_does_not_let_go_keeps_the_device_in_its_definition_too(place):
    guest = Guest([MINE], [MINE], lets_go_after=-1)

    assert detach(guest, place, timeout_s=0.05) == "timeout"
    assert guest.devices == {LIVE: [MINE], CONFIG: [MINE]}


def test_a_cancelled_detachment_waits_no_longer(place):
    place.cancel_after = 0

    assert detach(Guest([MINE], [MINE], lets_go_after=-1), place) == "cancelled"


@pytest.mark.parametrize("there", [[], [OTHERS]])
def test_nothing_else_is_taken_out_in_the_place_of_a_device_that_is_not_there(place, there):
    guest = Guest(there, there)

    assert detach(guest, place) is None
    assert guest.calls == []


def test_a_guest_that_is_off_only_forgets_the_device(place):
    guest = Guest([MINE], [MINE], runs=False)

    assert detach(guest, place) is None
    assert guest.calls == [("detach", "disk", CONFIG)]


def test_a_card_is_known_by_its_address_whatever_its_case(place):
    nic = Nic(nic_id=1, network="lan", mac="02:00:0A:00:00:07", bridge="br0")
    guest = Guest([CARD], [CARD])

    assert detach(guest, place, device=hotplug.nic_device(nic)) is None
    assert guest.calls == [("detach", "interface", LIVE), ("detach", "interface", CONFIG)]


@pytest.mark.parametrize(
    ("live", "config", "flags"),
    [([], [], LIVE | CONFIG), ([], [MINE], LIVE), ([MINE], [], CONFIG), ([MINE], [MINE], None)],
)
def test_a_device_is_attached_wherever_it_is_not_yet(live, config, flags):
    guest = Guest(live, config)

    hotplug.attach(guest, VM, disk_device(), ET.fromstring(MINE))

    assert [call[2] for call in guest.calls] == ([] if flags is None else [flags])


def test_a_device_is_not_attached_over_another_one():
    guest = Guest([OTHERS], [OTHERS])

    assert failure_of(lambda: hotplug.attach(guest, VM, disk_device(), ET.fromstring(MINE))) == "refused"
    assert guest.calls == []

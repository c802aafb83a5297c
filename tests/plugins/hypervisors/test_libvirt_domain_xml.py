"""A VM as libvirt's domain XML."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_plugins.conformance.guests import failure_of
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt.domain_xml import (
    SPARE_PORTS,
    GuestFiles,
    build,
    disk_element,
    nic_element,
)
from innkeeper_plugins.hypervisors.libvirt.identity import Identity, domain_name, named_vm, parse_metadata
from innkeeper_plugins.hypervisors.libvirt.options import LibvirtOptions
from innkeeper_plugins.hypervisors.libvirt.raw_elements import LIMIT_CHARACTERS, QEMU
from innkeeper_plugins.hypervisors.libvirt.relocation import relocate
from innkeeper_plugins.vocabulary import (
    Boot,
    Digest,
    Disk,
    DiskFormat,
    DiskKind,
    Graphics,
    ImageId,
    ImageRef,
    InputDevice,
    Nic,
    Raw,
    Topology,
    Vm,
    VmId,
)

LOG = Path("/vms/7/console.log")
UUID = "5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01"
KERNEL = ImageRef(
    image_id=ImageId(1),
    name="kernel",
    datastore="default",
    sha256=Digest("ab" * 32),
    size_bytes=1,
    virtual_size_bytes=1,
    format=DiskFormat.RAW,
)
MINIMAL = """\
<domain xmlns:ns0="urn:innkeeper:guest:1" type="qemu">
  <name>inn-7</name>
  <uuid>5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01</uuid>
  <title>web &amp; &lt;mail&gt;</title>
  <metadata>
    <ns0:vm id="7" generation="3" />
  </metadata>
  <memory unit="MiB">96</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch="x86_64" machine="pc">hvm</type>
  </os>
  <features>
    <acpi />
    <apic />
    <tcg>
      <tb-cache unit="MiB">32</tb-cache>
    </tcg>
  </features>
  <cpu mode="custom" match="exact" check="none">
    <model fallback="allow">Nehalem</model>
  </cpu>
  <clock offset="utc" />
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" discard="unmap" />
      <source file="/vms/7/disk.0" />
      <target dev="vda" bus="virtio" />
      <boot order="1" />
    </disk>
    <interface type="bridge">
      <source bridge="br0" />
      <mac address="02:00:0a:00:00:07" />
      <model type="virtio" />
    </interface>
    <serial type="pty">
      <log file="/vms/7/console.log" append="on" />
      <target port="0" />
    </serial>
    <console type="pty">
      <target type="serial" port="0" />
    </console>
    <channel type="unix">
      <target type="virtio" name="org.qemu.guest_agent.0" />
    </channel>
    <video>
      <model type="none" />
    </video>
    <memballoon model="virtio" />
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
    <controller type="usb" model="none" />
  </devices>
</domain>"""


def make_disk(disk_id=0, **changes):
    values = {
        "disk_id": disk_id,
        "kind": DiskKind.IMAGE,
        "datastore": "default",
        "driver": "qcow2",
        "format": DiskFormat.QCOW2,
        "size_bytes": 1 << 30,
        "target": f"vd{'abcdef'[disk_id]}",
    }
    return Disk(**{**values, **changes})


def make_nic(**changes):
    return Nic(**{"nic_id": 0, "network": "lan", "mac": "02:00:0a:00:00:07", "bridge": "br0", **changes})


def make_vm(**changes):
    values = {
        "vm_id": VmId(7),
        "name": "web & <mail>",
        "uuid": UUID,
        "generation": 3,
        "cpu_cores": 0.5,
        "vcpus": 2,
        "memory_mib": 96,
        "hypervisor": "libvirt",
        "disks": (make_disk(),),
        "nics": (make_nic(),),
    }
    return Vm(**{**values, **changes})


def make_files(vm, **changes):
    disks = {disk.disk_id: Path(f"/vms/7/disk.{disk.disk_id}") for disk in vm.disks}
    return GuestFiles(**{"console_log": LOG, "disks": disks, **changes})


def built(vm, domain_type="qemu", *, options=None, **files):
    return ET.fromstring(build(vm, make_files(vm, **files), options or LibvirtOptions(), domain_type))


def targets(root):
    return [
        (disk.get("device"), disk.find("target").get("dev"), disk.find("target").get("bus"))
        for disk in root.iterfind("devices/disk")
    ]


def test_a_guest_with_a_disk_and_a_card_is_written_whole():
    root = built(make_vm())
    ET.indent(root)

    assert ET.tostring(root, encoding="unicode") == MINIMAL


def xml_of(element):
    return ET.tostring(element, encoding="unicode")


@pytest.mark.parametrize(
    ("name", "value", "where", "written"),
    [
        ("ACPI", "no", "features/acpi", None),
        ("APIC", "no", "features/apic", None),
        ("PAE", "yes", "features/pae", "<pae />"),
        (
            "HYPERV",
            "yes",
            "features/hyperv",
            '<hyperv><relaxed state="on" /><vapic state="on" /><spinlocks state="on" retries="4096" /></hyperv>',
        ),
        ("HYPERV", "no", "features/hyperv", None),
        ("LOCALTIME", "yes", "clock", '<clock offset="localtime" />'),
        ("GUEST_AGENT", "no", "devices/channel", None),
        (
            "VIRTIO_SCSI_QUEUES",
            "4",
            "devices/controller[@type='scsi']",
            '<controller type="scsi" model="virtio-scsi"><driver queues="4" /></controller>',
        ),
        (
            "VIRTIO_SCSI_QUEUES",
            "auto",
            "devices/controller[@type='scsi']",
            '<controller type="scsi" model="virtio-scsi"><driver queues="2" /></controller>',
        ),
    ],
)
def test_every_feature_of_a_template_reaches_the_guest(name, value, where, written):
    root = built(make_vm(features={name: value}, disks=(make_disk(target="sda", bus="scsi"),)))

    found = root.find(where)
    assert (None if found is None else xml_of(found)) == written


def test_a_topology_says_how_many_processors_there_can_be():
    root = built(make_vm(vcpus=2, topology=Topology(sockets=2, cores=2, threads=1)))

    assert xml_of(root.find("cpu/topology")) == '<topology sockets="2" cores="2" threads="1" />'
    assert xml_of(root.find("vcpu")) == '<vcpu current="2">4</vcpu>'


def test_a_guest_that_may_grow_is_told_how_far():
    root = built(make_vm(vcpus_max=4, memory_max_mib=512))

    assert [xml_of(root.find(tag)) for tag in ("memory", "currentMemory", "vcpu")] == [
        '<memory unit="MiB">512</memory>',
        '<currentMemory unit="MiB">96</currentMemory>',
        '<vcpu current="2">4</vcpu>',
    ]


@pytest.mark.parametrize(
    ("device", "written", "usb"),
    [
        (InputDevice(type="tablet"), '<input type="tablet" bus="usb" />', False),
        (InputDevice(type="tablet", bus="virtio"), '<input type="tablet" bus="virtio" />', True),
        (InputDevice(type="mouse", bus="ps2"), '<input type="mouse" bus="ps2" />', True),
    ],
)
def test_a_pointer_brings_usb_where_it_needs_it(device, written, usb):
    root = built(make_vm(inputs=(device,)))

    assert [xml_of(one) for one in root.iterfind("devices/input")] == [written]
    assert (root.find("devices/controller[@type='usb']") is not None) is usb


@pytest.mark.parametrize(
    ("graphics", "video", "model"),
    [(None, "", "none"), (None, "virtio", "virtio"), (Graphics(), "", "vga"), (Graphics(), "cirrus", "cirrus")],
)
def test_the_screen_has_the_card_that_the_template_wants(graphics, video, model):
    assert built(make_vm(graphics=graphics, video=video)).find("devices/video/model").get("type") == model


def test_a_screen_has_its_password():
    assert built(make_vm(graphics=Graphics(password="pass"))).find("devices/graphics").get("passwd") == "pass"


def test_a_guest_on_pci_express_has_places_for_what_comes_later():
    ports = built(make_vm(boot=Boot(machine="q35"))).findall("devices/controller[@model='pcie-root-port']")

    assert len(ports) == SPARE_PORTS


@pytest.mark.parametrize(
    ("data", "where", "written"),
    [
        ("<devices><sound model='ich6'/></devices>", "devices/sound", '<sound model="ich6" />'),
        ("<sound model='ich6'/>", "devices/sound", '<sound model="ich6" />'),
        ("<features><vmport state='off'/></features>", "features/vmport", '<vmport state="off" />'),
        ("<memoryBacking><locked/></memoryBacking>", "memoryBacking", "<memoryBacking><locked /></memoryBacking>"),
        (
            "<qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>",
            f"{{{QEMU}}}commandline",
            f'<qemu:commandline xmlns:qemu="{QEMU}"><qemu:arg value="-no-hpet" /></qemu:commandline>',
        ),
    ],
)
def test_raw_elements_go_where_libvirt_looks_for_them(data, where, written):
    root = built(make_vm(raw=Raw(type="KVM", data=data)))

    assert xml_of(root.find(where)) == written
    assert [len(root.findall(tag)) for tag in ("devices", "features", "os")] == [1, 1, 1]


def test_raw_elements_for_another_hypervisor_are_not_for_us():
    assert xml_of(built(make_vm(raw=Raw(type="vmware", data="<no>")))) == xml_of(built(make_vm()))


@pytest.mark.parametrize(
    "data",
    [
        "<devices>",
        "</raw><raw>",
        "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>",
        "<x>&undefined;</x>",
        "<uuid>5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a02</uuid>",
        "<metadata/>",
        "<x/>" * (LIMIT_CHARACTERS // 4 + 1),
    ],
)
def test_raw_elements_that_are_none_or_say_whose_guest_it_is_are_refused(data):
    with pytest.raises(DriverError) as refused:
        built(make_vm(raw=Raw(type="kvm", data=data)))

    assert refused.value.code == "refused"


@given(st.text(max_size=200))
def test_whatever_raw_data_say_the_domain_stays_the_vm_s(data):
    vm = make_vm(raw=Raw(type="kvm", data=data))
    failure = failure_of(lambda: built(vm))

    assert failure in {None, "refused"}
    assert failure or [one.text for one in built(vm).findall("name")] == ["inn-7"]


def test_what_is_plugged_in_looks_as_what_is_there_from_the_beginning():
    vm = make_vm(boot=Boot(order=("nic0",)))
    root = built(vm)
    disk, nic = root.find("devices/disk"), root.find("devices/interface")
    nic.remove(nic.find("boot"))

    assert xml_of(disk_element(vm, vm.disks[0], Path("/vms/7/disk.0"), LibvirtOptions())) == xml_of(disk)
    assert xml_of(nic_element(vm.nics[0], LibvirtOptions())) == xml_of(nic)


def test_a_guest_in_hardware_sees_the_processor_of_its_host_and_has_no_translation_cache():
    root = built(make_vm(), "kvm")

    assert root.find("cpu").attrib == {"mode": "host-passthrough"}
    assert root.find("features/tcg") is None


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("host-model", '<cpu mode="host-model" />'),
        (
            "EPYC",
            '<cpu mode="custom" match="exact" check="none"><model fallback="allow">EPYC</model></cpu>',
        ),
    ],
)
def test_the_vm_says_its_processor_before_the_configuration_does(model, written):
    options = LibvirtOptions(cpu="Westmere")

    assert ET.tostring(built(make_vm(cpu_model=model), options=options).find("cpu"), encoding="unicode") == written
    assert built(make_vm(), options=options).findtext("cpu/model") == "Westmere"


def test_a_guest_of_another_architecture_has_nothing_that_only_a_pc_has():
    root = built(make_vm(boot=Boot(arch="aarch64", machine="virt")), context=Path("/vms/7/context.iso"))

    assert root.find("os/type").attrib == {"arch": "aarch64", "machine": "virt"}
    assert root.find("cpu") is None
    assert [element.tag for element in root.find("features")] == ["tcg"]
    assert targets(root) == [("disk", "vda", "virtio"), ("cdrom", "sda", "scsi")]


def test_features_of_the_template_are_obeyed():
    root = built(make_vm(features={"ACPI": "no", "PAE": "yes", "LOCALTIME": "YES", "GUEST_AGENT": "no"}))

    assert [element.tag for element in root.find("features")] == ["apic", "pae", "tcg"]
    assert root.find("clock").get("offset") == "localtime"
    assert root.find("devices/channel") is None


def test_a_kernel_is_booted_without_asking_the_disks():
    vm = make_vm(boot=Boot(kernel=KERNEL, initrd=KERNEL, kernel_cmdline="console=ttyS0 root=/dev/vda"))
    root = built(vm, kernel=Path("/images/kernel"), initrd=Path("/images/initrd"))

    assert {element.tag: element.text for element in root.find("os")} == {
        "type": "hvm",
        "kernel": "/images/kernel",
        "initrd": "/images/initrd",
        "cmdline": "console=ttyS0 root=/dev/vda",
    }
    assert root.findall("devices/*/boot") == []


def test_the_boot_order_is_the_one_of_the_template():
    vm = make_vm(disks=(make_disk(0), make_disk(1)), boot=Boot(order=("nic0", "disk1")))
    root = built(vm)

    assert [element.get("order") for element in root.iterfind("devices/disk[2]/boot")] == ["2"]
    assert root.find("devices/disk[1]/boot") is None
    assert root.find("devices/interface/boot").get("order") == "1"


def test_a_guest_without_disks_boots_from_the_network():
    assert built(make_vm(disks=())).find("devices/interface/boot").get("order") == "1"


def test_a_boot_order_that_names_what_is_not_there_is_refused():
    with pytest.raises(DriverError, match=r"names disk4; the VM has disk0, nic0") as refused:
        built(make_vm(boot=Boot(order=("disk0", "disk4"))))

    assert refused.value.code == "refused"


@pytest.mark.parametrize(
    ("machine", "target"),
    [("pc", ("cdrom", "hdb", "ide")), ("pc-q35-7.2", ("cdrom", "sda", "sata")), ("virt", ("cdrom", "sda", "scsi"))],
)
def test_the_context_disk_is_a_cd_on_a_bus_that_the_machine_has(machine, target):
    vm = make_vm(disks=(make_disk(target="hda", bus="ide"),), boot=Boot(machine=machine))

    assert targets(built(vm, context=Path("/vms/7/context.iso")))[-1] == target


def test_a_cd_of_the_template_leaves_the_virtio_bus_and_is_read_only():
    vm = make_vm(disks=(make_disk(kind=DiskKind.CDROM, format=DiskFormat.RAW, target="hda"),))
    root = built(vm)

    assert targets(root) == [("cdrom", "hda", "ide")]
    assert root.find("devices/disk/readonly") is not None
    assert root.find("devices/disk/driver").attrib == {"name": "qemu", "type": "raw"}


def test_a_disk_keeps_its_cache_mode_and_a_scsi_disk_brings_its_controller():
    vm = make_vm(disks=(make_disk(target="sda", bus="scsi", cache="none"),))
    root = built(vm)

    assert root.find("devices/disk/driver").get("cache") == "none"
    assert root.find("devices/controller[@type='scsi']").get("model") == "virtio-scsi"


def test_a_card_without_a_bridge_gets_user_networking_where_the_host_gives_it():
    vm = make_vm(nics=(make_nic(bridge=""),))

    assert ET.tostring(built(vm).find("devices/interface"), encoding="unicode") == (
        '<interface type="user"><mac address="02:00:0a:00:00:07" /><model type="virtio" /></interface>'
    )
    with pytest.raises(DriverError, match="Network lan names no bridge") as refused:
        built(vm, options=LibvirtOptions(user_network=False))
    assert refused.value.code == "refused"


def test_a_screen_is_given_on_request():
    root = built(make_vm(graphics=Graphics(keymap="de")))
    fixed = built(make_vm(graphics=Graphics(port=5907)))

    assert root.find("devices/graphics").attrib == {
        "type": "vnc",
        "port": "-1",
        "listen": "127.0.0.1",
        "autoport": "yes",
        "keymap": "de",
    }
    assert root.find("devices/video/model").get("type") == "vga"
    assert fixed.find("devices/graphics").get("port") == "5907"


def test_the_configuration_names_the_emulator_and_the_machine_of_guests_that_name_none():
    options = LibvirtOptions(emulator="/opt/qemu", machine="q35", tb_cache_mib=0)
    root = built(make_vm(), options=options)

    assert root.findtext("devices/emulator") == "/opt/qemu"
    assert root.find("os/type").get("machine") == "q35"
    assert root.find("features/tcg") is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\nb"},
        {"uuid": "\x00"},
        {"cpu_model": "\x1b[31m"},
        {"boot": Boot(machine="pc\x7f")},
        {"boot": Boot(arch="\x85")},
        {"disks": (make_disk(target="vda\t"),)},
        {"disks": (make_disk(bus="\ud800"),)},
        {"disks": (make_disk(cache="none\r"),)},
        {"nics": (make_nic(mac="\x08"),)},
        {"nics": (make_nic(model="\ufffe"),)},
        {"nics": (make_nic(bridge="br0\n"),)},
        {"graphics": Graphics(listen="\x01")},
        {"graphics": Graphics(keymap="\x02")},
    ],
)
def test_no_control_character_gets_into_the_xml(change):
    with pytest.raises(DriverError, match="control character") as refused:
        built(make_vm(**change))

    assert refused.value.code == "refused"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1))
def test_any_other_text_stands_in_the_xml_as_it_was(text):
    vm = make_vm(name=text, boot=Boot(kernel=KERNEL, kernel_cmdline=text), nics=(make_nic(bridge=text),))
    root = built(vm, kernel=Path("/k"))

    assert root.findtext("title") == text
    assert root.findtext("os/cmdline") == text
    assert root.find("devices/interface/source").get("bridge") == text


def test_a_guest_is_ours_by_its_name_and_its_metadata():
    assert (domain_name(VmId(7)), named_vm("inn-7")) == ("inn-7", 7)
    assert [named_vm(name) for name in ("inn-", "inn-7b", "web", "inn--7", "7")] == [None] * 5
    assert parse_metadata('<vm id="7" generation="3"/>') == Identity(vm_id=VmId(7), generation=3)
    assert parse_metadata('<vm id="x" generation="3"/>') is None


SAVED = """\
<domain type='qemu' id='4'>
  <name>inn-7</name>
  <metadata><i:vm xmlns:i="urn:innkeeper:guest:1" id="7" generation="2"/></metadata>
  <os><kernel>/old/kernel</kernel><initrd>/old/initrd</initrd></os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/old/disk.0' index='2'/>
      <backingStore type='file' index='3'><format type='qcow2'/><source file='/old/image'/></backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><source file='/old/context.iso'/><target dev='hda' bus='ide'/></disk>
    <interface type='bridge'><mac address='02:00:0A:00:00:07'/><source bridge='oldbr'/></interface>
    <interface type='bridge'><mac address='02:00:00:00:00:99'/><source bridge='kept'/></interface>
    <serial type='pty'><log file='/old/console.log' append='on'/></serial>
    <channel type='unix'><source mode='bind' path='/old/run/agent'/><target type='virtio' name='a'/></channel>
    <controller type='pci' index='0' model='pci-root'/>
  </devices>
</domain>"""
RELOCATED = """\
<domain type='qemu' id='4'>
  <name>inn-7</name>
  <os><kernel>/new/kernel</kernel><initrd>/new/initrd</initrd></os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/vms/7/disk.0' index='2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><source file='/vms/7/context.iso'/><target dev='hda' bus='ide'/></disk>
    <interface type='bridge'><mac address='02:00:0A:00:00:07'/><source bridge='br0'/></interface>
    <interface type='bridge'><mac address='02:00:00:00:00:99'/><source bridge='kept'/></interface>
    <serial type='pty'><log file='/vms/7/console.log' append='on'/></serial>
    <channel type='unix'><target type='virtio' name='a'/></channel>
    <controller type='pci' index='0' model='pci-root'/>
  </devices>
  <metadata><i:vm xmlns:i="urn:innkeeper:guest:1" id="7" generation="3"/></metadata>
</domain>"""


def test_a_saved_guest_gets_the_paths_and_bridges_of_its_new_host_and_keeps_its_hardware():
    vm = make_vm()
    files = make_files(vm, context=Path("/vms/7/context.iso"), kernel=Path("/new/kernel"), initrd=Path("/new/initrd"))

    moved = relocate(SAVED, vm, files)

    assert ET.canonicalize(moved, strip_text=True, rewrite_prefixes=True) == ET.canonicalize(
        RELOCATED, strip_text=True, rewrite_prefixes=True
    )


def test_what_a_new_host_cannot_say_is_refused():
    with pytest.raises(DriverError, match="control character"):
        relocate(SAVED, make_vm(nics=(make_nic(bridge="br\n0"),)), make_files(make_vm()))

"""What VM templates ask for, and everything that is said of those that ask for something impossible."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.templates import Syntax, parse, xml_syntax
from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.errors import TemplateError, sentence
from innkeeper_controller.templates.parts import BootTemplate
from innkeeper_controller.templates.schedule import SchedActionTemplate, sched_action_templates
from innkeeper_controller.templates.vm import (
    DiskTemplate,
    NicTemplate,
    VmTemplate,
    read_vm_template,
    vm_template,
    with_overrides,
)
from innkeeper_controller.templates.vocabulary import VM, Kind, Use
from innkeeper_controller.turn import Mistake
from innkeeper_plugins.vocabulary import DiskKind, Graphics, InputDevice, Raw, Topology

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
CPU_REMARK = Mistake(message="CPU is not given; 1 core is set aside for the VM.", field="CPU")
FULL = """
NAME = web
CPU = 0.5  VCPU = 2  MEMORY = 512
OS = [ ARCH = X86_64, MACHINE = q35, KERNEL_DS = "$FILE[IMAGE_ID=3]", INITRD = ramdisk,
       ROOT = /dev/vda, KERNEL_CMD = "console=ttyS0 quiet", BOOT = "disk1, NIC0" ]
CPU_MODEL = [ MODEL = host-passthrough ]
FEATURES = [ acpi = YES, GUEST_AGENT = no, IOTHREADS = 2 ]
DISK = [ IMAGE = tiny, SIZE = 2048, TARGET = vda, DEV_PREFIX = vd, CACHE = none, READONLY = yes, DATASTORE = fast ]
DISK = [ IMAGE_ID = 7 ]
DISK = [ TYPE = fs, SIZE = 64, FS = ext4, FORMAT = QCOW2 ]
DISK = [ TYPE = swap, SIZE = 32 ]
NIC = [ NETWORK = lan, IP = 10.0.0.7, MAC = 02-00-0A-00-00-07, MODEL = e1000 ]
NIC = [ NETWORK_ID = 2 ]
GRAPHICS = [ TYPE = VNC, LISTEN = 0.0.0.0, PORT = 5901, KEYMAP = de ]
CONTEXT = [ network = YES, SET_HOSTNAME = "$NAME" ]
HYPERVISOR = simulated
SCHED_REQUIREMENTS = "ARCH = x86_64"
SCHED_RANK = FREE_CPU
LABELS = a  LABELS = b
DESCRIPTION = "the web server"
OWNER = me
OWN_VECTOR = [ K = "v \\"w\\"" ]
"""


def mistakes(text):
    with pytest.raises(TemplateError) as caught:
        read_vm_template(text)
    return [sentence(each) for each in caught.value.mistakes]


def remarks(text):
    return [sentence(each) for each in read_vm_template(f"CPU = 1 MEMORY = 64\n{text}").remarks]


def test_a_full_template_means_what_it_says():
    assert read_vm_template(FULL) == VmTemplate(
        name="web",
        cpu_cores=0.5,
        vcpus=2,
        memory_mib=512,
        disks=(
            DiskTemplate(
                image="tiny",
                datastore="fast",
                size_mib=2048,
                target="vda",
                dev_prefix="vd",
                cache="none",
                readonly=True,
                line=8,
                column=1,
            ),
            DiskTemplate(image="7", line=9, column=1),
            DiskTemplate(kind=DiskKind.VOLATILE, size_mib=64, filesystem="ext4", format="qcow2", line=10, column=1),
            DiskTemplate(kind=DiskKind.SWAP, size_mib=32, line=11, column=1),
        ),
        nics=(
            NicTemplate(network="lan", ip="10.0.0.7", mac="02:00:0a:00:00:07", model="e1000", line=12, column=1),
            NicTemplate(network="2", line=13, column=1),
        ),
        boot=BootTemplate(
            arch="x86_64",
            machine="q35",
            kernel="3",
            initrd="ramdisk",
            kernel_cmdline="root=/dev/vda console=ttyS0 quiet",
            order=("disk1", "nic0"),
            line=4,
            column=1,
        ),
        context={"NETWORK": "YES", "SET_HOSTNAME": "$NAME"},
        graphics=Graphics(type="vnc", listen="0.0.0.0", port=5901, keymap="de"),
        cpu_model="host-passthrough",
        features={"ACPI": "yes", "GUEST_AGENT": "no", "IOTHREADS": "2"},
        hypervisor="simulated",
        requirements="ARCH = x86_64",
        rank="FREE_CPU",
        attributes={
            "LABELS": "a\nb",
            "DESCRIPTION": "the web server",
            "OWNER": "me",
            "OWN_VECTOR": '[ K = "v \\"w\\"" ]',
        },
    )


def test_the_least_that_a_template_needs_is_memory_and_defaults_are_told():
    assert read_vm_template("MEMORY = 64") == VmTemplate(memory_mib=64, remarks=(CPU_REMARK,))


def test_yaml_means_the_same_as_text():
    yaml = "memory: 64\ncpu: 0.5\ndisk:\n  - { image: tiny }\nnic: { network: lan }\nowner: me\n"
    text = "MEMORY = 64 CPU = 0.5\n\nDISK = [ IMAGE = tiny ]\nNIC = [ NETWORK = lan ]\nOWNER = me\n"
    from_yaml, from_text = read_vm_template(yaml), read_vm_template(text)

    assert (from_yaml.disks[0].image, from_yaml.nics[0].network) == (
        from_text.disks[0].image,
        from_text.nics[0].network,
    )
    assert (from_yaml.memory_mib, from_yaml.cpu_cores, from_yaml.attributes) == (64, 0.5, {"OWNER": "me"})


def test_an_empty_template_says_what_a_vm_needs():
    assert mistakes("") == ["A VM needs MEMORY: MEMORY = 512."]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("MEMROY = 1", "MEMROY is no attribute of a VM. Did you mean MEMORY?"),
        ("DISKS = [ IMAGE = x ]", "DISKS is no attribute of a VM. Did you mean DISK?"),
        ("RAM = 1", "RAM is no attribute of a VM. Did you mean MEMORY?"),
        ("CPU = 1,5", "The value of CPU ends at the ,; a value with , = [ or ] needs quotes."),
        ("NCI = [ NETWORK = lan ]", "NCI is no attribute of a VM. Did you mean NIC?"),
        ('CPU = "1,5"', "CPU has to be a number, not '1,5'. Did you mean 1.5?"),
        ("CPU = 0", "CPU has to be 0.01 to 1024, not 0."),
        ("CPU = -1", "CPU has to be a number, not '-1'."),
        ("CPU = nan", "CPU has to be a number, not 'nan'."),
        ("CPU = 1e3", "CPU has to be a number, not '1e3'."),
        ('INPUT = [ TYPE = "" ]', "TYPE has no value; give one, like tablet."),
        ("VCPU = 1.5", "VCPU has to be a whole number, not '1.5'. Did you mean 2?"),
        ("VCPU = 99999999999999999999", "VCPU has to be a whole number, not '99999999999999999999'."),
        ("CPU = [ A = 1 ]", "CPU has to be one value, like CPU = 0.5, not a vector."),
        ("DISK = tiny", "DISK has to be a vector, like DISK = [ IMAGE = tiny ]."),
        ("DISK = [ ]", "A disk needs an image, IMAGE = tiny, or a type and size, TYPE = fs, SIZE = 512."),
        ("DISK = [ TYPE = swap ]", "An empty disk needs a SIZE in MB, like SIZE = 512."),
        (
            "DISK = [ TYPE = swop, SIZE = 1 ]",
            "TYPE has to be one of fs, swap, block, file, disk, cdrom, not 'swop'. Did you mean swap?",
        ),
        ("DISK = [ TYPE = fs, SIZE = 2G ]", "SIZE has to be a whole number of MB, not '2G'. Did you mean 2048?"),
        ("DISK = [ TYPE = fs, SIZE = 1, FS = ntfs ]", "FS has to be one of ext4, ext2, vfat, not 'ntfs'."),
        ("DISK = [ IMAGE = x, TARGET = sdaaa ]", "TARGET has to be vd, sd or hd and a letter, like vda, not 'sdaaa'."),
        ("DISK = [ IMGE = x ]", "DISK has no IMGE. Did you mean IMAGE?"),
        (
            "DISK = [ IMAGE = x, WHATEVER = y ]",
            ("DISK has no WHATEVER; it has IMAGE, IMAGE_ID, TYPE, SIZE, SOURCE, IMAGE_UID, IMAGE_UNAME, CLONE, SAVE, "
            "FS, FORMAT, DRIVER, DATASTORE, TARGET, DEV_PREFIX, BUS, CACHE, READONLY."),
        ),
        ("NIC = [ ]", "A NIC needs a network, like NETWORK = lan."),
        ("NIC = [ NETWORK = x, IP = 1.2.3 ]", "IP: '1.2.3' is no IPv4 address; one looks like 192.168.0.10."),
        ("NIC = [ NETWORK = x, MAC = 1:2 ]", "MAC: '1:2' is no MAC address; one looks like 02:00:c0:a8:00:0a."),
        (
            "NIC = [ NETWORK = x, MAC = 01:00:5e:00:00:01 ]",
            "MAC: 01:00:5e:00:00:01 is a multicast MAC (its first octet is odd), which no card can have.",
        ),
        ("OS = [ BOOT = disk0 ]", "BOOT has disk0, but the template has 0 of them, counted from disk0."),
        ("OS = [ BOOT = cdrom ]", "BOOT has 'cdrom'; devices are disk0, disk1... and nic0, nic1..."),
        ("OS = [ INITRD = x ]", "INITRD needs a KERNEL to go with it."),
        ("OS = [ KERNEL_DS = x ]", "KERNEL_DS has to be $FILE[IMAGE=\"name\"] or $FILE[IMAGE_ID=3], not 'x'."),
        ("OS = [ ] OS = [ ]", "OS was given on line 2 already; a VM has one."),
        ("FEATURES = [ ACPI = perhaps ]", "ACPI has to be yes or no, not 'perhaps'."),
        ("GRAPHICS = [ PORT = 80 ]", "PORT has to be 1024 to 65535, not 80."),
        ("NAME = a/b", "NAME has to be up to 128 characters without a slash or line end, not 'a/b'."),
        ('CONTEXT = [ A = "$NIC[IPP]" ]', "$NIC has no IPP; it has IP, IP6, IP6_GLOBAL, IP6_ULA, MAC, NETWORK,"),
        ('REQUIREMENTS = "FREE_CPU >"', "REQUIREMENTS: The expression ends where a value should come."),
        ('SCHED_REQUIREMENTS = "FREE_CPUS > 1"', "SCHED_REQUIREMENTS: No host attribute is called FREE_CPUS."),
        ('RANK = "FREE_CPU > 1"', "RANK: A rank is a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_was_probably_meant(line, expected):
    (found,) = mistakes(f"MEMORY = 64\n{line}")

    assert found.startswith("line 2, column ")
    assert found.split(": ", 1)[1].startswith(expected)


def test_every_mistake_is_told_at_once_in_the_order_of_the_text():
    text = 'MEMORY = much\nNAME = my web\nDISK = [ IMGE = x ]\nVCPU = 0\nSCHED_RANK = "("\nCPUS = 4'

    assert [each.split(", ")[0] for each in mistakes(text)] == [f"line {number}" for number in range(1, 7)]


def test_what_seems_missing_is_not_told_where_a_broken_line_may_have_had_it():
    assert mistakes("MEMORY == 64\n") == ["line 1, column 9: MEMORY has two = signs; one is enough."]
    assert mistakes("MEMROY = 64\n") == ["line 1, column 1: MEMROY is no attribute of a VM. Did you mean MEMORY?"]


def test_a_target_belongs_to_one_disk():
    text = "MEMORY = 1\nDISK = [ IMAGE = a, TARGET = vda ]\nDISK = [ IMAGE = b, TARGET = vda ]"

    assert mistakes(text) == ["line 3, column 30: vda is the TARGET of the disk on line 2 already."]


def test_the_place_of_a_mistake_in_an_expression_is_exact():
    assert mistakes('MEMORY = 1\nSCHED_REQUIREMENTS = "NAME = a & FREE_CPUS > 4"')[0].startswith("line 2, column 34:")
    assert mistakes("memory: 1\nsched_requirements: NAME = a & FREE_CPUS > 4")[0].startswith("line 2, column 32:")


def test_a_mistake_behind_escaped_quotes_is_placed_where_the_expression_begins():
    text = 'MEMORY = 1\nSCHED_REQUIREMENTS = "NAME = \\"a\\" & FREE_CPUS > 4"'

    assert mistakes(text)[0].startswith("line 2, column 23:")


def test_a_device_boots_once():
    text = 'MEMORY = 1\nDISK = [ IMAGE = x ]\nOS = [ BOOT = "disk0,hd" ]'

    assert mistakes(text) == ["line 3, column 16: BOOT names a device twice."]


def test_the_same_text_is_read_once():
    assert read_vm_template("MEMORY = 77") is read_vm_template("MEMORY = 77")


def test_a_host_attribute_that_hosts_have_is_no_mistake_however_close_it_is_to_another():
    text = 'MEMORY = 64 CPU = 1 SCHED_REQUIREMENTS = "FREE_CPUS > 4"'

    assert read_vm_template(text, host_attributes={"FREE_CPUS", "FREE_CPU"}).remarks == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TPM = [ MODEL = tpm-crb ]", ["line 2, column 1: TPM has no effect yet."]),
        ("DISK = [ IMAGE = x, IO = native ]", ["line 2, column 21: IO in DISK has no effect yet."]),
        ("IMAGE = x", ["line 2, column 1: IMAGE does nothing here; to act it belongs into DISK = [ IMAGE = ... ]."]),
        ("DISK = [ IMAGE = x, IMAGE_ID = 1 ]",
         ["line 2, column 18: IMAGE_ID is given too and counts; IMAGE is not looked at."]),
        ("OS = [ KERNEL_CMD = quiet ]",
         ["line 2, column 21: ROOT and KERNEL_CMD have no effect without KERNEL: the guest boots from its disk."]),
        ("RANK = FREE_MEMORY SCHED_RANK = FREE_CPU",
         ["line 2, column 8: RANK is the old name of SCHED_RANK, which counts here; delete RANK."]),
        ("SCHED_RANK = RACK",
         ["line 2, column 14: SCHED_RANK: No host attribute is called RACK. Hosts without it count as not having it."]),
        ('SCHED_REQUIREMENTS = "NAME = a | NAME = b & ID = 3"',
         [("line 2, column 23: & and | go from left to right, whichever comes first; parentheses make sure of what is"
          " meant.")]),
        ('SCHED_REQUIREMENTS = "(NAME = a | NAME = b) & ID = 3"', []),
        ("OWNER = me", []),
        ("TEMPLATE_ID = 3 VMID = 4", []),
        ("SCHED_ACTION = [ ACTION = stop, TIME = 5, DAYS = 1 ]",
         ["line 2, column 50: DAYS has no effect without REPEAT."]),
        ("DISK = [ SOURCE = /images/tiny, BUS = scsi ]",
         ["line 2, column 19: SOURCE is the old name of IMAGE; image tiny is taken."]),
        ("DISK = [ IMAGE = x, CLONE = yes, SAVE = no, IMAGE_UNAME = ann ]", []),
        ("DISK = [ IMAGE = x, CLONE = no ]",
         ["line 2, column 29: Whether a disk is its image itself, and changes it, the image says, not CLONE."]),
        ("DISK = [ IMAGE = x, SAVE = yes ]",
         ["line 2, column 28: Whether a disk is its image itself, and changes it, the image says, not SAVE."]),
        ("NIC = [ NETWORK = lan, NETWORK_MODE = auto, EXTERNAL = yes, NETWORK_UID = 0 ]",
         ["line 2, column 39: NETWORK_MODE has no effect: the NIC is put into lan."]),
        ('NIC = [ NETWORK = lan, IP = "" ] VCPU = "" HYPERVISOR = "" CPU_COST = ""',
         ["line 2, column 30: IP is empty and counts as not given.",
          "line 2, column 42: VCPU is empty and counts as not given.",
          "line 2, column 58: HYPERVISOR is empty and counts as not given.",
          "line 2, column 72: CPU_COST is empty and counts as not given."]),
        ("HAIZEA = [ START = now ] USER_INPUTS = [ ] CPU_COST = 0.5 MEMORY_UNIT_COST = gb", []),
    ],
)  # fmt: skip
def test_what_may_surprise_is_remarked_on(text, expected):
    assert remarks(text) == expected


def test_more_cores_than_processors_are_remarked_on():
    assert [each.message for each in read_vm_template("MEMORY = 1 CPU = 4").remarks] == [
        "4 cores are set aside, but the guest sees 1 of them; VCPU says how many it sees."
    ]


def test_old_names_of_requirements_rank_hypervisor_and_boot_devices_are_understood():
    text = 'MEMORY = 1 REQUIREMENTS = "NAME = a" RANK = FREE_CPU HYPERVISOR = kvm OS = [ BOOT = "hd,network" ]'
    template = read_vm_template(text + " DISK = [ IMAGE = x ] NIC = [ NETWORK = y ]")

    assert (template.requirements, template.rank, template.hypervisor) == ("NAME = a", "FREE_CPU", "libvirt")
    assert template.boot.order == ("disk0", "nic0")


def test_overrides_replace_all_attributes_of_their_name():
    attributes = with_overrides(parse("MEMORY = 64 LABELS = a LABELS = b CPU = 1"), {"memory": "128", "LABELS": "c"})
    template = vm_template(attributes)

    assert (template.memory_mib, template.attributes) == (128, {"LABELS": "c"})


def test_a_mistake_in_an_override_has_no_place():
    with pytest.raises(TemplateError) as caught:
        read_vm_template("MEMORY = 64", overrides={"CPU": "many"})

    assert [sentence(each) for each in caught.value.mistakes] == ["CPU has to be a number, not 'many'."]


def test_a_kept_value_that_text_syntax_cannot_write_is_still_kept():
    assert read_vm_template("MEMORY = 1\nOWN = [ A = C:\\ ]").attributes == {"OWN": "[ A = C:\\ ]"}


#: What vectors need beside the key that is looked at; a key that stands twice keeps its first value.
NEEDED = {
    "DISK": ", IMAGE = x",
    "NIC": ", NETWORK = x",
    "OS": ", KERNEL = x",
    "INPUT": ", TYPE = mouse",
    "VIDEO": ", TYPE = vga",
    "RAW": ", TYPE = vmware",
    "AFFINITY": ", GROUP = x",
    "ANTI_AFFINITY": ", GROUP = x",
    "SPREAD": ", GROUP = x",
    "GANG": ", NAME = x, SIZE = 1",
    "SCHED_ACTION": ", ACTION = stop, TIME = 1, REPEAT = 0, DAYS = 1, END_VALUE = 1",
}


def acting_fields():
    return [(field, key) for field in VM for key in field.keys or () if key.use is Use.ACTS]


@pytest.mark.parametrize("field", [field for field in VM if field.use is Use.ACTS], ids=lambda field: field.name)
def test_the_example_of_every_attribute_is_right(field):
    quoted = field.example if field.kind is Kind.VECTOR else f'"{field.example.replace(chr(34), chr(92) + chr(34))}"'
    needed = "" if field.name == "MEMORY" else "MEMORY = 512\n"
    more = "DISK = [ IMAGE = x ]\n" if field.name == "OS" else ""

    assert read_vm_template(f"{needed}{more}{field.name} = {quoted}")


@pytest.mark.parametrize(("field", "key"), acting_fields(), ids=lambda field: field.name)
def test_the_example_of_every_key_is_right(field, key):
    example = key.example.replace('"', '\\"')
    pairs = f'{key.name} = "{example}"{NEEDED.get(field.name, "")}'

    assert read_vm_template(f"MEMORY = 512\nDISK = [ IMAGE = x ]\nNIC = [ NETWORK = x ]\n{field.name} = [ {pairs} ]")


WORDS = st.sampled_from([*(field.name for field in VM), *(key.name for _, key in acting_fields()), "OWN", "X1"])
VALUES = st.sampled_from(
    ["1", "64", "x", "yes", "10.0.0.1", "", "2G", "-1", "disk0", "$NIC[IP]", "FREE_CPU > 1", "((("]
)
PAIRS = st.lists(st.tuples(WORDS, VALUES), max_size=4)
LINES = st.one_of(
    st.tuples(WORDS, VALUES).map(lambda pair: f'{pair[0]} = "{pair[1]}"'),
    st.tuples(WORDS, PAIRS).map(lambda pair: f"{pair[0]} = [ " + ", ".join(f'{k} = "{v}"' for k, v in pair[1]) + " ]"),
)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=8))
def test_any_attributes_are_either_understood_or_refused_with_sentences(lines):
    try:
        template = vm_template(parse("\n".join(lines), Syntax.TEXT))
    except TemplateError as error:
        for mistake in error.mistakes:
            assert mistake.message.endswith((".", "..."))
            assert mistake.field
    else:
        assert template.memory_mib >= 1


def outcome(attributes):
    """Return what attributes ask for, or the mistakes in them, without any place."""
    bare = [Attribute(name=each.name, value=unplaced(each.value)) for each in attributes]
    try:
        return vm_template(bare)
    except TemplateError as error:
        return {each.message for each in error.mistakes}


def unplaced(value):
    return value if isinstance(value, str) else tuple(Pair(key=pair.key, value=pair.value) for pair in value)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=8))
def test_a_template_and_its_twin_in_xml_ask_for_the_same(lines):
    attributes = parse("MEMORY = 64\n" + "\n".join(lines))
    # XML has one word for an empty vector and an empty value.
    sayable = [each for each in attributes if each.value != ()]

    assert outcome(parse(xml_syntax.render(sayable))) == outcome(sayable)


MACHINE = """
MEMORY = 64
VCPU = 4
INPUT = [ TYPE = tablet, BUS = usb ]
INPUT = [ TYPE = keyboard ]
GRAPHICS = [ TYPE = spice, LISTEN = 0.0.0.0, PASSWD = "s e c r e t" ]
VIDEO = [ TYPE = virtio ]
RAW = [ TYPE = vmware, DATA = "<" ]
RAW = [ TYPE = kvm, DATA = "<devices><watchdog model=\'i6300esb\'/></devices>" ]
TOPOLOGY = [ CORES = 2, PIN_POLICY = NONE ]
FEATURES = [ ACPI = yes, PAE = no, IOTHREADS = 2, VIRTIO_BLK_QUEUES = auto ]
CPU_MODEL = [ MODEL = host-model ]
NIC_DEFAULT = [ MODEL = e1000 ]
NIC = [ NETWORK = lan ]
NIC = [ NETWORK = lan, MODEL = virtio ]
"""


def test_a_template_says_what_the_machine_is_like():
    template = read_vm_template(MACHINE)

    assert (
        template.inputs,
        template.graphics,
        template.video,
        template.raw,
        template.vcpus,
        template.topology,
        template.features,
        template.cpu_model,
        [nic.model for nic in template.nics],
        template.attributes,
    ) == (
        (InputDevice(type="tablet", bus="usb"), InputDevice(type="keyboard")),
        Graphics(type="spice", listen="0.0.0.0", password="s e c r e t"),
        "virtio",
        Raw(type="kvm", data="<devices><watchdog model='i6300esb'/></devices>"),
        4,
        Topology(sockets=2, cores=2, threads=1),
        {"ACPI": "yes", "PAE": "no", "IOTHREADS": "2", "VIRTIO_BLK_QUEUES": "auto"},
        "host-model",
        ["e1000", "virtio"],
        {},
    )


@pytest.mark.parametrize(
    ("text", "vcpus", "topology"),
    [
        ("", 1, None),
        ("VCPU = 3", 3, None),
        ("VCPU = 3 TOPOLOGY = [ PIN_POLICY = CORE ]", 3, None),
        ("TOPOLOGY = [ SOCKETS = 2, CORES = 3, THREADS = 2 ]", 12, Topology(sockets=2, cores=3, threads=2)),
        ("VCPU = 8 TOPOLOGY = [ SOCKETS = 2 ]", 8, Topology(sockets=2, cores=4, threads=1)),
        ("VCPU = 8 TOPOLOGY = [ THREADS = 2 ]", 8, Topology(sockets=4, cores=1, threads=2)),
        ("VCPU = 8 TOPOLOGY = [ CORES = 2, THREADS = 2 ]", 8, Topology(sockets=2, cores=2, threads=2)),
    ],
)
def test_what_a_topology_leaves_out_is_made_of_the_rest(text, vcpus, topology):
    template = read_vm_template(f"MEMORY = 1 {text}")

    assert (template.vcpus, template.topology) == (vcpus, topology)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "VCPU = 3 TOPOLOGY = [ SOCKETS = 2 ]",
            "line 2, column 10: 2 sockets of 1 cores of 1 threads are 2 processors, but VCPU is 3.",
        ),
        (
            'RAW = [ TYPE = kvm, DATA = "<a>" ]',
            "line 2, column 29: DATA of RAW has to be XML elements: mismatched tag.",
        ),
        (
            "INPUT = [ TYPE = tablet, BUS = ps2 ]",
            "line 2, column 32: A tablet is connected by usb or virtio, not by ps2.",
        ),
        (
            "GRAPHICS = [ PASSWD = 123456789 ]",
            "line 2, column 23: A password of VNC has up to 8 characters, not 9.",
        ),
        ("INPUT = [ BUS = usb ]", "line 2, column 1: INPUT needs TYPE, like TYPE = tablet."),
        ("CPU_COST = much", "line 2, column 12: CPU_COST has to be a number, not 'much'."),
        (
            "NIC = [ NETWORK_MODE = auto ]",
            ("line 2, column 1: Networks are not chosen by a scheduler here; the NIC needs one, like NETWORK = lan."),
        ),
        (
            "SCHED_ACTION = [ ACTION = stop, TIME = tomorrow ]",
            "line 2, column 40: TIME has to be seconds since 1970, or + and seconds, not 'tomorrow'.",
        ),
        (
            "SCHED_ACTION = [ ACTION = stop, TIME = 1, REPEAT = 0, DAYS = 7 ]",
            ("line 2, column 62: What is repeated weekly needs DAYS: numbers with commas between them, each 0 to 6."),
        ),
        (
            'SCHED_ACTION = [ ACTION = stop, TIME = 1, REPEAT = 3, DAYS = "1,2" ]',
            "line 2, column 63: What is repeated hourly needs DAYS: one number, each 1 to 168.",
        ),
        (
            "SCHED_ACTION = [ ACTION = stop, TIME = 1, END_TYPE = 1 ]",
            "line 2, column 54: END_TYPE = 1 needs END_VALUE: how often.",
        ),
    ],
)
def test_a_machine_that_cannot_be_is_refused(text, expected):
    with pytest.raises(TemplateError) as caught:
        read_vm_template(f"MEMORY = 1\n{text}")

    assert [sentence(each) for each in caught.value.mistakes] == [expected]


def test_actions_at_set_times_are_typed():
    text = (
        'SCHED_ACTION = [ ACTION = poweroff-hard, TIME = "+3600" ]'
        ' SCHED_ACTION = [ ACTION = snapshot-create, TIME = 1893456000, ARGS = "daily", REPEAT = 0, DAYS = "1, 5",'
        " END_TYPE = 1, END_VALUE = 10 ]"
    )
    actions = (
        SchedActionTemplate(action="poweroff-hard", after_s=3600),
        SchedActionTemplate(
            action="snapshot-create", at_s=1893456000, args="daily", repeat=0, days="1,5", end_type=1, end_value=10
        ),
    )

    assert read_vm_template(f"MEMORY = 1 {text}").scheduled == actions
    assert sched_action_templates(parse(text)) == actions


@pytest.mark.parametrize(
    ("vector", "at_most"), [("SCHED_ACTION = [ ACTION = stop, TIME = 1 ]\n", 64), ("INPUT = [ TYPE = mouse ]\n", 16)]
)
def test_a_vm_has_so_many_of_some_vectors_and_no_more(vector, at_most):
    assert read_vm_template("MEMORY = 1\n" + vector * at_most)
    with pytest.raises(TemplateError, match=f"^line {at_most + 2}, column 1: A VM has at most {at_most} [A-Z_]+.$"):
        read_vm_template("MEMORY = 1\n" + vector * (at_most + 1))


def test_a_schedule_without_action_is_refused():
    with pytest.raises(TemplateError, match="A schedule needs SCHED_ACTION"):
        sched_action_templates(parse(""))


@pytest.mark.parametrize("form", ["KERNEL = vmlinuz", 'KERNEL_DS = "$FILE[IMAGE=vmlinuz]"',
                                  'KERNEL = "$FILE[IMAGE=\\"vmlinuz\\", IMAGE_UNAME=\\"ann\\"]"'])  # fmt: skip
def test_a_kernel_may_be_named_in_each_of_the_ways_of_opennebula(form):
    assert read_vm_template(f"MEMORY = 1 OS = [ {form} ]").boot.kernel == "vmlinuz"

"""From a template to waiting VMs: everything looked up, every mistake told at once, all or nothing."""

import uuid

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    BOB,
    MIB,
    NOW_S,
    SETTINGS,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_turn,
    digest,
    now,
    picture,
    put,
    refusal,
    submit,
    told,
    turn_of,
)

from innkeeper_controller import submission
from innkeeper_controller.records import AddressRange, ImageState, VmRecord
from innkeeper_plugins.vocabulary import Boot, DiskFormat, ImageId, ImageRef, Nic, Vm, VmId, VmState

replace = msgspec.structs.replace


def refused(reactor, template, **params):
    """Return the refusal of a submission, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: submit(reactor, template, **params))
    assert picture(reactor.cluster) == before
    return error


def mistakes(reactor, template, **params):
    """Return every mistake as (field, line, column, message)."""
    error = refused(reactor, template, **params)
    assert error.code == "bad_template"
    return [(each.field, each.line, each.column, each.message) for each in error.mistakes]


# --- what becomes of a template


def test_a_template_becomes_a_vm_with_nothing_left_to_look_up():
    reactor = a_site()
    turn, answer = ask_turn(reactor, "vm.submit", user=ANN, template=TEMPLATE)
    vm = reactor.cluster.vms[VmId(0)]

    spec = Vm(
        vm_id=VmId(0),
        name="web",
        uuid=str(uuid.uuid5(uuid.UUID(SETTINGS.cluster_id), "vm:0")),
        generation=0,
        cpu_cores=1.0,
        vcpus=1,
        memory_mib=512,
        hypervisor="",
        disks=vm.spec.disks,
        nics=(Nic(nic_id=0, network="lan", network_id=0, mac="02:00:0a:00:00:01", ip="10.0.0.1"),),
    )
    assert vm == VmRecord(
        vm_id=VmId(0),
        name="web",
        owner="ann",
        group="users",
        state=VmState.PENDING,
        spec=spec,
        template=TEMPLATE,
        submitted_at_s=NOW_S,
        since_s=NOW_S,
    )
    assert answer.vm_ids == (0,)
    assert told(turn) == [("vm.submitted", "vm:0")]
    assert turn.events[0].detail == {"name": "web", "state": "PENDING"}


def test_numbers_are_given_in_order_and_a_refused_submission_uses_none():
    reactor = a_site()
    submit(reactor, BARE)
    refused(reactor, "MEMORY = 1\nDISK = [ IMAGE = nothing ]\n")

    assert submit(reactor, BARE).vm_id == 1


def test_a_vm_has_its_uuid_for_ever_and_no_other_vm_has_it():
    one, again, other = (
        submit(a_site(), BARE),
        submit(a_site(), BARE),
        submit(a_site(cluster_id="6ba7b811-9dad-11d1-80b4-00c04fd430c8"), BARE),
    )

    assert one.spec.uuid == again.spec.uuid != other.spec.uuid


def test_a_vm_without_a_name_gets_one():
    assert submit(a_site(), "MEMORY = 1\n").name == "vm-0"


def test_a_name_given_beside_the_template_wins():
    reactor = a_site()

    assert [submit(reactor, BARE, name="other").name, submit(reactor, BARE, set={"NAME": "third"}).name] == [
        "other",
        "third",
    ]


@pytest.mark.parametrize("name", ["a/b", "x\ny", "x" * 129, "a\tb"])
def test_a_name_given_beside_the_template_has_to_be_one(name):
    assert mistakes(a_site(), BARE, name=name)[0][0] == "NAME"


@pytest.mark.parametrize(
    ("template", "params", "names"),
    [
        (BARE, {"count": 3}, ["bare-0", "bare-1", "bare-2"]),
        (BARE, {"count": 2, "name": "web"}, ["web-0", "web-1"]),
        (BARE, {"count": 1}, ["bare"]),
        ("MEMORY = 1\n", {"count": 2}, ["vm-0", "vm-1"]),
    ],
)
def test_several_vms_get_their_number_behind_the_name(template, params, names):
    reactor = a_site()
    answer = ask(reactor, "vm.submit", template=template, user=ANN, **params)

    assert [reactor.cluster.vms[vm_id].name for vm_id in answer.vm_ids] == names
    assert answer.vm_ids == tuple(range(len(names)))


def test_many_vms_have_an_address_each():
    reactor = a_site()
    submit(reactor, count=10)

    assert [vm.spec.nics[0].ip for vm in reactor.cluster.vms.values()] == [f"10.0.0.{n}" for n in range(1, 11)]


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_an_impossible_count_is_refused(count):
    error = refused(a_site(), BARE, count=count)

    assert (error.code, str(error)) == ("bad_request", f"Submit between 1 and 10000 VMs at once, not {count}.")


@pytest.mark.parametrize("hold", [False, True])
def test_more_than_may_wait_are_refused(hold):
    reactor = a_site(max_pending=2, scheduler="none")
    submit(reactor, BARE, hold=hold)
    error = refused(reactor, BARE, count=2)

    assert (error.code, str(error)) == (
        "too_many",
        "1 VMs wait already; try again when some of them have started.",
    )


def test_a_held_vm_waits_for_a_person():
    reactor = a_site()

    assert (submit(reactor, BARE, hold=True).state, submit(reactor, BARE, hold=False).state) == (
        VmState.HOLD,
        VmState.PENDING,
    )


def test_attributes_given_beside_the_template_win():
    reactor = a_site()
    vm = submit(reactor, BARE, set={"memory": "64", "cpu": "0.5", "RANK": "FREE_CPU", "OWNERS": "us"})

    assert (vm.spec.memory_mib, vm.spec.cpu_cores, vm.rank, vm.attributes) == (64, 0.5, "FREE_CPU", {"OWNERS": "us"})


def test_a_wrong_attribute_given_beside_the_template_is_told_without_a_place():
    assert mistakes(a_site(), BARE, set={"MEMORY": "much"}) == [
        ("MEMORY", 0, 0, "MEMORY has to be a whole number of MB, not 'much'.")
    ]


def test_a_vector_given_beside_the_template_is_told_to_belong_into_it():
    example = "OS = [ ARCH = x86_64, BOOT = disk0 ]"

    assert mistakes(a_site(), BARE, set={"OS": "[ARCH=aarch64]"}) == [
        ("OS", 0, 0, f"OS is a vector: write {example} into the template; only single values are set here.")
    ]


def with_facts(host, labels, **facts):
    told = replace(host.advertisement, facts={**host.advertisement.facts, **facts})
    return replace(host, advertisement=told, labels=labels)


def test_what_a_fact_or_label_of_any_host_tells_may_be_asked_for_without_a_remark():
    reactor = a_reactor(a_host(1), with_facts(a_host(2), {"Row": "7"}, RACK="r1"))
    asking = """NAME=a CPU=1 MEMORY=64 SCHED_REQUIREMENTS="RACK = \\"r1\\" & ROW = 7 & SHELF = 1" """

    def remarks():
        return [each.message for each in ask(reactor, "vm.submit", user=ANN, template=asking).remarks]

    unknown = "SCHED_REQUIREMENTS: No host attribute is called {}. Hosts without it count as not having it."
    assert remarks() == [unknown.format("SHELF")]
    put(reactor, with_facts(a_host(3), {}, SHELF_2=2))
    assert remarks() == [f"{unknown.format('SHELF')} Did you mean SHELF_2?"]
    put(reactor, a_host(2))
    assert remarks() == [
        unknown.format("RACK"),
        unknown.format("ROW"),
        f"{unknown.format('SHELF')} Did you mean SHELF_2?",
    ]


def test_remarks_reach_the_person_who_asked():
    answer = ask(a_site(), "vm.submit", template="NAME = x\nMEMORY = 1\n", user=ANN)

    assert [each.message for each in answer.remarks] == ["CPU is not given; 1 core is set aside for the VM."]


def test_a_vm_belongs_to_who_submitted_it():
    reactor = a_site()

    assert (submit(reactor, BARE, user=BOB).owner, submit(reactor, BARE, user=ANN).owner) == ("bob", "ann")


def test_shares_of_cores_have_six_digits():
    assert submit(a_site(), BARE, set={"CPU": "0.123456789"}).spec.cpu_cores == 0.123457


# --- addresses


def test_nics_get_all_that_their_network_knows():
    network = a_network(
        bridge="br0",
        vlan_id=7,
        physical_device="eth0",
        gateway="10.0.0.254",
        netmask="255.255.255.0",
        dns="10.0.0.253",
    )
    vm = submit(a_reactor(network), 'MEMORY = 1\nNIC = [ NETWORK = "lan", MODEL = e1000, IP = 10.0.0.4 ]\n')

    assert vm.spec.nics == (
        Nic(
            nic_id=0,
            network="lan",
            network_id=0,
            mac="02:00:0a:00:00:04",
            ip="10.0.0.4",
            bridge="br0",
            vlan_id=7,
            physical_device="eth0",
            gateway="10.0.0.254",
            netmask="255.255.255.0",
            dns="10.0.0.253",
            model="e1000",
        ),
    )


def test_a_network_can_be_named_by_its_number():
    vm = submit(a_site(), "MEMORY = 1\nNIC = [ NETWORK_ID = 0 ]\n")

    assert vm.spec.nics[0].network == "lan"


def test_an_address_that_is_taken_refuses_the_whole_vm_and_keeps_no_other_address():
    reactor = a_site()
    submit(reactor)
    error = refused(reactor, "MEMORY = 1\nNIC = [ NETWORK = lan ]\nNIC = [ NETWORK = lan, IP = 10.0.0.1 ]\n")

    assert (error.code, str(error)) == (
        "no_address",
        "10.0.0.1 of network lan belongs to VM 0; ask for another or for none.",
    )


@pytest.mark.parametrize("wanted", ["IP = 10.0.0.5", "MAC = 02:00:0a:00:00:05"])
def test_one_address_is_not_asked_for_several_vms(wanted):
    """Otherwise the second would be told that a VM has it which was never made."""
    error = refused(a_site(), f"MEMORY = 1\nNIC = [ NETWORK = lan, {wanted} ]\n", count=2, user=ADMIN)

    assert (error.code, str(error)) == (
        "bad_request",
        "One address cannot be given to several VMs; submit one, or leave IP and MAC out of its NICs.",
    )


def test_a_network_that_is_full_half_way_through_refuses_all():
    error = refused(a_site(), TEMPLATE, count=11)

    assert (error.code, str(error).split(";")[0]) == (
        "no_address",
        "Network lan has 10 of 10 addresses free, 11 are needed",
    )


def test_vms_with_two_nics_in_a_network_need_two_addresses_each():
    error = refused(a_site(), "MEMORY = 1\nNIC = [ NETWORK = lan ]\nNIC = [ NETWORK = lan ]\n", count=6)

    assert str(error).split(";")[0] == "Network lan has 10 of 10 addresses free, 12 are needed"


# --- disks


def disks(reactor, template):
    return [
        (disk.disk_id, str(disk.kind), disk.target, disk.bus, disk.driver, str(disk.format), disk.size_bytes // MIB)
        for disk in submit(reactor, template).spec.disks
    ]


def test_every_kind_of_disk():
    reactor = a_reactor(a_host(1), an_image(), an_image(1, "install", type="cdrom", format=DiskFormat.RAW))
    template = """MEMORY = 1
DISK = [ IMAGE = tiny ]
DISK = [ IMAGE = tiny, SIZE = 200, DEV_PREFIX = sd ]
DISK = [ IMAGE = install ]
DISK = [ TYPE = fs, SIZE = 10, FS = ext4 ]
DISK = [ TYPE = swap, SIZE = 5, DEV_PREFIX = hd ]
DISK = [ TYPE = block, SIZE = 3, FORMAT = qcow2 ]
"""

    assert disks(reactor, template) == [
        (0, "image", "vda", "virtio", "qcow2", "qcow2", 100),
        (1, "image", "sda", "scsi", "qcow2", "qcow2", 200),
        (2, "cdrom", "hdb", "ide", "qcow2", "raw", 100),
        (3, "volatile", "vdb", "virtio", "qcow2", "raw", 10),
        (4, "swap", "hdc", "ide", "qcow2", "raw", 5),
        (5, "volatile", "vdc", "virtio", "qcow2", "qcow2", 3),
    ]


def test_a_cd_and_what_says_so_cannot_be_written():
    reactor = a_reactor(a_host(1), an_image(), an_image(1, "install", type="cdrom"))
    template = (
        "MEMORY = 1\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE = install ]\nDISK = [ IMAGE = tiny, READONLY = yes ]\n"
    )

    assert [disk.readonly for disk in submit(reactor, template).spec.disks] == [False, True, True]


def test_a_disk_carries_its_image_as_a_host_needs_to_know_it():
    (disk,) = submit(a_site(), "MEMORY = 1\nDISK = [ IMAGE = tiny ]\n").spec.disks

    assert disk.image == ImageRef(
        image_id=ImageId(0),
        name="tiny",
        datastore="default",
        sha256=digest("e"),
        size_bytes=10 * MIB,
        virtual_size_bytes=100 * MIB,
        format=DiskFormat.QCOW2,
    )


def test_a_copied_disk_has_the_format_of_its_image():
    reactor = a_site()
    ask(reactor, "datastore.add", name="copies", driver="copy")
    put_raw = an_image(1, "plain", format=DiskFormat.RAW, sha256=digest("f"))
    reactor.cluster.images[put_raw.image_id] = put_raw
    reactor.cluster.image_ids["plain"] = put_raw.image_id
    template = "MEMORY = 1\nDISK = [ IMAGE = plain ]\nDISK = [ IMAGE = plain, DATASTORE = copies ]\n"

    assert [(disk.driver, disk.format) for disk in submit(reactor, template).spec.disks] == [
        ("qcow2", "qcow2"),
        ("copy", "raw"),
    ]


def test_device_names_that_were_asked_for_are_given_to_nobody_else():
    template = "MEMORY = 1\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE = tiny, TARGET = vda ]\nDISK = [ IMAGE = tiny ]\n"

    assert [each[2] for each in disks(a_site(), template)] == ["vdb", "vda", "vdc"]


def test_more_disks_than_letters_get_two():
    template = "MEMORY = 1\n" + "DISK = [ TYPE = fs, SIZE = 1 ]\n" * 30
    targets = [each[2] for each in disks(a_site(), template)]

    assert (len(set(targets)), targets[25:28]) == (30, ["vdz", "vdaa", "vdab"])


def test_more_disks_than_there_are_names_are_refused():
    template = "MEMORY = 1\n" + "DISK = [ TYPE = fs, SIZE = 1 ]\n" * 703

    assert mistakes(a_site(), template) == [
        ("DISK", 704, 1, "There are more disks of one bus than device names for them; use another DEV_PREFIX.")
    ]


def test_the_vms_own_directory_lies_in_the_datastore_of_its_first_disk():
    reactor = a_site()
    ask(reactor, "datastore.add", name="fast", driver="copy")
    on_fast = submit(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny, DATASTORE = fast ]\nDISK = [ IMAGE = tiny ]\n").spec
    without = submit(reactor, BARE).spec

    assert [(each.datastore, each.driver) for each in (on_fast, without)] == [("fast", "copy"), ("default", "qcow2")]


def test_kernel_and_ramdisk_are_images():
    reactor = a_reactor(
        a_host(1),
        an_image(),
        an_image(1, "linux", type="kernel", sha256=digest("1")),
        an_image(2, "rd", type="ramdisk"),
    )
    vm = submit(
        reactor,
        'MEMORY = 1\nOS = [ KERNEL = linux, INITRD = rd, KERNEL_CMD = "quiet", ROOT = vda1, MACHINE = q35 ]\n',
    )

    boot = vm.spec.boot
    assert (boot.kernel.name, boot.kernel.sha256, boot.initrd.name) == ("linux", digest("1"), "rd")
    assert boot == Boot(
        arch="x86_64", machine="q35", kernel=boot.kernel, initrd=boot.initrd, kernel_cmdline="root=vda1 quiet"
    )


# --- context


def test_context_is_expanded_with_what_only_now_is_known():
    reactor = a_reactor(a_network(netmask="255.255.255.0", gateway="10.0.0.254"))
    template = """NAME = web
MEMORY = 64
COLOR = blue
NIC = [ NETWORK = "lan" ]
CONTEXT = [ NETWORK = "YES", HOSTNAME = "$NAME-$VMID", PAINT = "$COLOR", ADDRESS = "$NIC[IP, NETWORK=\\"lan\\"]" ]
"""

    assert submit(reactor, template).spec.context == {
        "ETH0_MAC": "02:00:0a:00:00:01",
        "ETH0_IP": "10.0.0.1",
        "ETH0_MASK": "255.255.255.0",
        "ETH0_NETWORK": "10.0.0.0",
        "ETH0_GATEWAY": "10.0.0.254",
        "NETWORK": "YES",
        "HOSTNAME": "web-0",
        "PAINT": "blue",
        "ADDRESS": "10.0.0.1",
    }


def test_every_vm_of_a_bulk_has_its_own_context():
    reactor = a_reactor(a_network())
    submit(reactor, 'NAME = web\nMEMORY = 1\nNIC = [ NETWORK = lan ]\nCONTEXT = [ ME = "$NAME $NIC[IP]" ]\n', count=2)

    assert [vm.spec.context["ME"] for vm in reactor.cluster.vms.values()] == ["web-0 10.0.0.1", "web-1 10.0.0.2"]


# --- mistakes


def test_everything_that_is_missing_is_told_at_once_with_its_place():
    template = """NAME = web
MEMORY = 512
DISK = [ IMAGE = tinny ]
DISK = [ IMAGE = tiny, DATASTORE = defualt ]
DISK = [ IMAGE = tiny, SIZE = 10 ]
NIC = [ NETWORK = LAN ]
OS = [ KERNEL = linux, INITRD = rd ]
"""

    assert mistakes(a_site(), template) == [
        ("DISK/IMAGE", 3, 1, "There is no image tinny. Did you mean tiny?"),
        ("DISK/DATASTORE", 4, 1, "There is no datastore defualt. Did you mean default?"),
        ("DISK/SIZE", 5, 1, "A disk of image tiny has to have at least 100 MB; SIZE says 10."),
        ("NIC/NETWORK", 6, 1, "There is no network LAN. `inn network list` shows what there is."),
        ("OS/KERNEL", 7, 1, "There is no image linux. `inn image list` shows what there is."),
        ("OS/INITRD", 7, 1, "There is no image rd. `inn image list` shows what there is."),
    ]


def test_the_refusal_tells_the_first_and_how_many_there_are():
    error = refused(a_site(), "MEMORY = 512\nDISK = [ IMAGE = tinny ]\nNIC = [ NETWORK = nothing ]\n")

    assert str(error) == (
        "2 mistakes in the template; the first: line 2, column 1: There is no image tinny. Did you mean tiny?"
    )


def test_mistakes_of_form_are_told_before_anything_is_looked_up():
    assert mistakes(a_site(), "MEMORI = 1\nDISK = [ IMAGE = tyni ]\n") == [
        ("MEMORI", 1, 1, "MEMORI is no attribute of a VM.")
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"state": ImageState.LOCKED, "operation_id": "o7"},
            "Image tiny is locked: wait for its import (`inn operation wait o7`).",
        ),
        ({"state": ImageState.ERROR, "error": "no such file"}, "Image tiny is error: no such file."),
    ],
)
def test_an_image_that_is_not_ready_is_told_with_the_reason(values, text):
    reactor = a_reactor(an_image(**values))

    assert mistakes(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny ]\n") == [("DISK/IMAGE", 2, 1, text)]


def test_a_disk_may_be_exactly_as_large_as_its_image():
    assert disks(a_site(), "MEMORY = 1\nDISK = [ IMAGE = tiny, SIZE = 100 ]\n")[0][6] == 100


def test_an_image_of_odd_size_needs_the_next_whole_megabyte():
    reactor = a_reactor(an_image(virtual_size_bytes=MIB + 1))

    assert mistakes(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny, SIZE = 1 ]\n")[0][3] == (
        "A disk of image tiny has to have at least 2 MB; SIZE says 1."
    )


def test_a_number_names_an_image_by_its_number_only():
    reactor = a_reactor(an_image(7))

    assert submit(reactor, "MEMORY = 1\nDISK = [ IMAGE = 7 ]\n").spec.disks[0].image.image_id == 7
    assert mistakes(reactor, "MEMORY = 1\nDISK = [ IMAGE_ID = 8 ]\n")[0][3] == (
        "There is no image 8. `inn image list` shows what there is."
    )


def test_a_vm_on_a_network_that_is_gone_meanwhile_lives_and_ends_as_before():
    reactor = a_site()
    vm = a_vm(reactor, VmState.HOLD, template=BARE)
    ask(reactor, "network.delete", network="lan")
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)

    assert reactor.cluster.vms == {}


def test_ranges_are_used_one_after_the_other():
    network = a_network(ranges=(AddressRange(size=1, ip="10.0.0.1"), AddressRange(ar_id=1, size=1, ip="10.0.7.1")))
    reactor = a_reactor(network)
    submit(reactor, "NAME = x\nMEMORY = 1\nNIC = [ NETWORK = lan ]\n", count=2)

    assert [now(reactor, vm).spec.nics[0].ip for vm in reactor.cluster.vms.values()] == ["10.0.0.1", "10.0.7.1"]


def test_more_templates_than_can_be_kept_are_refused():
    text = BARE + "NOTE = " + "x" * 60_000 + "\n"
    error = refused(a_site(), text, count=10_000)

    assert (error.code, str(error)) == (
        "too_large",
        f"10000 VMs of a template of {len(text)} characters are too much at once; submit fewer.",
    )


def test_long_templates_are_read_and_not_remembered():
    remembered = submission._read.cache_info().currsize
    vm = submit(a_site(), BARE + "NOTE = " + "y" * 70_000 + "\n")

    assert (len(vm.attributes["NOTE"]), submission._read.cache_info().currsize) == (70_000, remembered)


# --- whose things they are, and how much of them


def test_what_somebody_may_not_use_is_in_no_template_of_theirs():
    private = {"mode": 0o600, "owner": "bob"}
    reactor = a_reactor(a_host(1), an_image(**private), a_network(**private))
    # Everybody may use every network unless somebody deletes this rule.
    turn_of(reactor).drop(reactor.cluster.acl_rules[2])

    for template in ("MEMORY = 1\nDISK = [ IMAGE = tiny ]\n", "MEMORY = 1\nNIC = [ NETWORK = lan ]\n"):
        error = refused(reactor, template)
        assert (error.code, "Not authorized to perform USE" in str(error)) == ("forbidden", True)
        assert submit(reactor, template, user=BOB).owner == "bob"
        assert submit(reactor, template, user=ADMIN).group == "oneadmin"


def test_what_only_administrators_may_give_is_refused_with_its_place():
    text = "MEMORY = 1\nNIC = [ NETWORK = lan, MAC = 02:00:0a:00:00:05 ]\n"
    error = refused(a_site(), text)

    assert (error.code, [(each.field, each.line) for each in error.mistakes]) == ("forbidden", [("NIC/MAC", 2)])
    assert refused(a_site(), BARE, set={"EMULATOR": "x"}).code == "forbidden"
    assert submit(a_site(), text, user=ADMIN).spec.nics[0].mac == "02:00:0a:00:00:05"


def test_vms_end_exactly_at_the_limit_and_a_refusal_takes_nothing():
    reactor = a_site()
    put(reactor, replace(ANN, limits={"vm.vms": 3.0}))
    submit(reactor, count=2)
    error = refused(reactor, TEMPLATE, count=2)

    assert error.code == "over_quota"
    assert submit(reactor).vm_id == 2
    assert refused(reactor, TEMPLATE).code == "over_quota"


def test_a_wildcard_in_a_name_is_the_number_of_each():
    reactor = a_site()
    submit(reactor, BARE, name="a-%i-b", count=2)

    assert [vm.name for vm in reactor.cluster.vms.values()] == ["a-0-b", "a-1-b"]


def test_disks_and_images_of_a_datastore_that_lies_in_another_are_there_on_the_hosts():
    reactor = a_reactor(a_host(1), an_image(datastore="files"))
    vm = submit(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny, DATASTORE = system ]\n", user=ADMIN)

    disk = vm.spec.disks[0]
    assert (disk.datastore, disk.image.datastore, vm.spec.datastore) == ("default", "default", "default")


# --- persistent images


def test_a_persistent_image_is_one_vms_until_that_ends():
    reactor = a_reactor(a_host(1, images=[digest("e")]), an_image(persistent=True))
    template = "MEMORY = 1\nDISK = [ IMAGE = tiny ]\n"
    assert refused(reactor, template, count=2).code == "in_use"
    vm = submit(reactor, template)
    error = refused(reactor, template, user=BOB)

    assert vm.spec.disks[0].persistent
    assert (error.code, str(error)) == (
        "in_use",
        "Image tiny is persistent and VM 0 has it; end that VM first, or clone the image.",
    )
    ask(reactor, "vm.terminate", user=ANN, vm_id=0)
    assert submit(reactor, template).vm_id == 1


def test_a_persistent_image_is_one_disk():
    reactor = a_reactor(a_host(1), an_image(persistent=True))

    assert mistakes(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE_ID = 0 ]\n") == [
        ("DISK/IMAGE", 0, 0, "Image tiny is persistent; only one disk can be it.")
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"state": ImageState.DISABLED}, "Image tiny is disabled: enable it (`inn image enable tiny`)."),
        ({"state": ImageState.LOCKED}, "Image tiny is locked: wait until the disk that it is made of is saved."),
        ({"type": "kernel"}, "Image tiny is a kernel, not a disk."),
        ({"type": "context"}, "Image tiny is a context, not a disk."),
    ],
)
def test_what_cannot_be_a_disk_says_why(values, message):
    reactor = a_reactor(a_host(1), an_image(**values))

    assert mistakes(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny ]\n") == [("DISK/IMAGE", 2, 1, message)]


def test_a_disk_comes_on_the_bus_that_its_image_asks_for():
    reactor = a_reactor(a_host(1), an_image(attributes={"DEV_PREFIX": "sd"}))

    assert submit(reactor, "MEMORY = 1\nDISK = [ IMAGE = tiny ]\n").spec.disks[0].target == "sda"

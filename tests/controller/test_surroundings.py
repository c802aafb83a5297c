"""What contexts find around their VM, what they must not find, and what only administrators may put into a template."""

import base64

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BOB,
    a_host,
    a_network,
    a_site,
    a_vm,
    an_image,
    ask,
    change,
    digest,
    drivers,
    now,
    put,
    refusal,
    submit,
    turn_of,
)

from innkeeper_controller import submission, surroundings
from innkeeper_controller.records import Group, ScheduledAction
from innkeeper_controller.templates import parse
from innkeeper_plugins.vocabulary import DriverFacts, DriverKind, Graphics, InputDevice, Raw, Topology, VmState

NICS = 'NIC = [ NETWORK = lan ]\nNIC = [ NETWORK = "backbone" ]\n'


def a_place(**settings):
    reactor = a_site(**settings)
    users = reactor.cluster.groups.get("users") or Group(name="users", group_id=1)
    put(
        reactor,
        users,
        msgspec.structs.replace(ANN, attributes={"SSH_PUBLIC_KEY": "ssh-ed25519 A"}),
        a_network(1, "backbone", owner="bob", mode=0o644, gateway="10.0.1.254", attributes={"VXLAN": "7"}),
        an_image(1, "hidden", owner="bob", mode=0o600),
        an_image(2, "seen", attributes={"VERSION": "12"}),
    )
    return reactor


def context_of(value):
    quoted = value.replace('"', '\\"')
    template = f'NAME = web\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\n{NICS}CONTEXT = [ X = "{quoted}" ]\n'
    return submit(a_place(), template, user=ANN).spec.context["X"]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("$UNAME $UID $GNAME $GID", "ann 2 users 1"),
        ("$USER[SSH_PUBLIC_KEY] $USER[NAME]$USER[NONE]", "ssh-ed25519 A ann"),
        ('$NIC[IP, NETWORK="backbone"]', "10.0.1.1"),
        ("$NETWORK[GATEWAY, NETWORK=backbone] $NETWORK[VXLAN, NETWORK_ID=1]", "10.0.1.254 7"),
        ("$IMAGE[VERSION, IMAGE=seen] $IMAGE[SIZE, IMAGE_ID=2] $IMAGE[TYPE, IMAGE=seen]", "12 100 OS"),
        ("$DISK[TARGET]", "vda"),
    ],
)
def test_a_context_finds_its_owner_and_what_its_owner_may_use(value, result):
    assert context_of(value) == result


def test_the_template_travels_as_xml_in_base64():
    document = base64.b64decode(context_of("$TEMPLATE")).decode()

    assert document.startswith("<TEMPLATE><NAME><![CDATA[web]]></NAME>")
    assert [each.name for each in parse(document)] == ["NAME", "MEMORY", "DISK", "NIC", "NIC", "CONTEXT"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("$IMAGE[SHA256, IMAGE=hidden]", "forbidden"),
        ("$NETWORK[GATEWAY, NETWORK=none]", "not_found"),
        ("$IMAGE[SHA256, IMAGE=none]", "not_found"),
    ],
)
def test_what_is_not_there_or_not_the_owners_refuses_the_vm(value, code):
    assert refusal(lambda: context_of(value)).code == code


def test_an_owner_that_is_gone_has_no_numbers():
    around = surroundings.of_vm(turn_of(a_place()), owner="gone", group="gone", template="")

    assert (around.variables, around.user) == ({"UNAME": "gone", "UID": "", "GNAME": "gone", "GID": ""}, {})


def test_what_a_template_says_of_the_machine_and_of_set_times_reaches_the_vm():
    template = (
        "MEMORY = 1 VCPU = 4 INPUT = [ TYPE = tablet ] VIDEO = [ TYPE = vga ] TOPOLOGY = [ CORES = 2 ]"
        " GRAPHICS = [ PASSWD = secret ] RAW = [ TYPE = kvm, DATA = '<a/>' ]"
        ' SCHED_ACTION = [ ACTION = stop, TIME = "+60" ] SCHED_ACTION = [ ACTION = terminate, TIME = 5000 ]'
    ).replace("'", '"')
    vm = submit(a_place(), template, user=ADMIN)

    assert (vm.spec.inputs, vm.spec.video, vm.spec.topology, vm.spec.graphics, vm.spec.raw, vm.scheduled) == (
        (InputDevice(type="tablet"),),
        "vga",
        Topology(sockets=2, cores=2),
        Graphics(password="secret"),
        Raw(type="kvm", data="<a/>"),
        (
            ScheduledAction(action_id=0, action="stop", at_s=1060.0),
            ScheduledAction(action_id=1, action="terminate", at_s=5000.0),
        ),
    )


RAW = 'MEMORY = 1\nRAW = [ TYPE = kvm, DATA = "<a/>" ]\nNIC = [ NETWORK = lan, MAC = 02:00:0a:00:00:05 ]\n'


def test_only_administrators_may_say_what_others_are_hurt_by():
    reactor = a_place()
    error = refusal(lambda: ask(reactor, "vm.submit", user=ANN, template=RAW))

    assert (error.code, [(each.field, each.line, each.column) for each in error.mistakes]) == (
        "forbidden",
        [("RAW", 2, 1), ("NIC/MAC", 3, 24)],
    )
    assert ask(reactor, "vm.submit", user=ADMIN, template=RAW)


def test_an_override_is_what_who_asks_has_written():
    error = refusal(lambda: ask(a_place(), "vm.submit", user=ANN, template="MEMORY = 1", set={"CPU_COST": "1"}))

    assert error.code == "forbidden"


def test_the_configuration_says_what_is_restricted():
    reactor = a_place(restricted_vm=("usual", "DISK/SIZE"))
    larger = "MEMORY = 1\nDISK = [ IMAGE = tiny, SIZE = 4000 ]\n"

    assert refusal(lambda: ask(reactor, "vm.submit", user=ANN, template=larger)).code == "forbidden"
    assert refusal(lambda: ask(reactor, "vm.submit", user=ANN, template=RAW)).code == "forbidden"
    assert ask(a_place(restricted_vm=()), "vm.submit", user=ANN, template=RAW)


def test_networks_and_images_have_lists_of_their_own():
    reactor = a_place(restricted_network=("GATEWAY", "AR/SIZE"), restricted_image=("SIZE",))
    ask(reactor, "network.add", user=ANN, template="NAME = one BRIDGE = br0")
    network = refusal(
        lambda: ask(reactor, "network.add", user=ANN, template="NAME = two AR = [ IP = 10.9.0.1, SIZE = 2 ]")
    )
    given = refusal(lambda: ask(reactor, "network.add", user=ANN, name="two", gateway="10.0.0.1"))
    image = refusal(lambda: ask(reactor, "image.add", user=ANN, template="NAME = x SIZE = 5"))

    assert [(each.code, each.mistakes[0].field) for each in (network, given, image)] == [
        ("forbidden", "AR/SIZE"), ("forbidden", "GATEWAY"), ("forbidden", "SIZE"),
    ]  # fmt: skip


def test_notes_of_a_vm_keep_what_only_administrators_may_say():
    reactor = a_place()
    vm = submit(reactor, "MEMORY = 1 CPU_COST = 2 LABELS = a EMULATOR = x", user=ADMIN)
    vm = change(reactor, now(reactor, vm), owner="ann")
    same = {"vm_id": vm.vm_id, "user": ANN}

    assert refusal(lambda: ask(reactor, "vm.update", **same, template="CPU_COST = 0", append=True)).code == "forbidden"
    ask(reactor, "vm.update", **same, template="CPU_COST = 2 LABELS = b", append=False)
    assert now(reactor, vm).attributes == {"CPU_COST": "2", "LABELS": "b", "EMULATOR": "x"}
    ask(reactor, "vm.update", user=ADMIN, vm_id=vm.vm_id, template="LABELS = c", append=False)
    assert now(reactor, vm).attributes == {"LABELS": "c"}


@pytest.mark.parametrize(
    ("request_name", "template"),
    [
        ("vm.attach_nic", "NIC = [ NETWORK = lan, MAC = 02:00:0a:00:00:05 ]"),
        ("vm.attach_disk", "DISK = [ IMAGE = tiny, TOTAL_IOPS_SEC = 1 ]"),
    ],
)
def test_what_is_plugged_later_is_restricted_too(request_name, template):
    reactor = a_place()
    hypervisor = DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated", capabilities=("hotplug",))
    put(reactor, a_host(1, images=[digest("e")], has=(drivers()[0], hypervisor)))
    vm = a_vm(reactor, VmState.RUNNING)

    assert refusal(lambda: ask(reactor, request_name, user=ANN, vm_id=vm.vm_id, template=template)).code == "forbidden"


def test_an_address_of_ones_own_choice_is_for_everybody():
    reactor = a_place()
    change(reactor, reactor.cluster.networks[0], mode=0o644)
    vm = submit(reactor, "MEMORY = 1\nNIC = [ NETWORK = lan, IP = 10.0.0.5 ]\n", user=BOB)

    assert now(reactor, vm).spec.nics[0].ip == "10.0.0.5"


def test_later_actions_get_the_next_numbers():
    template = submission.read_vm_template('MEMORY = 1 SCHED_ACTION = [ ACTION = stop, TIME = "+5" ]')

    assert [each.action_id for each in submission.scheduled_at(template.scheduled, 1.0, first_id=7)] == [7]

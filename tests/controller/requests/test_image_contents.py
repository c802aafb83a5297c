"""What images are made of: templates, empty images, doubles, persistent images, and content that nobody needs."""

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BOB,
    MIB,
    NOW_S,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_turn,
    change,
    digest,
    end_leg,
    finish,
    leg_ended,
    now,
    operation_of,
    outcome_of,
    picture,
    put,
    refusal,
    say,
    script,
    submit,
    told,
    turn_of,
)

from innkeeper_controller import verify
from innkeeper_controller.images import image_state_word, new_from_disk
from innkeeper_controller.records import Datastore, ImageState
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.steps import ImportImage, SaveImage
from innkeeper_plugins.vocabulary import DiskFormat, HostId, VmState

replace = msgspec.structs.replace
ONE_DISK = "NAME = one\nMEMORY = 64\nDISK = [ IMAGE = tiny ]\n"
#: What the host says of a disk that it has saved.
SAVED = {"sha256": digest("f"), "size_bytes": 20 * MIB, "virtual_size_bytes": 100 * MIB, "format": "qcow2"}


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def imported(reactor, **params):
    """Register an image of ann's and return it with the step that takes it in."""
    view = ask(reactor, "image.add", **{"user": ANN, **params})
    operation = reactor.cluster.operations[view.operation_id]
    ((leg),) = operation.plan.legs
    (step,) = leg.steps
    assert isinstance(step, ImportImage)
    return reactor.cluster.images[view.image_id], step, leg.host_id


def with_import_dirs(host_id, dirs, **values):
    host = a_host(host_id, **values)
    facts = {**host.advertisement.facts, "IMPORT_DIRS": dirs}
    return replace(host, advertisement=replace(host.advertisement, facts=facts))


# --- add


@pytest.mark.parametrize(
    "template",
    [
        (
            'NAME = db PATH = "http://x/db.img" TYPE = DATABLOCK PERSISTENT = YES DRIVER = raw DEV_PREFIX = sd '
            'DESCRIPTION = "a b" COLOUR = red'
        ),
        (
            "<IMAGE><NAME>db</NAME><PATH>http://x/db.img</PATH><TYPE>DATABLOCK</TYPE><PERSISTENT>YES</PERSISTENT>"
            "<DRIVER>raw</DRIVER><DEV_PREFIX>sd</DEV_PREFIX><DESCRIPTION>a b</DESCRIPTION><COLOUR>red</COLOUR></IMAGE>"
        ),
    ],
)
def test_an_image_is_what_opennebulas_template_says(template):
    image, step, _ = imported(a_site(), template=template)

    assert (image.name, image.type, image.persistent, image.format) == ("db", "datablock", True, DiskFormat.RAW)
    assert (image.source, image.attributes) == (
        "http://x/db.img",
        {"DEV_PREFIX": "sd", "DESCRIPTION": "a b", "COLOUR": "red"},
    )
    assert (step.url, step.path, step.format, step.size_bytes) == ("http://x/db.img", "", "raw", None)


def test_what_is_given_beside_a_template_wins():
    image, step, _ = imported(
        a_site(),
        name="mine",
        type="os",
        persistent=False,
        upload=True,
        sha256="f" * 64,
        size_bytes=3 * MIB,
        template='NAME = db PATH = "/tmp/db.img" TYPE = CDROM PERSISTENT = YES SIZE = 12',
    )

    assert (image.name, image.type, image.persistent, image.source) == ("mine", "os", False, "/tmp/db.img")
    assert (step.path, step.url, len(step.holders), step.size_bytes) == ("", "", 1, 3 * MIB)


@pytest.mark.parametrize("params", [{"name": "x", "size_mib": 64}, {"template": "NAME = x SIZE = 64 DRIVER = qcow2"}])
def test_an_image_with_a_size_and_nothing_else_is_made_empty(params):
    image, step, _ = imported(a_site(), **params)

    assert (image.type, image.virtual_size_bytes, image.source) == ("datablock", 64 * MIB, "")
    assert (image.format, step.format) == (DiskFormat.RAW, "")
    assert (step.size_bytes, step.holders, step.path, step.url, step.sha256) == (64 * MIB, (), "", "", "")


def test_an_absolute_path_finds_the_host_that_lets_images_come_from_there():
    reactor = a_reactor(
        with_import_dirs(1, "/srv/images"),
        with_import_dirs(2, "/tmp:/data/isos"),
        with_import_dirs(3, "/data", connected=False),
    )
    _, step, host_id = imported(reactor, name="x", path="/data/isos/a/x.iso")

    assert (step.path, host_id) == ("/data/isos/a/x.iso", HostId(2))
    for path in ("/etc/passwd", "/data/isos/../../etc/passwd", "/data/isosx/x"):
        code, text = refused(reactor, "image.add", user=ANN, name="y", path=path)
        assert (code, text.startswith(f"No connected host lets images come from {path}: add ")) == ("bad_request", True)


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"size_mib": -1}, "bad_request", "An empty image has 1 to"),
        ({"size_mib": 1, "format": "qcow2"}, "bad_request", "An empty image is raw"),
        ({"size_mib": 1, "url": "http://x"}, "bad_request", "Say where the image comes from"),
        ({"url": "http://x", "type": "cdrom", "persistent": True}, "bad_request", "An image of type cdrom is never"),
        ({"url": "http://x", "datastore": "system"}, "bad_request", "Datastore system is for the disks of VMs"),
        ({"url": "http://x", "datastore": "files"}, "bad_request", "Datastore files is for kernels"),
        ({"url": "http://x", "datastore": "off"}, "wrong_state", "Datastore off is disabled"),
        ({"url": "http://x", "datastore": "private"}, "forbidden", "User [2] ann: Not authorized to perform USE"),
        (
            {"template": "NAME = y SOURCE = x PATH = z"},
            "forbidden",
            "line 1, column 10: Only administrators may give SOU",
        ),
        ({"template": "NAME = y"}, "bad_template", "An image needs a PATH to take it from, or a SIZE to be empty."),
        ({"template": "NAME = y PERSISTENT = perhaps SIZE = 1"}, "bad_template", "line 1, column 23: PERSISTENT has"),
        ({"template": "<IMAGE><NAME>y</NAME>"}, "bad_template", ""),
    ],
)
def test_an_image_that_cannot_be_made_so_is_refused(params, code, text):
    reactor = a_site()
    put(reactor, Datastore(name="off", enabled=False), Datastore(name="private", mode=0o600))
    # Everybody may use every datastore unless somebody deletes this rule.
    reactor.cluster.acl_rules.pop(2)
    change(reactor, reactor.cluster.datastores["default"], mode=0o644)
    found = refused(reactor, "image.add", user=ANN, **{"name": "" if "template" in params else "x", **params})

    assert (found[0], found[1].startswith(text)) == (code, True), found


def test_an_image_of_a_datastore_that_lies_in_another_is_imported_there():
    image, step, _ = imported(a_site(), name="x", url="http://x", type="kernel", datastore="files")

    assert (image.datastore, step.datastore) == ("files", "default")


def test_what_is_known_of_an_images_size_counts_from_the_beginning():
    reactor = a_site()
    put(reactor, replace(ANN, limits={"datastore.default.size": 200.0, "datastore.default.images": 3.0}))
    imported(reactor, name="x", size_mib=60)

    assert refused(reactor, "image.add", user=ANN, name="y", size_mib=41)[0] == "over_quota"
    assert refused(reactor, "image.clone", user=ANN, image="tiny", name="y")[0] == "over_quota"
    imported(reactor, name="y", size_mib=40)
    assert refused(reactor, "image.add", user=ANN, name="z", url="http://x")[0] == "over_quota"


# --- clone, enable, persistent, type


def test_a_clone_is_ready_at_once_and_its_makers_own():
    reactor = a_site()
    turn, view = ask_turn(reactor, "image.clone", user=BOB, image="tiny", name="twin")

    assert reactor.cluster.images[1] == an_image(
        1, "twin", owner="bob", mode=0o600, source="tiny", registered_at_s=NOW_S, modified_at_s=NOW_S
    )
    assert (view.state, view.vms, view.hosts, view.mode) == ("ready", 0, ("h1", "h2"), "600")
    assert told(turn) == [("image.cloned", "image:1")]


@pytest.mark.parametrize(
    ("image", "params", "code"),
    [
        ({}, {"name": "tiny"}, "name_taken"),
        ({}, {"name": "a/b"}, "bad_request"),
        ({}, {"datastore": "other"}, "bad_request"),
        ({"mode": 0o600}, {"user": BOB}, "forbidden"),
        ({"state": ImageState.LOCKED}, {}, "wrong_state"),
        ({"state": ImageState.DISABLED}, {}, "wrong_state"),
        ({"state": ImageState.ERROR}, {}, "wrong_state"),
    ],
)
def test_what_cannot_be_cloned_is_refused(image, params, code):
    reactor = a_reactor(a_host(1), an_image(**image), Datastore(name="other"))

    assert refused(reactor, "image.clone", **{"user": ANN, "image": "tiny", "name": "x", **params})[0] == code


def test_a_disabled_image_stays_with_those_that_have_it_and_comes_to_nobody_else():
    reactor = a_site()
    submit(reactor, ONE_DISK)
    assert image_state_word(reactor.cluster, reactor.cluster.images[0]) == "used"
    view = ask(reactor, "image.enable", user=ANN, image="tiny", enabled=False)

    assert (view.state, image_state_word(reactor.cluster, reactor.cluster.images[0])) == ("disabled", "disabled")
    assert refused(reactor, "vm.submit", user=ANN, template=ONE_DISK)[0] == "bad_template"
    assert ask(reactor, "image.enable", user=ANN, image="tiny", enabled=True).state == "ready"
    assert submit(reactor, ONE_DISK).vm_id == 1


@pytest.mark.parametrize(("state", "code"), [(ImageState.LOCKED, "busy"), (ImageState.ERROR, "wrong_state")])
def test_an_image_without_content_is_not_switched(state, code):
    reactor = a_reactor(an_image(state=state))

    assert refused(reactor, "image.enable", user=ANN, image="tiny", enabled=True)[0] == code


def test_an_image_becomes_persistent_while_nobody_has_it():
    reactor = a_site()
    vm = submit(reactor, ONE_DISK)
    assert refused(reactor, "image.persistent", user=ANN, image="tiny", persistent=True)[0] == "in_use"
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id)

    assert ask(reactor, "image.persistent", user=ANN, image="tiny", persistent=True).persistent
    assert image_state_word(reactor.cluster, reactor.cluster.images[0]) == "ready"
    submit(reactor, ONE_DISK)
    assert image_state_word(reactor.cluster, reactor.cluster.images[0]) == "used_pers"
    assert refused(reactor, "image.persistent", user=ANN, image="tiny", persistent=False)[0] == "in_use"
    assert refused(reactor, "image.clone", user=ANN, image="tiny", name="x")[0] == "in_use"
    assert refused(reactor, "image.delete", user=ANN, image="tiny")[0] == "in_use"
    assert refused(reactor, "image.type", user=ANN, image="tiny", type="kernel")[0] == "bad_request"


def test_what_an_image_is_for_can_be_said_anew():
    reactor = a_site()

    assert ask(reactor, "image.type", user=ANN, image="tiny", type="CDROM").type == "cdrom"
    assert refused(reactor, "image.persistent", user=ANN, image="tiny", persistent=True)[0] == "bad_request"
    assert refused(reactor, "image.type", user=BOB, image="tiny", type="os")[0] == "forbidden"


def test_everybody_sees_the_images_that_they_may_use():
    reactor = a_reactor(an_image(), an_image(1, "private", mode=0o600))

    def names(user):
        return [view.name for view in ask(reactor, "image.list", user=user)]

    assert (names(ADMIN), names(ANN), names(BOB)) == (["tiny", "private"], ["tiny", "private"], ["tiny"])


# --- a disk becomes its image


def running(**image):
    """Return a reactor with a running VM of the persistent image ``tiny``, which two hosts hold."""
    reactor = a_reactor(
        a_host(1, images=[digest("e")]), a_host(2, images=[digest("e")]), an_image(persistent=True, **image)
    )
    return reactor, a_vm(reactor, VmState.RUNNING, template=ONE_DISK, host_id=2)


def end(reactor, vm, **saved):
    """Let the VM end, its disk saved as the host says."""
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id, hard=True)
    while vm.vm_id in reactor.cluster.vms:
        leg = operation_of(reactor, vm).plan.legs[operation_of(reactor, vm).leg]
        results = {step.step_id: {**SAVED, **saved} for step in leg.steps if isinstance(step, SaveImage)}
        end_leg(reactor, vm, results=results)


def test_what_a_vm_has_written_is_its_persistent_image_once_it_ends_and_the_old_content_goes():
    reactor, vm = running()
    end(reactor, vm)
    image = reactor.cluster.images[0]
    drop = reactor.cluster.operations[image.operation_id]

    assert image == an_image(
        persistent=True,
        sha256=digest("f"),
        size_bytes=20 * MIB,
        home=HostId(2),
        modified_at_s=NOW_S,
        operation_id=drop.operation_id,
    )
    assert script(drop.plan) == [
        (1, [f"0 EPILOG agent drop_image sha256:{'e' * 12}"]),
        (2, [f"1 EPILOG agent drop_image sha256:{'e' * 12}"]),
    ]
    assert digest("f") in reactor.cluster.hosts[2].advertisement.images
    assert image_state_word(reactor.cluster, image) == "ready"
    assert submit(reactor, ONE_DISK).spec.disks[0].image.sha256 == digest("f")
    say(reactor, 1, leg_ended(drop, leg=0))
    say(reactor, 2, leg_ended(drop, leg=1))
    assert (reactor.cluster.images[0].state, verify.findings(reactor.cluster)) == (ImageState.READY, ())


def test_content_that_a_clone_or_another_vm_has_stays():
    reactor, vm = running()
    put(reactor, an_image(1, "twin"))
    end(reactor, vm)

    assert (reactor.cluster.images[0].sha256, reactor.cluster.images[0].operation_id) == (digest("f"), None)
    assert not reactor.cluster.running


def test_a_vm_that_wrote_nothing_leaves_its_image_as_it_was():
    reactor, vm = running()
    end(reactor, vm, sha256=digest("e"))

    assert (reactor.cluster.images[0].sha256, dict(reactor.cluster.running)) == (digest("e"), {})


def test_old_contents_go_one_after_the_other_in_one_operation():
    reactor, vm = running()
    end(reactor, vm)
    first = reactor.cluster.operations[reactor.cluster.images[0].operation_id]
    again = a_vm(reactor, VmState.RUNNING, template=ONE_DISK, host_id=1)
    end(reactor, again, sha256=digest("a"))
    (running_id,) = reactor.cluster.running

    assert running_id == first.operation_id
    assert script(reactor.cluster.operations[running_id].plan)[2:] == [
        (2, [f"2 EPILOG agent drop_image sha256:{'f' * 12}"])
    ]
    assert ask(reactor, "image.delete", user=ANN, image="tiny").state == "locked"
    for leg in range(4):
        current = reactor.cluster.operations[running_id]
        say(reactor, current.plan.legs[leg].host_id, leg_ended(current, leg=leg))
    assert (reactor.cluster.images, verify.findings(reactor.cluster)) == ({}, ())


def test_old_content_that_a_host_does_not_let_go_leaves_the_image_as_it_is():
    reactor, vm = running()
    end(reactor, vm)
    drop = reactor.cluster.operations[reactor.cluster.images[0].operation_id]
    turn = say(reactor, 1, leg_ended(drop, LegStatus.FAILED, leg=0, outcomes={0: outcome_of("refused")}))

    assert ("image.leftover", "image:0") in told(turn)
    assert reactor.cluster.images[0].state is ImageState.READY


def test_an_image_is_its_vms_until_the_failed_end_of_that_is_retried():
    reactor, vm = running()
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id, hard=True)
    operation = operation_of(reactor, vm)
    saves = [step.step_id for step in operation.plan.legs[0].steps if isinstance(step, SaveImage)]
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={saves[0]: outcome_of("no_space")})

    assert now(reactor, vm).state is VmState.FAILED
    assert image_state_word(reactor.cluster, reactor.cluster.images[0]) == "used_pers"
    assert refused(reactor, "vm.submit", user=BOB, template=ONE_DISK)[0] == "in_use"
    end(reactor, vm)
    assert reactor.cluster.images[0].sha256 == digest("f")


def test_a_persistent_disk_that_is_detached_is_its_image_from_then_on():
    reactor = a_reactor(
        a_host(1, images=[digest("e"), digest("b")]),
        an_image(),
        an_image(1, "data", sha256=digest("b"), type="datablock", persistent=True),
    )
    vm = a_vm(reactor, VmState.POWEROFF, template=ONE_DISK)
    ask(reactor, "vm.attach_disk", user=ANN, vm_id=0, template="DISK = [ IMAGE = data ]")
    finish(reactor, vm)
    assert refused(reactor, "vm.submit", user=ANN, template=ONE_DISK.replace("tiny", "data"))[0] == "in_use"
    ask(reactor, "vm.detach_disk", user=ANN, vm_id=0, disk_id=now(reactor, vm).spec.disks[1].disk_id)
    leg = operation_of(reactor, vm).plan.legs[0]
    end_leg(reactor, vm, results={step.step_id: SAVED for step in leg.steps if isinstance(step, SaveImage)})
    image = reactor.cluster.images[1]

    assert (image.sha256, image.home, image_state_word(reactor.cluster, image)) == (digest("f"), HostId(1), "ready")
    assert script(reactor.cluster.operations[image.operation_id].plan) == [
        (1, [f"0 EPILOG agent drop_image sha256:{'b' * 12}"])
    ]
    assert verify.findings(reactor.cluster) == ()


def test_a_vm_that_was_never_deployed_gives_its_image_back_as_it_was():
    reactor = a_reactor(a_host(1, images=[digest("e")]), an_image(persistent=True))
    vm = submit(reactor, ONE_DISK)
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id)

    assert reactor.cluster.images[0] == an_image(persistent=True)
    assert reactor.cluster.vms_of_image == {}


def test_an_image_whose_content_is_just_being_deleted_is_not_ready():
    reactor = a_reactor(a_host(1, images=[digest("e")]), an_image())
    ask(reactor, "image.delete", user=ANN, image="tiny")
    view = ask(reactor, "image.add", user=ANN, name="again", path="x", host="h1")
    facts = {"sha256": digest("e"), "size_bytes": 1, "virtual_size_bytes": 1, "format": "raw"}
    say(reactor, 1, leg_ended(reactor.cluster.operations[view.operation_id], results={0: facts}))
    image = reactor.cluster.images[1]

    assert (image.state, image.sha256) == (ImageState.ERROR, "")
    assert image.error.startswith("The same content is just being deleted on its host")


# --- a disk becomes another image


def saved_as(reactor, vm, name="copy", kind="", user=ANN):
    """Return the image that the VM's disk is to be saved as."""
    return new_from_disk(turn_of(reactor, user=user), vm, vm.spec.disks[0], name, kind)


@pytest.mark.parametrize(
    ("template", "kind", "expected"),
    [
        (ONE_DISK, "", ("os", "default", 100 * MIB)),
        (ONE_DISK, "DATABLOCK", ("datablock", "default", 100 * MIB)),
        ("MEMORY = 1\nDISK = [ TYPE = fs, SIZE = 7 ]\n", "", ("datablock", "default", 7 * MIB)),
    ],
)
def test_an_image_to_be_made_of_a_disk_is_locked_and_its_makers(template, kind, expected):
    reactor = a_site()
    image = saved_as(reactor, submit(reactor, template), kind=kind, user=BOB)

    assert (image.type, image.datastore, image.virtual_size_bytes) == expected
    assert (image.state, image.owner, image.mode, image.persistent) == (ImageState.LOCKED, "bob", 0o600, False)
    assert reactor.cluster.images[image.image_id] == image


@pytest.mark.parametrize(
    ("template", "params", "code"),
    [
        (ONE_DISK, {"name": "tiny"}, "name_taken"),
        (ONE_DISK, {"kind": "floppy"}, "bad_request"),
        ("MEMORY = 1\nDISK = [ TYPE = swap, SIZE = 7 ]\n", {}, "wrong_state"),
    ],
)
def test_what_cannot_become_an_image_is_refused(template, params, code):
    reactor = a_site()
    vm = submit(reactor, template)

    assert refusal(lambda: saved_as(reactor, vm, **params)).code == code

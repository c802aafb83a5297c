"""Requests about stored templates: kept as they were meant, and made into VMs by whoever may."""

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BOB,
    NOW_S,
    a_site,
    ask,
    ask_turn,
    change,
    picture,
    put,
    refusal,
    told,
)

from innkeeper_controller.records import StoredTemplate
from innkeeper_controller.requests.stored_templates import TemplateView

replace = msgspec.structs.replace
TEXT = 'NAME = web CPU = 1\nMEMORY = 256\nDISK = [ IMAGE = tiny ]\nNOTE = "a \\"b\\" # c"\n'
KEPT = 'CPU = "1"\nMEMORY = "256"\nDISK = [ IMAGE = "tiny" ]\nNOTE = "a \\"b\\" # c"\n'


def a_template(template_id=0, name="web", **values):
    """Return a template of ann's that her group may use."""
    made = StoredTemplate(template_id=template_id, name=name, owner="ann", group="users", mode=0o640, text=KEPT)
    return replace(made, **values)


def with_template(**values):
    reactor = a_site()
    put(reactor, a_template(**values))
    return reactor


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "NAME: web\nCPU: 1\nMEMORY: 256\nDISK:\n  IMAGE: tiny\nNOTE: 'a \"b\" # c'\n",
        (
            "<TEMPLATE><NAME>web</NAME><CPU>1</CPU><MEMORY><![CDATA[256]]></MEMORY><DISK><IMAGE>tiny</IMAGE></DISK>"
            '<NOTE>a "b" # c</NOTE></TEMPLATE>'
        ),
    ],
)
def test_a_template_is_kept_in_text_syntax_whatever_it_came_in(text):
    reactor = a_site()
    turn, view = ask_turn(reactor, "template.add", user=ANN, template=text)

    assert reactor.cluster.templates == {
        0: StoredTemplate(
            template_id=0, name="web", owner="ann", group="users", mode=0o600, text=KEPT, registered_at_s=NOW_S
        )
    }
    assert view == TemplateView(
        template_id=0, name="web", owner="ann", group="users", mode="600", text=KEPT, registered_at_s=NOW_S
    )
    assert told(turn) == [("template.added", "template:0")]
    assert ask(reactor, "template.show", user=ANN, template="web") == view


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("MEMORY = 1", "bad_template", "A stored template needs one name"),
        ("NAME = a NAME = b", "bad_template", "A stored template needs one name"),
        ("NAME = [ A = b ]", "bad_template", "A stored template needs one name"),
        ("NAME = 7", "bad_request", "'7' is no template name"),
        ("NAME = web", "name_taken", "There is a template web already"),
        ("NAME = x MEMORY", "bad_template", "line 1"),
        ("", "bad_template", "A stored template needs one name"),
        ("NAME = x NIC = [ NETWORK = lan, MAC = 02:00:00:00:00:01 ]", "forbidden", "line 1, column 33: Only admin"),
    ],
)
def test_what_cannot_be_kept_is_refused(text, code, says):
    found = refused(with_template(), "template.add", user=ANN, template=text)

    assert (found[0], found[1].startswith(says)) == (code, True), found


def test_everybody_sees_the_templates_that_they_may_use():
    reactor = with_template(mode=0o600)
    put(reactor, a_template(1, "shared", owner="root", group="users", mode=0o640), a_template(2, "mine", owner="bob"))

    def names(user):
        return [view.name for view in ask(reactor, "template.list", user=user)]

    assert (names(ADMIN), names(ANN), names(BOB)) == (
        ["web", "shared", "mine"],
        ["web", "shared", "mine"],
        ["shared", "mine"],
    )


@pytest.mark.parametrize(
    ("text", "append", "kept"),
    [
        ("MEMORY = 512", False, 'MEMORY = "512"\n'),
        ("NAME = other MEMORY = 512", False, 'MEMORY = "512"\n'),
        ("", False, ""),
        ("", True, KEPT),
        ("MEMORY = 512", True, KEPT.replace('MEMORY = "256"\n', "") + 'MEMORY = "512"\n'),
        (
            "DISK = [ IMAGE = a ]\nDISK = [ IMAGE = b ]",
            True,
            KEPT.replace('DISK = [ IMAGE = "tiny" ]\n', "") + 'DISK = [ IMAGE = "a" ]\nDISK = [ IMAGE = "b" ]\n',
        ),
    ],
)
def test_a_template_is_replaced_whole_or_attribute_by_attribute(text, append, kept):
    reactor = with_template()
    view = ask(reactor, "template.replace", user=ANN, template="0", text=text, append=append)

    assert (view.name, view.text, reactor.cluster.templates[0].text) == ("web", kept, kept)


def test_a_template_is_changed_and_deleted_by_who_may_manage_it():
    reactor = with_template()
    for request, params in (("replace", {"text": ""}), ("delete", {})):
        assert refused(reactor, f"template.{request}", user=BOB, template="web", **params)[0] == "forbidden"
    ask(reactor, "template.delete", user=ANN, template="web")

    assert reactor.cluster.templates == {}
    assert refused(reactor, "template.show", user=ANN, template="web")[0] == "not_found"
    assert ask(reactor, "template.add", user=ANN, template=TEXT).template_id == 1


def test_a_clone_is_its_makers_own():
    reactor = with_template()
    view = ask(reactor, "template.clone", user=BOB, template="web", name="mine")

    assert (view.template_id, view.name, view.owner, view.mode, view.text) == (1, "mine", "bob", "600", KEPT)
    assert refused(reactor, "template.clone", user=BOB, template="web", name="web")[0] == "name_taken"
    change(reactor, reactor.cluster.templates[0], mode=0o600)
    assert refused(reactor, "template.clone", user=BOB, template="web", name="two")[0] == "forbidden"


# --- VMs of templates


def test_a_vm_knows_the_template_that_it_is_made_of_and_is_called_after_it():
    reactor = with_template()
    answer = ask(reactor, "template.instantiate", user=BOB, template="web")
    vm = reactor.cluster.vms[0]

    assert answer.vm_ids == (0,)
    assert (vm.name, vm.owner, vm.template_id, vm.spec.memory_mib, vm.state) == ("web-0", "bob", 0, 256, "PENDING")
    assert vm.attributes == {"NOTE": 'a "b" # c'}


def test_what_is_given_beside_a_template_replaces_what_it_says():
    reactor = with_template()
    ask(
        reactor,
        "template.instantiate",
        user=ANN,
        template="web",
        name="w-%i",
        count=2,
        hold=True,
        extra="<TEMPLATE><MEMORY>64</MEMORY><LABELS>a,b</LABELS></TEMPLATE>",
    )

    assert [
        (vm.name, vm.state, vm.spec.memory_mib, vm.attributes["LABELS"]) for vm in reactor.cluster.vms.values()
    ] == [
        ("w-0", "HOLD", 64, "a,b"),
        ("w-1", "HOLD", 64, "a,b"),
    ]


def test_what_only_administrators_may_give_may_stand_in_a_template_of_theirs():
    text = 'MEMORY = "1"\nNIC = [ NETWORK = "lan", MAC = "02:00:0a:00:00:05" ]\n'
    reactor = with_template(text=text)
    change(reactor, reactor.cluster.networks[0], mode=0o644)
    assert refused(reactor, "template.instantiate", user=ANN, template="web")[0] == "forbidden"
    change(reactor, reactor.cluster.templates[0], owner="root")
    extra = "NIC = [ NETWORK = lan, MAC = 02:00:0a:00:00:06 ]"
    assert refused(reactor, "template.instantiate", user=ANN, template="web", extra=extra)[0] == "forbidden"
    ask(reactor, "template.instantiate", user=ANN, template="web")

    assert reactor.cluster.vms[0].spec.nics[0].mac == "02:00:0a:00:00:05"


def test_a_template_that_somebody_may_not_use_makes_no_vm_of_theirs():
    reactor = with_template(mode=0o600)

    assert refused(reactor, "template.instantiate", user=BOB, template="web")[0] == "forbidden"


def test_mistakes_in_a_template_are_told_when_vms_are_made_of_it():
    reactor = with_template(text='CPU = "1"\nDISK = [ IMAGE = "tiny" ]\n')

    assert refused(reactor, "template.instantiate", user=ANN, template="web") == (
        "bad_template",
        "A VM needs MEMORY: MEMORY = 512.",
    )


def test_a_persistent_vm_has_images_of_its_own():
    reactor = with_template(
        text=KEPT + 'DISK = [ TYPE = "swap", SIZE = "64" ]\nDISK = [ IMAGE_ID = "0", TARGET = "vdc" ]\n'
    )
    ask(reactor, "template.instantiate", user=ANN, template="web", name="db", persistent=True)

    clones = [(image.name, image.persistent, image.sha256) for image in list(reactor.cluster.images.values())[1:]]
    digest = reactor.cluster.images[0].sha256
    assert clones == [("db-disk-0", True, digest), ("db-disk-2", True, digest)]
    disks = reactor.cluster.vms[0].spec.disks
    assert [(disk.target, disk.persistent, disk.image and disk.image.name) for disk in disks] == [
        ("vda", True, "db-disk-0"),
        ("vdb", False, None),
        ("vdc", True, "db-disk-2"),
    ]
    assert (
        refused(reactor, "template.instantiate", user=ANN, template="web", name="db", persistent=True)[0]
        == "name_taken"
    )
    assert (
        refused(reactor, "template.instantiate", user=ANN, template="web", persistent=True, count=2)[0] == "bad_request"
    )

"""Requests about images: where they come from, where they go, and what keeps them."""

import pytest
from tests.controller.builders import (
    ANN,
    BOB,
    NOW_S,
    SETTINGS,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    an_image,
    ask,
    ask_turn,
    change,
    digest,
    leg_ended,
    lines,
    outcome_of,
    picture,
    put,
    refusal,
    say,
    script,
    sent,
    submit,
    told,
)

from innkeeper_controller import verify
from innkeeper_controller.records import HostState, Image, ImageState
from innkeeper_hostagent.protocol.messages import CarryOut, Hello, LegStatus
from innkeeper_plugins.steps import ImportImage
from innkeeper_plugins.vocabulary import DiskFormat, HostId, ImageId, Outcome, VmState

FACTS = {"sha256": digest("f"), "size_bytes": 10, "virtual_size_bytes": 20, "format": "qcow2"}


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def importing(reactor, **params):
    """Register an image and return it with its operation."""
    view = ask(reactor, "image.add", user=ANN, **{"name": "new", "path": "x.img", "host": "h1", **params})
    return reactor.cluster.images[view.image_id], reactor.cluster.operations[view.operation_id]


# --- add


def test_an_image_is_locked_until_its_home_has_taken_it_in():
    reactor = a_site()
    turn, view = ask_turn(
        reactor, "image.add", user=ANN, name="new", path="x.img", host="h1", type="cdrom", format="raw"
    )
    operation = reactor.cluster.operations["o0"]

    assert reactor.cluster.images[1] == Image(
        image_id=ImageId(1),
        name="new",
        datastore="default",
        owner="ann",
        state=ImageState.LOCKED,
        type="cdrom",
        group="users",
        source="x.img",
        format=DiskFormat.RAW,
        home=HostId(1),
        registered_at_s=NOW_S,
        modified_at_s=NOW_S,
        operation_id="o0",
    )
    assert operation.plan.legs[0].steps == (
        ImportImage(
            step_id=0,
            phase=VmState.PROLOG,
            driver="agent",
            image_id=ImageId(1),
            datastore="default",
            format="raw",
            path="x.img",
        ),
    )
    assert (view.state, view.operation_id, view.home) == ("locked", "o0", "h1")
    assert ([type(message) for _, message in sent(turn)], told(turn)) == ([CarryOut], [("image.added", "image:1")])


def test_an_image_that_was_taken_in_is_what_its_host_says_and_counts_as_there():
    reactor = a_site()
    image, operation = importing(reactor)
    turn = say(reactor, 1, leg_ended(operation, results={0: FACTS}))
    ready = reactor.cluster.images[image.image_id]

    assert (ready.state, ready.sha256, ready.size_bytes, ready.virtual_size_bytes, ready.format) == (
        "ready",
        digest("f"),
        10,
        20,
        "qcow2",
    )
    assert [what for what, _ in told(turn)] == ["step.ended", "operation.done", "image.ready"]
    assert digest("f") in reactor.cluster.hosts[HostId(1)].advertisement.images
    assert ask(reactor, "image.show", image="new").hosts == ("h1",)


@pytest.mark.parametrize("status", [LegStatus.UNDONE, LegStatus.FAILED, LegStatus.REFUSED, LegStatus.CANCELLED])
def test_an_image_that_could_not_be_taken_in_says_why_and_can_be_deleted(status):
    reactor = a_site()
    image, operation = importing(reactor)
    bad = Outcome(ok=False, code="bad_image", message="it has a backing file")
    say(reactor, 1, leg_ended(operation, status, outcomes={0: bad}, reason="busy"))
    failed = reactor.cluster.images[image.image_id]
    ask(reactor, "image.delete", image="new", user=ANN)

    text = "Host h1 refused the plan: busy." if status is LegStatus.REFUSED else "it has a backing file"
    assert (failed.state, failed.error) == ("error", text)
    assert image.image_id not in reactor.cluster.images
    assert verify.findings(reactor.cluster) == ()


def test_an_import_can_be_cancelled_by_its_owner():
    reactor = a_site()
    image, operation = importing(reactor)
    strangers = refusal(lambda: ask(reactor, "operation.cancel", user=BOB, operation_id="o0"))
    ask(reactor, "operation.cancel", user=ANN, operation_id="o0")
    say(reactor, 1, leg_ended(operation, LegStatus.CANCELLED, outcomes={}))

    assert strangers.code == "forbidden"
    assert (reactor.cluster.images[image.image_id].error, reactor.cluster.running) == ("Cancelled as asked.", {})


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"name": ""}, "bad_request", "'' is no image name; use up to 128 characters that can be printed, but no /"),
        ({"name": "7"}, "bad_request", "'7' is no image name;"),
        ({"name": "a/b"}, "bad_request", "'a/b' is no image name;"),
        ({"name": " x"}, "bad_request", "' x' is no image name;"),
        ({"name": "x\x1b[2J"}, "bad_request", "'x\\x1b[2J' is no image name;"),
        ({"name": "x" * 129}, "bad_request", f"'{'x' * 40}' is no image name;"),
        ({"name": "tiny"}, "name_taken", "There is an image tiny already; choose another name or delete it."),
        ({"type": "cd"}, "bad_request", "'cd' is no image type; use one of os, datablock, cdrom, kernel, ramdisk,"),
        ({"format": "vmdk"}, "bad_request", "'vmdk' is no image format; use qcow2 or raw."),
        ({"path": ""}, "bad_request", "Say where the image comes from: a file to upload, a path on a host, a URL, or "),
        ({"url": "http://x/y"}, "bad_request", "Say where the image comes from:"),
        ({"upload": True}, "bad_request", "Say where the image comes from:"),
        ({"host": ""}, "bad_request", "Say on which host the path is: --host NAME."),
        ({"host": "h9"}, "not_found", "There is no host h9. `inn host list` shows what there is."),
        ({"datastore": "defualt"}, "not_found", "There is no datastore defualt. Did you mean default?"),
        ({"path": "", "upload": True}, "bad_request", "An upload is named by its sha256 and size_bytes."),
        (
            {"path": "", "upload": True, "sha256": "f" * 64},
            "bad_request",
            "An upload is named by its sha256 and size_bytes.",
        ),
        ({"sha256": "f" * 63}, "bad_request", f"'{'f' * 63}' is no SHA-256; one has 64 hexadecimal digits."),
        ({"sha256": "../" + "f" * 61}, "bad_request", "'../"),
        ({"size_bytes": -1}, "bad_request", "An image cannot have -1 bytes."),
    ],
)
def test_an_image_that_cannot_be_is_refused(params, code, text):
    reactor = a_site()
    given = {"name": "new", "path": "x.img", "host": "h1", **params}
    found = refused(reactor, "image.add", user=ANN, **given)

    assert (found[0], found[1].startswith(text)) == (code, True), found


def test_a_digest_is_the_same_in_capitals():
    reactor = a_site()
    _, operation = importing(reactor, sha256="F" * 64)

    assert operation.plan.legs[0].steps[0].sha256 == "f" * 64


def test_an_upload_is_fetched_from_the_controller():
    reactor = a_site()
    _, operation = importing(reactor, path="", upload=True, sha256="f" * 64, size_bytes=7)

    assert operation.plan.legs[0].steps[0].holders == (SETTINGS.holder,)
    assert lines(operation.plan) == ["0 PROLOG agent import_image image 1 from upload"]


def test_a_host_that_is_not_there_takes_no_image():
    reactor = a_reactor(a_host(1, connected=False))

    assert refused(reactor, "image.add", name="new", path="x", host="h1") == (
        "unreachable",
        "Host h1 is not connected; choose another or start its agent.",
    )


def test_a_host_without_the_datastore_takes_no_image():
    reactor = a_reactor(a_host(1, datastores=()))

    assert refused(reactor, "image.add", name="new", path="x", host="h1") == (
        "bad_request",
        "Host h1 has no datastore default.",
    )


def test_an_image_without_a_wish_comes_to_the_host_with_most_room_that_takes_vms():
    homes = []
    for values in ({}, {"state": HostState.DISABLED}, {"connected": False}, {"datastores": ("other",)}):
        reactor = a_reactor(a_host(1, **values), a_host(2))
        homes.append(ask(reactor, "image.add", user=ANN, name="new", url="http://x/y").home)

    assert homes == ["h1", "h2", "h2", "h2"]


def test_an_image_that_no_host_could_take_is_refused():
    assert refused(a_reactor(), "image.add", name="new", url="http://x/y") == (
        "no_capacity",
        "No connected host has datastore default; `inn datastore show default`.",
    )


# --- show


def test_an_image_is_shown_with_who_holds_and_who_uses_it():
    reactor = a_site()
    submit(reactor)
    shown = ask(reactor, "image.show", image="tiny", user=BOB)

    assert (shown.hosts, shown.home, shown.vms, shown.owner) == (("h1", "h2"), "h1", 1, "ann")
    assert [each.name for each in ask(reactor, "image.list", user=BOB)] == ["tiny"]


# --- delete


def test_an_image_is_deleted_host_after_host_and_gone_then():
    reactor = a_site()
    turn, view = ask_turn(reactor, "image.delete", user=ANN, image="tiny")
    operation = reactor.cluster.operations["o0"]
    again = say(reactor, 1, leg_ended(operation))
    last = say(reactor, 2, leg_ended(reactor.cluster.operations["o0"]))

    assert (view.state, script(operation.plan)) == (
        "locked",
        [
            (1, ["0 EPILOG agent drop_image sha256:eeeeeeeeeeee"]),
            (2, ["1 EPILOG agent drop_image sha256:eeeeeeeeeeee"]),
        ],
    )
    assert [[host_id for host_id, _ in sent(each)] for each in (turn, again, last)] == [[1], [2], [1, 2]]
    assert told(last)[-1] == ("image.deleted", "image:0")
    assert (reactor.cluster.images, reactor.cluster.operations, reactor.cluster.image_ids) == ({}, {}, {})


def test_an_image_that_is_on_no_host_is_gone_at_once():
    reactor = a_reactor(an_image(sha256=digest("9")))
    turn, _ = ask_turn(reactor, "image.delete", user=ANN, image="tiny")

    assert (reactor.cluster.images, sent(turn), told(turn)) == ({}, [], [("image.deleted", "image:0")])


def test_bytes_that_another_image_needs_stay():
    reactor = a_site()
    put(reactor, an_image(1, "twin"))
    first, _ = ask_turn(reactor, "image.delete", user=ANN, image="tiny")
    second, _ = ask_turn(reactor, "image.delete", user=ANN, image="twin")

    assert (sent(first), list(reactor.cluster.images)) == ([], [1])
    assert [host_id for host_id, _ in sent(second)] == [1]


def test_an_image_that_a_vm_uses_stays():
    reactor = a_site()
    submit(reactor)
    submit(reactor)

    assert refused(reactor, "image.delete", user=ANN, image="tiny") == (
        "in_use",
        "Image tiny is used by VM 0, 1; end them first.",
    )


def test_a_kernel_that_a_vm_uses_stays():
    reactor = a_reactor(an_image(type="kernel"))
    submit(reactor, "MEMORY = 1\nOS = [ KERNEL = tiny ]\n")

    assert refused(reactor, "image.delete", image="tiny")[0] == "in_use"


def test_an_image_whose_import_runs_stays():
    reactor = a_site()
    importing(reactor)

    assert refused(reactor, "image.delete", image="new") == ("busy", "Image new is busy with o0; wait for it.")


def test_an_image_is_deleted_once():
    reactor = a_site()
    ask(reactor, "image.delete", image="tiny")

    assert refused(reactor, "image.delete", image="tiny")[0] == "busy"


def test_no_vm_is_made_of_an_image_that_is_being_deleted():
    reactor = a_site()
    ask(reactor, "image.delete", image="tiny")

    assert refused(reactor, "vm.submit", template=TEMPLATE)[0] == "bad_template"


def test_the_host_that_keeps_an_image_for_good_is_told_when_it_is_back():
    """It would keep it for good otherwise; other hosts evict by themselves what nobody uses."""
    reactor = a_reactor(
        a_host(1, images=[digest("e")], connected=False),
        a_host(2, images=[digest("e")], connected=False),
        a_host(3, images=[digest("e")]),
        an_image(),
    )
    turn, _ = ask_turn(reactor, "image.delete", image="tiny")
    say(reactor, 3, leg_ended(reactor.cluster.operations["o0"]))
    waiting = ask(reactor, "operation.show", operation_id="o0")
    back, _ = reactor.connected(HostId(1), Hello(major=1, minor=0, agent_version="1", host_name="h1"), NOW_S)
    say(reactor, 1, leg_ended(reactor.cluster.operations["o0"]))

    assert [host_id for host_id, _ in sent(turn)] == [3]
    assert (waiting.waits_for, waiting.hosts) == ("h1", ("h3", "h1"))
    assert [host_id for host_id, _ in sent(back)] == [1]
    assert reactor.cluster.images == {}


def test_a_deletion_that_did_not_work_says_why_and_can_be_tried_again():
    reactor = a_reactor(a_host(1, images=[digest("e")]), an_image(), a_network())
    ask(reactor, "image.delete", image="tiny")
    say(reactor, 1, leg_ended(reactor.cluster.operations["o0"], LegStatus.UNDONE, outcomes={0: outcome_of("refused")}))
    image = reactor.cluster.images[0]
    ask(reactor, "image.delete", image="tiny")
    say(reactor, 1, leg_ended(reactor.cluster.operations["o1"]))

    assert (image.state, image.error) == ("error", "it says refused")
    assert reactor.cluster.images == {}


def test_an_image_without_a_home_is_deleted_from_those_that_have_it():
    reactor = a_site()
    change(reactor, reactor.cluster.images[0], home=None)
    ask(reactor, "image.delete", image="tiny")

    assert [host_id for host_id, _ in script(reactor.cluster.operations["o0"].plan)] == [1, 2]


def test_a_deletion_that_one_host_refuses_is_not_taken_back_on_the_others():
    reactor = a_site()
    ask(reactor, "image.delete", image="tiny")
    say(reactor, 1, leg_ended(reactor.cluster.operations["o0"]))
    turn = say(
        reactor, 2, leg_ended(reactor.cluster.operations["o0"], LegStatus.UNDONE, outcomes={1: outcome_of("refused")})
    )

    assert [what for what, _ in told(turn)] == ["step.ended", "operation.failed"]
    assert (reactor.cluster.images[0].state, reactor.cluster.running) == ("error", {})

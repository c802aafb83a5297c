"""What becomes of an image at the end of its operation, and which hosts hold what."""

import msgspec
import pytest
from tests.controller.builders import NOW_S, a_host, a_reactor, an_image, digest, outcome_of, put, told, turn_of

from innkeeper_controller.images import finish_image, with_images
from innkeeper_controller.records import ImageState, Operation, OperationError, OperationKind, Plan
from innkeeper_plugins.vocabulary import OperationId

replace = msgspec.structs.replace
FACTS = {"sha256": digest("f"), "size_bytes": 10, "virtual_size_bytes": 20, "format": "raw"}


def an_operation(kind, error=""):
    return Operation(
        operation_id=OperationId("o0"),
        kind=kind,
        subject="image:0",
        origin="",
        plan=Plan(legs=()),
        error=OperationError(code="x", message=error) if error else None,
    )


def finished(kind, *, done, error="", outcomes=None, **image):
    """Return the image after the end of its operation, None where it is gone, with what was told."""
    reactor = a_reactor(a_host(1), an_image(state=ImageState.LOCKED, **image))
    turn = turn_of(reactor)
    finish_image(turn, an_operation(kind, error), done=done, outcomes=outcomes or {})
    return reactor.cluster.images.get(0), [what for what, _ in told(turn)]


def test_an_imported_image_is_ready_with_what_was_found_out():
    image, events = finished(
        OperationKind.IMPORT_IMAGE, done=True, outcomes={0: outcome_of(result=FACTS)}, error="", sha256=""
    )

    assert image == an_image(
        sha256=digest("f"), size_bytes=10, virtual_size_bytes=20, format="raw", modified_at_s=NOW_S
    )
    assert events == ["image.ready"]


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"sha256": digest("f")},
        {**FACTS, "sha256": "../../etc"},
        {**FACTS, "size_bytes": "many"},
        {**FACTS, "size_bytes": -1},
        {**FACTS, "format": "vmdk"},
    ],
)
def test_an_image_of_which_its_host_does_not_say_what_it_is_cannot_be_used(result):
    image, events = finished(OperationKind.IMPORT_IMAGE, done=True, outcomes={0: outcome_of(result=result)})

    assert (image.state, events) == ("error", [])
    assert image.error.startswith("Its host did not say what it has taken in (")


def test_an_image_that_was_not_imported_says_why():
    image, events = finished(OperationKind.IMPORT_IMAGE, done=False, error="too large")

    assert ((image.state, image.error), events) == (("error", "too large"), [])


def test_a_deleted_image_is_gone():
    assert finished(OperationKind.DELETE_IMAGE, done=True) == (None, ["image.deleted"])


def test_an_image_that_was_not_deleted_says_why_and_is_not_used_for_it_may_be_half_gone():
    image, _ = finished(OperationKind.DELETE_IMAGE, done=False, error="it is a base")

    assert (image.state, image.error) == ("error", "it is a base")


def test_an_image_whose_home_is_gone_is_ready_all_the_same():
    image, _ = finished(OperationKind.IMPORT_IMAGE, done=True, outcomes={0: outcome_of(result=FACTS)}, home=None)

    assert image.state is ImageState.READY


def test_an_image_that_its_home_had_already_told_of_is_counted_once():
    reactor = a_reactor(an_image(state=ImageState.LOCKED))
    put(reactor, a_host(1, images=[digest("f")]))
    finish_image(
        turn_of(reactor),
        an_operation(OperationKind.IMPORT_IMAGE),
        done=True,
        outcomes={0: outcome_of(result=FACTS)},
    )

    assert reactor.cluster.hosts[1].advertisement.images == (digest("f"),)


@pytest.mark.parametrize(
    ("had", "added", "removed", "has"),
    [
        ("ab", "c", "", "abc"),
        ("ab", "a", "", "ab"),
        ("ab", "", "a", "b"),
        ("ab", "", "x", "ab"),
        ("", "a", "a", ""),
        ("ab", "ba", "", "ab"),
    ],
)
def test_a_host_holds_what_came_and_not_what_left(had, added, removed, has):
    host = with_images(
        a_host(1, images=map(digest, had)), added=tuple(map(digest, added)), removed=tuple(map(digest, removed))
    )

    assert host == a_host(1, images=map(digest, has))

"""The lifecycle table: every route ends, every refusal names what is possible, and the page in docs is true."""

import itertools
from pathlib import Path

import pytest

from innkeeper_controller import lifecycle
from innkeeper_controller.lifecycle import CORRECTIONS, MOVES, ROUTES, IllegalMoveError
from innkeeper_controller.lifecycle_page import page
from innkeeper_controller.records import OperationKind
from innkeeper_plugins.vocabulary import PowerState, VmState

DOCS = Path(__file__).parents[2] / "docs"
VM_KINDS = tuple(ROUTES)


def every_route():
    return [(kind, origin, way) for kind, ways in ROUTES.items() for way in ways for origin in sorted(way.origins)]


def test_every_kind_of_operation_on_a_vm_has_a_route():
    assert set(ROUTES) == set(OperationKind) - {OperationKind.IMPORT_IMAGE, OperationKind.DELETE_IMAGE}


@pytest.mark.parametrize(("kind", "origin", "way"), every_route())
def test_a_route_passes_its_phases_in_order_and_ends_where_it_says(kind, origin, way):
    state = origin
    for phase in way.through:
        state = lifecycle.enter(kind, origin, state, phase)
        assert state is phase

    assert lifecycle.end(kind, origin, done=True, taken_back=False) is (way.to or origin)


@pytest.mark.parametrize(("kind", "origin", "way"), every_route())
def test_a_late_report_of_an_earlier_phase_changes_nothing(kind, origin, way):
    for earlier, later in itertools.combinations(way.through, 2):
        assert lifecycle.enter(kind, origin, later, earlier) is later


@pytest.mark.parametrize(("kind", "origin", "way"), every_route())
def test_a_cancelled_operation_that_was_taken_back_leaves_the_vm_where_it_was_or_held(kind, origin, way):
    rests = VmState.HOLD if kind is OperationKind.DEPLOY else origin

    assert lifecycle.end(kind, origin, done=False, taken_back=True, cancelled=True) is rests


@pytest.mark.parametrize(("kind", "origin", "way"), every_route())
def test_a_failure_that_could_not_be_taken_back_leaves_the_vm_failed_unless_its_guest_goes_on(kind, origin, way):
    assert lifecycle.end(kind, origin, done=False, taken_back=False) is (origin if way.stays else VmState.FAILED)


def test_a_failed_first_deployment_is_failed_even_though_all_was_taken_back():
    assert lifecycle.end(OperationKind.DEPLOY, VmState.PENDING, done=False, taken_back=True) is VmState.FAILED


def test_a_failed_migration_that_was_taken_back_leaves_the_vm_running():
    assert lifecycle.end(OperationKind.MIGRATE_LIVE, VmState.RUNNING, done=False, taken_back=True) is VmState.RUNNING


@pytest.mark.parametrize("kind", VM_KINDS)
def test_no_operation_begins_from_done(kind):
    with pytest.raises(IllegalMoveError, match="this one is DONE"):
        lifecycle.route(kind, VmState.DONE)


def test_a_refused_operation_names_the_states_that_it_is_possible_in():
    with pytest.raises(IllegalMoveError) as refused:
        lifecycle.route(OperationKind.SUSPEND, VmState.PENDING)

    assert str(refused.value) == "suspend is possible for a VM that is RUNNING; this one is PENDING"


def test_a_refused_verb_names_the_states_of_its_operation_and_of_its_moves():
    with pytest.raises(IllegalMoveError) as refused:
        lifecycle.route(OperationKind.RESUME, VmState.PENDING)

    assert str(refused.value) == (
        "resume is possible for a VM that is POWEROFF or STOPPED or SUSPENDED or UNDEPLOYED; this one is PENDING"
    )


def test_a_refused_move_names_the_states_that_it_is_possible_in():
    with pytest.raises(IllegalMoveError) as refused:
        lifecycle.move(VmState.RUNNING, "hold")

    assert str(refused.value) == "hold is possible for a VM that is PENDING; this one is RUNNING"


def test_a_phase_that_is_not_on_the_way_is_a_broken_promise():
    with pytest.raises(IllegalMoveError):
        lifecycle.enter(OperationKind.SUSPEND, VmState.RUNNING, VmState.SAVE, VmState.EPILOG)


def test_every_state_can_be_reached_and_every_state_but_done_can_be_left():
    reached = {VmState.PENDING, VmState.HOLD, VmState.FAILED} | set(MOVES.values()) | set(CORRECTIONS.values())
    left = {state for state, _ in MOVES} | {state for state, _ in CORRECTIONS}
    for ways in ROUTES.values():
        for way in ways:
            reached |= {*way.through} | ({way.to} if way.to else set())
            left |= {*way.origins, *way.through}

    assert reached == set(VmState)
    assert left == set(VmState) - {VmState.DONE}


def test_an_observation_never_ends_a_vm():
    for state in CORRECTIONS.values():
        assert state in {VmState.RUNNING, VmState.POWEROFF}


@pytest.mark.parametrize("power", list(PowerState))
def test_observations_leave_alone_what_the_table_does_not_name(power):
    assert lifecycle.correct(VmState.DONE, power) is VmState.DONE


def test_the_page_in_docs_is_made_from_the_table():
    assert (DOCS / "lifecycle.md").read_text() == page(), "run: python -m innkeeper_controller.lifecycle_page"

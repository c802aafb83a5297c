"""A host that goes from one controller to another, whose VMs have the same numbers: nobody's VMs are ever touched."""

import shutil

import pytest
from ground import eventually, ground_in

from innkeeper_hostagent.enrolment import AlreadyJoinedError
from innkeeper_hostagent.journal import JournalError
from innkeeper_hostagent.ownership import ForeignVmsError


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    """Give two installations; the first has host ``a`` with VMs, in the second VMs of those numbers have ended."""
    directory = tmp_path_factory.mktemp("two")
    with ground_in(directory / "one") as one, ground_in(directory / "two") as two:
        one.build("a")
        two.build("b")
        one.wait(one.submit(count=3))
        ended = two.submit(count=4)
        two.wait(ended)
        two.end(ended)
        yield one, two


@pytest.fixture
def one(grounds):
    """Give the first installation, whose host is back with its own controller afterwards, its VMs untouched."""
    one, _ = grounds
    agent = one.agents["a"]
    before = (agent.guests(), agent.files())
    yield one
    if agent.process is not None:
        agent.end()
    agent.configure()
    agent.join(one.client.call("host.token", host="a")["join_token"], replace=True)
    agent.start()
    one.connected("a")
    one.check()
    assert (agent.guests(), agent.files()) == before


@pytest.fixture
def two(grounds):
    """Give the second installation, to which the host is a stranger again afterwards."""
    _, two = grounds
    yield two
    two.client.call("host.delete", host="a", force=True)
    two.check_next("b")
    two.check_empty()


def new_token(ground):
    return ground.client.call("host.add", name="a")["join_token"]


def foreign(ground):
    """Return the guests that the controller was told of and that are not its own."""
    events = ground.client.past_events(what="guest.foreign")
    return sorted({event["detail"]["vm_id"] for event in events})


def test_a_host_with_vms_does_not_leave_their_controller(one, two):
    agent = one.agents["a"]
    agent.end()
    before = (agent.guests(), agent.files())
    with pytest.raises(AlreadyJoinedError):
        agent.join(new_token(two))
    with pytest.raises(ForeignVmsError, match="0, 1, 2"):
        agent.join(two.client.call("host.token", host="a")["join_token"], replace=True)
    agent.start()
    one.connected("a")

    assert (agent.guests(), agent.files()) == before


def test_a_host_does_not_leave_a_controller_that_its_agent_still_runs_for(one, two):
    with pytest.raises(JournalError, match="stop it first"):
        one.agents["a"].join(new_token(two), replace=True)


def test_a_host_that_has_forgotten_everything_does_not_join_another_controller_with_vms(one, two):
    agent = one.agents["a"]
    agent.end()
    kept = agent.state_dir.rename(agent.directory / "kept")
    with pytest.raises(ForeignVmsError, match="0, 1, 2"):
        agent.join(new_token(two))
    shutil.rmtree(agent.state_dir)
    kept.rename(agent.state_dir)


def test_guests_of_another_controller_are_never_touched_even_where_their_disks_are_elsewhere(one, two):
    agent = one.agents["a"]
    agent.end()
    before = (agent.guests(), agent.files())
    store = agent.directory / "datastore"
    agent.config.write_text(agent.config.read_text().replace(f'"{store}"', f'"{store}-of-two"'))
    agent.join(new_token(two), replace=True)
    agent.start()
    two.agents["a"] = agent
    two.connected("a")
    eventually(lambda: foreign(two) == [0, 1, 2], "the guests of the other controller")
    # The host hears what it is told in order: what was said to it about those guests it has done by now.
    vm_ids = two.submit(host="a")
    two.wait(vm_ids)
    two.end(vm_ids)
    guests, files = agent.guests(), agent.files()
    del two.agents["a"]
    agent.end()

    assert (guests, files) == before

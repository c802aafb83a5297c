"""Faults in the midst of placing: hosts on which nothing starts, and a controller that dies with hundreds in hand.

Others that decide as well are in ``test_other_schedulers``.
"""

from collections import Counter

import pytest
from ground import eventually, ground_in

#: Short, so that its end can be waited for; long enough to be seen.
BAN = "[scheduling.ban]\nfirst_s = 6.0\nat_most_s = 60.0\n"
NO_STARTS = "fail = { deploy = 1.0 }\n"
#: Without disks: what is tried here is placing. A host takes 256.
PLAIN = "CPU = 0.25\nMEMORY = 16\nHYPERVISOR = simulated\n"
APART = 'PLACEMENT_GROUP = "{0}"\nANTI_AFFINITY = [ GROUP = "{0}" ]\n'
GANG = "GANG = [ NAME = {0}, SIZE = 4 ]\n"
SPREAD = 'PLACEMENT_GROUP = "web"\nSPREAD = [ GROUP = "web", SCOPE = rack, MAX_SKEW = 1 ]\n'
#: ``{host: rack}``
RACKS = {"h0": "r0", "h1": "r0", "h2": "r1", "h3": "r1", "h4": "r2", "h5": "r2"}


def why(ground, vm_id):
    """Return ``{host: clauses that keep the VM out}``."""
    told = ground.client.call("vm.why", vm_id=vm_id, all=True)
    return {host["host"]: [clause for clause, _ in host.get("obstacles", ())] for host in told["hosts"]}


def homes(ground, vm_ids):
    """Return ``{VM: host}``, by what the hosts themselves have, each VM as often as it is found."""
    found = [(vm_id, name) for name, agent in ground.agents.items() for vm_id in agent.guests() if vm_id in vm_ids]
    assert len(found) == len(dict(found)), "a VM is on two hosts"
    return dict(found)


def starts_at_s(ground, vm_id):
    """Return when the VM was placed last."""
    events = [event for event in ground.client.history(vm_id) if event["what"] == "vm.state"]
    return max(event["at_s"] for event in events if event["detail"]["old"] == "PENDING")


def mended(ground, name, **faults):
    """Start the agent of a host anew, with these faults or with none."""
    agent = ground.agents[name]
    agent.end()
    agent.configure(**faults)
    agent.start()
    ground.connected(name)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with ground_in(tmp_path_factory.mktemp("bans"), more=BAN) as ground:
        ground.build("a", "b")
        yield ground


@pytest.fixture
def banned(pair):
    """Give an installation whose host ``a`` has just been banned, though nothing is wrong with it any more."""
    mended(pair, "a", hypervisor=NO_STARTS)
    (victim,) = pair.submit(template=PLAIN, host="a")
    eventually(lambda: pair.vm(victim)["state"] == "FAILED", "a VM that failed")
    pair.end([victim])
    mended(pair, "a")
    yield pair
    pair.check_next("a", "b")
    pair.check_empty()


def test_a_host_on_which_nothing_started_gets_no_vm_until_its_ban_ends(banned):
    until_s = banned.client.call("host.show", host="a")["banned_until_s"]
    (waits,) = banned.submit(template=PLAIN, host="a")
    obstacles = why(banned, waits)["a"]
    others = banned.submit(template=PLAIN, count=5)
    banned.wait([*others, waits])

    assert obstacles == ["ban"]
    assert {host for vm_id, host in homes(banned, others).items()} == {"b"}
    assert starts_at_s(banned, waits) >= until_s
    banned.end([*others, waits])


def test_a_person_who_has_mended_a_host_ends_its_ban(banned):
    until_s = banned.client.call("host.show", host="a")["banned_until_s"]
    (waits,) = banned.submit(template=PLAIN, host="a")
    obstacles = why(banned, waits)["a"]
    banned.client.call("host.enable", host="a")
    banned.wait([waits])

    assert obstacles == ["ban"]
    assert starts_at_s(banned, waits) < until_s
    banned.end([waits])


@pytest.fixture
def racks(tmp_path):
    with ground_in(tmp_path) as ground:
        ground.build(*RACKS)
        for name, rack in RACKS.items():
            ground.client.call("host.update", host=name, template=f"RACK = {rack}\n")
        yield ground


def test_a_controller_that_dies_again_and_again_while_hundreds_are_placed_keeps_every_promise(racks):
    for name in RACKS:
        racks.client.call("host.disable", host=name)
    gangs = [racks.submit(template=PLAIN + GANG.format(f"g{number}"), count=4) for number in range(20)]
    apart = [racks.submit(template=PLAIN + APART.format(f"a{number}"), count=6) for number in range(10)]
    crowd = racks.submit(template=PLAIN, count=160)
    short = racks.submit(template=PLAIN + GANG.format("short"), count=3)
    seventh = racks.submit(template=PLAIN + APART.format("a0"))
    should = {vm_id for vm_ids in [*gangs, *apart, crowd] for vm_id in vm_ids}

    for number, name in enumerate(RACKS):
        racks.client.call("host.enable", host=name)
        if number % 2:
            eventually(racks.agents[name].guests, f"a guest on {name}")
        racks.controller.kill()
        racks.controller.up()
        states = {vm["vm_id"]: vm["state"] for vm in racks.client.call("vm.list", limit=10_000)}

        assert all(len({states[vm_id] == "PENDING" for vm_id in gang}) == 1 for gang in gangs), states
    # What is spread evenly is so over the racks that are there.
    racks.connected(*RACKS)
    web = racks.submit(template=PLAIN + SPREAD, count=31)
    racks.controller.kill()
    racks.controller.up()
    racks.wait([*should, *web])
    found = homes(racks, {*should, *web, *short, *seventh})

    assert set(found) == {*should, *web}
    assert {boots for agent in racks.agents.values() for boots in agent.guests().values()} == {1}
    assert all(len({found[vm_id] for vm_id in group}) == 6 for group in apart)
    assert sorted(Counter(RACKS[found[vm_id]] for vm_id in web).values()) == [10, 10, 11]
    assert max(Counter(found.values()).values()) <= 256
    assert {racks.vm(vm_id)["state"] for vm_id in (*short, *seventh)} == {"PENDING"}
    racks.check()

    racks.end([apart[0][0]])
    racks.wait(seventh)

    assert homes(racks, seventh) == {seventh[0]: found[apart[0][0]]}
    racks.check()
    racks.controller.end()
    racks.controller.check_offline()

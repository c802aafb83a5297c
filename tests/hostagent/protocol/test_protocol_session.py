"""The session's promises, over a channel that loses, repeats and shuffles frames; the seed is INNKEEPER_SEED."""

import heapq
import os
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_hostagent.protocol.errors import BadFrameError, SessionOverflowError
from innkeeper_hostagent.protocol.frames import (
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    Frame,
    Kind,
    Role,
    instance_of,
    pack,
    parse,
    session_id,
)
from innkeeper_hostagent.protocol.session import Session, SessionLimits

SEED = int(os.environ.get("INNKEEPER_SEED", "20240607"))
FIRST = session_id(b"instance", 1)
SECOND = session_id(b"instance", 2)


def agent_end(**options):
    return Session(Role.AGENT, FIRST, heartbeat_interval_s=5.0, **options)


def controller_end(**options):
    return Session(Role.CONTROLLER, FIRST, heartbeat_interval_s=5.0, **options)


def carry(source, target, now_s):
    """Bring all frames across a perfect channel; return the messages that come out."""
    return [message for frame in source.frames(now_s) for message in target.receive(frame, now_s)]


def kinds(frames):
    return [parse(frame).kind for frame in frames]


def test_messages_arrive_once_and_in_order():
    agent, controller = agent_end(), controller_end()
    for number in range(3):
        agent.send(b"%d" % number, 0.0)

    assert carry(agent, controller, 0.0) == [b"0", b"1", b"2"]
    assert carry(agent, controller, 0.0) == []
    assert agent.counters == controller.counters == {}


def test_nothing_is_acknowledged_before_the_receiver_has_made_it_durable():
    agent, controller = agent_end(), controller_end()
    agent.send(b"fact", 0.0)
    carry(agent, controller, 0.0)

    assert controller.frames(0.0) == []
    assert agent.unacknowledged == 1
    controller.confirm(0.0)
    assert carry(controller, agent, 0.0) == []
    assert agent.unacknowledged == 0


def test_an_acknowledgement_rides_on_the_next_message():
    agent, controller = agent_end(), controller_end()
    agent.send(b"fact", 0.0)
    carry(agent, controller, 0.0)
    controller.confirm(0.0)
    controller.send(b"command", 0.0)
    frames = controller.frames(0.0)

    assert [parse(frame) for frame in frames] == [Frame(Kind.RELIABLE, Role.CONTROLLER, FIRST, 1, 1, b"command")]


def test_what_is_not_acknowledged_is_sent_again_at_growing_intervals():
    limits = SessionLimits(resend_after_s=1.0, max_resend_after_s=4.0)
    agent = Session(Role.AGENT, FIRST, heartbeat_interval_s=1000.0, limits=limits)
    agent.send(b"fact", 0.0)
    sent_at_s = [now_s for now_s in range(20) if Kind.RELIABLE in kinds(agent.frames(float(now_s)))]

    assert sent_at_s == [0, 1, 3, 7, 11, 15, 19]
    assert agent.counters == {"resent": 6}


def test_a_repeated_frame_is_dropped_counted_and_acknowledged_again():
    agent, controller = agent_end(), controller_end()
    agent.send(b"fact", 0.0)
    (frame,) = agent.frames(0.0)

    assert controller.receive(frame, 0.0) == [b"fact"]
    controller.confirm(0.0)
    controller.frames(0.0)
    assert controller.receive(frame, 0.0) == []
    assert controller.counters == {"duplicates": 1}
    assert [parse(frame).acknowledged for frame in controller.frames(0.0)] == [1]


def test_a_frame_after_a_gap_waits_until_the_gap_has_been_filled():
    limits = SessionLimits(resend_after_s=1.0)
    agent, controller = agent_end(limits=limits), controller_end()
    agent.send(b"lost", 0.0)
    agent.send(b"late", 0.0)
    _, second = agent.frames(0.0)

    assert controller.receive(second, 0.0) == []
    assert controller.counters == {"gaps": 1}
    assert carry(agent, controller, 1.0) == [b"lost", b"late"]


def test_frames_of_another_session_are_stale():
    controller = controller_end()
    other = Session(Role.AGENT, SECOND, heartbeat_interval_s=5.0)
    other.send(b"old news", 0.0)

    assert carry(other, controller, 0.0) == []
    assert controller.counters == {"stale": 1}


def test_a_frame_thrown_back_at_its_sender_is_dropped():
    agent = agent_end()
    agent.send(b"fact", 0.0)

    assert carry(agent, agent, 0.0) == []
    assert agent.counters == {"malformed": 1}
    assert agent.unacknowledged == 1


def test_an_acknowledgement_of_what_was_never_sent_is_dropped():
    agent = agent_end()
    liar = pack(Kind.KEEPALIVE, Role.CONTROLLER, FIRST, acknowledged=9)

    assert agent.receive(liar, 0.0) == []
    assert agent.counters == {"malformed": 1}


def test_a_silent_peer_costs_a_bounded_queue_and_then_the_session():
    limits = SessionLimits(max_queued_messages=100, window_messages=10)
    controller = controller_end(limits=limits)
    for _ in range(100):
        controller.send(b"command", 0.0)

    assert len(controller.frames(0.0)) == 10
    with pytest.raises(SessionOverflowError, match="100 messages"):
        controller.send(b"one more", 0.0)


def test_the_queue_is_bounded_in_bytes_too():
    controller = controller_end(limits=SessionLimits(max_queued_bytes=100))
    controller.send(bytes(60), 0.0)

    with pytest.raises(SessionOverflowError, match="60 bytes"):
        controller.send(bytes(60), 0.0)


def test_of_casual_messages_the_oldest_gives_way():
    agent, controller = agent_end(limits=SessionLimits(max_casual_messages=2)), controller_end()
    for number in range(4):
        agent.send(b"%d" % number, 0.0, reliable=False)

    assert carry(agent, controller, 0.0) == [b"2", b"3"]
    assert agent.counters == {"casual_dropped": 2}


def test_casual_messages_are_never_sent_again_nor_taken_twice():
    agent, controller = agent_end(), controller_end()
    agent.send(b"beat", 0.0, reliable=False)
    (frame,) = agent.frames(0.0)

    assert controller.receive(frame, 0.0) == [b"beat"]
    assert controller.receive(frame, 0.0) == []
    assert controller.counters == {"duplicates": 1}
    assert kinds(agent.frames(4.9)) == []


def test_a_quiet_session_says_once_an_interval_that_it_lives():
    agent, controller = agent_end(), controller_end()
    agent.frames(0.0)

    assert agent.next_wakeup_s(0.0) == 5.0
    assert agent.frames(4.9) == []
    assert carry(agent, controller, 5.0) == []
    assert controller.next_wakeup_s(5.0) == 10.0
    assert agent.next_wakeup_s(5.0) == 10.0


def test_three_silent_intervals_end_a_session():
    agent = agent_end()
    agent.frames(0.0)

    assert agent.is_alive(14.9)
    assert not agent.is_alive(15.0)


def test_any_frame_of_the_peer_shows_that_it_lives():
    agent, controller = agent_end(), controller_end()
    agent.frames(0.0)
    controller.frames(10.0 - 5.0)
    carry(controller, agent, 10.0)

    assert agent.is_alive(24.9)
    assert not agent.is_alive(25.0)


def test_a_reset_ends_a_session_at_once():
    agent = agent_end()
    agent.receive(pack(Kind.RESET, Role.CONTROLLER, FIRST), 0.0)

    assert not agent.is_alive(0.0)


@given(st.binary(max_size=80))
def test_garbage_changes_nothing_but_a_counter(garbage):
    agent = agent_end()

    assert agent.receive(garbage, 0.0) == []
    assert sum(agent.counters.values()) == 1


def test_a_frame_is_taken_apart_as_it_was_put_together():
    whole = pack(Kind.RELIABLE, Role.CONTROLLER, SECOND, sequence=2**40, acknowledged=7, message=b"x")

    assert parse(whole) == Frame(Kind.RELIABLE, Role.CONTROLLER, SECOND, 2**40, 7, b"x")
    assert instance_of(SECOND) == (b"instance", 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(HEADER_BYTES),
        pack(Kind.KEEPALIVE, Role.AGENT, FIRST) + b"x",
        pack(Kind.KEEPALIVE, Role.AGENT, FIRST, sequence=1),
        pack(Kind.RELIABLE, Role.AGENT, FIRST, message=b"x"),
        b"\x1b\x05" + bytes(28),
        b"\x1b\x23" + bytes(28),
        pack(Kind.RELIABLE, Role.AGENT, FIRST, sequence=1, message=bytes(MAX_FRAME_BYTES)),
    ],
    ids=["empty", "signature", "keepalive+", "numbered", "unnumbered", "kind", "flags", "oversized"],
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(BadFrameError):
        parse(data)


@dataclass
class Channel:
    """Brings frames across late, twice, out of order or not at all."""

    random: random.Random
    faulty: bool = True
    order: int = 0
    under_way: list = field(default_factory=list)

    def put(self, frame, now_s):
        copies = self.random.choice([0, 1, 1, 1, 2]) if self.faulty else 1
        for _ in range(copies):
            delay_s = self.random.random() * 2 if self.faulty else 0.1
            self.order += 1
            heapq.heappush(self.under_way, (now_s + delay_s, self.order, frame))

    def take(self, now_s):
        while self.under_way and self.under_way[0][0] <= now_s:
            yield heapq.heappop(self.under_way)[2]


@dataclass
class End:
    """One end with a caller that makes durable what it got only now and then."""

    session: Session
    inbound: Channel
    outbound: Channel
    got: list = field(default_factory=list)

    def turn(self, chance, now_s):
        for frame in self.inbound.take(now_s):
            self.got += self.session.receive(frame, now_s)
        if chance.random() < 0.5:
            self.session.confirm(now_s)
        for frame in self.session.frames(now_s):
            self.outbound.put(frame, now_s)


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_over_a_bad_channel_every_reliable_message_arrives_once_and_in_order(seed):
    chance = random.Random(seed)
    there, back = Channel(chance), Channel(chance)
    limits = SessionLimits(resend_after_s=0.5, max_resend_after_s=2.0, window_messages=16)
    agent = End(agent_end(limits=limits), back, there)
    controller = End(controller_end(limits=limits), there, back)
    said = {id(agent): [], id(controller): []}
    for tick in range(2000):
        now_s = tick * 0.1
        for end in (agent, controller):
            if tick < 1000 and chance.random() < 0.3:
                message = b"%d" % tick
                end.session.send(message, now_s)
                said[id(end)].append(message)
            if tick < 1000 and chance.random() < 0.3:
                end.session.send(b"casual", now_s, reliable=False)
            end.turn(chance, now_s)
        there.faulty = back.faulty = tick < 1000

    reliable = [[message for message in end.got if message != b"casual"] for end in (controller, agent)]
    assert reliable == [said[id(agent)], said[id(controller)]], f"INNKEEPER_SEED={seed}"
    assert [end.session.unacknowledged for end in (agent, controller)] == [0, 0]
    assert agent.session.is_alive(200.0)


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_an_idle_session_needs_no_call_before_its_wakeup(seed):
    chance = random.Random(seed)
    agent, controller = agent_end(), controller_end()
    now_s = 0.0
    for _ in range(200):
        if chance.random() < 0.3:
            agent.send(b"fact", now_s)
        carry(agent, controller, now_s)
        controller.confirm(now_s)
        carry(controller, agent, now_s)
        wakeup_s = min(agent.next_wakeup_s(now_s), controller.next_wakeup_s(now_s))
        between_s = now_s + (wakeup_s - now_s) * 0.99

        assert wakeup_s > now_s
        assert (agent.frames(between_s), controller.frames(between_s)) == ([], [])
        assert agent.is_alive(between_s)
        now_s = wakeup_s

"""Which frame is whose: the controller's side of all sessions, without a socket or a clock."""

from innkeeper_hostagent.protocol import wire
from innkeeper_hostagent.protocol.callbacks import Callbacks
from innkeeper_hostagent.protocol.frames import Kind, Role, pack, parse, session_id
from innkeeper_hostagent.protocol.joiners import Joiners
from innkeeper_hostagent.protocol.messages import Cancel, Hello, Observed, Welcome
from innkeeper_hostagent.protocol.session import DEFAULT_LIMITS, SessionLimits
from innkeeper_hostagent.protocol.switchboard import Switchboard
from innkeeper_plugins.vocabulary import OperationId

HELLO = wire.encode(Hello(major=1, minor=0, agent_version="0", host_name="a"))
FACT = wire.encode(Observed(guests=()))
COMMAND = Cancel(operation_id=OperationId("op"))
FIRST, SECOND, OTHER = session_id(b"instance", 1), session_id(b"instance", 2), session_id(b"another.", 1)


class Told:
    """An owner that writes down what it is told."""

    def __init__(self, limits=DEFAULT_LIMITS):
        self.entries = []
        self.hosts = {"key": 1}
        self.answer = Welcome(host_id=1, host_name="h1", heartbeat_interval_s=5.0)
        callbacks = Callbacks(
            host_of_key=self.hosts.get,
            on_message=lambda host_id, message: self.entries.append((host_id, message)),
            on_join=lambda public_key, _message: self.entries.append(("join", public_key)),
            on_connected=lambda host_id, _hello: self.entries.append(("connected", host_id)) or self.answer,
            on_lost=lambda host_id: self.entries.append(("lost", host_id)),
        )
        self.board = Switchboard(callbacks, heartbeat_interval_s=5.0, limits=limits)

    def hear(self, session, payload=b"", *, kind=Kind.RELIABLE, sequence=1, acknowledged=0, now_s=0.0):
        frame = pack(kind, Role.AGENT, session, sequence=sequence, acknowledged=acknowledged, message=payload)
        self.board.on_frame(b"route", "key", frame, now_s)

    def said(self, now_s=0.0):
        frames = [parse(frame) for _, frame in self.board.outgoing(now_s)]
        return [(frame.kind, frame.session_id) for frame in frames]


def test_a_late_opening_of_an_earlier_attempt_is_stale():
    told = Told()
    told.hear(SECOND, HELLO)
    told.said()
    told.hear(FIRST, HELLO)

    assert told.entries == [("connected", 1)]
    assert told.said() == [(Kind.RESET, FIRST)]
    assert told.board.counters == {"stale": 1}


def test_a_later_attempt_of_the_same_agent_takes_over_without_a_word():
    told = Told()
    told.hear(FIRST, HELLO)
    told.said()
    told.hear(SECOND, HELLO)

    assert told.entries == [("connected", 1), ("connected", 1)]
    assert told.said() == [(Kind.RELIABLE, SECOND)]
    assert told.board.counters == {}


def test_an_agent_that_has_been_superseded_is_not_taken_back():
    told = Told()
    told.hear(FIRST, HELLO)
    told.hear(OTHER, HELLO)
    told.said()
    told.hear(SECOND, HELLO)

    assert told.entries == [("connected", 1), ("connected", 1)]
    assert told.said() == [(Kind.CASUAL, SECOND)]


def test_an_opening_of_an_agent_that_knows_an_earlier_controller_is_not_believed():
    told = Told()
    told.hear(FIRST, HELLO, acknowledged=3)

    assert told.entries == []
    assert told.said() == [(Kind.RESET, FIRST)]


def test_a_reset_is_never_answered():
    told = Told()
    told.hear(FIRST, kind=Kind.RESET, sequence=0)

    assert told.said() == []


def test_a_tick_speaks_for_quiet_sessions_and_ends_silent_ones():
    told = Told()
    told.hear(FIRST, HELLO)
    told.board.confirm(1, 0.0)
    told.hear(FIRST, kind=Kind.KEEPALIVE, sequence=0, acknowledged=0)
    told.said()
    told.hear(FIRST, kind=Kind.KEEPALIVE, sequence=0, acknowledged=1)
    said = []
    for now_s in range(1, 20):
        told.board.tick(float(now_s))
        said += [(now_s, *frame) for frame in told.said(float(now_s))]

    assert said == [(5, Kind.KEEPALIVE, FIRST), (10, Kind.KEEPALIVE, FIRST)]
    assert told.entries == [("connected", 1), ("lost", 1)]
    assert told.board.counters == {"silent": 1}


def test_what_waits_for_a_welcome_that_never_comes_is_bounded():
    told = Told(SessionLimits(max_queued_messages=3))
    told.answer = None
    told.hear(FIRST, HELLO)
    for _ in range(4):
        told.board.send(1, COMMAND, 0.0)
    told.board.tick(0.0)

    assert told.entries == [("connected", 1), ("lost", 1)]


def test_a_message_that_follows_a_bad_one_is_heard():
    told = Told()
    told.hear(FIRST, HELLO)
    told.hear(FIRST, b"\xc1", sequence=2)
    told.hear(FIRST, FACT, sequence=3)

    assert told.entries == [("connected", 1), (1, Observed(guests=()))]
    assert told.board.counters == {"bad_messages": 1}


def test_joiners_are_bounded_and_answered_once_where_they_asked_last():
    joiners = Joiners()
    for number in range(300):
        joiners.keep(str(number), (b"old", b"session"))
    joiners.keep("299", (b"new", b"session"))

    assert [joiners.take(key) for key in ("0", "299", "299")] == [None, (b"new", b"session"), None]
    assert joiners.take("100") == (b"old", b"session")

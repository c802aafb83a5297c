"""Whatever comes to the controller's three ports, it is dropped and counted, and nobody else notices."""

import contextlib
import os
import resource
import shutil
import socket
import time

import pytest
import zmq
from ground import Agent, eventually, ground_in, requests_in

from innkeeper_hostagent import identity
from innkeeper_hostagent.protocol import frames, join, keys, sockets, wire
from innkeeper_hostagent.protocol.errors import JoinRefusedError
from innkeeper_hostagent.protocol.frames import Kind, Role
from innkeeper_hostagent.protocol.messages import (
    MAX_MESSAGE_BYTES,
    CarryOut,
    Disown,
    Hello,
    LegEnded,
    LegStatus,
    Observed,
    Refused,
    Welcome,
)
from innkeeper_plugins.vocabulary import Observation, OperationId, Outcome, PowerState, VmId

GARBAGE = (
    b"",
    b"\0" * 100,
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" + bytes(8) + b"\x01\x7f\x03\0NULL" + bytes(48),
    b"\xff" * 100_000,
)
HTTP_GARBAGE = (
    b"\0\xff\x16\x03\x01 no HTTP at all",
    b"BREW /v1/vms HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
MANY = 1_000
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with ground_in(
        tmp_path_factory.mktemp("strangers"),
        top="join_token_lifetime_s = 4.0",
        more="[limits]\nreceive_timeout_s = 1.0\n",
    ) as ground:
        ground.build("a", "b")
        yield ground


@pytest.fixture(autouse=True)
def unaffected(ground):
    """See to it that a host that has nothing to do with it stays connected, and the next VM notices nothing."""
    bystander = ground.client.call("host.show", host="b")["host_id"]
    before = ground.client.past_events(what="host.lost", subject=f"host:{bystander}")
    yield
    assert ground.client.past_events(what="host.lost", subject=f"host:{bystander}") == before
    ground.check_next("a", "b")
    ground.check_empty()


class Peer:
    """Somebody who speaks the protocol by hand."""

    def __init__(self, ground, *, own=None, server=""):
        self.context = sockets.new_context()
        endpoint = f"tcp://127.0.0.1:{ground.controller.agents_port}"
        public = server or keys.load_or_create(ground.controller.state_dir / "controller.key").public
        self.socket = sockets.dialling_socket(
            self.context,
            endpoint,
            own or keys.generate(),
            server_public_key=public,
            max_message_bytes=1 << 30,
            high_water_mark=1000,
        )
        sockets.dial(self.socket, endpoint)
        self.session = frames.session_id(os.urandom(8), 1)
        self.sequence = 0

    def say(self, message, kind=Kind.RELIABLE):
        """Send a message, or bytes that are none, and return the frame."""
        self.sequence += 1
        data = message if isinstance(message, bytes) else wire.encode(message)
        frame = frames.pack(kind, Role.AGENT, self.session, sequence=self.sequence, message=data)
        self.socket.send(frame)
        return frame

    def hear(self, kind):
        """Return the first message of that class."""
        while self.socket.poll(PATIENCE_MS):
            frame = frames.parse(self.socket.recv())
            if frame.message and isinstance(heard := wire.decode_controller_message(frame.message), kind):
                return heard
        raise AssertionError(f"no {kind.__name__}")

    def close(self):
        self.socket.close(linger=0)
        self.context.term()


@contextlib.contextmanager
def peer(ground, **options):
    speaker = Peer(ground, **options)
    try:
        yield speaker
    finally:
        speaker.close()


def fabric(ground):
    """Return ``{what: how often}`` as /metrics tells it."""
    head = 'innkeeper_fabric_total{what="'
    return {
        name.removeprefix(head).removesuffix('"}'): int(value)
        for name, value in ground.controller.metrics().items()
        if name.startswith(head)
    }


def grown(ground, before, **wanted):
    """Wait until these counters have grown by as much, at least."""
    eventually(
        lambda: all(fabric(ground).get(what, 0) - before.get(what, 0) >= more for what, more in wanted.items()),
        f"{wanted} more than in {before}",
    )


@pytest.mark.parametrize(("port", "prefix"), [("agents_port", ""), ("bulk_port", "bulk_")])
def test_garbage_on_a_port_for_hosts_is_dropped_and_counted(ground, port, prefix):
    before = fabric(ground)
    for data in GARBAGE:
        address = ("127.0.0.1", getattr(ground.controller, port))
        # The other side may have hung up already, at any of these.
        with socket.create_connection(address) as connection, contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    grown(ground, before, **{f"{prefix}connections": len(GARBAGE), f"{prefix}disconnections": len(GARBAGE)})

    assert fabric(ground)[f"{prefix}handshakes"] == before[f"{prefix}handshakes"]


def test_somebody_who_takes_the_controller_for_another_is_not_let_in(ground):
    before = fabric(ground)
    with peer(ground, server=keys.generate().public) as speaker:
        speaker.say(Hello(major=1, minor=0, agent_version="x", host_name="a"))
        grown(ground, before, disconnections=2)
        assert not speaker.socket.poll(0)

    assert fabric(ground)["handshakes"] == before["handshakes"]


def test_a_key_of_no_host_can_do_nothing_but_join(ground):
    before = fabric(ground)
    with peer(ground) as stranger:
        stranger.say(Hello(major=1, minor=0, agent_version="x", host_name="a"))
        assert stranger.hear(Refused).code == "unknown_key"
        stranger.say(b"\xc1" * 100, Kind.CASUAL)
        stranger.say(Observed(guests=(), complete=True))
        stranger.say(bytes(8_192))
        stranger.socket.send(b"no frame")
        grown(ground, before, stranger_dropped=3, stranger_throttled=1, malformed=1)


@pytest.fixture
def in_the_place_of_a(ground):
    """Speak with the key of host ``a``, whose agent is away for as long, as a stolen one would."""
    agent = ground.agents["a"]
    agent.end()
    ground.lost("a")
    with peer(ground, own=identity.keys(agent.state_dir)) as thief:
        thief.say(Hello(major=1, minor=0, agent_version="x", host_name="a"))
        thief.hear(Welcome)
        yield thief
    ground.lost("a")
    agent.start()
    ground.connected("a")


@pytest.fixture
def victim(ground):
    """Return a VM that runs on the other host, and is the same afterwards."""
    (vm_id,) = ground.submit(host="b")
    ground.wait([vm_id])
    before = ground.vm(vm_id)
    yield vm_id
    after = ground.vm(vm_id)
    told_all_the_time = ("cpu_time_s", "memory_used_mib")
    assert {**after, **dict.fromkeys(told_all_the_time)} == {**before, **dict.fromkeys(told_all_the_time)}
    ground.end([vm_id])


def test_what_a_stolen_key_says_is_dropped_and_never_about_other_hosts(ground, victim, in_the_place_of_a):
    before, thief = fabric(ground), in_the_place_of_a
    operation_id = OperationId(ground.vm(victim)["last_operation"]["operation_id"])
    gone = Observation(vm_id=VmId(victim), generation=99, power=PowerState.OFF)
    thief.say(b"\xc1 no message")
    thief.say(Disown(vm_id=VmId(victim), generation=9))
    order = {"operation_id": operation_id, "request_id": "", "leg": 0, "subject": "x", "kind": "x"}
    thief.say(CarryOut(**order, steps=(), expires_in_s=1.0))
    thief.say(Observed(guests=(gone,), complete=True))
    replayed = thief.say(
        LegEnded(
            operation_id=operation_id,
            leg=0,
            undo=False,
            status=LegStatus.FAILED,
            outcomes={0: Outcome(ok=False, code="tool_failed")},
        )
    )
    for _ in range(5):
        thief.socket.send(replayed)
    thief.socket.send(b"\x1b")
    thief.socket.send(replayed[:1] + b"\x77" + replayed[2:])
    grown(ground, before, bad_messages=3, duplicates=5, malformed=2)
    disconnected = fabric(ground)
    thief.socket.send(bytes(MAX_MESSAGE_BYTES + 1000))
    grown(ground, disconnected, disconnections=1)


def test_of_two_agents_with_one_key_the_older_ends_and_no_vm_is_harmed(ground):
    older = ground.agents["a"]
    (vm_id,) = ground.submit(host="a")
    ground.wait([vm_id])
    twin = Agent(ground.directory / "twin", "a")
    shutil.copytree(older.state_dir, twin.state_dir)
    twin.start()
    try:
        # Two that took turns would be no better than none: see the exit status in the unit.
        assert older.wait() == 3
        assert "stop one of the two" in older.last_words()
    finally:
        twin.kill()
    older.start()
    eventually(lambda: ground.vm(vm_id)["state"] == "RUNNING" and older.guests() == {vm_id: 1}, "the VM, as it was")
    ground.connected("a")
    ground.end([vm_id])


def test_a_join_token_is_good_once_and_for_a_while(ground):
    late = ground.client.call("host.add", name="late")
    used = ground.client.call("host.add", name="used")["join_token"]
    Agent(ground.directory / "first", "used").join(used)
    thief = Agent(ground.directory / "second", "used")
    with pytest.raises(JoinRefusedError, match="was used"):
        thief.join(used)
    right = join.parse(ground.client.call("host.add", name="wrong")["join_token"])
    wrong = join.JoinToken(right.endpoint, right.controller_public_key, join.new_secret())
    with pytest.raises(JoinRefusedError, match="not known"):
        thief.join(wrong.text())
    eventually(lambda: time.time() > late["expires_at_s"] + 0.5, "the end of the token's life")
    with pytest.raises(JoinRefusedError, match="has expired"):
        thief.join(late["join_token"])

    assert not (thief.state_dir / "controller.json").exists()
    for name in ("late", "used", "wrong"):
        ground.client.call("host.delete", host=name)


def test_what_is_no_http_is_answered_so_and_counted(ground):
    before, send = fabric(ground), requests_in(ground)
    answers = [send(data)[:12] for data in HTTP_GARBAGE]

    assert answers == [b"HTTP/1.1 400"] * len(HTTP_GARBAGE)
    with contextlib.suppress(ConnectionError):
        assert send(b"GET /v1/vms HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
    grown(ground, before, http_malformed=len(HTTP_GARBAGE), http_long_headers=1)


SLOW_STARTS = {
    "headers": (b"GET /v1/vms HTTP/1.1\r\n", b"X-Slow: loris\r\n"),
    "the headers of a second request": (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/vms HTTP/1.1\r\n",
        b"X: y\r\n",
    ),
    "a body that was answered": (b"POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("what", SLOW_STARTS)
def test_a_request_that_comes_drop_by_drop_is_ended(ground, what):
    start, drop = SLOW_STARTS[what]
    before = fabric(ground)
    slow = [socket.create_connection(("127.0.0.1", ground.controller.http_port)) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(start)

        def dripped():
            ended = 0
            for connection in slow:
                try:
                    connection.sendall(drop)
                except ConnectionError:
                    ended += 1
            ground.client.call("system.status")
            return ended == len(slow)

        eventually(dripped, "the end of all that drip")
    finally:
        for connection in slow:
            connection.close()
    grown(ground, before, http_silent=len(slow))


def test_a_thousand_idle_connections_are_in_nobodys_way(ground):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * MANY), hard), hard))
    with contextlib.ExitStack() as idle:
        for _ in range(MANY):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", ground.controller.http_port)))
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        ground.check_next("a")
    # Shells begin with 1,024 open files; the controller takes what it may have.
    assert resource.prlimit(ground.controller.process.pid, resource.RLIMIT_NOFILE)[0] >= min(65_536, hard)


def test_dealers_that_only_connect_are_in_nobodys_way(ground):
    context = zmq.Context()
    idle = [context.socket(zmq.DEALER) for _ in range(100)]
    try:
        for each in idle:
            each.setsockopt(zmq.LINGER, 0)
            each.connect(f"tcp://127.0.0.1:{ground.controller.agents_port}")
        ground.check_next("a")
    finally:
        for each in idle:
            each.close()
        context.term()

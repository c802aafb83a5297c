"""Gateway and link over real sockets, on good days and bad ones."""

import asyncio
import os
import socket
import struct

import pytest
import zmq
from tests.hostagent.protocol.channel_of_tests import (
    AGENT_KEYS,
    CONTROLLER_KEYS,
    HELLO,
    Channel,
    run,
    until,
)

from innkeeper_hostagent.protocol import frames, join, keys, sockets, wire
from innkeeper_hostagent.protocol.errors import EndpointError, JoinRefusedError, UnsuitableLibraryError
from innkeeper_hostagent.protocol.link import join as enrol
from innkeeper_hostagent.protocol.messages import (
    Cancel,
    Goodbye,
    Heartbeat,
    Hello,
    ImagesChanged,
    Join,
    Joined,
    Observed,
    Refused,
    Welcome,
)
from innkeeper_hostagent.protocol.session import SessionLimits
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import OperationId

FACT = Observed(guests=())
BEAT = Heartbeat(cpu_used_cores=1.0, memory_used_mib=2)
COMMAND = Cancel(operation_id=OperationId("op-1"))


def command(number):
    return Cancel(operation_id=OperationId(f"op-{number}"))


class Intruder:
    """A DEALER that speaks as it likes."""

    def __init__(self, endpoint, own_keys, *, server_key=CONTROLLER_KEYS.public):
        self.context = sockets.new_context()
        self.socket = sockets.dialling_socket(
            self.context,
            endpoint,
            own_keys,
            server_public_key=server_key,
            max_message_bytes=-1,
            high_water_mark=1000,
        )
        sockets.dial(self.socket, endpoint)
        self.session = frames.session_id(os.urandom(8), 1)

    def say(self, message, *, kind=frames.Kind.RELIABLE, sequence=1, acknowledged=0):
        payload = message if isinstance(message, bytes) else wire.encode(message)
        self.socket.send(
            frames.pack(
                kind,
                frames.Role.AGENT,
                self.session,
                sequence=sequence,
                acknowledged=acknowledged,
                message=payload,
            )
        )

    async def hear(self):
        await until(lambda: self.socket.poll(0))
        frame = frames.parse(self.socket.recv())
        return wire.decode_controller_message(frame.message) if frame.message else frame.kind

    def close(self):
        self.context.destroy(linger=0)


def intruder(channel, own_keys, **options):
    made = Intruder(channel.endpoint, own_keys, **options)
    channel.stack.callback(made.close)
    return made


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_messages_go_both_ways_over_every_transport(transport, tmp_path):
    endpoints = {
        "tcp": "tcp://127.0.0.1:0",
        "ipc": f"ipc://{tmp_path}/c.sock",
        "inproc": "inproc://controller",
    }

    @run
    async def scenario():
        context = sockets.new_context() if transport == "inproc" else None
        async with Channel(endpoints[transport], context) as channel:
            gateway, agent = channel.open_gateway(), channel.open_link()
            await agent.diary.until("welcome", "h1")
            agent.send(FACT)
            agent.send(BEAT)
            gateway.send(1, COMMAND)
            await agent.diary.until("message", COMMAND)
            await channel.diary.until("message", 1, FACT)
            await channel.diary.until("message", 1, BEAT)

            assert gateway.connected == {1}
            assert (gateway.counters, agent.counters) == ({}, {})
            agent.close()
        if context:
            context.term()

    scenario()


@run
async def test_reliable_messages_are_kept_until_the_other_end_has_made_them_durable():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        await agent.diary.until("welcome", "h1")
        agent.send(FACT)
        await channel.diary.until("message", 1, FACT)

        assert agent._session.unacknowledged == 2
        gateway.confirm(1)
        await until(lambda: agent._session.unacknowledged == 0)
        agent.confirm()
        peer = gateway._switchboard.roster.peers[1]
        await until(lambda: peer.session.unacknowledged == 0)


@run
async def test_what_is_sent_while_a_session_opens_comes_after_its_welcome():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        welcome = channel.answer

        def answer(host_id):
            gateway.send(host_id, COMMAND)
            channel.loop.call_soon(gateway.send, host_id, command(2))
            channel.loop.call_soon(gateway.send, host_id, welcome(host_id))

        channel.answer = answer
        agent = channel.open_link()
        await agent.diary.until("message", command(2))

        assert agent.diary.entries == [("welcome", "h1"), ("message", COMMAND), ("message", command(2))]


@run
async def test_a_controller_may_refuse_a_host_and_the_host_asks_again_later():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        welcome, channel.answer = channel.answer, lambda _: Refused(code="name_taken", message="no")
        agent = channel.open_link()
        await agent.diary.until("refused", "name_taken", times=2)

        assert gateway.connected == set()
        channel.answer = welcome
        await agent.diary.until("welcome", "h1")


@run
async def test_sending_to_nobody_is_counted():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        gateway.send(7, COMMAND)
        agent.send(FACT)

        assert (gateway.counters, agent.counters) == ({"unsent": 1}, {"unsent": 1})


@run
async def test_a_host_that_says_goodbye_is_lost_at_once():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        await agent.diary.until("welcome", "h1")
        agent.send(Goodbye(reason="stopped"))
        agent.close()
        await channel.diary.until("lost", 1)

        assert channel.diary.entries[1:] == [("message", 1, Goodbye(reason="stopped")), ("lost", 1)]
        assert gateway.connected == set()


@run
async def test_an_agent_finds_a_restarted_controller_by_itself():
    async with Channel() as channel:
        channel.open_gateway().send(1, COMMAND)
        agent = channel.open_link()
        await agent.diary.until("welcome", "h1")
        channel.gateway.close()
        gateway = channel.open_gateway()
        agent.send(FACT)
        await agent.diary.until("welcome", "h1", times=2)

        assert agent.diary.entries == [("welcome", "h1"), ("lost",), ("welcome", "h1")]
        assert ("message", 1, FACT) not in channel.diary.entries
        assert gateway.counters["stale"] >= 1


@run
async def test_a_restarted_agent_gets_a_new_session_and_late_frames_of_the_old_one_are_dropped():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        old = intruder(channel, AGENT_KEYS)
        old.say(HELLO)
        await old.hear()
        new = channel.open_link()
        await new.diary.until("welcome", "h1")
        old.say(FACT, sequence=2)

        assert await old.hear() == Refused(
            code="superseded", message="another agent with this host's key has connected; stop one of the two"
        )
        assert isinstance(await old.hear(), Refused)
        assert [entry[0] for entry in channel.diary.entries] == ["connected", "connected"]
        assert gateway.counters == {"superseded": 2}


@run
async def test_of_two_agents_with_one_key_the_newest_stays_and_the_older_is_told():
    async with Channel() as channel:
        gateway, older = channel.open_gateway(), channel.open_link()
        await older.diary.until("welcome", "h1")
        newer = channel.open_link()
        await older.diary.until("refused", "superseded")
        await newer.diary.until("welcome", "h1")
        newer.send(FACT)
        await channel.diary.until("message", 1, FACT)

        assert older.diary.entries == [("welcome", "h1"), ("refused", "superseded")]
        assert older._socket is None
        assert newer.is_open
        assert gateway.connected == {1}


@run
async def test_a_silent_host_is_lost_after_three_intervals():
    async with Channel() as channel:
        gateway = channel.open_gateway(interval_s=0.05)
        silent = intruder(channel, AGENT_KEYS)
        silent.say(HELLO)
        await channel.diary.until("lost", 1)

        assert channel.diary.entries == [("connected", 1, "a"), ("lost", 1)]
        assert gateway.counters["silent"] == 1
        silent.say(FACT, sequence=2)
        while await silent.hear() is not frames.Kind.RESET:
            pass


@run
async def test_a_half_open_connection_costs_the_agent_its_session_and_it_dials_again():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        channel.answer = lambda host_id: Welcome(host_id=host_id, host_name="h1", heartbeat_interval_s=0.02)
        await agent.diary.until("welcome", "h1")
        # The gateway still believes in five seconds, so for the agent it falls silent.
        await agent.diary.until("welcome", "h1", times=2)

        assert agent.diary.entries[:3] == [("welcome", "h1"), ("lost",), ("welcome", "h1")]
        assert agent.counters["silent"] >= 1
        assert gateway.connected == {1}


@run
async def test_an_opening_that_was_lost_is_said_again_after_dialling_again_too():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        channel.answer = lambda host_id: Welcome(host_id=host_id, host_name="h1", heartbeat_interval_s=0.02)
        await agent.diary.until("welcome", "h1")
        gateway.confirm(1)
        await until(lambda: agent._session.unacknowledged == 0)
        gateway.close()
        await agent.diary.until("lost")
        await until(lambda: agent.counters["resent"] > 0)

        assert agent.diary.entries == [("welcome", "h1"), ("lost",)]


@run
async def test_an_idle_session_lives_on():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(interval_s=0.05), channel.open_link()
        channel.answer = lambda host_id: Welcome(host_id=host_id, host_name="h1", heartbeat_interval_s=0.05)
        await agent.diary.until("welcome", "h1")
        start_s = channel.loop.time()
        await until(lambda: channel.loop.time() > start_s + 0.4)

        assert agent.diary.entries == [("welcome", "h1")]
        assert channel.diary.entries == [("connected", 1, "a")]
        assert gateway.counters["silent"] == 0


@run
async def test_a_peer_that_takes_nothing_loses_its_session_before_the_queue_grows_too_long():
    async with Channel() as channel:
        gateway = channel.open_gateway(limits=SessionLimits(max_queued_messages=1000))
        deaf = intruder(channel, AGENT_KEYS)
        deaf.say(HELLO)
        await channel.diary.until("connected", 1, "a")
        await deaf.hear()
        for number in range(10_000):
            gateway.send(1, command(number))
        await channel.diary.until("lost", 1)

        assert gateway.connected == set()
        assert gateway.counters["overflowed"] == 10_000 - 999


# --- strangers and wrong keys ----------------------------------------------------------------------------------------


@run
async def test_a_stranger_is_told_that_it_may_only_join():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link(keys.generate())
        await agent.diary.until("refused", "unknown_key")

        assert channel.diary.entries == []
        assert gateway.counters["stranger_dropped"] >= 1


@run
async def test_whatever_else_a_stranger_says_is_dropped():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        stranger = intruder(channel, keys.generate())
        for sequence, message in enumerate((HELLO, FACT, BEAT, Goodbye(reason=""), b"\xc1"), start=1):
            stranger.say(message, sequence=sequence)
            stranger.say(message, sequence=sequence, kind=frames.Kind.CASUAL)
        stranger.say(Join(major=1, minor=0, host_name="x", token="t"))
        await until(lambda: gateway.counters["stranger_dropped"] == 11)

        assert channel.diary.entries == []
        assert isinstance(await stranger.hear(), Refused)


@run
async def test_strangers_cannot_keep_the_controller_busy():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        stranger = intruder(channel, keys.generate())
        for _ in range(500):
            stranger.say(HELLO)
        stranger.say(Join(major=1, minor=0, host_name="x" * 5000, token="t"), kind=frames.Kind.CASUAL)
        await until(lambda: sum(gateway.counters.values()) >= 501)

        assert gateway.counters["stranger_throttled"] > 300
        assert channel.diary.entries == []


@run
async def test_a_revoked_key_loses_its_session_at_once_and_gets_no_other():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link()
        await agent.diary.until("welcome", "h1")
        del channel.hosts[AGENT_KEYS.public]
        gateway.send(1, COMMAND)
        agent.send(FACT)
        await agent.diary.until("refused", "unknown_key", times=2)
        await channel.diary.until("lost", 1)

        assert channel.diary.entries == [("connected", 1, "a"), ("lost", 1)]
        assert ("message", COMMAND) not in agent.diary.entries
        assert gateway.counters["revoked"] == 1


@run
async def test_an_agent_does_not_speak_to_a_controller_with_another_key():
    async with Channel() as channel:
        gateway, agent = channel.open_gateway(), channel.open_link(server_key=keys.generate().public)
        token = join.JoinToken(channel.endpoint, keys.generate().public, join.new_secret())
        with pytest.raises(JoinRefusedError) as refusal:
            await enrol(token, "a", AGENT_KEYS, 0.3)

        assert refusal.value.code == "unreachable"
        assert channel.diary.entries == agent.diary.entries == []
        assert gateway.counters == {}


@run
async def test_without_curve_nobody_gets_in():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        with sockets.new_context() as context, context.socket(zmq.DEALER) as plain:
            plain.linger = 0
            plain.connect(channel.endpoint)
            plain.send(frames.pack(frames.Kind.RELIABLE, frames.Role.AGENT, bytes(12), sequence=1, message=b"x"))
            agent = channel.open_link()
            await agent.diary.until("welcome", "h1")

            assert plain.poll(0) == 0
            assert (gateway.counters, channel.diary.entries) == ({}, [("connected", 1, "a")])


# --- bad frames ------------------------------------------------------------------------------------------------------


@run
async def test_an_agent_of_another_major_version_is_told_so():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        agent = channel.open_link(hello=Hello(major=2, minor=0, agent_version="9", host_name="a"))
        await agent.diary.until("refused", "version")

        assert channel.diary.entries == []
        assert gateway.counters["other_version"] >= 1


@run
async def test_garbage_of_a_known_host_is_dropped_and_counted():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        host = intruder(channel, AGENT_KEYS)
        host.socket.send(b"garbage")
        host.socket.send_multipart([b"several", b"parts"])
        host.say(b"\xc1")
        assert await host.hear() is frames.Kind.RESET
        host.say(HELLO)
        await channel.diary.until("connected", 1, "a")
        host.say(b"\xc1", sequence=2)
        host.say(COMMAND, sequence=3)
        host.say(HELLO, sequence=4)
        host.say(FACT, sequence=5)
        await channel.diary.until("message", 1, FACT)

        assert gateway.counters == {"malformed": 2, "bad_messages": 4}


@run
async def test_a_replayed_frame_changes_nothing():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        host = intruder(channel, AGENT_KEYS)
        for sequence, message in ((1, HELLO), (2, FACT), (2, FACT), (1, HELLO), (3, ImagesChanged())):
            host.say(message, sequence=sequence)
        await channel.diary.until("message", 1, ImagesChanged())

        assert [entry[0] for entry in channel.diary.entries] == ["connected", "message", "message"]
        assert gateway.counters == {"duplicates": 2}


@run
async def test_a_replayed_session_is_not_opened_again():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        host = intruder(channel, AGENT_KEYS)
        host.say(HELLO)
        host.say(Goodbye(reason=""), sequence=2)
        await channel.diary.until("lost", 1)
        host.say(HELLO)
        while await host.hear() is not frames.Kind.RESET:
            pass

        assert channel.diary.entries.count(("connected", 1, "a")) == 1
        assert gateway.counters == {"stale": 1}


@run
async def test_an_oversized_frame_costs_the_connection_and_nobody_else_notices():
    async with Channel() as channel:
        channel.hosts[(other := keys.generate()).public] = 2
        gateway, agent = channel.open_gateway(), channel.open_link()
        await agent.diary.until("welcome", "h1")
        host = intruder(channel, other)
        monitor = host.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        host.socket.send(bytes(2 * frames.MAX_FRAME_BYTES))
        await until(lambda: monitor.poll(0))
        agent.send(FACT)
        await channel.diary.until("message", 1, FACT)

        assert channel.diary.entries == [("connected", 1, "a"), ("message", 1, FACT)]
        assert gateway.counters == {}
        host.socket.disable_monitor()
        monitor.close(linger=0)


@run
async def test_bytes_that_are_not_zeromq_change_nothing():
    async with Channel() as channel:
        gateway = channel.open_gateway()
        port = int(channel.endpoint.rpartition(":")[2])
        for garbage in (b"", b"GET / HTTP/1.0\r\n\r\n", struct.pack("!Q", 2**63) * 100, os.urandom(2000)):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(garbage)
        agent = channel.open_link()
        await agent.diary.until("welcome", "h1")

        assert gateway.counters == {}


# --- joining ---------------------------------------------------------------------------------------------------------


def token_of(channel):
    return join.JoinToken(channel.endpoint, CONTROLLER_KEYS.public, join.new_secret())


@pytest.mark.parametrize("is_at_once", [True, False])
def test_a_new_host_is_enrolled_whether_the_answer_comes_at_once_or_later(is_at_once):
    @run
    async def scenario():
        async with Channel() as channel:
            new = keys.generate()
            gateway, answer = channel.open_gateway(), channel.join_answer
            if not is_at_once:
                channel.join_answer = None
            joining = asyncio.ensure_future(enrol(token_of(channel), "new", new, 5.0))
            await channel.diary.until("join", new.public, "new")
            if not is_at_once:
                gateway.answer_join(new.public, answer)

            assert await joining == Joined(host_id=9, host_name="new")
            assert gateway.counters == {"joins": 1}

    scenario()


@run
async def test_a_host_that_lost_the_answer_may_join_again_with_its_key():
    async with Channel() as channel:
        channel.open_gateway()

        assert await enrol(token_of(channel), "a", AGENT_KEYS, 5.0) == Joined(host_id=9, host_name="new")


@run
async def test_a_wrong_token_is_an_error_with_the_controllers_words():
    async with Channel() as channel:
        channel.open_gateway()
        channel.join_answer = Refused(code="bad_token", message="the token has been used")
        with pytest.raises(JoinRefusedError, match="the token has been used") as refusal:
            await enrol(token_of(channel), "a", keys.generate(), 5.0)

        assert refusal.value.code == "bad_token"


@run
async def test_a_controller_of_another_version_says_so_to_a_new_host():
    async with Channel() as channel:
        channel.open_gateway()
        stranger = intruder(channel, keys.generate())
        stranger.say(Join(major=2, minor=0, host_name="a", token="t"), kind=frames.Kind.CASUAL)
        refused = await stranger.hear()

        assert refused.code == "version"
        assert channel.diary.entries == []


# --- sockets ---------------------------------------------------------------------------------------------------------


@run
async def test_an_endpoint_in_use_is_an_error_that_names_it():
    async with Channel() as channel:
        channel.open_gateway()
        with pytest.raises(EndpointError, match=f"cannot listen on {channel.endpoint}: Address already in use"):
            channel.open_gateway()


def test_a_library_that_strangers_can_attack_is_refused():
    with pytest.raises(UnsuitableLibraryError, match=r"libzmq 4\.3\.2 .* install 4\.3\.3"):
        sockets.refuse_unsuitable_library((4, 3, 2), has_curve=True)
    with pytest.raises(UnsuitableLibraryError, match="without CURVE"):
        sockets.refuse_unsuitable_library((4, 3, 5), has_curve=False)
    sockets.refuse_unsuitable_library((4, 3, 3), has_curve=True)


def test_errors_of_the_protocol_are_errors_of_innkeeper():
    assert issubclass(EndpointError, InnkeeperError)


@run
async def test_a_burst_both_ways_leaves_nothing_unread():
    limits = SessionLimits(window_messages=10_000, resend_after_s=1000.0)
    async with Channel() as channel:
        channel.answer = lambda host_id: Welcome(host_id=host_id, host_name="h1", heartbeat_interval_s=1000.0)
        gateway, agent = channel.open_gateway(interval_s=1000.0, limits=limits), channel.open_link(limits=limits)
        await agent.diary.until("welcome", "h1")
        for burst in range(10):
            for number in range(400 * burst, 400 * (burst + 1)):
                agent.send(ImagesChanged())
                gateway.send(1, command(number))
                if number % 7 == 0:
                    await asyncio.sleep(0)
            # With no timer to come to the rescue, a telling that got lost would leave messages unread for ever.
            await agent.diary.until("message", command(number))
            await channel.diary.until("message", 1, ImagesChanged(), times=number + 1)

        assert agent.diary.entries[1:] == [("message", command(number)) for number in range(4000)]

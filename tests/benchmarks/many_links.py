"""Plays many agents at the wire's level, without drivers and journals: ``many_links.py DIRECTORY``.

Reads ``DIRECTORY/agents.json``: where the controller is and who the agents are. Each has a connection and a CURVE key
of its own, heartbeats as it is told to, and advertises what the controller knows of it already. A plan is acknowledged
as by an agent whose disk takes no time: the session's acknowledgement together with ``StepStarted``. Its end is told
only after the line ``boot`` came on standard input. Prints ``ready`` when all have been welcomed; to the line ``told``
it answers with what it has seen, as JSON. Ends with its input.
"""

import itertools
import json
import os
import select
import sys
import time
from collections import deque
from pathlib import Path

import msgspec
import zmq

from innkeeper_hostagent.protocol import sockets, wire
from innkeeper_hostagent.protocol.frames import MAX_FRAME_BYTES, Role, session_id
from innkeeper_hostagent.protocol.keys import KeyPair, Secret
from innkeeper_hostagent.protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Advertise,
    Heartbeat,
    Hello,
    LegEnded,
    LegStatus,
    StepStarted,
)
from innkeeper_hostagent.protocol.session import Session
from innkeeper_plugins.vocabulary import Advertisement, DatastoreFacts, Outcome

#: Handshakes that are under way at once.
DIALLING = 100
DATASTORES = ("default", "fast", "large")
#: What hosts say in turn, so that their load changes each time.
HEARTBEATS = tuple(
    wire.encode(
        Heartbeat(
            cpu_used_cores=number / 4,
            memory_used_mib=2048,
            datastores=tuple(DatastoreFacts(name=name, total_mib=8_000_000, free_mib=8_000_000) for name in DATASTORES),
            clock_s=1e9,
        )
    )
    for number in range(16)
)
HIGH_WATER_MARK = 2_048
STANDARD_INPUT = 0


class Step(msgspec.Struct):
    """What is needed of a step."""

    step_id: int


class Said(msgspec.Struct):
    """What is needed of any message of the controller; the rest is passed over."""

    type: str
    operation_id: str = ""
    leg: int = 0
    steps: tuple[Step, ...] = ()
    operations: tuple[str, ...] = ()
    heartbeat_interval_s: float = 0.0


decode = msgspec.msgpack.Decoder(Said).decode


class Agent:
    """One connection and its session."""

    __slots__ = ("advertisement", "beats_at_s", "session", "socket")

    def __init__(self, context, endpoint, server_key, keys, advertisement):
        self.advertisement = advertisement
        self.socket = sockets.dialling_socket(
            context,
            endpoint,
            keys,
            server_public_key=server_key,
            max_message_bytes=MAX_FRAME_BYTES,
            high_water_mark=HIGH_WATER_MARK,
        )
        self.socket.connect(endpoint)
        self.session = Session(Role.AGENT, session_id(os.urandom(8), 1), heartbeat_interval_s=60.0)
        self.beats_at_s = 0.0
        hello = Hello(major=PROTOCOL_MAJOR, minor=PROTOCOL_MINOR, agent_version="0", host_name="host")
        self.session.send(wire.encode(hello), time.monotonic())


class Player:
    """All agents of this process, one loop."""

    def __init__(self, told):
        self.advertisements = [
            wire.encode(Advertise(advertisement=msgspec.convert(each, Advertisement)))
            for each in told["advertisements"]
        ]
        self.told = told
        self.context = sockets.new_context()
        self.epoll = select.epoll()
        self.epoll.register(STANDARD_INPUT, select.EPOLLIN)
        self.agents = {}
        self.to_dial = deque(told["agents"])
        self.welcomed = 0
        #: Agents in the order in which they speak next; all have the same interval.
        self.beats = deque()
        self.said = itertools.cycle(HEARTBEATS)
        #: Legs whose end is not told yet, and whether ends are told at once.
        self.ended, self.boots = [], False
        self.carried = self.confirmed = 0
        self.carried_at_s = self.confirmed_at_s = 0.0
        self.handlers = {"welcome": self.on_welcome, "carry_out": self.on_carry_out, "confirm": self.on_confirm}

    def run(self):
        """Go on until standard input ends."""
        goes_on = True
        while goes_on:
            self.dial()
            wait_s = max(0.0, self.beats[0].beats_at_s - time.monotonic()) if self.beats else 1.0
            for descriptor, _ in self.epoll.poll(wait_s, 256):
                if descriptor == STANDARD_INPUT:
                    # Not by lines: what a buffer keeps, no descriptor tells of.
                    lines = os.read(STANDARD_INPUT, 4096)
                    goes_on = bool(lines)
                    for line in lines.decode().split():
                        self.obey(line)
                else:
                    self.serve(self.agents[descriptor])
            self.beat()

    def dial(self):
        """Let some more agents connect."""
        while self.to_dial and len(self.agents) - self.welcomed < DIALLING:
            public, secret, shape = self.to_dial.popleft()
            keys, advertisement = KeyPair(public, Secret(secret)), self.advertisements[shape]
            agent = Agent(self.context, self.told["endpoint"], self.told["server_key"], keys, advertisement)
            self.agents[agent.socket.fileno()] = agent
            self.epoll.register(agent.socket.fileno(), select.EPOLLIN)
            self.serve(agent)

    def serve(self, agent):
        """Send what is to be sent and hear all that has come: the descriptor tells of changes only."""
        session, socket = agent.session, agent.socket
        now_s = time.monotonic()
        while True:
            for frame in session.frames(now_s):
                socket.send(frame, zmq.NOBLOCK)
            if not socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                return
            for payload in session.receive(socket.recv(zmq.NOBLOCK), now_s):
                said = decode(payload)
                if said.type == "refused" or not session.is_alive(now_s):
                    raise RuntimeError(f"no session: {payload!r}")
                self.handlers[said.type](agent, said, now_s)
            session.confirm(now_s)

    def beat(self):
        """Let those heartbeat whose turn it is."""
        now_s = time.monotonic()
        while self.beats and self.beats[0].beats_at_s <= now_s:
            agent = self.beats.popleft()
            if not agent.session.is_alive(now_s):
                raise RuntimeError("the controller was silent for too long")
            agent.session.send(next(self.said), now_s, reliable=False)
            agent.beats_at_s += agent.session.heartbeat_interval_s
            self.beats.append(agent)
            self.serve(agent)

    def on_welcome(self, agent, said, now_s):
        agent.session.heartbeat_interval_s = said.heartbeat_interval_s
        agent.session.send(agent.advertisement, now_s)
        agent.beats_at_s = now_s + said.heartbeat_interval_s
        self.beats.append(agent)
        self.welcomed += 1
        if not self.to_dial and self.welcomed == len(self.agents):
            say("ready")

    def on_carry_out(self, agent, said, now_s):
        step_ids = [step.step_id for step in said.steps]
        # Its frame acknowledges the plan as well.
        agent.session.confirm(now_s)
        started = StepStarted(operation_id=said.operation_id, leg=said.leg, step_id=step_ids[0])
        agent.session.send(wire.encode(started), now_s, reliable=False)
        outcomes = {step_id: Outcome(ok=True, duration_s=0.5) for step_id in step_ids}
        outcomes[step_ids[-1]] = Outcome(ok=True, duration_s=0.5, result={"deploy_id": said.operation_id})
        ended = LegEnded(
            operation_id=said.operation_id, leg=said.leg, undo=False, status=LegStatus.DONE, outcomes=outcomes
        )
        self.carried += 1
        self.carried_at_s = now_s
        if self.boots:
            agent.session.send(wire.encode(ended), now_s)
        else:
            self.ended.append((agent, wire.encode(ended)))

    def on_confirm(self, _agent, said, now_s):
        self.confirmed += len(said.operations)
        self.confirmed_at_s = now_s

    def obey(self, line):
        """Do as the line says."""
        if line == "told":
            say(
                json.dumps(
                    {
                        "carried": self.carried,
                        "carried_at_s": self.carried_at_s,
                        "confirmed": self.confirmed,
                        "confirmed_at_s": self.confirmed_at_s,
                    }
                )
            )
        if line == "boot":
            self.boots = True
            ended, self.ended = self.ended, []
            now_s = time.monotonic()
            for agent, message in ended:
                agent.session.send(message, now_s)
                self.serve(agent)


def say(text):
    """Tell the process that waits for it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Player(json.loads((Path(sys.argv[1]) / "agents.json").read_text())).run()
    os._exit(0)

"""What 2,000 agents cost their gateway in CPU and memory, with real sockets and CURVE; and messages a second.

Gateway and agents are processes of their own, and only the gateway's is measured.
"""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from innkeeper_hostagent.protocol import keys, sockets
from innkeeper_hostagent.protocol.gateway import Gateway
from innkeeper_hostagent.protocol.link import Link
from innkeeper_hostagent.protocol.messages import Heartbeat, Hello, Observed, Welcome
from innkeeper_plugins.vocabulary import DatastoreFacts

AGENTS = 2_000
INTERVAL_S = 5.0
MEASURED_S = 20.0
MESSAGES = 20_000
BURST = 200
CPU_BOUND = 10.0
MEMORY_BOUND = 60.0


def rss_kb():
    """Return the process's resident memory in thousands of bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1000


def raise_file_limit():
    """Allow as many descriptors as the machine does: an agent takes several."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(**facts):
    """Tell the process that waits for it."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


# --- the gateway's process -------------------------------------------------------------------------------------------


class Host:
    """A gateway for as many hosts as come, each known as soon as it asks."""

    def __init__(self, loop, interval_s):
        self.own = keys.generate()
        self.hosts = {}
        self.received = 0
        self.gateway = Gateway(
            "tcp://127.0.0.1:0",
            self.own,
            loop=loop,
            host_of_key=lambda public_key: self.hosts.setdefault(public_key, len(self.hosts)),
            on_message=self.on_message,
            on_join=lambda _key, _message: None,
            on_connected=self.on_connected,
            on_lost=lambda host_id: say(lost=host_id),
            heartbeat_interval_s=interval_s,
        )
        self.interval_s = interval_s
        self.gateway.start()

    def on_message(self, host_id, _message):
        self.received += 1
        self.gateway.confirm(host_id)

    def on_connected(self, host_id, hello):
        return Welcome(host_id=host_id, host_name=hello.host_name, heartbeat_interval_s=self.interval_s)


async def gateway_process():
    """Serve; measure from the moment when all are there."""
    host = Host(asyncio.get_running_loop(), INTERVAL_S)
    empty_kb = rss_kb()
    say(endpoint=host.gateway.endpoint, key=host.own.public)
    while len(host.gateway.connected) < AGENTS:  # noqa: ASYNC110 - a gateway tells of every agent, not of all
        await asyncio.sleep(0.1)
    # Every agent has spoken and been spoken to.
    await asyncio.sleep(2 * INTERVAL_S)
    received, cpu_s, start_s = host.received, time.process_time(), time.monotonic()
    await asyncio.sleep(MEASURED_S)
    elapsed_s = time.monotonic() - start_s
    say(
        cpu_percent=100 * (time.process_time() - cpu_s) / elapsed_s,
        heartbeats_per_s=(host.received - received) / elapsed_s,
        kb_per_agent=(rss_kb() - empty_kb) / AGENTS,
        connected=len(host.gateway.connected),
    )
    host.gateway.close()


# --- the agents' process ---------------------------------------------------------------------------------------------


class Agent:
    """A link that heartbeats."""

    def __init__(self, loop, context, endpoint, key):
        self.loop = loop
        self.beat = Heartbeat(
            cpu_used_cores=1.5,
            memory_used_mib=2048,
            datastores=(DatastoreFacts(name="default", total_mib=100_000, free_mib=50_000),),
            clock_s=1e9,
        )
        self.link = Link(
            endpoint,
            key,
            keys.generate(),
            loop=loop,
            hello=lambda: Hello(major=1, minor=0, agent_version="0", host_name="host"),
            on_welcome=lambda welcome: self.heartbeat(welcome.heartbeat_interval_s),
            on_refused=lambda refused: say(refused=refused.code),
            on_message=lambda _message: None,
            on_lost=lambda: None,
            context=context,
        )
        self.link.start()

    def heartbeat(self, interval_s):
        self.link.confirm()
        self.link.send(self.beat)
        self.loop.call_later(interval_s, self.heartbeat, interval_s)


async def agents_process(endpoint, key):
    """Be all agents until standard input ends."""
    loop = asyncio.get_running_loop()
    context = sockets.new_context()
    agents = []
    for _ in range(AGENTS):
        agents.append(Agent(loop, context, endpoint, key))
        await asyncio.sleep(INTERVAL_S / AGENTS)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


# --- measuring -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def process(*arguments):
    """Run this file in another process."""
    argv = [sys.executable, __file__, *arguments]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.communicate()


def fleet():
    """Return what the gateway's process says of 2,000 agents."""
    with process("gateway") as gateway:
        address = json.loads(gateway.stdout.readline())
        with process("agents", address["endpoint"], address["key"]):
            return json.loads(gateway.stdout.readline())


async def messages_per_s():
    """Return how many reliable messages one agent gets to its gateway in a second, both in this process."""
    loop = asyncio.get_running_loop()
    host = Host(loop, 60.0)
    welcomed = asyncio.Event()
    link = Link(
        host.gateway.endpoint,
        host.own.public,
        keys.generate(),
        loop=loop,
        hello=lambda: Hello(major=1, minor=0, agent_version="0", host_name="host"),
        on_welcome=lambda _welcome: welcomed.set(),
        on_refused=lambda _refused: None,
        on_message=lambda _message: None,
        on_lost=lambda: None,
    )
    link.start()
    await welcomed.wait()
    start_s = time.perf_counter()
    sent = 0
    while host.received < MESSAGES:
        while sent < MESSAGES and sent - host.received < BURST:
            link.send(Observed(guests=()))
            sent += 1
        await asyncio.sleep(0)
    rate = MESSAGES / (time.perf_counter() - start_s)
    link.close()
    host.gateway.close()
    return rate


def rows():
    """Measure."""
    raise_file_limit()
    rate = asyncio.run(messages_per_s())
    told = fleet()
    told.setdefault("cpu_percent", float("inf"))
    return [
        {
            "name": f"gateway: {AGENTS} agents at {INTERVAL_S:g} s, CPU of a core",
            "value": told["cpu_percent"],
            "unit": "%",
            "bound": f"<= {CPU_BOUND:g}",
            "holds": told["cpu_percent"] <= CPU_BOUND and told["connected"] == AGENTS,
        },
        {
            "name": "gateway: memory of an agent",
            "value": told["kb_per_agent"],
            "unit": "KB",
            "bound": f"<= {MEMORY_BOUND:g}",
            "holds": told["kb_per_agent"] <= MEMORY_BOUND,
        },
        {
            "name": "gateway: heartbeats received",
            "value": told["heartbeats_per_s"],
            "unit": "/s",
            "bound": None,
            "holds": None,
        },
        {
            "name": "gateway and link in one process: reliable messages",
            "value": rate,
            "unit": "/s",
            "bound": None,
            "holds": None,
        },
    ]


if __name__ == "__main__":
    raise_file_limit()
    if sys.argv[1] == "gateway":
        asyncio.run(gateway_process())
    else:
        asyncio.run(agents_process(sys.argv[2], sys.argv[3]))

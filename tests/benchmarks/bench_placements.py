"""Distinct VMs on 10,000 connected hosts: placements that are durable and that their hosts have acknowledged.

The controller is a process of its own, with HTTP, SQLite on the real disk and CURVE; processes beside it play the
agents (``many_links.py``), on the same cores. The hosts are in the database before the controller starts, as after a
restart. All VMs wait, since no host may have their network; one request changes that, and the time runs from there
until the last plan was acknowledged by its host. The ends of the plans come afterwards and are measured apart.
"""

import contextlib
import json
import os
import random
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec
import psutil
from bench_submit import LAN, Caller, row
from fleet import Fleet, fleet
from many_links import DATASTORES

from innkeeper_controller.client import Client
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.config import Config
from innkeeper_controller.records import Host, HostState
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_hostagent.protocol import keys
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    DriverFacts,
    DriverKind,
    HostId,
)

HERE = Path(__file__).resolve().parent
HOSTS = int(os.environ.get("BENCH_PLACEMENTS_HOSTS", "10000"))
VMS = int(os.environ.get("BENCH_PLACEMENTS_VMS", "6000"))
#: Processes that play the agents: each agent takes two open files.
PLAYERS = 2
CLIENTS = 16
RACKS = 100
#: VMs of one placement group, which keep away from each other.
GROUP_SIZE = 10
SEED = 4
MIN_PER_S = 1_500
MAX_SILENCE_S = 0.1
START_TIMEOUT_S = 300.0
TIMEOUT_S = 600.0
PING_EVERY_S = 0.01

#: Shapes of hosts: cores, MiB.
SHAPES = ((32.0, 131_072), (64.0, 262_144), (64.0, 524_288), (128.0, 524_288))
ADVERTISEMENTS = tuple(
    Advertisement(
        capacity=Capacity(cpu_cores=cores, memory_mib=mib),
        drivers=(
            DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated", capabilities=("live_migration",)),
            DriverFacts(kind=DriverKind.TRANSFER, name="simulated", capabilities=()),
        ),
        datastores=tuple(DatastoreFacts(name=name, total_mib=8_000_000, free_mib=8_000_000) for name in DATASTORES),
        facts={"ARCH": "x86_64", "CPUSPEED": 2400},
    )
    for cores, mib in SHAPES
)


# --- who there is ----------------------------------------------------------------------------------------------------


def hosts_of(own: Sequence[keys.KeyPair]) -> Iterator[Host]:
    """Give the hosts as they were when the controller ended."""
    for number, pair in enumerate(own):
        yield Host(
            host_id=HostId(number + 1),
            name=f"h{number}",
            state=HostState.ON,
            public_key=pair.public,
            advertisement=ADVERTISEMENTS[number % len(SHAPES)],
            labels={"RACK": f"r{number % RACKS}", "ZONE": f"z{number % 3}"},
        )


def known(state_dir: Path, hosts: Sequence[Host]) -> None:
    """Write the hosts into the database of a controller that has not started yet."""
    state_dir.mkdir(mode=0o700)
    turn = Turn(Cluster(), Settings(cluster_id=""), time.time(), "controller")
    turn.cluster.last_ids["host"] = 0
    for host in hosts:
        turn.put(host)
    turn.event("host.joined", "host:1")
    engine = open_engine(Config(state_dir=state_dir).database_url)
    bring_up(engine)
    written = threading.Event()
    writer = Writer(engine, durable=lambda _number: written.set(), stalled=print, failed=print)
    writer.start()
    writer.submit(Batch(1, [Transaction(turn.changes, turn.events, [""], 1)], dict(turn.cluster.last_ids)))
    writer.close()
    engine.dispose()
    if not written.is_set():
        raise RuntimeError("the hosts were not written")


class Players:
    """The processes that play the agents."""

    def __init__(self, started: Fleet, own: Sequence[keys.KeyPair]) -> None:
        """Let all agents connect."""
        self._processes = [self._start(started, own, part) for part in range(PLAYERS)]
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the agents have not connected")

    def _start(self, started: Fleet, own: Sequence[keys.KeyPair], part: int) -> "subprocess.Popen[str]":
        directory = started.journals / f"player-{part}"
        directory.mkdir(mode=0o700)
        told = {
            "endpoint": started.agents_endpoint,
            "server_key": started.public_key,
            "advertisements": msgspec.to_builtins(ADVERTISEMENTS),
            "agents": [
                (pair.public, pair.secret.reveal(), number % len(SHAPES))
                for number, pair in list(enumerate(own))[part::PLAYERS]
            ],
        }
        (directory / "agents.json").write_text(json.dumps(told))
        argv = [sys.executable, str(HERE / "many_links.py"), str(directory)]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line: str) -> None:
        """Tell all of them."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def seen(self, what: str) -> tuple[int, float]:
        """Return how many plans were ``carried`` or ``confirmed``, and the moment of the last one."""
        self.say("told")
        answers = [json.loads(process.stdout.readline()) for process in self._processes if process.stdout is not None]
        return sum(each[what] for each in answers), max(each[f"{what}_at_s"] for each in answers)

    def wait(self, what: str, count: int) -> float:
        """Wait until so many plans were ``carried`` or ``confirmed``; return the moment of the last one."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            number, at_s = self.seen(what)
            if number >= count:
                return at_s
            time.sleep(0.1)
        raise RuntimeError(f"{number} of {count} plans were {what}")

    def cpu_s(self) -> float:
        """Return what they have used."""
        return sum(cpu_s(process.pid) for process in self._processes)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate()


def cpu_s(pid: int) -> float:
    """Return what a process has used, all its threads together."""
    return sum(psutil.Process(pid).cpu_times()[:2])


# --- what is asked ---------------------------------------------------------------------------------------------------


def templates(count: int) -> Iterator[str]:
    """Give VMs of which no two ask for the same."""
    drawn = random.Random(SEED)
    for number in range(count):
        yield (
            f'NAME = "bench-{number}"\n'
            f"CPU = {drawn.randint(1, 64) / 4}\n"
            f"MEMORY = {drawn.randint(128, 32_768)}\n"
            f'DISK = [ TYPE = fs, SIZE = {drawn.randint(1, 204_800)}, DATASTORE = "{drawn.choice(DATASTORES)}" ]\n'
            'NIC = [ NETWORK = "lan" ]\nHYPERVISOR = "simulated"\n'
            f'SCHED_REQUIREMENTS = "{requirement(number % 20)}"\n'
            f'PLACEMENT_GROUP = "g{number // GROUP_SIZE}"\n'
            f'ANTI_AFFINITY = [ GROUP = "g{number // GROUP_SIZE}" ]\n'
        )


def requirement(number: int) -> str:
    """Return one of twenty requirements."""
    return (
        f'RACK != \\"r{number}\\"',
        f'ZONE = \\"z{number % 3}\\" | FREE_CPU > {100 * number}',
        f'FREE_CPU > {50 * number} & RACK != \\"r{number}\\"',
        f'CPUSPEED > {1000 + number} & !(RACK = \\"r{number}\\")',
    )[number % 4]


def submitted(started: Fleet, texts: Iterator[str]) -> list[int]:
    """Submit VMs from several clients at once and return their ids."""
    head = f"POST /v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {started.token}\r\n"
    ids: list[int] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(CLIENTS):
            caller = Caller(started.endpoint, head)
            caller.ask(json.dumps({"template": next(texts)}).encode())
            selector.register(caller.socket, selectors.EVENT_READ, caller)
        while selector.get_map():
            for key, _ in selector.select():
                answer = key.data.answered()
                if answer is None:
                    continue
                ids += json.loads(answer)["vm_ids"]
                text = next(texts, None)
                if text is None:
                    selector.unregister(key.data.socket)
                    key.data.socket.close()
                else:
                    key.data.ask(json.dumps({"template": text}).encode())
    return ids


class Pings:
    """Somebody who asks for something small all the time."""

    def __init__(self, started: Fleet) -> None:
        self._client = Client(started.endpoint, started.token)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.times_s: list[float] = []

    def _run(self) -> None:
        while not self._ends.wait(PING_EVERY_S):
            began_s = time.perf_counter()
            self._client.call("system.whoami")
            self.times_s.append(time.perf_counter() - began_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


# --- measuring -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Fleet, Players]]:
    """Give a controller with all hosts connected, and no host that may have the network."""
    own = [keys.generate() for _ in range(HOSTS)]
    with fleet(prepare=lambda state_dir: known(state_dir, list(hosts_of(own)))) as started:
        for name in DATASTORES[1:]:
            started.client.call("datastore.add", name=name, driver="simulated")
        started.simulate_storage()
        started.client.call("network.add", **LAN)
        started.client.call("cluster.del_network", cluster="default", network="lan")
        players = Players(started, own)
        try:
            yield started, players
        finally:
            players.close()


def rows() -> list[dict[str, object]]:
    """Measure."""
    with cluster() as (started, players):
        ids = submitted(started, templates(VMS))
        assert sorted(ids) == list(range(VMS)), "an id was given twice, or left out"
        pid = started.controller.pid
        before_s, players_before_s, commits = cpu_s(pid), players.cpu_s(), started.commits()
        with Pings(started) as pings:
            began_s = time.monotonic()
            started.client.call("cluster.add_network", cluster="default", network="lan")
            took_s = players.wait("carried", VMS) - began_s
        used_s, players_s = cpu_s(pid) - before_s, players.cpu_s() - players_before_s
        commits = started.commits() - commits
        before_s, began_s = cpu_s(pid), time.monotonic()
        players.say("boot")
        ended_s = players.wait("confirmed", VMS) - began_s
        ends_s = cpu_s(pid) - before_s
        running = {vm["vm_id"] for vm in started.client.call("vm.list", limit=10_000, state="RUNNING")}
        assert running == set(ids), f"{len(running)} VMs are RUNNING"
        assert started.client.call("system.verify")["findings"] == []
    per_s, silence_s = VMS / took_s, max(pings.times_s)
    name = f"placements of {VMS} distinct VMs on {HOSTS} hosts, durable and acknowledged"
    return [
        row(name, per_s, "/s", f">= {MIN_PER_S}", holds=per_s >= MIN_PER_S),
        row("controller's CPU for each placement", used_s / VMS * 1e6, "us"),
        row(f"agents' CPU for each, {PLAYERS} processes on the same cores", players_s / VMS * 1e6, "us"),
        row("commits for all placements", commits, ""),
        row(
            "longest answer to somebody else meanwhile",
            silence_s,
            "s",
            f"<= {MAX_SILENCE_S}",
            holds=silence_s <= MAX_SILENCE_S,
        ),
        row("the same VMs, from the ends of all plans to RUNNING", VMS / ended_s, "/s"),
        row("controller's CPU for each end", ends_s / VMS * 1e6, "us"),
    ]


if __name__ == "__main__":
    for each in rows():
        print(each)  # noqa: T201 - run by hand

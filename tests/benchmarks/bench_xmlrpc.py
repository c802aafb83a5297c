"""OpenNebula's interface under load: calls a second, lists beside the same bytes ready made, idle and hostile."""

import contextlib
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from bench_deploy import fsync_p50_s
from fleet import Fleet, fleet
from rpc import TEMPLATE, Connection, call, fill, percentile_ms, ready_made, storm

YES, NO = True, False
CLIENTS = 16
ALLOCATIONS = 4_000
READS = 6_000
MIXED = 4_000
VMS = 10_000
LIST_ROUNDS = 15
FLEET_VMS, FLEET_HOSTS = 20_000, 1_250
DEPLOYED, DEPLOY_HOSTS = 1_000, 100
IDLE, IDLE_ROUNDS, IDLE_CALLS = 1_000, 4, 5_000
HOSTILE_MEMORY_MB = 20.0
DEPLOY_TEMPLATE = 'NAME = "bench"\nCPU = 0.1\nMEMORY = 16\nDISK = [ TYPE = fs, SIZE = 1 ]\nHYPERVISOR = "simulated"\n'
#: Hosts of a filled store have no agents; nobody is to notice.
_NOBODY_MISSES_HOSTS = 'unknown_after_s = 1e9\nscheduler = "none"'

Row = dict[str, object]


def row(name: str, value: float, unit: str, bound: str | None = None, *, holds: bool | None = None) -> Row:
    """Return a row of the report."""
    return {"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds}


def session_of(started: Fleet) -> str:
    """Return what ONE_AUTH has."""
    return (started.directory / "controller" / "one_auth").read_text().strip()


@contextlib.contextmanager
def filled(*, hosts: int, vms: int) -> Iterator[Fleet]:
    """Give a controller with so many VMs in its pool."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-", dir="/var/tmp") as directory:
        fill(Path(directory) / "controller", hosts=hosts, vms=vms)
        started = Fleet(Path(directory), options=_NOBODY_MISSES_HOSTS)
        try:
            yield started
        finally:
            started.close()


def allocations() -> Iterator[Row]:
    """Measure durable submissions."""
    with fleet(options='scheduler = "none"') as started:
        body = call(session_of(started), "one.vm.allocate", TEMPLATE, YES)
        storm(started.endpoint, lambda _: body, 500, CLIENTS)
        fsync_s, before = fsync_p50_s(), started.commits()
        per_s, took_s = storm(started.endpoint, lambda _: body, ALLOCATIONS, CLIENTS)
        fsyncs = started.commits() - before
    p99_ms, words = percentile_ms(took_s, 0.99), f"{CLIENTS} connections, fsync p50 {fsync_s * 1000:.2f} ms"
    yield row(f"one.vm.allocate, durable, {words}", per_s, "/s", ">= 1500", holds=per_s >= 1500)
    yield row(f"one.vm.allocate, p99, {words}", p99_ms, "ms", "<= 40", holds=p99_ms <= 40)
    each = fsyncs / ALLOCATIONS
    yield row("one.vm.allocate, fsyncs a call", each, "", "<= 1 (one a batch)", holds=each <= 1)


def infos(started: Fleet) -> Iterator[Row]:
    """Measure reads of one VM."""
    session = session_of(started)
    chance = random.Random(5)
    bodies = [call(session, "one.vm.info", chance.randrange(VMS), NO) for _ in range(READS)]
    # Whoever polls has seen each VM once.
    Connection(started.endpoint).once(call(session, "one.vmpool.infoextended", -2, -1, -1, -1))
    storm(started.endpoint, lambda number: bodies[number], 1000, CLIENTS)
    per_s, took_s = storm(started.endpoint, lambda number: bodies[number], READS, CLIENTS)
    p99_ms = percentile_ms(took_s, 0.99)
    words = f"one.vm.info of {VMS:,} VMs, {CLIENTS} connections"
    yield row(words, per_s, "/s", ">= 3000", holds=per_s >= 3000)
    yield row(f"{words}, p99", p99_ms, "ms", "<= 15", holds=p99_ms <= 15)


def lists(started: Fleet) -> Iterator[Row]:
    """Measure whole pools beside the same bytes ready made, in turns."""
    session = session_of(started)
    for method in ("one.vmpool.info", "one.vmpool.infoextended"):
        ask = call(session, method, -2, -1, -1, -1)
        rename = [call(session, "one.vm.rename", 5, f"web-{number}") for number in range(LIST_ROUNDS)]
        connection = Connection(started.endpoint)
        connection.keeps_all = True
        body = connection.once(ask)
        connection.keeps_all = False
        ours, changed, peers = [], [], []
        with ready_made(body, started.directory) as endpoint:
            peer = Connection(endpoint)
            for number in range(LIST_ROUNDS):
                ours.append(_took_s(connection, ask))
                peers.append(_took_s(peer, ask))
                if b"<boolean>1<" not in connection.once(rename[number]):
                    raise RuntimeError("the VM was not renamed")
                changed.append(_took_s(connection, ask))
        peer_s = statistics.median(peers)
        words = f"{method}, {VMS:,} VMs, {len(body) / 1e6:.1f} MB"
        told = f" (ready made {peer_s * 1000:.1f} ms)"
        ratio, again = statistics.median(ours) / peer_s, statistics.median(changed) / peer_s
        yield row(words + told, statistics.median(ours) * 1000, "ms")
        yield row(words, ratio, "x ready made", "<= 1.5", holds=ratio <= 1.5)
        yield row(f"{words}, after one VM changed", again, "x ready made", "<= 1.6", holds=again <= 1.6)


def _took_s(connection: Connection, body: bytes) -> float:
    began_s = time.perf_counter()
    connection.once(body)
    return time.perf_counter() - began_s


def mixed() -> Iterator[Row]:
    """Measure the load that OpenNebula's authors publish."""
    chance = random.Random(7)
    with filled(hosts=FLEET_HOSTS, vms=FLEET_VMS) as started:
        session = session_of(started)
        kinds = {
            "host.info": lambda: call(session, "one.host.info", 1 + chance.randrange(FLEET_HOSTS), NO),
            "hostpool.info": lambda: call(session, "one.hostpool.info"),
            "vm.info": lambda: call(session, "one.vm.info", chance.randrange(FLEET_VMS), NO),
            "vmpool.info": lambda: call(session, "one.vmpool.info", -2, 100 * chance.randrange(200), -100, -1),
        }
        names = chance.choices(list(kinds), weights=[30, 20, 30, 20], k=MIXED)
        bodies = [kinds[name]() for name in names]
        storm(started.endpoint, lambda number: bodies[number], 400, CLIENTS)
        per_s, took_s = storm(started.endpoint, lambda number: bodies[number], MIXED, CLIENTS)
    words = f"{FLEET_HOSTS:,} hosts, {FLEET_VMS:,} VMs: host.info 30 %, hostpool 20 %, vm.info 30 %, vmpool by 100 20 %"
    yield row(words, per_s, "/s", ">= 1000", holds=per_s >= 1000)
    yield row("the same, p99", percentile_ms(took_s, 0.99), "ms")


def deployments() -> Iterator[Row]:
    """Measure from the first submission until all run."""
    with fleet() as started:
        started.simulate_storage()
        started.add_hosts(DEPLOY_HOSTS)
        session = session_of(started)
        submit = call(session, "one.vm.allocate", DEPLOY_TEMPLATE)
        running = call(session, "one.vmpool.info", -2, -1, -1, 3)
        fsync_s = fsync_p50_s()
        began_s = time.perf_counter()
        storm(started.endpoint, lambda _: submit, DEPLOYED, 8)
        connection = Connection(started.endpoint)
        connection.keeps_all = True
        while connection.once(running).count(b"&lt;LCM_STATE>3&lt;") < DEPLOYED:
            time.sleep(0.02)
        took_s = time.perf_counter() - began_s
    words = f"{DEPLOYED} VMs by XML-RPC to all RUNNING on {DEPLOY_HOSTS} hosts, fsync p50 {fsync_s * 1000:.2f} ms"
    yield row(words, took_s, "s", "<= 5", holds=took_s <= 5)


def idle(started: Fleet) -> Iterator[Row]:
    """Measure others' calls while many connections are open and say nothing; in turns, since the machine is noisy."""
    body = call(session_of(started), "one.vm.info", 7, NO)
    alone: list[float] = []
    beside: list[float] = []
    parts = urlsplit(started.endpoint)
    for _ in range(IDLE_ROUNDS):
        # The ends of the connections before belong to neither.
        storm(started.endpoint, lambda _: body, 300, CLIENTS)
        alone += storm(started.endpoint, lambda _: body, IDLE_CALLS, CLIENTS)[1]
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE):
                stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
            storm(started.endpoint, lambda _: body, 300, CLIENTS)
            beside += storm(started.endpoint, lambda _: body, IDLE_CALLS, CLIENTS)[1]
    alone_ms, beside_ms = percentile_ms(sorted(alone), 0.99), percentile_ms(sorted(beside), 0.99)
    words = f"p99 with {IDLE:,} idle connections (alone {alone_ms:.1f} ms)"
    yield row(words, beside_ms / alone_ms, "x alone", "<= 1.2", holds=beside_ms <= 1.2 * alone_ms)


def hostile(started: Fleet) -> Iterator[Row]:
    """Measure what hostile bodies cost, with and without a login."""
    process = psutil.Process(started.controller.pid)
    good = session_of(started)
    call_of_entity = b"<methodCall><methodName>&b;</methodName></methodCall>"
    entities = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]>' + call_of_entity
    for who, session in (("without a login", "nobody:nothing"), ("with a login", good)):
        bodies = {
            "50 MB template": call(session, "one.vm.allocate", "A" * 50_000_000),
            "a million nested elements": b"<methodCall>" + b"<value>" * 1_000_000,
            "entities": entities,
        }
        for what, body in bodies.items():
            before_mb = process.memory_info().rss / 1e6
            took_s, most_mb = _refused(started.endpoint, body, process)
            more_mb = max(0.0, most_mb - before_mb)
            yield row(f"{what}, {who}: refused", took_s * 1000, "ms", "<= 100", holds=took_s <= 0.1)
            yield row(
                f"{what}, {who}: memory",
                more_mb,
                "MB more",
                f"<= {HOSTILE_MEMORY_MB:.0f}",
                holds=more_mb <= HOSTILE_MEMORY_MB,
            )


def _refused(endpoint: str, body: bytes, process: psutil.Process) -> tuple[float, float]:
    """Return how long it took until the refusal was there, and how much memory the controller had then."""
    parts = urlsplit(endpoint)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        began_s = time.perf_counter()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(body)
        with contextlib.suppress(ConnectionResetError):
            connection.recv(65536)
        return time.perf_counter() - began_s, process.memory_info().rss / 1e6


def never_ending(started: Fleet) -> Iterator[Row]:
    """Measure others' calls while many requests never come to their end."""
    body = call(session_of(started), "one.vm.info", 7, NO)
    alone = percentile_ms(storm(started.endpoint, lambda _: body, READS, CLIENTS)[1], 0.99)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = Connection(started.endpoint)
            stack.callback(connection.socket.close)
            connection.socket.sendall(
                b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"<" * 1000
            )
        beside = percentile_ms(storm(started.endpoint, lambda _: body, READS, CLIENTS)[1], 0.99)
    yield row(f"p99 with 200 requests that never end (alone {alone:.1f} ms)", beside / alone, "x alone")


def rows() -> list[Row]:
    """Measure."""
    found = [*allocations()]
    with filled(hosts=100, vms=VMS) as started:
        for part in (infos, lists, idle, never_ending, hostile):
            found += part(started)
    return [*found, *mixed(), *deployments()]

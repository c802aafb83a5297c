"""Durable submissions over HTTP: how many a second, against what the store alone can do, and one large request."""

import json
import os
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from fleet import Fleet, fleet

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import AddressRange, User
from innkeeper_controller.requests.networks import AddNetwork
from innkeeper_controller.requests.vms import SubmitVm
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.rows import Answer, Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer

CLIENTS = 16
REQUESTS = 3_000
WARM_UP = 500
BULK = 10_000
RUNS = 3
MIN_PER_S = 1_500
MIN_OF_BARE = 0.3
MAX_BULK_S = 2.0
TEMPLATE = 'NAME = web\nCPU = 0.5\nMEMORY = 128\nNIC = [ NETWORK = "lan" ]\nCONTEXT = [ NETWORK = "YES" ]\n'
LAN = {"name": "lan", "ranges": [{"size": 65_000, "ip": "10.1.0.1"}], "gateway": "10.0.0.1"}


class Caller:
    """One client with a connection of its own, that asks again as soon as it is answered."""

    def __init__(self, endpoint: str, head: str) -> None:
        parts = urlsplit(endpoint)
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = head
        self._received = b""

    def ask(self, body: bytes) -> None:
        head = f"{self._head}X-Request-Id: {os.urandom(12).hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def answered(self) -> bytes | None:
        """Return the answer's body; None while it has not come completely.

        Raises:
            RuntimeError: it is no success.
        """
        self._received += self.socket.recv(65536)
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self._received.decode())
        self._received = b""
        return body


def many(started: Fleet, count: int) -> list[int]:
    """Submit VMs from all clients at once and return their ids."""
    head = f"POST /v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {started.token}\r\n"
    body = json.dumps({"template": TEMPLATE}).encode()
    ids: list[int] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(CLIENTS):
            caller = Caller(started.endpoint, head)
            selector.register(caller.socket, selectors.EVENT_READ, caller)
            caller.ask(body)
        asked = CLIENTS
        while len(ids) < count:
            for key, _ in selector.select():
                answer = key.data.answered()
                if answer is not None:
                    ids += json.loads(answer)["vm_ids"]
                    if asked < count:
                        key.data.ask(body)
                        asked += 1
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return ids


def submissions(count: int) -> Iterator[tuple[Transaction, dict[str, int]]]:
    """Give what the reactor makes of as many submissions, ready to be written."""
    cluster = Cluster()
    reactor = Reactor(cluster, Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000"), os.urandom)
    user = User(name="oneadmin", user_id=0, groups=("oneadmin",))
    ranges = (AddressRange(size=65_000, ip="10.1.0.1"),)
    reactor.request("network.add", AddNetwork(name="lan", ranges=ranges), user=user, request_id="", now_s=1.0)
    for number in range(count):
        name = os.urandom(12).hex()
        turn, _ = reactor.request("vm.submit", SubmitVm(template=TEMPLATE), user=user, request_id=name, now_s=1.0)
        answer = Answer(name, user.name, "0" * 64, b'{"vm_ids":[%d]}' % number, 1.0)
        owners = [user.name] * len(turn.events)
        yield Transaction(turn.changes, turn.events, owners, 1 + number, answer), dict(cluster.last_ids)


class Store:
    """The store alone: one group-committing writer, and threads that wait for it."""

    def __init__(self, path: Path) -> None:
        self._engine = open_engine(f"sqlite:///{path}")
        bring_up(self._engine)
        self._writer = Writer(self._engine, durable=self._on_durable, stalled=print, failed=print)
        self._lock = threading.Lock()
        self._waiting: dict[int, threading.Event] = {}
        self._durable_until = 0

    def _on_durable(self, number: int) -> None:
        for each in range(self._durable_until + 1, number + 1):
            self._waiting.pop(each).set()
        self._durable_until = number

    def _write_all(self, prepared: Iterator[tuple[int, tuple[Transaction, dict[str, int]]]]) -> None:
        while True:
            with self._lock:
                number, (transaction, last_ids) = next(prepared, (0, (Transaction(), {})))
                if not number:
                    return
                written = self._waiting[number] = threading.Event()
                self._writer.submit(Batch(number, [transaction], last_ids))
            written.wait()

    def measure(self, count: int) -> float:
        """Return how many submissions a second become durable."""
        prepared = enumerate(list(submissions(count)), start=1)
        threads = [threading.Thread(target=self._write_all, args=(prepared,)) for _ in range(CLIENTS)]
        self._writer.start()
        began_s = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took_s = time.perf_counter() - began_s
        self._writer.close()
        self._engine.dispose()
        return count / took_s


def rows() -> list[dict[str, object]]:
    """Measure; the two that are compared take turns, so that a noisy machine is as bad to both."""
    with fleet() as started:
        started.client.call("network.add", **LAN)
        ids = many(started, WARM_UP)
        process = psutil.Process(started.controller.pid)
        cpu_s, took_s, bare_per_s = 0.0, [], []
        for number in range(RUNS):
            cpu_before_s, began_s = sum(process.cpu_times()[:2]), time.perf_counter()
            ids += many(started, REQUESTS)
            took_s.append(time.perf_counter() - began_s)
            cpu_s += sum(process.cpu_times()[:2]) - cpu_before_s
            bare_per_s.append(Store(started.directory / f"bare-{number}.db").measure(REQUESTS))
        if sorted(ids) != list(range(WARM_UP + RUNS * REQUESTS)):
            raise RuntimeError("an id was given twice, or left out")
        began_s = time.perf_counter()
        bulk = started.client.call("vm.submit", template=TEMPLATE, count=BULK)["vm_ids"]
        bulk_s = time.perf_counter() - began_s
    if len(bulk) != BULK:
        raise RuntimeError(f"{len(bulk)} of {BULK} VMs were made")
    per_s, bare = REQUESTS / statistics.median(took_s), statistics.median(bare_per_s)
    cpu_us = cpu_s / (RUNS * REQUESTS) * 1e6
    return [
        row("durable submissions, 16 clients over HTTP", per_s, "/s", f">= {MIN_PER_S}", holds=per_s >= MIN_PER_S),
        row("the same submissions, group commit alone, 16 threads", bare, "/s"),
        row("of what group commit alone does", per_s / bare, "x", ">= 0.3", holds=per_s >= MIN_OF_BARE * bare),
        row("controller's CPU for each submission", cpu_us, "us"),
        row("one request of 10,000 VMs", bulk_s, "s", f"<= {MAX_BULK_S}", holds=bulk_s <= MAX_BULK_S),
    ]


def row(
    name: str, value: float, unit: str, bound: str | None = None, *, holds: bool | None = None
) -> dict[str, object]:
    """Return a row of the report."""
    return {"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds}

"""What the benchmarks of OpenNebula's interface share: clients that ask as soon as they are answered, full stores."""

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.furniture import furnish
from innkeeper_controller.records import ADMINS, HistoryRecord, Host, HostState, VmRecord
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Disk,
    DiskFormat,
    DiskKind,
    HostId,
    Nic,
    Vm,
    VmId,
    VmState,
)

TEMPLATE = 'NAME = web\nCPU = 0.5\nMEMORY = 128\nCONTEXT = [ NETWORK = "YES" ]\n'


def call(session: str, method: str, *arguments: object) -> bytes:
    """Return the body of a call."""
    return xmlrpc.client.dumps((session, *arguments), method).encode()


#: Received at once; larger buffers cost more to touch than they save in calls.
_BUFFER_BYTES = 256 * 1024


class Connection:
    """One connection of one client."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_s = 0.0
        #: Whether the whole of each answer is wanted.
        self.keeps_all = False
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._got: list[bytes] = []
        self._missing = -1

    def ask(self, body: bytes) -> None:
        self._got, self._missing = [], -1
        self.asked_s = time.perf_counter()
        self.socket.sendall(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def answered(self) -> bytes | None:
        """Return the beginning of the answer's body, all of it where ``once`` asked; None while it has not all come."""
        count = self.socket.recv_into(self._buffer)
        if not count:
            raise ConnectionResetError
        if self._missing < 0:
            self._got.append(self._buffer[:count].tobytes())
            head, end, body = b"".join(self._got).partition(b"\r\n\r\n")
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self._got, self._missing = [body], length - len(body)
        else:
            self._missing -= count
            if self.keeps_all:
                self._got.append(self._buffer[:count].tobytes())
        return None if self._missing else b"".join(self._got)

    def once(self, body: bytes) -> bytes:
        """Ask and wait."""
        self.ask(body)
        while (answer := self.answered()) is None:
            pass
        return answer


def storm(
    endpoint: str, bodies: Callable[[int], bytes], count: int, clients: int, check: bytes = b"<boolean>1</boolean>"
) -> tuple[float, list[float]]:
    """Ask ``count`` times from several connections at once; return calls a second, and each one's seconds, sorted."""
    took_s: list[float] = []
    asked = 0
    with selectors.DefaultSelector() as selector:
        began_s = time.perf_counter()
        for _ in range(clients):
            connection = Connection(endpoint)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(bodies(asked))
            asked += 1
        while len(took_s) < count:
            for key, _ in selector.select():
                connection = key.data
                answer = connection.answered()
                if answer is None:
                    continue
                took_s.append(time.perf_counter() - connection.asked_s)
                if check not in answer[:400]:
                    raise RuntimeError(answer[:1000].decode())
                if asked < count:
                    connection.ask(bodies(asked))
                    asked += 1
        per_s = count / (time.perf_counter() - began_s)
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return per_s, sorted(took_s)


def percentile_ms(took_s: list[float], part: float) -> float:
    """Return a percentile of sorted seconds, in milliseconds."""
    return took_s[min(len(took_s) - 1, int(len(took_s) * part))] * 1000


def fill(state_dir: Path, *, hosts: int, vms: int) -> None:
    """Make a store in which so many VMs run on so many hosts, as the controller will find it at its start."""
    state_dir.mkdir(parents=True, mode=0o700)
    engine = open_engine(f"sqlite:///{state_dir.absolute()}/controller.db")
    bring_up(engine)
    cluster = Cluster()
    turn = Turn(cluster, Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000"), 1e9, "controller")
    furnish(turn)
    for number in range(1, hosts + 1):
        turn.put(_host(number))
    for number in range(vms):
        turn.put(_vm(number, 1 + number % hosts))
        turn.put(_stay(number, 1 + number % hosts))
    turn.event("bench.filled", "controller")
    written: list[int] = []
    writer = Writer(engine, durable=written.append, stalled=print, failed=print)
    writer.start()
    writer.submit(Batch(1, [Transaction(turn.changes, turn.events, [""], 1, None)], dict(cluster.last_ids)))
    writer.close()
    engine.dispose()
    if not written:
        raise RuntimeError("the store could not be filled")


def _host(number: int) -> Host:
    facts = DatastoreFacts(name="default", total_mib=1_000_000, free_mib=500_000)
    return Host(
        host_id=HostId(number),
        name=f"node-{number:04}",
        state=HostState.ON,
        connected=True,
        public_key=f"key-{number}",
        advertisement=Advertisement(capacity=Capacity(cpu_cores=64.0, memory_mib=262_144), datastores=(facts,)),
        labels={"rack": f"r{number % 40}"},
    )


def _vm(number: int, host: int) -> VmRecord:
    disk = Disk(
        disk_id=0,
        kind=DiskKind.VOLATILE,
        datastore="default",
        driver="qcow2",
        format=DiskFormat.QCOW2,
        size_bytes=2**30,
        target="vda",
    )
    high, low = number >> 8 & 255, number & 255
    nic = Nic(nic_id=0, network="lan", network_id=0, mac=f"02:00:0a:01:{high:02x}:{low:02x}", ip=f"10.1.{high}.{low}")
    spec = Vm(
        vm_id=VmId(number),
        name=f"web-{number}",
        uuid="0bcc4303-7c3f-5588-a023-28c1dfd0becd",
        generation=1,
        cpu_cores=0.5,
        vcpus=1,
        memory_mib=128,
        hypervisor="libvirt",
        disks=(disk,),
        nics=(nic,),
        context={"NETWORK": "YES", "ETH0_IP": nic.ip, "ETH0_MAC": nic.mac},
    )
    return VmRecord(
        vm_id=VmId(number),
        name=f"web-{number}",
        owner="oneadmin",
        group=ADMINS,
        state=VmState.RUNNING,
        spec=spec,
        template=TEMPLATE,
        host_id=HostId(host),
        deploy_id=f"one-{number}",
        attributes={"LABELS": "bench", "DESCRIPTION": "one of many"},
        submitted_at_s=1e9,
        since_s=1e9,
    )


def _stay(number: int, host: int) -> HistoryRecord:
    return HistoryRecord(
        vm_id=VmId(number),
        seq=0,
        host_id=HostId(host),
        host_name=f"node-{host:04}",
        hypervisor="libvirt",
        transfer="qcow2",
        datastore="default",
        began_at_s=1e9,
        prolog_began_s=1e9,
        prolog_ended_s=1e9,
        running_began_s=1e9,
        action="deploy",
        actor="oneadmin",
        owner="oneadmin",
        group=ADMINS,
    )


@contextlib.contextmanager
def ready_made(body: bytes, directory: Path) -> Iterator[str]:
    """Serve these bytes by the controller's own HTTP server, in a process of its own, and give its endpoint."""
    path = directory / "ready-made"
    path.write_bytes(body)
    argv = [sys.executable, str(Path(__file__).with_name("ready_made.py")), str(path)]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.communicate()

"""A controller with its HTTP side on a free port, agents that are only pretended, and a plain client."""

import asyncio
import contextlib
import functools
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from innkeeper_controller.api.server import HttpServer
from innkeeper_controller.api.service import Service, ServiceLimits
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import Host, HostState, LoginToken, User
from innkeeper_controller.settings import Settings
from innkeeper_controller.shell import Controller, ShellLimits
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.turn import Turn
from innkeeper_controller.uploads import Spool
from innkeeper_hostagent.protocol.messages import ControllerMessage, Hello
from innkeeper_plugins.vocabulary import HostId

TOKENS = {"admin": "admin-token", "ann": "ann-token", "bob": "bob-token"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


@dataclass
class Stream:
    """An answer that goes on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]

    async def next_head(self) -> None:
        """Read status and headers; the status stays 0 where the connection has ended."""
        self.status, self.headers = 0, {}
        line = await self.reader.readline()
        if line:
            self.status = int(line.split()[1])
        while (line := await self.reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            self.headers[name.strip().lower()] = value.strip()

    async def chunk(self) -> bytes:
        """Return the next piece; empty at the end."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def event(self) -> dict[str, str]:
        """Return the fields of the next server-sent event, comments as ``comment``."""
        fields: dict[str, str] = {}
        for line in (await self.chunk()).decode().split("\n")[:-2]:
            name, _, value = line.partition(": ") if not line.startswith(":") else ("comment", "", line[2:])
            fields[name] = value
        return fields

    async def rest(self) -> bytes:
        if "content-length" in self.headers:
            return await self.reader.readexactly(int(self.headers["content-length"]))
        whole = b""
        while data := await self.chunk():
            whole += data
        return whole

    def close(self) -> None:
        self.writer.close()


class FakeLinks:
    def __init__(self) -> None:
        self.sent: list[tuple[int, ControllerMessage]] = []
        self.news = asyncio.Event()

    def send(self, host_id: int, message: ControllerMessage) -> None:
        self.sent.append((host_id, message))
        self.news.set()

    def confirm(self, host_id: int) -> None: ...

    def answer_join(self, public_key: str, message: ControllerMessage) -> None: ...

    async def next(self) -> tuple[int, ControllerMessage]:
        while not self.sent:
            self.news.clear()
            await self.news.wait()
        return self.sent.pop(0)


@dataclass
class Site:
    """Everything of one controller, while it runs."""

    directory: Path
    controller: Controller
    service: Service
    spool: Spool
    links: FakeLinks
    port: int
    streams: list[Stream] = field(default_factory=list)

    async def open(
        self, method: str, path: str, *, token: str = "admin", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Stream:
        """Ask and read the head of the answer."""
        lines = {"Host": "x", "Content-Length": str(len(body))} | (headers or {})
        if token:
            lines["Authorization"] = f"Bearer {TOKENS.get(token, token)}"
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return await self.raw(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def raw(self, data: bytes) -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        stream = Stream(reader, writer, 0, {})
        self.streams.append(stream)
        await stream.next_head()
        return stream

    async def ask(self, method: str, path: str, json_body: object = None, **options) -> Answer:
        body = json.dumps(json_body).encode() if json_body is not None else b""
        stream = await self.open(method, path, **{"body": body} | options)
        content = b"" if method == "HEAD" else await stream.rest()
        stream.close()
        return Answer(stream.status, stream.headers, content)

    async def until(self, holds: Callable[[], object]) -> None:
        """Let the loop turn until something holds."""
        while not holds():  # noqa: ASYNC110 - nobody tells when it does
            await asyncio.sleep(0)

    async def submit(self, token: str = "ann", **params) -> int:
        """Return the number of a new VM."""
        body = {"template": "NAME = web\nCPU = 0.5\nMEMORY = 64\n"} | params
        return (await self.ask("POST", "/v1/vms", body, token=token)).json["vm_ids"][0]

    async def put(self, *records) -> None:
        """Change records as the controller itself does."""

        def turn() -> Turn:
            reactor = self.controller.reactor
            turn = Turn(reactor.cluster, reactor.settings, 1.0, "controller")
            for record in records:
                turn.put(record)
            return turn

        await self.controller.carry_out(turn)

    async def host(self) -> HostId:
        """Return a host that is connected."""
        host_id = HostId(1)
        await self.put(Host(host_id=host_id, name="h1", state=HostState.ON, public_key="key"))
        self.controller.hosts.on_connected(host_id, Hello(major=1, minor=0, agent_version="0", host_name="h"))
        await self.controller.pipeline.settled()
        self.links.sent.clear()
        return host_id


@functools.cache
def empty_store() -> bytes:
    """Return a database in which nothing is: made once, since the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{directory}/controller.db")
        bring_up(engine)
        engine.dispose()
        return (Path(directory) / "controller.db").read_bytes()


@contextlib.asynccontextmanager
async def site_in(directory: Path, **options):
    database = directory / "controller.db"
    if not database.exists():
        database.write_bytes(empty_store())
    engine = open_engine(f"sqlite:///{database}")
    cluster = Cluster()
    cluster.load_records(*Archive(engine).load())
    settings = Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000", public_key="0" * 40)
    moments = iter(range(1000, 10_000_000))
    controller = Controller(
        Reactor(cluster, settings, lambda count: b"\7" * count),
        engine,
        clock=lambda: float(next(moments)),
        entropy=lambda count: b"\7" * count,
        limits=ShellLimits(tick_s=3600.0),
    )
    controller.hosts.links = links = FakeLinks()
    spool = Spool(directory / "uploads", max_bytes=3_000_000, expires_s=60.0)
    limits = ServiceLimits(max_request_bytes=100_000, max_consoles=2)
    service = Service(
        controller, spool, entropy=lambda count: b"\7" * count, fabric=lambda: Counter({"malformed": 3}), limits=limits
    )
    http = HttpServer(service.app, "127.0.0.1:0", max_connections=100, **options)
    http.bind()
    await controller.start()
    await http.start()
    site = Site(directory, controller, service, spool, links, int(http.address.rpartition(":")[2]))
    await site.put(*[user(name) for name in TOKENS])
    try:
        yield site
    finally:
        for stream in site.streams:
            stream.close()
        service.close()
        await http.stop()
        await controller.close()
        engine.dispose()


def user(name: str) -> User:
    digest = hashlib.sha256(TOKENS[name].encode()).hexdigest()
    groups = ("oneadmin",) if name == "admin" else ("users",)
    return User(name=name, user_id=list(TOKENS).index(name), groups=groups, tokens=(LoginToken(token_sha256=digest),))


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario against a new controller; again, on the same database, after a restart."""

    def serve(scenario: Callable[[Site], Awaitable[None]], **options) -> None:
        async def run() -> None:
            async with site_in(tmp_path, **options) as site:
                await scenario(site)

        asyncio.run(run())

    return serve

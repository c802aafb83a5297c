"""A whole installation to be broken: a controller and agents, each a process of its own, on the loopback interface.

The hosts only pretend to have guests and disks, and keep both as files, so that they outlive their agents.
"""

import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from innkeeper_controller.client import Client, RefusedError, UnreachableError
from innkeeper_hostagent import enrolment, identity
from innkeeper_hostagent.config import load

#: Nothing that is waited for takes longer on a machine that is not far too busy.
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.02
IMAGE = b"innkeeper" * 40_000
FOREVER = "hang_s = 3600.0"
NETWORK = "NAME = {name}\nAR = [ TYPE = IP4, IP = {first}, SIZE = {size} ]\n"
TEMPLATE = """\
CPU = 0.1
MEMORY = 16
HYPERVISOR = simulated
DISK = [ IMAGE = base ]
DISK = [ TYPE = swap, SIZE = 1 ]
NIC = [ NETWORK = lan ]
CONTEXT = [ NETWORK = YES ]
"""
AGENT_TOML = """\
state_dir = "{directory}/state"
hypervisors = ["simulated"]
poll_interval_s = 1.0
{top}
[capacity]
cpu_cores = 64.0
memory_mib = 65536
[datastores.default]
path = "{directory}/datastore"
drivers = ["simulated"]
[bulk]
listen = "tcp://127.0.0.1:{bulk_port}"
[log]
level = "warning"
[drivers.transfer.simulated]
files = true
{transfer}
[drivers.hypervisor.simulated]
state_directory = "{directory}/guests"
{hypervisor}
"""
CONTROLLER_TOML = """\
state_dir = "{directory}"
heartbeat_interval_s = 0.5
unknown_after_s = 600.0
{top}
[http]
listen = "127.0.0.1:{http_port}"
[agents]
listen = "tcp://127.0.0.1:{agents_port}"
[bulk]
listen = "tcp://127.0.0.1:{bulk_port}"
[log]
level = "warning"
{more}
"""


def eventually(look, what):
    """Return the first true answer of ``look``."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"never seen: {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: However the tests end, no daemon lives on.
LAST_WISH = ("setpriv", "--pdeathsig", "KILL", "--")


class Daemon:
    """A process with a log; started and ended again and again."""

    def __init__(self, log: Path, *argv: str) -> None:
        self.log = log
        self._argv = [*LAST_WISH, str(Path(sys.executable).with_name(argv[0])), *argv[1:]]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, limits: dict[int, int] | None = None) -> None:
        """Start it, with ``{resource: limit}``; in Python that is before it has opened anything."""
        assert self.process is None, self._argv
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for kind, value in (limits or {}).items():
            resource.prlimit(self.process.pid, kind, (value, value))

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal and return its exit status."""
        process, self.process = self.process, None
        assert process is not None, self._argv
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """Let it die at once, in the middle of whatever it does."""
        self.end(signal.SIGKILL)

    def wait(self) -> int:
        """Return its exit status once it has ended by itself."""
        assert self.process is not None
        status = self.process.wait(PATIENCE_S)
        self.process = None
        return status

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


class Controller(Daemon):
    """The controller; always at the same ports."""

    def __init__(self, directory: Path, *, top: str = "", more: str = "") -> None:
        directory.mkdir(parents=True)
        self.state_dir = directory / "state"
        self.http_port, self.agents_port, self.bulk_port = free_port(), free_port(), free_port()
        self.config = directory / "controller.toml"
        self.config.write_text(
            CONTROLLER_TOML.format(
                directory=self.state_dir,
                http_port=self.http_port,
                agents_port=self.agents_port,
                bulk_port=self.bulk_port,
                top=top,
                more=more,
            )
        )
        super().__init__(directory / "log", "inn-controller", "run", "--config", str(self.config))
        self.client: Client
        #: To be closed with it.
        self._clients: list[Client] = []

    def up(self, **options) -> Client:
        """Start it and return a client once it answers."""
        self.start(**options)
        self.client = eventually(self._answering, f"a controller: {self.log}")
        return self.client

    def new_client(self, *, timeout_s: float = 60.0) -> Client:
        client = Client(f"http://127.0.0.1:{self.http_port}", self.token, timeout_s=timeout_s)
        self._clients.append(client)
        return client

    def end(self, number: int = signal.SIGTERM) -> int:
        for client in self._clients:
            client.close()
        self._clients.clear()
        return super().end(number)

    @property
    def token(self) -> str:
        return (self.state_dir / "admin.token").read_text().strip()

    def _answering(self) -> Client | None:
        assert self.runs, self.last_words()
        with contextlib.suppress(UnreachableError, FileNotFoundError, RefusedError):
            client = self.new_client()
            client.call("system.status")
            return client
        return None

    def metrics(self) -> dict[str, float]:
        """Return ``{name with labels: value}``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def counted(self, name: str) -> float:
        return self.metrics().get(name, 0.0)

    def check_offline(self) -> None:
        """Check that the log, told again, gives the state."""
        subprocess.run(
            [str(Path(sys.executable).with_name("inn-controller")), "check", "--config", str(self.config)],
            check=True,
            capture_output=True,
        )


class Agent(Daemon):
    """A host's agent, and what its host has."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True)
        self.name = name
        self.directory = directory
        self.config = directory / "agent.toml"
        self._bulk_port = free_port()
        super().__init__(directory / "log", "inn-agent", "run", "--config", str(self.config))
        self.configure()

    def configure(self, *, top: str = "", transfer: str = "", hypervisor: str = "") -> None:
        """Write its configuration anew; it is read at the next start."""
        self.config.write_text(
            AGENT_TOML.format(
                directory=self.directory, bulk_port=self._bulk_port, top=top, transfer=transfer, hypervisor=hypervisor
            )
        )

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    def join(self, token: str, *, replace: bool = False) -> identity.Membership:
        return enrolment.enrol(load(self.config), token, self.name, replace=replace, timeout_s=20.0)

    def guests(self) -> dict[int, int]:
        """Return ``{VM: how often its guest has started}`` of the guests that run."""
        found = (json.loads(path.read_bytes()) for path in (self.directory / "guests").glob("*.guest"))
        return {guest["vm_id"]: guest.get("boots", 1) for guest in found if guest["power"] == "running"}

    def files(self) -> list[str]:
        """Return what VMs have in the datastore."""
        vms = self.directory / "datastore" / "vms"
        return sorted(str(path.relative_to(vms)) for path in vms.rglob("*") if path.is_file())


class Ground:
    """A controller and hosts."""

    def __init__(self, directory: Path, *, top: str = "", more: str = "") -> None:
        self.directory = directory
        self.controller = Controller(directory / "controller", top=top, more=more)
        self.agents: dict[str, Agent] = {}

    @property
    def client(self) -> Client:
        return self.controller.client

    def build(self, *names: str, image: bytes = IMAGE) -> None:
        """Start everything, with an image and a network that the template names."""
        client = self.controller.up()
        for datastore in ("default", "system", "files"):
            client.call("datastore.set_driver", datastore=datastore, driver="simulated")
        client.call("network.add", template=NETWORK.format(name="lan", first="10.0.0.1", size=4096))
        for name in names:
            self.add_host(name).start()
        self.connected(*names)
        if names:
            self.add_image("base", image)

    def add_host(self, name: str) -> Agent:
        """Make a host known and let it join; its agent is not started."""
        agent = self.agents[name] = Agent(self.directory / name, name)
        agent.join(self.client.call("host.add", name=name)["join_token"])
        return agent

    def add_image(self, name: str, content: bytes, *, host: str = "") -> None:
        uploaded = self.client.upload(io.BytesIO(content), len(content))
        image = self.client.call(
            "image.add",
            name=name,
            upload=True,
            sha256=uploaded["sha256"],
            size_bytes=uploaded["size_bytes"],
            format="raw",
            host=host,
        )
        operation = self.client.wait_operation(image["operation_id"], timeout_s=PATIENCE_S)
        assert operation["status"] == "done", operation

    def connected(self, *names: str) -> None:
        """Wait until these hosts are on."""

        def on() -> bool:
            for name in names:
                agent = self.agents[name]
                assert agent.process is None or agent.runs, agent.last_words()
            hosts = {host["name"]: host for host in self.client.call("host.list")}
            return all(hosts[name]["connected"] and hosts[name]["capacity"].get("cpu_cores") for name in names)

        eventually(on, f"{names} are on")

    def lost(self, *names: str) -> None:
        """Wait until the controller misses these hosts."""
        eventually(
            lambda: not any(h["connected"] for h in self.client.call("host.list") if h["name"] in names),
            f"{names} are lost",
        )

    def submit(self, *, host: str = "", count: int = 1, template: str = TEMPLATE, **params) -> list[int]:
        where = f'SCHED_REQUIREMENTS = "NAME = {host}"\n' if host else ""
        return list(self.client.call("vm.submit", template=template + where, count=count, **params)["vm_ids"])

    def vm(self, vm_id: int) -> dict:
        return self.client.call("vm.show", vm_id=vm_id)

    def wait(self, vm_ids, state: str = "RUNNING") -> None:
        """Wait until all these VMs rest in that state."""
        waited_for = set(vm_ids)

        def all_there() -> bool:
            live = {vm["vm_id"]: vm for vm in self.client.call("vm.list", limit=10_000)}
            for vm_id in tuple(waited_for):
                vm = live.get(vm_id) or self.vm(vm_id)
                if vm["state"] in {state, "FAILED", "DONE"} and not vm.get("operation"):
                    assert vm["state"] == state, (vm["state"], vm.get("error"), vm.get("last_operation"))
                    waited_for.discard(vm_id)
            return not waited_for

        eventually(all_there, f"{sorted(waited_for)} {state}")

    def mid_step(self, vm_id: int, verb: str) -> None:
        """Return once a step of that verb runs for the VM."""
        eventually(
            lambda: verb in (self.vm(vm_id).get("last_operation") or {}).get("step", "").split(),
            f"VM {vm_id} in {verb}",
        )

    def end(self, vm_ids) -> None:
        """Terminate VMs and wait until nothing of them is left."""
        for vm_id in vm_ids:
            with contextlib.suppress(RefusedError):
                self.client.call("vm.terminate", vm_id=vm_id, hard=True)
        self.wait(vm_ids, "DONE")

    def check(self) -> None:
        """Check that everything agrees with everything, and that each guest runs where it should, once."""
        findings = [*self.client.call("system.verify")["findings"], *self.client.verify_log()["findings"]]
        vms = self.client.call("vm.list", limit=10_000)
        should = sorted((vm["vm_id"], vm["host"]) for vm in vms if vm["state"] == "RUNNING")
        run = sorted((vm_id, name) for name, agent in self.agents.items() for vm_id in agent.guests())
        assert (findings, run) == ([], should)

    def check_empty(self) -> None:
        """Check that nothing is left of any VM."""
        self.check()
        left = {name: agent.files() for name, agent in self.agents.items() if agent.files()}
        leases = [lease for network in self.client.call("network.list") for lease in range(network["taken"])]
        assert (self.client.call("vm.list"), left, leases) == ([], {}, [])

    def check_next(self, *hosts: str) -> None:
        """Check that the next VM on each of these hosts is unaffected, and leave nothing."""
        vm_ids = [vm_id for host in (hosts or ("",)) for vm_id in self.submit(host=host)]
        self.wait(vm_ids)
        self.check()
        self.end(vm_ids)

    def close(self) -> None:
        """End every process that is left."""
        for daemon in [*self.agents.values(), self.controller]:
            if daemon.process is not None:
                daemon.kill()


@contextlib.contextmanager
def ground_in(directory: Path, **options) -> Iterator[Ground]:
    ground = Ground(directory, **options)
    try:
        yield ground
    finally:
        ground.close()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def requests_in(ground: Ground):
    """Return a way to send raw HTTP to the controller."""

    def send(data: bytes, *, breaks_off: bool = False) -> bytes:
        with socket.create_connection(("127.0.0.1", ground.controller.http_port), timeout=PATIENCE_S) as connection:
            connection.sendall(data)
            if breaks_off:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer

    return send


def is_root() -> bool:
    return os.geteuid() == 0

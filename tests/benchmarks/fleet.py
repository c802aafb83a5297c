"""A controller of its own process and many pretended hosts, for benchmarks of the whole way."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from innkeeper_controller.assembly import KEY_FILE
from innkeeper_controller.client import Client, UnreachableError
from innkeeper_hostagent.protocol import keys as key_files

HERE = Path(__file__).resolve().parent
START_TIMEOUT_S = 60.0
#: Where the journals of a hundred hosts lie: a hundred hosts have a hundred disks, this machine has one.
MEMORY = Path("/dev/shm")


class Fleet:
    """The controller, its client, and agents that can be added."""

    def __init__(
        self, directory: Path, *, options: str = "", prepare: Callable[[Path], None] = lambda _state_dir: None
    ) -> None:
        """Start the controller in ``directory`` (on the real disk) and wait until it answers.

        Args:
            directory: Where everything is.
            options: Lines of the controller's configuration.
            prepare: Gets the controller's directory, which it makes, before the controller starts.
        """
        self.directory = directory
        self.journals = Path(tempfile.mkdtemp(prefix="innkeeper-bench-", dir=MEMORY if MEMORY.is_dir() else None))
        self.endpoint = f"http://127.0.0.1:{_free_port()}"
        self.agents_endpoint = f"tcp://127.0.0.1:{_free_port()}"
        config = directory / "controller.toml"
        config.write_text(
            f'state_dir = "{directory / "controller"}"\n{options}\n'
            f'[http]\nlisten = "{self.endpoint.removeprefix("http://")}"\n'
            f'[agents]\nlisten = "{self.agents_endpoint}"\n'
        )
        prepare(directory / "controller")
        self._log = (directory / "controller.log").open("wb")
        argv = [str(Path(sys.executable).with_name("inn-controller")), "run", "--config", str(config)]
        self.controller = subprocess.Popen(argv, stdout=self._log, stderr=self._log)
        self._agents: list[subprocess.Popen[str]] = []
        self.client = self._connected()

    def _connected(self) -> Client:
        token_file = self.directory / "controller" / "admin.token"
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and self.controller.poll() is None:
            with contextlib.suppress(UnreachableError, FileNotFoundError):
                client = Client(self.endpoint, token_file.read_text().strip())
                client.call("system.status")
                return client
            time.sleep(0.05)
        raise RuntimeError((self.directory / "controller.log").read_text()[-4000:])

    @property
    def token(self) -> str:
        """The administrator's token."""
        return (self.directory / "controller" / "admin.token").read_text().strip()

    @property
    def public_key(self) -> str:
        """What agents pin of the controller."""
        return key_files.load_or_create(self.directory / "controller" / KEY_FILE).public

    def simulate_storage(self) -> None:
        """Let the default datastore be one of pretended disks."""
        for datastore in ("default", "system", "files"):
            self.client.call("datastore.set_driver", datastore=datastore, driver="simulated")

    def add_hosts(self, count: int, *, processes: int = 1) -> None:
        """Add pretended hosts and wait until all of them are on."""
        before = len(self.client.call("host.list"))
        tokens = {
            f"h{number}": self.client.call("host.add", name=f"h{number}")["join_token"]
            for number in range(before, before + count)
        }
        names = list(tokens)
        for part in range(processes):
            self._start_agents({name: tokens[name] for name in names[part::processes]}, part)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            hosts = self.client.call("host.list")
            if (
                sum(host["state"] == "on" and host["capacity"].get("cpu_cores", 0) > 0 for host in hosts)
                == before + count
            ):
                return
            time.sleep(0.1)
        raise RuntimeError(f"of {count} hosts not all have connected")

    def _start_agents(self, tokens: dict[str, str], part: int) -> None:
        directory = self.journals / f"agents-{len(self._agents)}-{part}"
        directory.mkdir()
        (directory / "tokens.json").write_text(json.dumps(tokens))
        log = (self.directory / f"agents-{len(self._agents)}.log").open("wb")
        agents = subprocess.Popen(
            [sys.executable, str(HERE / "many_agents.py"), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self._agents.append(agents)
        assert agents.stdout is not None
        if agents.stdout.readline() != "ready\n":
            raise RuntimeError(Path(log.name).read_text()[-4000:])

    def agents_fsyncs(self) -> int:
        """Return how many times the first process of agents has made a file durable so far."""
        agents = self._agents[0]
        assert agents.stdin is not None
        assert agents.stdout is not None
        agents.stdin.write("\n")
        agents.stdin.flush()
        return int(agents.stdout.readline())

    def commits(self) -> int:
        """Return how many times the controller has committed so far, each with one fsync."""
        text = urllib.request.urlopen(f"{self.endpoint}/metrics").read().decode()
        (line,) = (line for line in text.splitlines() if line.startswith("innkeeper_store_commit_seconds_count"))
        return int(float(line.rsplit(" ", 1)[1]))

    def close(self) -> None:
        """End everything and remove the journals."""
        for process in [*self._agents, self.controller]:
            process.terminate()
        for process in [*self._agents, self.controller]:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()
        shutil.rmtree(self.journals, ignore_errors=True)


@contextlib.contextmanager
def fleet(*, options: str = "", prepare: Callable[[Path], None] = lambda _state_dir: None) -> Iterator[Fleet]:
    """Give a fleet whose store is on the real disk, below ``/var/tmp``."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-", dir="/var/tmp") as directory:
        started = Fleet(Path(directory), options=options, prepare=prepare)
        try:
            yield started
        finally:
            started.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""``inn-controller`` as a process: first start, signals, crashes, and its other commands."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from innkeeper_controller.daemon import main

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
CLIENTS = 8
ACKNOWLEDGED_BEFORE_THE_END = 200
TEMPLATE = "NAME = web\nCPU = 0.5\nMEMORY = 64\n"


class Daemon:
    """A controller in a process of its own, in a directory that outlives it."""

    def __init__(self, directory: Path, *argv: str, **environment: str) -> None:
        self.state_dir = directory / "state"
        config = directory / "controller.toml"
        config.write_text(
            f'state_dir = "{self.state_dir}"\n[http]\nlisten = "127.0.0.1:0"\n[agents]\nlisten = "tcp://127.0.0.1:0"\n'
        )
        ear = directory / "notify"
        ear.unlink(missing_ok=True)
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(ear))
        self.ear.settimeout(START_TIMEOUT_S)
        self.log = (directory / "log").open("ab")
        command = str(Path(sys.executable).with_name("inn-controller"))
        self.process = subprocess.Popen(
            [command, *argv, "--config", str(config)],
            stderr=self.log,
            env={**os.environ, "NOTIFY_SOCKET": str(ear), **environment},
        )
        threading.Thread(target=self._end_waiting, daemon=True).start()
        self.port = int(self.told("READY=1").rpartition(":")[2])

    def _end_waiting(self) -> None:
        """Let nobody wait for the word of a controller that has died."""
        if self.process.wait():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
                mouth.sendto(b"DIED", self.ear.getsockname())

    def told(self, state: str) -> str:
        """Return what the service manager is told together with a state."""
        while True:
            text = self.ear.recv(4096).decode()
            assert text != "DIED", Path(self.log.name).read_text()[-3000:]
            if state in text.split("\n"):
                return text

    @property
    def token(self) -> str:
        return (self.state_dir / "admin.token").read_text().strip()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(STOP_TIMEOUT_S)
        self.ear.close()
        self.log.close()
        return status


@contextlib.contextmanager
def daemon(directory: Path, *argv: str, **environment: str) -> Iterator[Daemon]:
    started = Daemon(directory, *argv, **environment)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()
        started.ear.close()
        started.log.close()


def ask(started: Daemon, method: str, path: str, body: object = None, number: str = "") -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", started.port, timeout=30)
    headers = {"Authorization": f"Bearer {started.token}"} | ({"X-Request-Id": number} if number else {})
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def submit(started: Daemon, name: str) -> tuple[int, object]:
    return ask(started, "POST", "/v1/vms", {"template": TEMPLATE, "name": name}, number=f"r-{name}")


def inn_controller(*argv: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(each) for each in argv])
    return result.exit_code, result.output


def test_the_first_start_makes_everything_by_itself_and_for_its_owner_only(tmp_path: Path):
    with daemon(tmp_path) as started:
        status, me = ask(started, "GET", "/v1/whoami")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (started.state_dir, *started.state_dir.iterdir())
            if not path.name.endswith(("-shm", "-wal"))
        }
        ended = started.stop()
        stored = (started.state_dir / "controller.db").read_bytes()

        assert (status, me) == (200, {"name": "oneadmin", "role": "admin", "user_id": 0, "groups": ["oneadmin"]})
        assert modes == {
            "state": 0o700,
            "admin.token": 0o600,
            "one_auth": 0o600,
            "controller.db": 0o600,
            "controller.db.lock": 0o600,
            "controller.key": 0o600,
            "uploads": 0o700,
        }
        assert ended == 0
        assert started.token.encode() not in stored


def test_a_second_start_keeps_token_keys_and_state(tmp_path: Path):
    with daemon(tmp_path, "run") as first:
        token, key = first.token, (first.state_dir / "controller.key").read_text()
        assert submit(first, "a") == (200, {"vm_ids": [0]})
        cluster_id = ask(first, "GET", "/v1/status")[1]["cluster_id"]
        first.stop(signal.SIGINT)
    with daemon(tmp_path, "run") as second:
        assert (second.token, (second.state_dir / "controller.key").read_text()) == (token, key)
        assert ask(second, "GET", "/v1/status")[1]["cluster_id"] == cluster_id
        assert submit(second, "a") == (200, {"vm_ids": [0]})
        assert [vm["name"] for vm in ask(second, "GET", "/v1/vms")[1]] == ["a"]


def test_a_second_controller_on_the_same_state_is_refused(tmp_path: Path):
    with daemon(tmp_path) as started:
        second = subprocess.run(
            [*started.process.args], stderr=subprocess.PIPE, timeout=START_TIMEOUT_S, text=True, check=False
        )

        assert second.returncode == 1
        assert (
            f"another controller (process {started.process.pid}) works on controller.db; stop it first" in second.stderr
        )
        assert ask(started, "GET", "/healthz") == (200, {"status": "ok"})


def test_the_service_manager_learns_of_life_and_end(tmp_path: Path):
    with daemon(tmp_path, WATCHDOG_USEC="100000") as started:
        started.told("WATCHDOG=1")
        started.told("WATCHDOG=1")
        started.process.send_signal(signal.SIGTERM)
        started.told("STOPPING=1")

        assert started.process.wait(STOP_TIMEOUT_S) == 0


def test_the_log_is_one_json_object_a_line(tmp_path: Path):
    with daemon(tmp_path) as started:
        ask(started, "POST", "/v1/hosts", {"name": "h1"}, number="r-7")
        started.stop()
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        by_event = {line["event"]: line for line in lines}

        assert {"controller.started", "token.made", "started", "host.added", "stopped"} <= by_event.keys()
        assert by_event["host.added"]["request_id"] == "r-7"
        assert started.token not in (tmp_path / "log").read_text()


def test_waiting_clients_do_not_keep_the_controller_from_ending(tmp_path: Path):
    with daemon(tmp_path) as started:
        connection = http.client.HTTPConnection("127.0.0.1", started.port, timeout=30)
        headers = {"Authorization": f"Bearer {started.token}", "Accept": "text/event-stream"}
        connection.request("GET", "/v1/events", headers=headers)
        answer = connection.getresponse()

        assert answer.read1() == b": connected\n\n"
        assert started.stop() == 0
        connection.close()


class Submitter(threading.Thread):
    """Submits VMs with names of its own until the controller is gone, and remembers what was acknowledged."""

    def __init__(self, started: Daemon, number: int, enough: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self.started, self.number, self.enough = started, number, enough
        self.acknowledged: dict[str, int] = {}
        self.asked: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.started.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.started.token}"}
        try:
            for count in range(100_000):
                name = f"vm-{self.number}-{count}"
                self.asked.append(name)
                body = json.dumps({"template": TEMPLATE, "name": name})
                connection.request("POST", "/v1/vms", body, headers | {"X-Request-Id": f"r-{name}"})
                answer = connection.getresponse()
                self.acknowledged[name] = json.loads(answer.read())["vm_ids"][0]
                self.enough.release()
        except (OSError, http.client.HTTPException):
            connection.close()


def test_a_kill_amid_submissions_loses_and_doubles_nothing(tmp_path: Path):
    enough = threading.Semaphore(0)
    with daemon(tmp_path) as started:
        clients = [Submitter(started, number, enough) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(ACKNOWLEDGED_BEFORE_THE_END):
            assert enough.acquire(timeout=START_TIMEOUT_S)
        started.stop(signal.SIGKILL)
        for client in clients:
            client.join()
    acknowledged = {name: vm_id for client in clients for name, vm_id in client.acknowledged.items()}
    asked = [name for client in clients for name in client.asked]
    with daemon(tmp_path) as started:
        kept = {vm["name"]: vm["vm_id"] for vm in ask(started, "GET", "/v1/vms?limit=10000")[1]}
        again = {name: submit(started, name)[1]["vm_ids"][0] for name in asked}
        vms = ask(started, "GET", "/v1/vms?limit=10000")[1]
        verified = ask(started, "GET", "/v1/verify/log")[1]
        started.stop()
    checked = inn_controller("check", "--config", tmp_path / "controller.toml")

    assert len(acknowledged) >= ACKNOWLEDGED_BEFORE_THE_END
    assert acknowledged.items() <= kept.items()
    assert kept.items() <= again.items()
    assert sorted(vm["name"] for vm in vms) == sorted(asked)
    assert {vm["name"]: vm["vm_id"] for vm in vms} == again
    assert len(set(again.values())) == len(asked)
    assert verified["findings"] == []
    assert checked[0] == 0, checked[1]


def test_check_tells_a_log_that_does_not_give_the_state(tmp_path: Path):
    with daemon(tmp_path) as started:
        submit(started, "a")
        started.stop()
    options = ("--config", tmp_path / "controller.toml")
    sound = inn_controller("check", *options)
    with contextlib.closing(sqlite3.connect(started.state_dir / "controller.db")) as connection:
        connection.execute("UPDATE vms SET body = replace(body, 'PENDING', 'HOLD')")
        connection.commit()
    changed = inn_controller("check", *options)

    assert sound[0] == 0
    assert "database: sound, schema 0002\nlog: tells the 12 records" in sound[1]
    assert changed[0] == 1
    assert "vm 0: its table and the log differ" in changed[1]


def test_upgrade_makes_and_then_keeps_the_schema(tmp_path: Path):
    (tmp_path / "state").mkdir()
    options = ("--state-dir", tmp_path / "state", "--database", f"sqlite:///{tmp_path}/state/x.db")
    missing = inn_controller("check", *options)
    first = inn_controller("upgrade", *options)
    second = inn_controller("upgrade", *options)
    sound = inn_controller("check", *options)

    assert "database: none yet" in missing[1]
    assert first == (0, "The database was brought from schema none to 0002.\n")
    assert second == (0, "The database has schema 0002 already.\n")
    assert sound[1].endswith("log: tells the 0 records that the tables have\n")


@pytest.mark.parametrize("command", ["run", "upgrade", "check"])
def test_a_configuration_with_mistakes_starts_nothing(tmp_path: Path, command: str):
    (tmp_path / "c.toml").write_text("heartbeat_intervall_s = 1")
    status, output = inn_controller(command, "--config", tmp_path / "c.toml")

    assert status == 2
    assert "unknown key heartbeat_intervall_s, did you mean heartbeat_interval_s?" in output


def test_an_address_that_is_taken_is_told_and_leaves_nothing_behind(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "c.toml").write_text(
            f'state_dir = "{tmp_path}/state"\n[http]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n'
            '[agents]\nlisten = "tcp://127.0.0.1:0"\n'
        )
        command = str(Path(sys.executable).with_name("inn-controller"))
        refused = subprocess.run(
            [command, "--config", str(tmp_path / "c.toml")],
            stderr=subprocess.PIPE,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )

    assert refused.returncode == 1
    assert "cannot be listened on: Address already in use" in refused.stderr
    assert not (tmp_path / "state" / "admin.token").exists()

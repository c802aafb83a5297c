"""The command: enrolment, the check of a host, and the daemon with its signals."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tests.hostagent.controller_of_tests import Controller
from tests.hostagent.orders_of_tests import a_disk, a_vm, order

from innkeeper_hostagent import cli, enrolment, identity
from innkeeper_hostagent.config import Config, DatastoreConfig
from innkeeper_hostagent.enrolment import AlreadyJoinedError
from innkeeper_hostagent.journal import JOURNAL, Journal, JournalError, locked
from innkeeper_hostagent.protocol.errors import JoinRefusedError, JoinTokenError
from innkeeper_hostagent.protocol.messages import Goodbye, Hello, LegStatus, Observed, StepStarted
from innkeeper_plugins.steps import Clone, Deploy
from innkeeper_plugins.vocabulary import PowerState, VmState

COMMON = {"phase": VmState.PROLOG, "driver": "simulated"}
VM = a_vm(disks=(a_disk(driver="simulated"),), driver="simulated")
DEPLOY = (Clone(step_id=0, disk_id=0, **COMMON), Deploy(step_id=1, **COMMON))
TIMEOUT_S = 20


def enrol(state_dir, token, **values):
    options = {"replace": False, "timeout_s": 5.0} | values
    config = Config(state_dir=state_dir, datastores={"default": DatastoreConfig(path=state_dir / "store")})
    return asyncio.to_thread(enrolment.enrol, config, token, "me", **options)


def played(scenario):
    async def run():
        controller = Controller()
        try:
            await scenario(controller)
        finally:
            controller.close()

    asyncio.run(run())


def test_a_host_joins_with_its_token_once_and_asking_again_changes_nothing(tmp_path):
    async def scenario(controller):
        token = controller.token("h1")
        first = await enrol(tmp_path, token)
        again = await enrol(tmp_path, token)

        assert first == again == identity.load(tmp_path)
        assert first.host_name == "h1"
        assert list(controller.hosts) == [identity.keys(tmp_path).public]

    played(scenario)


def test_a_token_that_is_not_known_or_no_token_leaves_the_host_as_it_was(tmp_path):
    async def scenario(controller):
        stranger = controller.token("h1")
        controller.secrets.clear()
        with pytest.raises(JoinRefusedError, match="not known"):
            await enrol(tmp_path, stranger)
        with pytest.raises(JoinTokenError):
            await enrol(tmp_path, "inn1_rubbish")
        assert not (tmp_path / "controller.json").exists()

    played(scenario)


def test_a_host_leaves_its_controller_only_when_it_is_told_to(tmp_path):
    async def scenario(controller):
        await enrol(tmp_path, controller.token("h1"))
        other = Controller()
        try:
            token = other.token("elsewhere")
            with pytest.raises(AlreadyJoinedError, match="--replace"):
                await enrol(tmp_path, token)
            moved = await enrol(tmp_path, token, replace=True)
            assert moved.host_name == "elsewhere"
        finally:
            other.close()

    played(scenario)


async def moved_to_another(controller, state_dir, cluster_id):
    """Let a host of cluster ``one`` with a journal join another controller."""
    controller.cluster_id = "one"
    await enrol(state_dir, controller.token("h1"))
    Journal(state_dir / JOURNAL).close()
    other = Controller()
    try:
        other.cluster_id = cluster_id
        await enrol(state_dir, other.token("h1"), replace=True)
    finally:
        other.close()


def test_a_host_that_leaves_its_cluster_begins_with_an_empty_journal(tmp_path):
    async def scenario(controller):
        await moved_to_another(controller, tmp_path, "two")

        assert identity.load(tmp_path).cluster_id == "two"
        assert not (tmp_path / JOURNAL).exists()
        assert len(list(tmp_path.glob("journal.[0-9]*"))) == 1

    played(scenario)


def test_a_host_whose_controller_has_a_new_key_keeps_vms_and_journal(tmp_path):
    async def scenario(controller):
        (tmp_path / "store" / "vms" / "7").mkdir(parents=True)
        await moved_to_another(controller, tmp_path, "one")

        assert (tmp_path / JOURNAL).exists()

    played(scenario)


def test_a_host_whose_agent_runs_is_not_taken_from_its_controller(tmp_path):
    async def scenario(controller):
        controller.cluster_id = "one"
        await enrol(tmp_path, controller.token("h1"))
        other = Controller()
        try:
            with locked(tmp_path / JOURNAL), pytest.raises(JournalError, match="stop it first"):
                await enrol(tmp_path, other.token("h1"), replace=True)
        finally:
            other.close()

        assert identity.load(tmp_path).cluster_id == "one"
        assert other.hosts == {}

    played(scenario)


def test_a_controller_that_does_not_answer_is_told_as_such(tmp_path):
    async def scenario(controller):
        token = controller.token("h1")
        controller.close()
        with pytest.raises(JoinRefusedError, match="no answer") as refusal:
            await enrol(tmp_path, token, timeout_s=0.2)
        assert refusal.value.code == "unreachable"

    played(scenario)


def invoke(path, *arguments):
    return CliRunner().invoke(cli.main, ["--config", str(path), *arguments])


def test_a_mistake_in_the_configuration_ends_every_command_with_its_place(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text("hypervisor = 1")

    for command in (["check"], ["run"], ["join", "x"]):
        result = invoke(path, *command)
        assert result.exit_code == 1
        assert "did you mean hypervisors?" in result.stderr


def test_help_is_answered_without_anything_heavy():
    heavy = ("zmq", "structlog", "msgspec", "asyncio", "pluggy")
    code = f"import sys, innkeeper_hostagent.cli; print([m for m in {heavy} if m in sys.modules])"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


def a_file(tmp_path, *, hypervisor="", log="info"):
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
        state_dir = "{tmp_path}/state"
        hypervisors = ["simulated"]
        [datastores.default]
        path = "{tmp_path}/store"
        drivers = ["simulated"]
        [drivers.transfer.simulated]
        needs_image = false
        files = true
        [drivers.hypervisor.simulated]
        state_directory = "{tmp_path}/guests"
        {hypervisor}
        [bulk]
        listen = "tcp://127.0.0.1:0"
        [log]
        level = "{log}"
        """
    )
    return path


def test_check_names_what_is_missing_with_the_command_that_mends_it(tmp_path):
    path = a_file(tmp_path)
    path.write_text(path.read_text() + f'[datastores.common]\npath = "{tmp_path}/common"\nshared = true\n')

    result = invoke(path, "check")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"ok    datastore default (will be made) in {tmp_path}" in lines
    assert f"LACK  datastore common {tmp_path}/common: does not exist" in lines
    assert f"      mend: install -d -m 711 {tmp_path}/common" in lines
    assert any(line.startswith("LACK  membership: this host has joined no controller") for line in lines)
    assert "ok    hypervisor simulated" in lines


def test_check_is_content_with_a_host_that_has_all_it_needs(tmp_path):
    async def scenario(controller):
        await enrol(tmp_path / "state", controller.token("h1"))
        (tmp_path / "store").mkdir()
        path = a_file(tmp_path)
        result = await asyncio.to_thread(invoke, path, "check")
        assert result.exit_code == 0, result.stdout
        assert "LACK" not in result.stdout
        controller.close()
        later = await asyncio.to_thread(invoke, path, "check")
        assert (later.exit_code, "cannot be reached" in later.stdout) == (0, True)

    played(scenario)


def test_check_says_what_a_host_without_its_driver_needs(tmp_path):
    path = a_file(tmp_path)
    path.write_text(path.read_text().replace('hypervisors = ["simulated"]', 'hypervisors = ["xen"]'))

    result = invoke(path, "check")

    assert result.exit_code == 1
    assert "LACK  hypervisor xen: this host has no hypervisor driver 'xen'" in result.stdout


def test_a_hypervisor_that_only_the_running_agent_can_use_is_no_lack(tmp_path):
    path = a_file(tmp_path, hypervisor="fail = { poll = [1, 2] }")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / JOURNAL).touch()

    def told():
        return [line for line in invoke(path, "check").stdout.splitlines() if "hypervisor simulated" in line]

    with locked(tmp_path / "state" / JOURNAL):
        beside_the_agent = told()

    assert [line[:4] for line in (*beside_the_agent, *told())] == ["note", "LACK"]


def test_a_configuration_that_is_named_has_to_be_there(tmp_path):
    result = invoke(tmp_path / "agnet.toml", "check")

    assert result.exit_code == 2
    assert "does not exist" in result.stderr


class Daemon:
    """``inn-agent run`` as systemd starts it."""

    def __init__(self, tmp_path, **options):
        address = str(tmp_path / f"notify.{len([*tmp_path.iterdir()])}")
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(address)
        self._manager.settimeout(TIMEOUT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "innkeeper_hostagent.cli", "--config", str(a_file(tmp_path, **options)), "run"],
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def heard(self):
        return self._manager.recv(1000).decode().splitlines()

    def end(self, number):
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=TIMEOUT_S)
        self._manager.close()
        return self.process.returncode, [json.loads(line) for line in logged.splitlines()]


def test_the_daemon_tells_systemd_carries_out_orders_and_ends_well(tmp_path):
    async def scenario(controller):
        await enrol(tmp_path / "state", controller.token("h1"))
        daemon = Daemon(tmp_path)
        try:
            assert (await asyncio.to_thread(daemon.heard))[0] == "READY=1"
            assert await asyncio.to_thread(daemon.heard) == ["WATCHDOG=1"]
            await controller.hear(Hello)
            answer = await controller.ask(order(DEPLOY, vm=VM))
            assert answer.status is LegStatus.DONE
        finally:
            status, logged = await asyncio.to_thread(daemon.end, signal.SIGTERM)

        assert status == 0
        assert (await controller.hear(Goodbye)).reason == "stopped"
        events = [line["event"] for line in logged if line["event"] != "command"]
        assert events == ["started", "connected", "step_done", "step_done", "stopped"]
        assert {line.get("operation_id") for line in logged} == {None, "o1"}
        assert list((tmp_path / "guests").iterdir()) != []

    played(scenario)


def test_a_daemon_killed_in_the_middle_of_a_step_goes_on_when_it_is_started_again(tmp_path):
    async def scenario(controller):
        await enrol(tmp_path / "state", controller.token("h1"))
        slow = Daemon(tmp_path, hypervisor="latency_s = 3600.0")
        await controller.hear(Hello)
        controller.gateway.send(1, order(DEPLOY, vm=VM))
        await controller.wait_for(lambda m: isinstance(m, StepStarted) and m.step_id == 1)
        await asyncio.to_thread(slow.end, signal.SIGKILL)
        controller.forget_what_was_said()

        daemon = Daemon(tmp_path)
        try:
            answer = await controller.ask(order(DEPLOY, vm=VM))
            await controller.wait_for(
                lambda m: isinstance(m, Observed) and [guest.power for guest in m.guests] == [PowerState.RUNNING]
            )
        finally:
            status, _ = await asyncio.to_thread(daemon.end, signal.SIGINT)

        assert (answer.status, sorted(answer.outcomes), status) == (LegStatus.DONE, [0, 1], 0)
        assert controller.hellos[1].operations == ("o1",)

    played(scenario)


def test_a_daemon_that_cannot_start_says_why_and_fails(tmp_path):
    daemon = Daemon(tmp_path)
    daemon.process.wait(TIMEOUT_S)
    status, logged = daemon.end(signal.SIGTERM)

    assert status == 1
    assert [(line["event"], "inn-agent join TOKEN" in line["error"]) for line in logged] == [("cannot_start", True)]

"""The whole agent over a real socket, with simulated drivers, against a tiny controller."""

import asyncio
import contextlib
import shutil

import pytest
from structlog.testing import capture_logs
from tests.hostagent.controller_of_tests import Controller
from tests.hostagent.orders_of_tests import a_disk, a_vm, order

from innkeeper_hostagent import identity
from innkeeper_hostagent.agent import Agent, SupersededError
from innkeeper_hostagent.config import BulkConfig, Config, DatastoreConfig
from innkeeper_hostagent.journal import JournalError
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    CloseConsole,
    Confirm,
    ConsoleInput,
    ConsoleOutput,
    Disown,
    Goodbye,
    Heartbeat,
    Hello,
    ImagesChanged,
    LegEnded,
    LegStatus,
    Observed,
    OpenConsole,
    Refused,
    StepStarted,
)
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.registry import PluginError, Registry
from innkeeper_plugins.steps import Cancel, Clone, Delete, Deploy, ImportImage
from innkeeper_plugins.vocabulary import Capacity, ImageId, OperationId, PowerState, VmId, VmState

COMMON = {"phase": VmState.PROLOG, "driver": "simulated"}
VM = a_vm(disks=(a_disk(driver="simulated"),), driver="simulated")
DEPLOY = (Clone(step_id=0, disk_id=0, **COMMON), Deploy(step_id=1, **COMMON))
END = (Cancel(step_id=0, **COMMON), Delete(step_id=1, **COMMON))


@pytest.fixture(autouse=True)
def guests_settle_at_once(monkeypatch):
    monkeypatch.setattr("innkeeper_hostagent.watcher.SETTLE_S", 0.02)


def a_datastore(root):
    return DatastoreConfig(path=root / "store", drivers=("simulated",))


def a_config(root, **values):
    drivers = {
        "transfer": {"simulated": {"needs_image": False, "files": True}},
        "hypervisor": {"simulated": {"state_directory": str(root / "guests")}},
    }
    return Config(
        state_dir=root / "state",
        capacity=Capacity(cpu_cores=8, memory_mib=4096),
        **(
            {
                "hypervisors": ("simulated",),
                "drivers": drivers,
                "bulk": BulkConfig(listen=""),
                "datastores": {"default": a_datastore(root)},
            }
            | values
        ),
    )


def enrolled(root, controller, name="h1"):
    keys = identity.keys(root / "state")
    controller.enrol(keys.public, name)
    membership = identity.Membership(
        endpoint=controller.gateway.endpoint, controller_public_key=controller.keys.public, host_name=name
    )
    identity.save(root / "state", membership)


def an_agent(root, **values):
    return Agent(a_config(root, **values), registry=Registry.load(), loop=asyncio.get_running_loop())


@contextlib.asynccontextmanager
async def running(root, controller, **values):
    if not (root / "state" / "controller.json").exists():
        enrolled(root, controller)
    agent = an_agent(root, **values)
    agent.start()
    try:
        await controller.hear(Hello)
        yield agent
    finally:
        await agent.stop()


def played(scenario):
    async def run():
        controller = Controller()
        try:
            await scenario(controller)
        finally:
            controller.close()

    asyncio.run(run())


def an_order(steps=DEPLOY, **values):
    return order(steps, **({"vm": VM} | values))


def guests(messages):
    return [
        (guest.vm_id, guest.power) for message in messages if isinstance(message, Observed) for guest in message.guests
    ]


def test_a_host_says_what_it_is_and_what_its_guests_do(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            advertised = (await controller.hear(Advertise)).advertisement
            observed = await controller.hear(Observed)

        assert advertised.capacity == Capacity(cpu_cores=8, memory_mib=4096)
        assert [(facts.kind, facts.name) for facts in advertised.drivers] == [
            ("transfer", "simulated"),
            ("hypervisor", "simulated"),
        ]
        assert [store.name for store in advertised.datastores] == ["default"]
        assert advertised.facts["MIGRATION_URI"].startswith("sim:")
        assert advertised.holder is None
        assert observed == Observed(guests=(), complete=True)
        assert (await controller.hear(Goodbye)).reason == "stopped"

    played(scenario)


def test_a_vm_is_deployed_watched_and_deleted_without_a_trace(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            deployed = await controller.ask(an_order())
            await controller.wait_for(lambda m: guests([m]) == [(7, PowerState.RUNNING)])
            ended = await controller.ask(an_order(END, operation_id="o2", kind="terminate"))
            controller.gateway.send(1, Confirm(operations=(OperationId("o1"), OperationId("o2"))))
            await controller.wait_for(lambda m: isinstance(m, Observed) and m.complete and not m.guests)

        assert (deployed.status, ended.status) == (LegStatus.DONE, LegStatus.DONE)
        assert [m.step_id for m in controller.said if isinstance(m, StepStarted)] == [0, 1, 0, 1]
        assert list((tmp_path / "store" / "vms").iterdir()) == []

    played(scenario)


def test_what_was_not_confirmed_is_told_again_by_the_next_agent(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            first = await controller.ask(an_order())
        controller.forget_what_was_said()
        async with running(tmp_path, controller):
            again = await controller.wait_for(lambda message: message == first)
            await controller.wait_for(lambda m: guests([m]) == [(7, PowerState.RUNNING)])
            controller.confirmed = (OperationId("o1"),)
        controller.forget_what_was_said()
        async with running(tmp_path, controller):
            await controller.hear(Observed)
            assert first not in controller.said

        assert again == first
        assert [hello.operations for hello in controller.hellos] == [(), ("o1",), ("o1",)]

    played(scenario)


def test_a_console_is_opened_typed_into_and_closed(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            await controller.ask(an_order())
            controller.gateway.send(1, OpenConsole(stream_id=5, vm_id=VmId(7), generation=1))
            await controller.wait_for(lambda m: isinstance(m, ConsoleOutput) and m.data)
            controller.forget_what_was_said()
            controller.gateway.send(1, ConsoleInput(stream_id=5, data=b"hello\n"))
            await controller.wait_for(lambda m: isinstance(m, ConsoleOutput) and b"hello" in m.data)
            controller.gateway.send(1, CloseConsole(stream_id=5))
            await controller.wait_for(lambda m: isinstance(m, ConsoleOutput) and m.ended)
            controller.gateway.send(1, OpenConsole(stream_id=6, vm_id=VmId(7), generation=2))
            refused = await controller.wait_for(lambda m: isinstance(m, ConsoleOutput) and m.stream_id == 6)

        assert refused == ConsoleOutput(stream_id=6, ended=True, reason="VM 7 is not on this host")

    played(scenario)


def test_a_disowned_guest_goes_and_one_of_a_higher_generation_stays(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            await controller.ask(an_order(vm=a_vm(generation=2, disks=VM.disks, driver="simulated")))
            await controller.wait_for(lambda m: guests([m]) == [(7, PowerState.RUNNING)])
            controller.gateway.send(1, Disown(vm_id=VmId(7), generation=1))
            controller.gateway.send(1, Disown(vm_id=VmId(8), generation=9))
            assert (tmp_path / "store" / "vms" / "7" / "disk.0").exists()
            controller.forget_what_was_said()
            controller.gateway.send(1, Disown(vm_id=VmId(7), generation=2))
            await controller.wait_for(lambda m: isinstance(m, Observed) and m.complete and not m.guests)

        assert not (tmp_path / "store" / "vms" / "7").exists()

    played(scenario)


def test_an_imported_image_is_told_of_and_advertised_by_the_next_session(tmp_path):
    source = tmp_path / "import"
    source.mkdir()
    (source / "tiny.raw").write_bytes(b"x" * 65536)
    step = ImportImage(
        step_id=0, phase=VmState.PROLOG, driver="agent", image_id=ImageId(3), datastore="default", path="tiny.raw"
    )
    request = order((step,), kind="import_image")
    request = type(request)(
        **{name: getattr(request, name) for name in request.__struct_fields__} | {"vm": None, "subject": "image:3"}
    )

    async def scenario(controller):
        imports = type(Config().imports)(dirs=(source,))
        async with running(tmp_path, controller, imports=imports):
            answer = await controller.ask(request)
            changed = await controller.hear(ImagesChanged)
        controller.forget_what_was_said()
        async with running(tmp_path, controller, imports=imports):
            advertised = (await controller.hear(Advertise)).advertisement

        digest = answer.outcomes[0].result["sha256"]
        assert answer.status is LegStatus.DONE
        assert changed == ImagesChanged(added=(digest,))
        assert advertised.images == (digest,)

    played(scenario)


def test_a_shared_datastore_that_is_not_mounted_is_never_made(tmp_path):
    async def scenario(controller):
        enrolled(tmp_path, controller)
        missing = DatastoreConfig(path=tmp_path / "common", drivers=("simulated",), shared=True)
        with pytest.raises(ConfigError, match="mount it"):
            an_agent(tmp_path, datastores={"common": missing})

    played(scenario)
    assert not (tmp_path / "common").exists()


def test_two_agents_cannot_share_a_state_directory_and_the_second_lets_go_of_everything(tmp_path):
    async def scenario(controller):
        async with running(tmp_path, controller):
            with pytest.raises(JournalError, match="another agent runs"):
                an_agent(tmp_path)

    played(scenario)


def test_a_driver_that_cannot_be_had_keeps_the_agent_from_starting_and_leaves_the_journal_free(tmp_path):
    async def scenario(controller):
        enrolled(tmp_path, controller)
        for _ in range(2):
            with pytest.raises(PluginError, match="did you mean 'simulated'"):
                Agent(
                    Config(state_dir=tmp_path / "state", hypervisors=("simulatd",), datastores={}),
                    registry=Registry.load(),
                    loop=asyncio.get_running_loop(),
                )

    played(scenario)


def test_a_leg_that_ends_while_the_controller_is_away_is_told_when_it_is_back(tmp_path):
    async def run():
        controller = Controller(heartbeat_interval_s=0.1)
        async with running(tmp_path, controller):
            await controller.hear(Advertise)
            slow = order((Clone(step_id=0, disk_id=0, **COMMON),), vm=VM)
            controller.gateway.send(1, slow)
            await controller.hear(StepStarted)
            controller.close()
            again = Controller(endpoint=controller.gateway.endpoint, keys_=controller.keys)
            again.hosts.update(controller.hosts)
            again.names.update(controller.names)
            answer = await again.hear(LegEnded)
            again.close()
        assert answer.status is LegStatus.DONE

    asyncio.run(run())


def test_a_host_that_was_deleted_says_so_in_its_log_and_goes_on_with_its_guests(tmp_path):
    async def scenario(controller):
        controller.refusal = Refused(code="unknown_key", message="this host was deleted")
        enrolled(tmp_path, controller)
        agent = an_agent(tmp_path)
        told = asyncio.Event()

        def note(_logger, _method, line):
            told.set()
            return line

        with capture_logs(processors=[note]) as logs:
            agent.start()
            await asyncio.wait_for(told.wait(), 10)
            await agent.stop()

        assert [(line["event"], line["code"]) for line in logs] == [("refused", "unknown_key")]
        assert not agent.is_connected
        assert not agent.failure.done()

    played(scenario)


def test_an_agent_whose_place_is_taken_by_another_with_its_key_ends(tmp_path):
    async def scenario(controller):
        first_root, second_root = tmp_path / "a", tmp_path / "b"
        enrolled(first_root, controller)
        shutil.copytree(first_root / "state", second_root / "state")
        async with running(first_root, controller) as first:
            controller.forget_what_was_said()
            async with running(second_root, controller):
                failure = await asyncio.wait_for(first.failure, 10)

        assert isinstance(failure, SupersededError)

    played(scenario)


def test_heartbeats_tell_what_changes_all_the_time(tmp_path):
    async def run():
        controller = Controller(heartbeat_interval_s=0.05)
        controller.keep_heartbeats = True
        try:
            async with running(tmp_path, controller):
                beat = await controller.wait_for(lambda m: isinstance(m, Heartbeat) and m.datastores)
        finally:
            controller.close()
        assert beat.memory_used_mib > 0
        assert [store.name for store in beat.datastores] == ["default"]
        assert beat.clock_s > 0

    asyncio.run(run())

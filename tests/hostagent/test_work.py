"""The executor, the journal and the lanes together: restarts, full disks, and an end that leaves guests alone."""

import asyncio
import threading

import pytest
from tests.hostagent.equipment_of_tests import equipped
from tests.hostagent.orders_of_tests import a_disk, a_vm, order

from innkeeper_hostagent.config import LimitsConfig
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.journal import Journal
from innkeeper_hostagent.performer import Performer
from innkeeper_hostagent.protocol.messages import Disown, LegEnded, LegStatus, StepStarted
from innkeeper_hostagent.work import Listeners, Work
from innkeeper_plugins.steps import Cancel, Clone, Deploy, Reset
from innkeeper_plugins.vocabulary import OperationId, PowerState, VmId, VmState

COMMON = {"phase": VmState.PROLOG, "driver": "simulated"}
VM = a_vm(disks=(a_disk(driver="simulated"),), driver="simulated")
STEPS = (Clone(step_id=0, disk_id=0, **COMMON), Deploy(step_id=1, **COMMON))


class Host:
    """One life of an agent's working half; several lives share a directory, as a machine does."""

    def __init__(self, root, equipment=None):
        self.root = root
        self.sent = asyncio.Queue()
        self.confirms = asyncio.Queue()
        self.failures = []
        self.touched = []
        root.mkdir(exist_ok=True)
        self.equipment = equipment or equipped(root)
        self.executor = Executor(self.equipment.drivers.facts())
        self.journal = Journal(root / "journal")
        self.work = Work(
            self.executor,
            self.journal,
            loop=asyncio.get_running_loop(),
            make_performer=lambda ended, progressed: Performer(
                self.equipment, LimitsConfig(), ended=ended, progressed=progressed
            ),
            listeners=Listeners(
                send=self.sent.put_nowait,
                touched=self.touched.append,
                durable=lambda: self.confirms.put_nowait(None),
                failed=self.failures.append,
            ),
        )
        self.work.start()

    async def answer(self):
        while not isinstance(message := await asyncio.wait_for(self.sent.get(), 10), LegEnded):
            assert isinstance(message, StepStarted)
        return message

    def die(self):
        """As by ``kill -9``: nothing is written, nothing told, the files let go of."""
        self.work.performer.stop()
        self.work._recorder.close()
        self.journal.close()


def an_order(steps=STEPS, **values):
    return order(steps, vm=VM, **values)


def status(answer):
    return answer.status, sorted(answer.outcomes)


def guests(equipment):
    return [(guest.vm_id, guest.power) for guest in equipment.drivers.hypervisor("simulated").poll()]


class Gate:
    """A hypervisor whose deployments wait until somebody opens."""

    def __init__(self, driver):
        self._driver = driver
        self.entered = threading.Event()
        self.open = threading.Event()
        self.times = 0

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def deploy(self, place, vm):
        self.times += 1
        self.entered.set()
        while not self.open.wait(0.01):
            place.progress(0, 0)
        return self._driver.deploy(place, vm)


def gated(root):
    equipment = equipped(root)
    gate = Gate(equipment.drivers.hypervisor("simulated"))
    transfer = equipment.drivers.transfer("simulated")
    object.__setattr__(equipment, "drivers", Drivers({"simulated": transfer}, {"simulated": gate}))
    return equipment, gate


async def entered(gate):
    await asyncio.to_thread(gate.entered.wait, 10)
    gate.entered.clear()


def test_a_leg_is_carried_out_told_and_acknowledged(tmp_path):
    async def scenario():
        host = Host(tmp_path)
        host.work.on_carry_out(an_order())
        answer = await host.answer()
        await asyncio.wait_for(host.confirms.get(), 10)
        await host.work.stop()
        return host, answer

    host, answer = asyncio.run(scenario())

    assert status(answer) == (LegStatus.DONE, [0, 1])
    assert answer.outcomes[1].result == {"deploy_id": "sim-7"}
    assert host.touched == [VmId(7)] * 4
    assert guests(host.equipment) == [(7, PowerState.RUNNING)]
    assert (tmp_path / "default" / "vms" / "7" / "transfer.0.prolog").exists()


def test_an_agent_killed_in_the_middle_goes_on_where_it_was(tmp_path):
    async def scenario():
        equipment, gate = gated(tmp_path)
        first = Host(tmp_path, equipment)
        first.work.on_carry_out(an_order())
        await entered(gate)
        first.die()

        second = Host(tmp_path, equipment)
        await entered(gate)
        gate.open.set()
        answer = await second.answer()
        await second.work.stop()
        return gate, answer, equipment

    gate, answer, equipment = asyncio.run(scenario())

    assert status(answer) == (LegStatus.DONE, [0, 1])
    assert gate.times == 2
    assert guests(equipment) == [(7, PowerState.RUNNING)]


def test_an_agent_that_is_told_to_end_stops_its_steps_without_taking_them_back(tmp_path):
    async def scenario():
        equipment, gate = gated(tmp_path)
        first = Host(tmp_path, equipment)
        first.work.on_carry_out(an_order())
        await entered(gate)
        await first.work.stop()
        assert not first.work.performer.working_count
        sent = [first.sent.get_nowait() for _ in range(first.sent.qsize())]

        second = Host(tmp_path, equipment)
        gate.open.set()
        answer = await second.answer()
        await second.work.stop()
        return sent, answer

    sent, answer = asyncio.run(scenario())

    assert not [message for message in sent if isinstance(message, LegEnded)]
    assert status(answer) == (LegStatus.DONE, [0, 1])


def test_a_driver_that_hangs_does_not_keep_the_agent_from_ending(tmp_path, monkeypatch):
    monkeypatch.setattr("innkeeper_hostagent.work.STOP_S", 0.05)

    async def scenario():
        equipment, gate = gated(tmp_path)
        deaf = threading.Event()
        gate.deploy = lambda _place, _vm: (gate.entered.set(), deaf.wait(10), "sim-7")[2]
        host = Host(tmp_path, equipment)
        host.work.on_carry_out(an_order())
        await entered(gate)
        await host.work.stop()
        left = host.work.performer.working_count
        deaf.set()
        return left

    assert asyncio.run(scenario()) == 1


def test_a_cancelled_operation_leaves_nothing_behind(tmp_path):
    async def scenario():
        equipment, gate = gated(tmp_path)
        host = Host(tmp_path, equipment)
        host.work.on_carry_out(an_order())
        await entered(gate)
        host.work.on_cancel(OperationId("o1"))
        answer = await host.answer()
        assert not host.work.is_busy(VmId(7))
        host.work.on_carry_out(an_order((Cancel(step_id=0, **COMMON),), operation_id="o2"))
        await host.answer()
        await host.work.stop()
        return answer, equipment

    answer, equipment = asyncio.run(scenario())

    assert status(answer) == (LegStatus.CANCELLED, [0, 1])
    assert answer.outcomes[1].code == "cancelled"
    assert guests(equipment) == []


def test_with_a_full_disk_new_work_is_refused_and_known_work_answered(tmp_path, monkeypatch):
    async def scenario():
        host = Host(tmp_path)
        host.work.on_carry_out(an_order())
        first = await host.answer()
        monkeypatch.setattr(host.journal, "has_headroom", lambda _legs: False)
        host.work.on_carry_out(an_order())
        again = await host.answer()
        host.work.on_carry_out(an_order(operation_id="o2"))
        refused = await host.answer()
        host.work.on_carry_out(an_order(undo=True))
        undone = await host.answer()
        await host.work.stop()
        return first, again, refused, undone

    first, again, refused, undone = asyncio.run(scenario())

    assert again == first
    assert (refused.status, refused.reason) == (LegStatus.REFUSED, "no_space")
    assert undone.status is LegStatus.DONE


def test_a_disowned_guest_and_all_that_it_had_here_is_gone(tmp_path):
    async def scenario():
        host = Host(tmp_path)
        host.work.on_carry_out(an_order())
        await host.answer()
        host.work.on_confirm([OperationId("o1")])
        host.work.on_disown(Disown(vm_id=VmId(7), generation=1))
        host.work.on_carry_out(an_order((Cancel(step_id=0, **COMMON),), operation_id="o2"))
        await host.answer()
        await host.work.stop()
        return host

    host = asyncio.run(scenario())

    assert guests(host.equipment) == []
    assert not (tmp_path / "default" / "vms" / "7" / "disk.0").exists()


def test_a_retry_waits_until_the_first_try_has_been_tidied_up_after(tmp_path, monkeypatch):
    go_on = threading.Event()
    tidied = Performer.tidy_up

    def slow_tidy_up(performer, vm_id, done):
        performer._others.submit(lambda: go_on.wait(10) and tidied(performer, vm_id, done))

    monkeypatch.setattr(Performer, "tidy_up", slow_tidy_up)

    async def scenario():
        host = Host(tmp_path)
        failing = (Clone(step_id=0, disk_id=0, **COMMON), Reset(step_id=1, **COMMON))
        host.work.on_carry_out(an_order(failing))
        first = await host.answer()
        host.work.on_carry_out(an_order(operation_id="o2"))
        go_on.set()
        second = await host.answer()
        await host.work.stop()
        return first, second

    first, second = asyncio.run(scenario())

    assert (first.status, second.status) == (LegStatus.UNDONE, LegStatus.DONE)
    assert (tmp_path / "default" / "vms" / "7" / "transfer.0.prolog").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_stopping_lets_go_of_the_journal(tmp_path, times):
    async def scenario():
        for _ in range(times):
            host = Host(tmp_path)
            await host.work.stop()

    asyncio.run(scenario())

"""What the controller is told of guests: changes at once, all now and then, and nothing that was true only before."""

import asyncio
import threading

from tests.hostagent.orders_of_tests import a_vm

from innkeeper_hostagent import watcher as watcher_module
from innkeeper_hostagent.protocol.messages import Observed
from innkeeper_hostagent.watcher import Watcher
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Observation, PowerState, VmId

RUNNING, OFF, ABSENT = PowerState.RUNNING, PowerState.OFF, PowerState.ABSENT


def guest(vm_id, power=RUNNING, generation=1):
    return Observation(vm_id=VmId(vm_id), generation=generation, power=power)


class Hypervisor:
    name = "simulated"
    capabilities = frozenset({"events"})

    def __init__(self, *guests):
        self.guests = list(guests)
        self.on_poll = lambda: None
        self.changed = None

    def poll(self):
        seen = list(self.guests)
        self.on_poll()
        return seen

    def watch(self, changed):
        self.changed = changed


class Scene:
    def __init__(self, hypervisor):
        self.hypervisor = hypervisor
        self.sent = asyncio.Queue()
        self.busy = set()
        self.held = ()
        self.watcher = Watcher(
            [hypervisor],
            loop=asyncio.get_running_loop(),
            send=self.sent.put_nowait,
            is_busy=self.busy.__contains__,
            held=lambda: self.held,
            poll_interval_s=3600.0,
        )
        self.polls = asyncio.Queue()
        self.watcher._on_polled = self._on_polled
        self.watcher.start()

    async def told(self):
        return await asyncio.wait_for(self.sent.get(), 10)

    def _on_polled(self, *values):
        type(self.watcher)._on_polled(self.watcher, *values)
        self.polls.put_nowait(values)

    async def polled(self):
        await asyncio.wait_for(self.polls.get(), 10)


def played(hypervisor, scenario, *, settle_s=0.02):
    async def run():
        old, watcher_module.SETTLE_S = watcher_module.SETTLE_S, settle_s
        scene = Scene(hypervisor)
        try:
            await scenario(scene)
        finally:
            scene.watcher.close()
            watcher_module.SETTLE_S = old
        assert scene.sent.empty()

    asyncio.run(run())


def test_a_new_session_hears_of_all_guests():
    async def scenario(scene):
        scene.watcher.report_all()
        assert await scene.told() == Observed(guests=(guest(1), guest(2, OFF)), complete=True)

    played(Hypervisor(guest(1), guest(2, OFF)), scenario)


def test_a_change_is_told_at_once_and_once():
    async def scenario(scene):
        for _ in range(2):
            scene.hypervisor.changed(guest(1, PowerState.CRASHED))
        assert await scene.told() == Observed(guests=(guest(1, PowerState.CRASHED),))
        await asyncio.sleep(0)

    played(Hypervisor(), scenario)


def test_a_change_that_a_step_makes_is_left_to_the_step_and_looked_at_afterwards():
    async def scenario(scene):
        scene.busy.add(1)
        scene.watcher.touch(VmId(1))
        scene.hypervisor.changed(guest(1, OFF))
        await scene.polled()
        assert scene.sent.empty()

        scene.busy.clear()
        scene.watcher.touch(VmId(1))
        scene.hypervisor.changed(guest(1))
        assert await scene.told() == Observed(guests=(guest(1),), complete=True)

    played(Hypervisor(guest(1)), scenario)


def test_a_guest_that_a_step_worked_on_meanwhile_is_left_out_of_what_was_seen():
    """The poll saw no guest, then a deployment ended: by now the guest is not absent."""

    async def scenario(scene):
        loop = asyncio.get_running_loop()
        scene.watcher.report_all()
        await scene.told()
        scene.hypervisor.guests = [guest(2)]
        scene.hypervisor.on_poll = lambda: loop.call_soon_threadsafe(scene.watcher.touch, VmId(1))
        scene.watcher._poll_in(0.0)
        assert await scene.told() == Observed(guests=(guest(2),))

    played(Hypervisor(guest(1)), scenario, settle_s=60.0)


def test_a_guest_that_has_vanished_is_told_of_when_not_all_can_be():
    async def scenario(scene):
        scene.watcher.report_all()
        await scene.told()
        scene.hypervisor.guests = []
        scene.busy.add(2)
        scene.watcher.touch(VmId(2))
        scene.watcher._poll_in(0.0)
        assert await scene.told() == Observed(guests=(guest(1, ABSENT),))

    played(Hypervisor(guest(1), guest(2)), scenario)


def test_all_guests_are_told_of_as_soon_as_no_step_is_in_the_way():
    async def scenario(scene):
        scene.busy.add(1)
        scene.watcher.touch(VmId(1))
        scene.watcher.report_all()
        assert await scene.told() == Observed(guests=(guest(2),))
        scene.busy.clear()
        assert await scene.told() == Observed(guests=(guest(1), guest(2)), complete=True)

    played(Hypervisor(guest(1), guest(2)), scenario)


def test_a_look_that_is_due_while_another_is_under_way_is_taken_after_it():
    async def scenario(scene):
        loop = asyncio.get_running_loop()
        gone = threading.Event()

        def wait():
            scene.hypervisor.on_poll = lambda: None
            loop.call_soon_threadsafe(scene.watcher._poll_in, 0.0)
            gone.wait(0.1)
            scene.hypervisor.guests = []

        scene.hypervisor.on_poll = wait
        scene.watcher.report_all()
        assert await scene.told() == Observed(guests=(guest(1),), complete=True)
        assert await scene.told() == Observed(guests=(), complete=True)

    played(Hypervisor(guest(1)), scenario)


def test_a_change_that_a_look_under_way_is_too_old_to_know_is_not_taken_back():
    """A guest crashed while it was being looked at, and was then told of as RUNNING until the next look."""

    async def scenario(scene):
        def crash():
            scene.hypervisor.on_poll = lambda: None
            scene.hypervisor.guests = [guest(1, PowerState.CRASHED)]
            scene.hypervisor.changed(guest(1, PowerState.CRASHED))

        scene.watcher.report_all()
        await scene.told()
        scene.hypervisor.on_poll = crash
        scene.watcher._poll_in(0.0)
        assert await scene.told() == Observed(guests=(guest(1, PowerState.CRASHED),))
        assert await scene.told() == Observed(guests=(guest(1, PowerState.CRASHED),), complete=True)

    played(Hypervisor(guest(1)), scenario)


def test_a_guest_that_was_left_out_is_looked_at_again_when_its_step_has_ended():
    async def scenario(scene):
        scene.watcher.report_all()
        await scene.told()
        scene.busy.add(1)
        scene.watcher.touch(VmId(1))
        scene.hypervisor.guests = []
        scene.hypervisor.changed(guest(1, ABSENT))
        await scene.polled()
        await scene.polled()
        scene.busy.clear()
        scene.watcher.touch(VmId(1))
        assert await scene.told() == Observed(guests=(), complete=True)

    played(Hypervisor(guest(1)), scenario)


def test_a_hypervisor_that_does_not_answer_makes_no_guest_absent():
    async def scenario(scene):
        scene.watcher.report_all()
        await scene.told()

        def fail():
            raise DriverError("no libvirtd")

        scene.hypervisor.on_poll = fail
        await scene.polled()
        scene.watcher._poll_in(0.0)
        await scene.polled()

    played(Hypervisor(guest(1)), scenario)


def test_vms_of_which_only_files_are_here_are_told_of_with_all_guests():
    async def scenario(scene):
        scene.held = (a_vm(1, generation=3), a_vm(2, generation=5))
        scene.watcher.report_all()
        held_only = Observation(vm_id=VmId(2), generation=5, power=ABSENT, uuid=a_vm(2).uuid)

        assert await scene.told() == Observed(guests=(guest(1, generation=3), held_only), complete=True)
        assert scene.watcher.guest_of(VmId(2)) is None

    played(Hypervisor(guest(1, generation=3)), scenario)


def test_a_guest_is_known_while_it_is_here():
    async def scenario(scene):
        scene.watcher.report_all()
        await scene.told()
        assert scene.watcher.guest_of(VmId(1)) == guest(1, generation=3)
        assert scene.watcher.guest_of(VmId(9)) is None
        scene.hypervisor.changed(guest(1, ABSENT, generation=3))
        await scene.told()
        assert scene.watcher.guest_of(VmId(1)) is None

    played(Hypervisor(guest(1, generation=3)), scenario)

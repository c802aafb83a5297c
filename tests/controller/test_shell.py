"""The controller's loop: durable first, then out; once, whatever is asked twice."""

import asyncio
import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import structlog
from sqlalchemy import Connection

from innkeeper_controller import past_stays
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.pipeline import PipelineLimits
from innkeeper_controller.placement import scheduler
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import (
    Event,
    HistoryRecord,
    Host,
    HostState,
    LoginToken,
    Operation,
    OperationKind,
    OperationStatus,
    Plan,
    User,
    VmRecord,
)
from innkeeper_controller.requests.accounting import Span
from innkeeper_controller.requests.hosts import AddHost, NamedHost
from innkeeper_controller.requests.table import Nothing
from innkeeper_controller.requests.vms import EndVm, ListVms, SubmitVm
from innkeeper_controller.settings import CONTROLLER, Settings
from innkeeper_controller.shell import Controller, ShellLimits
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.replay import memory_differences, replay, table_differences
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import (
    Admit,
    Advertise,
    Confirm,
    ConsoleOutput,
    ControllerMessage,
    Heartbeat,
    Hello,
    Join,
    Joined,
    Refused,
    Welcome,
)
from innkeeper_plugins.vocabulary import Advertisement, Capacity, HostId, OperationId, VmState

ADMIN = User(name="oneadmin", user_id=0, groups=("oneadmin",), tokens=(LoginToken(token_sha256="aa"),))
TEMPLATE = "NAME = web\nCPU = 0.5\nMEMORY = 64\n"
HELLO = Hello(major=1, minor=0, agent_version="0", host_name="h")
LOOP_TURNS = 50


class FakeLinks:
    """What was told to the agents, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def send(self, host_id: int, message: ControllerMessage) -> None:
        self.told.append(("send", host_id, message))

    def confirm(self, host_id: int) -> None:
        self.told.append(("confirm", host_id))

    def answer_join(self, public_key: str, message: ControllerMessage) -> None:
        self.told.append(("join", public_key, message))

    def take(self) -> list[tuple[object, ...]]:
        told, self.told = self.told, []
        return told


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@functools.cache
def empty_store() -> bytes:
    """Return a database in which nothing is: made once, since the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{directory}/controller.db")
        bring_up(engine)
        engine.dispose()
        return (Path(directory) / "controller.db").read_bytes()


class Site:
    """A directory with a database, and one controller after the other on it."""

    def __init__(self, directory: Path) -> None:
        (directory / "controller.db").write_bytes(empty_store())
        self.engine = open_engine(f"sqlite:///{directory}/controller.db")
        self.links = FakeLinks()
        self.clock = Clock()
        self.limits = ShellLimits(tick_s=3600.0, pipeline=PipelineLimits(retry_s=0.01))

    @contextlib.asynccontextmanager
    async def controller(self):
        cluster = Cluster()
        cluster.load_records(*Archive(self.engine).load())
        settings = Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000", public_key="0" * 40)
        reactor = Reactor(cluster, settings, lambda n: b"\7" * n)
        controller = Controller(reactor, self.engine, clock=self.clock, entropy=lambda n: b"\7" * n, limits=self.limits)
        controller.hosts.links = self.links
        await controller.start()
        self.links.take()
        try:
            yield controller
        finally:
            await controller.close()
            assert memory_differences(self.told(), cluster) == []

    def told(self):
        with self.engine.connect() as connection:
            told = replay(connection)
            assert table_differences(connection, told) == []
        return told

    @contextlib.contextmanager
    def held(self) -> Iterator[Connection]:
        """Keep the writer from writing."""
        with self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    def run(self, scenario: Callable[[Controller], object]) -> None:
        async def run() -> None:
            async with self.controller() as controller:
                await scenario(controller)

        asyncio.run(run())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.engine.dispose()


async def spin() -> None:
    """Let the loop turn as often as anything of ours needs that waits for nothing else."""
    for _ in range(LOOP_TURNS):
        await asyncio.sleep(0)


def submit(controller: Controller, request_id: str = "", **params) -> asyncio.Task:
    wanted = SubmitVm(**{"template": TEMPLATE} | params)
    return asyncio.create_task(controller.request("vm.submit", wanted, user=ADMIN, request_id=request_id))


async def enrolled(controller: Controller, name: str = "h1") -> HostId:
    """Return a host that is connected."""
    host_id = HostId(controller.reactor.cluster.next_id("host") or 1)

    def turn() -> Turn:
        turn = Turn(controller.reactor.cluster, controller.reactor.settings, 1.0, "controller")
        turn.put(Host(host_id=host_id, name=name, state=HostState.ON, public_key=f"key-{name}"))
        return turn

    await controller.carry_out(turn)
    controller.hosts.on_connected(host_id, HELLO)
    await controller.pipeline.settled()
    return host_id


def test_an_answer_waits_for_the_disk(site: Site):
    async def scenario(controller: Controller) -> None:
        with site.held():
            answer = submit(controller)
            await spin()
            done_before = answer.done()
        submitted = await answer

        assert done_before is False
        assert submitted.vm_ids == (0,)
        assert Archive(site.engine).record("vm", 0) == controller.reactor.cluster.vms[0]

    site.run(scenario)


def test_a_refusal_waits_for_what_it_saw(site: Site):
    async def scenario(controller: Controller) -> None:
        with site.held():
            kept = submit(controller)
            refused = submit(controller, count=0)
            await spin()
            done_before = refused.done()
        with pytest.raises(RefusalError) as refusal:
            await refused
        await kept

        assert done_before is False
        assert refusal.value.code == "bad_request"

    site.run(scenario)


def test_a_read_waits_for_what_it_saw_and_for_nothing_else(site: Site):
    async def scenario(controller: Controller) -> None:
        def read() -> asyncio.Task:
            return asyncio.create_task(controller.request("vm.list", ListVms(), user=ADMIN))

        with site.held():
            before = await read()
            kept = submit(controller)
            await spin()
            reading = read()
            await spin()
            done_early = reading.done()
        after = await reading
        await kept

        assert before == ()
        assert done_early is False
        assert [vm.vm_id for vm in after] == [0]

    site.run(scenario)


def test_many_requests_share_one_commit(site: Site):
    async def scenario(controller: Controller) -> None:
        commits = controller.pipeline.writer.counters.commits
        with site.held():
            answers = [submit(controller) for _ in range(100)]
            await spin()
        ids = [answer.vm_ids for answer in await asyncio.gather(*answers)]

        assert ids == [(number,) for number in range(100)]
        # The first few may go alone, because the disk was idle; all others go together.
        assert controller.pipeline.writer.counters.commits - commits in {1, 2}

    site.run(scenario)


def test_the_next_turn_reacts_while_the_last_is_being_written(site: Site):
    async def scenario(controller: Controller) -> None:
        with site.held():
            first = submit(controller)
            await spin()
            second = submit(controller)
            await spin()
            known = sorted(controller.reactor.cluster.vms)
        await asyncio.gather(first, second)

        assert known == [0, 1]

    site.run(scenario)


def test_the_scheduler_goes_on_as_long_as_it_finds_something(site: Site):
    async def scenario(controller: Controller) -> None:
        reactor = controller.reactor
        finds = iter(range(3))

        def schedule(now_s: float) -> Turn:
            turn = Turn(reactor.cluster, reactor.settings, now_s, "scheduler")
            found = next(finds, None)
            if found is not None:
                turn.put(User(name=f"found-{found}", user_id=100 + found))
            return turn

        reactor.schedule = schedule
        await submit(controller)
        await spin()
        await controller.pipeline.settled()

        assert sorted(reactor.cluster.users) == ["found-0", "found-1", "found-2"]
        assert next(finds, None) is None

    site.run(scenario)


def test_the_scheduler_goes_on_until_it_has_looked_at_every_vm(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduler, "BATCH", 1)

    async def scenario(controller: Controller) -> None:
        await submit(controller, count=7)
        controller.reactor.cluster.freed = True
        await submit(controller)
        await spin()

        assert (len(controller.reactor.cluster.pending), controller.reactor.cluster.unconsidered) == (8, {})

    site.run(scenario)


def test_the_scheduler_is_no_further_ahead_of_the_disk_than_it_may_be(site: Site):
    async def scenario(controller: Controller) -> None:
        reactor = controller.reactor
        numbers = iter(range(9))

        def schedule(now_s: float) -> Turn:
            turn = Turn(reactor.cluster, reactor.settings, now_s, "scheduler")
            found = next(numbers, None)
            if found is not None:
                turn.put(User(name=f"found-{found}", user_id=100 + found))
            return turn

        reactor.schedule = schedule
        with site.held():
            submitted = submit(controller)
            await spin()
            ahead = len(reactor.cluster.users)
        await submitted

        assert ahead == site.limits.pipeline.max_unfinished_passes

    site.run(scenario)


def test_vms_that_are_done_are_accounted_for_as_well(site: Site):
    async def scenario(controller: Controller) -> None:
        await submit(controller)
        reactor = controller.reactor

        def ended() -> Turn:
            turn = Turn(reactor.cluster, reactor.settings, 9.0, "controller")
            vm = reactor.cluster.vms[0]
            stay = HistoryRecord(vm_id=0, seq=0, host_id=1, host_name="h1", began_at_s=1.0, ended_at_s=8.0, owner="ann")
            turn.put(stay)
            turn.put(msgspec.structs.replace(vm, state=VmState.DONE, ended_at_s=8.0))
            return turn

        await controller.carry_out(ended)
        wanted = [Span(), Span(owner="bob"), Span(from_s=8.0)]
        found = [await past_stays.answer(controller, "vm.accounting", each, ADMIN) for each in wanted]

        assert reactor.cluster.history_records == {}
        assert [[each.seq for each in answer.records] for answer in found] == [[0], [], []]

    site.run(scenario)


def test_time_passes_however_much_there_is_to_do(site: Site):
    site.limits = ShellLimits(tick_s=0.001)

    async def scenario(controller: Controller) -> None:
        ticked = asyncio.Event()
        tick = controller.reactor.tick

        def noted(now_s: float) -> Turn:
            ticked.set()
            return tick(now_s)

        controller.reactor.tick = noted
        kept = [submit(controller) for _ in range(500)]
        await ticked.wait()
        await asyncio.gather(*kept)

    site.run(scenario)


def test_a_numbered_request_is_carried_out_once(site: Site):
    async def scenario(controller: Controller) -> None:
        together = await asyncio.gather(*[submit(controller, "r1") for _ in range(3)])
        later = await submit(controller, "r1")

        assert {answer.vm_ids for answer in (*together, later)} == {(0,)}
        assert len(controller.reactor.cluster.vms) == 1

    site.run(scenario)


def test_a_numbered_request_gets_the_same_answer_after_a_restart(site: Site):
    async def before(controller: Controller) -> None:
        assert (await submit(controller, "r1")).vm_ids == (0,)

    async def after(controller: Controller) -> None:
        again, new = await asyncio.gather(submit(controller, "r1"), submit(controller, "r2"))
        assert (again.vm_ids, new.vm_ids) == ((0,), (1,))

    site.run(before)
    site.run(after)


def test_one_number_for_two_requests_is_refused(site: Site):
    async def scenario(controller: Controller) -> None:
        await submit(controller, "r1")
        with pytest.raises(RefusalError) as refusal:
            await submit(controller, "r1", name="other")

        assert refusal.value.code == "bad_request"
        assert len(controller.reactor.cluster.vms) == 1

    site.run(scenario)


def test_a_refused_request_may_be_tried_again_with_its_number(site: Site):
    async def scenario(controller: Controller) -> None:
        with pytest.raises(RefusalError):
            await submit(controller, "r1", count=0)

        assert (await submit(controller, "r1")).vm_ids == (0,)

    site.run(scenario)


def test_an_answer_with_a_secret_is_given_again_but_never_written(site: Site):
    answers = []

    def add(controller: Controller):
        return controller.request("host.add", AddHost(name="h1"), user=ADMIN, request_id="r1")

    async def before(controller: Controller) -> None:
        answers.extend([await add(controller), await add(controller)])

    async def after(controller: Controller) -> None:
        with pytest.raises(RefusalError) as refusal:
            await add(controller)
        assert refusal.value.code == "wrong_state"

    site.run(before)
    site.run(after)
    site.engine.dispose()

    assert answers[0] == answers[1]
    files = [path for path in Path(str(site.engine.url.database)).parent.iterdir() if path.is_file()]
    assert [path.name for path in files if answers[0].join_token.encode() in path.read_bytes()] == []


def test_a_hope_whose_time_has_come_is_looked_at_though_nothing_else_happens(site: Site):
    site.limits = ShellLimits(tick_s=0.001)

    async def scenario(controller: Controller) -> None:
        host_id = await enrolled(controller)
        schedule, looked = controller.reactor.schedule, asyncio.Event()

        def noted(now_s: float) -> Turn:
            looked.set()
            return schedule(now_s)

        controller.reactor.schedule = noted
        controller.reactor.cluster.bettered[host_id] = None
        await looked.wait()

        assert (controller.reactor.cluster.freed, controller.reactor.cluster.bettered) == (False, {})

    site.run(scenario)


def test_no_more_waits_than_the_limit(site: Site):
    site.limits = ShellLimits(tick_s=3600.0, max_waiting=2)

    async def scenario(controller: Controller) -> None:
        answers = await asyncio.gather(*[submit(controller) for _ in range(4)], return_exceptions=True)

        assert [getattr(answer, "code", "kept") for answer in answers] == ["kept", "kept", "too_many", "too_many"]
        assert (await submit(controller)).vm_ids == (2,)

    site.run(scenario)


def test_no_more_is_reacted_to_than_may_be_unfinished(site: Site):
    pipeline = PipelineLimits(max_inputs_per_turn=2, max_first_inputs=2, max_unfinished_turns=3)
    site.limits = ShellLimits(tick_s=3600.0, pipeline=pipeline)

    async def scenario(controller: Controller) -> None:
        with site.held():
            answers = [submit(controller) for _ in range(9)]
            await spin()
            reacted_to = len(controller.reactor.cluster.vms)
        ids = [answer.vm_ids[0] for answer in await asyncio.gather(*answers)]

        assert reacted_to == 4
        assert ids == list(range(9))

    site.run(scenario)


def test_what_a_host_is_told_and_acknowledged_waits_for_the_disk(site: Site):
    async def scenario(controller: Controller) -> None:
        host_id = await enrolled(controller)
        site.links.take()
        facts = Advertisement(capacity=Capacity(cpu_cores=4, memory_mib=4096))
        with site.held():
            controller.hosts.on_message(host_id, Advertise(advertisement=facts))
            controller.hosts.on_message(host_id, Heartbeat(cpu_used_cores=0.1, memory_used_mib=5))
            await spin()
            controller.hosts.on_message(host_id, Heartbeat(cpu_used_cores=0.2, memory_used_mib=5))
            await spin()
            told_before = site.links.take()
        await controller.pipeline.settled()

        assert told_before == []
        assert site.links.take() == [("confirm", host_id)]

    site.run(scenario)


def test_a_host_is_acknowledged_only_when_all_that_it_said_is_durable(site: Site):
    async def scenario(controller: Controller) -> None:
        host_id = await enrolled(controller)
        site.links.take()
        controller.hosts.on_message(host_id, Heartbeat(cpu_used_cores=0.1, memory_used_mib=5))
        await spin()
        alone = site.links.take()
        with site.held():
            facts = Advertisement(capacity=Capacity(cpu_cores=4, memory_mib=4096))
            controller.hosts.on_message(host_id, Advertise(advertisement=facts))
            await spin()
            controller.hosts.on_message(host_id, ConsoleOutput(stream_id=1, ended=True))
            early = site.links.take()
        await controller.pipeline.settled()

        assert (alone, early) == ([("confirm", host_id)], [])
        assert site.links.take() == [("confirm", host_id)]

    site.run(scenario)


def test_a_welcome_goes_out_at_once_and_lets_nothing_be_forgotten_before_it_is_durable(site: Site):
    async def scenario(controller: Controller) -> None:
        host_id = await enrolled(controller)
        controller.hosts.on_lost(host_id)
        await spin()
        await controller.pipeline.settled()
        site.links.take()
        hello = Hello(major=1, minor=0, agent_version="0", host_name="h", operations=(OperationId("o9"),))
        with site.held():
            welcome = controller.hosts.on_connected(host_id, hello)
            await spin()
            told_before = site.links.take()
        await controller.pipeline.settled()

        assert welcome == Welcome(host_id=host_id, host_name="h1", heartbeat_interval_s=5.0)
        assert told_before == []
        assert site.links.take() == [
            ("send", host_id, Confirm(operations=(OperationId("o9"),))),
            ("confirm", host_id),
        ]

    site.run(scenario)


def test_a_host_that_was_deleted_gets_no_session(site: Site):
    async def scenario(controller: Controller) -> None:
        answer = controller.hosts.on_connected(99, HELLO)

        assert isinstance(answer, Refused)
        assert answer.code == "unknown_key"

    site.run(scenario)


def test_a_join_is_answered_when_it_is_durable(site: Site):
    async def scenario(controller: Controller) -> None:
        await controller.request("host.add", AddHost(name="h1"), user=ADMIN)
        join = Join(major=1, minor=0, host_name="box", token=(b"\7" * 20).hex())
        wrong = Join(major=1, minor=0, host_name="box", token="nonsense")
        controller.hosts.on_join("stranger", wrong)
        with site.held():
            controller.hosts.on_join("key", join)
            await spin()
            told_before = [told for told in site.links.take() if told[1] == "key"]
        await controller.pipeline.settled()

        assert told_before == []
        told = [told for told in site.links.take() if told[1] == "key"]
        assert len(told) == 1
        assert isinstance(told[0][2], Joined)
        assert controller.hosts.host_of_key("key") == told[0][2].host_id

    site.run(scenario)


def test_what_the_controller_sends_to_itself_does_not_go_over_the_wire(site: Site):
    async def scenario(controller: Controller) -> None:
        own: list[ControllerMessage] = []
        controller.hosts.on_own_message = own.append
        admit = Admit(public_key="k", digests=(), expires_in_s=1.0)

        def turn() -> Turn:
            turn = Turn(controller.reactor.cluster, controller.reactor.settings, 1.0, "controller")
            turn.send(CONTROLLER, admit)
            return turn

        await controller.carry_out(turn)

        assert own == [admit]
        assert site.links.take() == []

    site.run(scenario)


def operation(status: OperationStatus, ended_at_s: float | None) -> Operation:
    return Operation(
        operation_id=OperationId("o0"),
        kind=OperationKind.IMPORT_IMAGE,
        subject="image:0",
        origin="",
        plan=Plan(legs=()),
        status=status,
        ended_at_s=ended_at_s,
    )


def put(controller: Controller, record) -> asyncio.Task:
    def turn() -> Turn:
        turn = Turn(controller.reactor.cluster, controller.reactor.settings, 1.0, "controller")
        turn.put(record)
        return turn

    return asyncio.create_task(controller.carry_out(turn))


def test_waiting_for_an_operation_ends_when_its_end_is_durable(site: Site):
    async def scenario(controller: Controller) -> None:
        await put(controller, operation(OperationStatus.RUNNING, None))
        waits = [asyncio.create_task(controller.wait_operation("o0", 60.0)) for _ in range(2)]
        await spin()
        with site.held():
            ending = put(controller, operation(OperationStatus.DONE, 5.0))
            await spin()
            done_before = [waiting.done() for waiting in waits]
        await asyncio.gather(ending, *waits)
        await controller.wait_operation("o0", 60.0)

        assert done_before == [False, False]
        assert len(controller.waits) == 0

    site.run(scenario)


def test_waiting_for_an_operation_ends_in_time_where_the_operation_does_not(site: Site):
    async def scenario(controller: Controller) -> None:
        await put(controller, operation(OperationStatus.RUNNING, None))
        await controller.wait_operation("o0", 0.001)

        assert len(controller.waits) == 0

    site.run(scenario)


def test_events_are_told_when_durable_and_numbered_without_a_gap_over_restarts(site: Site):
    told: list[tuple[int, str]] = []

    async def scenario(controller: Controller) -> None:
        def watch(transactions) -> None:
            for each in transactions:
                told.extend((each.first_seq + index, event.what) for index, event in enumerate(each.events))

        controller.watchers.append(watch)
        await submit(controller)
        with pytest.raises(RefusalError):
            await submit(controller, count=0)
        await submit(controller)

    site.run(scenario)
    site.run(scenario)
    stored = [(event.seq, event.what) for event, _ in Archive(site.engine).events()]

    assert stored == [
        (1, "controller.started"),
        (2, "vm.submitted"),
        (3, "vm.submitted"),
        (4, "controller.started"),
        (5, "vm.submitted"),
        (6, "vm.submitted"),
    ]
    assert told == [each for each in stored if each[1] == "vm.submitted"]


def test_a_turn_that_tells_nothing_still_has_its_place_in_the_log(site: Site):
    async def scenario(controller: Controller) -> None:
        await put(controller, User(name="bob", user_id=3))

    site.run(scenario)

    assert Archive(site.engine).events(after=1) == [
        (Event(what="state.changed", subject="user:bob", at_s=1.0, actor="controller", seq=2), "bob")
    ]
    assert site.told().records["user", "bob"] == User(name="bob", user_id=3)


def test_events_of_a_vm_belong_to_its_owner_even_after_its_end(site: Site):
    async def scenario(controller: Controller) -> None:
        await put(controller, User(name="ann", user_id=2))
        ann = controller.reactor.cluster.users["ann"]
        await controller.request("vm.submit", SubmitVm(template=TEMPLATE), user=ann)
        await controller.request("vm.terminate", EndVm(vm_id=0), user=ADMIN)

    site.run(scenario)
    owners = {owner for event, owner in Archive(site.engine).events() if event.subject == "vm:0"}

    assert Archive(site.engine).record("vm", 0).state == "DONE"
    assert owners == {"ann"}


def test_hosts_that_were_connected_are_lost_when_the_controller_begins_anew(site: Site):
    async def before(controller: Controller) -> None:
        await enrolled(controller)
        assert controller.reactor.cluster.hosts[1].connected is True

    async def after(controller: Controller) -> None:
        assert controller.reactor.cluster.hosts[1].connected is False

    site.run(before)
    site.run(after)


def test_nobody_without_rights_gets_anything(site: Site):
    async def scenario(controller: Controller) -> None:
        await put(controller, Host(host_id=HostId(1), name="h1"))
        with pytest.raises(RefusalError) as nobody:
            await controller.request("system.status", Nothing(), user=None)
        with pytest.raises(RefusalError) as not_admin:
            await controller.request("host.enable", NamedHost(host="h1"), user=User(name="u", user_id=4))

        assert (nobody.value.code, not_admin.value.code) == ("unauthenticated", "forbidden")

    site.run(scenario)


def test_a_request_that_finds_a_fault_in_the_controller_changes_nothing_and_stops_nobody(site: Site):
    async def scenario(controller: Controller) -> None:
        controller.reactor._entropy = lambda count: b"short"
        with structlog.testing.capture_logs():
            faulty = controller.request("host.add", AddHost(name="h1"), user=ADMIN, request_id="r1")
            kept, refused = await asyncio.gather(submit(controller), faulty, return_exceptions=True)

        assert kept.vm_ids == (0,)
        assert refused.code == "internal"
        assert controller.pipeline.bugs == 1
        assert controller.reactor.cluster.hosts == {}

    site.run(scenario)


def test_a_database_that_breaks_ends_the_controller_and_nothing_more_is_answered(site: Site):
    async def run() -> None:
        context = site.controller()
        controller = await context.__aenter__()
        with site.engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE events RENAME TO gone")
        answer = submit(controller, "r1")
        why = await controller.pipeline.broken
        with pytest.raises(RefusalError) as refused_later:
            await submit(controller)
        with pytest.raises(RefusalError) as refused_read:
            await controller.request("vm.list", ListVms(), user=ADMIN)
        await controller.close()
        with pytest.raises(RefusalError) as refused:
            await answer
        with site.engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO events")

        assert why == "no such table: events (SQLITE_ERROR)"
        assert {refused.value.code, refused_later.value.code, refused_read.value.code} == {"unavailable"}
        assert [record for record in Archive(site.engine).load()[0] if isinstance(record, VmRecord)] == []

    asyncio.run(run())


@pytest.fixture
def small_site() -> Iterator[tuple[Site, Path]]:
    # Not below pytest's own directory, which it could not remove should we be killed.
    with tempfile.TemporaryDirectory(prefix="inn-small-") as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory], check=True)
        site = Site(Path(directory))
        yield site, Path(directory) / "ballast"
        site.engine.dispose()
        subprocess.run(["umount", directory], check=True)


def fill(ballast: Path) -> None:
    free = os.statvfs(ballast.parent)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_bsize))


def troubles(controller: Controller) -> asyncio.Queue[str]:
    """Return where the controller's troubles are told from now on, and their ends as empty texts."""
    told: asyncio.Queue[str] = asyncio.Queue()
    first = controller.pipeline._on_trouble

    def on_trouble(why: str) -> None:
        first(why)
        told.put_nowait(why)

    controller.pipeline._on_trouble = on_trouble
    return told


BIG = f"{TEMPLATE}# {'x' * 200_000}\n"


@pytest.mark.root
def test_on_a_full_disk_nothing_is_accepted_and_nothing_is_lost(small_site: tuple[Site, Path]):
    site, ballast = small_site

    async def scenario(controller: Controller) -> None:
        host_id = await enrolled(controller)
        site.links.take()
        told = troubles(controller)
        fill(ballast)
        waiting = submit(controller, "r1", template=BIG)
        began = await told.get()
        controller.hosts.on_message(host_id, Heartbeat(cpu_used_cores=0.1, memory_used_mib=5))
        with pytest.raises(RefusalError) as refused:
            await submit(controller, "r2")
        with pytest.raises(RefusalError) as refused_read:
            await controller.request("vm.list", ListVms(), user=ADMIN)
        told_before = site.links.take()
        ballast.unlink()
        kept = await waiting
        ended = await told.get()
        later = await submit(controller, "r2")

        assert (refused.value.code, refused_read.value.code) == ("unavailable", "unavailable")
        assert "database or disk is full" in str(refused.value)
        assert (began, ended) == ("database or disk is full (SQLITE_FULL)", "")
        assert told_before == []
        assert (kept.vm_ids, later.vm_ids) == ((0,), (1,))
        assert site.links.take() == [("confirm", host_id)]

    site.run(scenario)


@pytest.mark.root
def test_whoever_waits_too_long_for_a_full_disk_learns_the_end_by_asking_again(small_site: tuple[Site, Path]):
    site, ballast = small_site
    site.limits = ShellLimits(tick_s=3600.0, answer_timeout_s=0.01, pipeline=PipelineLimits(retry_s=0.1))

    async def scenario(controller: Controller) -> None:
        told = troubles(controller)
        fill(ballast)
        with pytest.raises(RefusalError) as given_up:
            await submit(controller, "r1", template=BIG)
        with pytest.raises(RefusalError) as still:
            await submit(controller, "r1", template=BIG)
        ballast.unlink()
        assert [await told.get(), await told.get()] == ["database or disk is full (SQLITE_FULL)", ""]
        await controller.pipeline.settled()

        assert (given_up.value.code, still.value.code) == ("unavailable", "unavailable")
        assert (await submit(controller, "r1", template=BIG)).vm_ids == (0,)
        assert len(controller.reactor.cluster.vms) == 1

    site.run(scenario)

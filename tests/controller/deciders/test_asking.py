"""Programs and plugins are asked outside the loop, for real: what hangs, lies or babbles is ended and replaced."""

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.controller.builders import ADMIN, ANN, BARE, a_host

from innkeeper_controller.assembly import Assembly
from innkeeper_controller.config import parse
from innkeeper_controller.daemon import main
from innkeeper_controller.deciders.asking import GRACE_S, Asker, run_plugin, run_program
from innkeeper_controller.deciders.chosen import chosen
from innkeeper_controller.deciders.rounds import FIRST_REST_S
from innkeeper_controller.deciders.snapshot import Snapshot, SnapshotHost, SnapshotVm
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.scheduling.wishes import Term
from innkeeper_controller.turn import Turn
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.hookspecs import hookimpl
from innkeeper_plugins.registry import Registry

FIRST_FIT = Path(__file__).parents[3] / "contrib" / "schedulers" / "first-fit"

MANUAL = Path(__file__).parents[3] / "docs" / "scheduling-plugins.md"
TIMEOUT_S = 30


class Site:
    """A controller with two hosts, and another scheduler that decides for it."""

    def __init__(self, directory):
        config = f'state_dir = "{directory}/state"\n[http]\nlisten = "127.0.0.1:0"\n'
        self.assembly = Assembly(parse(config + '[agents]\nlisten = "tcp://127.0.0.1:0"\n'))
        self.events = asyncio.Queue()

    async def __aenter__(self):
        await self.assembly.start()
        self.controller = self.assembly.controller
        self.controller.watchers.append(self._watch)
        self.cluster = self.controller.reactor.cluster
        await self._put(ADMIN, ANN, a_host(1), a_host(2))
        return self

    async def __aexit__(self, *error):
        await self.assembly.stop()

    def _watch(self, transactions):
        for transaction in transactions:
            for event in transaction.events:
                self.events.put_nowait(event)

    async def _put(self, *records):
        def make_turn():
            turn = Turn(self.cluster, self.controller.reactor.settings, self.controller.clock(), "test")
            for record in records:
                turn.put(record)
            turn.event("test", "controller")
            return turn

        await self.controller.carry_out(make_turn)

    def decide(self, run, timeout_s=TIMEOUT_S):
        """Let another scheduler decide from now on."""
        rounds = self.controller.reactor.ask_outside("the program x")
        asker = Asker(self.controller, rounds, run, timeout_s=timeout_s)
        self.assembly._up.push_async_callback(asker.close)

    async def ask(self, name, **params):
        return await self.controller.request(name, REQUESTS[name].params(**params), user=ADMIN)

    async def submit(self, count=1):
        return (await self.ask("vm.submit", template=BARE, count=count)).vm_ids

    async def told(self, what):
        """Return the next event of a kind."""
        async with asyncio.timeout(TIMEOUT_S):
            while (event := await self.events.get()).what != what:
                pass
            return event

    async def placed(self, count=1):
        """Return ``{VM: host}`` of the next VMs that are placed."""
        found = {}
        while len(found) < count:
            event = await self.told("operation.started")
            vm_id = int(event.subject.removeprefix("vm:"))
            found[vm_id] = self.cluster.hosts[self.cluster.vms[vm_id].host_id].name
        return found


def run(scenario, directory):
    async def live():
        async with Site(directory) as site:
            await scenario(site)

    asyncio.run(live())


def script(directory, text):
    """Return a program, in Python."""
    path = directory / "sched"
    path.write_text(f"#!{sys.executable} -S\nimport json, os, sys, time\n{text}\n")
    path.chmod(0o755)
    return (str(path),)


def test_the_example_program_decides_for_a_real_controller(tmp_path):
    async def scenario(site):
        site.decide(run_program((str(FIRST_FIT),), 20.0))
        vm_ids = await site.submit(count=10)

        assert await site.placed(10) == {vm_id: "h1" if number < 8 else "h2" for number, vm_id in enumerate(vm_ids)}

    run(scenario, tmp_path)


BAD = {
    "hang": ("time.sleep(600)", "was killed after 1 s"),
    "child that hangs": ("os.fork(); time.sleep(600)", "was killed after 1 s"),
    "crash": ("sys.exit('no idea')", "failed with exit status 1: no idea"),
    "killed": ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
    "nothing": ("", "its answer is not like"),
    "binary": ("sys.stdout.buffer.write(os.urandom(100_000))", "its answer is not like"),
    "a gigabyte of zeros": (
        "zeros = bytes(1 << 20)\nfor _ in range(1024): sys.stdout.buffer.write(zeros)",
        "printed more than 16777216 bytes",
    ),
    "nested": ("print('[' * 10_000 + ']' * 10_000)", "its answer is not like"),
    "NaN": ('print(\'{"placements": [{"vm": NaN, "host": "h1"}]}\')', "its answer is not like"),
    "babble on stderr": ("sys.stderr.write('x' * 10_000_000); sys.exit(3)", "failed with exit status 3"),
    "lie": ('print(\'{"placements": [{"vm": 77, "host": "h1"}]}\')', "it placed VM 77, which it was not asked"),
    "twice": ("print(json.dumps({'placements': [{'vm': 0, 'host': 'h1'}] * 2}))", "it placed VM 0 twice"),
}


@pytest.mark.parametrize("kind", BAD)
def test_whatever_a_program_does_the_vm_is_placed_and_the_operator_is_told(tmp_path, kind):
    text, why = BAD[kind]

    async def scenario(site):
        site.decide(run_program(script(tmp_path, text), 1.0 if "hang" in kind else 20.0))
        await site.submit()
        failed = await site.told("scheduler.program_failed")

        assert why in failed.detail["why"]
        assert len(failed.detail["why"]) < 2000
        assert await site.placed() == {0: "h1"}

    run(scenario, tmp_path)


def test_a_program_that_is_not_there_is_told_of(tmp_path):
    async def scenario(site):
        site.decide(run_program(("/nowhere/sched",), 5.0))
        await site.submit()

        assert "could not be started: No such file" in (await site.told("scheduler.program_failed")).detail["why"]
        assert await site.placed() == {0: "h1"}

    run(scenario, tmp_path)


def test_a_program_is_asked_again_after_a_failure_and_told_of_once_it_works(tmp_path):
    once = tmp_path / "once"
    text = f"""
if not os.path.exists({str(once)!r}):
    open({str(once)!r}, "w").close()
    sys.exit(1)
print('{{"placements": []}}')
"""

    async def scenario(site):
        site.decide(run_program(script(tmp_path, text), 20.0))
        await site.ask("vm.submit", template=BARE.replace("512", "999999"))
        failed = await site.told("scheduler.program_failed")
        works = await site.told("scheduler.program_works")

        assert works.at_s - failed.at_s >= FIRST_REST_S

    run(scenario, tmp_path)


def test_a_program_that_runs_is_killed_when_the_controller_ends(tmp_path):
    mark = tmp_path / "pid"
    os.mkfifo(mark)

    async def scenario(site):
        site.decide(
            run_program(script(tmp_path, f"open({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"), 60.0)
        )
        await site.submit()
        pids.append(int(await asyncio.to_thread(mark.read_text)))

    pids = []
    run(scenario, tmp_path)

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_plugins_scheduler_gets_a_snapshot_of_its_own_and_decides(tmp_path):
    def decide(snapshot):
        names = [host["name"] for host in snapshot["hosts"]]
        snapshot["hosts"].clear()
        return [(vm["vm_id"], names[-1]) for vm in snapshot["vms"]]

    async def scenario(site):
        site.decide(run_plugin(decide))
        await site.submit()

        assert await site.placed() == {0: "h2"}

    run(scenario, tmp_path)


def fail(snapshot):
    raise RuntimeError("no idea")


@pytest.mark.parametrize(
    ("decide", "why"),
    [
        (fail, "RuntimeError: no idea"),
        (lambda snapshot: None, "TypeError: "),
        (lambda snapshot: [(0,)], "ValueError: "),
        (lambda snapshot: [("0", "h1")], "ValidationError: "),
        (lambda snapshot: sys.exit(), "SystemExit: "),
        (lambda snapshot: [(0, "h1"), (0, "h1")], "it placed VM 0 twice"),
    ],
)
def test_whatever_a_plugins_scheduler_does_the_vm_is_placed(tmp_path, decide, why):
    async def scenario(site):
        site.decide(run_plugin(decide))
        await site.submit()

        assert (await site.told("scheduler.program_failed")).detail["why"].startswith(why)
        assert await site.placed() == {0: "h1"}

    run(scenario, tmp_path)


def test_a_plugins_scheduler_that_does_not_come_back_is_asked_nothing_more_until_it_does(tmp_path):
    release, calls = threading.Event(), []

    def decide(snapshot):
        calls.append(len(snapshot["vms"]))
        release.wait(TIMEOUT_S)
        return []

    async def scenario(site):
        site.decide(run_plugin(decide), timeout_s=0.1)
        await site.submit()

        assert "it did not come back" in (await site.told("scheduler.program_failed")).detail["why"]
        assert await site.placed() == {0: "h1"}
        assert calls == [1]

    run(scenario, tmp_path)
    release.set()


# --- what is chosen at the start


class Plugin:
    @hookimpl
    def register_schedulers(self):
        return [("oracle", lambda snapshot: []), ("none", lambda snapshot: []), ("odd", 3)]

    @hookimpl
    def register_scheduling_clauses(self):
        return [("memory", 1), ("odd", "no clause")]

    @hookimpl
    def register_scheduling_policies(self):
        return [("green", {"packing": 1.0}), ("vague", {"packing": "much"})]


def choose(text):
    return chosen(parse(text), Registry({"mine": Plugin()}), lambda: 0.0)


def test_plugins_names_can_be_chosen_and_what_cannot_be_used_is_told():
    found = choose('scheduler = "oracle"\npolicy = "green"')

    assert found.decider.called == "the plugin's scheduler oracle"
    assert found.schedulers == ("match-making", "none", "program", "oracle")
    assert [problem.reason for problem in found.problems] == [
        "the clause 'memory' is built in and stays what it is",
        "what it brings as the clause 'odd' is no innkeeper_plugins.scheduling.Clause",
        "what it brings as the policy 'vague' is no mapping of scores to weights",
        "the scheduler 'none' is built in and stays what it is",
        "what it brings as the scheduler 'odd' is no function",
    ]


def test_the_program_is_called_by_its_path():
    found = choose('scheduler = "program"\n[scheduling.program]\nargv = ["/usr/bin/sched", "-v"]\ntimeout_s = 3')

    assert (found.decider.called, found.decider.timeout_s) == ("the program /usr/bin/sched", 3.0 + GRACE_S)
    assert choose("").decider is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('scheduler = "oracel"', "scheduler is 'oracel'; did you mean oracle?"),
        ('policy = "x"', "policy is 'x'; use one of balanced, custom, fixed, green, load-aware, packing, striping"),
        (
            'policy = "custom"\n[scheduling.weights]\nstripping = 1',
            "the policy 'custom' has a weight for 'stripping', which is no score; did you mean striping?",
        ),
    ],
)
def test_a_name_that_nobody_brings_refuses_the_start(text, complaint):
    with pytest.raises(ConfigError) as refused:
        choose(text)

    assert str(refused.value) == complaint


def test_the_check_tells_all_names_and_refuses_one_that_nobody_brings(tmp_path):
    path = tmp_path / "controller.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n')
    fine = CliRunner().invoke(main, ["check", "--config", str(path)])
    path.write_text(f'state_dir = "{tmp_path}"\nscheduler = "programme"\n')
    wrong = CliRunner().invoke(main, ["check", "--config", str(path)])

    assert "schedulers: match-making, none, program\n" in fine.output
    assert "policies: packing, balanced, striping, load-aware, fixed, custom\n" in fine.output
    assert "clauses: host state, ban, " in fine.output
    assert "scores: packing, memory packing, " in fine.output
    assert (wrong.exit_code, wrong.output.splitlines()[-1]) == (
        1,
        "Error: scheduler is 'programme'; did you mean program?",
    )


FIELDS = [
    *Snapshot.__struct_fields__,
    *SnapshotVm.__struct_fields__,
    *SnapshotHost.__struct_fields__,
    *Term.__struct_fields__,
]


@pytest.mark.parametrize("field", dict.fromkeys(FIELDS))
def test_every_field_of_the_snapshot_is_in_the_manual(field):
    assert f"`{field}`" in MANUAL.read_text()


def test_a_long_answer_that_is_still_carried_out_is_waited_for_without_haste(tmp_path):
    """Nothing spins while the disk is busy: the next question is looked for once a second."""
    looked = []

    async def scenario(site):
        site.decide(run_plugin(lambda snapshot: []))
        rounds = site.controller.reactor._outside
        rounds.wants, rounds.question = True, lambda *_: looked.append(1)
        rounds.wake()
        for _ in range(1000):
            await asyncio.sleep(0)

    run(scenario, tmp_path)

    assert len(looked) <= 1

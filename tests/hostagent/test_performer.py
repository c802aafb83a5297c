"""Steps being carried out: the right verb of the right driver, every ending an outcome, so many at once."""

import queue
import threading

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs
from tests.hostagent.equipment_of_tests import Peers, equipped
from tests.hostagent.orders_of_tests import IMAGE, a_disk, a_vm, clone, context, deploy, fetch, order

from innkeeper_hostagent import calls
from innkeeper_hostagent.config import LimitsConfig
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.effects import CancelStep, RunStep
from innkeeper_hostagent.performer import Performer
from innkeeper_plugins import steps
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.steps import VERBS, Family
from innkeeper_plugins.vocabulary import (
    Holder,
    ImageId,
    Nic,
    NumaWish,
    OperationId,
    Outcome,
    PciWish,
    SealedFile,
    VmState,
)

COMMON = {"step_id": 0, "phase": VmState.PROLOG, "driver": "simulated"}
HOLDERS = (Holder(endpoint="tcp://10.0.0.1:2635", public_key="k" * 40),)
SEALED = SealedFile(name="disk.0", sha256="0" * 64, size_bytes=4, datastore="default")
#: One of each kind of step.
EVERY_STEP = {
    steps.Clone: {"disk_id": 0},
    steps.Ln: {"disk_id": 0},
    steps.MkImage: {"disk_id": 0},
    steps.MkSwap: {"disk_id": 0},
    steps.Context: {},
    steps.Delete: {"disk_id": 0},
    steps.Premigrate: {},
    steps.Postmigrate: {},
    steps.Deploy: {},
    steps.Shutdown: {"grace_s": 7, "force": True},
    steps.Cancel: {},
    steps.Save: {},
    steps.Restore: {},
    steps.Migrate: {"destination_uri": "sim:b", "shared_storage": True},
    steps.Reboot: {},
    steps.Reset: {},
    steps.AttachDisk: {"disk_id": 0},
    steps.DetachDisk: {"disk_id": 0},
    steps.AttachNic: {"nic_id": 2},
    steps.DetachNic: {"nic_id": 2},
    steps.SnapshotCreate: {"snapshot_id": 3, "name": "before"},
    steps.SnapshotRevert: {"snapshot_id": 3, "hypervisor_id": "inn-3"},
    steps.SnapshotDelete: {"snapshot_id": 3, "hypervisor_id": "inn-3"},
    steps.DiskSnapshotCreate: {"disk_id": 0, "snapshot_id": 3},
    steps.DiskSnapshotRevert: {"disk_id": 0, "snapshot_id": 3},
    steps.DiskSnapshotDelete: {"disk_id": 0, "snapshot_id": 3},
    steps.ResizeDisk: {"disk_id": 0, "size_bytes": 1 << 30},
    steps.GrowDisk: {"disk_id": 0, "size_bytes": 1 << 30},
    steps.Resize: {"vcpus": 2, "memory_mib": 128},
}
#: Steps whose values are named in the call; of all others they come by their places.
NAMED = {steps.Shutdown, steps.Migrate}
#: What a step finds out with the ``Recording`` driver, where it finds something out.
FOUND = {
    steps.Deploy: {"deploy_id": "sim-7"},
    steps.Restore: {"deploy_id": "sim-7"},
    steps.SnapshotCreate: {"hypervisor_id": "sim-7"},
}
NIC = Nic(nic_id=2, network="lan", mac="02:00:0a:00:00:07")
VM = a_vm(disks=(a_disk(driver="simulated"),), driver="simulated", nics=(NIC,))


class Host:
    def __init__(self, root, *, limits=None, **options):
        self.ends = queue.Queue()
        self.progress = queue.Queue()
        self.equipment = equipped(root, **options)
        self.performer = Performer(
            self.equipment,
            limits or LimitsConfig(),
            ended=lambda run, outcome: self.ends.put((run, outcome)),
            progressed=lambda run, done, total: self.progress.put((run, done, total)),
        )

    def start(self, step, *, vm=VM, operation_id="o1", **values):
        run = RunStep(operation_id=OperationId(operation_id), leg=0, step=step, vm=vm, **values)
        self.performer.run(run)
        return run

    def outcome(self, step, **values) -> Outcome:
        run = self.start(step, **values)
        ended, outcome = self.ends.get(timeout=10)
        assert ended == run
        self.performer.forget(run)
        return outcome


class Recording:
    """A driver that writes down how it is called."""

    name = "simulated"

    def __init__(self, *, raises=None, waits=None, capabilities=("hotplug", "snapshot", "resize")):
        self.capabilities = frozenset(capabilities)
        self.calls = []
        self._raises = raises
        self._waits = waits

    def __getattr__(self, verb):
        def call(place, vm, *values, **named):
            self.calls.append((verb, values, named))
            if self._waits is not None:
                self._waits(place)
            if self._raises is not None:
                raise self._raises
            return "sim-7" if verb in {"deploy", "restore", "snapshot_create"} else None

        return call


def with_driver(host, driver):
    object.__setattr__(host.equipment, "drivers", Drivers({"simulated": driver}, {"simulated": driver}))
    return driver


def plain(outcome):
    return (outcome.ok, outcome.code, outcome.result)


@pytest.mark.parametrize("kind", EVERY_STEP)
def test_a_step_calls_the_verb_of_its_name_with_what_the_step_says(tmp_path, kind):
    host = Host(tmp_path)
    driver = with_driver(host, Recording())

    outcome = host.outcome(kind(**(COMMON | EVERY_STEP[kind])))

    values = dict(EVERY_STEP[kind])
    things = (VM.disk(values.pop("disk_id")),) if "disk_id" in values else ()
    things += (VM.nic(values.pop("nic_id")),) if "nic_id" in values else ()
    placed, named = (things, values) if kind in NAMED else ((*things, *values.values()), {})
    assert driver.calls == [(VERBS[kind].name, placed, named)]
    assert plain(outcome) == (True, "", FOUND.get(kind, {}))


@pytest.mark.parametrize("kind", calls.ABILITIES)
def test_a_driver_is_not_asked_for_what_it_does_not_declare(tmp_path, kind):
    host = Host(tmp_path)
    driver = with_driver(host, Recording(capabilities=()))

    outcome = host.outcome(kind(**(COMMON | EVERY_STEP[kind])))

    assert driver.calls == []
    assert plain(outcome) == (False, "refused", {})


@pytest.mark.parametrize("kind", calls.STARTS)
@pytest.mark.parametrize(("ability", "asked"), [("numa", {"numa": NumaWish()}), ("pci", {"pci": (PciWish(),)})])
def test_no_guest_is_started_without_what_it_asks_of_its_host(tmp_path, kind, ability, asked):
    host, vm = Host(tmp_path), msgspec.structs.replace(VM, **asked)
    step = kind(**(COMMON | EVERY_STEP[kind]))
    refused = with_driver(host, Recording(capabilities=()))

    assert plain(host.outcome(step, vm=vm)) == (False, "refused", {})
    assert refused.calls == []
    with_driver(host, Recording(capabilities=(ability,)))
    assert host.outcome(step, vm=vm).ok


def test_every_verb_that_a_driver_carries_out_is_among_the_steps_above():
    of_drivers = {kind for kind, verb in VERBS.items() if verb.family is not Family.AGENT}

    assert set(EVERY_STEP) == of_drivers


def test_deleting_everything_names_no_disk(tmp_path):
    host = Host(tmp_path)
    driver = with_driver(host, Recording())

    host.outcome(steps.Delete(**COMMON))

    assert driver.calls == [("delete", (None,), {})]


def test_a_driver_s_error_becomes_an_outcome_with_the_tool_s_own_words(tmp_path):
    host = Host(tmp_path)
    error = DriverError("no room", code="no_space", argv=("qemu-img", "x"), exit_status=1, stderr="y" * 9000)
    with_driver(host, Recording(raises=error))

    outcome = host.outcome(steps.Clone(disk_id=0, **COMMON))

    assert (outcome.ok, outcome.code, outcome.message) == (False, "no_space", "no room")
    assert (outcome.argv, outcome.exit_status, outcome.stderr) == (("qemu-img", "x"), 1, "y" * 8192)


def test_anything_else_that_a_driver_raises_is_its_bug_and_ends_this_step_only(tmp_path):
    host = Host(tmp_path)
    with_driver(host, Recording(raises=ZeroDivisionError("by nought")))

    with capture_logs() as logs:
        outcome = host.outcome(steps.Clone(disk_id=0, **COMMON))

    assert (outcome.code, outcome.ok) == ("driver_bug", False)
    assert "ZeroDivisionError: by nought" in outcome.message
    assert [log["event"] for log in logs] == ["driver_bug", "step_failed"]


def test_a_driver_that_this_host_does_not_have_is_refused(tmp_path):
    outcome = Host(tmp_path).outcome(steps.Clone(disk_id=0, **(COMMON | {"driver": "lvm"})))

    assert (outcome.ok, outcome.code) == (False, "refused")
    assert "it has: simulated" in outcome.message


def test_a_log_line_has_the_operation_and_the_step(tmp_path):
    host = Host(tmp_path)
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, *structlog.get_config()["processors"]])
    try:
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
            host.outcome(steps.Deploy(**COMMON))
    finally:
        structlog.reset_defaults()

    (line,) = logs
    assert line.pop("duration_s") >= 0
    assert line == {
        "event": "step_done",
        "log_level": "info",
        "operation_id": "o1",
        "step_id": 0,
        "vm_id": 7,
        "driver": "simulated",
        "verb": "deploy",
        "undo": False,
    }


def test_the_script_is_there_before_the_first_step_runs(tmp_path):
    host = Host(tmp_path)
    seen = []
    with_driver(host, Recording(waits=lambda place: seen.extend(p.name for p in place.vm_dir(VM).iterdir())))
    host.performer.write_script(order(vm=VM))

    host.outcome(clone(0).__class__(disk_id=0, **COMMON))

    assert seen == ["transfer.0.prolog"]


def test_a_script_that_cannot_be_written_costs_nothing_but_a_line_in_the_log(tmp_path):
    host = Host(tmp_path)
    (tmp_path / "default" / "vms").write_text("in the way")
    with_driver(host, Recording())
    host.performer.write_script(order(vm=VM))

    with capture_logs() as logs:
        outcome = host.outcome(steps.Deploy(**COMMON))

    assert outcome.ok
    assert [log["event"] for log in logs] == ["script_not_written", "step_done"]


def test_no_more_boots_at_once_than_allowed_while_others_go_on(tmp_path):
    host = Host(tmp_path, limits=LimitsConfig(parallel_boots=2))
    go = threading.Event()
    entered = queue.Queue()
    with_driver(host, Recording(waits=lambda _: (entered.put(1), go.wait(10))))
    for number in range(3):
        host.start(steps.Deploy(**COMMON), operation_id=f"o{number}")
    for _ in range(2):
        entered.get(timeout=10)

    other = host.start(steps.Reset(**COMMON), operation_id="other")
    entered.get(timeout=10)

    assert entered.empty()
    go.set()
    assert sorted(host.ends.get(timeout=10)[0].operation_id for _ in range(4)) == ["o0", "o1", "o2", other.operation_id]


def test_a_cancelled_step_hears_of_it_at_its_next_word_of_progress(tmp_path):
    host = Host(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def wait(place):
        begun.set()
        go_on.wait(10)
        place.progress(1, 2)

    with_driver(host, Recording(waits=wait))
    host.start(steps.Clone(disk_id=0, **COMMON))
    begun.wait(10)
    host.performer.cancel(CancelStep(operation_id=OperationId("o1"), leg=0, step_id=0))
    host.performer.cancel(CancelStep(operation_id=OperationId("never"), leg=0, step_id=0))
    go_on.set()

    assert host.ends.get(timeout=10)[1].code == "cancelled"


def test_a_step_cancelled_while_it_waits_for_its_lane_never_begins(tmp_path):
    host = Host(tmp_path, limits=LimitsConfig(parallel_boots=1))
    go_on = threading.Event()
    driver = with_driver(host, Recording(waits=lambda _: go_on.wait(10)))
    host.start(steps.Deploy(**COMMON))
    host.start(steps.Deploy(**COMMON), operation_id="o2")

    host.performer.cancel(CancelStep(operation_id=OperationId("o2"), leg=0, step_id=0))
    go_on.set()

    assert [host.ends.get(timeout=10)[1].code for _ in range(2)] == ["", "cancelled"]
    assert len(driver.calls) == 1


def test_progress_is_told_at_most_once_an_interval_and_not_of_what_is_soon_over(tmp_path, monkeypatch):
    host = Host(tmp_path)
    with_driver(host, Recording(waits=lambda place: [place.progress(n, 100) for n in range(100)]))

    host.outcome(steps.Clone(disk_id=0, **COMMON))
    assert host.progress.empty()

    monkeypatch.setattr("innkeeper_hostagent.acts.REPORT_INTERVAL_S", 0.0)
    host.outcome(steps.Clone(disk_id=0, **COMMON))
    assert host.progress.get_nowait()[1:] == (0, 0)
    assert host.progress.qsize() == 100


def test_a_disowned_vm_is_deleted_where_only_this_host_sees_it(tmp_path):
    host = Host(tmp_path)
    seen = []

    def look(place):
        seen.append([path.parent.parent.name for path in place.vm_dirs(VM)])

    with_driver(host, Recording(waits=look))
    host.outcome(steps.Delete(**COMMON), spare_shared=True)
    host.outcome(steps.Delete(**COMMON))

    assert seen == [["default"], ["default", "common"]]


def test_files_of_a_vm_go_from_host_to_host(tmp_path):
    """Sealed on one host, fetched by digest by the other, taken over by the disk's driver."""
    source, peers = Host(tmp_path / "a", transfer={"files": True}), Peers()
    target = Host(tmp_path / "b", peers=peers, transfer={"files": True})
    directory = tmp_path / "a" / "default" / "vms" / "7"
    directory.mkdir(parents=True)
    (directory / "disk.0").write_bytes(b'{"size_bytes": 4096}')
    (directory / "checkpoint").write_bytes(b"memory")

    sealed = source.outcome(steps.Seal(**(COMMON | {"driver": "agent"})))
    for name in ("disk.0", "checkpoint"):
        data = (directory / name).read_bytes()
        file = SealedFile(name=name, sha256=peers.hold(data), size_bytes=len(data), datastore="default")
        moved = target.outcome(steps.Mv(file=file, holders=HOLDERS, **(COMMON | {"driver": "agent"})))
        assert moved.ok, moved

    assert sealed.result["files"].count("sha256") == 2
    arrived = tmp_path / "b" / "default" / "vms" / "7"
    assert {p.name: p.read_bytes() for p in arrived.iterdir()} == {
        "disk.0": b'{"size_bytes": 4096}',
        "checkpoint": b"memory",
    }


def test_starting_a_vm_takes_its_files_out_of_what_is_served(tmp_path):
    host = Host(tmp_path)
    directory = tmp_path / "default" / "vms" / "7"
    directory.mkdir(parents=True)
    (directory / "checkpoint").write_bytes(b"memory")
    host.outcome(steps.Clone(disk_id=0, **COMMON))
    host.outcome(steps.Seal(**(COMMON | {"driver": "agent"})))
    assert (directory / "sealed.json").exists()

    host.outcome(steps.Deploy(**COMMON))

    assert not (directory / "sealed.json").exists()


def test_steps_of_images_need_no_vm(tmp_path):
    host = Host(tmp_path)
    missing = host.outcome(fetch(0), vm=None)
    dropped = host.outcome(steps.DropImage(sha256=IMAGE.sha256, **COMMON), vm=None)
    imported = host.outcome(steps.ImportImage(image_id=ImageId(1), datastore="default", path="x", **COMMON), vm=None)

    assert [plain(outcome)[:2] for outcome in (missing, dropped, imported)] == [
        (False, "image_missing"),
        (True, ""),
        (False, "refused"),
    ]


def test_a_vm_of_which_nothing_is_left_leaves_no_directory(tmp_path):
    host = Host(tmp_path)
    host.performer.write_script(order((context(0), deploy(1)), vm=VM))
    host.outcome(steps.Reset(**COMMON))
    directory = tmp_path / "default" / "vms" / "7"
    assert directory.exists()

    done = threading.Event()
    assert host.performer.leftovers() == [7]
    host.performer.tidy_up(VM.vm_id, done.set)
    done.wait(10)

    assert not directory.exists()

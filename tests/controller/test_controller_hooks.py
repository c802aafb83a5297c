"""What plugins and logs learn of what has become durable."""

import threading
from pathlib import Path

import structlog

from innkeeper_controller.cluster import Cluster, Put
from innkeeper_controller.event_log import MAX_TOGETHER, log_events
from innkeeper_controller.hooks import Hooks
from innkeeper_controller.records import Event, Leg, Operation, OperationKind, OperationStatus, Plan, VmRecord
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.upload_cleanup import UploadCleanup
from innkeeper_controller.uploads import Spool
from innkeeper_plugins.hookspecs import hookimpl
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.steps import ImportImage
from innkeeper_plugins.vocabulary import Holder, ImageId, OperationId, Vm, VmId, VmState

HOLDER = Holder(endpoint="tcp://127.0.0.1:1", public_key="k")


def vm(number: int, state: VmState) -> VmRecord:
    spec = Vm(
        vm_id=VmId(number),
        name="web",
        uuid="",
        generation=0,
        cpu_cores=1.0,
        vcpus=1,
        memory_mib=64,
        hypervisor="simulated",
    )
    return VmRecord(vm_id=VmId(number), name="web", owner="ann", state=state, spec=spec)


def changed(old: VmRecord | None, new: VmRecord | None) -> Transaction:
    return Transaction([Put("vm", 7, old, new)])


class Plugin:
    """A plugin that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, str]] = []

    @hookimpl
    def vm_state_changed(self, vm_id: int, old_state: str, new_state: str) -> None:
        self.told.append((vm_id, old_state, new_state))
        if new_state == VmState.FAILED:
            raise RuntimeError("this plugin is broken")


def test_plugins_learn_of_each_change_of_state_in_order_even_when_they_fail():
    plugin = Plugin()
    hooks = Hooks(Registry({"mine": plugin}).hook.vm_state_changed)
    pending, failed, running = (vm(7, state) for state in (VmState.PENDING, VmState.FAILED, VmState.RUNNING))
    with structlog.testing.capture_logs() as logs:
        hooks.watch([changed(None, pending), changed(pending, pending)])
        hooks.watch([changed(pending, failed), changed(failed, running), changed(running, None)])
        hooks._thread.submit(lambda: None).result()
        hooks.close()

    assert plugin.told == [(7, "", "PENDING"), (7, "PENDING", "FAILED"), (7, "FAILED", "RUNNING")]
    assert hooks.counters == {"called": 2, "failed": 1}
    assert [log["event"] for log in logs] == ["hook.failed"]


def test_a_plugin_that_hangs_keeps_nobody_waiting():
    going_on = threading.Event()
    hooks = Hooks(lambda **_: going_on.wait(), max_waiting=2)
    pending = vm(7, VmState.PENDING)
    hooks.watch([changed(None, pending)] * 5)
    left_out = hooks.counters["left_out"]
    going_on.set()
    hooks.close()

    assert left_out == 3


def test_the_log_names_operations_and_hosts_by_their_ids_and_leaves_single_vms_out():
    events = [
        Event(what="vm.submitted", subject="vm:7", at_s=1.0),
        Event(
            what="operation.started",
            subject="vm:7",
            at_s=1.0,
            request_id="r1",
            operation_id="o1",
            detail={"kind": "deploy"},
        ),
    ]
    with structlog.testing.capture_logs() as logs:
        log_events([Transaction((), events, ["", ""], 5)])

    assert logs == [
        {
            "event": "operation.started",
            "log_level": "info",
            "seq": 6,
            "subject": "vm:7",
            "actor": "",
            "request_id": "r1",
            "operation_id": "o1",
            "detail_kind": "deploy",
        }
    ]


def test_masses_of_operations_share_lines_in_the_log_in_which_each_has_its_ids():
    events = [
        Event(
            what="operation.started",
            subject=f"vm:{number}",
            at_s=1.0,
            operation_id=f"o{number}",
            detail={"kind": "deploy", "hosts": ["h1"]},
        )
        for number in range(MAX_TOGETHER + 1)
    ]
    with structlog.testing.capture_logs() as logs:
        log_events([Transaction((), events, [""] * len(events), 5)])

    assert [(line["event"], line["seq"], line["count"]) for line in logs] == [
        ("operation.started", 5, MAX_TOGETHER),
        ("operation.started", 5 + MAX_TOGETHER, 1),
    ]
    assert logs[0]["operations"][7] == "o7 vm:7 deploy h1"


def importing(number: int, digest: str, status: OperationStatus, holders: tuple[Holder, ...] = (HOLDER,)) -> Operation:
    step = ImportImage(
        step_id=0,
        phase=VmState.PROLOG,
        driver="agent",
        image_id=ImageId(0),
        datastore="default",
        sha256=digest,
        holders=holders,
    )
    return Operation(
        operation_id=OperationId(f"o{number}"),
        kind=OperationKind.IMPORT_IMAGE,
        subject="image:0",
        origin="",
        plan=Plan(legs=(Leg(host_id=1, steps=(step,)),)),
        status=status,
    )


def test_an_uploaded_file_goes_once_nobody_imports_it_any_more(tmp_path: Path):
    spool = Spool(tmp_path, max_bytes=10, expires_s=60.0)
    digests = [digit * 64 for digit in "abcd"]
    for digest in digests:
        (tmp_path / digest).write_text("x")
    done, failed, doubled, elsewhere = digests
    cluster = Cluster()
    going_on = importing(9, doubled, OperationStatus.RUNNING)
    cluster.apply(Put("operation", going_on.operation_id, None, going_on))
    cleanup = UploadCleanup(spool, cluster)
    ended = [
        importing(1, done, OperationStatus.DONE),
        importing(2, failed, OperationStatus.FAILED),
        importing(3, doubled, OperationStatus.DONE),
        importing(4, elsewhere, OperationStatus.DONE, holders=()),
    ]
    cleanup.watch([Transaction([Put("operation", each.operation_id, None, each) for each in ended])])
    cleanup.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == [failed, doubled, elsewhere]

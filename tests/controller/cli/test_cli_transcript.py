"""What people see: a transcript of commands against canned answers, kept in ``transcript.txt``.

``INNKEEPER_REWRITE=1 pytest tests/controller/cli/test_cli_transcript.py`` writes it anew; read the difference.
"""

import os
from pathlib import Path

import pytest
from fake_controller import refused
from samples import NO_SPACE, NOW_S, detail, event, host, image, network, operation, running, vm

FILE = Path(__file__).with_name("transcript.txt")

VERDICTS = [
    {
        "host": "host-a",
        "fits": False,
        "obstacles": [
            ["memory", "needs 4096 MiB, 1024 MiB free of 16384 MiB"],
            ["SCHED_REQUIREMENTS", 'ARCH = "arm64" is false: ARCH is "x86_64"'],
        ],
    },
    {"host": "host-b", "fits": False, "obstacles": [["state", "lost since 4m"]]},
    {"host": "host-c", "fits": True, "scores": {"rank": 12.0, "packing": 0.71}},
]
WHY_PENDING = {
    "vm_id": 9,
    "name": "big",
    "state": "PENDING",
    "reason": "None of 3 hosts can take it: memory keeps 1 out, state 1.",
    "advice": "It starts by itself as soon as one can.",
    "queue_position": 3,
    "queue": "place 3 of 17: priority 0, waited 2.1 h +2.1, fair share +7.3",
    "hosts": VERDICTS,
    "hosts_total": 3,
    "fitting": 1,
    "weights": {"packing": 1.0},
    "counts": {"memory": 1, "state": 1},
    "remedies": ["host-a would take it with 3 GiB more memory."],
    "nearest_miss": "host-a comes closest: needs 4096 MiB, 1024 MiB free of 16384 MiB.",
}
WHY_FAILED = {
    "vm_id": 10,
    "name": "db",
    "state": "FAILED",
    "reason": "Its deployment failed.",
    "advice": "`inn vm recover 10 --retry` tries again.",
    "operation": operation("failed", kind="deploy", subject="vm:10", error=NO_SPACE),
}
WHY_BUSY = {
    "vm_id": 7,
    "name": "web",
    "state": "SAVE",
    "reason": "It is being suspended.",
    "operation": operation("running", done_bytes=1 << 29, total_bytes=1 << 30),
}
WAITING = operation("running", operation_id="o4", kind="deploy", waits_for="host-b", hosts=["host-a", "host-b"])
OUTCOME = {key: value for key, value in NO_SPACE.items() if key not in {"host", "step", "step_id"}}
LOG = [
    event("operation.started", 2, detail={"kind": "deploy", "hosts": ["host-a"]}, operation_id="o3"),
    event(
        "step.ended",
        3,
        operation_id="o3",
        detail={
            "host": "host-a",
            "step": "0 PROLOG agent fetch",
            "undo": False,
            "outcome": {"ok": True, "duration_s": 1.2},
        },
    ),
    event(
        "step.ended",
        4,
        operation_id="o3",
        detail={
            "host": "host-a",
            "step": "1 PROLOG qcow2 clone disk.0",
            "undo": False,
            "outcome": {"ok": False, **OUTCOME},
        },
    ),
]
HISTORY = [
    event("vm.submitted", 1, detail={"name": "web", "state": "PENDING"}, actor="ana", request_id="r1"),
    event(detail={"old": "PENDING", "new": "PROLOG"}, operation_id="o3"),
    *LOG[1:],
    event("operation.failed", 6, detail={"kind": "deploy", "error": NO_SPACE}, operation_id="o3"),
]
STATUS = {
    "cluster_id": "x",
    "scheduler": "match-making",
    "hosts": {"on": 2, "lost": 1},
    "vms": {"RUNNING": 12, "PENDING": 3},
    "operations": 2,
    "images": 3,
    "networks": 1,
    "capacity": {"cpu_cores": 16.0, "memory_mib": 32768},
    "used": {"cpu_cores": 4.5, "memory_mib": 8192},
}
EMPTY = {"scheduler": "none", "hosts": {}, "vms": {}, "operations": 0, "images": 0, "networks": 0}
STORE = {"name": "default", "total_mib": 100_000, "free_mib": 5000}
ADVERTISEMENT = {
    "capacity": {},
    "drivers": [
        {"kind": "transfer", "name": "qcow2", "capabilities": ["live"]},
        {"kind": "hypervisor", "name": "libvirt"},
    ],
    "datastores": [STORE],
    "bridges": ["br0"],
    "images": ["a", "b"],
    "facts": {"CPU_MODEL": "Nehalem", "ARCH": "x86_64"},
}
LEASES = [
    {"ip": "10.0.0.10", "mac": "02:00:0a:00:00:0a", "vm_id": 0, "nic_id": 0},
    {"ip": "10.0.0.11", "mac": "02:00:0a:00:00:0b", "vm_id": None, "nic_id": None},
]
VMS = [running(), running(8, "db", state="SAVE", operation="suspend"), vm(9, "big", "PENDING"), vm(10, "x", "FAILED")]
LAST = operation("failed", error=NO_SPACE)
TOKEN = {"host_id": 3, "name": "host-c", "join_token": "inn1.abcdef", "expires_at_s": NOW_S + 3600}
PLAN = {
    "operation_id": "o3",
    "kind": "migrate",
    "status": "running",
    "lines": [
        ["host-a", "0 SAVE libvirt save"],
        ["host-a", "1 SAVE agent seal"],
        ["host-b", "2 MIGRATE agent mv disk.0"],
        ["host-b", "3 BOOT libvirt restore"],
        ["host-a", "4 EPILOG qcow2 delete"],
    ],
}
IN_USE = refused("in_use", "Host host-a has VMs (7); drain it first (`inn host drain host-a`).")
FINDING = {"check": "lease-owners", "subject": "vm:7", "message": "its NICs use nothing, but it is leased 10.0.0.7"}

TOLD = host(advertisement=ADVERTISEMENT, vm_ids=[7, 8], labels={"rack": "2"})
DATASTORE = {"name": "default", "driver": "qcow2", "hosts": {"host-a": STORE}, "images": 1}
MACS = network(name="macs", ranges=[{"size": 9, "mac": "02:00:00:00:00:01"}])
WITH_LAST = detail(last_operation=LAST, requirements='ARCH = "x86_64"', attributes={"LABELS": "a"})
TWO = {
    "POST /v1/vms/7/suspend": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"},
    "POST /v1/vms/8/suspend": refused("busy", "VM 8 is busy with stop (o2)."),
}
HALF = operation("running", total_bytes=1 << 30, done_bytes=1 << 29)

#: ``(command, {request: answer})``
COMMANDS = [
    ("status", {"GET /v1/status": STATUS}),
    ("status", {"GET /v1/status": EMPTY}),
    ("host add host-c", {"POST /v1/hosts": TOKEN}),
    ("host token host-c", {"POST /v1/hosts/host-c/token": TOKEN}),
    ("host list", {"GET /v1/hosts": [host(), host(2, "host-b", "lost", heard_at_s=NOW_S - 4000)]}),
    ("host list -o wide", {"GET /v1/hosts": [host(), host(3, "host-c", "joining", capacity={}, heard_at_s=None)]}),
    ("host list", {"GET /v1/hosts": []}),
    ("host show host-a", {"GET /v1/hosts/host-a": TOLD}),
    ("host disable host-a", {"POST /v1/hosts/host-a/disable": host(state="disabled")}),
    ("host drain host-a", {"POST /v1/hosts/host-a/drain": host(state="draining")}),
    ("host drain host-b", {"POST /v1/hosts/host-b/drain": host(2, "host-b", "lost")}),
    ("host enable host-a", {"POST /v1/hosts/host-a/enable": host()}),
    ("host delete host-a", {"DELETE /v1/hosts/host-a": IN_USE}),
    ("host delete host-a --force", {"DELETE /v1/hosts/host-a?force=true": {}}),
    ("datastore add nfs --driver shared", {"POST /v1/datastores": {"name": "nfs", "driver": "shared"}}),
    ("datastore list", {"GET /v1/datastores": [DATASTORE]}),
    ("datastore show default", {"GET /v1/datastores/default": DATASTORE}),
    ("datastore delete nfs", {"DELETE /v1/datastores/nfs": {}}),
    ("image list", {"GET /v1/images": [image(), image("locked", image_id=1, name="big", hosts=[], vms=0)]}),
    ("image list -o wide", {"GET /v1/images": [image()]}),
    ("image show debian-12", {"GET /v1/images/debian-12": image()}),
    ("image show big", {"GET /v1/images/big": image("error", error="The file is truncated.", hosts=[], home="")}),
    ("image delete debian-12", {"DELETE /v1/images/debian-12": image()}),
    ("image delete debian-12", {"DELETE /v1/images/debian-12": image("locked", operation_id="o5")}),
    ("network add lan --range 10.0.0.10/50 --bridge br0", {"POST /v1/networks": network()}),
    ("network add dmz --range 10.0.0.10/50 --gateway 10.0.0.1", {"POST /v1/networks": network(netmask="")}),
    ("network list", {"GET /v1/networks": [network(), MACS]}),
    ("network list", {"GET /v1/networks": []}),
    ("network show lan", {"GET /v1/networks/lan": network()}),
    ("network leases lan", {"GET /v1/networks/lan/leases": LEASES}),
    ("network leases lan", {"GET /v1/networks/lan/leases": []}),
    ("network hold lan 10.0.0.11", {"POST /v1/networks/lan/hold": LEASES[1]}),
    ("network release lan 10.0.0.11", {"POST /v1/networks/lan/release": LEASES[1]}),
    ("network delete lan", {"DELETE /v1/networks/lan": {}}),
    ("vm list", {"GET /v1/vms": VMS}),
    ("vm list -o wide", {"GET /v1/vms": [*VMS[:2], vm(10, "x", "FAILED", error="No space.")]}),
    ("vm list", {"GET /v1/vms": []}),
    ("vm list --state running", {"GET /v1/vms": []}),
    ("vm show 7", {"GET /v1/vms/7": WITH_LAST}),
    ("vm show 7 -o yaml", {"GET /v1/vms/7": detail()}),
    ("vm why 9", {"GET /v1/vms/9/why": WHY_PENDING}),
    ("vm why 10", {"GET /v1/vms/10/why": WHY_FAILED}),
    ("vm why 7", {"GET /v1/vms/7/why": WHY_BUSY}),
    ("vm plan 7", {"GET /v1/vms/7/plan": PLAN}),
    ("vm log 7", {"GET /v1/vms/7/log": LOG}),
    ("vm history 7", {"GET /v1/vms/7/history": HISTORY}),
    ("vm suspend 7 8", TWO),
    ("vm terminate 9", {"POST /v1/vms/9/terminate": {"vm_id": 9, "state": "DONE"}}),
    ("operation list", {"GET /v1/operations": [HALF, WAITING]}),
    ("operation list", {"GET /v1/operations": []}),
    ("operation show o3", {"GET /v1/operations/o3": LAST}),
    ("operation cancel o4", {"POST /v1/operations/o4/cancel": WAITING}),
    ("operation wait o3", {"GET /v1/operations/o3/wait": LAST}),
    ("verify", {"GET /v1/verify": {"findings": [], "checked": 42}}),
    ("verify", {"GET /v1/verify": {"findings": [FINDING], "checked": 42}}),
    ("verify --log", {"GET /v1/verify/log": {"findings": [], "checked": 1042}}),
    ("events", {"GET /v1/events/past": [event("state.changed", 1, subject="host:1"), *HISTORY]}),
    ("events -v", {"GET /v1/events/past": [event("state.changed", 1, subject="host:1")]}),
    ("events --subject vm:9", {"GET /v1/events/past": []}),
]  # fmt: skip  # one command a line


def _section(command, ran):
    parts = [f"$ inn {command}\n", ran.out]
    parts += [f"[stderr]\n{ran.err}"] if ran.err else []
    parts += [f"[exit code {ran.code}]\n"] if ran.code else []
    return "".join(parts)


def _sections():
    parts = FILE.read_text().split("\n\n$ inn ") if FILE.exists() else []
    return [part if part.startswith("$ inn ") else f"$ inn {part}" for part in parts]


@pytest.mark.parametrize(("number", "command", "answers"), [(n, *each) for n, each in enumerate(COMMANDS)])
def test_the_transcript_is_what_people_see(run, fake, number, command, answers):
    if os.environ.get("INNKEEPER_REWRITE"):
        pytest.skip("written anew by test_the_transcript_is_written")
    fake.answers = answers
    section = _section(command, run(*command.split())).replace(fake.endpoint, "http://controller:2633")

    assert section.rstrip("\n") == _sections()[number].rstrip("\n")


def test_the_transcript_has_every_command_once(run, fake):
    if os.environ.get("INNKEEPER_REWRITE"):
        sections = []
        for command, answers in COMMANDS:
            fake.answers = answers
            sections.append(_section(command, run(*command.split())).replace(fake.endpoint, "http://controller:2633"))
        FILE.write_text("\n".join(sections))

    assert [section.splitlines()[0] for section in _sections()] == [f"$ inn {command}" for command, _ in COMMANDS]

"""Whole plans, as people read them, for every kind of operation."""

import msgspec
import pytest
from tests.controller.builders import (
    BARE,
    SEALED_DISK,
    SHARED,
    a_host,
    a_network,
    a_reactor,
    a_vm,
    an_image,
    digest,
    drivers,
    holder_of,
    lines,
    outcome_of,
    script,
    sealed_result,
)

from innkeeper_controller import planner
from innkeeper_controller.planner import CannotPlanError, PlanOptions
from innkeeper_controller.records import Datastore, Leg, OperationKind, Plan
from innkeeper_plugins.steps import Clone, Delete, Mv, Postmigrate
from innkeeper_plugins.vocabulary import DiskKind, HostId, SealedFile, VmState

replace = msgspec.structs.replace

#: Everything that a VM can be made of.
FULL = """NAME = full
MEMORY = 512
DISK = [ IMAGE = tiny ]
DISK = [ TYPE = fs, SIZE = 10, FS = ext4 ]
DISK = [ TYPE = swap, SIZE = 5 ]
DISK = [ IMAGE = install ]
NIC = [ NETWORK = "lan" ]
OS = [ KERNEL = linux, INITRD = ramdisk ]
CONTEXT = [ NETWORK = "YES" ]
"""
TINY = digest("e")
ALL_IMAGES = [TINY, digest("1"), digest("2"), digest("3")]
HOLDERS = {each: (holder_of("h1"),) for each in ALL_IMAGES}
CHECKPOINT = SealedFile(name="checkpoint", sha256=digest("c"), size_bytes=7, datastore="default")


def a_world(*hosts):
    return a_reactor(
        *hosts,
        a_network(),
        an_image(),
        an_image(1, "install", type="cdrom", sha256=digest("1")),
        an_image(2, "linux", type="kernel", sha256=digest("2")),
        an_image(3, "ramdisk", type="ramdisk", sha256=digest("3")),
    )


def the_vm(state=VmState.RUNNING, template=FULL, *, driver="qcow2", host_id=1, **values):
    """Return a VM in a state, its disks and directory looked after by one driver."""
    reactor = a_world(a_host(1), a_host(2))
    vm = a_vm(reactor, state, template=template, host_id=host_id, **values)
    spec = replace(
        vm.spec,
        generation=1,
        hypervisor="simulated",
        driver=driver,
        disks=tuple(replace(disk, driver=driver) for disk in vm.spec.disks),
    )
    return replace(vm, spec=spec)


def shared_host(host_id):
    return a_host(host_id, has=drivers(transfer=("shared",), abilities=SHARED))


def at_home(kind, vm, host=None, **options):
    return lines(planner.at_home(kind, vm, host or a_host(1), PlanOptions(grace_s=9, **options)))


def test_a_first_deployment_makes_every_disk_and_the_context_and_starts_the_guest():
    plan = planner.deploy(the_vm(VmState.PENDING), a_host(1, images=ALL_IMAGES), None, {})

    assert script(plan) == [
        (
            1,
            [
                "0 PROLOG qcow2 clone disk.0",
                "1 PROLOG qcow2 mkimage disk.1",
                "2 PROLOG qcow2 mkswap disk.2",
                "3 PROLOG qcow2 ln disk.3",
                "4 PROLOG qcow2 context context.iso",
                "5 BOOT simulated deploy start the guest",
            ],
        )
    ]


def test_images_that_are_not_there_are_fetched_first_from_all_that_hold_them():
    holders = {TINY: (holder_of("h1"), holder_of("h3"))}
    plan = planner.deploy(the_vm(VmState.PENDING), a_host(2, images=ALL_IMAGES[1:]), None, holders)

    assert lines(plan)[:2] == [
        "0 PROLOG agent fetch sha256:eeeeeeeeeeee tiny from tcp://h1:1, tcp://h3:1",
        "1 PROLOG qcow2 clone disk.0",
    ]


def test_kernel_and_ramdisk_are_fetched_as_well():
    plan = planner.deploy(the_vm(VmState.PENDING), a_host(2, images=ALL_IMAGES[:2]), None, HOLDERS)

    assert lines(plan)[:2] == [
        "0 PROLOG agent fetch sha256:222222222222 linux from tcp://h1:1",
        "1 PROLOG agent fetch sha256:333333333333 ramdisk from tcp://h1:1",
    ]


def test_an_image_that_several_disks_are_made_of_is_fetched_once():
    template = "NAME = two\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE = tiny ]\n"
    plan = planner.deploy(the_vm(VmState.PENDING, template), a_host(2), None, HOLDERS)

    assert [line.split()[3] for line in lines(plan)] == ["fetch", "clone", "clone", "deploy"]


def test_two_images_of_one_digest_are_fetched_once():
    reactor = a_world(a_host(1), a_host(2))
    turn_image = an_image(9, "twin")
    reactor.cluster.images[turn_image.image_id] = turn_image
    reactor.cluster.image_ids["twin"] = turn_image.image_id
    template = "NAME = two\nMEMORY = 1\nHYPERVISOR = simulated\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE = twin ]\n"
    vm = a_vm(reactor, VmState.PENDING, template=template)
    plan = planner.deploy(vm, a_host(2), None, HOLDERS)

    assert [line.split()[3] for line in lines(plan)] == ["fetch", "clone", "clone", "deploy"]


def test_an_image_that_nobody_holds_cannot_be_planned_with():
    with pytest.raises(CannotPlanError) as refused:
        planner.deploy(the_vm(VmState.PENDING), a_host(2), None, {})

    assert str(refused.value) == (
        "Image tiny is on no connected host; connect a host that holds it (`inn image show tiny`)."
    )


def test_a_vm_of_nothing_is_only_started():
    plan = planner.deploy(the_vm(VmState.PENDING, BARE), a_host(1), None, {})

    assert script(plan) == [(1, ["0 BOOT simulated deploy start the guest"])]


def test_a_stopped_vm_that_comes_back_to_its_host_is_only_restored():
    vm = the_vm(VmState.STOPPED)
    plan = planner.deploy(vm, a_host(1), a_host(1), {})

    assert script(plan) == [(1, ["0 BOOT simulated restore memory from checkpoint"])]


def test_an_undeployed_vm_that_comes_back_to_its_host_is_only_started():
    plan = planner.deploy(the_vm(VmState.UNDEPLOYED), a_host(1), a_host(1), {})

    assert script(plan) == [(1, ["0 BOOT simulated deploy start the guest"])]


def test_a_stopped_vm_that_goes_elsewhere_takes_its_files_along_and_leaves_nothing():
    vm = the_vm(VmState.STOPPED, sealed=(SEALED_DISK, CHECKPOINT))
    holders = {**HOLDERS, SEALED_DISK.sha256: (holder_of("h1"),), CHECKPOINT.sha256: (holder_of("h1"),)}
    plan = planner.deploy(vm, a_host(2, images=ALL_IMAGES), a_host(1), holders)

    assert script(plan) == [
        (
            2,
            [
                "0 PROLOG agent mv disk.0 sha256:dddddddddddd from tcp://h1:1",
                "1 PROLOG agent mv checkpoint sha256:cccccccccccc from tcp://h1:1",
                "2 BOOT simulated restore memory from checkpoint",
            ],
        ),
        (1, ["3 BOOT qcow2 postmigrate all disks"]),
    ]


def test_files_on_a_host_that_is_not_there_cannot_be_planned_with():
    with pytest.raises(CannotPlanError) as refused:
        planner.deploy(the_vm(VmState.STOPPED), a_host(2, images=ALL_IMAGES), a_host(1, connected=False), {})

    assert str(refused.value) == "File disk.0 of the VM lies on a host that is not connected; connect it again."


def test_a_stopped_vm_on_shared_storage_comes_back_anywhere_without_carrying_a_file():
    vm = the_vm(VmState.STOPPED, driver="shared")
    plan = planner.deploy(vm, shared_host(2), shared_host(1), {})

    assert script(plan) == [(2, ["0 BOOT simulated restore memory from checkpoint"])]


@pytest.mark.parametrize(
    ("kind", "state", "options", "expected"),
    [
        ("suspend", VmState.RUNNING, {}, ["0 SAVE simulated save memory to checkpoint"]),
        ("resume", VmState.SUSPENDED, {}, ["0 BOOT simulated restore memory from checkpoint"]),
        ("resume", VmState.POWEROFF, {}, ["0 BOOT simulated deploy start the guest"]),
        (
            "stop",
            VmState.RUNNING,
            {},
            ["0 SAVE simulated save memory to checkpoint", "1 EPILOG agent seal all files"],
        ),
        ("stop", VmState.SUSPENDED, {}, ["0 EPILOG agent seal all files"]),
        ("poweroff", VmState.RUNNING, {}, ["0 SHUTDOWN simulated shutdown power button, 9 s"]),
        ("poweroff", VmState.RUNNING, {"hard": True}, ["0 SHUTDOWN simulated cancel off"]),
        (
            "undeploy",
            VmState.RUNNING,
            {},
            [
                "0 SHUTDOWN simulated shutdown power button, 9 s",
                "1 EPILOG agent seal all files",
                "2 EPILOG simulated cancel off",
            ],
        ),
        (
            "undeploy",
            VmState.RUNNING,
            {"hard": True},
            ["0 SHUTDOWN simulated cancel off", "1 EPILOG agent seal all files", "2 EPILOG simulated cancel off"],
        ),
        ("undeploy", VmState.POWEROFF, {}, ["0 EPILOG agent seal all files", "1 EPILOG simulated cancel off"]),
        ("reboot", VmState.RUNNING, {}, ["0 RUNNING simulated reboot reboot"]),
        ("reset", VmState.RUNNING, {}, ["0 RUNNING simulated reset reset"]),
        (
            "shutdown",
            VmState.RUNNING,
            {},
            [
                "0 SHUTDOWN simulated shutdown power button, 9 s",
                "1 SHUTDOWN simulated cancel off",
                "2 EPILOG qcow2 delete all files",
            ],
        ),
        (
            "shutdown",
            VmState.RUNNING,
            {"hard": True},
            [
                "0 SHUTDOWN simulated cancel off",
                "1 SHUTDOWN simulated cancel off",
                "2 EPILOG qcow2 delete all files",
            ],
        ),
    ],
)
@pytest.mark.parametrize("template", [FULL, BARE], ids=["full", "bare"])
def test_what_is_done_on_a_vms_own_host(kind, state, options, expected, template):
    assert at_home(OperationKind(kind), the_vm(state, template), **options) == expected


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        (VmState.RUNNING, {}, ["shutdown power button, 9 s, then off", "cancel off", "delete all files"]),
        (VmState.RUNNING, {"hard": True}, ["cancel off", "delete all files"]),
        (VmState.UNKNOWN, {}, ["cancel off", "delete all files"]),
        (VmState.SUSPENDED, {}, ["cancel off", "delete all files"]),
        (VmState.STOPPED, {}, ["cancel off", "delete all files"]),
    ],
)
def test_a_vm_ends_on_its_host(state, options, expected):
    plan = planner.terminate(the_vm(state), [a_host(1)], PlanOptions(grace_s=9, **options))

    assert [line.split(maxsplit=3)[3] for line in lines(plan)] == expected


def test_a_vm_ends_on_the_other_host_that_has_files_of_it_as_well():
    plan = planner.terminate(the_vm(VmState.FAILED), [a_host(2), a_host(1)], PlanOptions())

    assert script(plan) == [
        (2, ["0 SHUTDOWN simulated cancel off", "1 EPILOG qcow2 delete all files"]),
        (1, ["2 EPILOG qcow2 delete all files"]),
    ]


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("stop", VmState.RUNNING, [(1, ["0 SAVE simulated save memory to checkpoint"])]),
        ("stop", VmState.SUSPENDED, []),
        (
            "undeploy",
            VmState.RUNNING,
            [(1, ["0 SHUTDOWN simulated shutdown power button, 120 s", "1 EPILOG simulated cancel off"])],
        ),
        ("undeploy", VmState.POWEROFF, [(1, ["0 EPILOG simulated cancel off"])]),
    ],
)
def test_files_that_every_host_sees_are_not_sealed(kind, state, expected):
    vm = the_vm(state, driver="shared")

    assert script(planner.at_home(OperationKind(kind), vm, shared_host(1), PlanOptions())) == expected


@pytest.mark.parametrize(
    "result", [{}, {"files": ""}, {"files": "[{]"}, {"files": "7"}, {"files": '[{"name": "disk.0"}]'}]
)
def test_nothing_is_moved_where_the_host_does_not_say_what_there_is(result):
    """The next leg would delete all that the VM has."""
    vm = the_vm(VmState.POWEROFF)

    with pytest.raises(CannotPlanError) as refused:
        after(planner.migrate(vm, a_host(1), a_host(2)), vm, a_host(2), VmState.POWEROFF, result=result)
    assert str(refused.value).startswith("The host did not say which files the VM has (")


def after(plan, vm, target, origin, *, source=None, result=None, kind=OperationKind.MIGRATE):
    """Return the plan after its first leg, whose last step found ``result`` out."""
    last = plan.legs[0].steps[-1].step_id
    return planner.after_leg(
        plan,
        kind,
        vm=vm.spec,
        origin=origin,
        hosts=(source or a_host(1), target),
        outcomes={last: outcome_of(result=result or {})},
        holders=HOLDERS,
    )


def test_a_cold_migration_saves_seals_carries_restores_and_cleans_up():
    vm, target = the_vm(VmState.RUNNING), a_host(2, images=ALL_IMAGES[1:])
    first = planner.migrate(vm, a_host(1), target)
    whole = after(first, vm, target, VmState.RUNNING, result=sealed_result(SEALED_DISK, CHECKPOINT))

    save = (1, ["0 SAVE simulated save memory to checkpoint", "1 MIGRATE agent seal all files"])
    assert script(first) == [save]
    assert script(whole) == [
        save,
        (
            2,
            [
                "2 MIGRATE agent fetch sha256:eeeeeeeeeeee tiny from tcp://h1:1",
                "3 MIGRATE agent mv disk.0 sha256:dddddddddddd from tcp://h1:1",
                "4 MIGRATE agent mv checkpoint sha256:cccccccccccc from tcp://h1:1",
                "5 BOOT simulated restore memory from checkpoint",
            ],
        ),
        (1, ["6 EPILOG qcow2 postmigrate all disks"]),
    ]


@pytest.mark.parametrize(
    ("state", "left"),
    [
        (VmState.SUSPENDED, ["2 EPILOG qcow2 postmigrate all disks"]),
        (VmState.POWEROFF, ["2 EPILOG simulated cancel off", "3 EPILOG qcow2 postmigrate all disks"]),
    ],
)
def test_a_migration_at_rest_carries_the_files_and_starts_nothing(state, left):
    vm, target = the_vm(state), a_host(2, images=ALL_IMAGES)
    whole = after(planner.migrate(vm, a_host(1), target), vm, target, state, result=sealed_result(SEALED_DISK))

    assert script(whole) == [
        (1, ["0 MIGRATE agent seal all files"]),
        (2, ["1 MIGRATE agent mv disk.0 sha256:dddddddddddd from tcp://h1:1"]),
        (1, left),
    ]


def test_a_cold_migration_on_shared_storage_carries_nothing_and_deletes_nothing():
    vm, source, target = the_vm(VmState.RUNNING, driver="shared"), shared_host(1), shared_host(2)
    whole = after(planner.migrate(vm, source, target), vm, target, VmState.RUNNING, source=source)

    assert script(whole) == [
        (1, ["0 SAVE simulated save memory to checkpoint"]),
        (2, ["1 BOOT simulated restore memory from checkpoint"]),
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [(VmState.SUSPENDED, []), (VmState.POWEROFF, [(1, ["0 EPILOG simulated cancel off"])])],
)
def test_a_migration_at_rest_on_shared_storage_leaves_nothing_but_a_guest_that_is_off(state, expected):
    assert script(planner.migrate(the_vm(state, driver="shared"), shared_host(1), shared_host(2))) == expected


def test_storage_counts_as_shared_only_where_every_driver_of_the_vm_is_shared_on_both_hosts():
    vm = the_vm(VmState.RUNNING, driver="shared")
    mixed = replace(vm.spec, disks=(replace(vm.spec.disks[0], driver="qcow2"), *vm.spec.disks[1:]))
    both = drivers(transfer=("shared",), abilities=SHARED) + drivers()
    found = [
        planner.shares_storage(vm.spec, shared_host(1), shared_host(2)),
        planner.shares_storage(vm.spec, shared_host(1), a_host(2)),
        planner.shares_storage(mixed, a_host(1, has=both), a_host(2, has=both)),
    ]

    assert found == [True, False, False]


def test_a_vm_that_leaves_deletes_nothing_that_its_new_host_sees_as_well():
    """A disk on shared storage beside one that is not: deleting all of the VM's files would delete the one in use."""
    vm = the_vm(VmState.STOPPED)
    disks = (replace(vm.spec.disks[0], driver="shared"), *vm.spec.disks[1:])
    vm = replace(vm, spec=replace(vm.spec, disks=disks))
    has = (*drivers(), *drivers(transfer=("shared",), abilities=SHARED)[:1])
    holders = {SEALED_DISK.sha256: (holder_of("h1"),)}
    plan = planner.deploy(vm, a_host(2, images=ALL_IMAGES, has=has), a_host(1, has=has), holders)

    assert script(plan)[1:] == [(1, ["2 BOOT shared postmigrate all disks", "3 BOOT qcow2 postmigrate all disks"])]


def test_a_migration_to_a_host_that_was_deleted_cannot_be_planned_on():
    vm = the_vm(VmState.RUNNING)

    with pytest.raises(CannotPlanError, match="deleted"):
        after(planner.migrate(vm, a_host(1), a_host(2)), vm, None, VmState.RUNNING, result=sealed_result(SEALED_DISK))


def test_what_comes_after_a_leg_is_planned_once_and_for_cold_migrations_only():
    vm, target = the_vm(VmState.RUNNING), a_host(2, images=ALL_IMAGES)
    first = planner.migrate(vm, a_host(1), target)
    whole = after(first, vm, target, VmState.RUNNING, result=sealed_result(SEALED_DISK))

    assert after(whole, vm, target, VmState.RUNNING) == whole
    assert after(first, vm, target, VmState.RUNNING, kind=OperationKind.STOP) == first


def test_files_that_nobody_serves_end_a_migration():
    vm, source = the_vm(VmState.RUNNING), a_host(1)
    mute = replace(source, advertisement=replace(source.advertisement, holder=None))
    target = a_host(2, images=ALL_IMAGES)

    with pytest.raises(CannotPlanError):
        after(
            planner.migrate(vm, mute, target),
            vm,
            target,
            VmState.RUNNING,
            source=mute,
            result=sealed_result(SEALED_DISK),
        )


def test_a_live_migration_prepares_moves_and_cleans_up():
    plan = planner.migrate_live(the_vm(VmState.RUNNING), a_host(1), a_host(2, images=ALL_IMAGES[1:]), HOLDERS)

    assert script(plan) == [
        (
            2,
            [
                "0 PROLOG agent fetch sha256:eeeeeeeeeeee tiny from tcp://h1:1",
                "1 PROLOG qcow2 premigrate all disks",
                "2 PROLOG qcow2 context context.iso",
            ],
        ),
        (1, ["3 MIGRATE simulated migrate live to sim://h2 with its disks"]),
        (1, ["4 EPILOG qcow2 postmigrate all disks"]),
    ]


def test_a_live_migration_on_shared_storage_leaves_the_disks_where_they_are():
    vm = the_vm(VmState.RUNNING, driver="shared")
    one, two = (replace(shared_host(n), advertisement=shared_host(n).advertisement) for n in (1, 2))
    plan = planner.migrate_live(vm, one, two, HOLDERS)

    assert script(plan)[1:] == [
        (1, ["5 MIGRATE simulated migrate live to sim://h2"]),
        (1, ["6 EPILOG shared postmigrate all disks"]),
    ]


def test_a_live_migration_of_a_vm_without_disks_prepares_its_directory():
    plan = planner.migrate_live(the_vm(VmState.RUNNING, BARE), a_host(1), a_host(2), {})

    assert script(plan) == [
        (2, ["0 PROLOG qcow2 premigrate all disks"]),
        (1, ["1 MIGRATE simulated migrate live to sim://h2 with its disks"]),
        (1, ["2 EPILOG qcow2 postmigrate all disks"]),
    ]


def without_migration(host_id):
    host = a_host(host_id)
    facts = tuple(replace(each, capabilities=()) for each in host.advertisement.drivers)
    return replace(host, advertisement=replace(host.advertisement, drivers=facts))


@pytest.mark.parametrize(
    ("source", "target", "name"), [(without_migration(1), a_host(2), "h1"), (a_host(1), without_migration(2), "h2")]
)
def test_a_hypervisor_that_does_not_migrate_is_named(source, target, name):
    with pytest.raises(CannotPlanError) as refused:
        planner.migrate_live(the_vm(VmState.RUNNING), source, target, HOLDERS)

    assert str(refused.value) == (
        f"Hypervisor simulated on {name} does not migrate live; leave out --live to save and move."
    )


def test_a_host_that_takes_no_live_migration_is_named():
    target = a_host(2)
    closed = replace(target, advertisement=replace(target.advertisement, facts={}))

    with pytest.raises(CannotPlanError) as refused:
        planner.migrate_live(the_vm(VmState.RUNNING), a_host(1), closed, HOLDERS)

    assert str(refused.value) == ("Host h2 takes no live migrations; set migration_uri in its agent's configuration.")


def cleanup_of(plan):
    return [planner.is_cleanup(plan, leg) for leg in range(len(plan.legs))]


def test_only_a_leg_that_deletes_what_was_left_behind_is_a_clean_up():
    vm, target = the_vm(VmState.RUNNING), a_host(2, images=ALL_IMAGES)
    cold = after(planner.migrate(vm, a_host(1), target), vm, target, VmState.RUNNING, result=sealed_result(SEALED_DISK))
    live = planner.migrate_live(vm, a_host(1), target, HOLDERS)
    ends = planner.terminate(vm, [a_host(1)], PlanOptions(hard=True))

    assert [cleanup_of(each) for each in (cold, live, ends)] == [[False, False, True], [False, False, True], [False]]


def test_a_clean_up_is_repeated_with_new_numbers_at_the_end():
    live = planner.migrate_live(the_vm(VmState.RUNNING, BARE), a_host(1), a_host(2), {})
    again = planner.again(live, 2)

    assert script(again) == [*script(live), (1, ["3 EPILOG qcow2 postmigrate all disks"])]


def test_step_numbers_are_unique_in_every_plan():
    step = Delete(step_id=5, phase=VmState.EPILOG, driver="qcow2")
    plan = Plan(legs=(Leg(host_id=HostId(1), steps=(replace(step, step_id=0), replace(step, step_id=1))),))
    twice = planner.again(planner.again(plan, 0), 0)

    assert [each.step_id for leg in twice.legs for each in leg.steps] == [0, 1, 2, 3, 4, 5]


def test_sealed_files_are_read_from_whichever_step_found_them():
    found = {0: outcome_of(result={"deploy_id": "x"}), 1: outcome_of(result=sealed_result(SEALED_DISK, CHECKPOINT))}
    (leg,) = planner.migrate(the_vm(VmState.RUNNING), a_host(1), a_host(2)).legs
    (other,) = planner.deploy(the_vm(VmState.PENDING, BARE), a_host(1), None, {}).legs

    assert planner.sealed_files(leg, found) == (SEALED_DISK, CHECKPOINT)
    assert planner.sealed_files(leg, {0: outcome_of(result=sealed_result())}) == ()
    assert planner.sealed_files(other, {}) == ()
    with pytest.raises(CannotPlanError):
        planner.sealed_files(leg, {0: outcome_of("no_space", result=sealed_result(SEALED_DISK))})


def test_only_connected_hosts_that_serve_are_holders_of_what_the_target_lacks():
    mute = a_host(3, images=[TINY])
    hosts = [
        a_host(1, images=[TINY]),
        a_host(2, images=[TINY], connected=False),
        replace(mute, advertisement=replace(mute.advertisement, holder=None)),
        a_host(4, images=[digest("1"), TINY, digest("9")]),
    ]
    found = [
        planner.holders_for(the_vm().spec, a_host(5, images=images), hosts)
        for images in ((), ALL_IMAGES[:1], ALL_IMAGES)
    ]

    one, four = holder_of("h1"), holder_of("h4")
    assert found == [{TINY: (one, four), digest("1"): (four,)}, {digest("1"): (four,)}, {}]


def test_of_many_holders_a_step_names_a_few_and_steps_of_other_targets_others():
    hosts = [a_host(number, images=[TINY]) for number in range(1, 31)]
    found = [planner.holders_for(the_vm().spec, a_host(number), hosts)[TINY] for number in (10, 28)]

    assert found == [
        tuple(holder_of(f"h{number}") for number in (11, 12, 13, 14, 15, 16, 17, 18)),
        tuple(holder_of(f"h{number}") for number in (29, 30, 1, 2, 3, 4, 5, 6)),
    ]


def test_hosts_of_a_plan_are_named_once_in_order():
    live = planner.migrate_live(the_vm(VmState.RUNNING, BARE), a_host(1), a_host(2), {})

    assert planner.host_ids(live) == (2, 1)


def test_every_kind_of_disk_is_made_by_its_verb():
    disk = the_vm().spec.disks[0]
    made = {kind: type(planner.make_disk(replace(disk, kind=kind), VmState.PROLOG)).__name__ for kind in DiskKind}

    assert made == {
        DiskKind.IMAGE: Clone.__name__,
        DiskKind.VOLATILE: "MkImage",
        DiskKind.SWAP: "MkSwap",
        DiskKind.CDROM: "Ln",
    }


def test_disks_of_several_drivers_are_each_prepared_for_a_live_migration():
    vm = the_vm(VmState.RUNNING)
    disks = (replace(vm.spec.disks[0], driver="copy"), *vm.spec.disks[1:])
    vm = replace(vm, spec=replace(vm.spec, disks=disks))
    plan = planner.migrate_live(vm, a_host(1), a_host(2, images=ALL_IMAGES), {})

    assert [line.split()[2:4] for _, found in script(plan) for line in found] == [
        ["copy", "premigrate"],
        ["qcow2", "premigrate"],
        ["qcow2", "context"],
        ["simulated", "migrate"],
        ["copy", "postmigrate"],
        ["qcow2", "postmigrate"],
    ]
    assert isinstance(plan.legs[2].steps[0], Postmigrate)


def test_a_file_is_carried_from_whoever_serves_it_by_digest():
    vm = the_vm(VmState.STOPPED)
    holders = {**HOLDERS, SEALED_DISK.sha256: (holder_of("h1"), holder_of("h3"))}
    plan = planner.deploy(vm, a_host(2, images=ALL_IMAGES), a_host(1), holders)
    (move,) = [step for step in plan.legs[0].steps if isinstance(step, Mv)]

    assert (move.file, move.holders) == (SEALED_DISK, (holder_of("h1"), holder_of("h3")))


def test_the_datastore_of_a_disk_decides_its_driver():
    reactor = a_reactor(a_host(1), Datastore(name="fast", driver="copy"), an_image(datastore="fast"))
    vm = a_vm(reactor, VmState.PENDING, template="NAME = web\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\n")

    assert lines(planner.deploy(vm, a_host(1, images=[TINY]), None, {}))[0] == "0 PROLOG copy clone disk.0"

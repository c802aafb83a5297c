"""Images under faults: what VMs leave in persistent images is never lost, and nothing that is needed is dropped."""

import os

import pytest
from tests.simulation.test_cluster import VERBS, check_at_rest, check_nothing_lost, settle, with_network
from tests.simulation.world import World, vm_records

from innkeeper_controller.records import Image, ImageState, OperationStatus
from innkeeper_plugins.steps import DropImage
from innkeeper_plugins.vocabulary import Digest, DiskFormat, HostId, ImageId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))
FIRST = Digest("e" * 64)
TEMPLATE = "CPU = 1\nMEMORY = 512\nDISK = [ IMAGE = base ]\nDISK = [ IMAGE = {} ]\n"
IMAGE_VERBS = (
    ("image.clone", {"name": "c{}"}),
    ("image.delete", {}),
    ("image.persistent", {"persistent": True}),
    ("image.persistent", {"persistent": False}),
    ("image.enable", {"enabled": False}),
    ("image.enable", {"enabled": True}),
)


def with_images(world):
    """Let host 1 have the images ``base`` and, persistent, ``data`` and ``home``, all of one content."""
    with_network(world)
    world.machines[HostId(1)].images.add(FIRST)
    world.agents[HostId(1)].hang_up(None)

    def register(reactor):
        turn = reactor.tick(world.now_s)
        for number, name in enumerate(("base", "data", "home")):
            turn.put(
                Image(
                    image_id=ImageId(number),
                    name=name,
                    datastore="default",
                    owner="oneadmin",
                    state=ImageState.READY,
                    persistent=name != "base",
                    sha256=FIRST,
                    size_bytes=1,
                    virtual_size_bytes=1 << 20,
                    format=DiskFormat.QCOW2,
                    home=HostId(1),
                )
            )
        return turn

    register_turn = register(world.controller.reactor)
    world.controller.commit(register_turn)
    world.run(3)
    return world


def images(world):
    return world.controller.reactor.cluster.images


def live(world):
    """Do things to VMs and images as people do, at random, for a while."""
    for number in range(60):
        names = sorted(image.name for image in images(world).values())
        if world.random.random() < 0.5:
            answer = world.controller.request("vm.submit", template=TEMPLATE.format(world.random.choice(names)))
            world.acknowledged.extend(answer.vm_ids if answer is not None else ())
        if world.random.random() < 0.3 and names[1:]:
            name, params = world.random.choice(IMAGE_VERBS)
            wanted = world.random.choice(names[1:])
            texts = {key: value.format(number) if key == "name" else value for key, value in params.items()}
            world.controller.request(name, image=wanted, **texts)
        known = sorted(vm_records(world))
        if known:
            name, params = world.random.choice((*VERBS, ("vm.terminate", {"hard": True}), ("vm.shutdown", {})))
            world.controller.request(name, vm_id=world.random.choice(known), **params)
        world.run(world.random.uniform(0.1, 4.0))
        check_bases(world)


def check_bases(world):
    """Check that every disk that lies on a host has the content that it was made of there."""
    for machine in world.machines.values():
        for vm_id, files in machine.files.items():
            vm = vm_records(world).get(int(vm_id))
            for disk in vm.spec.disks if vm is not None else ():
                if f"disk.{disk.disk_id}" in files:
                    assert disk.image.sha256 in machine.images, f"seed {world.seed}: {machine.name} VM {vm_id}"


def not_dropped(world):
    """Return the digests that hosts were asked to drop and could not."""
    failed = [
        operation
        for (kind, _), operation in world.durable.items()
        if kind == "operation" and operation.status is OperationStatus.FAILED
    ]
    steps = (step for operation in failed for leg in operation.plan.legs for step in leg.steps)
    return {step.sha256 for step in steps if isinstance(step, DropImage)}


def check_contents(world):
    """Check that every image has its content at home, and that no host has content that nobody needs."""
    # A host that could not drop something keeps it; an event tells people.
    needed = not_dropped(world) | {image.sha256 for image in images(world).values()}
    needed |= {disk.image.sha256 for vm in vm_records(world).values() for disk in vm.spec.disks}
    for image in images(world).values():
        if image.state is ImageState.ERROR and image.sha256 in not_dropped(world):
            continue
        assert image.state in {ImageState.READY, ImageState.DISABLED}, f"seed {world.seed}: {image}"
        assert image.sha256 in world.machines[image.home].images, f"seed {world.seed}: {image}"
    for machine in world.machines.values():
        assert machine.images <= needed, f"seed {world.seed}: left on {machine.name}: {machine.images - needed}"


def test_a_persistent_image_goes_from_vm_to_vm():
    world = with_images(World(SEED, hosts=2))
    world.heal()
    for _ in range(3):
        answer = world.controller.request("vm.submit", template=TEMPLATE.format("data"))
        world.run(20)
        world.controller.request("vm.terminate", vm_id=answer.vm_ids[0], hard=True)
        world.run(20)

    assert (images(world)[1].sha256, images(world)[1].modified_at_s > 0) == (f"{2:032x}{3:032x}", True)
    check_contents(world)


@pytest.mark.parametrize("run", range(RUNS))
def test_images_are_whole_under_faults_and_after_them(run):
    world = with_images(World(SEED * 1000 + run, hosts=3))
    live(world)
    settle(world)

    check_at_rest(world)
    check_nothing_lost(world)
    check_bases(world)
    check_contents(world)

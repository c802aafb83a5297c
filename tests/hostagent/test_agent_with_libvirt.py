"""The whole agent with the drivers of a real host: an image inspected and imported, an overlay made, a domain run."""

import asyncio
import subprocess

import msgspec
import pytest
from tests.hostagent.controller_of_tests import Controller
from tests.hostagent.orders_of_tests import a_disk, a_vm, order
from tests.hostagent.test_agent import enrolled, running

from innkeeper_hostagent.config import BulkConfig, DatastoreConfig, ImportConfig
from innkeeper_hostagent.protocol.messages import LegStatus, Observed
from innkeeper_plugins.steps import Cancel, Clone, Context, Delete, Deploy, DropImage, Fetch, ImportImage
from innkeeper_plugins.vocabulary import DiskFormat, Holder, ImageId, ImageRef, OperationId, PowerState, VmState

pytestmark = pytest.mark.libvirt

PROLOG, BOOT = VmState.PROLOG, VmState.BOOT
NOBODY = (Holder(endpoint="tcp://127.0.0.1:1", public_key="k" * 40),)


@pytest.fixture
def host(tmp_path):
    pytest.importorskip("libvirt")
    (tmp_path / "import").mkdir()
    image = tmp_path / "import" / "tiny.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "4M"], check=True)
    return {
        "hypervisors": ("libvirt",),
        "datastores": {"default": DatastoreConfig(path=tmp_path / "store", drivers=("qcow2",))},
        "drivers": {"libvirt": {"uri": "test:///default"}},
        "imports": ImportConfig(dirs=(tmp_path / "import",)),
        "bulk": BulkConfig(listen=""),
    }


def image_order(step, operation_id):
    about = {"vm": None, "subject": "image:3", "steps": (step,), "operation_id": OperationId(operation_id)}
    return msgspec.structs.replace(order(kind="import_image"), **about)


def the_vm(result):
    image = ImageRef(
        image_id=ImageId(3),
        name="tiny",
        datastore="default",
        sha256=result["sha256"],
        size_bytes=result["size_bytes"],
        virtual_size_bytes=result["virtual_size_bytes"],
        format=DiskFormat(result["format"]),
    )
    disk = msgspec.structs.replace(a_disk(), image=image, size_bytes=8 << 20)
    return image, msgspec.structs.replace(
        a_vm(disks=(disk,), context={"HOSTNAME": "web"}), hypervisor="libvirt", driver="qcow2"
    )


def test_a_vm_comes_from_an_image_and_goes_again_on_real_drivers(tmp_path, host):
    async def scenario(controller):
        enrolled(tmp_path, controller)
        store = tmp_path / "store"
        async with running(tmp_path, controller, **host):
            take = ImportImage(
                step_id=0, phase=PROLOG, driver="agent", image_id=ImageId(3), datastore="default", path="tiny.qcow2"
            )
            imported = await controller.ask(image_order(take, "o1"))
            assert imported.status is LegStatus.DONE, imported
            image, vm = the_vm(imported.outcomes[0].result)
            deployed = await controller.ask(
                order(
                    (
                        Fetch(step_id=0, phase=PROLOG, driver="agent", image=image, holders=NOBODY),
                        Clone(step_id=1, phase=PROLOG, driver="qcow2", disk_id=0),
                        Context(step_id=2, phase=PROLOG, driver="qcow2"),
                        Deploy(step_id=3, phase=BOOT, driver="libvirt"),
                    ),
                    vm=vm,
                    operation_id="o2",
                )
            )
            assert deployed.status is LegStatus.DONE, deployed
            assert deployed.outcomes[3].result == {"deploy_id": "inn-7"}
            await controller.wait_for(
                lambda m: isinstance(m, Observed) and [g.power for g in m.guests] == [PowerState.RUNNING]
            )
            assert sorted(p.name for p in (store / "vms" / "7").iterdir()) == [
                "context.iso",
                "disk.0",
                "transfer.0.prolog",
            ]

            drop = DropImage(step_id=0, phase=PROLOG, driver="agent", sha256=image.sha256)
            needed = await controller.ask(image_order(drop, "o3"))
            assert needed.outcomes[0].code == "refused"
            gone = (
                Cancel(step_id=0, phase=VmState.SHUTDOWN, driver="libvirt"),
                Delete(step_id=1, phase=VmState.EPILOG, driver="qcow2"),
            )
            ended = await controller.ask(order(gone, vm=vm, operation_id="o4", kind="terminate"))
            assert ended.status is LegStatus.DONE, ended
            dropped = await controller.ask(image_order(drop, "o5"))
            assert dropped.status is LegStatus.DONE, dropped

        assert list((store / "vms").iterdir()) == []
        assert [p.name for p in (store / "images").iterdir()] == ["partial"]

    async def run():
        controller = Controller()
        try:
            await scenario(controller)
        finally:
            controller.close()

    asyncio.run(run())

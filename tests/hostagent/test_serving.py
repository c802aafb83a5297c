"""Bytes from host to host over real sockets: images and sealed files, to those whom the controller has let in."""

import contextlib

import pytest
from tests.hostagent.equipment_of_tests import KEYS, Peers, an_act, equipped
from tests.hostagent.orders_of_tests import a_disk, a_vm

from innkeeper_hostagent.config import BulkConfig
from innkeeper_hostagent.place import AgentPlace
from innkeeper_hostagent.protocol import bulk, keys
from innkeeper_hostagent.protocol.messages import Admit
from innkeeper_hostagent.serving import Server, advertised
from innkeeper_plugins.steps import Fetch, Mv
from innkeeper_plugins.vocabulary import Digest, DiskFormat, ImageId, ImageRef, VmState

COMMON = {"step_id": 0, "phase": VmState.PROLOG, "driver": "agent"}
VM = a_vm(disks=(a_disk(driver="simulated"),), driver="simulated")
DATA = b"some data" * 300_000


class RealPeers(Peers):
    carry = staticmethod(bulk.fetch)


@contextlib.contextmanager
def serving(equipment, server_keys):
    server = Server(
        BulkConfig(listen="tcp://127.0.0.1:0"), server_keys, equipment, controller="tcp://127.0.0.1:1", context=None
    )
    server.start()
    try:
        yield server
    finally:
        server.close()


def admit(server, *digests):
    server.admit(Admit(public_key=KEYS.public, digests=digests, expires_in_s=60.0))


def test_an_image_goes_from_host_to_host_and_can_be_served_on_at_once(tmp_path):
    source = equipped(tmp_path / "a", peers=(held := Peers()))
    image = ImageRef(
        image_id=ImageId(1),
        name="tiny",
        datastore="default",
        sha256=Digest(held.hold(DATA)),
        size_bytes=len(DATA),
        virtual_size_bytes=len(DATA),
        format=DiskFormat.RAW,
    )
    target = equipped(tmp_path / "b", peers=RealPeers())
    with serving(source, keys.generate()) as server:
        step = Fetch(image=image, holders=(server.holder,), **COMMON)
        source.own.images.fetch(step, an_act(step))
        admit(server, image.sha256)
        target.own.images.fetch(step, an_act(step))

    arrived = target.caches.path(image.sha256)
    assert arrived.read_bytes() == DATA
    assert bulk.beside_of(arrived).exists()
    assert list((tmp_path / "b" / "default" / "images" / "partial").iterdir()) == []


def test_a_sealed_file_goes_from_host_to_host_and_leaves_nothing_beside_it(tmp_path):
    source = equipped(tmp_path / "a", transfer={"files": True})
    target = equipped(tmp_path / "b", peers=RealPeers(), transfer={"files": True})
    directory = tmp_path / "a" / "default" / "vms" / "7"
    directory.mkdir(parents=True)
    (directory / "checkpoint").write_bytes(DATA)
    sealed = source.seals.seal(VM, (), lambda *_: None)
    with serving(source, keys.generate()) as server:
        admit(server, sealed[0].sha256)
        step = Mv(file=sealed[0], holders=(server.holder,), **COMMON)
        act = an_act(step, vm=VM)
        target.own.carry_out(act, AgentPlace(target.datastores, target.caches))

    arrived = tmp_path / "b" / "default" / "vms" / "7"
    assert [path.name for path in arrived.iterdir()] == ["checkpoint"]
    assert (arrived / "checkpoint").read_bytes() == DATA


def test_a_host_that_serves_nobody_has_no_holder_and_ignores_admissions(tmp_path):
    server = Server(BulkConfig(listen=""), KEYS, equipped(tmp_path), controller="tcp://127.0.0.1:1", context=None)
    server.start()
    admit(server, "0" * 64)

    assert server.holder is None
    server.close()


@pytest.mark.parametrize(
    ("bound", "controller", "told"),
    [
        ("tcp://10.1.1.1:2635", "tcp://127.0.0.1:2634", "tcp://10.1.1.1:2635"),
        ("tcp://0.0.0.0:2635", "tcp://127.0.0.1:2634", "tcp://127.0.0.1:2635"),
        ("tcp://*:2635", "tcp://127.0.0.1:2634", "tcp://127.0.0.1:2635"),
        ("tcp://[::]:2635", "tcp://[::1]:2634", "tcp://[::1]:2635"),
        ("inproc://bulk", "tcp://127.0.0.1:2634", "inproc://bulk"),
    ],
)
def test_others_are_told_the_address_that_this_host_has_towards_its_controller(bound, controller, told):
    assert advertised(bound, controller) == told


def test_what_the_operator_says_to_advertise_is_told(tmp_path):
    config = BulkConfig(listen="tcp://127.0.0.1:0", advertise="tcp://h1.example:2635")
    server = Server(config, KEYS, equipped(tmp_path), controller="tcp://127.0.0.1:1", context=None)
    server.start()
    try:
        assert server.holder.endpoint == "tcp://h1.example:2635"
        assert server.holder.public_key == KEYS.public
    finally:
        server.close()

"""The context disk is an ISO that guests find by its label, and the same VM gives the same bytes."""

import io
import time

import pycdlib
import pytest

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.context_files import context_files
from innkeeper_plugins.transfer.context_iso import context_iso
from innkeeper_plugins.vocabulary import Nic

LAN = Nic(nic_id=0, network="lan", mac="02:00:0a:4d:00:07", ip="10.77.0.7", netmask="255.255.255.0")


@pytest.fixture
def vm(a_vm):
    return a_vm(context={"GREETING": "it's\nme", "START_SCRIPT": "x" * 5000}, nics=(LAN,))


def read(iso, **path_kind):
    """Label and files of an ISO, by the names that this kind of guest sees."""
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(iso))
    ((kind, root),) = path_kind.items()
    found = {}
    for child in image.list_children(**{kind: root}):
        name = image.full_path_from_dirrecord(child, rockridge=kind == "rr_path")
        if not child.is_dir():
            content = io.BytesIO()
            image.get_file_from_iso_fp(content, **{kind: name})
            found[name.removeprefix("/")] = content.getvalue()
    label = image.pvd.volume_identifier.decode().strip()
    image.close()
    return label, found


@pytest.mark.parametrize("kind", ["rr_path", "joliet_path"])
def test_every_guest_finds_the_files_under_their_own_names(vm, kind):
    assert read(context_iso(vm), **{kind: "/"}) == ("CONTEXT", context_files(vm))


@pytest.mark.parametrize(("wanted", "label"), [("one", "CONTEXT"), ("nocloud", "cidata"), ("NoCloud", "cidata")])
def test_the_context_chooses_who_finds_the_disk_and_both_sets_of_files_are_on_it(a_vm, wanted, label):
    vm = a_vm(context={"CONTEXT_FORMAT": wanted}, nics=(LAN,))

    assert read(context_iso(vm), rr_path="/") == (label, context_files(vm))


def test_an_unknown_format_is_refused(a_vm):
    with pytest.raises(DriverError, match="CONTEXT_FORMAT is 'iso': use nocloud or one") as refused:
        context_iso(a_vm(context={"CONTEXT_FORMAT": "iso"}))

    assert refused.value.code == "refused"


def test_neither_clock_nor_time_zone_changes_a_byte(vm, monkeypatch):
    first = context_iso(vm)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert context_iso(vm) == first
    finally:
        monkeypatch.undo()
        time.tzset()


def test_large_contexts_survive(a_vm):
    vm = a_vm(context={f"X_{number}": "y" * 1000 for number in range(500)})

    assert read(context_iso(vm), rr_path="/")[1] == context_files(vm)

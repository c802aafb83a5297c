"""Ansible's modules of community.general do a day's work, as a playbook asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.ansible

GENERAL = "community.general."
NETWORK = 'VN_MAD = "dummy"\nAR = [ TYPE = "IP4", IP = 10.30.0.1, SIZE = "20" ]\n'
#: As the module's own example has it, empty values and all.
TEMPLATE = """\
CPU = "0.1"
MEMORY = "16"
HYPERVISOR = "simulated"
CUSTOM_ATTRIBUTE = ""
DISK = [
  CACHE = "writeback",
  DEV_PREFIX = "sd",
  DISCARD = "unmap",
  IMAGE = "base",
  IMAGE_UNAME = "oneadmin",
  IO = "threads",
  SIZE = "" ]
NIC = [
  MODEL = "virtio",
  NETWORK = "play-net",
  NETWORK_UNAME = "oneadmin" ]
OS = [
  ARCH = "x86_64",
  BOOT = "disk0" ]
VCPU = "2"
"""


@pytest.fixture
def play(tmp_path, endpoint, session):
    """Return what runs tasks, each one a module of ours with what it is told, or any other."""
    user, _, password = session.partition(":")
    access = {"api_url": endpoint, "api_username": user, "api_password": password}

    def run(*tasks):
        book = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": sys.executable},
                "tasks": [_with_access(task, access) for task in tasks],
            }
        ]
        with (tmp_path / "play.yml").open("w") as file:
            YAML(typ="safe").dump(book, file)
        environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_LOCALHOST_WARNING": "False"}
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), str(tmp_path / "play.yml")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=280)

        assert done.returncode == 0, done.stdout + done.stderr

    return run


def _with_access(task, access):
    return {word: {**access, **told} if word.startswith(GENERAL) else told for word, told in task.items()}


def module(module_name, /, *, register="", **told):
    return {GENERAL + module_name: told} | ({"register": register} if register else {})


def claim(*conditions):
    return {"ansible.builtin.assert": {"that": list(conditions)}}


def test_a_playbook_makes_uses_and_removes_a_vm(play, one):
    play(
        module("one_vnet", name="play-net", template=NETWORK, register="net"),
        module("one_vnet", name="play-net", template=NETWORK, register="again"),
        claim("net is changed", "net.template.VN_MAD == 'dummy'"),
        module("one_template", name="play", template=TEMPLATE, register="made"),
        claim("made is changed"),
        module("one_vm", template_name="play", count=2, attributes={"name": "play-##"}, mode="640", register="vms"),
        claim("vms.instances_ids | length == 2", "vms.instances[0].state == 'ACTIVE'"),
        module("one_vm", instance_ids="{{ vms.instances_ids }}", state="poweredoff"),
        module(
            "one_vm", instance_ids="{{ vms.instances_ids[:1] }}", state="poweredoff", disk_saveas={"name": "play-gold"}
        ),
        module("one_vm", instance_ids="{{ vms.instances_ids }}", state="running"),
        module("one_vm", instance_ids="{{ vms.instances_ids }}", state="rebooted"),
        module("one_vm", instance_ids="{{ vms.instances_ids }}", state="absent", hard=True, register="ended"),
        claim("ended is changed"),
        module("one_template", name="play", state="absent"),
        module("one_vnet", name="play-net", state="absent"),
        module("one_image", name="play-gold", state="absent"),
    )

    assert [vm.NAME for vm in one.vmpool.info(-2, -1, -1, -1).VM if vm.NAME.startswith("play")] == []
    assert "play-net" not in [network.NAME for network in one.vnpool.info(-2, -1, -1).VNET]


def test_a_playbook_looks_after_images_and_hosts(play, one):
    play(
        module("one_image", name="base", register="base"),
        module("one_image", name="base", state="cloned", new_name="base-2", register="clone"),
        claim("clone is changed", "clone.name == 'base-2'"),
        module("one_image", name="base-2", enabled=False),
        module("one_image", name="base-2", enabled=True),
        module("one_image", name="base-2", persistent=True, register="kept"),
        module("one_image", name="base-2", persistent=False),
        module("one_image", name="base-2", state="absent"),
        module("one_image", name="empty", create=True, datastore_id=1, template='TYPE = "DATABLOCK"\nSIZE = 8\n'),
        module("one_image", name="empty", state="absent"),
        module("one_image_info", register="all"),
        claim("all.images | length >= 1"),
        module("one_host", name="h1", state="disabled"),
        module("one_host", name="h1", state="offline"),
        module("one_host", name="h1", state="enabled"),
        module("one_host", name="h1", state="enabled", labels=["gold"], template={"RACK": "7"}),
    )

    host = next(host for host in one.hostpool.info().HOST if host.NAME == "h1")
    assert (host.STATE, host.TEMPLATE["RACK"]) == (2, "7")

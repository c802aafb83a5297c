"""The operating system, the hypervisors and the file systems of a host."""

import os

import pytest

from innkeeper_plugins import probes
from innkeeper_plugins.probes import cpu, hypervisor, kernel, plugin, storage
from innkeeper_plugins.vocabulary import DatastoreFacts

MOUNTS = """\
proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
tmpfs /srv tmpfs rw 0 0
/dev/vdb /srv xfs rw 0 0
server:/x /srv/with\\040space nfs4 rw 0 0
"""


def test_the_release_of_the_distribution_is_read_without_quotes():
    text = "# comment\nID=debian\nVERSION_ID=\"12\"\nNAME='Debian GNU/Linux'\n"

    assert kernel.parse(text) == {"ID": "debian", "VERSION_ID": "12", "NAME": "Debian GNU/Linux"}


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright", "7.2.22"),
        ("QEMU emulator version 10.0\n", "10.0"),
        ("command not found", ""),
    ],
)
def test_the_version_of_qemu_is_found_in_what_it_prints(printed, version):
    assert hypervisor.parse_version(printed) == version


def test_the_version_of_libvirt_is_written_with_dots():
    assert hypervisor.version_text(9_000_000) == "9.0.0"
    assert hypervisor.version_text(11_002_003) == "11.2.3"


def test_kvm_needs_the_device_as_well_as_the_flag_of_the_processor(monkeypatch, tmp_path):
    device = tmp_path / "kvm"
    flags = {"value": ("svm",)}
    monkeypatch.setattr(cpu, "read", lambda: cpu.Cpu(model="", vendor="", flags=flags["value"], cores=1, threads=1))

    assert not hypervisor.kvm_usable(device)
    device.touch()
    assert hypervisor.kvm_usable(device)
    flags["value"] = ("hypervisor",)
    assert not hypervisor.kvm_usable(device)


def test_the_room_of_a_datastore_is_that_of_its_file_system(tmp_path):
    found = os.statvfs(tmp_path)
    facts = storage.datastore_facts("default", tmp_path)

    assert facts == DatastoreFacts(
        name="default", total_mib=found.f_blocks * found.f_frsize >> 20, free_mib=facts.free_mib
    )
    assert 0 <= facts.free_mib <= facts.total_mib


def test_a_datastore_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        storage.datastore_facts("default", tmp_path / "missing")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/etc", "ext4"), ("/srv/x", "xfs"), ("/srv/with space/x", "nfs4"), ("/srvx", "ext4"), ("/proc", "proc")],
)
def test_a_path_lies_on_the_longest_and_latest_mount_above_it(path, kind):
    assert storage.parse_filesystem(MOUNTS, path) == kind


def test_a_directory_that_cannot_be_written_shares_no_blocks(tmp_path):
    assert not storage.reflinks(tmp_path / "missing")


def test_trying_for_shared_blocks_leaves_no_file_behind(tmp_path):
    storage.reflinks(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_every_registered_probe_gives_plain_facts_in_upper_case():
    facts = {}
    for _, probe in plugin.register_host_probes():
        found = probe()
        assert not facts.keys() & found.keys()
        facts.update(found)

    assert {"HOSTNAME", "ARCH", "CPU_MODEL", "CPU_FLAGS", "NUMA_NODES", "TOTAL_MEMORY_MIB", "KVM"} <= facts.keys()
    assert all(name == name.upper() and isinstance(value, str | int | float) for name, value in facts.items())


def test_the_functions_that_the_agent_calls_are_where_it_looks_for_them():
    assert callable(probes.capacity)
    assert callable(probes.load)
    assert isinstance(probes.bridges.names(), tuple)
    assert isinstance(probes.storage.filesystem, type(probes.capacity))

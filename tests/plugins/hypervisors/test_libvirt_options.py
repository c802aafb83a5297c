"""The configuration of the libvirt driver, and how a host is prepared for it."""

import os
import sys

import msgspec
import pytest

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import plugin, simulated
from innkeeper_plugins.hypervisors.libvirt import embed
from innkeeper_plugins.hypervisors.libvirt.options import (
    LibvirtOptions,
    dialect_of,
    embed_root,
    migration_uri,
    parse_options,
)

ABLE = {"console", "save", "events", "hotplug", "snapshot", "resize", "numa", "pci"}


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"url": "qemu:///system"}, "unknown field `url`"),
        ({"tb_cache_mib": "32"}, "Expected `int`, got `str`"),
        ({"domain_type": "xen"}, "Invalid enum value 'xen'"),
    ],
)
def test_a_mistake_in_the_configuration_is_an_error(config, complaint):
    with pytest.raises(msgspec.ValidationError, match=complaint):
        parse_options(config)


@pytest.mark.parametrize("uri", ["xen:///system", "", "lxc:///", "qemus:///system"])
def test_a_hypervisor_that_is_not_known_is_an_error(uri):
    with pytest.raises(ValueError, match="only qemu: and test: URIs"):
        parse_options({"uri": uri})


@pytest.mark.parametrize(
    ("uri", "abilities"),
    [
        ("qemu:///system", ABLE),
        ("qemu+unix:///system?socket=/run/x", ABLE),
        ("qemu:///embed?root=/x", ABLE),
        ("test:///default", {"save", "events", "snapshot"}),
    ],
)
def test_abilities_follow_from_the_uri(uri, abilities):
    assert dialect_of(uri).capabilities == abilities


@pytest.mark.parametrize(
    ("config", "uri"),
    [
        ({}, ""),
        ({"migration_address": "10.0.0.7"}, "qemu+tcp://10.0.0.7/system"),
        ({"migration_address": "fd00::7"}, "qemu+tcp://[fd00::7]/system"),
        ({"migration_uri": "qemu+tls://h1/system", "migration_address": "10.0.0.7"}, "qemu+tls://h1/system"),
        (
            {"uri": "qemu+unix:///system?socket=/s", "migration_address": "10.0.0.7"},
            "qemu+tcp://10.0.0.7/system",
        ),
        ({"uri": "qemu:///embed?root=/x", "migration_address": "10.0.0.7"}, ""),
        ({"uri": "qemu:///session", "migration_uri": "qemu+tcp://h/system"}, ""),
        ({"uri": "test:///default", "migration_address": "10.0.0.7"}, ""),
    ],
)
def test_migrations_are_taken_only_where_a_daemon_listens_for_them(config, uri):
    assert migration_uri(LibvirtOptions(**config)) == uri


def test_the_root_of_an_embedded_hypervisor_is_in_its_uri():
    assert str(embed_root("qemu:///embed?root=/var/lib/inn%20x")) == "/var/lib/inn x"
    assert embed_root("qemu:///system") is None


def test_an_embedded_hypervisor_gets_a_configuration_that_needs_no_other_daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "SOCKET_PATH_BYTES", 4096)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    embed.prepare(tmp_path)
    assert (tmp_path / "etc/qemu.conf").read_text() == 'stdio_handler = "file"\n'

    (tmp_path / "etc/qemu.conf").write_text("mine")
    embed.prepare(tmp_path)
    assert (tmp_path / "etc/qemu.conf").read_text() == "mine"


def test_root_s_embedded_guests_run_as_root(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "SOCKET_PATH_BYTES", 4096)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    embed.prepare(tmp_path)

    assert 'user = "root"' in (tmp_path / "etc/qemu.conf").read_text()


def test_a_root_without_room_for_the_names_of_sockets_is_refused(tmp_path):
    with pytest.raises(DriverError, match="too long for libvirt's sockets; at most 36 bytes") as refused:
        embed.prepare(tmp_path / ("x" * 40))

    assert refused.value.code == "refused"
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_refused():
    with pytest.raises(DriverError, match="cannot be prepared") as refused:
        embed.prepare(embed.Path("/proc/nowhere"))

    assert refused.value.code == "refused"


def test_libvirt_logs_below_the_root_unless_the_operator_says_where(tmp_path, monkeypatch):
    monkeypatch.delenv(embed.LOG_VARIABLE, raising=False)
    with embed.logging_below(tmp_path):
        assert os.environ[embed.LOG_VARIABLE] == f"3:file:{tmp_path}/libvirt.log"
    assert embed.LOG_VARIABLE not in os.environ

    monkeypatch.setenv(embed.LOG_VARIABLE, "1:stderr")
    with embed.logging_below(tmp_path):
        assert os.environ[embed.LOG_VARIABLE] == "1:stderr"
    assert os.environ[embed.LOG_VARIABLE] == "1:stderr"


def test_the_built_in_drivers_are_registered_under_their_names():
    assert dict(plugin.register_hypervisor_drivers()) == {
        "libvirt": plugin.make_libvirt,
        "simulated": simulated.make,
    }


def test_without_its_library_the_driver_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "libvirt", None)
    for name in [name for name in sys.modules if name.startswith("innkeeper_plugins.hypervisors.libvirt.")]:
        monkeypatch.delitem(sys.modules, name)
    package = sys.modules["innkeeper_plugins.hypervisors.libvirt"]
    monkeypatch.delattr(package, "driver", raising=False)

    with pytest.raises(DriverError, match=r"pip install 'innkeeper\[libvirt\]'"):
        plugin.make_libvirt({})

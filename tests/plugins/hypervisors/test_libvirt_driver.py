"""The libvirt driver on libvirt's own test hypervisor."""

import pytest

from innkeeper_plugins.conformance.guests import failure_of, said
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import plugin
from innkeeper_plugins.protocols import checkpoint_path
from innkeeper_plugins.vocabulary import Boot, Digest, DiskFormat, ImageId, ImageRef, Nic, PowerState, Vm, VmId

pytestmark = pytest.mark.libvirt

FOREIGN = """\
<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory>
<os><type>hvm</type></os>{metadata}</domain>"""


def make_vm(**changes):
    values = {
        "vm_id": VmId(7),
        "name": "web",
        "uuid": "5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
        "generation": 3,
        "cpu_cores": 0.5,
        "vcpus": 1,
        "memory_mib": 96,
        "hypervisor": "libvirt",
    }
    return Vm(**{**values, **changes})


@pytest.fixture
def place(tmp_path):
    return LocalPlace(tmp_path)


@pytest.fixture
def host():
    """A connection of somebody else to the test hypervisor, which is there as long as this is open."""
    import libvirt

    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


@pytest.fixture
def driver(host):
    driver = plugin.make_libvirt({"uri": "test:///default"})
    yield driver
    driver.close()


def all_domains(host):
    return sorted((domain.name(), bool(domain.isActive())) for domain in host.listAllDomains())


def test_domains_of_others_are_neither_seen_nor_touched(host, driver, place):
    foreign = host.createXML(FOREIGN.format(name="inn-7", metadata=""))
    vm = make_vm()
    before = all_domains(host)

    assert driver.poll() == []
    for order in (
        lambda: driver.deploy(place, vm),
        lambda: driver.cancel(place, vm),
        lambda: driver.shutdown(place, vm, grace_s=1, force=True),
        lambda: driver.save(place, vm),
        lambda: driver.reset(place, vm),
    ):
        assert failure_of(order) == "refused"
    assert all_domains(host) == before
    foreign.destroy()


def test_a_domain_that_says_to_be_another_vm_s_guest_is_not_taken(host, driver, place):
    metadata = "<metadata><i:vm xmlns:i='urn:innkeeper:guest:1' id='8' generation='1'/></metadata>"
    foreign = host.createXML(FOREIGN.format(name="inn-7", metadata=metadata))

    assert driver.poll() == []
    assert failure_of(lambda: driver.cancel(place, make_vm())) == "refused"
    foreign.destroy()


def test_what_libvirt_refuses_comes_with_its_own_words_and_leaves_nothing(host, driver, place):
    before = all_domains(host)
    with pytest.raises(DriverError) as failed:
        driver.deploy(place, make_vm(nics=(Nic(nic_id=0, network="lan", mac="02:00:0a"),)))

    assert failed.value.stderr == "XML error: unable to parse mac address '02:00:0a'"
    assert str(failed.value) == f"Guest inn-7 could not be started: {failed.value.stderr}"
    assert all_domains(host) == before


def test_a_missing_kernel_is_said_before_anything_is_defined(host, driver, place):
    kernel = ImageRef(
        image_id=ImageId(1),
        name="kernel",
        datastore="default",
        sha256=Digest("0" * 64),
        size_bytes=1,
        virtual_size_bytes=1,
        format=DiskFormat.RAW,
    )
    before = all_domains(host)

    assert failure_of(lambda: driver.deploy(place, make_vm(boot=Boot(kernel=kernel)))) == "image_missing"
    assert all_domains(host) == before


def test_a_save_that_was_cut_off_after_libvirt_had_ended_it_is_completed(host, driver, place):
    vm = make_vm()
    driver.deploy(place, vm)
    host.lookupByName("inn-7").save(str(checkpoint_path(place, vm)) + ".part")
    driver.save(place, vm)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["checkpoint"]
    assert driver.poll() == []
    driver.restore(place, vm)
    assert said(driver, vm) == [(vm.vm_id, 3, PowerState.RUNNING)]
    driver.cancel(place, vm)


def test_a_save_that_was_cut_off_before_libvirt_forgot_the_guest_is_completed(host, driver, place):
    vm = make_vm()
    driver.deploy(place, vm)
    host.lookupByName("inn-7").save(str(checkpoint_path(place, vm)))
    driver.save(place, vm)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["checkpoint"]
    assert driver.poll() == []


def test_a_restore_that_fails_leaves_the_checkpoint_and_no_guest(host, driver, place):
    vm = make_vm()
    before = all_domains(host)
    checkpoint_path(place, vm).write_bytes(b"garbage")

    assert failure_of(lambda: driver.restore(place, vm)) == "tool_failed"
    assert checkpoint_path(place, vm).read_bytes() == b"garbage"
    assert all_domains(host) == before


def test_there_is_no_console_and_no_migration_where_none_is_declared(driver, place):
    vm = make_vm()
    driver.deploy(place, vm)

    assert driver.capabilities == {"save", "events", "snapshot"}
    assert driver.migration_uri() == ""
    assert failure_of(lambda: driver.console(place, vm)) == "refused"
    driver.cancel(place, vm)


def test_a_closed_driver_says_so(driver):
    driver.close()

    with pytest.raises(DriverError, match="has been closed"):
        driver.poll()


def test_a_daemon_that_is_not_there_is_said_with_its_address(place):
    driver = plugin.make_libvirt({"uri": "qemu+unix:///system?socket=/nowhere/libvirt-sock"})
    with pytest.raises(DriverError, match=r"qemu\+unix:///system\?socket=/nowhere/libvirt-sock; is libvirtd running"):
        driver.poll()

    driver.close()

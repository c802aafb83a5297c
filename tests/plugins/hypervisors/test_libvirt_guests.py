"""Domains that come and go while they are looked at."""

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper_plugins.errors import DriverError  # noqa: E402 - only where libvirt is
from innkeeper_plugins.hypervisors.libvirt import guests  # noqa: E402
from innkeeper_plugins.vocabulary import Vm, VmId  # noqa: E402

VM = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
    generation=3,
    cpu_cores=0.5,
    vcpus=1,
    memory_mib=96,
    hypervisor="libvirt",
)


def libvirt_error(code):
    error = libvirt.libvirtError("as libvirt-python makes it")
    error.err = (code, 0, "no", 2, "", None, None, 0, 0)
    return error


class Nameless:
    """A domain that is called like a guest and tells nothing of itself, for the reason of that number."""

    def __init__(self, reason):
        self._reason = reason

    def metadata(self, *_):
        raise libvirt_error(self._reason)


class Answers:
    """A connection that knows a domain so often, and then no more."""

    def __init__(self, domain, times):
        self._domain, self._times = domain, times

    def lookupByName(self, _name):  # noqa: N802 - libvirt's name
        self._times -= 1
        if self._times < 0:
            raise libvirt_error(libvirt.VIR_ERR_NO_DOMAIN)
        return self._domain


def test_a_guest_that_goes_while_it_is_looked_at_is_not_there_rather_than_somebody_elses():
    assert guests.find(Answers(Nameless(libvirt.VIR_ERR_NO_DOMAIN), 1), VM) is None


def test_a_domain_that_is_called_like_a_guest_and_stays_is_refused():
    with pytest.raises(DriverError, match="Domain inn-7 is not a guest of Innkeeper"):
        guests.find(Answers(Nameless(libvirt.VIR_ERR_NO_DOMAIN_METADATA), 2), VM)

"""Turns libvirt's errors into the driver's, keeping libvirt's own words."""

import contextlib
from collections.abc import Iterator

import libvirt

from innkeeper_plugins.commands import means_full
from innkeeper_plugins.errors import DriverError

#: ``{libvirt's error: our code}``; every other is ``tool_failed``.
CODES = {
    libvirt.VIR_ERR_NO_DOMAIN: "guest_missing",
    libvirt.VIR_ERR_OPERATION_TIMEOUT: "timeout",
    libvirt.VIR_ERR_OPERATION_ABORTED: "cancelled",
}


def driver_error(error: libvirt.libvirtError, what: str) -> DriverError:
    """Return the error as steps report it.

    Args:
        error: What libvirt raised.
        what: What was tried, as the beginning of a sentence.
    """
    said = error.get_error_message() or str(error)
    code = "no_space" if means_full(said) else CODES.get(error.get_error_code(), "tool_failed")
    return DriverError(f"{what}: {said}", code=code, stderr=said)


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Raise what libvirt refuses inside as ``DriverError``."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise driver_error(error, what) from error

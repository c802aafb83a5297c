"""Prepares the directory of an embedded hypervisor, which has no daemon and no files of a distribution.

It must not import libvirt, which reads where to log when it is imported.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from innkeeper_plugins.errors import DriverError

#: Unix socket paths end at 107 bytes, and libvirt puts the sockets of guests this deep below the root.
SOCKET_PATH_BYTES = 107
DEEPEST_SOCKET = "/lib/qemu/channel/target/domain-10000-inn-100000/org.qemu.guest_agent.0"
LOG_VARIABLE = "LIBVIRT_LOG_OUTPUTS"
#: libvirt's number for warnings and worse.
WARNINGS = 3

#: There is no virtlogd beside an embedded hypervisor.
CONF = 'stdio_handler = "file"\n'
#: Root's embedded guests run as root: no other user could look into the directories of root's agent.
CONF_OF_ROOT = 'user = "root"\ngroup = "root"\ndynamic_ownership = 0\nremember_owner = 0\n'


def prepare(root: Path) -> None:
    """Make the directory, with the configuration that the hypervisor needs unless it has one.

    Raises:
        DriverError: ``refused``: the path is too long for the sockets below it, or cannot be written.
    """
    if len(os.fsencode(root) + DEEPEST_SOCKET.encode()) > SOCKET_PATH_BYTES:
        longest = SOCKET_PATH_BYTES - len(DEEPEST_SOCKET)
        raise DriverError(f"root={root} is too long for libvirt's sockets; at most {longest} bytes", code="refused")
    conf = root / "etc" / "qemu.conf"
    try:
        conf.parent.mkdir(parents=True, exist_ok=True)
        with conf.open("x", encoding="ascii") as file:
            file.write(CONF + (CONF_OF_ROOT if os.geteuid() == 0 else ""))
    except FileExistsError:
        return
    except OSError as error:
        raise DriverError(f"root={root} cannot be prepared: {error.strerror}", code="refused") from error


@contextlib.contextmanager
def logging_below(root: Path) -> Iterator[None]:
    """Have libvirt, where it is imported inside, write its warnings below the root instead of on our standard error.

    Whatever the operator has set in the environment holds; what we set is gone afterwards, for processes of ours.
    """
    if LOG_VARIABLE in os.environ:
        yield
        return
    os.environ[LOG_VARIABLE] = f"{WARNINGS}:file:{root}/libvirt.log"
    try:
        yield
    finally:
        del os.environ[LOG_VARIABLE]

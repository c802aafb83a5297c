"""What an operator can set for the drivers that work with plain files, ``[drivers.NAME]``.

It must not have a setting without a default.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from innkeeper_plugins.transfer.qemu_img import QemuImg


class FileOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ``qcow2``, ``copy`` and ``shared``."""

    #: For calls of qemu-img and mkfs that only touch metadata.
    quick_timeout_s: float = 120.0
    #: For calls that carry the content of a disk.
    bulk_timeout_s: float = 6 * 3600.0

    def qemu_img(self) -> QemuImg:
        """Return qemu-img with this patience."""
        return QemuImg(quick_timeout_s=self.quick_timeout_s, bulk_timeout_s=self.bulk_timeout_s)


def file_options(config: Mapping[str, Any]) -> FileOptions:
    """Read a section of the configuration.

    Raises:
        msgspec.ValidationError: a key is unknown or a value has the wrong type.
    """
    return msgspec.convert(dict(config), FileOptions)

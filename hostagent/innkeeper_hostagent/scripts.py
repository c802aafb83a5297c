"""The transfer scripts that a VM's directory keeps: what was done to the VM here, one step a line, for people to read.

Nothing reads them back to decide anything; a VM never fails for want of them.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from innkeeper_hostagent.protocol.messages import CarryOut
from innkeeper_plugins.steps import script_line

#: A VM that lives for years is suspended often; older scripts go.
KEPT_SCRIPTS: Final = 100
#: What the agent notes about files that it has sealed, beside them.
SEALED_FILE: Final = "sealed.json"
_NAME: Final = re.compile(r"transfer\.(\d+)\.[a-z_]+\Z")


def text(request: CarryOut) -> str:
    """Return the leg as a script: a heading, then one step a line."""
    heading = f"# {request.kind} of {request.subject}: operation {request.operation_id}, leg {request.leg}"
    if request.request_id:
        heading += f", request {request.request_id}"
    return "\n".join([heading, *(script_line(step) for step in request.steps)]) + "\n"


def write(directory: Path, request: CarryOut) -> Path:
    """Write ``transfer.<N>.<phase>``, N counting the operations; later legs of one operation are added to its script.

    Raises:
        OSError: the file system refuses.
    """
    numbers = _numbered(directory)
    last = max(numbers, default=-1)
    content = text(request)
    if last >= 0:
        told = numbers[last].read_text(encoding="utf-8", errors="replace")
        if content in told:
            return numbers[last]
        if f"operation {request.operation_id}, leg" in told:
            numbers[last].write_text(told + content, encoding="utf-8")
            return numbers[last]
    path = directory / f"transfer.{last + 1}.{request.steps[0].phase.lower()}"
    path.write_text(content, encoding="utf-8")
    for number in numbers:
        if number <= last + 1 - KEPT_SCRIPTS:
            numbers[number].unlink(missing_ok=True)
    return path


def tidy(directories: Iterable[Path]) -> None:
    """Remove directories in which only the agent itself has written; leave all others as they are."""
    for directory in directories:
        try:
            names = os.listdir(directory)  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            continue
        if all(_NAME.match(name) for name in names):
            with contextlib.suppress(OSError):
                for name in names:
                    (directory / name).unlink(missing_ok=True)
                directory.rmdir()


def _numbered(directory: Path) -> dict[int, Path]:
    found = {}
    for name in os.listdir(directory):  # noqa: PTH208 - before every operation; a tenth of the cost of paths
        if match := _NAME.match(name):
            found[int(match[1])] = directory / name
    return found

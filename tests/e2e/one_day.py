"""A day's work of somebody who knows OpenNebula only: a real guest's life by pyone. Prints what it saw as JSON.

usage: one_day.py ENDPOINT SESSION_FILE KERNEL_CMDLINE
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyone

PATIENCE_S = 150.0
LOOK_EVERY_S = 0.2
RUNNING, POWEROFF, DONE = (3, 3), (8, 0), (6, 0)
TEMPLATE = """\
NAME = one-day
CPU = 0.5
MEMORY = 96
OS = [ KERNEL_DS = "$FILE[IMAGE=kernel]", INITRD_DS = "$FILE[IMAGE=initrd]", KERNEL_CMD = "{cmdline}", MACHINE = pc ]
DISK = [ IMAGE = disk ]
DISK = [ TYPE = fs, FS = ext4, FORMAT = raw, SIZE = 8 ]
NIC = [ NETWORK = lan ]
GRAPHICS = [ TYPE = VNC, LISTEN = 127.0.0.1 ]
INPUT = [ TYPE = tablet, BUS = usb ]
CONTEXT = [ NETWORK = YES, SET_HOSTNAME = "$NAME" ]
"""


def eventually(look: Callable[[], Any], what: str) -> Any:
    """Look again and again until there is something to see, and return it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(LOOK_EVERY_S)
    raise SystemExit(f"never seen: {what}")


def main() -> None:
    """Live through the day."""
    endpoint, session_file, cmdline = sys.argv[1:]
    one = pyone.OneServer(endpoint, Path(session_file).read_text().strip())

    def wait(state: tuple[int, int]) -> Any:
        def there() -> Any:
            vm = one.vm.info(vm_id)
            return (vm.STATE, vm.LCM_STATE) == state and vm

        return eventually(there, f"VM {vm_id} in {state}")

    template_id = one.template.allocate(TEMPLATE.format(cmdline=cmdline))
    vm_id = one.template.instantiate(template_id, "one-day")
    vm = wait(RUNNING)
    seen = {"vm_id": vm_id, "ip": vm.TEMPLATE["NIC"]["IP"], "host": vm.HISTORY_RECORDS.HISTORY[-1].HOSTNAME}
    other = next(host for host in one.hostpool.info().HOST if host.NAME != seen["host"])
    one.vm.migrate(vm_id, other.ID, True, False, -1, 0)
    eventually(lambda: one.vm.info(vm_id).HISTORY_RECORDS.HISTORY[-1].HOSTNAME == other.NAME, other.NAME)
    wait(RUNNING)
    one.vm.action("poweroff-hard", vm_id)
    wait(POWEROFF)
    one.vm.disksnapshotcreate(vm_id, 0, "clean")
    wait(POWEROFF)
    image_id = one.vm.disksaveas(vm_id, 0, "one-day-gold", "OS", -1)
    eventually(lambda: one.image.info(image_id).STATE == 1, "the saved disk as an image")
    wait(POWEROFF)
    one.vm.disksnapshotrevert(vm_id, 0, 0)
    wait(POWEROFF)
    one.vm.resize(vm_id, "MEMORY = 128\nCPU = 0.5\nVCPU = 1\n", True)
    one.vm.action("resume", vm_id)
    vm = wait(RUNNING)
    seen |= {"memory": vm.TEMPLATE["MEMORY"], "stays": [each.HOSTNAME for each in vm.HISTORY_RECORDS.HISTORY]}
    one.vm.action("terminate-hard", vm_id)
    wait(DONE)
    one.image.delete(image_id)
    one.template.delete(template_id)
    seen["accounted"] = [each.OID for each in one.vmpool.accounting(-2, -1, -1).HISTORY if each.OID == vm_id]
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()

"""A controller in the lab's switch and an agent on every host, driven through the public command ``inn`` alone.

What the guests really do is asked of them over HTTP, and of libvirt.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guest import KERNEL_CMDLINE, Guest
from lab import SWITCH_ADDRESS, Host, Lab
from machines import LabError, Program

BIN = Path(sys.executable).parent
#: An emulated guest on a busy machine takes its time.
BOOT_TIMEOUT_S = 150
WAIT_TIMEOUT = "240s"
PAUSE_S = 0.1
FIRST_IP = "10.77.0.100"

CONTROLLER_TOML = f"""\
state_dir = "/srv/controller"
unknown_after_s = 10.0
heartbeat_interval_s = 1.0

[http]
listen = "127.0.0.1:2633"

[agents]
listen = "tcp://{SWITCH_ADDRESS}:2634"
"""
#: The rate is what makes a transfer long enough to be cut off in its middle.
AGENT_TOML = """\
state_dir = "/srv/agent"
hypervisors = ["libvirt"]

[datastores.default]
path = "/srv/datastore"

[datastores.shared]
path = "/srv/shared/datastore"
drivers = ["shared"]
shared = true

[drivers.libvirt]
uri = "qemu:///system"
migration_address = "{address}"

[bulk]
listen = "tcp://{address}:2635"
rate_limit_mib_s = 8
"""
TEMPLATE = """\
NAME = {name}
CPU = 0.5
MEMORY = 96
OS = [ KERNEL = "kernel", INITRD = "initrd", KERNEL_CMD = "{cmdline}", MACHINE = "{machine}" ]
DISK = [ IMAGE = "{image}" ]
NIC = [ NETWORK = "lan" ]
CONTEXT = [ NETWORK = "YES", SET_HOSTNAME = "$NAME" ]
"""
FETCH = """\
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
    sys.stdout.write(answer.read().decode())
"""


def eventually(seen: Callable[[], Any], wanted: str, *, timeout_s: float = BOOT_TIMEOUT_S) -> Any:
    """Look again and again until there is something to see, and return it.

    Raises:
        AssertionError: it never came.
    """
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := seen():
            return found
        time.sleep(PAUSE_S)
    raise AssertionError(f"{wanted} did not come in {timeout_s} s")


class Cluster:
    """Everything that an operator has."""

    def __init__(self, lab: Lab, guest: Guest) -> None:
        """Start it all and register the guest's images and a network."""
        self.lab = lab
        self.agents: dict[str, Program] = {}
        (lab.shared / "datastore").mkdir()
        (lab.switch.directory / "srv" / "controller.toml").write_text(CONTROLLER_TOML)
        self.start_controller()
        for host in lab.hosts:
            self._join(host)
        self._register(guest)

    def start_controller(self) -> None:
        """Start the controller, or start it again."""
        argv = [str(BIN / "inn-controller"), "--config", "/srv/controller.toml"]
        self.controller = self.lab.switch.spawn_ready(argv, log="controller.log")

    def _join(self, host: Host) -> None:
        (host.directory / "srv" / "agent.toml").write_text(AGENT_TOML.format(address=host.address))
        token = self.inn("host", "add", host.name)["join_token"]
        host.run([str(BIN / "inn-agent"), "join", token, "--config", "/srv/agent.toml"])
        self.start_agent(host)

    def start_agent(self, host: Host) -> None:
        """Start the agent of a host, or start it again."""
        argv = [str(BIN / "inn-agent"), "run", "--config", "/srv/agent.toml"]
        self.agents[host.name] = host.spawn_ready(argv, log="agent.log")

    def kill_agent(self, host: Host) -> None:
        """End the agent of a host as a crash does; its guests run on."""
        self.agents[host.name].kill()

    def _register(self, guest: Guest) -> None:
        self.inn("datastore", "add", "shared", "--driver", "shared")
        first = self.lab.hosts[0].name
        self.inn("image", "add", "disk", "--file", str(guest.disk), "--host", first)
        self.inn("image", "add", "shared-disk", "--file", str(guest.disk), "--host", first, "--datastore", "shared")
        self.inn("image", "add", "kernel", "--file", str(guest.kernel), "--type", "kernel", "--host", first)
        self.inn("image", "add", "initrd", "--file", str(guest.initrd), "--type", "ramdisk", "--host", first)
        self.inn("network", "add", "lan", "--range", f"{FIRST_IP}/50", "--bridge", "br0", "--gateway", SWITCH_ADDRESS)

    def inn_text(self, *words: str, typed: str = "") -> str:
        """Run ``inn`` and return what it prints.

        Raises:
            LabError: it failed; the text has what it printed.
        """
        settings = ["env", "INNKEEPER_ENDPOINT=http://127.0.0.1:2633"]
        settings.append("INNKEEPER_TOKEN_FILE=/srv/controller/admin.token")
        return self.lab.switch.run([*settings, str(BIN / "inn"), *words], typed=typed, timeout_s=280)

    def inn(self, *words: str, typed: str = "") -> Any:
        """Run ``inn -o json`` and return the answer.

        Raises:
            LabError: it failed; the text has what it printed.
        """
        return json.loads(self.inn_text("-o", "json", *words, typed=typed))

    def submit(
        self, name: str, *, image: str = "disk", host: Host | None = None, machine: str = "pc", more: str = ""
    ) -> int:
        """Submit a VM and return its id; on that host, or wherever the scheduler likes it best."""
        template = TEMPLATE.format(name=name, cmdline=KERNEL_CMDLINE, image=image, machine=machine) + more
        vm_id = self.inn("vm", "submit", "-", *(["--hold"] if host else []), typed=template)["vm_ids"][0]
        if host:
            self.inn("vm", "deploy", str(vm_id), host.name)
        return int(vm_id)

    def boot(self, name: str, *, image: str = "disk", host: Host | None = None) -> int:
        """Submit a VM, wait until its guest answers, and return its id."""
        vm_id = self.submit(name, image=image, host=host)
        self.wait(vm_id)
        self.status(vm_id)
        return vm_id

    def wait(self, vm_id: int, state: str = "RUNNING") -> dict[str, Any]:
        """Wait until a VM is in a state, and return all that is known of it.

        Raises:
            LabError: it failed instead, or never came there; the text has why.
        """
        try:
            self.inn("vm", "wait", str(vm_id), "--for", state, "--timeout", WAIT_TIMEOUT)
        except LabError as error:
            raise LabError(f"{error}\n{self.inn_text('vm', 'log', str(vm_id))}") from error
        return self.show(vm_id)

    def do(self, verb: str, vm_id: int, *words: str) -> dict[str, Any]:
        """Do something with a VM, wait for its end, and return all that is known of the VM."""
        self.inn("vm", verb, str(vm_id), *words, "--wait", "--timeout", WAIT_TIMEOUT)
        return self.show(vm_id)

    def show(self, vm_id: int) -> dict[str, Any]:
        """Return all that the controller knows of a VM."""
        return dict(self.inn("vm", "show", str(vm_id)))

    def get(self, vm_id: int, path: str) -> str:
        """Return what the guest itself answers on the network, empty where it does not."""
        address = self.show(vm_id)["ips"][0]
        try:
            return self.lab.switch.run([sys.executable, "-I", "-c", FETCH, f"http://{address}/cgi-bin/{path}"])
        except LabError:
            return ""

    def status(self, vm_id: int) -> dict[str, str]:
        """Wait until the guest answers and return what it says of itself: name, ip, mac, boots, boot_id, uptime_s."""
        answer = eventually(lambda: self.get(vm_id, "status"), f"an answer of the guest of VM {vm_id}")
        return dict(re.findall(r"(\w+)=(\S+)", answer))

    def changed_status(self, vm_id: int, key: str, before: str) -> dict[str, str]:
        """Wait until the guest answers with something else under that key, and return all of it."""

        def changed() -> dict[str, str] | None:
            status = dict(re.findall(r"(\w+)=(\S+)", self.get(vm_id, "status")))
            return status if status.get(key, before) != before else None

        return dict(eventually(changed, f"another {key} of VM {vm_id}"))

    def settled(self, vm_id: int) -> dict[str, Any]:
        """Wait until a VM runs, bringing it on each time that it has failed; return all that is known of it."""

        def running() -> dict[str, Any] | None:
            vm = self.show(vm_id)
            if vm["state"] == "FAILED":
                self.inn("vm", "recover", str(vm_id), "--retry")
            return vm if vm["state"] == "RUNNING" else None

        return dict(eventually(running, f"VM {vm_id} in RUNNING"))

    def arrived(self, vm_id: int, host: Host) -> dict[str, Any]:
        """Wait until a VM runs on that host, and return all that is known of it."""

        def there() -> dict[str, Any] | None:
            vm = self.show(vm_id)
            return vm if (vm["state"], vm["host"]) == ("RUNNING", host.name) else None

        return dict(eventually(there, f"VM {vm_id} on {host.name}"))

    def terminate_all(self) -> None:
        """End every VM there is, and wait for that."""
        vms = [str(vm["vm_id"]) for vm in self.inn("vm", "list")]
        if vms:
            self.inn("vm", "terminate", *vms, "--hard", "--wait", "--timeout", WAIT_TIMEOUT)

    def where(self, vm_id: int) -> list[str]:
        """Return the hosts whose libvirt knows the VM's guest, by asking every one of them."""
        uuid = self.show(vm_id)["spec"]["uuid"]
        return [host.name for host in self.lab.hosts if uuid in host.virsh("list", "--all", "--uuid").split()]

    def files(self, vm_id: int) -> list[str]:
        """Return the files of the VM on all hosts, as ``host:path``."""
        found = []
        for host in self.lab.hosts:
            listed = host.run(["find", "/srv", "-path", f"*/vms/{vm_id}/*"])
            found += [f"{host.name}:{path}" for path in listed.split()]
        return sorted(found)

    def leases(self) -> list[dict[str, Any]]:
        """Return the addresses that are not free."""
        return list(self.inn("network", "leases", "lan"))

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.lab.hosts if host.name == name)

    def other(self, name: str) -> Host:
        """Return the host that is not of that name."""
        return next(host for host in self.lab.hosts if host.name != name)

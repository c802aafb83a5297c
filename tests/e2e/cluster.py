"""A controller in the lab's switch and an agent on every host, driven through the public command ``inn`` alone.

What the guests really do is asked of them over HTTP, and of libvirt.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configuration import AGENT_TOML, CONTROLLER_TOML, FIRST_IP, SMALL_MIB, TEMPLATE
from guest import KERNEL_CMDLINE, Guest
from lab import SWITCH_ADDRESS, Host, Lab
from machines import LabError, Program, run
from waiting import Events, eventually

BIN = Path(sys.executable).parent
WAIT = ("--wait", "--timeout", "240s")
#: Without the interpreter's usual imports: it is started for every question.
FETCH = """\
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=5) as web:
    web.settimeout(20)
    web.sendall(b"GET /cgi-bin/%s HTTP/1.0\\r\\n\\r\\n" % sys.argv[2].encode())
    head, _, body = web.makefile("rb").read().partition(b"\\r\\n\\r\\n")
sys.stdout.write(body.decode())
"""


class Cluster:
    """Everything that an operator has."""

    def __init__(self, lab: Lab, guest: Guest) -> None:
        """Start it all and register the guest's images and a network."""
        self.lab = lab
        self.agents: dict[str, Program] = {}
        self._resident: int | None = None
        #: ``{vm_id: address}``, which never changes.
        self._addresses: dict[int, str] = {}
        (lab.shared / "datastore").mkdir()
        (lab.switch.directory / "srv" / "controller.toml").write_text(CONTROLLER_TOML)
        self.start_controller()
        for host in lab.hosts:
            self.join(host)
        self._register(guest)

    def start_controller(self) -> None:
        """Start the controller, or start it again."""
        argv = [str(BIN / "inn-controller"), "--config", "/srv/controller.toml"]
        self.controller = self.lab.switch.spawn_ready(argv, log="controller.log")

    def join(self, host: Host) -> None:
        """Bring a host in, with a datastore that is easily full, and start its agent."""
        (host.directory / "srv" / "agent.toml").write_text(AGENT_TOML.format(address=host.address))
        (host.directory / "srv" / "import").mkdir(exist_ok=True)
        token = self.inn("host", "add", host.name)["join_token"]
        host.run([str(BIN / "inn-agent"), "join", token, "--config", "/srv/agent.toml"])
        self.start_agent(host)

    def start_agent(self, host: Host) -> None:
        """Start the agent of a host, or start it again."""
        if not os.path.ismount(host.root / "srv" / "small"):
            host.run(["mkdir", "-p", "/srv/small"])
            host.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", "/srv/small"])
        argv = [str(BIN / "inn-agent"), "run", "--config", "/srv/agent.toml"]
        self.agents[host.name] = host.spawn_ready(argv, log="agent.log")

    def kill_agent(self, host: Host) -> None:
        """End the agent of a host as a crash does; its guests run on."""
        self.agents[host.name].kill()

    def _register(self, guest: Guest) -> None:
        self.inn("datastore", "add", "shared", "--driver", "shared")
        self.inn("datastore", "add", "small", "--driver", "copy")
        first = self.lab.hosts[0].name
        self.inn("image", "add", "disk", "--file", str(guest.disk), "--host", first)
        # Of the same content, but not the same file: hosts tell images apart by digest alone.
        plain = self.lab.directory / "shared-disk.qcow2"
        run(["qemu-img", "convert", "-O", "qcow2", str(guest.disk), str(plain)])
        self.inn("image", "add", "shared-disk", "--file", str(plain), "--host", first, "--datastore", "shared")
        self.inn("image", "add", "kernel", "--file", str(guest.kernel), "--type", "kernel", "--host", first)
        self.inn("image", "add", "initrd", "--file", str(guest.initrd), "--type", "ramdisk", "--host", first)
        self.inn("network", "add", "lan", "--range", f"{FIRST_IP}/50", "--bridge", "br0", "--gateway", SWITCH_ADDRESS)

    @staticmethod
    def inn_argv(*words: str) -> list[str]:
        """Return the command that runs ``inn`` in the switch, as the administrator."""
        settings = ["env", "INNKEEPER_ENDPOINT=http://127.0.0.1:2633"]
        settings.append("INNKEEPER_TOKEN_FILE=/srv/controller/admin.token")
        return [*settings, str(BIN / "inn"), *words]

    def inn_text(self, *words: str, typed: str = "") -> str:
        """Run ``inn`` and return what it prints.

        Raises:
            LabError: it failed; the text has what it printed.
        """
        return self.lab.switch.run(self.inn_argv(*words), typed=typed, timeout_s=280)

    def inn(self, *words: str, typed: str = "") -> Any:
        """Run ``inn -o json`` and return the answer.

        Raises:
            LabError: it failed; the text has what it printed.
        """
        return json.loads(self.inn_text("-o", "json", *words, typed=typed))

    @contextmanager
    def following(self, subject: str) -> Iterator[Events]:
        """Follow what happens to a subject, ``vm:7``, from its last event on."""
        read, write = os.pipe()
        words = ("-o", "json", "events", "--follow", "--limit", "1", "--subject", subject)
        events = Events(self.lab.switch.spawn(self.inn_argv(*words), log="events.log", output=write), read)
        os.close(write)
        try:
            events.begin()
            yield events
        finally:
            events.close()

    def submit(self, name: str, *, image: str = "disk", machine: str = "pc", more: str = "", hold: bool = False) -> int:
        """Submit a VM and return its id."""
        template = TEMPLATE.format(name=name, cmdline=KERNEL_CMDLINE, image=image, machine=machine) + more
        return int(self.inn("vm", "submit", "-", *(["--hold"] if hold else []), typed=template)["vm_ids"][0])

    def deploy(self, name: str, host: Host, *, image: str = "disk", machine: str = "pc", more: str = "") -> int:
        """Submit a VM, begin to deploy it on that host, and return its id."""
        vm_id = self.submit(name, image=image, machine=machine, more=more, hold=True)
        self.inn("vm", "deploy", str(vm_id), host.name)
        return vm_id

    def boot(self, name: str, *, image: str = "disk", host: Host | None = None) -> int:
        """Submit a VM, wait until its guest answers, and return its id."""
        vm_id = self.deploy(name, host, image=image) if host else self.submit(name, image=image)
        self.wait(vm_id)
        self.status(vm_id)
        return vm_id

    def wait(self, vm_id: int, state: str = "RUNNING") -> dict[str, Any]:
        """Wait until a VM is in a state, and return all that is known of it.

        Raises:
            LabError: it failed instead, or never came there; the text has why.
        """
        try:
            self.inn("vm", "wait", str(vm_id), "--for", state, *WAIT[1:])
        except LabError as error:
            raise LabError(f"{error}\n{self.inn_text('vm', 'log', str(vm_id))}") from error
        return self.show(vm_id)

    def do(self, verb: str, vm_id: int, *words: str) -> dict[str, Any]:
        """Do something with a VM, wait for its end, and return all that is known of the VM."""
        self.inn("vm", verb, str(vm_id), *words, *WAIT)
        return self.show(vm_id)

    def begin(self, verb: str, vm_id: int, *words: str) -> None:
        """Begin to do something with a VM."""
        self.inn("vm", verb, str(vm_id), *words, "--no-wait")

    def show(self, vm_id: int) -> dict[str, Any]:
        """Return all that the controller knows of a VM."""
        return dict(self.inn("vm", "show", str(vm_id)))

    def get(self, vm_id: int, path: str) -> str:
        """Return what the guest itself answers on the network, empty where it does not."""
        if vm_id not in self._addresses:
            self._addresses[vm_id] = self.show(vm_id)["ips"][0]
        try:
            return self.lab.switch.run([sys.executable, "-I", "-S", "-c", FETCH, self._addresses[vm_id], path])
        except LabError:
            return ""

    def status(self, vm_id: int, **before: str) -> dict[str, str]:
        """Wait until the guest answers and return what it says of itself: name, ip, mac, boots, boot_id, uptime_s.

        With ``before``, wait until none of these is as it was.
        """

        def answered() -> dict[str, str]:
            status = dict(re.findall(r"(\w+)=(\S+)", self.get(vm_id, "status")))
            return {} if before.items() & status.items() else status

        return dict(eventually(answered, f"an answer of the guest of VM {vm_id}"))

    def resident(self) -> int:
        """Return a VM that runs and whose guest answers: that of the tests before, or a new one."""
        if self.kept() is None:
            self._resident = self.boot("resident")
        assert self._resident is not None
        return self._resident

    def evict(self) -> None:
        """Let nobody be the resident any more."""
        self._resident = None

    def kept(self) -> int | None:
        """Return the resident if it runs, as the controller says and as its guest does."""
        return self._resident if self._is_well(self._resident, self.inn("vm", "list")) else None

    def _is_well(self, vm_id: int | None, vms: list[dict[str, Any]]) -> bool:
        states = {vm["vm_id"]: vm["state"] for vm in vms}
        return vm_id is not None and states.get(vm_id) == "RUNNING" and self.get(vm_id, "status") != ""

    def terminate_all(self) -> int | None:
        """End every VM but the resident, wait for that, and return the resident if it is well and may stay."""
        vms = self.inn("vm", "list")
        keep = self._resident if self._is_well(self._resident, vms) else None
        if ending := [str(vm["vm_id"]) for vm in vms if vm["vm_id"] != keep]:
            self.inn("vm", "terminate", *ending, "--hard", *WAIT)
        return keep

    def where(self, vm_id: int, *, but: Host | None = None) -> list[str]:
        """Return the hosts whose libvirt knows the VM's guest, by asking every one of them but that one."""
        return [host.name for host in self.lab.hosts if host is not but and f"inn-{vm_id}" in host.guests()]

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

    def home(self, vm_id: int) -> Host:
        """Return the host that a VM is on."""
        return self.host(self.show(vm_id)["host"])

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.lab.hosts if host.name == name)

    def other(self, than: Host) -> Host:
        """Return the host that is not that one."""
        return next(host for host in self.lab.hosts if host is not than)

"""Several real hosts on one machine: each with its own libvirtd, bridge and disks, all on one switch.

Needs root. Whatever ends the tests, nothing of the lab runs on; files that a killed run left go with the next lab.
"""

import contextlib
import shutil
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from machines import Machine, run

#: Short, since the path of a Unix socket has to fit into 108 bytes.
LABS = Path("/var/tmp/innkeeper-lab")
NETWORK = "10.77.0"
SWITCH_ADDRESS = f"{NETWORK}.254"

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{host_uuid}"
keepalive_interval = 3
keepalive_count = 3
log_filters = "3:qemu 3:libvirt 4:object 4:json 4:event 4:util"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""
# No virtlogd runs, so stdio_handler has to be "file"; ownership stays with root, whom QEMU runs as.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
seccomp_sandbox = 0
stdio_handler = "file"
migration_address = "{address}"
migration_host = "{address}"
keepalive_interval = 3
keepalive_count = 3
"""


class Host(Machine):
    """A machine with a libvirtd, a bridge ``br0`` and one network card, ``eth0``."""

    def __init__(self, directory: Path, number: int, *, switch: Machine, shared: Path, hosts_file: str) -> None:
        """Start the machine; it has neither network nor libvirtd before ``bring_up``."""
        super().__init__(directory, f"h{number}", shared=shared, hosts_file=hosts_file)
        self.number = number
        self.address = f"{NETWORK}.{number}"
        self._port = f"port{number}"
        self._switch = switch

    def bring_up(self) -> None:
        """Cable the machine to the switch and start its libvirtd."""
        self._connect()
        self._configure()
        self.start_libvirtd()

    def come_back(self) -> None:
        """Power the machine on again after a power cut, up to its libvirtd; who it is has not changed."""
        self.power_on()
        self._connect()
        self.start_libvirtd()

    def _configure(self) -> None:
        conf = {"address": self.address, "host_uuid": uuid.uuid4()}
        (self.directory / "etc" / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(**conf))
        (self.directory / "etc" / "qemu.conf").write_text(QEMU_CONF.format(**conf))

    def _connect(self) -> None:
        ip = ["nsenter", f"--net=/proc/{self._switch.pid}/ns/net", "--", "ip"]
        run([*ip, "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid)])
        run([*ip, "link", "set", self._port, "master", "sw0", "up"])
        # With MACs of the kernel's choice the bridge may take over a guest's, which a live migration does not survive.
        commands = f"""\
            link set lo up
            link set eth0 address 02:aa:00:00:00:{self.number:02x}
            link add br0 address 02:ab:00:00:00:{self.number:02x} type bridge forward_delay 0
            link set eth0 master br0 up
            addr add {self.address}/24 dev br0
            link set br0 up
            route add default via {SWITCH_ADDRESS}
            """
        self.run(["ip", "-batch", "-"], typed=commands)

    def virsh(self, *argv: str) -> str:
        """Ask its libvirtd, over a file and not over the network that the test may have cut.

        Raises:
            LabError: it refused, or does not answer.
        """
        socket = f"{self.root}/run/libvirt/libvirt-sock"
        return run(["virsh", "--connect", f"qemu+unix:///system?socket={socket}", *argv])

    def start_libvirtd(self) -> None:
        """Start libvirtd, which finds again the guests that run."""
        self._libvirtd = self.spawn_ready(["/usr/sbin/libvirtd", "--listen"], log="libvirtd.out")

    def kill_libvirtd(self) -> None:
        """End libvirtd as a crash does; its guests run on."""
        self._libvirtd.kill()

    def cable(self, *, plugged: bool) -> None:
        """Pull the network cable of the host and its guests, or plug it in again."""
        self._switch.run(["ip", "link", "set", self._port, "up" if plugged else "down"])

    def kill_guest(self, name: str) -> None:
        """End a guest's QEMU as a crash does."""
        pid = (self.root / "run" / "libvirt" / "qemu" / f"{name}.pid").read_text().strip()
        self.run(["kill", "-KILL", pid])

    def guests(self) -> list[str]:
        """Return the names of the guests that libvirt knows here, running or not."""
        return sorted(self.virsh("list", "--all", "--name").split())


class Lab:
    """A switch and some hosts; the machine that is the switch is also where the controller runs."""

    def __init__(self, *, hosts: int, cache: Path) -> None:
        """Bring the lab up; ``cache`` keeps what libvirt finds out about QEMU, which takes it seconds.

        Raises:
            LabError: something did not start; nothing of the lab is left.
        """
        remove_leftovers()
        LABS.mkdir(exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(dir=LABS, prefix=f"{_name_of(psutil.Process())}-"))
        #: Every host sees this directory as ``/srv/shared``.
        self.shared = self.directory / "shared"
        self.shared.mkdir()
        names = "".join(f"{NETWORK}.{number} h{number}\n" for number in range(1, hosts + 1))
        self._hosts_file = f"127.0.0.1 localhost\n{SWITCH_ADDRESS} switch\n{names}"
        self._qemu_facts = cache / "libvirt"
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.directory)
            self.switch = Machine(self.directory / "sw", "switch", shared=self.shared, hosts_file=self._hosts_file)
            undo.callback(self.switch.power_off)
            self._cable_switch()
            self.hosts: list[Host] = []
            for number in range(1, hosts + 1):
                self.hosts.append(self._make_host(number))
                undo.callback(self.hosts[-1].power_off)
                self.hosts[-1].bring_up()
                self._keep_qemu_facts(self.hosts[-1])
            self._undo = undo.pop_all()

    @property
    def controller_address(self) -> str:
        """Where every host reaches programs that run in the switch."""
        return SWITCH_ADDRESS

    def _cable_switch(self) -> None:
        commands = f"""\
            link set lo up
            link add sw0 type bridge forward_delay 0
            addr add {SWITCH_ADDRESS}/24 dev sw0
            link set sw0 up
            """
        self.switch.run(["ip", "-batch", "-"], typed=commands)

    def _make_host(self, number: int) -> Host:
        directory = self.directory / f"h{number}"
        if self._qemu_facts.exists():
            shutil.copytree(self._qemu_facts, directory / "cache")
        return Host(directory, number, switch=self.switch, shared=self.shared, hosts_file=self._hosts_file)

    def _keep_qemu_facts(self, host: Host) -> None:
        if self._qemu_facts.exists():
            return
        host.virsh("domcapabilities", "--virttype", "qemu", "--machine", "pc")
        self._qemu_facts.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._qemu_facts.parent) as scratch:
            copy = Path(shutil.copytree(host.directory / "cache", Path(scratch) / "copy"))
            with contextlib.suppress(OSError):  # Another run was faster.
                copy.rename(self._qemu_facts)

    def down(self) -> None:
        """End every machine and delete all files; twice is fine."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def _name_of(process: psutil.Process) -> str:
    """Name a process so that no later one with the same number is taken for it."""
    return f"{process.pid}-{int(process.create_time())}"


def remove_leftovers() -> None:
    """Delete the files of labs whose process has ended; the kernel has ended everything else of them."""
    for directory in LABS.glob("*-*-*"):
        number = int(directory.name.split("-")[0])
        try:
            alive = directory.name.startswith(f"{_name_of(psutil.Process(number))}-")
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            shutil.rmtree(directory, ignore_errors=True)

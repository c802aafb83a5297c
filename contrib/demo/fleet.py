"""The demo's controller and hosts on this machine: their directories, configurations and daemons.

Everything of it lies below one new directory and listens on the loopback interface only.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import guest
from daemons import Daemon, end_processes, free_port, processes_of
from stage import DemoError, Stage, environment_for

HOSTS = ("host-a", "host-b")
KEPT_FILE = "pids.json"

CONTROLLER_TOML = """\
state_dir = "{directory}/controller"

[http]
listen = "127.0.0.1:{http_port}"

[agents]
listen = "tcp://127.0.0.1:{agents_port}"
"""
AGENT_TOML = """\
state_dir = "{host}/state"
hypervisors = ["{hypervisor}"]

[datastores.default]
path = "{host}/datastore"

[bulk]
listen = "tcp://127.0.0.1:{bulk_port}"
{driver}"""
#: Each host has a QEMU of its own, without a daemon and without root.
LIBVIRT_TOML = """
[drivers.libvirt]
uri = "qemu:///embed?root={host}/qemu"
"""
TRY_NEXT = """\
Everything keeps running. To try more, in this shell:

    export PATH={bin}:$PATH INNKEEPER_ENDPOINT={endpoint} INNKEEPER_TOKEN_FILE={token_file}
    inn status
    inn vm console web                                 (Ctrl-] leaves it)
    inn vm submit examples/web.one -n 2 --name more --wait
    inn vm migrate web
    inn vm log web
    inn events --follow

To end it and remove everything:

    {python} {demo} --stop {directory}
"""


class Fleet:
    """A controller and two hosts."""

    def __init__(self, directory: Path, *, real: bool) -> None:
        """Prepare the directories; nothing is started.

        Args:
            directory: New, and ours alone.
            real: True for hosts with QEMU, False for hosts that pretend.
        """
        self.directory = directory
        self.hosts = HOSTS
        self._real = real
        self._daemons: list[Daemon] = []
        self._endpoint = f"http://127.0.0.1:{free_port()}"
        self.environment = environment_for(self._endpoint, directory / "controller" / "admin.token")

    def host_dir(self, name: str) -> Path:
        """Return where everything of a host is."""
        return self.directory / name

    def start_controller(self, stage: Stage) -> None:
        """Start the controller."""
        config = self.directory / "controller.toml"
        port = self._endpoint.rsplit(":", 1)[1]
        text = CONTROLLER_TOML.format(directory=self.directory, http_port=port, agents_port=free_port())
        config.write_text(text)
        self._start(stage, "inn-controller", "run", "--config", str(config), name="controller")

    def join(self, stage: Stage, name: str) -> None:
        """Make a host known, let its agent join and start it."""
        host = self.host_dir(name)
        host.mkdir()
        config = self.directory / f"{name}.toml"
        driver = LIBVIRT_TOML.format(host=host) if self._real else ""
        hypervisor = "libvirt" if self._real else "simulated"
        config.write_text(AGENT_TOML.format(host=host, hypervisor=hypervisor, bulk_port=free_port(), driver=driver))
        token = re.search(r"inn-agent join (\S+)", stage.inn("host", "add", name))
        if token is None:
            raise DemoError("`inn host add` gave no token")
        stage.command("inn-agent", "join", token[1], "--config", str(config))
        self._start(stage, "inn-agent", "run", "--config", str(config), name=name)

    def _start(self, stage: Stage, *argv: str, name: str) -> None:
        stage.announce(f"{shlex.join(argv)} &")
        self._daemons.append(Daemon(list(argv), environment=self.environment, log=self.directory / f"{name}.log"))

    def images(self, image: guest.Guest | None) -> Iterator[tuple[str, list[str]]]:
        """Give ``(name, options of inn image add)`` of what the template names; pretended hosts take any file."""
        if image is None:
            blank = self.directory / "blank.img"
            blank.write_bytes(bytes(1 << 20))
            image = guest.Guest(kernel=blank, initrd=blank, disk=blank)
        yield "web", ["--file", str(image.disk)]
        yield "web-kernel", ["--type", "kernel", "--file", str(image.kernel)]
        yield "web-initrd", ["--type", "ramdisk", "--file", str(image.initrd)]

    def submit_options(self) -> list[str]:
        """Return what pretended hosts need besides the template."""
        return [] if self._real else ["--set", "HYPERVISOR=simulated"]

    def guest_processes(self) -> list[str]:
        """Return the command lines of what runs for this demo besides its own daemons."""
        ours = {daemon.process.pid for daemon in self._daemons}
        return [line for pid, line in processes_of(self.directory).items() if pid not in ours]

    def last_words(self) -> str:
        """Return the end of each daemon's log."""
        ends = [f"--- {daemon.log}\n{daemon.log.read_text(errors='replace')[-2000:]}" for daemon in self._daemons]
        return "\n".join(ends)

    def keep(self, stage: Stage) -> None:
        """Leave everything running and say how to go on, and how to end it."""
        pids = [daemon.process.pid for daemon in self._daemons]
        (self.directory / KEPT_FILE).write_text(json.dumps(pids))
        stage.chapter("What to try next")
        stage.quote(
            TRY_NEXT.format(
                bin=Path(sys.executable).parent,
                endpoint=self._endpoint,
                token_file=self.environment["INNKEEPER_TOKEN_FILE"],
                python=sys.executable,
                demo=Path(__file__).with_name("demo.py"),
                directory=self.directory,
            )
        )

    def stop(self) -> None:
        """End the daemons, then whatever else of the demo still runs, and remove its directory."""
        for daemon in reversed(self._daemons):
            daemon.stop()
        remove(self.directory)


def remove(directory: Path) -> None:
    """End every process of a demo and remove its directory."""
    end_processes(directory)
    shutil.rmtree(directory, ignore_errors=True)


def end_kept(directory: Path) -> int:
    """End a demo that was kept; the exit status."""
    if not (directory / KEPT_FILE).exists():
        sys.stderr.write(f"demo: {directory} is not the directory of a demo that was kept\n")
        return 1
    remove(directory)
    return 0

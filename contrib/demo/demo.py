#!/usr/bin/env python3
"""Shows a VM's whole life on this machine: a controller, two hosts, a guest that boots, rests, goes on and ends.

Everything goes through the public commands; nothing outside its own directory is touched, and nothing is left.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dev"))

import guest
from fleet import Fleet, end_kept
from stage import DemoError, Stage

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "examples" / "web.one"
GREETING = "INNKEEPER-GUEST-READY"
#: A guest in an emulator on a busy machine takes its time.
BOOT_TIMEOUT = "150s"


def why_no_real_guests() -> str:
    """Say what this machine lacks for real guests; empty where it lacks nothing."""
    if not shutil.which("qemu-system-x86_64"):
        return "qemu is not installed"
    try:
        import libvirt  # noqa: F401 - only whether it is there
    except ImportError:
        return "libvirt-python is not installed"
    return ""


class Demo:
    """The story, chapter by chapter."""

    def __init__(self, fleet: Fleet, stage: Stage, image: guest.Guest | None) -> None:
        """Take the hosts, the stage and the guest; no guest means pretended ones."""
        self._fleet = fleet
        self._stage = stage
        self._image = image
        self._vm = ""

    def run(self) -> None:
        """Show everything up to the guest's second life; it still runs afterwards."""
        self._hosts()
        self._images()
        self._submit()
        self._deploy()
        if self._image:
            self._greet()
        self._rest()

    def _hosts(self) -> None:
        stage = self._stage
        stage.chapter("A controller and two hosts")
        stage.say("The controller makes its keys, its database and the administrator's token by itself.")
        self._fleet.start_controller(stage)
        stage.say("A host joins with a token that works once and pins the controller's key. Agents dial out: no ssh, "
                  "no open port on the host.")  # fmt: skip
        for name in self._fleet.hosts:
            self._fleet.join(stage, name)
        stage.inn("host", "list")

    def _images(self) -> None:
        stage = self._stage
        stage.chapter("An image and a network")
        stage.say("The guest is a kernel, a first file system and a disk, made from two Debian packages. Uploads go "
                  "to one host; the other fetches what it needs from there, each piece verified.")  # fmt: skip
        for name, options in self._fleet.images(self._image):
            stage.inn("image", "add", name, *options)
        stage.inn("network", "add", "lan", "--range", "10.77.0.100/20")
        stage.inn("image", "list")

    def _submit(self) -> None:
        stage = self._stage
        stage.chapter("A template becomes a VM, with an ID and an address")
        stage.quote(TEMPLATE.read_text())
        stage.inn("vm", "submit", str(TEMPLATE), "--hold", "-v", *self._fleet.submit_options())
        self._vm = str(stage.asked("vm", "list")[0]["vm_id"])
        stage.inn("network", "leases", "lan")
        stage.say("It is held back, so that there is time to ask which hosts could take it, and why.")
        stage.inn("vm", "why", self._vm)

    def _deploy(self) -> None:
        stage = self._stage
        stage.chapter("The scheduler deploys it")
        stage.inn("vm", "release", self._vm)
        stage.inn("vm", "wait", self._vm, "--timeout", BOOT_TIMEOUT)
        stage.say("This is the transfer script that the host carried out, and keeps beside the disk:")
        stage.inn("vm", "plan", self._vm)

    def _greet(self) -> None:
        stage = self._stage
        stage.chapter("The guest says hello on its serial console, with the address that it was leased")
        address = stage.asked("vm", "show", self._vm)["ips"][0]
        stage.inn("vm", "console", self._vm, "--until", f"{GREETING} name=web ip={address}", "--timeout", BOOT_TIMEOUT)
        stage.inn("vm", "list")

    def _rest(self) -> None:
        stage = self._stage
        stage.chapter("It rests, and goes on where it was")
        stage.inn("vm", "suspend", self._vm, "--wait")
        stage.inn("vm", "list")
        stage.inn("vm", "resume", self._vm, "--wait")
        if self._image:
            stage.say("The same boot, as its counter says: nothing was restarted.")
            stage.typed("vm", "console", self._vm, types="cat /run/greeting", until="boots=1")
        stage.inn("vm", "list")

    def end(self) -> None:
        """Terminate the VM and prove that nothing of it is left."""
        stage = self._stage
        stage.chapter("It ends, and nothing is left")
        stage.inn("vm", "terminate", self._vm, "--wait")
        stage.inn("vm", "list")
        stage.inn("network", "leases", "lan")
        stage.command("find", *(str(self._fleet.host_dir(name)) for name in self._fleet.hosts), "-path", "*/vms/*")
        stage.inn("verify")
        left = self._fleet.guest_processes()
        if left:
            raise DemoError("processes of guests are left:\n" + "\n".join(left))
        stage.say("No process, no file and no address of it is left. What happened stays known:")
        stage.inn("vm", "history", self._vm)


def show(*, keep: bool, simulated: bool) -> int:
    """Run the demo; the exit status."""
    reason = "asked for" if simulated else why_no_real_guests()
    image = None
    if not reason:
        try:
            image = guest.build()
        except guest.BuildError as error:
            reason = str(error)
    if reason:
        sys.stdout.write(f"No real guests ({reason}): the hypervisor is simulated, everything else is real.\n")
    # The path is short since sockets of guests lie deep below it.
    directory = Path(tempfile.mkdtemp(prefix="inn-", dir="/tmp"))
    fleet = Fleet(directory, real=image is not None)
    stage = Stage(fleet.environment)
    kept = False
    try:
        demo = Demo(fleet, stage, image)
        demo.run()
        if keep:
            fleet.keep(stage)
            kept = True
        else:
            demo.end()
    except DemoError as error:
        sys.stderr.write(f"\ndemo: {error}\n\n{fleet.last_words()}\n")
        return 1
    finally:
        if not kept:
            fleet.stop()
    return 0


def main() -> int:
    """Read the command line and show the demo, or end one that was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running and say what to try next")
    parser.add_argument(
        "--simulated", action="store_true", help="pretend to have guests, even where real ones could run"
    )
    parser.add_argument("--stop", type=Path, metavar="DIRECTORY", help="end a demo that was kept")
    arguments = parser.parse_args()
    if arguments.stop:
        return end_kept(arguments.stop)
    # A request to end is an interruption like Ctrl-C: everything is put away first.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    # Who is started in the background of a script would not hear it otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return show(keep=arguments.keep, simulated=arguments.simulated)
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; everything has been put away\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())

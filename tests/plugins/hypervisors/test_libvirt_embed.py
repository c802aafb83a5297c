"""An embedded hypervisor: its guests outlive the process that started them, as an agent's have to."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import guest as builder
import msgspec
import pytest

from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.vocabulary import Boot, Nic, Vm, VmId

pytestmark = pytest.mark.libvirt

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[4] / "shared" / "lab" / "vmlinuz-tiny"
CMDLINE = "console=ttyS0 quiet loglevel=3 panic=1 tsc=reliable no_timer_check nokaslr mitigations=off apparmor=0"
GREETING = "INNKEEPER-GUEST-READY"
CHILD = """\
import json, os, signal, sys
from pathlib import Path
import msgspec
from innkeeper_plugins.conformance.guests import read_until, said, wait_until
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.hypervisors import plugin
from innkeeper_plugins.vocabulary import PowerState, Vm

vm = msgspec.json.decode(sys.argv[1], type=Vm)
place = LocalPlace(Path(sys.argv[2]))
driver = plugin.make_libvirt({"uri": f"qemu:///embed?root={sys.argv[3]}"})
"""
START = "driver.deploy(place, vm)\n"
PRINT = "print(json.dumps([power for _, _, power in said(driver, vm)][0]), flush=True)\n"
DIE = "os.kill(os.getpid(), signal.SIGKILL)\n"
WAIT_FOR = "wait_until(lambda: said(driver, vm)[0][2] is PowerState.{power})\n"
READ = "console = driver.console(place, vm)\nread_until(console, {text!r}, 120)\n"
TYPE = "console.write({text!r})\nread_until(console, {answer!r}, 120)\nconsole.close()\n"
END = "driver.cancel(place, vm)\ndriver.close()\n"


@pytest.fixture(scope="module")
def root():
    # A long temporary path would leave no room for the names of sockets.
    directory = Path(tempfile.mkdtemp(prefix="inn-", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def vm(tmp_path):
    guest, place = builder.build(), LocalPlace(tmp_path)
    kernel = Path(os.environ.get("INNKEEPER_TEST_KERNEL", QUICK_KERNEL))
    return Vm(
        vm_id=VmId(7),
        name="web",
        uuid="5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
        generation=3,
        cpu_cores=0.5,
        vcpus=1,
        memory_mib=96,
        hypervisor="libvirt",
        nics=(Nic(nic_id=0, network="lan", mac="02:00:0a:00:00:07"),),
        boot=Boot(
            kernel=place.add_image((kernel if kernel.exists() else guest.kernel).read_bytes()),
            initrd=place.add_image(guest.initrd.read_bytes()),
            kernel_cmdline=CMDLINE,
        ),
    )


@pytest.fixture
def process(root, vm, tmp_path):
    """Runs a program with an embedded driver in a process of its own, as an agent is one."""

    def run(*parts, status=0):
        arguments = [msgspec.json.encode(vm).decode(), str(tmp_path), str(root)]
        done = subprocess.run(
            [sys.executable, "-c", CHILD + "".join(parts), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    yield run
    run(END)


def pid_of(root):
    return int((root / "run" / "qemu" / "inn-7.pid").read_text())


def test_a_guest_outlives_its_agent_however_that_ends_and_is_found_again(root, process):
    assert process(START, PRINT) == ["running"]
    first = pid_of(root)
    assert process(PRINT, DIE, status=-9) == ["running"]
    assert process(START, PRINT, READ.format(text=GREETING.encode())) == ["running"]

    assert pid_of(root) == first


def test_a_guest_that_died_while_nobody_was_there_has_crashed(root, process):
    process(START)
    os.kill(pid_of(root), 9)

    assert process(WAIT_FOR.format(power="CRASHED"), PRINT) == ["crashed"]


def test_a_guest_that_went_off_by_itself_while_nobody_was_there_does_not_run_any_more(process):
    # The quotes keep the echo of what is typed from looking like the answer.
    typed = TYPE.format(text=b"(sleep 1; poweroff -f) & echo arm''ed\n", answer=b"armed")
    process(START, READ.format(text=GREETING.encode()), typed)

    # libvirt has not seen how it went, and may take it for a crash.
    ended = "wait_until(lambda: said(driver, vm)[0][2] in {PowerState.OFF, PowerState.CRASHED}, 60)\n"
    assert process(ended, PRINT)[0] in {"off", "crashed"}


#: The user that owns nothing.
NOBODY = 65534


@pytest.mark.root
def test_a_user_without_any_rights_runs_guests_as_well(vm, tmp_path):
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    home = Path(tempfile.mkdtemp(prefix="inn-", dir="/var/tmp"))
    program = CHILD + START + READ.format(text=GREETING.encode()) + PRINT + "driver.save(place, vm)\n"
    program += "driver.restore(place, vm)\n" + PRINT + END
    try:
        shutil.copytree(tmp_path / "images", home / "images")
        for path in (home, home / "images"):
            os.chown(path, NOBODY, NOBODY)
        environment = {**os.environ, "HOME": str(home)}
        readable = subprocess.run([*become, sys.executable, "-c", "import innkeeper_plugins"], check=False, cwd="/")
        if readable.returncode:
            pytest.skip("nobody else may read this installation")
        arguments = [msgspec.json.encode(vm).decode(), str(home), str(home / "e")]
        done = subprocess.run(
            [*become, sys.executable, "-c", program, *arguments],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.stderr, done.stdout) == ("", '"running"\n"running"\n')
    finally:
        shutil.rmtree(home)

"""The lab itself: what the other tests here stand on."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from lab import remove_leftovers
from machines import LabError

pytestmark = pytest.mark.e2e

BRING_UP_AND_DIE = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from lab import Lab
lab = Lab(hosts=1, cache=Path(sys.argv[3]))
print(json.dumps({"pids": [lab.switch.pid, lab.hosts[0].pid], "directory": str(lab.directory)}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def running_in(directory: Path) -> list[str]:
    """Return the command lines of processes that mention a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(str(directory) in word for word in words):
            found.append(" ".join(words))
    return found


def test_hosts_have_a_libvirtd_each_and_reach_each_other(lab):
    seen = [host.virsh("hostname").strip() for host in lab.hosts]
    lab.hosts[0].run(["ping", "-c", "1", "-W", "5", lab.hosts[1].address])
    lab.hosts[1].run(["virsh", "-c", f"qemu+tcp://{lab.hosts[0].address}/system", "version"])
    lab.switch.run(["ping", "-c", "1", "-W", "5", lab.hosts[1].address])

    assert seen == ["h1", "h2"]


def test_hosts_share_one_directory_and_no_other(lab):
    first, second = lab.hosts
    first.run(["touch", "/srv/shared/seen-by-all", "/srv/own"])

    assert second.run(["ls", "/srv/shared", "/srv"]) == "/srv:\nshared\n\n/srv/shared:\nseen-by-all\n"


def test_a_pulled_cable_cuts_a_host_off_until_it_is_plugged_in(lab):
    first, second = lab.hosts
    ping = ["ping", "-c", "1", "-W", "1", second.address]
    second.cable(plugged=False)
    with pytest.raises(LabError):
        first.run(ping)

    second.cable(plugged=True)

    first.run(["ping", "-c", "1", "-w", "10", second.address])


def test_libvirtd_can_crash_and_come_back(lab):
    host = lab.hosts[0]
    host.kill_libvirtd()
    with pytest.raises(LabError):
        host.guests()

    host.start_libvirtd()

    assert host.guests() == []


def test_a_lab_that_is_down_leaves_nothing(lab):
    lab.down()

    assert not lab.directory.exists()
    assert running_in(lab.directory) == []


def test_a_lab_whose_tests_were_killed_ends_by_itself(lab, cache):
    arguments = [Path(__file__).parent, Path(__file__).parents[2] / "contrib" / "dev", cache]
    killed = subprocess.run(
        [sys.executable, "-c", BRING_UP_AND_DIE, *arguments], capture_output=True, text=True, check=False
    )
    left = json.loads(killed.stdout)
    for pid in left["pids"]:
        try:
            end = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([end], [], [], 30)[0], f"{pid} still runs"
        os.close(end)
    remove_leftovers()

    assert not Path(left["directory"]).exists()
    assert lab.directory.exists()

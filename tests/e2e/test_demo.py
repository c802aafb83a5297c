"""The demo tells the whole story, and leaves nothing behind however it ends."""

import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from daemons import processes_of

DEMO = Path(__file__).parents[2] / "contrib" / "demo" / "demo.py"
TIMEOUT_S = 280


def played(*options):
    return subprocess.run(
        [sys.executable, str(DEMO), *options], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def directory_of(text):
    return Path(re.search(r"/tmp/inn-\w+", text)[0])


@pytest.mark.e2e
def test_the_demo_shows_a_real_guest_from_its_id_to_its_end():
    shown = played()

    assert (shown.returncode, shown.stderr) == (0, "")
    for told in ("INNKEEPER-GUEST-READY name=web ip=10.77.0.100", "SUSPENDED", "RUNNING", "All addresses are free."):
        assert told in shown.stdout
    assert not directory_of(shown.stdout).exists()
    assert processes_of(directory_of(shown.stdout)) == {}


def test_the_demo_pretends_and_says_so_where_there_is_no_hypervisor():
    shown = played("--simulated")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "the hypervisor is simulated" in shown.stdout.splitlines()[0]
    assert not directory_of(shown.stdout).exists()


def test_an_interrupted_demo_puts_everything_away():
    argv = [sys.executable, str(DEMO), "--simulated"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        shown = ""
        while "inn host list" not in shown:
            assert select.select([demo.stdout], [], [], TIMEOUT_S)[0]
            shown += demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, complaints = demo.communicate(timeout=TIMEOUT_S)

    assert (demo.returncode, "everything has been put away" in complaints) == (130, True)
    assert processes_of(directory_of(shown)) == {}
    assert not directory_of(shown).exists()


def test_a_demo_that_was_kept_runs_until_it_is_stopped():
    kept = played("--simulated", "--keep")
    directory = directory_of(kept.stdout)
    running = processes_of(directory)
    stopped = played("--stop", str(directory))

    assert (kept.returncode, stopped.returncode, len(running)) == (0, 0, 3)
    assert processes_of(directory) == {}
    assert not directory.exists()

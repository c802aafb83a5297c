"""How much CPU the command line takes, against a bare Python of the same run: its help, and a list of 1,000 VMs."""

import os
import statistics
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "controller" / "cli"))

from fake_controller import FakeController
from samples import running

BARE = (sys.executable, "-c", "pass")
INN = (str(Path(sys.executable).with_name("inn")),)
#: Each is run so often, in turn, so that a busy moment of the machine meets all of them.
ROUNDS = 25
VMS = 1000
MAX_HELP_RATIO = 6.0
MAX_LIST_RATIO = 15.0


def cpu_s(argv, environ):
    """Return the user and system time of one run, seconds.

    Raises:
        RuntimeError: it did not exit with 0.
    """
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    child = os.posix_spawn(argv[0], argv, environ, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def medians_s(commands, environ):
    """Return the median CPU time of each command."""
    times = [[] for _ in commands]
    for _ in range(ROUNDS):
        for taken, argv in zip(times, commands, strict=True):
            taken.append(cpu_s(argv, environ))
    return [statistics.median(taken) for taken in times]


def rows():
    """Measure, and say what holds."""
    vms = [running(number, f"vm-{number}") for number in range(VMS)]
    fake = FakeController()
    fake.answers = {"GET /v1/vms": lambda asked: [] if "after=" in asked.target else vms}
    environ = {**os.environ, "INNKEEPER_ENDPOINT": fake.endpoint}
    try:
        bare_s, help_s, list_s = medians_s([BARE, (*INN, "--help"), (*INN, "vm", "list")], environ)
    finally:
        fake.close()
    return [
        {"name": "inn: bare Python, CPU", "value": bare_s * 1000, "unit": "ms", "bound": None, "holds": None},
        _ratio("inn --help, CPU", help_s / bare_s, MAX_HELP_RATIO),
        _ratio(f"inn vm list of {VMS:,} VMs, CPU", list_s / bare_s, MAX_LIST_RATIO),
    ]


def _ratio(name, ratio, bound):
    unit, limit = "x bare Python", f"<= {bound:g}"
    return {"name": name, "value": ratio, "unit": unit, "bound": limit, "holds": ratio <= bound}

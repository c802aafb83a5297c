"""What every test is subject to: its markers say what it needs, and in CI nothing may be missing."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

E2E = Path(__file__).parent / "e2e"
CONTRIB = Path(__file__).parents[1] / "contrib"
#: The lab, the guest and the demo are plain scripts, imported by name.
sys.path[:0] = [str(E2E), str(CONTRIB / "dev"), str(CONTRIB / "demo")]
#: Tools without which there is no lab.
LAB_TOOLS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "bindfs", "nsenter", "unshare", "setpriv", "ip")


def pytest_addoption(parser):
    parser.addoption(
        "--require-e2e", action="store_true", help="fail unless every end-to-end test has been run, and at least one"
    )


def _missing_for_root():
    return "" if os.geteuid() == 0 else "needs root"


def _missing_for_libvirt():
    if not importlib.util.find_spec("libvirt"):
        return "needs libvirt-python: make venv"
    return "" if shutil.which("qemu-system-x86_64") else "needs qemu: make packages"


def _missing_for_the_lab():
    absent = [tool for tool in LAB_TOOLS if not shutil.which(tool)]
    return (
        _missing_for_root() or _missing_for_libvirt() or (f"needs {', '.join(absent)}: make packages" if absent else "")
    )


def _missing_for_postgres():
    if not importlib.util.find_spec("psycopg"):
        return "needs innkeeper[postgres]: make venv"
    places = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    absent = [tool for tool in ("initdb", "postgres") if not shutil.which(tool, path=places)]
    return f"needs {' and '.join(absent)} (apt-get install postgresql)" if absent else ""


def _missing_for_ansible():
    absent = [name for name in ("ansible", "ansible_collections") if not importlib.util.find_spec(name)]
    return "needs innkeeper[ansible]: pip install '.[ansible]'" if absent else ""


#: What keeps a test with that marker from running here; empty for nothing.
NEEDS = {
    "root": _missing_for_root,
    "libvirt": _missing_for_libvirt,
    "e2e": _missing_for_the_lab,
    "postgres": _missing_for_postgres,
    "ansible": _missing_for_ansible,
}


def pytest_runtest_setup(item):
    for marker, missing in NEEDS.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            if os.environ.get("CI"):
                pytest.fail(f"CI has to run this test, but it {reason}", pytrace=False)
            pytest.skip(reason)


class E2eCount:
    """Counts the end-to-end tests that were run and that were not."""

    def __init__(self):
        self.run = 0
        self.skipped = 0

    def pytest_runtest_logreport(self, report):
        if "e2e" in report.keywords:
            self.run += report.when == "call" and not report.skipped
            self.skipped += report.skipped

    def pytest_sessionfinish(self, session):
        if not self.run or self.skipped:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if not self.run or self.skipped:
            terminalreporter.write_line(
                f"--require-e2e: {self.run} end-to-end tests were run, {self.skipped} skipped", red=True
            )


def pytest_configure(config):
    if config.getoption("--require-e2e"):
        config.pluginmanager.register(E2eCount())

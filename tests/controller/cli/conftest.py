"""A controller to talk to, a command line to talk with, and one moment that is always now."""

import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.main import main

sys.path.append(str(Path(__file__).parent))

from fake_controller import FakeController

#: 2026-11-22 12:00:00 UTC.
NOW_S = 1_795_348_800.0


@pytest.fixture
def fake():
    controller = FakeController()
    yield controller
    controller.close()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings of whoever runs the tests, and no clock."""
    for name in ("ENDPOINT", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"INNKEEPER_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(Invocation, "now_s", NOW_S)


@dataclass
class Ran:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def shown(self):
        """What standard error showed, line after line, those too that were overwritten."""
        return [part for part in self.err.replace("\r\x1b[K", "\n").split("\n") if part]


class Terminal(io.StringIO):
    """Remembers all that was ever on it."""

    def isatty(self):
        return True


@pytest.fixture
def run(fake, capsys, monkeypatch):
    """Run ``inn`` against the fake controller."""
    monkeypatch.setenv("INNKEEPER_ENDPOINT", fake.endpoint)

    def go(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return go


@pytest.fixture
def run_on_terminal(run, monkeypatch):
    """Run ``inn`` with standard error on a terminal."""
    monkeypatch.setattr("innkeeper_controller.cli.progress.REDRAW_INTERVAL_S", 0.0)
    monkeypatch.setenv("COLUMNS", "80")

    def go(*arguments):
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", screen)
            ran = run(*arguments)
        return Ran(ran.code, ran.out, screen.getvalue())

    return go

"""How the demo looks: numbered chapters, commands with their real output, and a clock.

It runs the public command ``inn`` and nothing behind its back.
"""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WIDTH = 100
#: No command of the demo takes nearly as long; one that does has hung.
COMMAND_TIMEOUT_S = 180


class DemoError(Exception):
    """The demo cannot go on; the text says why and what was printed last."""


class Stage:
    """Where the demo is shown."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the environment that the commands run in."""
        self.environment = dict(environment)
        self._chapters = 0
        self._began_s = time.monotonic()
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        clock = f"{time.monotonic() - self._began_s:.0f} s"
        head = f"{self._chapters}. {title}"
        self._write(f"\n{self._style('1', head)} {self._style('2', clock.rjust(WIDTH - len(head) - 1))}\n")

    def say(self, text: str) -> None:
        """Tell something about what comes, wrapped."""
        self._write(textwrap.fill(text, WIDTH) + "\n\n")

    def quote(self, text: str) -> None:
        """Show a text as it is, indented."""
        self._write(textwrap.indent(text.rstrip() + "\n", "    ") + "\n")

    def announce(self, command: str) -> None:
        """Show a command as if it were being typed."""
        self._write(self._style("36", f"$ {command}") + "\n")

    def inn(self, *words: str) -> str:
        """Run ``inn`` and show it with its output as it comes; returns the output.

        Raises:
            DemoError: it failed.
        """
        return self.command("inn", *words)

    def command(self, *argv: str) -> str:
        """Run any command; as ``inn``."""
        self.announce(shlex.join(argv))
        lines: list[str] = []
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self.environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                self._write(line)
        if process.returncode:
            raise DemoError(f"{shlex.join(argv)} ended with {process.returncode}")
        self._write("\n")
        return "".join(lines)

    def asked(self, *words: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return what ``inn -o json`` answers, without showing it.

        Raises:
            DemoError: it failed.
        """
        argv = ["inn", "-o", "json", *words]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode:
            raise DemoError(f"{shlex.join(argv)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def typed(self, *words: str, types: str, until: str) -> None:
        """Run ``inn`` on a terminal of its own, type a line into it, and leave with Ctrl-] when it shows a text.

        Raises:
            DemoError: it never showed the text.
        """
        self.announce(f"inn {shlex.join(words)}")
        terminal, inner = pty.openpty()
        with subprocess.Popen(
            ["inn", *words], stdin=inner, stdout=inner, stderr=inner, env=self.environment, start_new_session=True
        ) as process:
            os.close(inner)
            try:
                _read_until(terminal, "leaves")
                os.write(terminal, f"\r{types}\r".encode())
                shown = _read_until(terminal, until)
                os.write(terminal, b"\x1d")
                process.wait(COMMAND_TIMEOUT_S)
            finally:
                os.close(terminal)
        self._write(f"{shown}\n\n")

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text


def _read_until(terminal: int, text: str) -> str:
    """Return what a terminal shows up to the end of the line with the text, without what moves the cursor.

    Raises:
        DemoError: it stayed silent for too long.
    """
    shown = ""
    while not re.search(rf"{re.escape(text)}.*\n", shown):
        if not select.select([terminal], [], [], COMMAND_TIMEOUT_S)[0]:
            raise DemoError(f"the console never showed {text!r} but {shown!r}")
        shown += os.read(terminal, 4096).decode(errors="replace")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown)
    return plain.strip()


def environment_for(endpoint: str, token_file: Path) -> dict[str, str]:
    """Return the environment in which ``inn`` finds this controller, and is found itself beside this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "INNKEEPER_ENDPOINT": endpoint, "INNKEEPER_TOKEN_FILE": str(token_file)}

"""How the demo looks: numbered chapters, commands with their real output, and a clock.

It runs the public command ``inn`` and nothing behind its back.
"""

import os
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

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

    def inn(self, *words: str, fails: bool = False, quiet: bool = False) -> str:
        """Run ``inn`` and show it with its output, as it comes; returns the output.

        Args:
            words: What comes after ``inn``.
            fails: True where the command may fail, that being the point.
            quiet: True to show nothing, for what only the demo itself wants to know.

        Raises:
            DemoError: it failed.
        """
        return self.command("inn", *words, fails=fails, quiet=quiet)

    def command(self, *argv: str, fails: bool = False, quiet: bool = False) -> str:
        """Run any command; as ``inn``."""
        if not quiet:
            self._write(self._style("36", f"$ {shlex.join(argv)}") + "\n")
        output = self._run(argv, fails=fails, quiet=quiet)
        if not quiet:
            self._write("\n")
        return output

    def _run(self, argv: tuple[str, ...], *, fails: bool, quiet: bool) -> str:
        lines: list[str] = []
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if not quiet:
                    self._write(line)
            status = process.wait(COMMAND_TIMEOUT_S)
        if status and not fails:
            shown = "" if not quiet else "".join(lines)
            raise DemoError(f"{shlex.join(argv)} ended with {status}\n{shown}".rstrip())
        return "".join(lines)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text


def environment_for(endpoint: str, token_file: Path) -> dict[str, str]:
    """Return the environment in which ``inn`` finds this controller, and is found itself beside this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "INNKEEPER_ENDPOINT": endpoint, "INNKEEPER_TOKEN_FILE": str(token_file)}

"""One run of ``inn``: the common options, the way to the controller, and where answers go.

What help and completion can do without is imported in the functions that need it.
"""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from innkeeper_controller.cli.preferences import Preferences
    from innkeeper_controller.client import Client

#: A decoded answer, or a part of one.
Json = Any

_TAKEN = ("endpoint", "token_file", "verbose", "output", "wait", "timeout")


class Invocation:
    """What every command gets as ``inn``."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._said: dict[str, Any] = {}
        self._client: Client | None = None
        self._preferences: Preferences | None = None
        #: Name and text of the template that was sent, so that a refusal can show its lines.
        self.template: tuple[str, str] | None = None

    def take(self, params: dict[str, Any]) -> None:
        """Take the common options out of a command's parameters; what was said later counts."""
        for name in _TAKEN:
            value = params.pop(name, None)
            # A count that was not given is 0, which must not hide what was said before the command's name.
            if value is not None and not (name == "verbose" and value == 0):
                self._said[name] = value

    @property
    def preferences(self) -> "Preferences":
        """What holds now: options over environment over files."""
        if self._preferences is None:
            from pathlib import Path

            from innkeeper_controller.cli.preferences import load

            loaded = load()
            said: dict[str, Any] = {
                "endpoint": self._said.get("endpoint"),
                "token_file": Path(self._said["token_file"]) if "token_file" in self._said else None,
                "token": "" if "token_file" in self._said else None,
                "output": self._said.get("output"),
                "timeout_s": self._said.get("timeout"),
            }
            self._preferences = loaded._replace(**{key: value for key, value in said.items() if value is not None})
        return self._preferences

    @property
    def verbose(self) -> bool:
        """True where the user wants to hear more."""
        return bool(self._said.get("verbose"))

    @property
    def form(self) -> str:
        """``table``, ``wide``, ``json`` or ``yaml``."""
        return self.preferences.output

    @property
    def wide(self) -> bool:
        """True for tables with all their columns."""
        return self.form == "wide"

    @property
    def for_people(self) -> bool:
        """True where the answer is to be read, not parsed."""
        return self.form in {"table", "wide"}

    def waits(self, *, usually: bool = False) -> bool:
        """Return True where the command follows what it started: as was said, else as the command usually does."""
        return bool(self._said.get("wait", self.preferences.wait or usually))

    @property
    def timeout_s(self) -> float | None:
        """Longest wait, seconds; None for any."""
        return self.preferences.timeout_s

    @property
    def now_s(self) -> float:
        """This moment, seconds since the epoch."""
        return time.time()

    @property
    def client(self) -> "Client":
        """The way to the controller, made when it is first needed."""
        if self._client is None:
            from innkeeper_controller.cli.preferences import read_token
            from innkeeper_controller.client import Client

            try:
                self._client = Client(self.preferences.endpoint, read_token(self.preferences))
            except ValueError as error:
                raise click.UsageError(f"{error}.") from error
            if self._said.get("verbose", 0) > 1:
                self._client.link.heard = self._tell_request
        return self._client

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._client is not None:
            self._client.close()

    def call(self, name: str, /, **params: Any) -> Json:  # noqa: ANN401 - what becomes JSON
        """Make one request; see ``Client.call``."""
        return self.client.call(name, **params)

    def show(self, answer: Json, as_text: Callable[[], str]) -> None:
        """Write an answer in the form that was asked for; ``as_text`` makes the one for people."""
        from innkeeper_controller.cli.output import to_json, to_yaml

        if self.form == "json":
            self.say(to_json(answer))
        elif self.form == "yaml":
            self.say(to_yaml(answer))
        else:
            self.say(as_text())

    def say(self, text: str) -> None:
        """Write to standard output."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Write to standard error: what is not the answer."""
        sys.stdout.flush()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _tell_request(self, method: str, target: str, status: int, seconds: float, request_id: str) -> None:
        self.note(f"> {method} {target}: {status} in {seconds * 1000:.0f} ms, request {request_id}")

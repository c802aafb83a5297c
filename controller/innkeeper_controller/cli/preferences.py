"""Where the controller is and what to show it: options, then the environment, then files.

It reads files and the environment when asked, and never talks to the controller.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from innkeeper_controller.cli.commands import FORMATS

#: Where the controller of this machine leaves the token of its administrator.
ADMIN_TOKEN = Path("/var/lib/innkeeper-controller/admin.token")
DEFAULT_ENDPOINT = "http://127.0.0.1:2633"

#: ``{key of cli.toml: the types it may have}``
KEYS: dict[str, tuple[type, ...]] = {
    "endpoint": (str,),
    "token_file": (str,),
    "output": (str,),
    "wait": (bool,),
    "timeout_s": (int, float),
}


class Preferences(NamedTuple):
    """What holds unless the command line says otherwise."""

    endpoint: str = DEFAULT_ENDPOINT
    #: File with the token; None to look at the usual places.
    token_file: Path | None = None
    #: The token itself, where the environment has it.
    token: str = ""
    output: str = "table"
    wait: bool = False
    timeout_s: float | None = None


def config_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's own settings."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path(environ.get("HOME", "/")) / ".config") / "innkeeper"


def load(environ: Mapping[str, str] = os.environ) -> Preferences:
    """Return the preferences of this user.

    Raises:
        click.UsageError: ``cli.toml`` has a key or value that means nothing.
    """
    values = _read_file(config_dir(environ) / "cli.toml")
    token_file = environ.get("INNKEEPER_TOKEN_FILE") or values.get("token_file")
    return Preferences(
        endpoint=environ.get("INNKEEPER_ENDPOINT") or values.get("endpoint", DEFAULT_ENDPOINT),
        token_file=Path(token_file).expanduser() if token_file else None,
        token=environ.get("INNKEEPER_TOKEN", ""),
        output=values.get("output", "table"),
        wait=values.get("wait", False),
        timeout_s=values.get("timeout_s"),
    )


def read_token(preferences: Preferences, environ: Mapping[str, str] = os.environ) -> str:
    """Return the token to show; empty where there is none anywhere.

    Raises:
        click.UsageError: the file that was named cannot be read.
    """
    if preferences.token:
        return preferences.token
    if preferences.token_file is not None:
        try:
            return preferences.token_file.read_text().strip()
        except OSError as error:
            raise click.UsageError(
                f"The token file {preferences.token_file} cannot be read: {error.strerror}. --token-file, "
                "INNKEEPER_TOKEN_FILE or `token_file` in cli.toml names it."
            ) from error
    for path in (config_dir(environ) / "token", ADMIN_TOKEN):
        try:
            return path.read_text().strip()
        except OSError:
            # The usual places may be empty, or another user's.
            continue
    return ""


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    import tomllib

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{path}: {error}") from error
    for key, value in values.items():
        _check(path, key, value)
    return values


def _check(path: Path, key: str, value: object) -> None:
    if key not in KEYS:
        raise click.UsageError(f"{path}: there is no setting {key!r}; there are {', '.join(KEYS)}.")
    if type(value) not in KEYS[key]:
        raise click.UsageError(f"{path}: {key} = {value!r} is not of the right kind.")
    if key == "output" and value not in FORMATS:
        raise click.UsageError(f"{path}: output is one of {', '.join(FORMATS)}, not {value!r}.")

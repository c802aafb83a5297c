"""The command ``inn-agent``: what a person types, and what systemd starts.

Nothing heavy is imported before a command needs it: help and mistakes are answered at once.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from innkeeper_hostagent.config import Config

_DEFAULT_CONFIG = "/etc/innkeeper/agent.toml"
_JOIN_TIMEOUT_S = 30.0


def _note_config(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is not None or context.obj is None:
        context.obj = path or Path(_DEFAULT_CONFIG)


#: Stands before the command or behind it, as it comes to mind.
_with_config: Callable[[Any], Any] = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    expose_value=False,
    callback=_note_config,
    help=f"The agent's configuration.  [default: {_DEFAULT_CONFIG}, which need not exist]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@_with_config
@click.version_option(package_name="innkeeper")
def main() -> None:
    """Run the virtual machines of this host for an Innkeeper controller."""


@main.command()
@click.argument("token")
@click.option("--name", default="", help="Name to tell the controller; by default this machine's host name.")
@click.option("--replace", is_flag=True, help="Leave the controller that this host belongs to now.")
@_with_config
@click.pass_obj
def join(config_path: Path, token: str, name: str, replace: bool) -> None:  # noqa: FBT001 - as click calls it
    """Enrol this host with the TOKEN that `inn host add` printed."""
    from innkeeper_hostagent import enrolment
    from innkeeper_plugins.errors import InnkeeperError

    config = _config(config_path)
    try:
        membership = enrolment.enrol(config, token, name, replace=replace, timeout_s=_JOIN_TIMEOUT_S)
    except (InnkeeperError, OSError) as error:
        _fail(str(error))
    click.echo(f"This host is {membership.host_name} of the controller at {membership.endpoint}.")
    if config_path == Path(_DEFAULT_CONFIG):
        click.echo("Next: `inn-agent check`, then `systemctl enable --now inn-agent` (or `inn-agent run`).")
    else:
        named = shlex.quote(str(config_path))
        click.echo(f"Next: `inn-agent check --config {named}`, then `inn-agent run --config {named}`.")


@main.command()
@_with_config
@click.pass_obj
def run(config_path: Path) -> None:
    """Run the agent until it is told to end; guests run on."""
    from innkeeper_hostagent import daemon

    daemon.run(_config(config_path))


@main.command()
@_with_config
@click.pass_obj
def check(config_path: Path) -> None:
    """Say what this host lacks, each with the command that mends it."""
    from innkeeper_hostagent import check as checking
    from innkeeper_plugins.registry import Registry

    lacking = False
    for finding in checking.findings(_config(config_path), Registry.load()):
        mark = "ok  " if finding.ok else "LACK" if finding.needed else "note"
        click.echo(f"{mark}  {finding.what}" + (f": {finding.problem}" if finding.problem else ""))
        if finding.mend and not finding.ok:
            click.echo(f"      mend: {finding.mend}")
        lacking = lacking or (finding.needed and not finding.ok)
    sys.exit(1 if lacking else 0)


def _config(path: Path) -> "Config":
    from innkeeper_hostagent.config import load
    from innkeeper_plugins.daemons.configuration import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"inn-agent: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()

"""``inn-controller``: the controller as a process, with its commands, signals and service manager."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import structlog

from innkeeper_controller import config as configuration
from innkeeper_controller.assembly import TOKEN_FILE, Assembly
from innkeeper_controller.config import Config
from innkeeper_controller.deciders.chosen import chosen
from innkeeper_controller.scheduling.rules import CUSTOM
from innkeeper_controller.store.database import ProcessLock, open_engine
from innkeeper_controller.store.reading import differences
from innkeeper_controller.store.upgrade import bring_up, check, check_pages
from innkeeper_plugins.daemons import logs
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.daemons.notify import Notifier
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.registry import Registry

_log = structlog.get_logger("controller")

FAILED: Final = 1
#: As many open files as the unit allows; each connection is one, and shells begin with 1,024.
_OPEN_FILES: Final = 65_536
#: The disk can't be trusted any more; systemd starts us again, and the database is opened anew.
IO_ERROR: Final = 74
#: Objects made between two looks at the young ones, and looks between two at the older.
_GC_THRESHOLDS: Final = (20_000, 20, 20)
#: Libraries whose every connection and request is no news.
_QUIET: Final = ("uvicorn.access", "uvicorn.error", "alembic", "asyncio")


class _RunByDefault(click.Group):
    """A group whose command may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` where no command is."""
        if not args or (args[0] not in self.commands and args[0] not in {"--help", "--version"}):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _options(command: Any) -> Any:  # noqa: ANN401 - click's own decorators are as vague
    command = click.option("--database", metavar="URL", help="Use this database, not the configured one.")(command)
    command = click.option("--state-dir", type=click.Path(path_type=Path), help="Keep everything in this directory.")(
        command
    )
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        help=f"Read this file, which has to be there [default: {configuration.DEFAULT_PATH}].",
    )(command)


@click.group(cls=_RunByDefault, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="innkeeper", prog_name="inn-controller")
def main() -> None:
    """Run the controller, or look after its database."""


@main.command()
@_options
@click.option("--listen", metavar="ADDRESS:PORT", help="Answer requests here.")
def run(path: Path | None, state_dir: Path | None, database: str | None, listen: str | None) -> None:
    """Run the controller until SIGTERM; the first start makes keys, database and the administrator's token."""
    config = _configured(path, state_dir, database)
    if listen:
        config = msgspec.structs.replace(config, http=configuration.HttpConfig(listen=listen))
    logs.configure(config.log, quiet=_QUIET)
    # State, keys and uploads are nobody else's business, whatever the service manager says.
    os.umask(0o077)
    _allow_connections()
    try:
        status = asyncio.run(_run(config))
    except (InnkeeperError, OSError) as error:
        _log.critical("cannot_start", why=str(error))
        raise click.ClickException(str(error)) from error
    sys.exit(status)


def _allow_connections() -> None:
    """Raise the limit of open files as far as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@main.command()
@_options
def upgrade(path: Path | None, state_dir: Path | None, database: str | None) -> None:
    """Bring the database to the schema of this version, after a backup; `run` does so by itself."""
    config = _configured(path, state_dir, database)
    try:
        engine = open_engine(config.database_url)
        lock = ProcessLock(engine)
        before = check(engine)
        backup = bring_up(engine)
        lock.release()
        engine.dispose()
    except InnkeeperError as error:
        raise click.ClickException(str(error)) from error
    if before.is_current:
        click.echo(f"The database has schema {before.needed} already.")
    else:
        click.echo(f"The database was brought from schema {before.current or 'none'} to {before.needed}.")
    if backup:
        click.echo(f"As it was before it lies in {backup}.")


@main.command("check")
@_options
def check_everything(path: Path | None, state_dir: Path | None, database: str | None) -> None:
    """Check configuration and database, and that the log gives the state; the controller may be running."""
    config = _configured(path, state_dir, database)
    click.echo(f"configuration: fine, state in {config.state_dir}")
    _tell_scheduling(config)
    try:
        engine = open_engine(config.database_url)
        state = check(engine)
        if state.current is None:
            click.echo("database: none yet; the first start makes it")
            return
        check_pages(engine)
        click.echo(f"database: sound, schema {state.current}" + ("" if state.is_current else f", needs {state.needed}"))
        if not state.is_current:
            raise click.ClickException("`inn-controller upgrade` brings it up, and so does the next start.")
        records, found = differences(engine, None)
        engine.dispose()
    except InnkeeperError as error:
        raise click.ClickException(str(error)) from error
    if found:
        raise click.ClickException("the log and the state differ:\n" + "\n".join(found))
    click.echo(f"log: tells the {records} records that the tables have")


def _tell_scheduling(config: Config) -> None:
    """Tell what could be scheduled by, and what of the plugins is left out."""
    registry = Registry.load()
    try:
        found = chosen(config, registry, time.perf_counter)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    for what, names in (
        ("schedulers", found.schedulers),
        ("policies", (*found.rules.policies, CUSTOM)),
        ("clauses", dict.fromkeys(clause.name for clause in found.rules.clauses)),
        ("scores", found.rules.scores),
    ):
        click.echo(f"{what}: {', '.join(names)}")
    for problem in (*registry.problems, *found.problems):
        click.echo(f"left out: {problem.plugin}: {problem.reason}")


def _configured(path: Path | None, state_dir: Path | None, database: str | None) -> Config:
    try:
        config = configuration.load(path or configuration.DEFAULT_PATH, must_exist=path is not None)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    if state_dir:
        config = msgspec.structs.replace(config, state_dir=state_dir.absolute())
    return msgspec.structs.replace(config, database=database) if database else config


async def _run(config: Config) -> int:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    assembly = Assembly(config)
    await assembly.start()
    _calm_the_collector()
    notifier = Notifier()
    _log.info(
        "started",
        http=assembly.http.address,
        agents=assembly.gateway.endpoint,
        state_dir=str(config.state_dir),
        token_file=str(config.state_dir / TOKEN_FILE),
    )
    notifier.tell("READY=1", f"STATUS=answering on {assembly.http.address}")
    watchdog = asyncio.create_task(notifier.keep_alive())
    broken = assembly.controller.pipeline.broken
    stopping = asyncio.create_task(ending.wait())
    await asyncio.wait((stopping, broken), return_when=asyncio.FIRST_COMPLETED)
    notifier.tell("STOPPING=1")
    for task in (watchdog, stopping):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await assembly.stop()
    if broken.done():
        _log.critical("broken", why=broken.result())
        return IO_ERROR
    _log.info("stopped")
    return 0


def _calm_the_collector() -> None:
    """Look for cycles less often: records have none, and looking through all of them took a tenth of each request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)

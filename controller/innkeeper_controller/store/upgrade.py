"""Brings a database to the schema of this version, or refuses it untouched; moves no data itself."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import DBAPIError

from innkeeper_controller.store.database import StoreError, sqlite_path
from innkeeper_controller.store.schema import META

#: The revisions of this version.
MIGRATIONS = Path(__file__).with_name("migrations")


class NewerSchemaError(StoreError):
    """A newer version made this database; this one leaves it alone."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which schema a database has and which one this version needs."""

    #: None for an empty database.
    current: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """True where there is nothing to do."""
        return self.current == self.needed


def check(engine: Engine, *, migrations: Path = MIGRATIONS) -> SchemaState:
    """Return how the database stands to this version; changes nothing.

    Raises:
        NewerSchemaError: it is from a newer version.
        StoreError: it cannot be read, or is not ours.
    """
    script = ScriptDirectory.from_config(_config(migrations))
    needed = str(script.get_current_head())
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            known = {revision.revision for revision in script.walk_revisions()}
            if current is not None and current not in known:
                raise NewerSchemaError(
                    f"{_name(engine)} has schema {current}, this version knows none after {needed};"
                    " start the newer innkeeper again, or restore the backup that its upgrade made"
                )
            if current is None and inspect(connection).has_table(META.name):
                raise StoreError(f"{_name(engine)} has tables but no schema number; it is not one of ours")
    except DBAPIError as error:
        raise StoreError(f"{_name(engine)} cannot be read: {error.orig}") from error
    return SchemaState(current, needed)


def check_pages(engine: Engine) -> None:
    """Read the whole of a SQLite file and its indexes; a server looks after its own.

    Raises:
        StoreError: it is damaged.
    """
    if sqlite_path(engine) is None:
        return
    try:
        with engine.connect() as connection:
            verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    except DBAPIError as error:
        verdict = str(error.orig)
    if verdict != "ok":
        raise StoreError(f"{_name(engine)} is damaged: {verdict}; restore a backup")


def bring_up(engine: Engine, *, migrations: Path = MIGRATIONS) -> Path | None:
    """Check the database, copy it, and go to the schema of this version; all or nothing.

    Returns:
        The backup of the database as it was; None where there was nothing to do or to lose.

    Raises:
        StoreError: it was refused and is as it was.
    """
    state = check(engine, migrations=migrations)
    if state.is_current:
        return None
    check_pages(engine)
    backup = _back_up(engine, state.current) if state.current is not None else None
    config = _config(migrations)
    try:
        with engine.execution_options(writes=True).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise StoreError(f"{_name(engine)} was not upgraded and is as it was: {error.orig}") from error
    return backup


def _back_up(engine: Engine, revision: str) -> Path | None:
    """Copy a SQLite file beside itself; of a server its operator makes the backups."""
    path = sqlite_path(engine)
    if path is None:
        return None
    copy = path.with_name(f"{path.name}.schema-{revision}.{time.strftime('%Y%m%dT%H%M%S')}.backup")
    try:
        copy.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except (OSError, sqlite3.Error) as error:
        copy.unlink(missing_ok=True)
        raise StoreError(f"no backup could be written to {copy}: {error}; {path} is as it was") from error
    return copy


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _name(engine: Engine) -> str:
    return str(sqlite_path(engine) or engine.url.render_as_string())

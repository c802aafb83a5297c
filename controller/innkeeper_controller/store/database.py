"""Opens the database so that one process writes to it, durably; knows nothing of what it holds."""

import contextlib
import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from innkeeper_plugins.errors import InnkeeperError

#: How long a writer waits for somebody who looks at the file with a tool of their own.
BUSY_TIMEOUT_S = 5.0

#: Number of our advisory lock in PostgreSQL: any, as long as it never changes.
_ADVISORY_LOCK = 742_633

#: What every connection to SQLite is told: a commit is on the disk when it returns.
_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


class StoreError(InnkeeperError):
    """The database cannot be used; the operator of the controller must act, and nothing has changed."""


class DatabaseInUseError(StoreError):
    """Another controller works on the same database."""


def open_engine(url: str) -> Engine:
    """Return an engine for the database; connects nowhere yet.

    Raises:
        StoreError: the URL is of no kind that we can use.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed)
        # Whatever the server's default is: an acknowledged commit is on its disk.
        return create_engine(parsed, connect_args={"options": "-c synchronous_commit=on"})
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"the database URL {url.partition(':')[0]}:... cannot be used: {error};"
            " use sqlite:///path, or postgresql+psycopg://... with innkeeper[postgres] installed"
        ) from error


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("the database has to be a file: what is only in memory is not durable")
    # Transactions begin where we say so: the driver's own idea leaves out DDL and takes the lock late.
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own record
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def sqlite_path(engine: Engine) -> Path | None:
    """Return the database's file; None where it is a server's."""
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


class ProcessLock:
    """Held by the one process that may write; ends with the process, however that ends."""

    def __init__(self, engine: Engine) -> None:
        """Take the lock.

        Raises:
            DatabaseInUseError: another process has it.
            StoreError: the lock file cannot be made.
        """
        self._descriptor: int | None = None
        self._connection: Connection | None = None
        path = sqlite_path(engine)
        if path is None:
            self._connection = _lock_server(engine)
        else:
            self._descriptor = _lock_file(path.with_name(f"{path.name}.lock"))

    def release(self) -> None:
        """Let another process write."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._connection is not None:
            # The end of the session would release it too, but only when the server notices.
            with contextlib.suppress(DBAPIError):
                self._connection.execute(text(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})"))
            self._connection.close()
            self._connection = None


def _lock_file(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(f"the lock file {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise StoreError(f"{path} cannot be locked: {error.strerror}") from error
        raise DatabaseInUseError(
            f"another controller (process {holder}) works on {path.stem}; stop it first"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def _lock_server(engine: Engine) -> Connection:
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if not connection.execute(text(f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})")).scalar():
        connection.close()
        raise DatabaseInUseError(f"another controller works on {engine.url.render_as_string()}; stop it first")
    return connection

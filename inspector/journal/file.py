"""The journal's file: one owner, never deleted, set aside when damaged."""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import structlog

from inspector.core.entries import LARGEST
from inspector.core.errors import ConfigurationError, FatalError
from inspector.journal import time as journal_time
from inspector.journal.sqlite_thread import is_corrupt, primary_code

FILE_NAME = "journal.sqlite"
SCHEMA_VERSION = 1
PUT_BACK_EVERY_S = 5.0
"""How often the service tries to rewrite a journal whose file was removed."""
QUICK_CHECK_BELOW_BYTES = 64 * 1024 * 1024
"""A larger file is checked in full at start only if damage was found while running."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
    stream TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    last_n INTEGER NOT NULL,
    delivered_seq INTEGER NOT NULL,
    delivered_id TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    row INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id_ms INTEGER NOT NULL,
    id_n INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    schema TEXT NOT NULL,
    time TEXT NOT NULL,
    unit_id TEXT NOT NULL,
    result TEXT NOT NULL,
    body BLOB NOT NULL,
    journaled_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_seq ON events (stream, seq);
CREATE INDEX IF NOT EXISTS events_by_id ON events (stream, id_ms, id_n);
CREATE TABLE IF NOT EXISTS deliveries (
    stream TEXT NOT NULL,
    minute INTEGER NOT NULL,
    through_seq INTEGER NOT NULL,
    PRIMARY KEY (stream, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""
# Added later; earlier versions ignore these, so that going back to one stays possible.
# `deliveries` holds their notes, by the wall clock: imported at the next start of this version.
_SINCE = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT NOT NULL,
    stream TEXT NOT NULL,
    delivered_seq INTEGER NOT NULL,
    delivered_id TEXT NOT NULL,
    PRIMARY KEY (sink, stream)
) STRICT, WITHOUT ROWID;
"""
_ADDED = ("ALTER TABLE events ADD COLUMN station_ms INTEGER", journal_time.SCHEMA + _SINCE)

log = structlog.get_logger(__name__)


def _claimed(path: Path) -> TextIO:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise FatalError(
            f"another inspector runs for this station: process {owner} holds {path}"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    with suppress(OSError):  # the number only helps people; a full disk must not fail here
        file.flush()
    return file


class FolderLock:
    """Held by the one process that may write in a state folder; released when it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            ConfigurationError: the folder cannot be made or written.
            FatalError: another process holds it.

        """
        self.path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _claimed(self.path)
        except OSError as error:
            raise ConfigurationError(
                f"journal.directory: {folder} cannot be written by user {os.geteuid()}"
                f" ({error.strerror}); expected a folder that belongs to the service"
            ) from error

    @property
    def is_there(self) -> bool:
        """Whether the locked file still has its name."""
        held = os.fstat(self._file.fileno())
        return _of(self.path) == (held.st_dev, held.st_ino)

    def take_again(self) -> None:
        """Lock the file that has the name now, if the locked one was removed.

        Raises:
            OSError: it cannot be made.
            FatalError: another process holds it.

        """
        if not self.is_there:
            # Released only now: if no new lock can be taken, the old one is still held.
            fresh = _claimed(self.path)
            self._file.close()
            self._file = fresh

    def release(self) -> None:
        """Release the lock for the next process."""
        with suppress(OSError):
            self._file.close()


class FileKeeper:
    """Detects that the open journal's files were removed or replaced, and restores them.

    SQLite continues to write, without an error, into a file that no longer has a name and that
    disappears with the process. All of it can still be read through the open connection. One
    thread.
    """

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        """Remember the files that are open now."""
        self._path = folder / FILE_NAME
        self._names = (self._path, _wal(self._path))
        self._lock = lock
        self._known = self._identities()
        self._again_s = -math.inf

    def renew(
        self, connection: sqlite3.Connection, tell: Callable[[str], None]
    ) -> sqlite3.Connection:
        """The connection to continue with: this one, or one to a rewritten file.

        `tell` gets the problem. If it cannot be fixed now, the line continues: events still reach
        Redis, and only a crash or a power cut would lose some.

        Raises:
            FatalError: the new file cannot be opened, or another process has
                taken the folder.

        """
        # SQLite creates its log when it first needs one.
        self._known = [known or _of(p) for p, known in zip(self._names, self._known, strict=True)]
        gone = [p for p, known in zip(self._names, self._known, strict=True) if _of(p) != known]
        if not gone and self._lock.is_there:
            return connection
        cause = f"{gone[0] if gone else self._lock.path} was removed or replaced while it was open"
        tell(cause)
        if time.monotonic() < self._again_s:
            return connection
        self._again_s = time.monotonic() + PUT_BACK_EVERY_S
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take_again()
            fresh = self._put_back(connection)
        except (OSError, sqlite3.Error) as error:
            reason = str(error)  # no traceback: it says nothing about a disk or a permission
            log.warning("journal_not_put_back", cause=cause, reason=reason)
            return connection
        log.error("journal_put_back", cause=cause)
        self._again_s = -math.inf
        return fresh

    def _put_back(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Copy the open journal to a new file of its name; a file that is there is set aside."""
        copy = self._path.with_name(f"{FILE_NAME}.copy")
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = FULL")
            connection.backup(target)
        if _of(self._path) not in {None, self._known[0]}:
            log.error("journal_replaced", kept_as=str(_set_aside(self._path, "found")))
        copy.rename(self._path)
        _sync_folder(self._path.parent)
        # Before the new one is opened: closing deletes the log by its name, which is the same.
        connection.close()
        _wal(self._path).unlink(missing_ok=True)
        try:
            fresh = _open(self._path)
        except (OSError, sqlite3.Error) as error:
            raise FatalError(f"{self._path} was written anew and cannot be opened") from error
        self._known = self._identities()
        return fresh

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_of(path) for path in self._names]


def open_journal_file(folder: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open the journal in `folder`, or a new one where the file is damaged.

    The second value is the place where a damaged file was set aside. The caller holds the folder's
    lock.

    Raises:
        FatalError: the disk is full or broken.
        ConfigurationError: it cannot be opened, or a newer inspector wrote it.

    """
    path = folder / FILE_NAME
    try:
        return _open(path), None
    except sqlite3.Error as error:
        if primary_code(error) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise FatalError(f"{path} cannot be opened: {error}") from error
        if not is_corrupt(error):
            raise ConfigurationError(
                f"journal.directory: {path} cannot be opened ({error});"
                " expected a journal, or nothing"
            ) from error
        damage = str(error)
    aside = _set_aside(path)
    log.error("journal_set_aside", cause=damage, kept_as=str(aside))
    return _open(path), aside


def salvage(aside: Path) -> tuple[dict[str, int], dict[str, str]]:
    """The counters and notes that can still be read from a damaged journal.

    Never raises for what it finds.
    """
    counters: dict[str, int] = {}
    notes: dict[str, str] = {}
    # Opened read-only: people may need its content.
    uri = f"{aside.resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        counters = {
            name: value
            for name, value in connection.execute("SELECT name, value FROM counters")
            if isinstance(name, str) and isinstance(value, int) and 0 < value <= LARGEST
        }
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        notes = {
            name: value
            for name, value in connection.execute("SELECT name, value FROM notes")
            if isinstance(name, str) and isinstance(value, str)
        }
    log.info("journal_counters_salvaged", counters=counters, notes=sorted(notes))
    return counters, notes


def note_damage(folder: Path) -> None:
    """Have the file checked in full at the next start. Never raises."""
    with suppress(OSError):
        _damage_note(folder / FILE_NAME).touch()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA busy_timeout = 2000")
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: WAL with NORMAL loses the last commits in a power cut (230 of 35 257 measured).
        connection.execute("PRAGMA synchronous = FULL")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    _damage_note(path).unlink(missing_ok=True)
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"journal.directory: {path} has version {version}, written by a newer inspector;"
            f" expected at most {SCHEMA_VERSION}"
        )
    if version < SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _add_what_came_later(connection)
    if path.stat().st_size > QUICK_CHECK_BELOW_BYTES and not _damage_note(path).exists():
        return
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _add_what_came_later(connection: sqlite3.Connection) -> None:
    column, tables = _ADDED
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(events)")}
    if "station_ms" not in columns:
        connection.execute(column)
    connection.executescript(tables)


def _of(path: Path) -> tuple[int, int] | None:
    """The identity of the file with this name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # network file systems do not support it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path, why: str = "damaged") -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _damage_note(path: Path) -> Path:
    return path.with_name(f"{path.name}.check")


def read_note(folder: Path, name: str) -> str | None:
    """A note in the journal of a station, whether or not its service runs; None if there is none.

    Read only: the journal belongs to the service. Never on the event loop.
    """
    uri = f"{(folder / FILE_NAME).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            found = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    except sqlite3.Error:  # there is none, it is older than notes, or it is damaged
        return None
    return None if found is None else str(found[0])

"""The journal's file: one owner, never deleted, set aside when damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from inspector.errors import ConfigurationError, FatalError
from inspector.publish import journal_time
from inspector.publish.sqlite_thread import is_corrupt, primary_code
from inspector.publish.stream_ids import LARGEST

FILE_NAME = "journal.sqlite"
SCHEMA_VERSION = 1
QUICK_CHECK_BELOW_BYTES = 64 * 1024 * 1024
"""A larger file is read through at start only after damage was met while running."""

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
# Added since; an inspector of before passes them over, so that going back to it stays possible.
# `deliveries` is what it notes, by the wall clock: taken over at the next start of this one.
_ADDED = ("ALTER TABLE events ADD COLUMN station_ms INTEGER", journal_time.SCHEMA)

log = structlog.get_logger(__name__)


class FolderLock:
    """Held by the one process that may write in a state folder; freed when that process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            ConfigurationError: the folder cannot be made or written.
            FatalError: another process holds it.

        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "lock").open("a+")
        except OSError as error:
            raise ConfigurationError(
                f"journal.directory: {folder} cannot be written by user {os.geteuid()}"
                f" ({error.strerror}); expected a folder that belongs to the service"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise FatalError(
                f"another inspector runs for this station: process {owner} holds {folder / 'lock'}"
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        with suppress(OSError):  # the number only helps people; a full disk must not matter
            self._file.flush()

    def release(self) -> None:
        """Let the next process in."""
        with suppress(OSError):
            self._file.close()


def open_journal_file(folder: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open the journal in `folder`, or a new one where the file is damaged.

    The second value says where a damaged file was set aside. The caller holds the folder's lock.

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


def salvage_counters(aside: Path) -> dict[str, int]:
    """What a damaged journal still tells of its counters; never raises for what it finds."""
    found: dict[str, int] = {}
    # Not changed by looking: what it holds may be wanted by people.
    uri = f"{aside.resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        found = {
            name: value
            for name, value in connection.execute("SELECT name, value FROM counters")
            if isinstance(name, str) and isinstance(value, int) and 0 < value <= LARGEST
        }
    log.info("journal_counters_salvaged", counters=found)
    return found


def note_damage(folder: Path) -> None:
    """Have the file read through at the next start. Never raises."""
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


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _damage_note(path: Path) -> Path:
    return path.with_name(f"{path.name}.check")

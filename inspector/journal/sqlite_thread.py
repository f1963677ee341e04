"""One thread that owns an SQLite connection; jobs that wait together share a commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from inspector.core.errors import FatalError

T = TypeVar("T")

JOBS_PER_COMMIT = 256
RETRY_S = 0.5

# Primary result codes after which the same statement can succeed later: no space, a device that
# failed, a file system that went read-only, a lock of another process.
# https://sqlite.org/rescode.html
_HEALS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; -1 if the error has none."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged."""
    return primary_code(error) in _CORRUPT


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class SqliteThread:
    """Runs jobs in order, each completely or not at all, and answers once they are on the disk.

    A job may run more than once (on a full disk it waits and is tried again), so it must depend on
    nothing but the connection. `after_commit` runs in the thread before the callers get their
    answers, outside any transaction. `on_fault` runs on the event loop, with a cause when jobs
    start to wait and None when they succeed again. `on_corrupt` runs in the thread when the file is
    found damaged. `renew` runs in the thread after a commit, before the callers get their answers:
    it gets the connection and a callback to report problems, and returns the connection to continue
    with.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        after_commit: Callable[[sqlite3.Connection], None],
        on_fault: Callable[[str | None], None],
        on_corrupt: Callable[[], None],
        renew: Callable[[sqlite3.Connection, Callable[[str], None]], sqlite3.Connection],
    ) -> None:
        self._connection = connection
        self._renew = renew
        self._after_commit = after_commit
        self._on_fault = on_fault
        self._on_corrupt = on_corrupt
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = threading.Event()
        self._faulty = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread; returns once it is committed. Event loop only.

        Waits as long as the disk is full. A caller that is cancelled stops waiting; its work
        may still be done.

        Raises:
            FatalError: the file is damaged, or the thread is closed.

        """
        if self._closing.is_set():
            raise FatalError("the journal is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        return await done

    def close(self) -> None:
        """Finish pending jobs, close the connection. Blocks; gives up on a full disk."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            while (jobs := self._next_jobs()) is not None:
                self._commit_until_done(jobs)
                _answer(jobs)
        finally:
            self._refuse_the_rest()
            with suppress(sqlite3.Error):
                self._connection.close()

    def _next_jobs(self) -> list[_Job] | None:
        """Wait for a job and take those that wait behind it; None once closed and empty."""
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        with suppress(Empty):
            while len(jobs) < JOBS_PER_COMMIT:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)
                    break
                jobs.append(job)
        return jobs

    def _commit_until_done(self, jobs: list[_Job]) -> None:
        while True:
            try:
                self._commit(jobs)
            except sqlite3.Error as error:
                self._roll_back()
                if primary_code(error) in _HEALS and not self._closing.is_set():
                    self._report(jobs[0].loop, f"the journal cannot be written: {error}")
                    self._closing.wait(RETRY_S)
                    continue
                if is_corrupt(error):
                    self._on_corrupt()
                for job in jobs:
                    job.error = FatalError(f"the journal cannot be used: {error}")
                    job.error.__cause__ = error
                return
            try:
                told = self._check_file(jobs[0].loop)
            except FatalError as error:
                for job in jobs:
                    job.error = error
                return
            if not told:
                self._report(jobs[0].loop, None)
            self._follow_up()
            return

    def _check_file(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Continue with another file if ours is gone; returns whether something is still wrong."""
        wrong = False

        def tell(cause: str) -> None:
            nonlocal wrong
            wrong = True
            self._report(loop, cause)

        before = self._connection
        self._connection = self._renew(before, tell)
        return wrong and self._connection is before

    def _follow_up(self) -> None:
        # Separate from the commit: a committed job must not run again, whatever happens here.
        try:
            self._after_commit(self._connection)
        except sqlite3.Error as error:
            self._roll_back()
            if is_corrupt(error):
                self._on_corrupt()

    def _commit(self, jobs: list[_Job]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            connection.execute("SAVEPOINT job")
            try:
                job.error, job.result = None, job.work(connection)
            except sqlite3.Error:
                raise
            except Exception as bug:  # noqa: BLE001 - raised again where the job was asked for
                job.error = bug
                connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        connection.execute("COMMIT")

    def _roll_back(self) -> None:
        # SQLite rolls back by itself after some errors.
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _report(self, loop: asyncio.AbstractEventLoop, cause: str | None) -> None:
        faulty = cause is not None
        if faulty != self._faulty:
            self._faulty = faulty
            _call(loop, lambda: self._on_fault(cause))

    def _refuse_the_rest(self) -> None:
        self._closing.set()
        with suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job.error = FatalError("the journal is closed")
                    _answer([job])


def _answer(jobs: list[_Job]) -> None:
    for job in jobs:
        _call(job.loop, lambda job=job: _settle(job))  # type: ignore[misc]


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    # The loop may have ended while its last jobs were committed: then nothing waits for the answer.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _settle(job: _Job) -> None:
    if job.done.done():
        return
    if job.error is None:
        job.done.set_result(job.result)
    else:
        job.done.set_exception(job.error)

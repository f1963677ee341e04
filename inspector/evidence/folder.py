"""Keeps the pictures on the disk: all or nothing each, within their quota, above the floor."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from inspector.core.errors import RetryableError
from inspector.evidence.naming import is_day, is_unfinished, kept_picture, unfinished
from inspector.evidence.retention import Kept, RetentionIndex, to_free_bytes

BLOCK_BYTES = 4096
"""File systems allocate space in such blocks; sizes are counted in them."""
_FILES_PER_STEP = 256
_ROUNDS = 3
_PROBE = unfinished("probe")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# The answers of network file systems to fsync on a folder.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})


class EvidenceUnwritableError(RetryableError):
    """The disk did not take a picture: it is full, read-only, gone, or not writable for us."""


class EvidenceFolder:
    """Knows every picture in the evidence directory; blocks; belongs to one thread.

    The oldest is deleted first: the one with the earliest time of modification, which never goes
    back, whatever the clock does. Its name has the time that the clock showed.

    Other files in the directory are left alone. Only one process may use a directory: a file that
    another is writing would be taken for a leftover.
    """

    def __init__(
        self,
        directory: Path,
        *,
        quota_bytes: int,
        floor_bytes: int,
        near_quota_bytes: int | None = None,
    ) -> None:
        """`near_quota_bytes` is for those near a threshold; None: they have no separate limit."""
        self._directory = directory.absolute()
        self._quota_bytes = quota_bytes
        self._floor_bytes = floor_bytes
        self._near_quota_bytes = quota_bytes if near_quota_bytes is None else near_quota_bytes
        self._index = RetentionIndex()
        self._scan: Iterator[None] | None = self._scanned_in_steps()
        self._newest_ns = 0
        self._meanwhile: list[Kept] = []

    def limit(
        self, *, quota_bytes: int, floor_bytes: int, near_quota_bytes: int | None = None
    ) -> None:
        """Apply other limits from the next picture on. Any thread."""
        self._quota_bytes, self._floor_bytes = quota_bytes, floor_bytes
        self._near_quota_bytes = quota_bytes if near_quota_bytes is None else near_quota_bytes

    @property
    def total_bytes(self) -> int:
        """The space that the known pictures take on the disk, in whole blocks."""
        return self._index.total_bytes

    @property
    def is_scanned(self) -> bool:
        """Whether all pictures that existed at start are known."""
        return self._scan is None

    def scan_on(self) -> None:
        """Index the next few files that existed at start; cheap once all are known.

        A file that was being written when the last process died is removed.

        Raises:
            EvidenceUnwritableError: the directory cannot be made or read; the next call starts
                from the beginning.

        """
        if self._scan is None:
            return
        try:
            next(self._scan)
        except StopIteration:
            self._scan = None
            self._put_last(self._meanwhile)
            self._meanwhile = []
            # The pictures written meanwhile were counted without those that existed at start.
            with suppress(OSError):  # the next picture reports it
                self._make_room(0)
        except OSError as error:
            self._scan = self._scanned_in_steps()
            raise _unwritable(self._directory, error) from error

    def place(self, path: str, content: bytes) -> Kept:
        """Store a complete picture under its name, on the disk; call `admit` or `withdraw` then.

        It is synced before it gets its name, and its folder afterwards: the event that names it
        is durable in the journal, so the picture must survive the same power cut, and a name
        must never stand for half a file.

        Raises:
            EvidenceUnwritableError: it is not there.

        """
        day, _, name = path.partition("/")
        kept = kept_picture(day, name, _on_disk_bytes(len(content)), self._next_ns())
        if kept is None:
            raise ValueError(f"{path} is no name of a picture")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            if kept.near:
                self._make_room_among_near(kept.size_bytes)
            self._make_room(kept.size_bytes)
            for _ in range(_ROUNDS):
                try:
                    self._write(kept, content)
                except OSError as error:
                    # Out of inodes, or of what somebody else took since we asked.
                    if error.errno not in _NO_SPACE or not self._delete(kept.size_bytes):
                        raise
                else:
                    return kept
            self._write(kept, content)
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        return kept

    def admit(self, kept: Kept) -> None:
        """The picture is referred to: from now on it counts."""
        self._index.add(kept)
        if not self.is_scanned:
            self._meanwhile.append(kept)

    def withdraw(self, kept: Kept) -> None:
        """Remove a picture that no event will name."""
        if kept.path not in self._index:
            self._remove(kept)

    def probe(self) -> None:
        """Check whether a picture could be written.

        Raises:
            EvidenceUnwritableError: it could not.

        """
        probe = self._directory / _PROBE
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._make_room(BLOCK_BYTES)
            try:
                _write_synced(probe, b"\0" * BLOCK_BYTES)
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def _next_ns(self) -> int:
        """The time for a new picture: the clock's, unless that went back."""
        self._newest_ns = max(time.time_ns(), self._newest_ns + 1)
        return self._newest_ns

    def _put_last(self, pictures: list[Kept]) -> None:
        """Pictures that were written during the indexing are younger than all indexed ones."""
        for kept in pictures:
            if kept.path in self._index:
                later = replace(kept, written_ns=self._next_ns())
                self._index.move(later)
                with suppress(OSError):  # then the clock's time is kept, which is mostly right
                    _date(self._directory / kept.path, later.written_ns)

    def _write(self, kept: Kept, content: bytes) -> None:
        target = self._directory / kept.path
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(self._directory)
        temporary = target.with_name(unfinished(target.name))
        try:
            _write_synced(temporary, content, kept.written_ns)
            temporary.replace(target)
            _sync_folder(target.parent)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _make_room(self, incoming_bytes: int) -> None:
        """Delete pictures until the limits are met.

        Nothing is deleted if deleting everything would not help.
        """
        if incoming_bytes > self._quota_bytes:
            raise OSError(errno.EDQUOT, f"the quota is {self._quota_bytes} bytes")
        for _ in range(_ROUNDS):
            needed_bytes = self._needed_bytes(incoming_bytes)
            if needed_bytes > 0 and not self.is_scanned:
                while not self.is_scanned:
                    self.scan_on()
                continue
            if needed_bytes <= 0 or needed_bytes > self._index.total_bytes:
                break
            self._delete(needed_bytes)
        if self._needed_bytes(incoming_bytes) > 0:
            free_bytes = _free_bytes(self._directory)
            raise OSError(
                errno.ENOSPC,
                f"{free_bytes} bytes are free, {self._floor_bytes} must stay free, and the"
                f" pictures take {self._index.total_bytes}",
            )

    def _make_room_among_near(self, incoming_bytes: int) -> None:
        """Delete the oldest of those near a threshold beyond their own quota.

        Pictures that existed at start count once they are indexed.
        """
        if incoming_bytes > self._near_quota_bytes:
            text = f"the quota of pictures near a threshold is {self._near_quota_bytes} bytes"
            raise OSError(errno.EDQUOT, text)
        needed_bytes = self._index.near_bytes + incoming_bytes - self._near_quota_bytes
        if needed_bytes > 0:
            self._remove_until(needed_bytes, self._index.first_near_to_go())

    def _needed_bytes(self, incoming_bytes: int) -> int:
        return to_free_bytes(
            incoming_bytes=incoming_bytes,
            kept_bytes=self._index.total_bytes,
            quota_bytes=self._quota_bytes,
            # A folder may need another block for a new name.
            free_bytes=_free_bytes(self._directory) - BLOCK_BYTES,
            floor_bytes=self._floor_bytes,
        )

    def _delete(self, needed_bytes: int) -> int:
        """Delete pictures until that much is freed; returns how much was."""
        return self._remove_until(needed_bytes, self._index.first_to_go())

    def _remove_until(self, needed_bytes: int, going: Iterator[Kept]) -> int:
        freed_bytes = 0
        for kept in going:
            self._remove(kept)
            freed_bytes += kept.size_bytes
            if freed_bytes >= needed_bytes:
                break
        return freed_bytes

    def _remove(self, kept: Kept) -> None:
        # A file that cannot be deleted is forgotten, or it would block all others.
        with suppress(OSError):
            (self._directory / kept.path).unlink(missing_ok=True)
        if self._index.is_last_of(kept.day):
            with suppress(OSError):
                (self._directory / kept.day).rmdir()

    def _scanned_in_steps(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / _PROBE).unlink(missing_ok=True)
        with os.scandir(self._directory) as entries:
            days = [e.name for e in entries if is_day(e.name) and e.is_dir(follow_symlinks=False)]
        for day in sorted(days):
            # A folder that cannot be read, or went meanwhile, holds nothing we could delete.
            with suppress(OSError):
                yield from self._day_in_steps(day)

    def _day_in_steps(self, day: str) -> Iterator[None]:
        with os.scandir(self._directory / day) as entries:
            for seen, entry in enumerate(entries, start=1):
                with suppress(FileNotFoundError):
                    self._take_in(day, entry)
                if seen % _FILES_PER_STEP == 0:
                    yield

    def _take_in(self, day: str, entry: os.DirEntry[str]) -> None:
        if not entry.is_file(follow_symlinks=False):
            return
        if is_unfinished(entry.name):
            Path(entry.path).unlink(missing_ok=True)
            return
        found = entry.stat(follow_symlinks=False)
        kept = kept_picture(day, entry.name, _on_disk_bytes(found.st_size), found.st_mtime_ns)
        if kept is not None and kept.path not in self._index:
            self._newest_ns = max(self._newest_ns, kept.written_ns)
            self._index.add(kept)


def _on_disk_bytes(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _free_bytes(directory: Path) -> int:
    """The space that is free for us, without root's reserve."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def _write_synced(path: Path, content: bytes, written_ns: int | None = None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o644), "wb") as file:  # noqa: PTH123 - Path.open follows links
        file.write(content)
        file.flush()
        if written_ns is not None:
            os.utime(file.fileno(), ns=(written_ns, written_ns))
        os.fsync(file.fileno())


def _date(path: Path, written_ns: int) -> None:
    os.utime(path, ns=(written_ns, written_ns))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _unwritable(directory: Path, error: OSError) -> EvidenceUnwritableError:
    reason = error.strerror or type(error).__name__
    return EvidenceUnwritableError(f"evidence cannot be written to {directory}: {reason}")

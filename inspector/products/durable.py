"""Writes files that are either whole or absent, even after a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

UNFINISHED = ".unfinished-"
"""The prefix of files that are being written, or were during a power cut."""
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""Some network file systems do not sync folders."""


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a file; its folder is made if it is missing."""
    make_folder(path.parent)
    beside = path.with_name(f"{UNFINISHED}{token_hex(8)}")
    try:
        _write_synced(beside, content)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    """Write a folder with these files, if nothing has its name; names may contain one folder.

    Raises:
        FileExistsError: something is there.

    """
    make_folder(path.parent)
    beside = path.with_name(f"{UNFINISHED}{token_hex(8)}")
    try:
        beside.mkdir()
        for name, content in files.items():
            file = beside / name
            file.parent.mkdir(exist_ok=True)
            _write_synced(file, content)
        for folder in {(beside / name).parent for name in files} | {beside}:
            sync_folder(folder)
        # A folder that is not empty is not replaced.
        beside.rename(path)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise FileExistsError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder; a folder disappears as a whole, even if files remain on disk."""
    beside = path.with_name(f"{UNFINISHED}{token_hex(8)}")
    path.rename(beside)
    sync_folder(path.parent)
    if beside.is_dir() and not beside.is_symlink():
        shutil.rmtree(beside, ignore_errors=True)
    else:
        beside.unlink()


def tidy(folder: Path) -> None:
    """Remove unfinished files here; only while nothing else writes."""
    for left in folder.glob(f"{UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents durably, each with the owner of the one above.

    A command run by root must not leave folders that the service cannot write to.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        _give_to_owner_of(folder.parent, folder)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o644), "wb") as file:  # noqa: PTH123 - Path.open follows links
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _give_to_owner_of(path.parent, path)


def _give_to_owner_of(folder: Path, made: Path) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(made, owner.st_uid, owner.st_gid, follow_symlinks=False)

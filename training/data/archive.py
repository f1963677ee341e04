"""Unpacks a data set's zip file once, into a folder that is whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from training.errors import TrainingError, WrongInputError


def default_cache() -> Path:
    """Where unpacked data sets lie unless told otherwise: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "inspector" / "training"


def unpack(archive: Path, cache: Path, check: Callable[[Path], object]) -> Path:
    """The folder with the content of `archive`, below `cache`; unpacked at the first call.

    `check` looks at the fresh folder and raises where it is not the data set it should be. Only
    then it gets its name, which holds the file's SHA-256: a folder of that name is whole,
    whatever was interrupted, and another zip file gets another folder.
    """
    target = cache / f"{archive.stem}-{_digest(archive)[:16]}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{archive.stem}-", dir=cache))
    except OSError as error:
        raise TrainingError(f"{cache}: cannot unpack there ({error.strerror})") from error
    try:
        _extract(archive, fresh)
        check(fresh)
        _publish(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _publish(fresh: Path, target: Path) -> None:
    fresh.chmod(0o755)  # mkdtemp makes it ours alone
    try:
        fresh.rename(target)
    except OSError as error:
        if not target.is_dir():  # not: another process was faster, and did the same
            raise TrainingError(f"{target}: cannot be made ({error.strerror})") from error


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                if PurePosixPath(member.filename).is_absolute() or ".." in member.filename:
                    raise WrongInputError.found(
                        archive, f"member {member.filename!r}", "paths inside the archive"
                    )
                members.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WrongInputError.found(archive, f"is damaged ({error})", "a whole zip file") from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, or compressed in some new way
        raise WrongInputError.found(
            archive, f"cannot be unpacked ({error})", "a zip file without password"
        ) from error
    except OSError as error:
        raise TrainingError(f"{folder}: cannot unpack ({error.strerror or error})") from error


def _digest(archive: Path) -> str:
    try:
        with archive.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WrongInputError.found(archive, f"cannot be read ({reason})", "a zip file") from error

"""Where the files are that a description names: also one written on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from training.data.notes import Notes, Taken

_FOLDERS_ALONE = 1
_FILES_ALONE = 2
_SAYS_NOTHING = frozenset({"images", "imgs", "labels"})


def located(written: str, bases: Sequence[Path], notes: Notes, *, where: Path | str) -> Path | None:
    """The file or folder that `written` names, tried below each of `bases`; None: not there.

    As it is written, with either kind of slash; or by its end, since descriptions keep the paths of
    the machine that they were made on. An end that could be any folder's is none.
    """
    plain = written.strip().replace("\\", "/")
    for base in bases:
        if (base / plain).exists():
            return base / plain
    parts = [p for p in PurePosixPath(plain).parts if p not in {"/", "..", "."} and ":" not in p]
    is_file = bool(PurePosixPath(plain).suffix)
    for first in range(len(parts)):
        end = parts[first:]
        is_written = first == 0 and not plain.startswith("/") and ":" not in plain
        enough = _FILES_ALONE if is_file else _FOLDERS_ALONE
        if not is_written and (len(end) < enough or (end[0] in _SAYS_NOTHING and len(end) == 1)):
            continue
        for base in bases:
            path = base.joinpath(*end)
            if path.exists():
                # Some exports count from a folder above the one they lie in: ../train/images.
                if not is_written:
                    notes.take(Taken.ELSEWHERE, f"{where}: {written.strip()}")
                return path
    return None

"""Reads the sets of known parts of a station from the place in its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inspector.challenge.sets import KnownSet, read_set, rivals
from inspector.core.errors import ConfigurationError
from inspector.core.records import CameraId
from inspector.products.catalogue import Catalogue
from inspector.settings.settings import Settings
from inspector.settings.toml_files import LARGEST_FILE_BYTES

ENDING = ".toml"


def read_sets(
    settings: Settings, catalogue: Catalogue, *, camera: CameraId | None = None
) -> tuple[KnownSet, ...]:
    """Every set of the station. Synchronous file I/O.

    `camera`, that of a recording, sees all of them, whatever the sets name.

    Raises:
        ConfigurationError: with a line for every mistake.

    """
    folder = settings.challenge_directory
    files = _files(folder, is_named=settings.challenge.directory is not None)
    if not files:
        return ()
    names = catalogue.store.names()
    codes = set(settings.inspection.codes)
    for name in names:
        codes |= set(catalogue.product(name)[0].inspection.codes)
    sets: list[KnownSet] = []
    problems: list[str] = []
    for file in files:
        try:
            known = read_set(
                _content(file),
                name=file.stem,
                origin=str(file),
                cameras=list(settings.cameras),
                codes=codes,
                is_at=camera,
            )
        except ConfigurationError as error:
            problems += error.problems
        else:
            sets.append(known)
            problems += _missing_of(known, file, names)
    problems += rivals(sets, names)
    if problems:
        raise ConfigurationError(*problems)
    return tuple(sets)


def _missing_of(known: KnownSet, file: Path, products: Sequence[str]) -> list[str]:
    """Things that a set names and that do not exist: products, and pictures in its folder."""
    folder = file.parent / known.name
    return [
        f"{file}: products: found {name!r}; expected one of: {', '.join(products)}"
        for name in known.said.products
        if name not in products
    ] + [
        f"{file}: pictures: there is no file {folder / picture.file}"
        for picture in known.said.pictures
        if not (folder / picture.file).is_file()
    ]


def _files(folder: Path, *, is_named: bool) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ENDING and path.is_file())
    except FileNotFoundError:
        if is_named:
            raise ConfigurationError(
                f"challenge.directory: {folder} is not there; expected a folder with sets"
            ) from None
        return []
    except NotADirectoryError as error:
        if not is_named:
            return []  # no folder can be made there: the journal reports that
        raise ConfigurationError(
            f"challenge.directory: {folder} cannot be read: {error.strerror}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"challenge.directory: {folder} cannot be read: {error.strerror}"
        ) from None


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None

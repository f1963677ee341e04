"""Reads the metadata of a model's ONNX files, if the files can be read.

Only the ends of a file are read, never its weights: a model of some hundred megabytes takes as long
as a small one. A file that cannot be read in this way gives nothing here; loading it shows what is
wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from inspector.core.errors import ConfigurationError
from inspector.inference.model_files import files_of

_METADATA_FIELD = 14
"""`metadata_props` of a ModelProto, each entry with key and value; onnx.proto3."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_ENTRY_BYTES = 1_000_000
_MOST_ENTRIES = 1000

FileNotes = Mapping[str, Mapping[str, str]]
"""Keys and values of the metadata, by the name of the model or of a step of it."""


def notes_in_files(repository: Path | None, model: str, version: str = "") -> FileNotes:
    """The metadata of a model and of its ensemble's steps. Reads files: not on the event loop.

    None: the server's files are on another machine.
    """
    if repository is None:
        return {}
    found: dict[str, Mapping[str, str]] = {}
    try:
        for name, path in files_of(repository, model, version):
            if path.suffix == ".onnx" and (metadata := metadata_of(path)):
                found[name.partition("/")[0]] = metadata
    except (ConfigurationError, OSError):
        return {}
    return found


def metadata_of(path: Path) -> Mapping[str, str]:
    """The metadata of one ONNX file; empty if there is none, or if it is no such file."""
    try:
        with path.open("rb") as file:
            return dict(_entries(file))
    except (OSError, ValueError):
        return {}


def _entries(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Walk over the file's outermost fields; others are skipped unread."""
    entries = 0
    while (key := _varint(file, at_end=-1)) >= 0:
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            _varint(file)
        elif wire == _EIGHT_BYTES:
            file.seek(8, 1)
        elif wire == _FOUR_BYTES:
            file.seek(4, 1)
        elif wire == _LENGTH:
            length = _varint(file)
            if field != _METADATA_FIELD or length > _LONGEST_ENTRY_BYTES:
                file.seek(length, 1)
                continue
            entries += 1
            if entries > _MOST_ENTRIES:
                return
            yield _entry(_whole(file, length))
        else:
            raise ValueError(f"wire type {wire}")


def _entry(content: bytes) -> tuple[str, str]:
    """Key and value."""
    texts = {1: "", 2: ""}
    inside = BytesIO(content)
    while (key := _varint(inside, at_end=-1)) >= 0:
        if key & 7 != _LENGTH:
            raise ValueError("no text")
        texts[key >> 3] = _whole(inside, _varint(inside)).decode("utf-8", "replace")
    return texts[1], texts[2]


def _whole(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise ValueError("the file ends within a field")
    return content


def _varint(file: BinaryIO, at_end: int | None = None) -> int:
    number = shift = 0
    while True:
        byte = file.read(1)
        if not byte:
            if at_end is None or shift:
                raise ValueError("the file ends within a field")
            return at_end
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:  # noqa: PLR2004 - the last byte of it
            return number
        shift += 7
        if shift > 63:  # noqa: PLR2004 - bits of the largest number
            raise ValueError("no number")

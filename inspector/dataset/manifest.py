"""The manifest of a data set: every picture that is or ever was in it, by its hash.

The manifest defines the data set; labels in the format of a trainer are derived from it. So a later
export can extend a set whose units are no longer in the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.core.errors import ConfigurationError
from inspector.dataset.labels import Label, LeftOut, Size
from inspector.dataset.parts import PARTS, Part, part_of

FILE_NAME = "manifest.json"
SCHEMA = "inspector.dataset/1"
NAME_DIGITS = 20
"""How many characters of a picture's hash name it: two of a million pictures share them with a
probability of 10^-12."""

FormatName = Literal["yolo", "coco"]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredLabel(_Stored):
    """As `labels.Label`."""

    code: str
    bbox_px: tuple[float, float, float, float]
    polygon_px: tuple[tuple[float, float], ...] | None = None

    @classmethod
    def of(cls, label: Label) -> StoredLabel:
        """The same."""
        return cls(code=label.code, bbox_px=label.bbox_px, polygon_px=label.polygon_px)


class Picture(_Stored):
    """One picture and its labels."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    part: Part
    size: Size
    labels: tuple[StoredLabel, ...]
    is_reviewed: bool
    """Whether people said so; otherwise it is the station's claim."""
    left_out: LeftOut | None = None
    """Why it was removed again; it stays in its part."""
    station: str
    camera: str
    product: str | None
    unit_id: str
    unit_event_id: str
    result: str
    time: str

    @property
    def name(self) -> str:
        """The name of its files, without folder and suffix."""
        return self.sha256[:NAME_DIGITS]

    @property
    def picture_path(self) -> str:
        """Its path within the data set."""
        return f"images/{self.part}/{self.name}.jpg"


class Export(_Stored):
    """One run of the command, as recorded in the manifest."""

    at: str
    since: str
    until: str
    product: str | None
    include: tuple[str, ...]
    added: int
    left_out: dict[LeftOut, tuple[str, ...]]
    """The names of the units, by reason."""


class Manifest(_Stored):
    """The whole manifest of a data set."""

    schema_: str = Field(SCHEMA, alias="schema")
    format: FormatName
    codes: tuple[str, ...]
    """The classes, in the order of their numbers; new ones are added at the end."""
    pictures: tuple[Picture, ...] = ()
    exports: tuple[Export, ...] = ()


@dataclass(slots=True)
class DataSet:
    """A data set while it is extended."""

    format: FormatName
    codes: list[str]
    pictures: dict[str, Picture] = field(default_factory=dict)
    """Pictures by their hashes."""
    exports: list[Export] = field(default_factory=list)

    @classmethod
    def opened(cls, folder: Path, format_name: FormatName, codes: Iterable[str]) -> DataSet:
        """Read the one in a folder, or make a new one; missing codes are added.

        Raises:
            ConfigurationError: something else is in the folder, or a set of another format.

        """
        path = folder / FILE_NAME
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            _require_empty(folder)
            return cls(format_name, list(dict.fromkeys(codes)))
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from error
        stored = _parsed(path, content)
        if stored.format != format_name:
            raise ConfigurationError(
                f"{folder} holds a data set in the format {stored.format}; "
                f"expected --format {stored.format}, or another folder"
            )
        pictures = {picture.sha256: picture for picture in stored.pictures}
        known = list(dict.fromkeys((*stored.codes, *codes)))
        return cls(format_name, known, pictures, list(stored.exports))

    def add_codes(self, codes: Iterable[str]) -> None:
        """Add classes that labels need; existing ones keep their numbers."""
        self.codes = list(dict.fromkeys((*self.codes, *codes)))

    @property
    def inside(self) -> list[Picture]:
        """The pictures that were not removed, in an order that does not depend on exports."""
        found = (picture for picture in self.pictures.values() if picture.left_out is None)
        return sorted(found, key=lambda picture: picture.sha256)

    def counts(self) -> Counter[Part]:
        """Pictures by part."""
        counted: Counter[Part] = Counter(dict.fromkeys(PARTS, 0))
        counted.update(picture.part for picture in self.inside)
        return counted

    def units_in_both(self) -> Sequence[str]:
        """Names of units that have pictures in both parts: seen twice, they look alike."""
        parts: dict[str, set[Part]] = {}
        for picture in self.inside:
            parts.setdefault(picture.unit_id, set()).add(picture.part)
        return sorted(unit for unit, of_unit in parts.items() if len(of_unit) > 1)

    def content(self) -> bytes:
        """The manifest's file."""
        manifest = Manifest(
            schema=SCHEMA,
            format=self.format,
            codes=tuple(self.codes),
            pictures=tuple(sorted(self.pictures.values(), key=lambda picture: picture.sha256)),
            exports=tuple(self.exports),
        )
        document: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True)
        return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _require_empty(folder: Path) -> None:
    try:
        others = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{folder} is no folder ({error.strerror})") from error
    # From an interrupted export: it is made again, under the same names.
    if foreign := set(others) - {"images", "labels", "annotations", "data.yaml"}:
        raise ConfigurationError(
            f"{folder} holds {min(foreign)}; expected an empty folder, or a data set of before"
        )


def _parsed(path: Path, content: bytes) -> Manifest:
    try:
        found = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {where}: {first['msg']}") from error
    if found.schema_ != SCHEMA:
        raise ConfigurationError(f"{path}: schema is {found.schema_}; expected {SCHEMA}")
    for picture in found.pictures:
        if picture.part != part_of(picture.sha256):
            raise ConfigurationError(
                f"{path}: {picture.sha256} is in {picture.part}; its hash says "
                f"{part_of(picture.sha256)}: somebody edited the file"
            )
    return found

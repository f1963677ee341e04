"""Sets of known parts and pictures: TOML files, read or refused with line numbers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import to_json

from inspector.core.basics import CameraId
from inspector.core.errors import ConfigurationError
from inspector.core.part_names import shown
from inspector.settings.product_sections import ProductName
from inspector.settings.toml_files import Where, read_toml
from inspector.settings.types import Section

MOST_PARTS = 64
_LONGEST_NAME = 64

Side = Annotated[float, Field(gt=0, le=100_000)]
Corner = Annotated[float, Field(ge=0, le=100_000)]
Named = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]


class KnownDefect(Section):
    """A defect that a bad part is known to have."""

    code: Annotated[str, Field(min_length=1)]
    bbox_px: tuple[Corner, Corner, Side, Side] | None = None
    """Its place: x, y, width and height in the pixels of the unit's evidence picture, as in events;
    None: anywhere."""


class Known(Section):
    """What is known about a part or a picture."""

    result: Literal["PASSED", "FAILED"]
    defects: Annotated[tuple[KnownDefect, ...], Field(max_length=20)] = ()
    """Defects that must be found."""
    no_others: bool = False
    """Whether any other defect is a mistake."""


class KnownPart(Known):
    """A known part that is kept beside the line."""

    name: Named
    serial: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)] | None = None
    """Its serial by code or trigger; None: it is identified by its position in the sequence."""


class KnownPicture(Known):
    """A picture of a part, as the station's evidence shows it."""

    file: Named
    """The name of a file in the folder of the same name beside the set's file."""

    @field_validator("file")
    @classmethod
    def _is_in_the_folder(cls, file: str) -> str:
        if "/" in file or "\\" in file or file.startswith(".") or not file.isprintable():
            msg = "expected the name of a file, without a folder"
            raise ValueError(msg)
        return file


class SetFile(Section):
    """What the file of a set says."""

    products: tuple[ProductName, ...] = ()
    """The products it is for; empty: every product."""
    camera: str | None = None
    """The camera that sees the parts; None: the station's only one."""
    order: Literal["given", "any"] = "given"
    """Whether the parts come in the listed order; with serials, any order is possible."""
    tolerance_px: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    """How far the centre of a defect may lie outside its known place."""
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    """How often a part that was not seen as expected may be shown again."""
    parts: Annotated[tuple[KnownPart, ...], Field(max_length=MOST_PARTS)] = ()
    pictures: Annotated[tuple[KnownPicture, ...], Field(max_length=MOST_PARTS)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """A set that was read and fits the station."""

    name: str
    said: SetFile
    camera: CameraId
    sha256: str
    """Hash of its file."""

    @property
    def parts(self) -> tuple[KnownPart, ...]:
        """In the order in which they are shown."""
        return self.said.parts

    def is_for(self, product: str) -> bool:
        """Whether its parts are of this product."""
        return not self.said.products or product in self.said.products

    def part_of_serial(self, serial: str) -> int | None:
        """The index of its part with this serial, from 0."""
        return next((n for n, part in enumerate(self.parts) if part.serial == serial), None)


def read_set(
    content: bytes,
    *,
    name: str,
    origin: str,
    cameras: Sequence[str],
    codes: Collection[str],
    is_at: CameraId | None = None,
) -> KnownSet:
    """The set in a file with this content; `codes` are those of all products.

    `is_at` is the camera that sees it, whatever the file says.

    Raises:
        ConfigurationError: with one line per mistake: file, line, key, found and expected.

    """
    written, raw = read_toml(content, origin)
    try:
        said = SetFile.model_validate_json(to_json(raw, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        raise ConfigurationError(
            *written.in_order(list(written.problems(error, SetFile)))
        ) from None
    found = [written.problem(where, told) for where, told in _strange(said, cameras, codes, is_at)]
    if found:
        raise ConfigurationError(*written.in_order(found))
    camera = is_at or said.camera or cameras[0]
    return KnownSet(
        name=name,
        said=said,
        camera=CameraId(camera),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def rivals(sets: Iterable[KnownSet], products: Collection[str]) -> list[str]:
    """A line for each pair of sets for the same product at the same camera."""
    return [
        f"challenges: the sets {shown(one.name)} and {shown(other.name)} both have {kind} of "
        f"product {shown(product)} at camera {one.camera}; expected one"
        for one, other in combinations(sets, 2)
        for kind in ("parts", "pictures")
        if one.camera == other.camera and _have(kind, one, other)
        for product in [p for p in products if one.is_for(p) and other.is_for(p)][:1]
    ]


def _have(kind: str, *sets: KnownSet) -> bool:
    return all(getattr(one.said, kind) for one in sets)


def _strange(
    said: SetFile, cameras: Sequence[str], codes: Collection[str], is_at: CameraId | None
) -> Iterator[tuple[Where, str]]:
    if is_at is not None:
        pass
    elif said.camera is None and len(cameras) > 1:
        yield (), f"camera is missing; expected one of: {', '.join(cameras)}"
    elif said.camera is not None and said.camera not in cameras:
        yield ("camera",), f"found {shown(said.camera)}; expected one of: {', '.join(cameras)}"
    if not said.parts and not said.pictures:
        yield (), "it has neither parts nor pictures; expected [[parts]] or [[pictures]]"
    if said.order == "any" and not all(part.serial for part in said.parts):
        yield ("order",), 'found "any"; expected a serial for every part then'
    named: Mapping[str, Sequence[Known]] = {"parts": said.parts, "pictures": said.pictures}
    for kind, listed in named.items():
        if listed and all(known.result == "PASSED" for known in listed):
            told = "all are good; expected one at least that FAILED: good ones alone show little"
            yield (kind,), told
        for number, known in enumerate(listed):
            yield from _strange_known(known, (kind, number), codes)
    yield from _twice("name", [part.name for part in said.parts])
    yield from _twice("serial", [part.serial for part in said.parts])


def _strange_known(
    known: Known, where: Where, codes: Collection[str]
) -> Iterator[tuple[Where, str]]:
    if known.result == "PASSED" and known.defects:
        yield (*where, "defects"), "a part that PASSED has no defects; expected none"
    for number, defect in enumerate(known.defects):
        if defect.code not in codes:
            told = f"found {shown(defect.code)}; expected one of: {', '.join(sorted(codes))}"
            yield (*where, "defects", number, "code"), told


def _twice(key: str, values: Sequence[str | None]) -> Iterator[tuple[Where, str]]:
    for number, value in enumerate(values):
        if value is not None and value in values[:number]:
            yield ("parts", number, key), f"found {shown(value)} twice; expected it once"

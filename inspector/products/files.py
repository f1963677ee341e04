"""A product's file: its keys, and their effect on the station's settings. Pure.

A file contains what is different for its product; each key replaces the settings' key of the same
name, a table as a whole. So an empty file means the station as it is set up.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import to_json

from inspector.core.errors import ConfigurationError
from inspector.core.part_names import shown
from inspector.core.recipes import (
    ANOMALY,
    LEAST_LIKENESS,
    PART_CODES,
    Differences,
    HeadName,
    Judge,
    ModelName,
)
from inspector.settings.product_sections import ProductName
from inspector.settings.renamed import OldName, rename
from inspector.settings.sections import (
    STATED_KEYS,
    CameraSettings,
    Deviations,
    FurtherModel,
    InferenceSettings,
    InspectionSettings,
    Levels,
)
from inspector.settings.toml_files import Where, Written, read_toml
from inspector.settings.types import DIGITS, Identifier, Section, Share
from inspector.settings.unit_sections import CropSetting

_POLYGON_CORNERS = 3
_MOST_CORNERS = 100
_MOST_ZONES = 100
_MOST_PARTS = 200
_LONGEST_LABEL = 32
_KEYS_OF_CAMERA = ("region", "crop", "frames_per_unit")
"""A product's keys for a camera, and the settings' names of them."""

Polygon = Annotated[
    tuple[tuple[float, float], ...], Field(min_length=_POLYGON_CORNERS, max_length=_MOST_CORNERS)
]
Middle = Annotated[list[float], Field(min_length=2, max_length=2)]
"""x and y."""
_Section = TypeVar("_Section", InspectionSettings, InferenceSettings, CameraSettings)


class ModelPart(Section):
    """Which models of the server inspect it."""

    name: Annotated[str, Field(min_length=1)] | None = None
    version: Annotated[str, Field(pattern=DIGITS)] | None = None
    also: Annotated[tuple[FurtherModel, ...], Field(max_length=7)] | None = None
    """Further models, each of which sees every chosen frame too."""
    golden: str | None = None
    """The model that compares units with the product's reference; empty: none."""
    golden_version: Annotated[str, Field(pattern=DIGITS)] | None = None
    input: str | None = None
    """This and the following keys are about `name`, as those of `[inference]` are about the
    station's."""
    colour: Literal["auto", "bgr", "rgb"] | None = None
    pixel_range: Literal["auto", "0..1", "0..255"] | None = None
    mean: Levels | None = None
    deviation: Deviations | None = None
    padding: Annotated[int, Field(ge=0, le=255)] | None = None
    head: HeadName | None = None
    good: Annotated[tuple[str, ...], Field(max_length=1000)] | None = None
    enlarge: bool | None = None
    stretch: bool | None = None


class InspectionPart(Section):
    """What counts as a defect, and what is done with it."""

    codes: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] | None = None
    codes_of: dict[str, Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]] | None = (
        None
    )
    """The codes of a further model's classes, by its name."""
    threshold: Share | None = None
    thresholds: dict[str, Share] | None = None
    min_frames_seen: Annotated[int, Field(ge=0, le=16)] | None = None
    min_size_px: Annotated[float, Field(ge=0, le=10_000)] | None = None
    severities: dict[str, Identifier] = Field(default_factory=dict)
    """Severity by code, in the plant's own words."""
    dispositions: dict[str, Identifier] = Field(default_factory=dict)
    """What is to be done with such a unit, by code."""


class CameraPart(Section):
    """How one camera inspects it."""

    region: tuple[int, int, int, int] | None = None
    crop: CropSetting | None = None
    frames_per_unit: Annotated[int, Field(ge=0, le=16)] | None = None
    serial_pattern: str | None = None
    """The pattern of the whole serial of a unit."""

    @field_validator("serial_pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            msg = f"expected a regular expression ({error})"
            raise ValueError(msg) from None
        return pattern


class ZonePart(Section):
    """A part of the unit that is judged by rules of its own."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    polygon: Polygon
    """Its corners in order, x and y in the pixels of the unit's picture."""
    ignore: bool = False
    thresholds: dict[str, Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.ignore == bool(self.thresholds):
            msg = "expected either ignore = true or thresholds of its own"
            raise ValueError(msg)
        return self

    @field_validator("polygon")
    @classmethod
    def _encloses_something(cls, corners: Polygon) -> Polygon:
        ring = [*corners, corners[0]]
        doubled = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))
        if abs(doubled) < 2:  # noqa: PLR2004 - one pixel
            msg = "expected corners that enclose at least one pixel"
            raise ValueError(msg)
        return corners


class ExpectedParts(Section):
    """The parts of one kind that every good unit has: how many, or where."""

    count: Annotated[int, Field(ge=0, le=_MOST_PARTS)] | None = None
    places: Annotated[list[Middle], Field(max_length=_MOST_PARTS)] = Field(default_factory=list)
    """The middle of each, x and y in the pixels of the unit's picture."""
    tolerance_px: Annotated[float, Field(gt=0, le=10_000)] = 12.0
    """How far from its place one may lie."""

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, said: object) -> object:
        return {"count": said} if isinstance(said, int) else said

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if (self.count is None) == (not self.places):
            msg = "expected either a number of parts or their places"
            raise ValueError(msg)
        return self


class ReferencePart(Section):
    """The reference it is compared with."""

    use: bool = True
    """False: none, even if one is approved."""
    version: Annotated[int, Field(ge=1)] | None = None
    """None: the one that was approved last."""
    judge: Judge = "reference"
    """What decides: the comparison with it, the picture alone, or both."""
    differences: Differences = "defects"
    """What happens with a place where a unit differs from the reference, pixel by pixel, and the
    comparison claims no defect: it is shown to the model once more, enlarged ("shown"), and if it
    still claims none, a large one is a defect, "anomaly" ("defects"); or nothing ("ignored")."""
    likeness: Share = LEAST_LIKENESS
    """A unit that is less like it does not fit: it is another product, or in a wrong position."""
    anomaly: bool | None = None
    """Whether the model that was taught with it looks too; None: where the station's server gets it
    by itself."""
    threshold: Share = 0.55
    """If the comparison alone judges: its threshold for codes without one in the file. It is more
    reliable than a picture alone: on three product runs it found 47 of 48 defects from 0.55 on and
    44 from 0.7 on, without a false one on a good board."""


class ProductFile(Section):
    """The content of a product's file."""

    name: ProductName | None = None
    """None: the name of the file."""
    revision: Annotated[str, Field(min_length=1, max_length=_LONGEST_LABEL)] | None = None
    """The plant's own name for it, such as the drawing's; None: the station counts."""
    model: ModelPart = ModelPart()
    inspection: InspectionPart = InspectionPart()
    cameras: dict[str, CameraPart] = Field(default_factory=dict)
    expect: dict[str, ExpectedParts] = Field(default_factory=dict)
    """By code of the model's class: how many such parts every good unit has, or where."""
    zones: Annotated[tuple[ZonePart, ...], Field(max_length=_MOST_ZONES)] = ()
    reference: ReferencePart = ReferencePart()

    @field_validator("revision")
    @classmethod
    def _revision_is_printable(cls, revision: str | None) -> str | None:
        if revision is not None and (not revision.isprintable() or revision != revision.strip()):
            msg = "expected printable characters without blanks around them"
            raise ValueError(msg)
        return revision


@dataclass(frozen=True, slots=True, kw_only=True)
class StationTerms:
    """The station's settings, as base and check of a product's file."""

    inspection: InspectionSettings
    inference: InferenceSettings
    cameras: Mapping[str, CameraSettings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product as the station inspects it: its file over the settings."""

    name: str
    said: ProductFile
    content_sha256: str
    """Hash of the file."""
    old_names: tuple[OldName, ...] = ()
    """Keys that a person should rename in the file."""
    inspection: InspectionSettings
    inference: InferenceSettings
    cameras: Mapping[str, CameraSettings]

    @property
    def model(self) -> ModelName:
        """The model that searches a unit's pictures for defects."""
        inference = self.inference
        return ModelName(name=inference.model, version=inference.version, stated=inference.stated)

    @property
    def golden(self) -> ModelName | None:
        """The model that compares a unit with the reference, if there is one; None: none."""
        name, version = self.inference.golden, self.inference.golden_version
        return ModelName(name=name, version=version) if name else None

    @property
    def also(self) -> tuple[ModelName, ...]:
        """The further models that each chosen frame is shown to."""
        return self.inference.also_models

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the model's classes, then those that only further models find."""
        return self.inspection.codes_with(model.name for model in self.also)

    @property
    def serial_pattern(self) -> str:
        """The pattern of its whole serials, at any camera; empty: unknown."""
        said = (part.serial_pattern for part in self.said.cameras.values())
        patterns = list(dict.fromkeys(filter(None, said)))
        return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{p})" for p in patterns)

    def largest_unit_px(self) -> tuple[float, float]:
        """Width and height that no unit's picture exceeds at any camera."""
        sizes = [_largest_unit_px(camera) for camera in self.cameras.values()]
        return max(w for w, _ in sizes), max(h for _, h in sizes)


def read_product(content: bytes, *, name: str, origin: str, station: StationTerms) -> Product:
    """The product `name` by a file of this content; `origin` is the file's name in errors.

    Raises:
        ConfigurationError: with one line per mistake: file and line, key, what was found and what
            was expected.

    """
    written, raw = read_toml(content, origin)
    old_names = tuple(written.old_name(key) for key in rename(raw))
    try:
        # As JSON, because strict pydantic accepts lists and sections only there.
        said = ProductFile.model_validate_json(to_json(raw, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        problems = list(written.problems(error, ProductFile))
        raise ConfigurationError(*written.in_order(problems)) from None
    problems = [written.problem(where, told) for where, told in _strange(said, name, station)]
    over = _Over(written, problems)
    product = Product(
        name=name,
        said=said,
        old_names=old_names,
        content_sha256=hashlib.sha256(content).hexdigest(),
        inspection=over.inspection(said.inspection, station.inspection, _codes_of(said, station)),
        inference=over.inference(said.model, station.inference),
        cameras={
            camera_id: over.camera(camera_id, said.cameras.get(camera_id), camera)
            for camera_id, camera in station.cameras.items()
        },
    )
    problems += [written.problem(where, told) for where, told in _contradictions(product)]
    if problems:
        raise ConfigurationError(*written.in_order(problems))
    return product


def _strange(said: ProductFile, name: str, station: StationTerms) -> Iterator[tuple[Where, str]]:
    """The mistakes of a file in names, cameras and codes."""
    if said.name is not None and said.name != name:
        told = f"found {shown(said.name)}; expected {shown(name)}, as the file is called"
        yield ("name",), told
    for camera_id, part in said.cameras.items():
        camera = station.cameras.get(camera_id)
        if camera is None:
            told = f"unknown camera; expected one of: {', '.join(station.cameras)}"
            yield ("cameras", camera_id), told
        elif part.serial_pattern is not None and camera.serial is None:
            section = f"[cameras.{camera_id}.serial]"
            told = f"no serial is read there; expected a section {section} in the settings"
            yield ("cameras", camera_id, "serial_pattern"), told
    yield from _strange_codes(said, _codes_of(said, station))
    names = [zone.name for zone in said.zones]
    for number, zone_name in enumerate(names):
        if zone_name in names[:number]:
            yield ("zones", number, "name"), f"found {shown(zone_name)} twice; expected it once"


def _strange_codes(said: ProductFile, codes: Sequence[str]) -> Iterator[tuple[Where, str]]:
    # Of a part it is never unsure whether it is missing: that has a severity, and no threshold.
    about_parts = [code for code in PART_CODES if said.expect and code not in codes]
    for where, table, more in _tables_by_code(said):
        known = [*codes, *(about_parts if more else [])]
        for code in table:
            if code not in known:
                yield (*where, code), f"unknown code; expected one of: {', '.join(known)}"


def _codes_of(said: ProductFile, station: StationTerms) -> tuple[str, ...]:
    """The codes that its models may find: those of the model and of further ones."""
    part, of_station = said.inspection, station.inspection
    changed = {
        "codes": part.codes or of_station.codes,
        "codes_of": of_station.codes_of if part.codes_of is None else part.codes_of,
    }
    inspection = of_station.model_copy(update=changed)
    also = station.inference.also if said.model.also is None else said.model.also
    codes = inspection.codes_with(told.partition("/")[0] for told in also)
    compares = bool(said.model.golden or station.inference.golden)
    return tuple(dict.fromkeys((*codes, ANOMALY))) if compares else codes


def _tables_by_code(said: ProductFile) -> Iterator[tuple[Where, Mapping[str, object], bool]]:
    """Where, the table, and whether it may name what is wrong with parts, too."""
    yield ("inspection", "thresholds"), said.inspection.thresholds or {}, False
    yield ("inspection", "severities"), said.inspection.severities, True
    yield ("inspection", "dispositions"), said.inspection.dispositions, True
    yield ("expect",), said.expect, False
    for number, zone in enumerate(said.zones):
        yield ("zones", number, "thresholds"), zone.thresholds, False


@dataclass(frozen=True, slots=True)
class _Over:
    """Lays a file over the settings; mistakes are added to `problems`."""

    written: Written
    problems: list[str]

    def inspection(
        self, part: InspectionPart, station: InspectionSettings, codes: Sequence[str]
    ) -> InspectionSettings:
        """`codes`: all that its models may find."""
        keys = ("codes", "codes_of", "threshold", "thresholds", "min_frames_seen", "min_size_px")
        changed = {key: value for key in keys if (value := getattr(part, key)) is not None}
        table = station.thresholds if part.thresholds is None else part.thresholds
        # The station's are for its own codes, and an unknown one of the file is reported already.
        changed["thresholds"] = {code: table[code] for code in codes if code in table}
        return self._laid(station, changed, ("inspection",))

    def camera(
        self, camera_id: str, part: CameraPart | None, station: CameraSettings
    ) -> CameraSettings:
        said = part.model_dump(exclude_none=True) if part else {}
        changed = {key: said[key] for key in _KEYS_OF_CAMERA if key in said}
        return self._laid(station, changed, ("cameras", camera_id))

    def inference(self, part: ModelPart, station: InferenceSettings) -> InferenceSettings:
        changed = _models_said(part, station)
        if self._laid(station, changed, ("model",)) is station:
            return station
        # Not a new section: which keys the settings contain matters too.
        return station.model_copy(update=changed)

    def _laid(self, section: _Section, changed: Mapping[str, Any], above: Where) -> _Section:
        kind = type(section)
        try:
            return kind(**{**dict(section), **changed})
        except ValidationError as error:
            self.problems.extend(self.written.problems(error, kind, above))
            return section


def _models_said(part: ModelPart, station: InferenceSettings) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if part.name is not None:
        # The version that the settings ask for is one of the settings' model.
        changed |= {"model": part.name, "version": ""}
        # Statements of the settings about the station's model do not apply to another one.
        if part.name != station.model:
            nothing = InferenceSettings()
            changed |= {key: getattr(nothing, key) for key in STATED_KEYS}
    if part.version is not None:
        changed["version"] = part.version
    said = {key: getattr(part, key) for key in STATED_KEYS}
    changed |= {key: value for key, value in said.items() if value is not None}
    if part.golden is not None:
        changed |= {"golden": part.golden, "golden_version": ""}
    if part.golden_version is not None:
        changed["golden_version"] = part.golden_version
    if part.also is not None:
        changed["also"] = part.also
    return changed


def _contradictions(product: Product) -> Iterator[tuple[Where, str]]:
    """Mistakes that show only once the file is laid over the settings."""
    wanted = product.inspection.min_frames_seen
    for camera_id, camera in product.cameras.items():
        if wanted > camera.frames_of_unit:
            most = f"the {camera.frames_of_unit} frames that camera {camera_id} inspects of a unit"
            yield ("inspection", "min_frames_seen"), f"found {wanted}; expected at most {most}"
    width_px, height_px = product.largest_unit_px()
    for number, zone in enumerate(product.said.zones):
        outside = corner_outside(zone.polygon, width_px, height_px)
        if outside is not None:
            inside = f"x from 0 to {width_px:g} and y from 0 to {height_px:g}"
            told = f"the corner {list(outside)} is outside the unit; expected {inside}"
            yield ("zones", number, "polygon"), told
    for name, parts in product.said.expect.items():
        if (outside := corner_outside(parts.places, width_px, height_px)) is not None:
            inside = f"x from 0 to {width_px:g} and y from 0 to {height_px:g}"
            told = f"the place {list(outside)} is outside the unit; expected {inside}"
            yield ("expect", name, "places"), told


def corner_outside(
    polygon: Iterable[Sequence[float]], width_px: float, height_px: float
) -> tuple[float, float] | None:
    """A corner that is not on a picture of this size; None if all are."""
    for x_px, y_px in polygon:
        if not (0 <= x_px <= width_px and 0 <= y_px <= height_px):
            return x_px, y_px
    return None


def _largest_unit_px(camera: CameraSettings) -> tuple[float, float]:
    """Width and height that no unit's picture exceeds.

    A turned unit is no longer than the picture's diagonal; a fixed part is known exactly.
    """
    width_px, height_px = camera.region[2:] if camera.region else camera.size
    if camera.cropped_to == "unit":
        longest = float((camera.size.width_px**2 + camera.size.height_px**2) ** 0.5)
        return longest, longest
    if camera.cropped_to == "tiles":  # in the pixels of the frame
        return camera.size.width_px, camera.size.height_px
    return width_px, height_px

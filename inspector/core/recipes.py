"""The basis of verdicts: the job under which a unit was opened, and the recipe of its product.

A recipe is made when something in it changes and is shared by every unit under it, so that nothing
is copied, and no unit sees half of a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inspector.core.basics import CameraId, Image, Rect
from inspector.core.optics import OpticsBaseline

SUPPORT_SHARE = 0.5
"""As a share of its class's threshold: from here on a detection supports those in other frames."""
DEFAULT_PRODUCT = "default"
"""The product that the settings describe; every station has it."""

Crop = Literal["region", "unit", "tiles", "unit_tiles"]
"""The part of a frame that is inspected: a fixed part in one piece; the unit, cut out and turned
upright, or that part if a frame has no outline; that part in overlapping tiles; the unit, or that
part, in overlapping tiles if it is much larger than the model's input."""

Judge = Literal["reference", "single", "both"]
"""How a product's units are judged: by the comparison with its reference; by the picture alone; by
both, each of which reports defects."""

ANOMALY = "anomaly"
"""The code of findings by a model that knows only good units."""
ANOMALY_THRESHOLD = 0.5
"""Such a model's scores are normalised so that this is its own border."""

Differences = Literal["defects", "shown", "ignored"]
"""The use of places where a unit differs from its reference, pixel by pixel: they are shown to the
model again, enlarged, and those left unexplained are defects; they are only shown; they are
ignored."""
DIFFERENCES = "reference"
"""The name in place of a model's where only the pixels show that something differs."""

LEAST_LIKENESS = 0.6
"""Right designs have 0.95 and more, bad boards too; others less than 0.2."""


HeadName = Literal[
    "auto",
    "transposed",
    "with_objectness",
    "candidates_first",
    "end_to_end",
    "rt_detr",
    "rt_detr_rows",
    "yolox",
    "yolo_nas",
    "d_fine",
    "detr",
    "rf_detr",
    "rf_detr_from_1",
    "labels",
    "labels_from_1",
    "oriented",
    "oriented_end_to_end",
    "classification",
    "classification_logits",
    "segmentation",
    "segmentation_logits",
]
HEADS: tuple[str, ...] = get_args(HeadName)
"""The meaning of a model's outputs whose shapes and names may fit several kinds."""
Triple = tuple[float, float, float]
"""A number for red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Facts about a model from the settings or a product's file; it gives the rest itself."""

    input: str | None = None
    """The input that takes the picture, if there are several."""
    colour: Literal["auto", "bgr", "rgb"] = "auto"
    pixel_range: Literal["auto", "0..1", "0..255"] = "auto"
    mean: Triple | None = None
    """Subtracted from each channel of a float input, in its range; in the order red, green,
    blue."""
    deviation: Triple | None = None
    """Each channel is then divided by it."""
    padding: int | None = None
    """The grey beside a picture that does not fill the input."""
    head: HeadName = "auto"
    """The meaning of its outputs."""
    good: tuple[str, ...] = ()
    """The classes that are not defects, if every picture or pixel has a class."""
    enlarge: bool = False
    """A picture smaller than the input is scaled up to it."""
    stretch: bool = False
    """A picture is stretched to the input's sides, whatever its proportions."""


NOTHING_STATED = Stated()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A model of the server, and how to use it."""

    name: str
    version: str = ""
    """The version; empty: the one that the server serves."""
    stated: Stated = NOTHING_STATED
    file_sha256: str = field(default="", compare=False)
    """The hash of the model's file; empty if the server's files cannot be read. The server is asked
    by name and version alone, so the hash does not make a different model."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FusingRules:
    """Decides when frames that agree make a defect."""

    thresholds: tuple[float, ...]
    """By class: the confidence from which on a defect is reported."""
    min_frames_seen: int = 0
    """0: more than half of the frames that were inspected."""
    min_size_px: float = 0.0
    """A defect's longer side is at least this."""
    least_alone: Mapping[str, float] = field(default_factory=dict)
    """By model: the confidence that its findings need, whatever their code's threshold, if no other
    model and no difference from the reference supports the place."""

    def frames_needed(self, *, inspected: int, expected: int) -> int:
        """How many frames must show a defect.

        Never more than a unit has: otherwise every unit would pass.
        """
        if self.min_frames_seen == 0:
            return inspected // 2 + 1
        return min(self.min_frames_seen, expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A part of the unit that is judged by rules of its own."""

    name: str
    polygon_px: tuple[tuple[float, float], ...]
    """Its corners in order, in the pixels of the unit's picture; at least 3."""
    ignore: bool = False
    """Findings here are not defects."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By code, replacing the product's; a code that is not named keeps the product's."""


MISSING, EXTRA, DISPLACED = "missing", "extra", "displaced"
PART_CODES = (MISSING, EXTRA, DISPLACED)
"""What is wrong with a part that a unit should have, or should not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPart:
    """A kind of part that every good unit has, found by a model: no defect, but the lack of it."""

    name: str
    """The code of its class."""
    count: int
    places_px: tuple[tuple[float, float], ...] = ()
    """The middle of each, in the pixels of the unit's picture; empty: they may lie anywhere."""
    tolerance_px: float = 0.0
    """How far from its place one may lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The look of a good unit of the product. Its arrays are shared and become read-only."""

    id: str
    """`<product>/<version>`."""
    sha256: str
    mean: Image
    """(height, width, 3) uint8, BGR: the robust mean of the units it was taught with."""
    deviation: NDArray[np.uint8]
    """(height, width) uint8, in grey levels: how much good units differ from each other there."""
    optics: OpticsBaseline | None = None
    """The optics of the pictures with which it was taught; None if they were not measured."""

    def __post_init__(self) -> None:
        if self.deviation.shape != self.mean.shape[:2]:
            msg = (
                f"the deviation of reference {self.id} is {self.deviation.shape}, "
                f"expected {self.mean.shape[:2]} as its mean"
            )
            raise ValueError(msg)
        self.mean.setflags(write=False)
        self.deviation.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cropping:
    """The part of one camera's frames that is inspected."""

    rect: Rect
    """The part of the picture that is inspected, in pixels of the frame."""
    crop: Crop = "region"
    tile_overlap_px: int = 0
    keeps_scale: bool = False
    """Nobody chose `crop`: where a model was trained at the pictures' own scale, a region or unit
    that would have to be shrunk is cut into tiles instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRecipe:
    """How one camera inspects the units of a product."""

    cropping: Cropping
    frames_of_unit: int = 1
    """The number of frames inspected of each unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything by which a product's units are judged."""

    product: str
    revision: str
    sha256: str
    """The hash of the product's file, and of everything else that decides, except the model and the
    reference."""
    codes: tuple[str, ...]
    """The codes of its defects: by class of the model, then those that only further models find."""
    rules: FusingRules
    model: ModelName
    cameras: Mapping[CameraId, CameraRecipe]
    """Every camera of the station is in it."""
    zones: tuple[Zone, ...] = ()
    severities: Mapping[str, str] = field(default_factory=dict)
    """By code; events carry it."""
    dispositions: Mapping[str, str] = field(default_factory=dict)
    """By code: the action for such a unit; events carry it."""
    golden: ModelName | None = None
    """The model that compares a unit with the reference, if there is one."""
    also: tuple[ModelName, ...] = ()
    """Further models: each gets every frame too, and reports defects."""
    codes_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By name of a model: the codes of its classes; a model that is not named has all `codes`."""
    reference: Reference | None = None
    taught: ModelName | None = None
    """The model that was taught from the good units of the reference."""
    judge: Judge = "reference"
    """Without a reference and a model that compares, the picture alone decides."""
    differences: Differences = "ignored"
    """The use of places that differ from the reference."""
    expected: tuple[ExpectedPart, ...] = ()
    """The parts that every good unit has."""
    least_likeness: float = LEAST_LIKENESS
    """A unit less like the reference than this is another product, or in a wrong position."""
    serial_pattern: str = ""
    """A regular expression that matches complete serials of this product; empty: not known."""

    @property
    def compared_with(self) -> Reference | None:
        """The reference with which each frame is compared; None if there is none."""
        return self.reference if self.golden and self.judge != "single" else None

    @property
    def placed_on(self) -> Reference | None:
        """The reference on which each frame is placed; None if no model needs that."""
        return self.reference if self.taught else self.compared_with

    @property
    def models(self) -> tuple[ModelName, ...]:
        """The models that each frame is shown to; the first is the one that its events name."""
        if self.golden is None or self.compared_with is None:
            return (self.model, *self.also)
        both = (self.golden, self.model) if self.judge == "both" else (self.golden,)
        return (*both, *self.also)

    @property
    def inspected_by(self) -> ModelName:
        """The model that its events name."""
        return self.models[0]

    def classes_of(self, model: ModelName) -> tuple[str, ...]:
        """The codes of a model's classes, in its order."""
        return self.codes_of.get(model.name, self.codes)

    def lowest_threshold(self, model: ModelName) -> float:
        """The lowest threshold of a model's codes, anywhere on the unit."""
        classes = self.classes_of(model)
        everywhere = dict(zip(self.codes, self.rules.thresholds, strict=True))
        in_zones = [
            t for zone in self.zones for code, t in zone.thresholds.items() if code in classes
        ]
        return min(*(everywhere[code] for code in classes), *in_zones, 1.0)

    def floor(self, camera: CameraId, model: ModelName | None = None) -> float:
        """The confidence below which a model's findings decide nothing, anywhere on the unit."""
        share = SUPPORT_SHARE if self.cameras[camera].frames_of_unit > 1 else 1.0
        return share * self.lowest_threshold(model or self.model)


class JobState(StrEnum):
    """The use of a job's units. A closed list."""

    INSPECTING = "inspecting"
    TEACHING = "teaching"
    """Their pictures make a reference."""
    CHANGING_OVER = "changing_over"
    """The product's model is being loaded and compared."""
    NO_PRODUCT = "no_product"
    """No known product was named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The line's present work: stamped on each unit as it is opened."""

    number: int
    """Counts the jobs of the station."""
    recipe: Recipe
    order: str | None = None
    lot: str | None = None
    context: str | None = None
    """The sender's own text, which events carry."""
    state: JobState = JobState.INSPECTING
    detail: str = ""
    """For people: why units are not inspected."""

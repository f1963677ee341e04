"""What a unit is judged by: the job it was opened under, and the recipe of that job's product.

A recipe is made when something in it changes and is shared by every unit under it, so that nobody
copies what decides, and nobody sees half of a change.
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
"""Of its class's threshold: from there on a detection supports what other frames see."""
DEFAULT_PRODUCT = "default"
"""The product that the settings describe; every station has it."""

Crop = Literal["region", "unit", "tiles", "unit_tiles"]
"""What of a frame is inspected: a fixed part of it in one piece; the unit, cut out and turned
upright, and that part where a frame has no outline; that part in overlapping tiles; the unit, or
that part, in overlapping tiles where it is much larger than the model's input."""

Judge = Literal["reference", "single", "both"]
"""What a product's units are judged by: the comparison with its reference; the picture alone; both,
where each says what is a defect."""

ANOMALY = "anomaly"
"""The code of what a model that knows only good units finds unlike them."""
ANOMALY_THRESHOLD = 0.5
"""Such a model's scores are made so that this is the border that it was given with its weights."""

Differences = Literal["defects", "shown", "ignored"]
"""What becomes of places where a unit is not as its reference, pixel by pixel: they are shown to
the model once more, enlarged, and what stays unexplained is a defect; they are shown; nothing."""
DIFFERENCES = "reference"
"""Stands for a model where the pixels alone say that something differs."""

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
"""What the outputs of a model mean whose shapes and names may fit several kinds."""
Triple = tuple[float, float, float]
"""A number for red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What settings or a product's file state of a model; the rest is the model's own word."""

    input: str | None = None
    """Of several inputs, the one that takes the picture."""
    colour: Literal["auto", "bgr", "rgb"] = "auto"
    pixel_range: Literal["auto", "0..1", "0..255"] = "auto"
    mean: Triple | None = None
    """Taken off each channel of a float input, in its range; in the order red, green, blue."""
    deviation: Triple | None = None
    """Each channel is divided by it then."""
    padding: int | None = None
    """The grey beside a picture that does not fill the input."""
    head: HeadName = "auto"
    """What its outputs mean."""
    good: tuple[str, ...] = ()
    """The classes that are no defect, where every picture or pixel is of some class."""
    enlarge: bool = False
    """A picture smaller than the input is scaled up to it."""
    stretch: bool = False
    """A picture is drawn to the input's sides, whatever its proportions."""


NOTHING_STATED = Stated()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """Which model of the server, and how it is meant."""

    name: str
    version: str = ""
    """Empty: the one that the server serves."""
    stated: Stated = NOTHING_STATED
    file_sha256: str = field(default="", compare=False)
    """Of the model's file; empty where the server's files cannot be read. The server is asked by
    name and version alone, so it makes no other model."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FusingRules:
    """When frames that agree make a defect."""

    thresholds: tuple[float, ...]
    """By class: the confidence from which on a defect is claimed."""
    min_frames_seen: int = 0
    """0: more than half of the frames that were inspected."""
    min_size_px: float = 0.0
    """A defect's longer side is at least this."""
    least_alone: Mapping[str, float] = field(default_factory=dict)
    """By model: the confidence that its claims need, whatever their code's threshold, where no
    other model and no pixels of the reference claim the place as well."""

    def frames_needed(self, *, inspected: int, expected: int) -> int:
        """How many frames must show a defect.

        Never more than a unit has: with more demanded than there are every unit would pass.
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
    """Nothing that is seen here is a defect."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By code, in place of the product's; a code that is not named keeps the product's."""


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
    """What a good unit of the product looks like. Its arrays are shared and become read-only."""

    id: str
    """`<product>/<version>`."""
    sha256: str
    mean: Image
    """(height, width, 3) uint8, BGR: the robust mean of the units it was taught with."""
    deviation: NDArray[np.uint8]
    """(height, width) uint8, in grey levels: how much good units differ from each other there."""
    optics: OpticsBaseline | None = None
    """What the pictures were like that it was taught with; None where nobody measured them."""

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
    """What of one camera's frames is inspected."""

    rect: Rect
    """The part of the picture that is inspected, in pixels of the frame."""
    crop: Crop = "region"
    tile_overlap_px: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRecipe:
    """How one camera inspects the units of a product."""

    cropping: Cropping
    frames_of_unit: int = 1
    """Frames inspected of each unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a product's units are judged by."""

    product: str
    revision: str
    sha256: str
    """Over the product's file, and whatever else of it decides but the model and the reference."""
    codes: tuple[str, ...]
    """What its defects are called: by class of the model, then what only further models find."""
    rules: FusingRules
    model: ModelName
    cameras: Mapping[CameraId, CameraRecipe]
    """Every camera of the station is in it."""
    zones: tuple[Zone, ...] = ()
    severities: Mapping[str, str] = field(default_factory=dict)
    """By code; events carry it."""
    dispositions: Mapping[str, str] = field(default_factory=dict)
    """By code: what is to be done with such a unit; events carry it."""
    golden: ModelName | None = None
    """The model that compares a unit with the reference, where one is asked for."""
    also: tuple[ModelName, ...] = ()
    """Further models: each is shown every frame too, and says what is a defect."""
    codes_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By name of a model: the codes of its classes; a model that is not named has all `codes`."""
    reference: Reference | None = None
    taught: ModelName | None = None
    """The model that was taught from the good units that the reference is made of."""
    judge: Judge = "reference"
    """Without a reference and a model that compares, it is the picture alone that judges."""
    differences: Differences = "ignored"
    """What becomes of places that differ from the reference."""
    expected: tuple[ExpectedPart, ...] = ()
    """The parts that every good unit has."""
    least_likeness: float = LEAST_LIKENESS
    """What is less like the reference than this is another product, or lies wrongly."""
    serial_pattern: str = ""
    """A regular expression that the serials of this product match whole; empty: not known."""

    @property
    def compared_with(self) -> Reference | None:
        """The reference that each frame is compared with; None where none is."""
        return self.reference if self.golden and self.judge != "single" else None

    @property
    def placed_on(self) -> Reference | None:
        """The reference that each frame is laid on; None where no model wants that."""
        return self.reference if self.taught else self.compared_with

    @property
    def models(self) -> tuple[ModelName, ...]:
        """The models that each frame is shown to, the one that its events name first."""
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
        """The confidence below which what a model sees decides nothing, wherever it is seen."""
        share = SUPPORT_SHARE if self.cameras[camera].frames_of_unit > 1 else 1.0
        return share * self.lowest_threshold(model or self.model)


class JobState(StrEnum):
    """What is done with the units of a job. A closed list."""

    INSPECTING = "inspecting"
    TEACHING = "teaching"
    """Their pictures make a reference."""
    CHANGING_OVER = "changing_over"
    """The product's model is being loaded and compared."""
    NO_PRODUCT = "no_product"
    """Nobody said a product that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the line makes now: stamped on each unit as it is opened."""

    number: int
    """Counts the jobs of the station."""
    recipe: Recipe
    order: str | None = None
    lot: str | None = None
    context: str | None = None
    """The sender's own text; travels into the events."""
    state: JobState = JobState.INSPECTING
    detail: str = ""
    """For people: why units are not inspected."""

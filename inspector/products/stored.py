"""Records beside a product's references: which units, by whom, approved by whom."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inspector.core.optics import OpticsBaseline
from inspector.settings.types import Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(ge=1, le=16_384)]
MOST_APPROVALS = 1000


class StoredUnit(Section):
    """A unit that a reference was taught with."""

    number: Annotated[int, Field(ge=0)]
    """Its `unit.number` at the camera."""
    id: str = ""
    used: bool
    why: str = ""
    """Why it was left out."""
    likeness: Annotated[float, Field(ge=-1, le=1)] = 1.0
    """Likeness to the other units."""
    places: tuple[tuple[int, int, int, int], ...] = ()
    """Where it differs from the others: x, y, width, height in pixels of the reference."""
    picture: Annotated[str, Field(pattern=r"^units/[0-9a-z-]+\.jpg$")] | None = None
    picture_sha256: Sha256 | None = None


class StoredModel(Section):
    """The model that was taught with the units of a reference."""

    sha256: Sha256
    """Of its file, `model.onnx`."""
    units: Annotated[int, Field(ge=1)]
    usual_times: Annotated[float, Field(ge=0)]
    """The largest distance between these units, in usual distances."""


class StoredReference(Section):
    """A version of a product's reference, as `reference.json` in its folder says."""

    format: Literal["inspector.reference/1"] = "inspector.reference/1"
    product: str
    number: Annotated[int, Field(ge=1)]
    sha256: Sha256
    """Hash over the sizes and pixels of mean and deviation."""
    width_px: Pixels
    height_px: Pixels
    camera: str
    """The camera it was taught at."""
    revision: str
    """Revision of the product while it was taught."""
    made_at: str
    """RFC 3339."""
    made_by: str
    units: tuple[StoredUnit, ...]
    model: StoredModel | None = None
    """None: there was no features' network to teach one."""

    @property
    def id(self) -> str:
        """Its name in events."""
        return f"{self.product}/{self.number}"

    @property
    def units_used(self) -> int:
        """How many units it is made of."""
        return sum(unit.used for unit in self.units)


class StoredOptics(Section):
    """What pictures of a good unit are like, as in `optics.json` beside a reference."""

    format: Literal["inspector.optics/1"] = "inspector.optics/1"
    camera: str
    pictures: Annotated[int, Field(ge=1)]
    blur_px: Annotated[float, Field(gt=0)] | None
    contrast: Annotated[int, Field(ge=1, le=255)]
    bright: Annotated[float, Field(gt=0, le=255)]
    bright_spread: Annotated[float, Field(ge=0)]
    colour: tuple[float, float, float]
    """Means of blue, green and red."""
    noise: Annotated[float, Field(ge=0)]
    since_unix_s: float
    """When the last of these pictures was taken."""
    vouched: bool
    settled: bool = False
    """Only of what was learned, in the journal's notes: taught ones are vouched for."""

    @classmethod
    def of(cls, usual: OpticsBaseline) -> StoredOptics:
        """The record to store."""
        return cls(**asdict(usual))

    def baseline(self) -> OpticsBaseline:
        """The baseline for comparisons."""
        return OpticsBaseline(**self.model_dump(exclude={"format"}))


class Approval(Section):
    """A person's approval of a reference."""

    number: Annotated[int, Field(ge=1)]
    by: str
    at: str
    """RFC 3339."""


class Approvals(Section):
    """The reference in force and those before it, as in `approvals.json`."""

    format: Literal["inspector.approvals/1"] = "inspector.approvals/1"
    last_number: Annotated[int, Field(ge=0)] = 0
    """The highest number ever given to a reference, so that none is given twice."""
    last_revision: Annotated[int, Field(ge=0)] = 0
    approved: Annotated[tuple[Approval, ...], Field(max_length=MOST_APPROVALS)] = ()
    """The last one is in force; each reference occurs once."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        numbers = [approval.number for approval in self.approved]
        if len(set(numbers)) < len(numbers):
            msg = f"approved names {numbers}, expected each reference once"
            raise ValueError(msg)
        return self

    @property
    def in_force(self) -> int | None:
        """The reference that units are compared with."""
        return self.approved[-1].number if self.approved else None

    @property
    def before(self) -> int | None:
        """The reference that a roll-back puts in force again."""
        return self.approved[-2].number if len(self.approved) > 1 else None

    def of(self, number: int) -> Approval | None:
        """The approval of a reference; None if it has none, or if it was withdrawn."""
        return next((a for a in self.approved if a.number == number), None)

    def with_approved(self, approval: Approval) -> Approvals:
        """The record after an approval."""
        others = tuple(a for a in self.approved if a.number != approval.number)
        return self.model_copy(update={"approved": (*others, approval)[-MOST_APPROVALS:]})

    def rolled_back(self) -> Approvals:
        """The record without the approval of the one in force."""
        return self.model_copy(update={"approved": self.approved[:-1]})

    def without(self, number: int) -> Approvals:
        """The record without a removed reference."""
        left = tuple(a for a in self.approved if a.number != number)
        return self.model_copy(update={"approved": left})

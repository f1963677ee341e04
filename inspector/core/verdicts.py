"""The outcomes of frames and units: results of frames, decided units, defects, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inspector.core.places import Place
from inspector.core.recipes import ModelName
from inspector.core.records import Finding, FrameRef, MissReason, Placed, Result, UnitRef


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """How the inspection of one frame ended; exactly one of findings and miss is set."""

    ref: FrameRef
    findings: tuple[Finding, ...] | None
    """In the pixels of the unit's picture."""
    miss: MissReason | None
    faint: tuple[Finding, ...] = ()
    """Findings too weak to decide anything: kept separate, so that they never do."""
    detail: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of the models that answered, by their names."""
    queue_ns: int = 0
    """From capture until the request left."""
    inference_ns: int = 0
    """From then until the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedUnit:
    """A unit for which nothing more is awaited, with its results."""

    unit: UnitRef
    frames_expected: int
    """The number of frames in a complete inspection; at least 1."""
    frames: tuple[FrameResult, ...]
    """The frames settled in time, inspected or missed, in the order of capture."""
    miss: MissReason | None = None
    """Why there are fewer frames than expected; None if all came."""
    detail: str = ""
    deadline_missed: bool = False
    """Whether it was decided because its deadline passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A defect that the station reports on a unit."""

    code: str
    confidence: float
    place: Place
    """In the pixels of the unit's picture."""
    frames_seen: int = 1
    model: str = ""
    """The model that reports it: the surest, if several do."""
    severity: str | None = None
    disposition: str | None = None
    """Both by the product for its code; None if it names none."""
    part: str | None = None
    """The part that is missing, too many or displaced; None for damage."""
    displaced_px: float | None = None
    """How far a displaced one is from its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """The finding that came nearest to being a defect, on a unit that PASSED."""

    code: str
    confidence: float
    threshold: float
    """The threshold of its code, at its place."""
    place: Place
    """In the pixels of the unit's picture."""

    @property
    def short_by(self) -> float:
        """The confidence that it lacked; negative if a frame was sure but too few others agreed."""
        return self.threshold - self.confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on a unit: exactly one per unit."""

    unit: UnitRef
    unit_number: int
    """From 1, counted per camera over the life of the journal."""
    result: Result
    reason: str | None
    detail: str
    defects: tuple[Defect, ...]
    """Most confident first."""
    frames: tuple[FrameResult, ...]
    """In the order of capture; a unit may be without any."""
    frames_expected: int
    deadline_missed: bool = False
    nearest: NearMiss | None = None
    """None if it is not PASSED, or there was no finding."""

    @property
    def inspected(self) -> tuple[FrameResult, ...]:
        """The frames that were inspected."""
        return tuple(frame for frame in self.frames if frame.findings is not None)

    @property
    def placed(self) -> Placed | None:
        """The place of the least similar frame on the reference; None if there is none."""
        known = [frame.ref.placed for frame in self.frames if frame.ref.placed is not None]
        return min(known, key=lambda placed: placed.likeness, default=None)

    @property
    def model_version(self) -> str:
        """Of the model that its event names first; empty when it did not answer."""
        return self.version_of(self.unit.under.recipe.inspected_by)

    def version_of(self, model: ModelName) -> str:
        """Which version of a model answered last; empty when none did."""
        inspected = self.inspected
        return inspected[-1].versions.get(model.name, "") if inspected else ""

    @property
    def queue_ns(self) -> int:
        """The longest that one of its frames waited; 0 when none was inspected."""
        return max((frame.queue_ns for frame in self.inspected), default=0)

    @property
    def inference_ns(self) -> int:
        """The longest that one of its frames was at the model; 0 when none was."""
        return max((frame.inference_ns for frame in self.inspected), default=0)

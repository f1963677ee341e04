"""Which parts of a frame become model inputs: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inspector.batching.tiling import pieces_of
from inspector.core.geometry import fit, upright_size_px
from inspector.core.records import Frame, ModelInput, Rect, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of one camera's frames is inspected."""

    rect: Rect
    """The part of the picture that is looked at."""
    look: Literal["region", "unit", "tiles"] = "region"
    """That part in one piece; the unit cut out and turned upright, and that part where a frame
    has no outline; or that part in overlapping tiles at its own scale."""
    tile_overlap_px: int = 0

    def regions_of(self, frame: Frame, model_input: ModelInput) -> tuple[Region, ...]:
        """The pieces of a frame, in the order of their numbers; at least one."""
        outline = frame.ref.outline
        if self.look == "unit" and outline is not None:
            rect = Rect(0, 0, *upright_size_px(outline))
            return (replace(_region(frame, rect, model_input), upright=outline),)
        if self.look == "tiles":
            tiles = self._tiles(model_input)
            return _numbered([_region(frame, rect, model_input) for rect in tiles])
        return (_region(frame, self.rect, model_input),)

    def unseen(self, frame: Frame) -> Region:
        """Stands for a frame that no model will see: the model's input is not known."""
        box = fit(self.rect, width_px=self.rect.width_px, height_px=self.rect.height_px)
        return Region(frame=frame, rect=self.rect, letterbox=box)

    def pieces(self, model_input: ModelInput | None) -> int:
        """How many model inputs a frame becomes; 1 while the model's input is not known."""
        if self.look != "tiles" or model_input is None:
            return 1
        return len(self._tiles(model_input))

    def _tiles(self, model_input: ModelInput) -> tuple[Rect, ...]:
        return pieces_of(
            self.rect,
            width_px=model_input.width_px,
            height_px=model_input.height_px,
            overlap_px=self.tile_overlap_px,
        )


def refitted(region: Region, model_input: ModelInput) -> Region:
    """The same part of the frame for another model input, numbered as it was."""
    box = fit(region.rect, width_px=model_input.width_px, height_px=model_input.height_px)
    return replace(region, letterbox=box)


def _region(frame: Frame, rect: Rect, model_input: ModelInput) -> Region:
    box = fit(rect, width_px=model_input.width_px, height_px=model_input.height_px)
    return Region(frame=frame, rect=rect, letterbox=box)


def _numbered(regions: Sequence[Region]) -> tuple[Region, ...]:
    return tuple(
        replace(region, piece=piece, pieces=len(regions)) for piece, region in enumerate(regions)
    )

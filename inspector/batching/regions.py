"""Which parts of a frame become model inputs: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inspector.batching.tiling import pieces_of
from inspector.core.geometry import fit, upright_size_px
from inspector.core.recipes import View
from inspector.core.records import Frame, ModelInput, Rect, Region


def regions_of(view: View, frame: Frame, model_input: ModelInput) -> tuple[Region, ...]:
    """The pieces of a frame, in the order of their numbers; at least one."""
    outline = frame.ref.outline
    if view.crop == "unit" and outline is not None:
        rect = Rect(0, 0, *upright_size_px(outline))
        return (replace(_region(frame, rect, model_input), upright=outline),)
    if view.crop == "tiles":
        return _numbered([_region(frame, rect, model_input) for rect in _tiles(view, model_input)])
    return (_region(frame, view.rect, model_input),)


def unseen(view: View, frame: Frame) -> Region:
    """Stands for a frame that no model will see: the model's input is not known."""
    box = fit(view.rect, width_px=view.rect.width_px, height_px=view.rect.height_px)
    return Region(frame=frame, rect=view.rect, letterbox=box)


def pieces(view: View, model_input: ModelInput | None) -> int:
    """How many model inputs a frame becomes; 1 while the model's input is not known."""
    if view.crop != "tiles" or model_input is None:
        return 1
    return len(_tiles(view, model_input))


def refitted(region: Region, model_input: ModelInput) -> Region:
    """The same part of the frame for another model input, numbered as it was."""
    box = fit(region.rect, width_px=model_input.width_px, height_px=model_input.height_px)
    return replace(region, letterbox=box)


def _tiles(view: View, model_input: ModelInput) -> tuple[Rect, ...]:
    return pieces_of(
        view.rect,
        width_px=model_input.width_px,
        height_px=model_input.height_px,
        overlap_px=view.tile_overlap_px,
    )


def _region(frame: Frame, rect: Rect, model_input: ModelInput) -> Region:
    box = fit(rect, width_px=model_input.width_px, height_px=model_input.height_px)
    return Region(frame=frame, rect=rect, letterbox=box)


def _numbered(regions: Sequence[Region]) -> tuple[Region, ...]:
    return tuple(
        replace(region, piece=piece, pieces=len(regions)) for piece, region in enumerate(regions)
    )

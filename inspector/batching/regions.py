"""Chooses the parts of a frame that become model inputs: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inspector.batching.close_ups import close_ups_of
from inspector.batching.tiling import pieces_of
from inspector.core.geometry import fit, is_shrunk, upright_size_px
from inspector.core.recipes import Cropping
from inspector.core.records import CloseUp, Frame, Letterbox, ModelInput, Rect, Region

MUCH_LARGER = 1.4
"""`unit_tiles`: a unit that is larger than the model's input by more than this is cut into tiles.
Boards of 742x676 pixels (1.16) shrunk to 640 had the same verdicts as in four tiles, which cost
four times as much."""


def regions_of(cropping: Cropping, frame: Frame, model_input: ModelInput) -> tuple[Region, ...]:
    """The pieces of a frame, in the order of their numbers; at least one."""
    whole = _whole(cropping, frame, model_input)
    rects = _cut(cropping, whole.rect, model_input)
    close_ups = _close_ups(frame, model_input)
    count = len(rects) + bool(close_ups)
    parts = [
        replace(whole, rect=rect, letterbox=_fitted(rect, model_input), piece=piece, pieces=count)
        for piece, rect in enumerate(rects)
    ]
    if close_ups:
        enlarged = replace(whole, close_ups=close_ups, piece=len(rects), pieces=count)
        parts.append(_filled(enlarged, model_input))
    return tuple(parts)


def unseen(cropping: Cropping, frame: Frame) -> Region:
    """Stands for a frame that no model will see: the model's input is not known."""
    box = fit(cropping.rect, width_px=cropping.rect.width_px, height_px=cropping.rect.height_px)
    return Region(frame=frame, rect=cropping.rect, letterbox=box)


def can_be_shown(frame: Frame, model_input: ModelInput) -> bool:
    """Whether a model can get its input: one that sees units on a reference needs one."""
    return frame.ref.placed is not None or not model_input.is_on_reference


def pieces(cropping: Cropping, frame: Frame, model_input: ModelInput | None) -> int:
    """How many inputs of a model a frame becomes; 1 while the model's input is not known."""
    if model_input is None or not can_be_shown(frame, model_input):
        return 1
    rects = _cut(cropping, _whole(cropping, frame, model_input).rect, model_input)
    return len(rects) + bool(_close_ups(frame, model_input))


def refitted(region: Region, model_input: ModelInput) -> Region:
    """The same part of the frame for another model input, numbered as it was."""
    if region.close_ups:
        return _filled(
            replace(region, close_ups=_close_ups(region.frame, model_input)), model_input
        )
    return replace(region, letterbox=_fitted(region.rect, model_input))


def shrinks(region: Region, model_input: ModelInput) -> bool:
    """Whether a model sees so much less of a region than the camera delivered that defects vanish.

    A unit is allowed what `MUCH_LARGER` says.
    """
    rect = region.rect
    if region.close_ups or not is_shrunk(rect.width_px, rect.height_px, model_input):
        return False
    return region.upright is None or region.letterbox.scale * MUCH_LARGER < 1


def _filled(region: Region, model_input: ModelInput) -> Region:
    """Close-ups lie in the model's input itself."""
    rect = Rect(0, 0, model_input.width_px, model_input.height_px)
    return replace(region, rect=rect, letterbox=Letterbox(scale=1.0, left_px=0, top_px=0))


def _close_ups(frame: Frame, model_input: ModelInput) -> tuple[CloseUp, ...]:
    """Close-ups of the places where it differs from its reference, for a model that sees both."""
    placed = frame.ref.placed
    if placed is None or not model_input.takes_reference:
        return ()
    if frame.ref.under.recipe.differences == "ignored":
        return ()
    return close_ups_of(placed.differences, model_input)


def _fitted(rect: Rect, model_input: ModelInput) -> Letterbox:
    return fit(
        rect,
        width_px=model_input.width_px,
        height_px=model_input.height_px,
        enlarges=model_input.enlarges and not model_input.registered,
        stretches=model_input.stretches and not model_input.registered,
    )


def _whole(cropping: Cropping, frame: Frame, model_input: ModelInput) -> Region:
    """Everything that is inspected of a frame."""
    unit, outline = unseen(cropping, frame), frame.ref.outline
    if model_input.is_on_reference:
        reference = frame.ref.under.recipe.placed_on
        if reference is None or frame.ref.placed is None:
            raise RuntimeError(
                f"{model_input.name} takes a unit on its reference, and no frame was placed there"
            )
        height_px, width_px = reference.deviation.shape
        return replace(unit, rect=Rect(0, 0, width_px, height_px), on_reference=True)
    if cropping.crop in {"unit", "unit_tiles"} and outline is not None:
        return replace(unit, rect=Rect(0, 0, *upright_size_px(outline)), upright=outline)
    return unit


def _cut(cropping: Cropping, rect: Rect, model_input: ModelInput) -> Sequence[Rect]:
    if model_input.registered:
        # It was taught with whole units and has never seen a tile.
        return (rect,)
    if _is_cut(cropping, rect, model_input):
        return pieces_of(
            rect,
            width_px=model_input.width_px,
            height_px=model_input.height_px,
            overlap_px=cropping.tile_overlap_px,
        )
    return (rect,)


def _is_cut(cropping: Cropping, rect: Rect, model_input: ModelInput) -> bool:
    if cropping.crop == "tiles":
        return True
    fitted = _fitted(rect, model_input)
    is_much_larger = min(fitted.scale, fitted.scale_down) * MUCH_LARGER < 1
    if cropping.crop == "unit_tiles":
        return is_much_larger
    if not (cropping.keeps_scale and model_input.own_scale):
        return False
    if cropping.crop == "unit":
        return is_much_larger
    return is_shrunk(rect.width_px, rect.height_px, model_input)

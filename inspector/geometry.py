"""Between frame pixels and model pixels: pure arithmetic."""

from __future__ import annotations

from inspector.records import Letterbox, Rect, Region


def fit(rect: Rect, *, width_px: int, height_px: int) -> Letterbox:
    """Place a region in a model input: centred, in proportion, never enlarged.

    Enlarging adds no information, and detectors lose accuracy away from their native scale.
    """
    scale = min(1.0, width_px / rect.width_px, height_px / rect.height_px)
    return Letterbox(
        scale=scale,
        left_px=(width_px - scaled_px(rect.width_px, scale)) // 2,
        top_px=(height_px - scaled_px(rect.height_px, scale)) // 2,
    )


def scaled_px(length_px: int, scale: float) -> int:
    """A length after scaling, at least one pixel."""
    return max(1, round(length_px * scale))


def to_frame(
    corners_px: tuple[float, float, float, float], region: Region
) -> tuple[float, float, float, float]:
    """Corners (left, top, right, bottom) in model pixels, moved to frame pixels and clipped."""
    rect, box = region.rect, region.letterbox

    def x(value: float) -> float:
        inside = min(max((value - box.left_px) / box.scale, 0.0), float(rect.width_px))
        return rect.x_px + inside

    def y(value: float) -> float:
        inside = min(max((value - box.top_px) / box.scale, 0.0), float(rect.height_px))
        return rect.y_px + inside

    left, top, right, bottom = corners_px
    return x(left), y(top), x(right), y(bottom)

"""Between frame pixels and model pixels: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inspector.core.basics import Affine as Affine  # noqa: PLC0414 - passed on
from inspector.core.places import Box, Place, Point, Polygon, WholeUnit, clipped
from inspector.core.records import Letterbox, ModelInput, Outline, Rect, Region


def fit(
    rect: Rect, *, width_px: int, height_px: int, enlarges: bool = False, stretches: bool = False
) -> Letterbox:
    """Place a region in a model input: centred, in proportion.

    Enlarging adds no information, and detectors lose accuracy away from the scale they were
    trained at: it is for models that were trained on pictures scaled up to their input. Stretching
    is for those that were trained on pictures drawn to the input's sides, each by itself.
    """
    if stretches:
        across, down = width_px / rect.width_px, height_px / rect.height_px
        return Letterbox(scale=across, left_px=0, top_px=0, stretch=down / across)
    scale = min(width_px / rect.width_px, height_px / rect.height_px)
    if not enlarges:
        scale = min(1.0, scale)
    return Letterbox(
        scale=scale,
        left_px=(width_px - scaled_px(rect.width_px, scale)) // 2,
        top_px=(height_px - scaled_px(rect.height_px, scale)) // 2,
    )


FILLS_LITTLE_BELOW = 0.5
"""As a share of the model's input, in the direction that the picture fills better."""


def fills_little(width_px: int, height_px: int, model_input: ModelInput) -> bool:
    """Whether a picture lies in the middle of a much larger input, and is not scaled up to it.

    Most trainings scale pictures up to the input, so that the network never saw parts so small.
    """
    share = max(width_px / model_input.width_px, height_px / model_input.height_px)
    fills = model_input.enlarges or model_input.stretches
    return share < FILLS_LITTLE_BELOW and not fills


SHRUNK_BELOW = 0.9
"""The scale below which a picture counts as shrunk: small defects begin to vanish."""


def is_shrunk(width_px: int, height_px: int, model_input: ModelInput) -> bool:
    """Whether a model sees a picture at a smaller scale than the camera delivered it.

    Training that scaled pictures to the input, or stretched them, has seen them so.
    """
    scale = min(model_input.width_px / width_px, model_input.height_px / height_px)
    is_as_trained = model_input.enlarges or model_input.stretches or model_input.registered
    return scale < SHRUNK_BELOW and not is_as_trained


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
        inside = min(max((value - box.top_px) / box.scale_down, 0.0), float(rect.height_px))
        return rect.y_px + inside

    left, top, right, bottom = corners_px
    return x(left), y(top), x(right), y(bottom)


def on_picture(place: Place, region: Region) -> Place | None:
    """Convert a place from model pixels to those of the picture that the region is part of.

    Clipped to the region; None where nothing of it lies there, as in the padding beside it.
    """
    match place:
        case WholeUnit():
            return place
        case Box():
            corners_px = (place.left_px, place.top_px, place.right_px, place.bottom_px)
            left, top, right, bottom = to_frame(corners_px, region)
            if not (right > left and bottom > top):
                return None
            return Box(left_px=left, top_px=top, right_px=right, bottom_px=bottom)
        case Polygon():
            rect, box = region.rect, region.letterbox
            points = [
                (
                    rect.x_px + (x_px - box.left_px) / box.scale,
                    rect.y_px + (y_px - box.top_px) / box.scale_down,
                )
                for x_px, y_px in place.points_px
            ]
            return polygon_within(points, box_of(rect))


def box_of(rect: Rect) -> Box:
    """The same rectangle by its corners."""
    return Box(
        left_px=float(rect.x_px),
        top_px=float(rect.y_px),
        right_px=float(rect.x_px + rect.width_px),
        bottom_px=float(rect.y_px + rect.height_px),
    )


def polygon_within(points_px: Sequence[Point], limits: Box) -> Polygon | None:
    """The part of an area within a box; None if there is none."""
    kept = clipped(points_px, limits)
    if len(kept) < 3:  # noqa: PLR2004 - a line has no area
        return None
    polygon = Polygon(points_px=kept)
    return polygon if polygon.area_px > 0 else None


def upright_size_px(outline: Outline) -> tuple[int, int]:
    """Width and height of a unit's picture: the outline's, rounded, at least one pixel."""
    return max(1, round(outline.width_px)), max(1, round(outline.height_px))


def upright_matrix(outline: Outline) -> Affine:
    """From frame pixels to those of the unit's picture: turned back, not scaled.

    The outline's top left corner becomes 0, 0 exactly, whatever its size is rounded to, so that
    boxes need no correction. Coordinates are those of boxes: 0, 0 is the corner of the first
    pixel, and its centre is 0.5, 0.5. For functions that count from centre to centre, such as
    OpenCV's, use `between_centres`.
    """
    turn = math.radians(outline.turn_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    x_px, y_px = outline.centre_x_px, outline.centre_y_px
    # Clockwise as seen, in pixels whose y grows downwards, is the positive turn.
    return (
        (cos, sin, outline.width_px / 2 - cos * x_px - sin * y_px),
        (-sin, cos, outline.height_px / 2 + sin * x_px - cos * y_px),
    )


def frame_matrix(outline: Outline) -> Affine:
    """From the pixels of the unit's picture back to those of the frame."""
    turn = math.radians(outline.turn_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    half_width_px, half_height_px = outline.width_px / 2, outline.height_px / 2
    return (
        (cos, -sin, outline.centre_x_px - cos * half_width_px + sin * half_height_px),
        (sin, cos, outline.centre_y_px - sin * half_width_px - cos * half_height_px),
    )


def moved(matrix: Affine, x_px: float, y_px: float) -> tuple[float, float]:
    """Where a point lies on the other side of a matrix."""
    (a, b, c), (d, e, f) = matrix
    return a * x_px + b * y_px + c, d * x_px + e * y_px + f


def encloses(polygon_px: Sequence[tuple[float, float]], x_px: float, y_px: float) -> bool:
    """Whether a point lies in a polygon, by the even-odd rule.

    Of polygons that share a side, a point on it lies in exactly one.
    """
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon_px, (*polygon_px[1:], polygon_px[0]), strict=True):
        if (y0 > y_px) != (y1 > y_px) and x_px < x0 + (y_px - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def then(first: Affine, second: Affine) -> Affine:
    """Both movements, one after the other."""
    (a, b, _), (d, e, _) = first
    (g, h, _), (j, k, _) = second
    x_px, y_px = moved(second, first[0][2], first[1][2])
    return (g * a + h * d, g * b + h * e, x_px), (j * a + k * d, j * b + k * e, y_px)


def back(matrix: Affine) -> Affine:
    """The way back; the matrix must not flatten the plane."""
    (a, b, c), (d, e, f) = matrix
    area = a * e - b * d
    return (e / area, -b / area, (b * f - c * e) / area), (
        -d / area,
        a / area,
        (c * d - a * f) / area,
    )


def between_centres(matrix: Affine) -> Affine:
    """The same movement for coordinates in which the centre of the first pixel is 0, 0."""
    (a, b, c), (d, e, f) = matrix
    return (a, b, c + (a + b - 1) / 2), (d, e, f + (d + e - 1) / 2)


def outline_box_px(outline: Outline) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the upright box around an outline, in frame pixels."""
    turn = math.radians(outline.turn_deg)
    cos, sin = math.cos(turn), abs(math.sin(turn))
    half_width_px = (outline.width_px * cos + outline.height_px * sin) / 2
    half_height_px = (outline.width_px * sin + outline.height_px * cos) / 2
    return (
        outline.centre_x_px - half_width_px,
        outline.centre_y_px - half_height_px,
        outline.centre_x_px + half_width_px,
        outline.centre_y_px + half_height_px,
    )

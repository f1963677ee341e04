"""Chooses the places of a unit that are shown to the model again, enlarged: pure.

A network that compares two pictures overlooks obvious damage where the design is dense or its
contrast is low, but recognises it when the same place is shown twice as large: of 13 defects that
it overlooked on 27 product runs it found 10 in this way.
"""

from __future__ import annotations

from collections.abc import Sequence

from inspector.core.records import CloseUp, Difference, ModelInput, Rect

ENLARGED = 2.0
"""The scale relative to the reference's own pixels. At 1.3 the network still overlooks half of
them."""
CELLS = 4
"""Along each side of the model's input: 16 places, in one picture."""
LEAST_WEIGHT = 2.0
"""The smallest difference that is shown. Specks of dust are smaller, and so is the smallest mouse
bite: with a limit of 1, dust became defects on good boards."""
FILLED_SHARE = 0.6
"""The share of a cell that a difference may fill: a large one is enlarged less, so that its
surroundings are visible too."""
_TOGETHER_SHARE = 0.25
"""As a share of what a cell shows: differences whose centres are closer than this share one
cell."""


def close_ups_of(differences: Sequence[Difference], model_input: ModelInput) -> tuple[CloseUp, ...]:
    """The cells of one model's input, the largest difference first; the rest is left out.

    None where nothing is large enough.
    """
    width_px, height_px = model_input.width_px // CELLS, model_input.height_px // CELLS
    groups: list[list[Difference]] = []
    for one in sorted(differences, key=lambda difference: -difference.weight):
        if one.weight < LEAST_WEIGHT:
            break
        near = (group for group in groups if _share_a_cell(group[0], one, width_px, height_px))
        group = next(near, None)
        if group is not None:
            group.append(one)
        elif len(groups) < CELLS * CELLS:
            groups.append([one])
    return tuple(
        CloseUp(
            cell=Rect(number % CELLS * width_px, number // CELLS * height_px, width_px, height_px),
            middle_px=group[0].place.middle_px,
            enlarged=_enlarged(group[0], width_px, height_px),
            differences=tuple(group),
        )
        for number, group in enumerate(groups)
    )


def _enlarged(shown: Difference, width_px: int, height_px: int) -> float:
    place = shown.place
    fills = max(
        (place.right_px - place.left_px) / width_px, (place.bottom_px - place.top_px) / height_px
    )
    return min(ENLARGED, max(1.0, FILLED_SHARE / max(fills, 1e-6)))


def _share_a_cell(shown: Difference, other: Difference, width_px: int, height_px: int) -> bool:
    (x_px, y_px), (other_x_px, other_y_px) = shown.place.middle_px, other.place.middle_px
    reach = _TOGETHER_SHARE / ENLARGED
    return abs(x_px - other_x_px) < reach * width_px and abs(y_px - other_y_px) < reach * height_px

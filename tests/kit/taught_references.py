"""A reference as teaching makes it, to be stored."""

from __future__ import annotations

import numpy as np

from inspector.core.records import Rect
from inspector.products.store import TaughtReference, TaughtUnit


def taught_reference(shade: int = 90, *, units: int = 3) -> TaughtReference:
    """A grey picture of 80 x 60 pixels with a bright label; `units` were used, one was left out."""
    picture = np.full((60, 80, 3), shade, np.uint8)
    picture[10:20, 10:30] = 200
    return TaughtReference(
        mean=picture,
        deviation=np.full((60, 80), 3, np.uint8),
        units=[
            *(TaughtUnit(number=n, picture=picture, likeness=0.98765432) for n in range(units)),
            TaughtUnit(
                number=units,
                picture=picture,
                used=False,
                why="differs",
                places=(Rect(1, 2, 3, 4),),
            ),
        ],
        camera="top",
        revision="C",
        made_by="page: anna",
    )

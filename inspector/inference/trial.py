"""Trial pictures that show whether a model sees what it is sent, by how its answers differ. Pure.

A network that expects 0..255 sees a picture in 0..1 as a black one: it answers, reports nothing,
and every part passes. Its shapes do not show this, but it gives nearly the same answer to every
picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.records import ModelInput

BLIND_BELOW = 3.0
"""The shipped float network differs by 24 in the range that it was trained in, by 0.6 in pictures
that are 255 times darker."""
SEES_FROM = 6.0
SEES_MORE = 20.0
"""A ratio: a small network may differ by less than `SEES_FROM`, and by 100 times less for nearly
black pictures."""
_SURE = 1e-6
_STEP_PX = 8.0


def trial_pictures(model_input: ModelInput, white: float) -> list[NDArray[np.float32]]:
    """Noise, and parts drawn in dark and light on a grey ground; each a tensor with one picture."""
    height_px, width_px = model_input.height_px, model_input.width_px
    noise = np.random.default_rng(7).random((height_px, width_px), np.float32)
    across, down = np.meshgrid(np.arange(width_px), np.arange(height_px))
    drawn = np.full((height_px, width_px), 0.6, np.float32)
    drawn[(across // 64 + down // 64) % 3 == 0] = 0.05
    drawn[(across // 32 % 5 == 0) & (down // 32 % 4 == 0)] = 1.0
    axis = 0 if model_input.channels_first else 2
    return [
        np.ascontiguousarray(np.stack([grey * np.float32(white)] * 3, axis=axis)[None])
        for grey in (noise, drawn, np.full_like(noise, 1.0))
    ]


def response(answers: Sequence[Mapping[str, NDArray[Any]]]) -> float:
    """The largest difference between the answers; NaN if all are empty.

    The output after a suppression may be empty for every picture that is not of its product.

    Scores are compared by their odds, so that it does not matter whether anything was found; values
    beyond 1, such as pixels, in steps of eight.
    """
    floats = [a for one in answers for a in one.values() if a.dtype.kind == "f"]
    if not any(array.any() for array in floats):
        return float("nan")
    differences = [0.0]
    for one, other in pairwise(answers):
        for name in one.keys() & other.keys():
            a, b = one[name], other[name]
            if a.dtype.kind != "f" or a.shape != b.shape or not a.size:
                continue
            differences.append(_difference(a.astype(np.float64), b.astype(np.float64)))
    return max(differences)


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    are_scores = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
    a_odds, b_odds = (np.clip(x, _SURE, 1 - _SURE) for x in (a, b))
    odds = np.abs(np.log(a_odds / (1 - a_odds)) - np.log(b_odds / (1 - b_odds)))
    steps = np.abs(a - b) / _STEP_PX
    return float(np.where(are_scores, odds, steps).max())


def range_objection(model: str, in_ones: float, in_bytes: float) -> str:
    """Why the range 0..1 must not be assumed, or ""."""
    says_nothing = math.isnan(in_ones)
    # NaN fails every comparison: silence in 0..255 is no evidence for it.
    sees_in_bytes = in_bytes >= min(SEES_FROM, SEES_MORE * in_ones)
    if not says_nothing and not (in_ones < BLIND_BELOW and sees_in_bytes):
        return ""
    if says_nothing and math.isnan(in_bytes):
        # A model with its own suppression, which finds nothing it knows in these pictures.
        told = "answers nothing to trial pictures, neither in 0..1 nor in 0..255"
    elif says_nothing:
        told = "answers nothing to trial pictures in 0..1, and something in 0..255"
    else:
        told = "answers alike to a black picture, noise and a drawn one in 0..1, and not in 0..255"
    return (
        f'model {model}: {told}; expected [inference] pixel_range = "0..255" or "0..1", whichever '
        "it was trained with (of a product's own model: in its file's [model])"
    )

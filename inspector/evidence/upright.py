"""Cuts a unit out of a frame, turned upright, at its own scale."""

from __future__ import annotations

import cv2
import numpy as np

from inspector.core.geometry import between_centres, upright_matrix, upright_size_px
from inspector.core.records import Image, Outline


def cut_upright(frame: Image, outline: Outline) -> Image:
    """The unit's picture: (height, width, 3) uint8 of its own memory, BGR.

    Its size is `geometry.upright_size_px`; `geometry.upright_matrix` maps into it and
    `geometry.frame_matrix` back. Black where the outline reaches beyond the frame. Any thread;
    about 3 ms for 740x680 pixels.
    """
    return np.asarray(
        cv2.warpAffine(
            frame,
            np.array(between_centres(upright_matrix(outline)), np.float64),
            upright_size_px(outline),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        ),
        np.uint8,
    )

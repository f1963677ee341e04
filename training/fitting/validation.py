"""A quick look at the progress, on boards kept out of training."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.data.boards import Board, FloatArray, Picture, read_picture, scan_or_colours
from training.drawing.look import Look
from training.drawing.posing import Pose, place, pose
from training.evaluation.protocol import (
    DEEP_PCB_IOU,
    Truth,
    best_working_point,
    judge,
    mean_average_precision,
)
from training.model.detections import Detections
from training.model.detections import decode as detections_of
from training.model.model_input import PADDING_GRAY, SIZE_PX, assemble
from training.model.network import Cells, decode

_PAPER = 255
_SEED = 5


def validate(network: nn.Module, boards: tuple[Board, ...], *, golden: bool) -> dict[str, float]:
    """The mean average precision at IoU 0.33 and the best F, of every condition.

    Scans are shown as they are (flat) and as a camera sees them; other pictures as they are. The
    same boards are shown in the same light every time. The network is left in evaluation mode.
    """
    network.eval()
    results: dict[str, float] = {}
    scans = all(_read(board).ndim == 2 for board in boards)  # noqa: PLR2004 - rows, columns
    for photographed in (False, True) if scans else (False,):
        rng = np.random.default_rng(_SEED)
        judged = [
            _look(network, board, rng, golden=golden, photographed=photographed) for board in boards
        ]
        truths = [truth for truth, _ in judged]
        found = [detections for _, detections in judged]
        count = max(int(truth.classes.max(initial=0)) for truth in truths) + 1
        judgement = judge(truths, found, class_count=count, iou=DEEP_PCB_IOU)
        where = "camera" if photographed else "flat"
        results[f"{where}_map"] = mean_average_precision(judgement)
        results[f"{where}_f"] = best_working_point(judgement).f_score
    return results


def _read(board: Board) -> Picture:
    return scan_or_colours(read_picture(board.picture))


def _look(
    network: nn.Module,
    board: Board,
    rng: np.random.Generator,
    *,
    golden: bool,
    photographed: bool,
) -> tuple[Truth, Detections]:
    found, beside = _read(board), None
    where, look = _pose(board, found), Look.random(rng)
    wanted = scan_or_colours(read_picture(board.reference)) if golden and board.reference else None
    boxes = where.boxes(board.boxes)
    if photographed:
        shown = look.photograph(found, where, boxes, rng)
        if wanted is not None:
            beside = look.photograph_reference(wanted, where, rng)
    else:
        shown = _as_it_is(found, where)
        if wanted is not None:
            beside = _as_it_is(wanted, where)
    device = next(network.parameters()).device
    pictures = torch.from_numpy(assemble(shown, beside))[None].to(device)
    with torch.inference_mode():
        raw = network(pictures.contiguous(memory_format=torch.channels_last))
        rows = decode(raw, Cells.of(SIZE_PX, SIZE_PX, device))[0].cpu().numpy()
    return _in_view(boxes, board), detections_of(rows)


def _pose(board: Board, found: Picture) -> Pose:
    """Smaller boards in the middle; of larger ones a part, with a defect where there is one."""
    size = np.array([found.shape[1], found.shape[0]], np.float64)
    focus = size / 2
    if len(board.boxes):
        focus = board.boxes[0].astype(np.float64).reshape(2, 2).mean(axis=0)
    low = np.minimum(SIZE_PX, size) / 2
    x, y = np.floor(np.clip(focus, low, size - low))
    return pose((float(x), float(y)), size_px=SIZE_PX, at=(SIZE_PX / 2, SIZE_PX / 2))


def _as_it_is(picture: Picture, where: Pose) -> Picture:
    scan = picture.ndim == 2  # noqa: PLR2004
    return place(picture, where, outside=_PAPER if scan else PADDING_GRAY)


def _in_view(boxes: FloatArray, board: Board) -> Truth:
    """Of boards larger than the input, the defects that are wholly in view."""
    whole = np.all((boxes >= 0) & (boxes <= SIZE_PX), axis=1)
    return Truth(boxes[whole], board.classes[whole])

"""What the detector is taught: which candidates answer for a defect, and how far off they are.

Candidates compete (task alignment: Feng et al., "TOOD", 2021): those inside a defect's box that
already name and outline it best become responsible for it. The objectness is taught 1 for
the best of them, however tight its box is: on a line the question is "is it a defect", and
DeepPCB's boxes are loose by ten pixels anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.model.network import Cells
from training.model.truth import IGNORED

_SCORE_POWER, _OVERLAP_POWER = 0.5, 4.0
_RESPONSIBLE = 8
"""So many candidates at most answer for one defect."""
_LARGEST_RATIO = 3.2
"""A candidate's anchor and the defect differ at most so much in width and height."""
_BOX_WEIGHT, _CLASS_WEIGHT, _SMOOTHING = 2.0, 1.0, 0.02


@dataclass(frozen=True)
class Truth:
    """Defects of a batch, filled up to the longest list."""

    boxes: Tensor
    """[N, M, 4] left, top, right, bottom in pixels."""
    classes: Tensor
    """[N, M] class, IGNORED for a defect mostly cut off, NOTHING for filling."""


@dataclass(frozen=True)
class Loss:
    """The parts, each a mean over the batch's responsible candidates."""

    objectness: Tensor
    box: Tensor
    kind: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.objectness + _BOX_WEIGHT * self.box + _CLASS_WEIGHT * self.kind


def loss_of(raw: Tensor, truth: Truth, cells: Cells) -> Loss:
    """Compare the network's raw numbers [N, candidates, 5 + classes] with the truth."""
    boxes = corners_of(cells.boxes(raw))
    with torch.no_grad():
        responsible, target = assign(raw, boxes, truth, cells)
        counted = ~_inside_ignored(truth, cells) | (target > 0)
        # At least one per picture: a batch of good boards must not weigh a hundred others.
        total = target.sum().clamp(min=float(len(raw)))
    objectness = functional.binary_cross_entropy_with_logits(raw[..., 4], target, reduction="none")
    objectness = (objectness * counted).sum() / total
    which, row = torch.nonzero(target > 0, as_tuple=True)
    if len(which) == 0:
        nothing = raw.sum() * 0
        return Loss(objectness, nothing, nothing)
    weight = target[which, row]
    wanted = responsible[which, row]
    overlap = complete_iou(boxes[which, row], truth.boxes[which, wanted])
    kind = functional.cross_entropy(
        raw[which, row, 5:],
        truth.classes[which, wanted],
        reduction="none",
        label_smoothing=_SMOOTHING,
    )
    return Loss(objectness, ((1 - overlap) * weight).sum() / total, (kind * weight).sum() / total)


def assign(raw: Tensor, boxes: Tensor, truth: Truth, cells: Cells) -> tuple[Tensor, Tensor]:
    """For each candidate the defect it answers for and how much: index and 0..1, both [N, C]."""
    batch, candidates = raw.shape[:2]
    most = truth.boxes.shape[1]
    if most == 0:
        nobody = torch.zeros(batch, candidates, dtype=torch.long, device=raw.device)
        return nobody, nobody.float()
    left_top, right_bottom = truth.boxes[:, :, None, :2], truth.boxes[:, :, None, 2:]
    centres = cells.centres
    inside = ((centres > left_top) & (centres < right_bottom)).all(-1)
    ratio = (right_bottom - left_top).clamp(min=1) / cells.anchors
    fits = (torch.maximum(ratio, 1 / ratio) < _LARGEST_RATIO).all(-1)
    allowed = inside & fits & (truth.classes >= 0)[:, :, None]
    shares = torch.softmax(raw[..., 5:], -1).transpose(1, 2)
    named = shares.gather(1, truth.classes.clamp(min=0)[:, :, None].expand(-1, -1, candidates))
    score = torch.sigmoid(raw[..., 4])[:, None] * named
    overlap = iou(truth.boxes[:, :, None], boxes[:, None]).clamp(min=0)
    fit = score**_SCORE_POWER * overlap**_OVERLAP_POWER * allowed + allowed * 1e-9
    best, where = fit.topk(min(_RESPONSIBLE, candidates), dim=2)
    chosen = torch.zeros_like(fit).scatter(2, where, best) * allowed
    chosen = chosen * (overlap * (chosen > 0) >= overlap.masked_fill(chosen == 0, 0).amax(1, True))
    share = chosen / chosen.amax(2, keepdim=True).clamp(min=1e-12)
    target, responsible = share.max(1)
    return responsible, target


def _inside_ignored(truth: Truth, cells: Cells) -> Tensor:
    """Candidates on a defect that is mostly cut off: neither right nor wrong. [N, candidates]."""
    centres = cells.centres
    inside = (centres > truth.boxes[:, :, None, :2]) & (centres < truth.boxes[:, :, None, 2:])
    return (inside.all(-1) & (truth.classes == IGNORED)[:, :, None]).any(1)


def corners_of(boxes: Tensor) -> Tensor:
    """Centre and size -> left, top, right, bottom."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4] given by their corners; broadcasts."""
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    return shared / (areas - shared).clamp(min=1e-6)


def complete_iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU less a penalty for distant centres and other proportions (Zheng et al., 2020)."""
    overlap = iou(one, other)
    low = torch.minimum(one[..., :2], other[..., :2])
    high = torch.maximum(one[..., 2:], other[..., 2:])
    diagonal = ((high - low) ** 2).sum(-1).clamp(min=1e-6)
    apart = ((one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) ** 2).sum(-1) / 4
    size, wanted = one[..., 2:] - one[..., :2], other[..., 2:] - other[..., :2]
    turn = torch.atan2(wanted[..., 0], wanted[..., 1]) - torch.atan2(size[..., 0], size[..., 1])
    shape = 4 / torch.pi**2 * turn**2
    with torch.no_grad():
        weight = shape / (1 - overlap + shape).clamp(min=1e-6)
    return overlap - apart / diagonal - weight * shape

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.fitting.loss import Truth, assign, complete_iou, corners_of, iou, loss_of
from training.model.network import Cells
from training.model.truth import IGNORED, NOTHING

SIZE_PX, CLASSES = 160, 6
CELLS = Cells.of(SIZE_PX, SIZE_PX)
SURE = 12.0


def truth(*defects: tuple[float, float, float, float, int], pictures: int = 1) -> Truth:
    boxes = torch.zeros(pictures, max(1, len(defects)), 4)
    kinds = torch.full(boxes.shape[:2], NOTHING)
    for at, (*box, kind) in enumerate(defects):
        boxes[0, at], kinds[0, at] = torch.tensor(box), kind
    return Truth(boxes, kinds)


def silent(pictures: int = 1) -> Tensor:
    """Nothing seen anywhere; boxes as large as their anchors, all classes alike."""
    raw = torch.zeros(pictures, len(CELLS.corners), 5 + CLASSES)
    raw[..., 4] = -SURE
    return raw


def nearest(box: tuple[float, float, float, float]) -> int:
    """The candidate whose anchor and cell fit the box best."""
    target = torch.tensor(box)
    anchors = corners_of(torch.cat([CELLS.centres, CELLS.anchors], 1))
    return int(iou(anchors, target).argmax())


def claim(raw: Tensor, box: tuple[float, float, float, float], kind: int) -> int:
    """One candidate names and outlines the defect, sure of itself."""
    at = nearest(box)
    centre = torch.tensor([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    size = torch.tensor([box[2] - box[0], box[3] - box[1]])
    part = (centre - CELLS.corners[at]) / CELLS.strides[at]
    raw[0, at, :2] = torch.logit((part + 0.5) / 2)
    raw[0, at, 2:4] = torch.logit(torch.sqrt(size / CELLS.anchors[at]) / 2)
    raw[0, at, 4] = SURE
    # What label smoothing asks for: 0.02 shared by all six.
    raw[0, at, 5 + kind] = math.log((0.98 + 0.02 / 6) / (0.02 / 6))
    return at


BOXES = ((30.0, 40.0, 62.0, 76.0), (90.0, 84.0, 150.0, 120.0))


def test_a_perfect_prediction_costs_next_to_nothing():
    raw = silent()
    for kind, box in enumerate(BOXES):
        claim(raw, box, kind)
    loss = loss_of(raw, truth((*BOXES[0], 0), (*BOXES[1], 1)), CELLS)
    assert loss.box.item() < 0.01
    assert loss.objectness.item() < 0.1
    # Label smoothing leaves the entropy of what it asks for.
    assert loss.kind.item() < 0.13


def test_a_wrong_name_a_wrong_place_and_silence_cost_more():
    box = BOXES[0]
    wanted = truth((*box, 2))
    right, misnamed, displaced = silent(), silent(), silent()
    claim(right, box, 2)
    claim(misnamed, box, 3)
    claim(displaced, (box[0] + 8, box[1] + 8, box[2] + 8, box[3] + 8), 2)
    cost = {
        name: loss_of(raw, wanted, CELLS)
        for name, raw in (
            ("right", right),
            ("misnamed", misnamed),
            ("displaced", displaced),
            ("silent", silent()),
        )
    }
    assert cost["misnamed"].kind > cost["right"].kind + 1
    assert cost["displaced"].box > cost["right"].box + 0.1
    assert cost["silent"].objectness > cost["right"].objectness + 5
    assert all(cost["right"].total < one.total for name, one in cost.items() if name != "right")


def test_a_false_alarm_costs():
    raw = silent()
    quiet = loss_of(raw, truth(), CELLS).objectness.item()
    raw[0, 17, 4] = SURE
    assert loss_of(raw, truth(), CELLS).objectness.item() == pytest.approx(quiet + SURE, abs=0.1)


def test_without_any_defect_only_the_objectness_is_taught():
    raw = torch.randn(2, len(CELLS.corners), 5 + CLASSES, requires_grad=True)
    loss = loss_of(raw, truth(pictures=2), CELLS)
    assert loss.box.item() == loss.kind.item() == 0
    loss.total.backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[..., 4].abs().sum() > 0
    assert raw.grad[..., :4].abs().sum() == 0


def test_no_list_of_defects_at_all_is_no_defect():
    empty = Truth(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.long))
    assert loss_of(silent(), empty, CELLS).total == loss_of(silent(), truth(), CELLS).total


def test_good_boards_weigh_no_more_for_being_alone():
    one = loss_of(silent(), truth(), CELLS).objectness
    many = loss_of(silent(8), truth(pictures=8), CELLS).objectness
    assert many.item() == pytest.approx(one.item())


def test_gradients_are_finite_for_whatever_a_network_says():
    torch.manual_seed(1)
    wanted = truth((*BOXES[0], 0), (*BOXES[1], 1), (0, 0, 160, 160, IGNORED), (5, 5, 6, 6, 4))
    for scale in (0.1, 3.0, 30.0):
        raw = (torch.randn(1, len(CELLS.corners), 5 + CLASSES) * scale).requires_grad_()
        loss = loss_of(raw, wanted, CELLS).total
        loss.backward()
        assert torch.isfinite(loss)
        assert raw.grad is not None
        assert torch.isfinite(raw.grad).all()


def test_a_defect_mostly_cut_off_is_neither_right_nor_wrong():
    box = (0.0, 40.0, 24.0, 80.0)
    wanted = truth((*box, IGNORED))
    told, quiet = silent(), silent()
    claim(told, box, 1)
    assert loss_of(told, wanted, CELLS).total.item() == pytest.approx(
        loss_of(quiet, wanted, CELLS).total.item(), abs=1e-3
    )
    told[0, nearest(BOXES[1]), 4] = SURE  # elsewhere an alarm is still wrong
    assert loss_of(told, wanted, CELLS).total > loss_of(quiet, wanted, CELLS).total + 5


def test_the_best_candidate_is_taught_to_be_sure_however_loose_its_box():
    raw = silent()
    box = BOXES[0]
    at = claim(raw, (box[0] + 5, box[1] + 5, box[2] + 5, box[3] + 5), 0)
    boxes = corners_of(CELLS.boxes(raw))
    _, target = assign(raw, boxes, truth((*box, 0)), CELLS)
    assert target[0, at] == 1.0
    assert target.max() == 1.0


def test_only_candidates_inside_a_defect_and_of_its_size_answer_for_it():
    torch.manual_seed(2)
    raw = torch.randn(1, len(CELLS.corners), 5 + CLASSES)
    wanted = truth((*BOXES[0], 0), (*BOXES[1], 1))
    responsible, target = assign(raw, corners_of(CELLS.boxes(raw)), wanted, CELLS)
    answering = torch.nonzero(target[0] > 0)[:, 0]
    assert 2 <= len(answering) <= 16
    for at in answering.tolist():
        left, top, right, bottom = BOXES[int(responsible[0, at])]
        x, y = CELLS.centres[at].tolist()
        assert left < x < right
        assert top < y < bottom
        ratio = torch.tensor([right - left, bottom - top]) / CELLS.anchors[at]
        assert float(torch.maximum(ratio, 1 / ratio).max()) < 3.2


def test_neighbouring_defects_each_have_candidates_of_their_own():
    wanted = truth((30, 40, 70, 80, 0), (50, 40, 90, 80, 1))
    raw = silent()
    responsible, target = assign(raw, corners_of(CELLS.boxes(raw)), wanted, CELLS)
    for index in (0, 1):
        assert (target[0] * (responsible[0] == index)).max() == 1.0


def test_filling_is_no_defect():
    wanted = truth((*BOXES[0], 0))
    longer = Truth(
        torch.cat([wanted.boxes, torch.zeros(1, 3, 4)], 1),
        torch.cat([wanted.classes, torch.full((1, 3), NOTHING)], 1),
    )
    raw = silent()
    assert loss_of(raw, wanted, CELLS).total == loss_of(raw, longer, CELLS).total


def test_overlap_by_hand():
    one, other = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 15, 10])
    assert iou(one, other).item() == pytest.approx(1 / 3)
    assert complete_iou(one, one).item() == pytest.approx(1.0)
    # Centres 5 apart, 15 x 10 around both.
    assert complete_iou(one, other).item() == pytest.approx(1 / 3 - 25 / (225 + 100))
    assert iou(one, torch.tensor([20.0, 20, 30, 30])).item() == 0

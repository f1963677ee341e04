from __future__ import annotations

import pytest
import torch

from training.model.network import ANCHORS_PX, Cells, Detector, Shape, decode

SIX = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


def test_a_640_picture_has_25200_candidates_of_11_numbers():
    network = Detector(Shape(SIX)).eval()
    with torch.inference_mode():
        raw = network(torch.rand(1, 3, 640, 640))
    assert raw.shape == (1, 25200, 11)
    assert len(Cells.of(640, 640).corners) == 25200


def test_other_sizes_and_class_counts_work():
    network = Detector(Shape(("dent",), widths=(8, 8, 16, 16, 16))).eval()
    with torch.inference_mode():
        raw = network(torch.rand(2, 3, 96, 64))
    assert raw.shape == (2, 3 * (12 * 8 + 6 * 4 + 3 * 2), 6)
    assert len(Cells.of(96, 64).corners) == raw.shape[1]


def test_decoded_numbers_are_pixels_and_probabilities():
    cells = Cells.of(96, 96)
    raw = 40 * torch.randn(2, len(cells.corners), 11, generator=torch.manual_seed(1))
    decoded = decode(raw, cells)
    assert torch.isfinite(decoded).all()
    centre, size = decoded[..., :2], decoded[..., 2:4]
    assert torch.all(centre >= cells.corners - 0.5 * cells.strides - 1e-3)
    assert torch.all(centre <= cells.corners + 1.5 * cells.strides + 1e-3)
    assert torch.all((size >= 0) & (size <= 4 * cells.anchors + 1e-3))
    assert torch.all((decoded[..., 4:] >= 0) & (decoded[..., 4:] <= 1))
    assert decoded[..., 5:].sum(-1) == pytest.approx(torch.ones(decoded.shape[:2]), abs=1e-5)


def test_a_number_of_nothing_is_the_cells_middle_and_anchor():
    cells = Cells.of(64, 64)
    boxes = cells.boxes(torch.zeros(1, len(cells.corners), 4))[0]
    assert torch.equal(boxes[:, :2], cells.centres)
    assert torch.equal(boxes[:, 2:], cells.anchors)


def test_candidates_come_in_the_order_of_their_cells():
    """A head that answers to one place of its map changes the candidates of that cell only."""
    network = Detector(Shape(("dent",), widths=(8, 8, 16, 16, 16))).eval()
    cells = Cells.of(64, 64)
    with torch.inference_mode():
        for level, (stride, anchors) in enumerate(zip((8, 16, 32), ANCHORS_PX, strict=True)):
            seen: list[torch.Tensor] = []
            for changed in (False, True):

                def mark(
                    _: object, __: object, output: torch.Tensor, shift: float = float(changed)
                ) -> torch.Tensor:
                    marked = torch.zeros_like(output)
                    marked[:, :, 1, 0] = shift  # second row, first column
                    return marked

                hook = network.heads[level].register_forward_hook(mark)
                seen.append(network(torch.zeros(1, 3, 64, 64))[0])
                hook.remove()
            touched = torch.nonzero((seen[0] != seen[1]).any(-1))[:, 0]
            assert cells.corners[touched].tolist() == [[0, stride]] * 3
            assert cells.anchors[touched].tolist() == [list(map(float, size)) for size in anchors]


def test_at_first_it_raises_hardly_any_alarm():
    torch.manual_seed(3)
    network = Detector(Shape(SIX)).eval()
    with torch.inference_mode():
        decoded = decode(network(torch.rand(1, 3, 320, 320)), Cells.of(320, 320))
    assert decoded[..., 4].max() < 0.05


def test_numbers_leave_in_full_precision():
    network = Detector(Shape(SIX, widths=(8, 8, 16, 16, 16))).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 3, 64, 64)).dtype == torch.float32

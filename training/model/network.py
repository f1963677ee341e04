"""The detector: a small convolutional network that looks at a 640x640 picture once.

Plain 3x3 convolutions with batch normalisation and ReLU, because those are what every CPU
runtime, TensorRT and an INT8 quantiser run fastest. Most of the arithmetic sits at stride 8,
where a defect of 25 to 75 pixels covers three to nine cells; strides 16 and 32 give the context
that tells a wanted bridge from a short.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
ANCHORS_PX = (
    ((30, 30), (48, 36), (36, 48)),
    ((60, 60), (96, 56), (56, 96)),
    ((110, 110), (180, 96), (96, 180)),
)
"""Width and height a prediction starts from, per stride; it reaches from 0 to 4 times as far."""
_BOX, _OBJECTNESS, _CLASSES = slice(0, 4), 4, slice(5, None)


@dataclass(frozen=True)
class Shape:
    """What a checkpoint must agree on to be loaded."""

    classes: tuple[str, ...]
    widths: tuple[int, int, int, int, int] = (16, 32, 96, 128, 192)
    """Channels at strides 2, 4, 8, 16 and 32."""
    depths: tuple[int, int, int, int] = (1, 2, 2, 1)
    """Residual blocks at strides 4, 8, 16 and 32."""


class Detector(nn.Module):
    """[N, 3, rows, columns] float32 0..1 -> candidates of all cells, strides 8, 16, 32 in turn.

    `forward` gives the raw numbers [N, candidates, 5 + classes]; `decode` turns them into boxes
    and probabilities. Rows and columns must be multiples of 32; 640x640 has 25200 candidates.
    """

    def __init__(self, shape: Shape) -> None:
        """Random weights; the objectness starts low, as most of a board is no defect."""
        super().__init__()
        self.shape = shape
        w2, w4, w8, w16, w32 = shape.widths
        d4, d8, d16, d32 = shape.depths
        per_cell = len(ANCHORS_PX[0]) * (5 + len(shape.classes))
        self.stem = _convolution(3, w2, 3, 2)
        self.stage4 = nn.Sequential(_convolution(w2, w4, 3, 2), _Stage(w4, d4))
        self.stage8 = nn.Sequential(_convolution(w4, w8, 3, 2), _Stage(w8, d8))
        self.stage16 = nn.Sequential(_convolution(w8, w16, 3, 2), _Stage(w16, d16))
        self.stage32 = nn.Sequential(_convolution(w16, w32, 3, 2), _Stage(w32, d32))
        self.narrow32 = _convolution(w32, w16, 1)
        self.fuse16 = nn.Sequential(_convolution(2 * w16, w16, 1), _Stage(w16, 1))
        self.narrow16 = _convolution(w16, w8, 1)
        self.fuse8 = nn.Sequential(_convolution(2 * w8, w8, 1), _Stage(w8, 2))
        self.heads = nn.ModuleList(nn.Conv2d(w, per_cell, 1) for w in (w8, w16, w32))
        for head in self.heads:
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                head.bias.view(len(ANCHORS_PX[0]), -1)[:, _OBJECTNESS] = -5.5

    def forward(self, pictures: Tensor) -> Tensor:
        """Raw numbers [N, candidates, 5 + classes]; float32 also under autocast."""
        at4 = self.stage4(self.stem(pictures))
        at8 = self.stage8(at4)
        at16 = self.stage16(at8)
        at32 = self.stage32(at16)
        wide16 = self.fuse16(torch.cat([at16, _twice(self.narrow32(at32))], 1))
        wide8 = self.fuse8(torch.cat([at8, _twice(self.narrow16(wide16))], 1))
        maps = (wide8, wide16, at32)
        outputs = [_rows(head(one)) for head, one in zip(self.heads, maps, strict=True)]
        return torch.cat(outputs, 1).float()


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, 3)
        self.second = _convolution(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class _Stage(nn.Module):
    """Residual blocks on half of the channels; every step's output reaches the end."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        half = width // 2
        self.enter = _convolution(width, width, 1)
        self.blocks = nn.ModuleList(_Residual(half) for _ in range(depth))
        self.leave = _convolution(half * (depth + 2), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        steps = list(self.enter(x).chunk(2, 1))
        for block in self.blocks:
            steps.append(block(steps[-1]))
        return self.leave(torch.cat(steps, 1))


def _convolution(inside: int, outside: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _rows(output: Tensor) -> Tensor:
    """[N, anchors x numbers, rows, columns] -> [N, anchors x rows x columns, numbers]."""
    batch, channels, rows, columns = output.shape
    anchors = len(ANCHORS_PX[0])
    numbers = output.view(batch, anchors, channels // anchors, rows, columns)
    return numbers.permute(0, 1, 3, 4, 2).reshape(batch, -1, channels // anchors)


@dataclass(frozen=True)
class Cells:
    """Where the candidates of a picture come from; all [candidates, 2] in pixels, x before y."""

    corners: Tensor
    anchors: Tensor
    strides: Tensor
    """[candidates, 1]."""

    @classmethod
    def of(cls, rows: int, columns: int, device: torch.device | None = None) -> Cells:
        """The cells of a picture of so many pixels."""
        corners, anchors, strides = [], [], []
        for stride, sizes in zip(STRIDES, ANCHORS_PX, strict=True):
            ys, xs = torch.meshgrid(
                torch.arange(rows // stride), torch.arange(columns // stride), indexing="ij"
            )
            grid = torch.stack([xs, ys], 2).reshape(-1, 2).float() * stride
            for size in sizes:
                corners.append(grid)
                anchors.append(torch.tensor(size, dtype=torch.float32).expand_as(grid))
                strides.append(torch.full((len(grid), 1), float(stride)))
        return cls(
            torch.cat(corners).to(device),
            torch.cat(anchors).to(device),
            torch.cat(strides).to(device),
        )

    @property
    def centres(self) -> Tensor:
        """The middles of the cells."""
        return self.corners + self.strides / 2

    def boxes(self, raw: Tensor) -> Tensor:
        """Raw numbers [..., candidates, >= 4] -> centre x, centre y, width, height in pixels."""
        part = torch.sigmoid(raw[..., _BOX])
        centre = self.corners + (2 * part[..., :2] - 0.5) * self.strides
        size = (2 * part[..., 2:4]) ** 2 * self.anchors
        return torch.cat([centre, size], -1)


def decode(raw: Tensor, cells: Cells) -> Tensor:
    """[N, candidates, 5 + classes]: box, objectness 0..1, share of each class (their sum is 1)."""
    objectness = torch.sigmoid(raw[..., _OBJECTNESS : _OBJECTNESS + 1])
    shares = torch.softmax(raw[..., _CLASSES], -1)
    return torch.cat([cells.boxes(raw), objectness, shares], -1)

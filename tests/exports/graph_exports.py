# mypy: disable-error-code="misc"
"""Exports of torchvision's detectors, and of small networks that answer as YOLOX and D-FINE do.

    .venv-exports/bin/python tests/exports/graph_exports.py OUT NAME

Weights are drawn, as in `ultralytics_exports`. What a library's own post-processing makes of the
picture is written beside the file: torchvision's is in its models, YOLOX's (`yolox.utils.
postprocess`) and D-FINE's (`DFINEPostProcessor`) are spelled out here, as they stand in their own
sources.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision  # type: ignore[import-not-found]
from torch import nn
from ultralytics_exports import (  # type: ignore[import-not-found]
    IOU,
    NAMES,
    THRESHOLD,
    picture,
)

SIDE_PX = 320
QUERIES = 60


class WithPictures(nn.Module):
    """A torchvision detector with an axis for pictures, as the service sends them."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (found,) = self.detector([images[0]])
        return found["boxes"][None], found["labels"][None], found["scores"][None]


class Bare(nn.Module):
    """As torchvision's documentation exports it: one picture, without an axis for pictures."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (found,) = self.detector([image])
        return found["boxes"], found["labels"], found["scores"]


class Backbone(nn.Module):
    """Features for each cell of three grids."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
        )
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU()) for _ in range(3)
        )
        self.heads = nn.ModuleList(nn.Conv2d(32, width, 1) for _ in range(3))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features, found = self.stem(images), []
        for step, head in zip(self.steps, self.heads, strict=True):
            features = step(features)
            found.append(head(features))
        return found


class YoloxLike(nn.Module):
    """[N, cells, 5 + classes]: centre and size in pixels, objectness and class scores.

    As `tools/export_onnx.py --decode_in_inference` of YOLOX: pictures in 0..255, BGR.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(5 + len(NAMES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = []
        for head, stride in zip(self.backbone(images / 64 - 2), (8, 16, 32), strict=True):
            height, width = head.shape[2:]
            down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grid = torch.stack([across, down], 2).reshape(1, -1, 2)
            cells = head.flatten(2).transpose(1, 2)
            rows.append(
                torch.cat(
                    [
                        (cells[..., :2] + grid) * stride,
                        torch.exp(cells[..., 2:4].clamp(-2, 2)) * 2 * stride,
                        cells[..., 4:].sigmoid(),
                    ],
                    2,
                )
            )
        return torch.cat(rows, 1)


class DFineLike(nn.Module):
    """`logits` [N, queries, classes] and `pred_boxes` [N, queries, 4], as D-FINE without its
    post-processor: pictures in 0..1, RGB."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(4 + len(NAMES))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cells = torch.cat([h.flatten(2) for h in self.backbone(images * 4 - 2)], 2).transpose(1, 2)
        queries = cells[:, :: cells.shape[1] // QUERIES][:, :QUERIES]
        centres = torch.linspace(0.1, 0.9, QUERIES)[None, :, None] + 0 * queries[..., :2]
        sizes = 0.05 + 0.1 * queries[..., 2:4].sigmoid()
        moved = centres + 0.1 * queries[..., :2].tanh()
        return queries[..., 4:], torch.cat([moved, sizes], 2)


def sure(network: nn.Module, scored: Any, wanted: int) -> None:
    """Scale the last layers until so many scores are above the threshold."""
    logits = scored().reshape(-1)
    gain = 2.0 / float(logits.std())
    top = torch.sort(logits * gain, descending=True).values
    offset = float(np.log(THRESHOLD / (1 - THRESHOLD))) - float(top[wanted])
    with torch.no_grad():
        for head in network.backbone.heads:
            head.weight[4:] *= gain
            head.bias[4:] *= gain
            head.bias[4:] += offset


def found(boxes: Any, scores: Any, numbers: Any) -> list[dict[str, Any]]:
    rows = zip(boxes.tolist(), scores.tolist(), numbers.tolist(), strict=True)
    return [
        {"box": box, "score": score, "class": int(number)}
        for box, score, number in rows
        if score > THRESHOLD
    ]


def yolox(folder: Path, image: np.ndarray) -> list[dict[str, Any]]:
    network = YoloxLike().eval()
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy()).float()[None]
    logits = torch.logit

    def classes() -> torch.Tensor:
        return logits(network(tensor)[..., 5:], 1e-6)

    with torch.no_grad():
        sure(network, classes, 120)
        for head in network.backbone.heads:
            head.bias[4] += 9
        export(network, tensor, folder, ["images"], ["output"])
        (rows,) = network(tensor)
    half = rows[:, 2:4] / 2
    boxes = torch.cat([rows[:, :2] - half, rows[:, :2] + half], 1)
    best, numbers = rows[:, 5:].max(1)
    scores = rows[:, 4] * best
    mask = scores >= THRESHOLD
    boxes, scores, numbers = boxes[mask], scores[mask], numbers[mask]
    kept = torchvision.ops.batched_nms(boxes, scores, numbers, IOU)
    return found(boxes[kept], scores[kept], numbers[kept])


def d_fine(folder: Path, image: np.ndarray) -> list[dict[str, Any]]:
    network = DFineLike().eval()
    tensor = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()).float()[None] / 255
    with torch.no_grad():
        sure(network, lambda: network(tensor)[0], 25)
        export(network, tensor, folder, ["images"], ["logits", "pred_boxes"])
        logits, boxes = network(tensor)
    # DFINEPostProcessor with focal loss: the best of all queries and classes together.
    scores = logits[0].sigmoid().flatten()
    scores, index = torch.topk(scores, QUERIES)
    numbers, queries = index % len(NAMES), index // len(NAMES)
    chosen = boxes[0][queries] * SIDE_PX
    half = chosen[:, 2:] / 2
    corners = torch.cat([chosen[:, :2] - half, chosen[:, :2] + half], 1)
    return found(corners, scores, numbers)


def torchvision_detector(
    name: str, folder: Path, image: np.ndarray, *, bare: bool = False
) -> list[dict[str, Any]]:
    kinds = {
        "ssd": torchvision.models.detection.ssdlite320_mobilenet_v3_large,
        "faster_rcnn": torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn,
    }
    more = {} if name == "ssd" else {"min_size": SIDE_PX, "max_size": SIDE_PX}
    detector = kinds[name](
        weights=None, weights_backbone=None, num_classes=1 + len(NAMES), **more
    ).eval()
    tensor = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()).float() / 255
    with torch.no_grad():
        for layer in detector.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 0.5
                layer.train()
        for _ in range(4):
            detector.backbone((tensor[None].repeat(2, 1, 1, 1) - 0.45) / 0.225)
        detector.eval()
        heads = [m for n, m in detector.named_modules() if n.endswith(("cls_score",))]
        heads += [
            m
            for n, m in detector.named_modules()
            if re.search(r"classification_head\.module_list\.\d+\.1$", n)
        ]
        for layer in heads:
            if name == "ssd":  # the first class of each anchor is "nothing"
                layer.bias.view(-1, 1 + len(NAMES))[:, 0] += 0.15
            layer.weight *= 5 if name == "ssd" else 250
        network = (Bare(detector) if bare else WithPictures(detector)).eval()
        given = tensor if bare else tensor[None]
        export(network, given, folder, ["images"], ["boxes", "labels", "scores"])
        (answer,) = detector([tensor])
    return found(answer["boxes"], answer["scores"], answer["labels"] - 1)


def export(
    network: nn.Module, tensor: torch.Tensor, folder: Path, inputs: list[str], outputs: list[str]
) -> None:
    torch.onnx.export(
        network,
        (tensor,),
        folder / "model.onnx",
        input_names=inputs,
        output_names=outputs,
        opset_version=17,
        dynamo=False,
    )


MAKERS = {
    "yolox": yolox,
    "d_fine": d_fine,
    "ssd": lambda folder, image: torchvision_detector("ssd", folder, image),
    "faster_rcnn": lambda folder, image: torchvision_detector("faster_rcnn", folder, image),
    "faster_rcnn_bare": lambda folder, image: torchvision_detector(
        "faster_rcnn", folder, image, bare=True
    ),
}


def main() -> None:
    """Make each."""
    out, *names = sys.argv[1:]
    for name in names or MAKERS:
        folder = Path(out) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(7)
        image = picture(SIDE_PX, SIDE_PX)
        cv2.imwrite(str(folder / "picture.png"), image)
        there = MAKERS[name](folder, image)
        told = {"task": "detect", "names": NAMES, "found": there}
        (folder / "expected.json").write_text(json.dumps(told))
        sys.stdout.write(f"{name}: ok: {len(there)} found\n")


if __name__ == "__main__":
    main()

"""Makes labels for trainers from the manifest alone: YOLO text and COCO JSON.

Pure. Every file derived from a data set is here, by its path within the set. `make train` takes
both; so do Ultralytics and programs that read COCO's layout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import orjson

from inspector.dataset.manifest import DataSet, FormatName, Picture, StoredLabel
from inspector.dataset.parts import PARTS

SHARE_DIGITS = 8
"""Digits of a share: in a picture of 10,000 pixels, a ten-thousandth of a pixel."""

Files = Mapping[str, bytes]
"""Files by their paths within the data set."""


def yolo(data_set: DataSet) -> Files:
    """`data.yaml`, and a text file for each picture: a line for each defect.

    A line is `class cx cy width height` in shares of the picture. Where any defect of a picture has
    a shape, all its lines are shapes, `class x1 y1 x2 y2 …`: trainers read a file in one way.
    """
    numbers = {code: number for number, code in enumerate(data_set.codes)}
    names = "".join(f"  {number}: {json.dumps(code)}\n" for code, number in numbers.items())
    # `val` is what trainers evaluate on; with a `test` beside it `make train` would train on `val`.
    said = f"path: .\ntrain: images/train\nval: images/test\nnames:\n{names}"
    files = {"data.yaml": said.encode()}
    for picture in data_set.inside:
        lines = _yolo_lines(picture, numbers)
        files[f"labels/{picture.part}/{picture.name}.txt"] = "".join(lines).encode()
    return files


def _yolo_lines(picture: Picture, numbers: Mapping[str, int]) -> list[str]:
    width, height = picture.size
    shapes = any(label.polygon_px is not None for label in picture.labels)
    lines = []
    for label in picture.labels:
        x, y, wide, high = label.bbox_px
        if shapes:
            shares = [
                part
                for corner_x, corner_y in label.polygon_px or _corners(label)
                for part in (corner_x / width, corner_y / height)
            ]
        else:
            shares = [
                (x + wide / 2) / width,
                (y + high / 2) / height,
                wide / width,
                high / height,
            ]
        said = " ".join(f"{min(1.0, max(0.0, share)):.{SHARE_DIGITS}f}" for share in shares)
        lines.append(f"{numbers[label.code]} {said}\n")
    return lines


def _corners(label: StoredLabel) -> Sequence[tuple[float, float]]:
    x, y, width, height = label.bbox_px
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def coco(data_set: DataSet) -> Files:
    """`annotations/instances_train.json` and `instances_test.json`."""
    numbers = {code: number for number, code in enumerate(data_set.codes, start=1)}
    files = {}
    for part in PARTS:
        pictures = [picture for picture in data_set.inside if picture.part == part]
        sheet = {
            "info": {"description": "exported by inspector"},
            "images": [
                {
                    "id": number,
                    "file_name": f"{picture.name}.jpg",
                    "width": picture.size[0],
                    "height": picture.size[1],
                }
                for number, picture in enumerate(pictures, start=1)
            ],
            "annotations": _annotations(pictures, numbers),
            "categories": [{"id": number, "name": code} for code, number in numbers.items()],
        }
        content = orjson.dumps(sheet, option=orjson.OPT_INDENT_2) + b"\n"
        files[f"annotations/instances_{part}.json"] = content
    return files


def _annotations(
    pictures: Sequence[Picture], numbers: Mapping[str, int]
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for image_id, picture in enumerate(pictures, start=1):
        for label in picture.labels:
            corners = label.polygon_px or _corners(label)
            found.append(
                {
                    "id": len(found) + 1,
                    "image_id": image_id,
                    "category_id": numbers[label.code],
                    "bbox": list(label.bbox_px),
                    "area": _area(corners),
                    "segmentation": [[part for corner in corners for part in corner]],
                    "iscrowd": 0,
                }
            )
    return found


def _area(corners: Sequence[tuple[float, float]]) -> float:
    sides = zip(corners, (*corners[1:], corners[0]), strict=True)
    return round(abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in sides)) / 2, 2)


FORMATS: Mapping[FormatName, Callable[[DataSet], Files]] = {"yolo": yolo, "coco": coco}

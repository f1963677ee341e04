"""Labels as trainers read them."""

from __future__ import annotations

import json

import yaml

from inspector.dataset.formats import coco, yolo
from inspector.dataset.labels import LeftOut
from inspector.dataset.manifest import DataSet
from tests.kit.data_sets import picture

BOX = {"code": "short", "bbox_px": [64.0, 48.0, 32.0, 24.0]}
SHAPE = {
    "code": "open",
    "bbox_px": [10.0, 20.0, 30.0, 40.0],
    "polygon_px": [[10.0, 20.0], [40.0, 30.0], [20.0, 60.0]],
}


def data_set() -> DataSet:
    found = DataSet("yolo", ["open", "short"])
    one, both = picture("4", "A", BOX), picture("5", "B", BOX, SHAPE)
    gone = picture("6", "D", BOX, left_out=LeftOut.UNSURE)
    found.pictures = {p.sha256: p for p in (one, both, picture("0", "C"), gone)}
    return found


def test_yolo_has_a_line_for_each_box_and_nothing_for_a_good_unit() -> None:
    files = yolo(data_set())
    assert (
        files[f"labels/train/{'4' * 20}.txt"] == b"1 0.12500000 0.12500000 0.05000000 0.05000000\n"
    )
    assert files[f"labels/test/{'0' * 20}.txt"] == b""
    assert not any("6666" in name for name in files)
    assert yaml.safe_load(files["data.yaml"]) == {
        "path": ".",
        "train": "images/train",
        "val": "images/test",
        "names": {0: "open", 1: "short"},
    }


def test_where_one_label_is_a_shape_all_lines_of_its_picture_are() -> None:
    box, shape = yolo(data_set())[f"labels/train/{'5' * 20}.txt"].decode().splitlines()
    shares = [float(share) for share in box.split()[1:]]
    assert shares == [0.1, 0.1, 0.15, 0.1, 0.15, 0.15, 0.1, 0.15]
    assert shape.startswith("0 0.01562500 0.04166667 0.06250000 0.06250000 ")


def test_coco_has_boxes_shapes_and_areas() -> None:
    sheets = {name: json.loads(content) for name, content in coco(data_set()).items()}
    train = sheets["annotations/instances_train.json"]
    assert [image["file_name"] for image in train["images"]] == [
        "4" * 20 + ".jpg",
        "5" * 20 + ".jpg",
    ]
    assert train["categories"] == [{"id": 1, "name": "open"}, {"id": 2, "name": "short"}]
    found = [
        (a["id"], a["image_id"], a["category_id"], a["bbox"], a["area"])
        for a in train["annotations"]
    ]
    assert found == [
        (1, 1, 2, [64, 48, 32, 24], 768),
        (2, 2, 2, [64, 48, 32, 24], 768),
        (3, 2, 1, [10, 20, 30, 40], 550),
    ]
    assert train["annotations"][2]["segmentation"] == [[10, 20, 40, 30, 20, 60]]
    test = sheets["annotations/instances_test.json"]
    assert (len(test["images"]), test["annotations"]) == (1, [])


def test_a_code_may_be_any_text() -> None:
    odd = DataSet("yolo", ['a: "b"', "Lötbrücke"])
    assert yaml.safe_load(yolo(odd)["data.yaml"])["names"] == {0: 'a: "b"', 1: "Lötbrücke"}

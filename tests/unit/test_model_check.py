"""What Triton says of a model, set against the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inspector.configuration import build_settings
from inspector.errors import ConfigurationError
from inspector.inference.model_check import (
    ModelDescription,
    TensorDescription,
    VersionWatch,
    check_model,
    no_such_model,
)
from inspector.records import OutputLayout
from inspector.settings import Settings

PICTURE = TensorDescription(name="image", dtype="UINT8", shape=(-1, 480, 640, 3))
DETECTIONS = tuple(
    TensorDescription(name=name, dtype=dtype, shape=(-1, 100))
    for name, dtype in (
        ("boxes", "FP32"),
        ("scores", "FP32"),
        ("classes", "INT32"),
        ("count", "INT32"),
    )
)
ENSEMBLE = ModelDescription(
    name="m",
    version="1",
    inputs=(PICTURE,),
    outputs=DETECTIONS,
    max_batch_size=8,
    decoupled=False,
    parameters={},
)


def settings(**sections: Any) -> Settings:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "64x64"}},
    }
    return build_settings(Settings, {**content, **sections})


def head(*shape: int, dtype: str = "FP32") -> ModelDescription:
    output = TensorDescription(name="out", dtype=dtype, shape=(-1, *shape))
    return replace(ENSEMBLE, outputs=(output,))


def picture(*shape: int, dtype: str = "UINT8") -> ModelDescription:
    return replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(-1, *shape), dtype=dtype),))


def refusal(description: ModelDescription, **sections: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        check_model(description, settings(**sections))
    (problem,) = refused.value.problems
    return problem


def test_an_ensemble_with_detections_fits():
    spec = check_model(ENSEMBLE, settings())
    assert spec.layout is OutputLayout.DETECTIONS
    assert (spec.input.width_px, spec.input.height_px) == (640, 480)
    assert not spec.input.channels_first
    assert not spec.input.rgb, "a picture in bytes is as OpenCV makes it"
    assert spec.max_regions == 8


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((25200, 11), OutputLayout.YOLO_WITH_OBJECTNESS),
        ((10, 8400), OutputLayout.YOLO_TRANSPOSED),
    ],
)
def test_a_raw_head_is_told_by_its_shape(shape, layout):
    spec = check_model(head(*shape), settings())
    assert spec.layout is layout
    assert spec.outputs == ("out",)


def test_a_float_input_is_taken_as_training_makes_it():
    spec = check_model(picture(3, 480, 640, dtype="FP32"), settings())
    assert spec.input.channels_first
    assert spec.input.rgb
    assert (spec.input.width_px, spec.input.height_px) == (640, 480)


@pytest.mark.parametrize(
    ("told", "set_to", "rgb"),
    [("rgb", "auto", True), ("RGB", "auto", True), ("rgb", "bgr", False), ("bgr", "rgb", True)],
)
def test_the_settings_word_on_colour_is_stronger_than_the_models(told, set_to, rgb):
    description = replace(ENSEMBLE, parameters={"colour": told})
    assert check_model(description, settings(inference={"colour": set_to})).input.rgb is rgb


def test_a_model_without_a_batch_dimension_may_have_one_in_its_shape():
    fixed = replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(4, 480, 640, 3)),), max_batch_size=0)
    assert check_model(fixed, settings()).max_regions == 4


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        (
            replace(ENSEMBLE, decoupled=True),
            "model m: decoupled; expected one reply per request",
        ),
        (
            replace(ENSEMBLE, max_batch_size=3),
            (
                "batching.max_regions is 4, but model m takes at most 3 per request "
                "(its max_batch_size)"
            ),
        ),
        (
            replace(ENSEMBLE, max_batch_size=0, inputs=(replace(PICTURE, shape=(480, 640, 3)),)),
            "model m: takes no batches; expected max_batch_size of 1 or more",
        ),
        (
            picture(480, 640, 3, dtype="FP16"),
            'model m: input "image" is FP16; expected UINT8 or FP32',
        ),
        (
            picture(3, -1, -1),
            (
                'model m: input "image" has shape [-1, 3, -1, -1]; expected [N,3,height,width] or '
                "[N,height,width,3] with fixed height and width"
            ),
        ),
        (
            picture(480, 640, 1),
            (
                'model m: input "image" has shape [-1, 480, 640, 1]; expected [N,3,height,width] '
                "or [N,height,width,3] with fixed height and width"
            ),
        ),
        (
            replace(ENSEMBLE, inputs=(PICTURE, replace(PICTURE, name="mask"))),
            "model m has 2 inputs (image, mask); expected one picture",
        ),
        (
            replace(ENSEMBLE, outputs=DETECTIONS[:2]),
            (
                "model m has outputs boxes, scores; expected boxes, scores, classes, count, "
                "or one raw YOLO head"
            ),
        ),
        (
            head(25200, 8),
            ('inspection.codes names 6 classes, but model m has 3 (output "out" [-1, 25200, 8])'),
        ),
        (
            head(84, 8400),
            ('inspection.codes names 6 classes, but model m has 80 (output "out" [-1, 84, 8400])'),
        ),
        (
            head(25200, 11, dtype="FP16"),
            (
                'model m: output "out" is FP16 [-1, 25200, 11]; expected a YOLO head, '
                "FP32 [N,candidates,11] or [N,10,candidates]"
            ),
        ),
        (
            replace(ENSEMBLE, parameters={"classes": "open, short"}),
            (
                "inspection.codes is open, short, mousebite, spur, copper, pin-hole, "
                "but model m was built for: open, short"
            ),
        ),
        (
            replace(ENSEMBLE, parameters={"score_threshold": "0.8"}),
            (
                "inspection.threshold goes down to 0.7, but model m reports nothing below 0.8 "
                "(its score_threshold)"
            ),
        ),
        (
            replace(ENSEMBLE, parameters={"score_threshold": "low"}),
            'model m: its parameter score_threshold is "low"; expected a number',
        ),
        (
            replace(ENSEMBLE, outputs=(*DETECTIONS[:3], replace(DETECTIONS[3], dtype="FP32"))),
            'model m: output "count" is FP32; expected integers',
        ),
        (
            replace(ENSEMBLE, parameters={"colour": "grey"}),
            'model m: its parameter colour is "grey"; expected bgr or rgb',
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused_and_both_sides_are_named(description, sentence):
    assert refusal(description) == sentence


def test_an_input_the_model_does_not_have_is_named_beside_those_it_has():
    told = refusal(ENSEMBLE, inference={"input": "images"})
    assert told == 'inference.input is "images", but model m has: image'


def test_a_model_that_is_not_there_is_named_beside_those_that_are():
    assert no_such_model("pcb_inspektion", ["pcb_inspection", "other"]) == (
        'inference.model is "pcb_inspektion", but the server has: pcb_inspection, other; '
        'did you mean "pcb_inspection"?'
    )
    assert no_such_model("m", []) == 'inference.model is "m", but the server has: no model at all'


def test_another_version_that_answers_is_compared_first_and_once() -> None:
    one = check_model(ENSEMBLE, settings())
    two = replace(one, version="2")
    watch = VersionWatch()
    assert not watch.objection(one, "1")
    assert not watch.objection(one, "")
    assert watch.objection(one, "2") == "version 2 of the model answers, 1 was checked"
    assert not watch.objection(two, "2"), "compared"
    assert watch.objection(two, "1"), "the old one is back"
    assert not watch.objection(one, "1")
    assert watch.objection(one, "2"), "and the new one again"
    assert not watch.objection(one, "2"), "its description still names the old one: believed"

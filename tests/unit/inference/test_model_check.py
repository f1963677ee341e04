"""What Triton says of a model, set against the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import HEADS
from inspector.core.records import ModelSpec
from inspector.inference.description import ModelDescription, TensorDescription
from inspector.inference.model_check import (
    VersionMonitor,
    check_model,
    no_such_model,
)
from inspector.inference.outputs.detections import DetectionsReader
from inspector.inference.outputs.registry import KINDS
from inspector.inference.outputs.yolo import Head, HeadLayout, YoloReader
from inspector.pipeline.terms import model_terms
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings

PICTURE = TensorDescription(name="image", dtype="UINT8", shape=(-1, 480, 640, 3))
SQUARE = TensorDescription(name="image", dtype="UINT8", shape=(-1, 640, 640, 3))
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
    return replace(ENSEMBLE, inputs=(SQUARE,), outputs=(output,))


def picture(*shape: int, dtype: str = "UINT8") -> ModelDescription:
    return replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(-1, *shape), dtype=dtype),))


def refusal(description: ModelDescription, **sections: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        check_model(description, model_terms(settings(**sections)).needs)
    (problem,) = refused.value.problems
    return problem


def head_of(spec: ModelSpec) -> Head:
    assert isinstance(spec.reader, YoloReader)
    return spec.reader.head


def test_an_ensemble_with_detections_fits():
    spec = check_model(ENSEMBLE, model_terms(settings()).needs)
    assert isinstance(spec.reader, DetectionsReader)
    assert spec.reader.classes == 6
    assert (spec.input.width_px, spec.input.height_px) == (640, 480)
    assert not spec.input.channels_first
    assert not spec.input.rgb, "a picture in bytes is as OpenCV makes it"
    assert (spec.input.most, spec.input.exactly) == (8, 0)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((25200, 11), HeadLayout.WITH_OBJECTNESS),
        ((10, 8400), HeadLayout.TRANSPOSED),
    ],
)
def test_a_raw_head_is_told_by_its_shape(shape, layout):
    spec = check_model(head(*shape), model_terms(settings()).needs)
    assert spec.reader.outputs == ("out",)
    assert head_of(spec) == Head(layout, 6, (max(shape),))


def test_a_head_whose_candidates_are_not_told_is_held_to_the_grids_at_its_replies():
    spec = check_model(head(-1, 11), model_terms(settings()).needs)
    assert head_of(spec).layout is HeadLayout.WITH_OBJECTNESS
    assert 25200 in head_of(spec).candidates
    assert 300 not in head_of(spec).candidates


def parameters(**told: str) -> ModelDescription:
    return replace(ENSEMBLE, parameters=told)


SIX = "{0: 'open', 1: 'short', 2: 'mousebite', 3: 'spur', 4: 'copper', 5: 'pin-hole'}"


def test_a_float_input_is_taken_as_training_makes_it():
    spec = check_model(picture(3, 480, 640, dtype="FP32"), model_terms(settings()).needs)
    assert spec.input.channels_first
    assert spec.input.rgb
    assert (spec.input.width_px, spec.input.height_px) == (640, 480)


@pytest.mark.parametrize(
    ("told", "set_to", "rgb"),
    [("rgb", "auto", True), ("RGB", "auto", True), ("rgb", "bgr", False), ("bgr", "rgb", True)],
)
def test_the_settings_word_on_colour_is_stronger_than_the_models(told, set_to, rgb):
    description = replace(ENSEMBLE, parameters={"colour": told})
    assert (
        check_model(
            description, model_terms(settings(inference={"colour": set_to})).needs
        ).input.rgb
        is rgb
    )


@pytest.mark.parametrize(("told", "own"), [({}, False), ({"scale": "own"}, True)])
def test_a_model_says_that_it_was_trained_at_the_pictures_own_scale(told, own):
    assert check_model(parameters(**told), model_terms(settings()).needs).input.own_scale is own


def test_a_model_without_a_batch_dimension_may_have_one_in_its_shape():
    single = replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(1, 480, 640, 3)),), max_batch_size=0)
    needs = model_terms(settings(batching={"max_regions": 1})).needs
    assert check_model(single, needs).input.most == 1


def test_a_graph_for_one_number_of_pictures_is_filled_up_to_it():
    fixed = replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(4, 480, 640, 3)),), max_batch_size=0)
    spec = check_model(fixed, model_terms(settings()).needs)
    assert (spec.input.most, spec.input.exactly) == (4, 4)


def test_a_graph_for_more_pictures_than_any_request_holds_is_refused():
    fixed = replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(65, 480, 640, 3)),), max_batch_size=0)
    assert refusal(fixed) == (
        "model m: takes exactly 65 pictures per request; expected any number up to a limit (export "
        "it with a dynamic batch), or at most 64"
    )


def test_requests_are_as_large_as_the_model_takes_them():
    assert (
        check_model(replace(ENSEMBLE, max_batch_size=3), model_terms(settings()).needs).input.most
        == 3
    )


def test_inputs_beside_the_picture_are_refused_because_nobody_sends_them():
    two = replace(ENSEMBLE, inputs=(PICTURE, replace(PICTURE, name="orig_target_sizes")))
    assert refusal(two) == ("model m has 2 inputs (image, orig_target_sizes); expected one picture")
    assert refusal(two, inference={"input": "image"}) == (
        "model m has 2 inputs (image, orig_target_sizes), and only image is sent; expected "
        "orig_target_sizes within the model"
    )


FLOATS = replace(ENSEMBLE, inputs=(replace(PICTURE, shape=(-1, 3, 480, 640), dtype="FP32"),))


def told_of_its_input(**told: str) -> ModelDescription:
    return replace(FLOATS, parameters=told)


def test_mean_and_deviation_are_the_models_own_word_or_the_settings():
    own = check_model(
        told_of_its_input(mean="0.485,0.456,0.406", deviation="0.229,0.224,0.225", padding="0"),
        model_terms(settings()).needs,
    )
    assert own.input.mean == (0.485, 0.456, 0.406)
    assert own.input.deviation == (0.229, 0.224, 0.225)
    assert (own.input.white, own.input.padding) == (1.0, 0)
    assert not own.range_is_assumed, "a mean says what the range is"
    stated = check_model(
        FLOATS,
        model_terms(
            settings(inference={"mean": [123.7, 116.3, 103.5], "deviation": [58.4, 57.1, 57.4]})
        ).needs,
    )
    assert (stated.input.mean, stated.input.white) == ((123.7, 116.3, 103.5), 255.0)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"mean": "0.5"},
            (
                'model m: its parameter mean is "0.5"; expected three numbers with commas, for '
                "red, green and blue"
            ),
        ),
        (
            {"deviation": "0,1,1"},
            "model m: its parameter deviation is (0.0, 1.0, 1.0); expected numbers above 0",
        ),
        ({"padding": "256"}, 'model m: its parameter padding is "256"; expected 0 to 255'),
    ],
)
def test_what_a_model_says_of_its_input_is_one_sentence_where_it_is_wrong(told, sentence):
    assert refusal(told_of_its_input(**told)) == sentence


def test_a_mean_for_bytes_is_refused():
    assert refusal(ENSEMBLE, inference={"mean": [0.5, 0.5, 0.5]}) == (
        "inference.mean or deviation is set, but the input of model m is UINT8, which is 0..255"
    )


def test_halves_are_read_as_floats():
    halves = replace(
        head(25200, 11),
        inputs=(replace(PICTURE, shape=(-1, 3, 640, 640), dtype="FP16"),),
        outputs=(replace(head(25200, 11).outputs[0], dtype="FP16"),),
    )
    spec = check_model(halves, model_terms(settings()).needs)
    assert (spec.input.dtype, spec.range_is_assumed) == ("FP16", True)


OTHER_SIX = "scratch,dent,stain,crack,burr,hole"


def test_a_network_of_other_classes_in_an_ensemble_is_refused_by_its_own_file():
    trained = replace(ENSEMBLE, files={"pcb_detector": {"classes": OTHER_SIX}})
    assert refusal(trained) == (
        "inspection.codes is open, short, mousebite, spur, copper, pin-hole, but model "
        "pcb_detector was built for: scratch, dent, stain, crack, burr, hole"
    )


def test_the_names_in_a_file_are_compared_as_those_in_the_configuration():
    swapped = "{0: 'short', 1: 'open', 2: 'mousebite', 3: 'spur', 4: 'copper', 5: 'pin-hole'}"
    assert refusal(replace(ENSEMBLE, files={"m": {"names": swapped}})) == (
        "inspection.codes is open, short, mousebite, spur, copper, pin-hole, but the file of model "
        "m names: short, open, mousebite, spur, copper, pin-hole"
    )


def test_a_file_that_says_who_exported_it_says_its_range():
    known = replace(FLOATS, files={"m": {"author": "Ultralytics", "names": SIX}})
    assert not check_model(known, model_terms(settings()).needs).range_is_assumed


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        (
            replace(ENSEMBLE, decoupled=True),
            "model m: decoupled; expected one reply per request",
        ),
        (
            replace(ENSEMBLE, max_batch_size=0, inputs=(replace(PICTURE, shape=(480, 640, 3)),)),
            "model m: takes no batches; expected max_batch_size of 1 or more",
        ),
        (
            picture(480, 640, 3, dtype="FP64"),
            'model m: input "image" is FP64; expected UINT8, FP32 or FP16',
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
                "model m has outputs boxes, scores; expected "
                + ", or ".join(dict.fromkeys(kind.EXPECTS for kind in KINDS))
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
            head(7, 8400),
            ('inspection.codes names 6 classes, but model m has 3 (output "out" [-1, 7, 8400])'),
        ),
        (
            head(11, 8400),
            (
                'inspection.codes names 6 classes, but model m has 7 (output "out" [-1, 11, 8400])'
                "; one of oriented boxes, whose last row is an angle, has to be called so: "
                '[inference] head = "oriented"'
            ),
        ),
        (
            head(20000, 11),
            (
                'model m: output "out" [-1, 20000, 11] is no YOLO head for pictures of 640x640; '
                "expected FP32 [N,25200,11] or [N,10,8400]"
            ),
        ),
        (
            head(300, 10),
            (
                'model m: output "out" [-1, 300, 10] looks like an RT-DETR head of 6 classes; '
                'which it is has to be said: [inference] head = "rt_detr"'
            ),
        ),
        (
            head(8400, 10),
            (
                'model m: output "out" [-1, 8400, 10] looks like a YOLOv8 head of 6 classes with '
                "its axes swapped, or like a YOLOX head of 5 classes in pixels, or like a YOLOX "
                "head of 5 classes that is not decoded; which it is has to be said: "
                '[inference] head = "candidates_first" or "with_objectness" or "yolox"'
            ),
        ),
        (
            replace(ENSEMBLE, sequences=True),
            ("model m: has sequence_batching; expected one that takes each request by itself"),
        ),
        (
            parameters(metadata="{'task': 'segment'}"),
            'model m: its metadata names the task "segment"; expected detect',
        ),
        (
            replace(head(25200, 11), parameters={"metadata": "{'end2end': True}"}),
            (
                "model m: its metadata says that it answers after non-maximum suppression (end2end "
                "or nms); expected the head without it (nms=False, end2end=False)"
            ),
        ),
        (
            parameters(
                metadata="{'names': " + SIX.replace("open", "x").replace("short", "open") + "}"
            ),
            (
                "inspection.codes is open, short, mousebite, spur, copper, pin-hole, but the "
                "metadata of model m names: x, open, mousebite, spur, copper, pin-hole"
            ),
        ),
        (
            parameters(metadata='{"names": {"0": "open", "1": "short"}}'),
            (
                "inspection.codes is open, short, mousebite, spur, copper, pin-hole, but the "
                "metadata of model m names: open, short"
            ),
        ),
        (
            head(25200, 11, dtype="BF16"),
            (
                'model m: output "out" is BF16 [-1, 25200, 11]; expected a YOLO head, '
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
        (
            replace(ENSEMBLE, parameters={"scale": "0.5"}),
            (
                'model m: its parameter scale is "0.5"; expected "own" where it was trained on '
                "pictures at their own scale, or no such parameter"
            ),
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
    one = check_model(ENSEMBLE, model_terms(settings()).needs)
    two = replace(one, version="2")
    monitor = VersionMonitor()
    assert not monitor.objection(one, "1")
    assert not monitor.objection(one, "")
    assert monitor.objection(one, "2") == "version 2 of the model answers, 1 was checked"
    assert not monitor.objection(two, "2"), "compared"
    assert monitor.objection(two, "1"), "the old one is back"
    assert not monitor.objection(one, "1")
    assert monitor.objection(one, "2"), "and the new one again"
    assert not monitor.objection(one, "2"), "its description still names the old one: believed"


END_TO_END = "an end-to-end export (left, top, right, bottom, score, class number)"


@pytest.mark.parametrize("codes", [["dent"], ["dent", "scratch"], [f"c{n}" for n in range(80)]])
@pytest.mark.parametrize("rows", [20, 300, 900, 1000, 1234, -1])
def test_an_end_to_end_export_is_named_and_never_read_whatever_the_number_of_codes(codes, rows):
    told = refusal(head(rows, 6), inspection={"codes": codes, "threshold": 0.5})
    assert END_TO_END in told
    assert "classes, but" not in told, "nobody can know how many classes it has"


@pytest.mark.parametrize("codes", [["dent"], ["dent", "scratch"]])
def test_a_query_head_of_two_classes_is_named_whatever_the_number_of_codes(codes):
    told = refusal(head(400, 6), inspection={"codes": codes, "threshold": 0.5})
    assert "an RT-DETR head of 2 classes" in told
    assert "names" not in told


def test_one_class_is_read_where_the_rows_are_those_of_the_grids():
    one = {"codes": ["dent"], "threshold": 0.5}
    yolov5 = check_model(head(25200, 6), model_terms(settings(inspection=one)).needs)
    yolov8 = check_model(head(5, 8400), model_terms(settings(inspection=one)).needs)
    assert head_of(yolov5).layout is HeadLayout.WITH_OBJECTNESS
    assert head_of(yolov8).layout is HeadLayout.TRANSPOSED
    assert END_TO_END in refusal(head(8400, 6), inspection=one), "or many rows after suppression"


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (1280, 1280, (100800, 11)),
        (1280, 1280, (102000, 11)),
        (640, 640, (6000, 11)),
        (320, 192, (3 * 1260, 11)),
        (416, 416, (10647, 11)),
        (640, 480, (10, 6300)),
        (640, 640, (10, 34000)),
        (64, 64, (252, 11)),
    ],
    ids=["p5", "p6", "tiny", "oblong", "416", "v8 oblong", "p2", "small"],
)
def test_the_grids_follow_the_size_of_the_picture(width, height, shape):
    square = replace(SQUARE, shape=(-1, height, width, 3))
    spec = check_model(replace(head(*shape), inputs=(square,)), model_terms(settings()).needs)
    assert head_of(spec).candidates


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "not a dictionary",
        "[" * 5000,
        "{'names': {1: 'a'}}",
        "{'names': 7}",
        f"{{'names': {SIX}}}",
        "{'names': ['D1', 'D2', 'D3', 'D4', 'D5', 'D6']}",
        "{'end2end': False, 'args': {'nms': False}}",
        "{'names': ['Open', 'SHORT', 'mousebite', 'spur', 'copper', 'pin_hole'], 'task': 'detect'}",
    ],
)
def test_notes_that_contradict_nothing_change_nothing(metadata):
    assert check_model(parameters(metadata=metadata), model_terms(settings()).needs).name == "m"


REFERENCE = {"channels": "unit, reference"}


def test_a_model_with_a_reference_says_so_and_has_two_channels():
    needs = replace(model_terms(settings()).needs, is_for_reference=None)
    for shape, first in (((480, 640, 2), False), ((2, 480, 640), True)):
        spec = check_model(replace(picture(*shape), parameters=REFERENCE), needs)
        assert spec.input.takes_reference
        assert spec.input.channels_first == first
        assert spec.input.shape == shape
    assert not check_model(ENSEMBLE, needs).input.takes_reference


@pytest.mark.parametrize(
    ("shape", "told", "expected"),
    [
        ((480, 640, 2), {}, "one that takes a reference says so"),
        ((480, 640, 3), REFERENCE, "expected [N,2,height,width] or [N,height,width,2]"),
        ((480, 640, 2), {"channels": "reference,unit"}, "expected [N,3,height,width]"),
    ],
)
def test_channels_that_contradict_the_shape_are_refused(shape, told, expected):
    needs = replace(model_terms(settings()).needs, is_for_reference=None)
    with pytest.raises(ConfigurationError) as refused:
        check_model(replace(picture(*shape), parameters=told), needs)
    assert expected in str(refused.value)


def test_the_stations_own_model_takes_a_picture_alone_and_a_golden_one_a_reference_too():
    golden = replace(picture(480, 640, 2), parameters=REFERENCE)
    assert "expected one that takes a picture alone" in refusal(golden)
    needs = replace(model_terms(settings()).needs, is_for_reference=True)
    with pytest.raises(ConfigurationError, match="expected one that takes a unit beside its ref"):
        check_model(ENSEMBLE, needs)


@pytest.mark.parametrize(
    ("told", "set_to", "white", "assumed"),
    [
        ({}, "auto", 1.0, True),
        ({"pixel_range": "0..255"}, "auto", 255.0, False),
        ({"pixel_range": "0..255"}, "0..1", 1.0, False),
        ({}, "0..255", 255.0, False),
    ],
)
def test_the_settings_word_on_the_range_is_stronger_than_the_models(told, set_to, white, assumed):
    floats = replace(picture(3, 480, 640, dtype="FP32"), parameters=told)
    spec = check_model(floats, model_terms(settings(inference={"pixel_range": set_to})).needs)
    assert spec.input.white == white
    assert spec.range_is_assumed is assumed


def test_bytes_have_one_range():
    assert not check_model(ENSEMBLE, model_terms(settings()).needs).range_is_assumed
    told = refusal(ENSEMBLE, inference={"pixel_range": "0..1"})
    assert told.endswith("but the input of model m is UINT8, which is 0..255")
    told = refusal(replace(ENSEMBLE, parameters={"pixel_range": "255"}))
    assert told == 'model m: its parameter pixel_range is "255"; expected 0..1 or 0..255'


END_TO_END_NOTES = {"metadata": "{'task': 'detect', 'args': {'nms': True}}"}


@pytest.mark.parametrize(
    ("shape", "told", "set_to", "kind"),
    [
        ((300, 6), END_TO_END_NOTES, "auto", "an end-to-end export"),
        ((300, 6), {"head": "end_to_end"}, "auto", "an end-to-end export"),
        ((300, 6), {"head": "rt_detr"}, "end_to_end", "an end-to-end export"),
        ((300, 10), {}, "rt_detr", "an RT-DETR head"),
        ((8400, 10), {}, "candidates_first", "a YOLO head [candidates, 4 + classes]"),
        ((8400, 11), {}, "with_objectness", "a YOLO head [candidates, 5 + classes]"),
        ((10, 8400), {}, "transposed", "a YOLO head [4 + classes, candidates]"),
    ],
)
def test_a_stated_layout_is_taken_and_the_settings_word_is_the_stronger(shape, told, set_to, kind):
    needs = model_terms(settings(inference={"head": set_to})).needs
    assert check_model(replace(head(*shape), parameters=told), needs).reader.kind == kind


@pytest.mark.parametrize(
    ("description", "stated", "sentence"),
    [
        (
            head(300, 9),
            "rt_detr",
            (
                'model m: output "out" [-1, 300, 9] is no "rt_detr" head of the 6 classes that '
                "inspection.codes names; expected 10 columns where it has 9"
            ),
        ),
        (
            replace(head(300, 6), outputs=DETECTIONS[:2]),
            "end_to_end",
            'model m has outputs boxes, scores; expected one, as head is "end_to_end"',
        ),
        (
            replace(head(300, 6), parameters={"head": "yolo"}),
            "auto",
            'model m: its parameter head is "yolo"; expected one of: ' + ", ".join(HEADS),
        ),
    ],
)
def test_a_stated_layout_that_does_not_fit_is_refused(description, stated, sentence):
    assert refusal(description, inference={"head": stated}) == sentence


def test_names_in_a_parameter_of_their_own_are_compared():
    for names in ("short,open,mousebite,spur,copper,pin-hole", '["short", "open"]'):
        assert "but the metadata of model m names: short, open" in refusal(parameters(names=names))

"""What becomes of an ONNX file in a repository, and what is refused with a way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.commands.model.entry import (
    Entry,
    config_text,
    described,
    model_name,
    parameters,
    picture_of,
    size_of,
)
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import Stated
from inspector.embedded.triton.onnx_files import GraphFacts, GraphTensor
from inspector.inference.model_check import ModelNeeds, check_model

ULTRALYTICS = {
    "author": "Ultralytics",
    "names": "{0: 'dent', 1: 'Kr\"atzer'}",
    "task": "detect",
    "imgsz": "[320, 640]",
    "args": "{'nms': False}",
}


def tensor(name: str, *shape: int, dtype: str = "FP32") -> GraphTensor:
    return GraphTensor(name=name, dtype=dtype, shape=shape)


def graph(*shape: int, metadata: dict[str, str] | None = None) -> GraphFacts:
    return GraphFacts(
        inputs=(tensor("images", *shape),),
        outputs=(tensor("output0", shape[0], 6, 4200),),
        metadata=ULTRALYTICS if metadata is None else metadata,
        producer="pytorch",
    )


def entry(facts: GraphFacts, batch: int, **more: Any) -> Entry:
    return Entry(
        name="best",
        facts=facts,
        height_px=320,
        width_px=640,
        max_batch_size=batch,
        shapes={"output0": (6, 4200)},
        **more,
    )


def config_of(made: Entry) -> Any:
    config = model_config_pb2.ModelConfig()
    text_format.Parse(config_text(made, made_by="made here"), config)
    return config


def test_a_dynamic_batch_becomes_triton_s_own() -> None:
    config = config_of(entry(graph(-1, 3, -1, -1), 8))
    assert (config.name, config.max_batch_size) == ("best", 8)
    assert list(config.input[0].dims) == [3, 320, 640]
    assert list(config.output[0].dims) == [6, 4200]
    assert config.HasField("dynamic_batching")


def test_a_fixed_batch_is_a_dimension_of_its_tensors() -> None:
    config = config_of(entry(graph(4, 3, 320, 640), 0, pictures=4))
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [4, 3, 320, 640]
    assert list(config.output[0].dims) == [4, 6, 4200]
    assert not config.HasField("dynamic_batching")


def test_what_the_exporter_and_the_person_said_is_in_the_entry_and_read_from_it() -> None:
    stated = Stated(
        head="transposed", pixel_range="0..1", enlarge=True, mean=(0.5, 0.25, 0.125), padding=0
    )
    made = entry(graph(-1, 3, 320, 640), 8, stated=stated)
    config = config_of(made)
    told = {key: value.string_value for key, value in config.parameters.items()}
    assert {key: told[key] for key in parameters(made)} == parameters(made)
    needs = ModelNeeds(codes=("dent", 'Kr"atzer'), lowest_threshold=0.5)
    spec = check_model(replace(described(made), parameters=told, files={}), needs)
    assert spec.input.enlarges
    assert (spec.input.mean, spec.input.padding) == ((0.5, 0.25, 0.125), 0)
    assert not spec.range_is_assumed
    with pytest.raises(ConfigurationError, match="the metadata of model best names: dent"):
        check_model(
            replace(described(made), parameters=told, files={}),
            replace(needs, codes=('Kr"atzer', "dent")),
        )


def test_names_that_only_the_person_says_are_kept() -> None:
    made = entry(graph(-1, 3, 320, 640, metadata={}), 8, names=("a,b", "c"))
    assert parameters(made) == {"names": '["a,b", "c"]'}


@pytest.mark.parametrize(
    ("shape", "wanted", "size"),
    [
        ((1, 3, 320, 640), None, (320, 640)),
        ((-1, 3, -1, -1), None, (320, 640)),
        ((-1, 3, -1, -1), (64, 96), (64, 96)),
        ((1, 3, 32, 64), None, (32, 64)),
        ((1, 32, 64, 3), None, (32, 64)),
    ],
)
def test_the_size_is_the_file_s_or_the_exporter_s_or_the_person_s(
    shape: tuple[int, ...], wanted: tuple[int, int] | None, size: tuple[int, int]
) -> None:
    assert size_of("m.onnx", tensor("images", *shape), ULTRALYTICS, wanted) == size


def test_a_size_that_nobody_says_or_that_contradicts_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="expected --size WIDTHxHEIGHT"):
        size_of("m.onnx", tensor("images", -1, 3, -1, -1), {}, None)
    with pytest.raises(ConfigurationError, match="takes pictures of 64x32; --size says 9x9"):
        size_of("m.onnx", tensor("images", 1, 3, 32, 64), {}, (9, 9))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([tensor("images", 1, 3, 9, 9), tensor("sizes", 1, 2)], "has 2 inputs (images, sizes)"),
        ([tensor("images", 3, 9, 9)], "export it with a batch dimension"),
        ([tensor("images", 1, 3, 9, 9, dtype="FP64")], "is FP64; expected FP32, FP16 or UINT8"),
    ],
)
def test_an_input_that_is_no_picture_is_refused_with_what_to_export(
    inputs: list[GraphTensor], told: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        picture_of("m.onnx", replace(graph(1, 3, 9, 9), inputs=tuple(inputs)))
    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["", "a/b", "..", "a b", "x" * 65, "ä"])
def test_a_name_is_a_folder_s(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--name"):
        model_name(text)

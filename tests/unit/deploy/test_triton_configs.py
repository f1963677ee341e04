"""Every config.pbtxt in the tree, read with Triton's own protobuf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "model_repository"
ELSEWHERE = ROOT / "deploy/triton"
CONFIGS = sorted(
    file
    for folder in (SHIPPED, ELSEWHERE, ROOT / "benchmarks")
    for file in folder.rglob("config.pbtxt")
)
# What the ONNX Runtime backend knows; it refuses any other (read in its source, onnxruntime.cc).
TENSORRT_PARAMETERS = {
    "precision_mode",
    "max_workspace_size_bytes",
    "trt_engine_cache_enable",
    "trt_engine_cache_path",
    "trt_timing_cache_enable",
    "trt_timing_cache_path",
    "trt_profile_min_shapes",
    "trt_profile_opt_shapes",
    "trt_profile_max_shapes",
}


def read(file: Path) -> Any:
    return text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())


def shipped(model: str) -> Any:
    return read(SHIPPED / model / "config.pbtxt")


def contract(config: Any) -> Any:
    return [
        [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in tensors]
        for tensors in (config.input, config.output)
    ]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_configuration_parses_and_batches(file):
    config = read(file)
    # Without a name Triton takes the folder's; with one, it must be the same.
    assert config.name in ("", file.parent.name)
    assert config.platform or config.backend
    assert config.max_batch_size == 8


@pytest.mark.parametrize(
    ("file", "replaces"),
    [
        ("onnxruntime_gpu/pcb_detector", "pcb_detector"),
        ("onnxruntime_tensorrt/pcb_detector", "pcb_detector"),
        ("tensorrt_plan/pcb_detector", "pcb_detector"),
        ("postprocessing_python", "postprocessing"),
        ("folded/pcb_inspection", "pcb_inspection"),
        ("golden/pcb_detector_golden", "pcb_detector"),
    ],
)
def test_a_variant_keeps_the_tensors_of_what_it_replaces(file, replaces):
    variant = read(ELSEWHERE / file / "config.pbtxt")
    assert contract(variant) == contract(shipped(replaces))


def test_every_variant_is_compared_with_what_it_replaces():
    compared = {"onnxruntime_gpu", "onnxruntime_tensorrt", "tensorrt_plan", "folded", "golden"}
    folders = {file.relative_to(ELSEWHERE).parts[0] for file in ELSEWHERE.rglob("config.pbtxt")}
    assert folders == compared | {"postprocessing_python"}, "float is a file and needs none"


@pytest.mark.parametrize("folder", ["onnxruntime_gpu", "onnxruntime_tensorrt", "tensorrt_plan"])
def test_a_gpu_variant_runs_the_network_on_a_gpu(folder):
    config = read(ELSEWHERE / folder / "pcb_detector/config.pbtxt")
    assert [group.kind for group in config.instance_group] == [
        model_config_pb2.ModelInstanceGroup.KIND_GPU
    ]
    largest = max(config.dynamic_batching.preferred_batch_size)
    assert largest == config.max_batch_size


def test_tensorrt_is_told_only_what_the_backend_knows_and_every_batch_it_may_get():
    config = read(ELSEWHERE / "onnxruntime_tensorrt/pcb_detector/config.pbtxt")
    [accelerator] = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    told = dict(accelerator.parameters)
    assert set(told) == TENSORRT_PARAMETERS
    assert told["precision_mode"] == "FP16"
    dims = "x".join(str(length) for length in config.input[0].dims)
    for which, batch in (("min", 1), ("opt", 4), ("max", config.max_batch_size)):
        assert told[f"trt_profile_{which}_shapes"] == f"images:{batch}x{dims}"


def test_the_postprocessing_graph_does_what_its_configuration_tells():
    session = onnxruntime.InferenceSession(
        str(SHIPPED / "postprocessing/1/model.onnx"), providers=["CPUExecutionProvider"]
    )
    made_with = session.get_modelmeta().custom_metadata_map
    told = shipped("postprocessing").parameters
    assert set(made_with) == {"score_threshold", "iou_threshold"}
    for name, value in made_with.items():
        assert told[name].string_value == value
    # A GPU would do its many small steps more slowly, and some of them are not for it.
    kind = shipped("postprocessing").instance_group[0].kind
    assert kind == model_config_pb2.ModelInstanceGroup.KIND_CPU


def test_the_golden_inspection_takes_a_unit_and_its_reference_and_answers_as_the_other():
    golden, single = shipped("pcb_golden_inspection"), shipped("pcb_inspection")
    assert contract(golden)[1] == contract(single)[1]
    [(name, kind, dims)] = contract(golden)[0]
    assert [(name, kind, [*dims[:2], 3])] == contract(single)[0]
    told = golden.parameters
    assert dims[2] == len(told["channels"].string_value.split(",")) == 2
    assert told["channels"].string_value == "unit,reference"
    for parameter in ("classes", "score_threshold"):
        assert told[parameter].string_value == single.parameters[parameter].string_value
    assert golden.dynamic_batching == shipped("pcb_detector").dynamic_batching


@pytest.mark.parametrize("folder", ["folded/pcb_inspection", "postprocessing_python"])
def test_a_variant_tells_the_thresholds_of_the_shipped_one(folder):
    told = read(ELSEWHERE / folder / "config.pbtxt").parameters
    replaced = "postprocessing" if folder == "postprocessing_python" else "pcb_inspection"
    for name, value in shipped(replaced).parameters.items():
        if name.endswith("_thread_count"):
            continue
        assert told[name].string_value == value.string_value, name

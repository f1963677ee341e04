"""Which ensembles can be served as one graph, by their configurations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inspector.embedded.triton.ensembles import ensembles_in, one_model_config, read_ensemble
from inspector.embedded.triton.one_graph import NotOneGraphError

SHIPPED = Path(__file__).parents[4] / "model_repository"


@pytest.fixture
def repository(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


def rewrite(repository: Path, model: str, old: str, new: str) -> None:
    file = repository / model / "config.pbtxt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_shipped_ensemble_is_found_with_its_steps_and_their_files():
    assert list(ensembles_in(SHIPPED)) == ["pcb_inspection"]
    ensemble = read_ensemble(SHIPPED, "pcb_inspection")
    assert ensemble.version == "1"
    assert [(step.name, step.inputs, step.outputs) for step in ensemble.steps] == [
        ("preprocessing", {"image": "image"}, {"images": "images"}),
        ("pcb_detector", {"images": "images"}, {"output": "output"}),
        (
            "postprocessing",
            {"output": "output"},
            {name: name for name in ("boxes", "scores", "classes", "count")},
        ),
    ]
    assert all(step.file.is_file() for step in ensemble.steps)


def test_the_newest_version_of_a_step_and_its_own_file_name_count(repository):
    shutil.copytree(repository / "pcb_detector/1", repository / "pcb_detector/12")
    (repository / "pcb_detector/12/model.onnx").rename(repository / "pcb_detector/12/net.onnx")
    rewrite(
        repository, "pcb_detector", "max_batch", 'default_model_filename: "net.onnx"\nmax_batch'
    )
    step = read_ensemble(repository, "pcb_inspection").steps[1]
    assert step.file == repository / "pcb_detector/12/net.onnx"


def test_clients_are_shown_what_the_ensemble_shows_and_the_network_decides_how_it_runs():
    config = one_model_config(read_ensemble(SHIPPED, "pcb_inspection"))
    assert (config.name, config.platform, config.max_batch_size) == (
        "pcb_inspection",
        "onnxruntime_onnx",
        8,
    )
    assert not config.HasField("ensemble_scheduling")
    assert {name: p.string_value for name, p in config.parameters.items()} == {
        "classes": "open,short,mousebite,spur,copper,pin-hole",
        "colour": "bgr",
        "scale": "own",
        "score_threshold": "0.25",
        "intra_op_thread_count": "2",
        "inter_op_thread_count": "1",
    }
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert [group.count for group in config.instance_group] == [1]
    [warmup] = config.model_warmup
    assert list(warmup.inputs["image"].dims) == [640, 640, 3]
    assert warmup.inputs["image"].zero_data


def test_batches_that_the_ensemble_does_not_take_are_not_preferred(repository):
    rewrite(repository, "pcb_inspection", "max_batch_size: 8", "max_batch_size: 4")
    config = one_model_config(read_ensemble(repository, "pcb_inspection"))
    assert list(config.dynamic_batching.preferred_batch_size) == [4]


@pytest.mark.parametrize(
    ("model", "old", "new", "reason"),
    [
        (
            "pcb_inspection",
            "parameters {",
            'parameters { key: "one_graph" value: { string_value: "false" } }\nparameters {',
            "parameter one_graph is false",
        ),
        ("pcb_inspection", "model_version: -1", "model_version: 1", "names a version"),
        (
            "pcb_inspection",
            "max_batch_size: 8",
            "max_batch_size: 16",
            "max_batch_size is 8, not 16",
        ),
        (
            "pcb_inspection",
            "640, 640, 3",
            "320, 320, 3",
            "image into preprocessing: its type or shape",
        ),
        ("pcb_inspection", "100, 4", "50, 4", "boxes: its type or shape differs"),
        (
            "pcb_inspection",
            'input_map { key: "images" value: "images"',
            'input_map { key: "images" value: "pictures"',
            "pictures into pcb_detector: there is no such tensor",
        ),
        ("pcb_inspection", "platform:", "platfrom:", "platfrom"),
        ("pcb_detector", '"onnxruntime_onnx"', '"tensorrt_plan"', "it is no ONNX model"),
        ("pcb_detector", "count: 1", "count: 1 kind: KIND_GPU", "it is not for the CPU"),
        (
            "pcb_detector",
            "3, 640, 640 ] }",
            "3, 640, 640 ] reshape { shape: [ 3, 409600 ] } }",
            "images is reshaped",
        ),
        (
            "pcb_detector",
            "max_batch_size",
            "version_policy { all {} }\nmax_batch_size",
            "it has a version_policy",
        ),
        (
            "pcb_detector",
            "max_batch_size",
            "model_transaction_policy { decoupled: true }\nmax_batch_size",
            "it has a model_transaction_policy",
        ),
        (
            "postprocessing",
            "25200, 11",
            "25200, 8",
            "output into postprocessing: its type or shape",
        ),
    ],
)
def test_what_one_graph_would_do_otherwise_stays_in_steps(repository, model, old, new, reason):
    rewrite(repository, model, old, new)
    with pytest.raises(NotOneGraphError, match=reason):
        read_ensemble(repository, "pcb_inspection")


def test_a_step_that_is_not_there_is_named(repository):
    (repository / "pcb_detector/1/model.onnx").unlink()
    with pytest.raises(NotOneGraphError, match=r"pcb_detector: model\.onnx does not exist"):
        read_ensemble(repository, "pcb_inspection")
    shutil.rmtree(repository / "pcb_detector")
    with pytest.raises(NotOneGraphError, match="pcb_detector: "):
        read_ensemble(repository, "pcb_inspection")

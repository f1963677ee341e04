"""The embedded Triton, run for real: its answers, its deaths, its refusals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import structlog
import tritonclient.grpc as sync_client
import tritonclient.grpc.aio as aio_client
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.paths import default_cache
from inspector.core.recipes import ModelName
from inspector.embedded.triton.environment import REQUIREMENTS
from inspector.embedded.triton.process import MODELS_LOADED_S, SHARED_MEMORY, TritonPorts
from inspector.embedded.triton.served_repository import left_behind
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.flow.tensor_pool import remove_segments_of_the_dead
from inspector.inference.describing import describe_model
from inspector.inference.description import ModelDescription
from inspector.settings.sections import InferenceSettings
from tests.kit import tiny_onnx
from tests.kit.inspection_reference import (
    REPOSITORY,
    Detector,
    pictures,
    postprocessed,
    preprocessed,
)
from tests.kit.triton_server import embedded_triton, embedded_triton_in_background

SAME_RUNTIME = f"onnxruntime=={onnxruntime.__version__} " in REQUIREMENTS.read_text()
OUTPUTS = ["boxes", "scores", "classes", "count"]
# Where the server has numpy 2 it exchanges no strings; see backends/python/numpy_2_tensors.py.
STRINGS = sys.version_info < (3, 13)


def assert_same(answer: Any, expected: Any) -> None:
    """Bit for bit where both sides run the same ONNX Runtime."""
    assert answer.dtype == expected.dtype
    if SAME_RUNTIME:
        np.testing.assert_array_equal(answer, expected)
    else:
        np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-2)


def tensor(name: str, array: Any, kind: str, client: Any = sync_client) -> Any:
    sent = client.InferInput(name, list(array.shape), kind)
    sent.set_data_from_numpy(np.ascontiguousarray(array))
    return sent


@pytest.fixture(scope="module")
def url():
    with embedded_triton_in_background() as triton:
        yield triton.grpc_url


@pytest.fixture(scope="module")
def client(url):
    with sync_client.InferenceServerClient(url) as connected:
        yield connected


@pytest.fixture(scope="module")
def boards():
    return pictures(8)


@pytest.fixture(scope="module")
def candidates(boards):
    """What the detector says of each board, computed in this process."""
    return Detector()(preprocessed(boards))


def infer(client: Any, model: str, outputs: list[str], *inputs: Any) -> dict[str, Any]:
    reply = client.infer(model, list(inputs))
    return {name: reply.as_numpy(name) for name in outputs}


# --- answers ---


@pytest.mark.parametrize("count", range(1, 9))
def test_the_detector_answers_exactly_what_onnxruntime_does(client, boards, candidates, count):
    images = preprocessed(boards[:count])
    answer = infer(client, "pcb_detector", ["output"], tensor("images", images, "FP32"))
    assert_same(answer["output"], candidates[:count])


@pytest.mark.parametrize("count", range(1, 9))
def test_preprocessing_answers_exactly_what_numpy_does(client, boards, count):
    sent = tensor("image", boards[:count], "UINT8")
    answer = infer(client, "preprocessing", ["images"], sent)
    np.testing.assert_array_equal(answer["images"], preprocessed(boards[:count]))


@pytest.mark.parametrize("count", range(1, 9))
def test_the_ensemble_finds_exactly_what_the_reference_does(client, boards, candidates, count):
    answer = infer(client, "pcb_inspection", OUTPUTS, tensor("image", boards[:count], "UINT8"))
    expected = postprocessed(candidates[:count])
    assert expected["count"].min() > 0, "a board without a find would prove nothing"
    for name in OUTPUTS:
        assert_same(answer[name], expected[name])


def test_concurrent_requests_get_their_own_answers_and_are_batched(url, boards, candidates):
    requests = [[i % 8, (i + 3) % 8][: 1 + i % 2] for i in range(16)]

    async def main() -> tuple[list[Any], Any, Any]:
        async with aio_client.InferenceServerClient(url) as client:
            before = await client.get_inference_statistics("pcb_inspection")
            calls = (
                client.infer("pcb_inspection", [tensor("image", boards[rows], "UINT8", aio_client)])
                for rows in requests
            )
            replies = await asyncio.gather(*calls)
            wanted = before.model_stats[0].inference_count + sum(map(len, requests))
            async with asyncio.timeout(10):
                while True:  # a reply may leave the server before it is counted
                    after = await client.get_inference_statistics("pcb_inspection")
                    if after.model_stats[0].inference_count >= wanted:
                        return replies, before.model_stats[0], after.model_stats[0]

    replies, before, after = asyncio.run(main())
    for rows, reply in zip(requests, replies, strict=True):
        expected = postprocessed(candidates[rows])
        for name in OUTPUTS:
            assert_same(reply.as_numpy(name), expected[name])
    inferences = after.inference_count - before.inference_count
    executions = after.execution_count - before.execution_count
    assert inferences == sum(map(len, requests))
    # 16 requests, joined by fours or more where they met in the queue.
    assert executions < len(requests)


def test_a_crowded_picture_keeps_its_hundred_best_of_every_class(client):
    random = np.random.default_rng(7)
    raw = np.zeros((2, 25200, 11), np.float32)
    raw[:, :3000, :2] = random.uniform(20, 620, (2, 3000, 2))
    raw[:, :3000, 2:4] = random.uniform(5, 80, (2, 3000, 2))
    raw[:, :3000, 4:] = random.uniform(0, 1, (2, 3000, 7))
    answer = infer(client, "postprocessing", OUTPUTS, tensor("output", raw, "FP32"))
    expected = postprocessed(raw)
    assert answer["count"].ravel().tolist() == [100, 100]
    for name in OUTPUTS:
        np.testing.assert_array_equal(answer[name], expected[name])


def test_equal_boxes_of_two_classes_both_stay(client):
    raw = np.zeros((1, 25200, 11), np.float32)
    raw[0, 0, :6] = [100, 100, 20, 20, 1, 0.9]
    raw[0, 1, :5] = [100, 100, 20, 20, 1]
    raw[0, 1, 6] = 0.8
    raw[0, 2, :6] = [101, 100, 20, 20, 1, 0.7]
    answer = infer(client, "postprocessing", OUTPUTS, tensor("output", raw, "FP32"))
    assert answer["count"].item() == 2
    assert answer["classes"][0, :2].tolist() == [0, 1]
    assert answer["boxes"][0, 0].tolist() == [90, 90, 110, 110]
    assert not answer["boxes"][0, 2:].any()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_detector_that_answers_no_numbers_is_an_error_and_not_a_good_board(client, poison):
    raw = np.zeros((1, 25200, 11), np.float32)
    raw[0, 25000, 4] = poison
    with pytest.raises(InferenceServerException, match="not finite"):
        infer(client, "postprocessing", OUTPUTS, tensor("output", raw, "FP32"))


def test_the_ensemble_tells_clients_what_its_postprocessing_does(client):
    told = client.get_model_config("pcb_inspection").config.parameters
    done = client.get_model_config("postprocessing").config.parameters
    assert told["score_threshold"].string_value == done["score_threshold"].string_value
    assert told["colour"].string_value == "bgr"
    assert told["classes"].string_value == "open,short,mousebite,spur,copper,pin-hole"


# --- any ONNX model ---


def add_model(repository: Path, name: str, config: str, graph: bytes, file: str = "model.onnx"):
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    (repository / name / "1" / file).write_bytes(graph)


def echo_graph(names: str, *inner: int | str) -> bytes:
    """Tensors of several types, returned as they came."""
    kinds = {"f": tiny_onnx.FLOAT, "i": tiny_onnx.INT64, "s": tiny_onnx.STRING}
    kinds = {name: kinds[name] for name in names}
    return tiny_onnx.model(
        [tiny_onnx.node("Identity", [name], f"{name}_out") for name in kinds],
        [tiny_onnx.tensor(name, kind, *inner) for name, kind in kinds.items()],
        [tiny_onnx.tensor(f"{name}_out", kind, *inner) for name, kind in kinds.items()],
    )


def echo_config(names: str, head: str) -> str:
    kinds = {"f": "TYPE_FP32", "i": "TYPE_INT64", "s": "TYPE_STRING"}
    kinds = {name: kinds[name] for name in names}
    lines = [f'input {{ name: "{n}" data_type: {k} dims: [ 2 ] }}' for n, k in kinds.items()]
    lines += [f'output {{ name: "{n}_out" data_type: {k} dims: [ 2 ] }}' for n, k in kinds.items()]
    return "\n".join([head, *lines])


def pick_config(name: str) -> str:
    return f"""
        name: "{name}" backend: "onnxruntime" max_batch_size: 8
        dynamic_batching {{ preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 5000000 }}
        input [ {{ name: "values" data_type: TYPE_INT64 dims: [ 3 ] }},
                {{ name: "which" data_type: TYPE_INT64 dims: [ 1 ] }} ]
        output [ {{ name: "picked" data_type: TYPE_INT64 dims: [ 1 ] }} ]
    """


def pick_graph() -> bytes:
    """`values[which]` of each row; refuses the whole run when one index does not exist."""
    row = tiny_onnx.node("GatherElements", ["values", "which"], "picked", axis=1)
    return tiny_onnx.model(
        [row],
        [
            tiny_onnx.tensor("values", tiny_onnx.INT64, "n", 3),
            tiny_onnx.tensor("which", tiny_onnx.INT64, "n", 1),
        ],
        [tiny_onnx.tensor("picked", tiny_onnx.INT64, "n", 1)],
    )


def test_any_onnx_model_is_served_with_its_own_tensors(tmp_path):
    names = "fis" if STRINGS else "fi"
    head = 'platform: "onnxruntime_onnx" max_batch_size: 0 default_model_filename: "echo.onnx"'
    add_model(tmp_path, "plain", echo_config(names, head), echo_graph(names, 2), file="echo.onnx")
    head = 'backend: "onnxruntime" max_batch_size: 4'
    add_model(tmp_path, "batched", echo_config(names, head), echo_graph(names, "n", 2))
    sent: dict[str, tuple[Any, str]] = {
        "f": (np.array([[0.5, -1]], np.float32), "FP32"),
        "i": (np.array([[1, 2**40]], np.int64), "INT64"),
        "s": (np.array([["Lötstelle".encode(), b""]], np.object_), "BYTES"),
    }
    sent = {name: sent[name] for name in names}
    with (
        embedded_triton_in_background(tmp_path) as triton,
        sync_client.InferenceServerClient(triton.grpc_url) as client,
    ):
        for model, squeeze in (("batched", False), ("plain", True)):
            inputs = [tensor(n, a[0] if squeeze else a, kind) for n, (a, kind) in sent.items()]
            answer = infer(client, model, [f"{name}_out" for name in sent], *inputs)
            for name, (array, _) in sent.items():
                expected = array[0] if squeeze else array
                np.testing.assert_array_equal(answer[f"{name}_out"], expected)


def test_a_bad_request_in_a_batch_spoils_no_other(tmp_path):
    add_model(tmp_path, "pick", pick_config("pick"), pick_graph())
    wanted = [0, 2, 99, 1]

    async def main() -> tuple[list[Any], Any]:
        async with (
            embedded_triton(tmp_path) as triton,
            aio_client.InferenceServerClient(triton.grpc_url) as client,
        ):
            calls = [
                client.infer(
                    "pick",
                    [
                        tensor("values", np.array([[10, 11, 12]], np.int64), "INT64", aio_client),
                        tensor("which", np.array([[index]], np.int64), "INT64", aio_client),
                    ],
                )
                for index in wanted
            ]
            replies = await asyncio.gather(*calls, return_exceptions=True)
            statistics = await client.get_inference_statistics("pick")
            return replies, statistics.model_stats[0]

    replies, statistics = asyncio.run(main(), debug=True)
    assert statistics.execution_count == 1, "they were to meet in one batch"
    assert isinstance(replies[2], InferenceServerException)
    assert "pick" in str(replies[2])
    assert [replies[i].as_numpy("picked").item() for i in (0, 1, 3)] == [10, 12, 11]


# --- a user's own Python model ---

TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}

# Written as Triton's documentation shows it: nothing in it knows which numpy it runs with.
USER_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

LAYOUTS = {
    "plain": lambda array: array,
    "transposed": lambda array: array.T,
    "strided": lambda array: array[:, ::2],
    "constant": lambda array: np.broadcast_to(array[0, 0], (2, 3)),
    "one_between": lambda array: array[:, None, :],
    "nothing": lambda array: array[:0],
}

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        outputs = []
        for tensor in request.inputs():
            array = tensor.as_numpy()
            array[0, 0] = array[1, 2]
            for layout, made in LAYOUTS.items():
                output = pb_utils.Tensor(f"{tensor.name()}_{layout}", made(array))
                assert isinstance(output, pb_utils.Tensor)
                np.testing.assert_array_equal(output.as_numpy(), made(array))
                outputs.append(output)
        return pb_utils.InferenceResponse(outputs)
"""
LAYOUTS = ("plain", "transposed", "strided", "constant", "one_between", "nothing")


def add_python_model(repository: Path, name: str, tensors: list[tuple[str, str, str]], code: str):
    lines = ['backend: "python" max_batch_size: 0']
    lines += [
        f'{way} {{ name: "{n}" data_type: TYPE_{k} dims: [ -1, -1 ] }}' for way, n, k in tensors
    ]
    add_model(repository, name, "\n".join(lines), code.encode(), file="model.py")


def test_a_users_python_model_exchanges_arrays_of_every_type_and_layout(tmp_path):
    tensors = [("input", kind, kind) for kind in TYPES]
    tensors += [("output", f"{kind}_{layout}", kind) for kind in TYPES for layout in LAYOUTS]
    add_python_model(tmp_path, "mine", tensors, USER_MODEL)
    bits = np.array([[0, 1, 0], [0, 1, 1]])
    sent: dict[str, Any] = {kind: bits.astype(item) for kind, item in TYPES.items()}
    sent["INT64"][1, 2] = -(2**60)
    sent["FP64"][1, 1] = 1 / 3
    with (
        structlog.testing.capture_logs() as logs,
        embedded_triton_in_background(tmp_path) as triton,
        sync_client.InferenceServerClient(triton.grpc_url) as client,
    ):
        inputs = [tensor(kind, array, kind) for kind, array in sent.items()]
        names = [name for way, name, _ in tensors if way == "output"]
        for _ in range(20):  # memory that is freed too early shows when it is used again
            answer = infer(client, "mine", names, *inputs)
            for kind, array in sent.items():
                changed = array.copy()
                changed[0, 0] = changed[1, 2]
                for layout, expected in {
                    "plain": changed,
                    "transposed": changed.T,
                    "strided": changed[:, ::2],
                    "constant": np.full((2, 3), changed[0, 0]),
                    "one_between": changed[:, None, :],
                    "nothing": changed[:0],
                }.items():
                    got = answer[f"{kind}_{layout}"]
                    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
                    np.testing.assert_array_equal(got, expected)
    assert "Traceback" not in str(logs)


STRING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([self.answer(request)]) for request in requests]

    def answer(self, request):
        array = request.inputs()[0].as_numpy()
        return pb_utils.Tensor("answer", array.astype(np.bytes_).astype(np.object_))
"""


@pytest.mark.parametrize(
    ("config_type", "kind", "item"), [("STRING", "BYTES", np.object_), ("INT32", "INT32", np.int32)]
)
def test_strings_are_exchanged_or_refused_but_never_lost(tmp_path, config_type, kind, item):
    tensors = [("input", "question", config_type), ("output", "answer", "STRING")]
    add_python_model(tmp_path, "echo", tensors, STRING_MODEL)
    sent = tensor("question", np.array([[7, 12]]).astype(str).astype(item), kind)
    with (
        embedded_triton_in_background(tmp_path) as triton,
        sync_client.InferenceServerClient(triton.grpc_url) as client,
    ):
        for _ in range(2):  # a refusal does not end the model
            if STRINGS:
                assert infer(client, "echo", ["answer"], sent)["answer"].tolist() == [[b"7", b"12"]]
            else:
                with pytest.raises(InferenceServerException, match=r"on Python 3\.11 or 3\.12"):
                    infer(client, "echo", ["answer"], sent)


# --- refusals: Triton's own reason, in one line ---


def refusal(repository: Path) -> str:
    async def main() -> None:
        async with embedded_triton(repository):
            pass

    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(main(), debug=True)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_missing_repository_is_refused_with_its_name(tmp_path):
    message = refusal(tmp_path / "nowhere")
    assert message.startswith("inference.repository: ")
    assert "nowhere is no folder" in message


def test_an_empty_repository_is_refused(tmp_path):
    assert "has no model in it" in refusal(tmp_path)


def test_a_broken_model_file_is_refused_with_its_reason(tmp_path):
    repository = shutil.copytree(REPOSITORY, tmp_path / "models")
    (repository / "pcb_detector/1/model.onnx").write_bytes(b"no graph")
    message = refusal(repository)
    assert "failed to load 'pcb_detector' version 1" in message
    assert "Protobuf parsing failed" in message


def test_a_missing_model_file_is_refused_with_its_path(tmp_path):
    repository = shutil.copytree(REPOSITORY, tmp_path / "models")
    (repository / "preprocessing/1/model.onnx").unlink()
    message = refusal(repository)
    assert "preprocessing" in message
    assert "1/model.onnx does not exist" in message


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ('"values"', '"numbers"', "names the input 'numbers', the model file has values, which"),
        ('"picked"', '"chosen"', "names the output 'chosen', the model file has picked"),
        (
            '"which" data_type: TYPE_INT64',
            '"which" data_type: TYPE_INT32',
            "'which' is TYPE_INT32 in config.pbtxt, tensor(int64) in the model file",
        ),
        ("max_batch_size: 8", "max_batch_size: many", "Expected integer, got: many"),
    ],
)
def test_a_configuration_that_does_not_fit_the_file_is_refused(tmp_path, right, wrong, reason):
    config = pick_config("pick")
    assert right in config
    add_model(tmp_path, "pick", config.replace(right, wrong), pick_graph())
    assert reason in refusal(tmp_path)


@pytest.mark.may_skip
@pytest.mark.skipif(STRINGS, reason="with numpy 1 the server exchanges strings")
def test_an_onnx_model_with_strings_is_refused_where_they_cannot_be_exchanged(tmp_path):
    add_model(tmp_path, "echo", echo_config("s", 'backend: "onnxruntime"'), echo_graph("s", 2))
    assert "'s' is TYPE_STRING" in refusal(tmp_path)


def test_a_port_in_use_is_refused_by_its_number():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"gRPC port {port} .* in use"):
            EmbeddedTriton(REPOSITORY, ports=TritonPorts(grpc=port))


# --- deaths ---


def children_of(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


@contextlib.contextmanager
def watched(process_ids: list[int]):
    """Pass a function that waits until all of them have ended."""
    descriptors = [os.pidfd_open(pid) for pid in process_ids]

    def wait_ended(timeout_s: float) -> bool:
        return all(select.select([one], [], [], timeout_s)[0] for one in descriptors)

    try:
        yield wait_ended
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_killed_server_comes_back_at_the_same_address_and_says_so_once(boards, candidates):
    async def main() -> list[Any]:
        async with embedded_triton() as triton:
            address, first = triton.grpc_url, triton.process_id
            assert first is not None
            with structlog.testing.capture_logs() as logs, watched(children_of(first)) as gone:
                os.kill(first, signal.SIGKILL)
                assert await asyncio.to_thread(gone, 10), "its Python models must not outlive it"
                async with asyncio.timeout(10):
                    # Nothing tells when the event loop has heard of it.
                    while triton.process_id == first:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await triton.wait_ready(60)
                assert triton.grpc_url == address
                async with aio_client.InferenceServerClient(address) as client:
                    sent = tensor("image", boards[:1], "UINT8", aio_client)
                    reply = await client.infer("pcb_inspection", [sent])
            assert_same(reply.as_numpy("boxes"), postprocessed(candidates[:1])["boxes"])
            return logs

    logs = asyncio.run(main(), debug=True)
    events = [entry["event"] for entry in logs]
    (died,) = (entry for entry in logs if entry["event"] == "triton_died")
    assert died["reason"] == "killed by SIGKILL"
    assert events.count("triton_ready") == 1


def test_a_server_whose_model_process_was_killed_is_started_again_and_says_why(boards, candidates):
    """It would go on without the model, refuse every batch, and call itself ready."""

    async def main() -> list[Any]:
        async with embedded_triton() as triton:
            for _ in range(2):
                first = triton.process_id
                assert first is not None
                (model,) = (pid for pid in children_of(first) if serves(pid, "pcb_inspection"))
                with structlog.testing.capture_logs() as logs, watched([first]) as gone:
                    os.kill(model, signal.SIGKILL)
                    assert await asyncio.to_thread(gone, 10)
                    async with asyncio.timeout(10):
                        while triton.process_id == first:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
                    await triton.wait_ready(60)
                    async with aio_client.InferenceServerClient(triton.grpc_url) as client:
                        sent = tensor("image", boards[:1], "UINT8", aio_client)
                        reply = await client.infer("pcb_inspection", [sent])
                assert_same(reply.as_numpy("boxes"), postprocessed(candidates[:1])["boxes"])
            return logs

    (died,) = (e for e in asyncio.run(main(), debug=True) if e["event"] == "triton_died")
    assert died["reason"] == "the process of its model pcb_inspection_0_0 ended"


def test_a_model_beyond_those_of_the_start_is_loaded_once_a_client_asks(tmp_path):
    """A station without products takes neither its memory nor its time."""
    repository = shutil.copytree(REPOSITORY, tmp_path / "models")
    broken = shutil.copytree(repository / "pcb_golden_inspection", repository / "broken")
    config = (broken / "config.pbtxt").read_text()
    (broken / "config.pbtxt").write_text(config.replace("pcb_golden_inspection", "broken"))
    (broken / "1/model.onnx").write_bytes(b"no model")

    async def main() -> list[Any]:
        async with (
            embedded_triton(repository, models=["pcb_inspection"]) as triton,
            aio_client.InferenceServerClient(triton.grpc_url) as client,
        ):
            first = triton.process_id
            assert first is not None
            assert not await client.is_model_ready("pcb_golden_inspection")
            assert len(children_of(first)) == 1, "the ensemble is one graph"
            with pytest.raises(
                InferenceUnavailableError, match=r"broken is not ready.*model\.onnx"
            ):
                await describe(client, "broken")
            golden = await describe(client, "pcb_golden_inspection")
            assert golden.parameters["channels"] == "unit,reference"
            assert await client.is_model_ready("pcb_inspection")
            # That "broken" ended was no reason to begin again; that this one ends is.
            (model,) = (p for p in children_of(first) if serves(p, "pcb_golden_inspection"))
            # What is promised is that a model loaded later is seen within this time.
            await asyncio.sleep(2 * MODELS_LOADED_S)
            with structlog.testing.capture_logs() as logs, watched([first]) as gone:
                os.kill(model, signal.SIGKILL)
                assert await asyncio.to_thread(gone, 10)
                async with asyncio.timeout(10):
                    while triton.process_id == first:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await triton.wait_ready(60)
            assert await describe(client, "pcb_golden_inspection") == golden
            return logs

    (died,) = (e for e in asyncio.run(main(), debug=True) if e["event"] == "triton_died")
    assert died["reason"] == "the process of its model pcb_golden_inspection_0_0 ended"


async def describe(client: Any, model: str) -> ModelDescription:
    return await describe_model(client, InferenceSettings(), ModelName(name=model))


def serves(process_id: int, model: str) -> bool:
    return f"/{model}/" in Path(f"/proc/{process_id}/cmdline").read_text()


def test_the_runtime_keeps_no_telemetry(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECTOR_CACHE", str(default_cache()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")  # the server must not depend on ours
    add_model(tmp_path / "models", "pick", pick_config("pick"), pick_graph())

    async def main() -> None:
        async with embedded_triton(tmp_path / "models"):
            pass

    asyncio.run(main(), debug=True)
    assert not list((tmp_path / "home").rglob("*onnxruntime*"))


PARENT = """
import asyncio, sys
from pathlib import Path
from inspector.embedded.triton.server import EmbeddedTriton

async def main():
    triton = EmbeddedTriton(Path(sys.argv[1]))
    async with asyncio.TaskGroup() as group:
        group.create_task(triton.run())
        await triton.wait_ready(240)
        print("serving", triton.process_id, flush=True)

asyncio.run(main())
"""


def test_the_server_dies_with_its_parent_even_when_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(REPOSITORY)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        lines = (line.split() for line in parent.stdout)
        server = next(int(words[1]) for words in lines if words[0] == "serving")
        family = [server, *children_of(server)]
        assert len(family) == 7, "a server and one process per model"
        assert list(SHARED_MEMORY.glob(f"inspector-triton-*-{parent.pid}-*"))
        with watched(family) as gone:
            parent.kill()
            assert gone(10)
    left = [p for p in left_behind("inspector-triton-") if f"-{parent.pid}-" in p.name]
    assert left, "its folder of links to models"
    # Whatever they left is taken away by the next server that starts.
    with embedded_triton_in_background():
        assert not any(p.exists() for p in left)
        assert all((REPOSITORY / name / "1").is_dir() for name in ("pcb_detector", "preprocessing"))
        assert not list(SHARED_MEMORY.glob(f"inspector-triton-*-{parent.pid}-*"))


def test_the_start_of_a_service_leaves_the_memory_of_living_servers_alone():
    def memory_of(owner: int) -> set[Path]:
        return set(SHARED_MEMORY.glob(f"inspector-triton-*-{owner}-*"))

    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(REPOSITORY)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        next(line for line in parent.stdout if line.startswith("serving"))
        before = memory_of(parent.pid)
        assert before
        remove_segments_of_the_dead(min_age_s=0.0)
        with embedded_triton_in_background():
            ours = memory_of(os.getpid())
            assert ours
            remove_segments_of_the_dead(min_age_s=0.0)
            assert memory_of(os.getpid()) == ours
            assert memory_of(parent.pid) == before
        parent.kill()


def test_stopping_leaves_no_process_and_no_shared_memory():
    def memory() -> list[Path]:
        return sorted(SHARED_MEMORY.glob(f"inspector-triton-*-{os.getpid()}-*"))

    async def main() -> EmbeddedTriton:
        async with embedded_triton() as triton:
            assert triton.process_id is not None
            assert len(memory()) > len(memory_before)
            family = [triton.process_id, *children_of(triton.process_id)]
            gone = descriptors.enter_context(watched(family))
        assert gone(1)
        return triton

    memory_before = memory()
    with contextlib.ExitStack() as descriptors:
        triton = asyncio.run(main(), debug=True)
    assert memory() == memory_before
    with pytest.raises(InferenceUnavailableError, match="was stopped"):
        asyncio.run(triton.wait_ready(1))


def test_waiting_for_a_server_nobody_runs_says_so():
    triton = EmbeddedTriton(REPOSITORY)
    with pytest.raises(InferenceUnavailableError, match=r"not ready after 0\.01 s: not started"):
        asyncio.run(triton.wait_ready(0.01))

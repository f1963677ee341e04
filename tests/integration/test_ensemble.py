"""The ensemble and what may stand in for its parts, on the embedded server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tritonclient.grpc as sync_client
import tritonclient.grpc.aio as aio_client
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode
from tests.kit.inspection_reference import (
    REPOSITORY,
    Detector,
    pictures,
    postprocessed,
    preprocessed,
)
from tests.kit.triton_server import embedded_triton, embedded_triton_in_background

ROOT = REPOSITORY.parent
ELSEWHERE = ROOT / "deploy/triton"
# Has onnx; `make test-training` or scripts/bootstrap-training.sh makes it.
MAKER = ROOT / ".venv-training/bin/python"
OUTPUTS = ["boxes", "scores", "classes", "count"]


@pytest.fixture(scope="module")
def boards():
    return pictures(8)


@pytest.fixture(scope="module")
def shipped_answers(boards):
    """What the reference makes of the shipped network, so what the shipped ensemble answers."""
    return postprocessed(Detector()(preprocessed(boards)))


def infer(client: Any, model: str, name: str, array: Any) -> dict[str, Any]:
    kind = {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)]
    sent = sync_client.InferInput(name, list(array.shape), kind)
    sent.set_data_from_numpy(np.ascontiguousarray(array))
    reply = client.infer(model, [sent])
    return {name: reply.as_numpy(name) for name in OUTPUTS}


def assert_same(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in OUTPUTS:
        assert answer[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(answer[name], expected[name], err_msg=name)


@contextmanager
def served(repository: Path) -> Iterator[Any]:
    """The ensemble in steps, as NVIDIA's server runs it."""
    with (
        embedded_triton_in_background(repository, one_graph=False) as triton,
        sync_client.InferenceServerClient(triton.grpc_url) as client,
    ):
        yield client


def laid_over(folder: Path, *overlays: tuple[str, str]) -> Path:
    """A copy of the shipped repository with folders of deploy/triton copied over models."""
    repository = shutil.copytree(REPOSITORY, folder / "models")
    for overlay, model in overlays:
        shutil.copytree(ELSEWHERE / overlay, repository / model, dirs_exist_ok=True)
    return repository


def change(repository: Path, model: str, **fields: Any) -> None:
    """Rewrite a model's configuration: its instances' kind, or the shape of a tensor."""
    file = repository / model / "config.pbtxt"
    config = text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())
    for tensor in (*config.input, *config.output):
        if tensor.name in fields:
            tensor.dims[:] = fields[tensor.name]
    for group in config.instance_group:
        group.kind = fields.get("kind", group.kind)
    file.write_text(text_format.MessageToString(config))


# --- dynamic batching ---


def test_single_pictures_that_come_together_are_run_together(boards, shipped_answers):
    count = 24

    async def main() -> tuple[list[Any], Any]:
        async with (
            embedded_triton(one_graph=False) as triton,
            aio_client.InferenceServerClient(triton.grpc_url) as client,
        ):
            before = await client.get_inference_statistics("pcb_detector")
            calls = []
            for number in range(count):
                sent = aio_client.InferInput("image", [1, 640, 640, 3], "UINT8")
                sent.set_data_from_numpy(boards[number % 8][None])
                calls.append(client.infer("pcb_inspection", [sent]))
            replies = await asyncio.gather(*calls)
            after = await client.get_inference_statistics("pcb_detector")
            return replies, (before.model_stats[0], after.model_stats[0])

    replies, (before, after) = asyncio.run(main(), debug=True)
    for number, reply in enumerate(replies):
        row = slice(number % 8, number % 8 + 1)
        answer = {name: reply.as_numpy(name) for name in OUTPUTS}
        assert_same(answer, {name: shipped_answers[name][row] for name in OUTPUTS})
    assert after.inference_count - before.inference_count == count
    # The first may run alone; while it runs, the others meet in the queue.
    assert after.execution_count - before.execution_count <= count / 2
    assert max(batch.batch_size for batch in after.batch_stats) >= 4


# --- what may stand in for a part ---


def test_the_python_postprocessing_answers_what_the_graph_does(tmp_path, boards, shipped_answers):
    repository = laid_over(tmp_path, ("postprocessing_python", "postprocessing"))
    random = np.random.default_rng(7)
    crowd = np.zeros((2, 25200, 11), np.float32)
    crowd[:, :3000, :2] = random.uniform(20, 620, (2, 3000, 2))
    crowd[:, :3000, 2:4] = random.uniform(5, 80, (2, 3000, 2))
    crowd[:, :3000, 4:] = random.uniform(0, 1, (2, 3000, 7))
    broken = np.zeros((1, 25200, 11), np.float32)
    broken[0, 25000, 4] = np.nan
    with served(repository) as client:
        assert client.get_model_config("postprocessing").config.backend == "python"
        for count in (1, 8):
            answer = infer(client, "pcb_inspection", "image", boards[:count])
            assert_same(answer, {name: shipped_answers[name][:count] for name in OUTPUTS})
        assert_same(infer(client, "postprocessing", "output", crowd), postprocessed(crowd))
        with pytest.raises(InferenceServerException, match="not finite"):
            infer(client, "postprocessing", "output", broken)


@pytest.mark.parametrize("variant", ["onnxruntime_gpu", "onnxruntime_tensorrt"])
def test_a_gpu_variant_moved_to_the_cpu_answers_as_the_float_network(tmp_path, boards, variant):
    """As far as a machine without a GPU can look: everything but the device and the accelerator."""
    repository = laid_over(tmp_path, ("float", "."), (variant, "."))
    network = Detector(ELSEWHERE / "float/pcb_detector/1/model.onnx")
    change(repository, "pcb_detector", kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    with served(repository) as client:
        expected = postprocessed(network(preprocessed(boards)))
        assert_same(infer(client, "pcb_inspection", "image", boards), expected)


def test_a_gpu_variant_says_that_there_is_no_gpu(tmp_path):
    repository = laid_over(tmp_path, ("onnxruntime_gpu", "."))
    assert "GPU" in refusal(repository)


def test_the_single_graph_answers_what_the_ensemble_does(tmp_path, boards, shipped_answers):
    if not MAKER.is_file():
        pytest.skip("needs .venv-training: scripts/bootstrap-training.sh evaluate")
    repository = laid_over(tmp_path, ("folded", "."))
    made = repository / "pcb_inspection/1/model.onnx"
    network = repository / "pcb_detector/1/model.onnx"
    subprocess.run([MAKER, "scripts/make_folded_onnx.py", network, made], cwd=ROOT, check=True)
    with served(repository) as client:
        assert client.get_model_config("pcb_inspection").config.platform == "onnxruntime_onnx"
        for count in (1, 8):
            answer = infer(client, "pcb_inspection", "image", boards[:count])
            assert_same(answer, {name: shipped_answers[name][:count] for name in OUTPUTS})


# --- as one graph, which the embedded server makes of it ---


def test_the_embedded_server_serves_one_graph_until_a_step_is_replaced(
    tmp_path, boards, shipped_answers
):
    repository = laid_over(tmp_path)
    crowd = np.random.default_rng(5).integers(0, 256, boards.shape, np.uint8)
    pictures_of_both = np.concatenate([boards[:4], crowd[:4]])
    float_network = Detector(ELSEWHERE / "float/pcb_detector/1/model.onnx")

    async def main() -> None:
        async with (
            embedded_triton(repository, models=["pcb_inspection"]) as triton,
            aio_client.InferenceServerClient(triton.grpc_url) as client,
        ):
            shown = (await client.get_model_config("pcb_inspection")).config
            assert shown.platform == "onnxruntime_onnx"
            assert shown.parameters["score_threshold"].string_value == "0.25"
            assert not await client.is_model_ready("pcb_detector")
            expected = postprocessed(Detector()(preprocessed(pictures_of_both)))
            for some in (slice(0, 1), slice(0, 8), slice(5, 6)):
                answer = await asked(client, pictures_of_both[some])
                assert_same(answer, {name: expected[name][some] for name in OUTPUTS})
            assert_same(
                await asked(client, boards), {name: shipped_answers[name] for name in OUTPUTS}
            )

            shutil.copytree(repository / "pcb_golden_inspection", repository / "later")
            named = (repository / "later/config.pbtxt").read_text()
            named = named.replace('"pcb_golden_inspection"', '"later"')
            (repository / "later/config.pbtxt").write_text(named)
            shutil.copy(
                ELSEWHERE / "float/pcb_detector/1/model.onnx", repository / "pcb_detector/1"
            )
            async with asyncio.timeout(10):
                # No event tells when the server's folder has followed.
                while not await is_listed(client, "later"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while await platform_after_loading(client) != "ensemble":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert_same(
                await asked(client, boards), postprocessed(float_network(preprocessed(boards)))
            )

    asyncio.run(main(), debug=True)


async def asked(client: Any, images: Any) -> dict[str, Any]:
    sent = aio_client.InferInput("image", list(images.shape), "UINT8")
    sent.set_data_from_numpy(np.ascontiguousarray(images))
    reply = await client.infer("pcb_inspection", [sent])
    return {name: reply.as_numpy(name) for name in OUTPUTS}


async def is_listed(client: Any, name: str) -> bool:
    index = await client.get_model_repository_index()
    return name in {model.name for model in index.models}


async def platform_after_loading(client: Any) -> str:
    await client.load_model("pcb_inspection")
    return str((await client.get_model_config("pcb_inspection")).config.platform)


# --- another number of classes ---


def refusal(repository: Path) -> str:
    async def main() -> None:
        async with embedded_triton(repository):
            pass

    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(main(), debug=True)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_the_shipped_postprocessing_serves_a_model_of_three_classes(tmp_path):
    repository = tmp_path / "models"
    shutil.copytree(REPOSITORY / "postprocessing", repository / "postprocessing")
    change(repository, "postprocessing", output=[25200, 8])
    random = np.random.default_rng(3)
    raw = np.zeros((2, 25200, 8), np.float32)
    raw[:, :200, :2] = random.uniform(20, 620, (2, 200, 2))
    raw[:, :200, 2:4] = random.uniform(20, 80, (2, 200, 2))
    raw[:, :200, 4:] = random.uniform(0, 1, (2, 200, 4))
    with served(repository) as client:
        answer = infer(client, "postprocessing", "output", raw)
    assert set(answer["classes"][0, : answer["count"][0, 0]]) == {0, 1, 2}
    assert_same(answer, postprocessed(raw))


def test_steps_that_disagree_on_the_classes_are_refused(tmp_path):
    repository = laid_over(tmp_path)
    change(repository, "postprocessing", output=[25200, 8])
    message = refusal(repository)
    assert "pcb_inspection" in message
    assert "[-1,25200,8]" in message


def test_a_network_of_another_shape_than_its_configuration_is_refused(tmp_path):
    repository = laid_over(tmp_path)
    change(repository, "preprocessing", images=[3, 320, 320])
    message = refusal(repository)
    assert "'images' is [3, 320, 320] in config.pbtxt, [3, 640, 640] in the model file" in message


# --- with a golden board ---


def test_the_golden_inspection_finds_what_differs_from_the_reference_and_nothing_else():
    """And what the float network of deploy/triton finds, by way of numpy."""
    codes = tuple(DefectCode)
    drawn = partial(draw_board, seed=5, width_px=600, height_px=600)
    # Boards of two products, each with its label and its light.
    found = [drawn(n, defects=codes[n : n + 3], product=n % 2) for n in range(4)]
    good = [drawn(4 + n, product=n % 2) for n in range(4)]
    wanted = [drawn(8 + n, product=n % 2) for n in range(4)]
    pairs = np.stack(
        [beside(b.picture, wanted[n % 4].picture) for n, b in enumerate([*found, *good])]
    )
    with served(REPOSITORY) as client:
        answer = infer(client, "pcb_golden_inspection", "image", pairs)
        alone = infer(client, "pcb_golden_inspection", "image", pairs[5:6])
    assert_same(alone, {name: answer[name][5:6] for name in OUTPUTS})
    network = Detector(ELSEWHERE / "golden/pcb_detector_golden/1/model.onnx")
    expected = postprocessed(network(stacked(pairs)))
    for row, board in enumerate([*found, *good]):
        claimed = strong(answer, row, 0.5)
        assert len(claimed) == len(board.truth), f"board {row}"
        for defect in board.truth:
            x, y, width, height = defect.bbox_px
            centre = (x + width / 2, y + height / 2)
            assert any(holds(box, centre) and codes[kind] == defect.code for box, kind in claimed)
        for one, other in ((answer, expected), (expected, answer)):
            for box, kind in strong(one, row, 0.6):
                centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                assert any(holds(b, centre) and k == kind for b, k in strong(other, row, 0.4))


def beside(picture: Any, reference: Any) -> Any:
    """[640, 640, 2] uint8: gray of the board, gray of its reference, at the top left of gray."""
    canvas = np.full((640, 640, 2), 114, np.uint8)
    rows, columns = picture.shape[:2]
    for channel, one in enumerate((picture, reference)):
        canvas[:rows, :columns, channel] = cv2.cvtColor(one, cv2.COLOR_BGR2GRAY)
    return canvas


def stacked(pairs: Any) -> Any:
    """What the golden network was trained on: [n, 3, 640, 640], 0..1."""
    differences = [cv2.addWeighted(p[..., 0], 0.5, p[..., 1], -0.5, 128) for p in pairs]
    planes = np.concatenate([pairs, np.stack(differences)[..., None]], axis=-1)
    return planes.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


def strong(answer: dict[str, Any], row: int, least: float) -> list[tuple[Any, int]]:
    """Boxes and classes of what has at least this score."""
    chosen = answer["scores"][row] >= least
    return list(zip(answer["boxes"][row][chosen], answer["classes"][row][chosen], strict=True))


def holds(box: Any, point: tuple[float, float]) -> bool:
    return bool(box[0] < point[0] < box[2] and box[1] < point[1] < box[3])

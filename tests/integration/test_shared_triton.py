"""A Triton that others use too: their broken models, and what killed services left in it."""

from __future__ import annotations

import asyncio
import shutil
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson

from inspector.flow.tensor_pool import TensorPool
from inspector.inference.triton import TritonModel
from inspector.pipeline.terms import model_terms
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings
from tests.drills.triton_process import ControlledTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line

NULL_MODEL = Path(__file__).parents[2] / "benchmarks" / "model_repository" / "null_inspection"
CAMERA = {"source": "sim:?fps=5", "size": PICTURE, "region": BOARD_REGION}
BROKEN = """
backend: "onnxruntime" max_batch_size: 0
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
"""


def repository_with_null_model(folder: Path) -> Path:
    repository = folder / "models"
    shutil.copytree(NULL_MODEL, repository / "null_inspection")
    return repository


def ask(triton: ControlledTriton, method: str, path: str) -> tuple[int, Any]:
    connection = HTTPConnection(triton.http_address, timeout=5)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        return response.status, orjson.loads(body) if body else None
    finally:
        connection.close()


def test_somebody_elses_broken_model_does_not_keep_us_from_ours(tmp_path: Path) -> None:
    repository = repository_with_null_model(tmp_path)
    (repository / "theirs" / "1").mkdir(parents=True)
    (repository / "theirs" / "config.pbtxt").write_text(BROKEN)
    (repository / "theirs" / "1" / "model.onnx").write_bytes(b"no graph")
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x640"}},
        "inference": {"tensors": "inline", "model": "null_inspection"},
    }
    settings = build_settings(Settings, content)
    tensors = TensorPool(tensors=1, max_regions=4, shared=False)

    async def connect(url: str) -> str:
        model = TritonModel(url, model_terms(settings), tensors)
        try:
            (spec,) = (await model.connect()).values()
            return spec.name
        finally:
            await model.close()

    options = ("--exit-on-error=false", "--strict-readiness=true")
    with ControlledTriton(repository, tmp_path / "triton.log", *options) as triton:
        assert ask(triton, "GET", "/v2/health/ready")[0] != 200, "the server as a whole is not"
        assert asyncio.run(connect(triton.grpc_url), debug=True) == "null_inspection"
    tensors.close()


def test_a_start_has_the_server_give_back_what_killed_services_left_in_it(tmp_path: Path) -> None:
    repository = repository_with_null_model(tmp_path)

    def regions() -> set[str]:
        status, body = ask(triton, "GET", "/v2/systemsharedmemory/status")
        assert status == 200
        return {region["name"] for region in body}

    def mapped() -> list[str]:
        maps = Path(f"/proc/{triton.process_id}/maps").read_text().splitlines()
        return [line.split()[5] for line in maps if "/dev/shm/inspector-" in line]

    def ours(pid: int) -> list[str]:
        return [name for name in mapped() if name.startswith(f"/dev/shm/inspector-{pid}-")]

    with ControlledTriton(repository, tmp_path / "triton.log") as triton:
        options: dict[str, Any] = {
            "cameras": {"top": CAMERA},
            "triton": triton.grpc_url,
            "redis_url": "redis://127.0.0.1:1/0",
            "inference": {"model": "null_inspection", "tensors": "shared_memory"},
        }
        (tmp_path / "beside").mkdir()
        with Line(tmp_path, **options) as line, Line(tmp_path / "beside", **options) as beside:
            beside.wait_ready()
            (of_the_living,) = (n for n in regions() if n.startswith(f"inspector-{beside.pid}-"))
            killed = []
            for _ in range(3):
                line.wait_ready()
                killed.append(line.pid)
                line.kill()
                line.start()
            line.wait_ready()
            assert not [name for pid in killed for name in ours(pid)]
            assert of_the_living in regions()
            assert ours(beside.pid)
            assert len(regions()) == 2
            line.stop()
            beside.stop()
        assert not regions()

"""Several models of a real Triton on one stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inspector.core.recipes import ModelName
from inspector.core.records import MissReason
from inspector.settings.settings import Settings
from tests.kit.inference_stage import inference_stage
from tests.kit.triton_server import embedded_triton

CODES = Settings.model_fields["inspection"].default.codes
SLOW, QUICK = ModelName(name="slow"), ModelName(name="quick")
REFUSED = 255
CONFIG = """
backend: "python" max_batch_size: 8
input {{ name: "image" data_type: TYPE_UINT8 dims: [ {side}, {side}, {channels} ] }}
output {{ name: "boxes" data_type: TYPE_FP32 dims: [ 4, 4 ] }}
output {{ name: "scores" data_type: TYPE_FP32 dims: [ 4 ] }}
output {{ name: "classes" data_type: TYPE_INT32 dims: [ 4 ] }}
output {{ name: "count" data_type: TYPE_INT32 dims: [ 1 ] }}
instance_group {{ kind: KIND_CPU count: 1 }}
{more}
"""
MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        pictures = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        time.sleep(TAKES_S)
        if (pictures == REFUSED).all():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("not this one"))
        many = len(pictures)
        scores = np.zeros((many, 4), np.float32)
        scores[:, 0] = pictures.reshape(many, -1)[:, 0] / 255
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("boxes", np.zeros((many, 4, 4), np.float32)),
            pb_utils.Tensor("scores", scores),
            pb_utils.Tensor("classes", np.zeros((many, 4), np.int32)),
            pb_utils.Tensor("count", np.ones((many, 1), np.int32)),
        ])
"""


def add(repository: Path, name: str, *, takes_s: float, side: int, channels: int = 3) -> None:
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    more = ""
    if channels == 2:
        more = 'parameters { key: "channels" value { string_value: "unit,reference" } }'
    config = CONFIG.format(side=side, channels=channels, more=more)
    (folder.parent / "config.pbtxt").write_text(config)
    code = MODEL.replace("TAKES_S", str(takes_s)).replace("REFUSED", str(REFUSED))
    (folder / "model.py").write_text(code)


@pytest.mark.parametrize("transport", ["stream", "unary"])
def test_replies_of_several_models_come_in_the_order_asked_refusals_among_them(
    tmp_path: Path, transport: str
) -> None:
    """A quick model's reply waits for that of a slow one that was asked before."""

    async def main() -> None:
        async with (
            embedded_triton(tmp_path) as triton,
            inference_stage(
                triton.grpc_url, model="slow", transport=transport, max_in_flight=8
            ) as stage,
        ):
            await stage.model.prepare(QUICK, CODES)
            grey: dict[int, int] = {}
            for turn in range(40):
                model = SLOW if turn % 4 == 0 else QUICK
                fill = REFUSED if turn % 7 == 3 else turn
                grey[await stage.send(model, fill=fill)] = fill
            for number, fill in grey.items():
                outcome = await stage.outcome(number)
                if fill == REFUSED:
                    assert outcome.miss is MissReason.INFERENCE_FAILED
                    assert "not this one" in outcome.detail
                    continue
                assert outcome.outputs is not None
                assert outcome.spec is not None
                assert outcome.spec.name == outcome.batch.model.name
                assert round(float(outcome.outputs["scores"][0, 0]) * 255) == fill
            assert stage.order == sorted(stage.order)
            assert [up for up, _ in stage.told] == [True]

    add(tmp_path, "slow", takes_s=0.05, side=16)
    add(tmp_path, "quick", takes_s=0.0, side=16)
    asyncio.run(main(), debug=True)


def test_a_larger_model_is_prepared_while_another_answers_from_shared_memory(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with (
            embedded_triton(tmp_path) as triton,
            inference_stage(
                triton.grpc_url, model="slow", tensors="shared_memory", max_in_flight=8
            ) as stage,
        ):
            before = stage.tensors.block
            assert before is not None
            numbers = [await stage.send(SLOW, fill=turn) for turn in range(6)]
            spec = await stage.model.prepare(QUICK, CODES)
            assert spec.input.takes_reference
            assert stage.tensors.block is not before
            numbers += [await stage.send(m, fill=9) for m in (QUICK, SLOW, QUICK)]
            for number, fill in zip(numbers, [*range(6), 9, 9, 9], strict=True):
                outcome = await stage.outcome(number)
                assert outcome.outputs is not None, outcome.detail
                assert round(float(outcome.outputs["scores"][0, 0]) * 255) == fill
            await stage.until(lambda: before.key is None)

    add(tmp_path, "slow", takes_s=0.1, side=16)
    add(tmp_path, "quick", takes_s=0.0, side=64, channels=2)
    asyncio.run(main(), debug=True)

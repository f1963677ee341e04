"""deploy/triton/tensorrt_plan/build_engine.sh with a stand-in for trtexec, which needs a GPU.

The stand-in shows its arguments.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/triton/tensorrt_plan/build_engine.sh"
# Answers --help as TensorRT 10 does; writes its arguments where the engine should go.
STAND_IN = """#!/usr/bin/env bash
if [ "$1" = --help ]; then echo "  {help}"; exit 0; fi
for argument in "$@"; do case "$argument" in --saveEngine=*) plan="${{argument#*=}}";; esac; done
printf '%s\\n' "$@" > "$plan"
exit {exit_code}
"""


@pytest.fixture
def model(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"graph")
    return file


def trtexec(folder: Path, *, options: str = "--fp16", exit_code: int = 0) -> Path:
    program = folder / "trtexec"
    program.write_text(STAND_IN.format(help=options, exit_code=exit_code))
    program.chmod(0o755)
    return program


def build(
    *arguments: str | Path, program: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, "TRTEXEC": str(program), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_engine_is_built_for_every_batch_the_configuration_allows(tmp_path, model):
    plan = tmp_path / "models/pcb_detector/1/model.plan"
    done = build(model, plan, program=trtexec(tmp_path))
    assert done.returncode == 0, done.stderr
    asked = plan.read_text().splitlines()
    assert asked == [
        f"--onnx={model}",
        f"--saveEngine={plan}.part",
        "--minShapes=images:1x3x640x640",
        "--optShapes=images:4x3x640x640",
        "--maxShapes=images:8x3x640x640",
        "--memPoolSize=workspace:1024",
        "--skipInference",
        "--fp16",
    ]
    assert "fp16, batches of 1 to 8" in done.stdout


def test_precision_and_sizes_can_be_set(tmp_path, model):
    plan = tmp_path / "model.plan"
    settings = {"PRECISION": "fp32", "MAX_BATCH": "16", "OPT_BATCH": "8", "WORKSPACE_MIB": "512"}
    build(model, plan, program=trtexec(tmp_path, options=""), **settings)
    asked = plan.read_text().splitlines()
    assert "--fp16" not in asked
    assert "--maxShapes=images:16x3x640x640" in asked
    assert "--optShapes=images:8x3x640x640" in asked
    assert "--memPoolSize=workspace:512" in asked


def test_a_tensorrt_without_fp16_is_refused_with_the_way_out(tmp_path, model):
    done = build(model, tmp_path / "model.plan", program=trtexec(tmp_path, options="--onnx"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: this trtexec has no --fp16")
    assert "PRECISION=fp32" in done.stderr
    assert not (tmp_path / "model.plan").exists()


def test_a_failed_build_leaves_the_old_engine(tmp_path, model):
    plan = tmp_path / "model.plan"
    plan.write_text("yesterday's")
    done = build(model, plan, program=trtexec(tmp_path, exit_code=3))
    assert done.returncode == 3
    assert plan.read_text() == "yesterday's"
    assert not (tmp_path / "model.plan.part").exists()


@pytest.mark.parametrize(
    ("arguments", "settings", "reason"),
    [
        ([], {}, "usage: "),
        (["nowhere.onnx"], {}, "nowhere.onnx is missing"),
        ([__file__], {"PRECISION": "int4"}, "PRECISION is int4, expected fp16 or fp32"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(tmp_path, arguments, settings, reason):
    done = build(*arguments, program=trtexec(tmp_path), **settings)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_trtexec_says_where_to_run(tmp_path, model):
    done = build(model, tmp_path / "model.plan", program=tmp_path / "none")
    assert done.returncode == 1
    assert "run this inside NVIDIA's Triton container" in done.stderr

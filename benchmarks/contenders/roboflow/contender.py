"""Roboflow's InferencePipeline with a handler that calls Triton, as its users write one.

    python -m benchmarks.contenders.roboflow.contender --url HOST:PORT --model NAME --frames N

Models: null_inspection, pcb_inspection. The pipeline lies in the package streamvision, which
Roboflow's `inference` takes it from; it reads, infers and delivers in three threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from streamvision.camera.entities import SourceProperties, VideoFrame
from streamvision.stream.configuration import StreamsConfiguration, configure_process
from tritonclient import grpc

from benchmarks.contenders.pictures import letterbox
from benchmarks.contenders.protocol import Job, Picture, Run, compete

FRAMES_PER_S = 30.0


class FromMemory:
    """A VideoFrameProducer: a file of so many frames that is read as fast as they are taken."""

    def __init__(self, picture: Picture, frames: int) -> None:
        self._picture = picture
        self._frames = self._left = frames

    def isOpened(self) -> bool:  # noqa: N802 - Roboflow's name
        """Memory is always there."""
        return True

    def grab(self) -> bool:
        """Whether there is a frame."""
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, Picture]:
        """That frame; a decoder would write a new one."""
        return True, self._picture

    def release(self) -> None:
        """Nothing to give back."""

    def discover_source_properties(self) -> SourceProperties:
        """Of a file, so that the pipeline waits for every frame to be taken and drops none."""
        height, width = self._picture.shape[:2]
        return SourceProperties(
            width=width,
            height=height,
            total_frames=self._frames,
            is_file=True,
            fps=FRAMES_PER_S,
            is_reconnectable=False,
        )

    def initialize_source_properties(self, properties: dict[str, float]) -> None:
        """Nothing to set."""


@contextmanager
def pipeline(job: Job) -> Iterator[Run]:
    """One client; a pipeline for each run, which ends with its frames."""
    configure_process(StreamsConfiguration(offline_mode=True))
    from streamvision.stream.pipeline import InferencePipeline  # noqa: PLC0415 - after that

    def infer(frames: list[VideoFrame]) -> list[dict[str, Any]]:
        answers = []
        for frame in frames:
            tensor = grpc.InferInput("image", [1, 640, 640, 3], "UINT8")
            tensor.set_data_from_numpy(letterbox(frame.image)[None])
            answers.append({"count": client.infer(job.model, [tensor]).as_numpy("count")})
        return answers

    def run(frames: int) -> int:
        seen = []

        def deliver(answer: dict[str, Any], _frame: VideoFrame) -> None:
            seen.append(int(answer["count"].sum()))

        line = InferencePipeline.init_with_custom_logic(
            video_reference=partial(FromMemory, job.picture, frames),
            on_video_frame=infer,
            on_prediction=deliver,
        )
        line.start(use_main_thread=False)
        line.join()
        if len(seen) != frames:
            raise RuntimeError(f"{len(seen)} of {frames} frames were delivered")
        return sum(seen)

    with grpc.InferenceServerClient(job.url) as client:
        yield run


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    compete(pipeline, packages=["streamvision", "tritonclient", "numpy", "opencv-python-headless"])

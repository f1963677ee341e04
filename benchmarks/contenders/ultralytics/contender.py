"""Ultralytics' YOLO over `grpc://`, as its users put it before Triton.

    python -m benchmarks.contenders.ultralytics.contender --url HOST:PORT --model NAME --frames N

Models: null_yolo, pcb_yolo. --in-flight is the number of pictures in one predict(): it sends them
as one batch and does one after the other, so there is never more than one request at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Read when the package is imported: no look for a network, no installing, settings of its own.
os.environ |= {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "YOLO_CONFIG_DIR": str(Path(".cache/contenders/ultralytics-settings").resolve()),
}

from ultralytics import YOLO, settings

from benchmarks.contenders.protocol import Job, Run, compete

PICTURES_PER_REQUEST = 1


@contextmanager
def predicting(job: Job) -> Iterator[Run]:
    """One model object, as many predict() as it takes."""
    settings.update({"sync": False})  # Ultralytics' name for its telemetry
    model = YOLO(f"grpc://{job.url}/{job.model}", task="detect")
    batch = job.in_flight or PICTURES_PER_REQUEST

    def run(frames: int) -> int:
        detections = 0
        while frames > 0:
            pictures = [job.picture] * min(batch, frames)
            # rect=False: the whole square, which the model on the server wants.
            for result in model.predict(pictures, rect=False, stream=True, verbose=False):
                detections += len(result.boxes)
            frames -= len(pictures)
        return detections

    yield run


if __name__ == "__main__":
    compete(
        predicting,
        packages=[
            "ultralytics-opencv-headless",
            "torch",
            "tritonclient",
            "numpy",
            "opencv-python-headless",
        ],
    )

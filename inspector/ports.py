"""The seams of the pipeline: every place a real device or server can be swapped for a fake."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from inspector.records import Batch, EncodedBatch, Grabbed, Image, ModelSpec, Reply


class Stage(Protocol):
    """A step of the pipeline."""

    @property
    def name(self) -> str:
        """Short name for logs and metrics."""

    async def run(self) -> None:
        """Work until the input ends, then close the output and return."""


class Source(Stage, Protocol):
    """A stage with no input: it ends when asked to."""

    def request_stop(self) -> None:
        """Produce nothing more; `run` returns soon after. Safe from any thread."""


class FrameSource(Protocol):
    """A camera, as its capture thread sees it. Every method may block; one thread only."""

    def open(self) -> None:
        """Connect.

        Raises:
            CameraUnavailableError: it cannot be reached, refuses us, or delivers another size.

        """

    def grab(self) -> Grabbed:
        """Wait for the next frame; decodes as little as the format allows.

        Raises:
            CameraUnavailableError: the camera is gone, or sent nothing for its read timeout.
            EndOfFootageError: a recording is over.

        """

    def retrieve_into(self, image: Image) -> None:
        """Write the grabbed frame's pixels into `image`, in place.

        Raises:
            FrameUnreadableError: this one picture cannot be decoded.

        """

    def close(self) -> None:
        """Disconnect; never raises; `open` may follow."""


class Model(Protocol):
    """A model behind a server, as the inference stage sees it. Event loop only."""

    async def connect(self) -> ModelSpec:
        """Check that the server has the model and that it fits the settings.

        Raises:
            InferenceUnavailableError: the server is away, or the model is not ready.
            ConfigurationError: the model is not what the settings say.

        """

    def encode(self, batch: Batch) -> EncodedBatch:
        """Make the wire request; kept apart from sending so that its errors are seen."""

    def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """Yield one reply per request, in order.

        Raises:
            InferenceUnavailableError: the server is away or dropped the stream.

        """

    async def close(self) -> None:
        """Disconnect; never raises."""

"""A gRPC server on loopback that speaks Triton's protocol and misbehaves on request.

Only for what a real Triton cannot be made to do. Its "model" is honest, though: it looks at the
pixels it was sent and reports the bright rectangle in each picture, so that a test sees whether
the right pixels arrived and whether boxes come back to the right place.
"""

from __future__ import annotations

import asyncio
import mmap
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as rpc

from inspector.core.records import UNIT_AND_REFERENCE
from inspector.inference.triton import TRIAL

BRIGHT = 200
DIFFERS = 80
ROOM = 8
STRIDES = (8, 16, 32)
DTYPES: dict[str, Any] = {"UINT8": np.uint8, "FP32": np.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What happens to one request; the default is an honest answer at once."""

    delay_s: float = 0.0
    refuse: str = ""
    drop: bool = False
    """Break the connection with an error status."""
    end: bool = False
    """End the stream as if all were well, with requests unanswered."""
    hang: bool = False
    """Never answer this nor anything after it."""
    edit: Callable[[Any], None] | None = None
    """Change the honest ModelInferResponse."""
    twice: bool = False
    """Send the answer, and then once more."""


Script = Callable[[int, str], Act]


def honest(_number: int, _request_id: str) -> Act:
    return Act()


@dataclass(kw_only=True)
class Deployed:
    """A model the server has."""

    name: str = "pcb_inspection"
    version: str = "1"
    layout: str = "detections"
    """detections, objectness ([N, 5 + classes]) or transposed ([4 + classes, N])."""
    dtype: str = "UINT8"
    side_px: int = 64
    channels: int = 3
    classes: int = 6
    max_batch_size: int = 8
    exactly: int = 0
    """A graph for so many pictures, which has no batch dimension of Triton's."""
    code: int = 2
    """The class it gives to what it finds."""
    parameters: dict[str, str] = field(default_factory=dict)
    ready: bool = True
    reason: str = ""
    """Why it is not."""

    @property
    def picture(self) -> list[int]:
        side = self.side_px
        channels = self.channels
        return [side, side, channels] if self.dtype == "UINT8" else [channels, side, side]

    @property
    def outputs(self) -> list[tuple[str, str, list[int]]]:
        if self.layout == "detections":
            return [
                ("boxes", "FP32", [ROOM, 4]),
                ("scores", "FP32", [ROOM]),
                ("classes", "INT32", [ROOM]),
                ("count", "INT32", [1]),
            ]
        if self.layout == "objectness":
            return [("output", "FP32", [len(self.centres), 5 + self.classes])]
        return [("output", "FP32", [4 + self.classes, len(self.centres)])]

    @property
    def centres(self) -> NDArray[Any]:
        """One candidate for each cell of three grids; with objectness, three."""
        grids = []
        for stride in STRIDES:
            middles = np.arange(stride // 2, self.side_px, stride)
            across, down = np.meshgrid(middles, middles)
            grids.append(np.stack([across.ravel(), down.ravel()], axis=1))
        return np.concatenate(grids * (3 if self.layout == "objectness" else 1))

    def answer(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """One result per picture: the bounding box of what is bright in it."""
        if self.dtype == "FP32":
            pictures = (pictures.transpose(0, 2, 3, 1) * 255).round()
        found = [_bright_box(picture) for picture in pictures]
        if self.layout == "detections":
            return self._detections(found)
        centres = self.centres
        head = np.zeros((len(found), len(centres), 5 + self.classes), np.float32)
        head[..., :2], head[..., 2:4] = centres, 4
        for row, box in zip(head, found, strict=True):
            if box is None:
                continue
            left, top, right, bottom = box
            whole = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            # The same thing seen three times, and a weak doubt elsewhere: suppression has work.
            for candidate, confidence in ((5, 0.9), (6, 0.8), (70, 0.7)):
                row[candidate, :4] = whole
                row[candidate, 4] = confidence
                row[candidate, 5 + self.code] = 1.0
            row[80] = [8, 8, 4, 4, 0.2, *([1.0] * self.classes)]
        if self.layout == "objectness":
            return {"output": head}
        per_class = head[..., 4:5] * head[..., 5:]
        columns = np.concatenate([head[..., :4], per_class], axis=2).transpose(0, 2, 1)
        return {"output": np.ascontiguousarray(columns)}

    def _detections(self, found: list[Any]) -> dict[str, NDArray[Any]]:
        boxes = np.zeros((len(found), ROOM, 4), np.float32)
        scores = np.zeros((len(found), ROOM), np.float32)
        classes = np.zeros((len(found), ROOM), np.int32)
        count = np.zeros((len(found), 1), np.int32)
        for i, box in enumerate(found):
            if box is not None:
                boxes[i, 0], scores[i, 0], classes[i, 0], count[i] = box, 0.9, self.code, 1
        return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}


def _bright_box(picture: NDArray[Any]) -> tuple[float, float, float, float] | None:
    """Of a unit beside its reference: the box of what differs."""
    if picture.shape[2] == UNIT_AND_REFERENCE:
        unit, reference = picture.transpose(2, 0, 1).astype(np.int16)
        rows, columns = np.nonzero(abs(unit - reference) > DIFFERS)
    else:
        rows, columns = np.nonzero(picture.max(axis=2) > BRIGHT)
    if not rows.size:
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


class FakeTriton(rpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The service; `serving` puts it on a port."""

    def __init__(
        self,
        model: Deployed | None = None,
        script: Script = honest,
        *,
        shares: bool = True,
        more: Sequence[Deployed] = (),
    ) -> None:
        """`more` models beside the one that a station is configured for."""
        self.model = model or Deployed()
        self.more = list(more)
        self.script = script
        self.shares = shares
        self.url = ""
        self.hangs_in_trial = ""
        """A model that never answers its trial."""
        self.is_hanging = asyncio.Event()
        self.trial_s = 0.0
        """How long each trial takes: a model's first requests are its slowest."""
        self.refuses = ""
        """A model that refuses every request."""
        self.requests = 0
        self.loads = False
        """Whether it loads a model when it is asked to, as one with explicit model control does."""
        self.loaded: list[str] = []
        """Models that it was asked to load."""
        self.asked: Counter[str] = Counter()
        """Requests by model."""
        self.answered = 0
        self.streams = 0
        self.shared_requests = 0
        self.waiting = self.most_waiting = 0
        self.regions: dict[str, mmap.mmap] = {}
        self._server: Any = None

    def _named(self, name: str) -> Deployed | None:
        return next((m for m in (self.model, *self.more) if m.name == name), None)

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server()
        rpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        assert bound, f"port {port} is not free yet"
        self.url = f"127.0.0.1:{bound}"
        await self._server.start()

    async def stop(self) -> None:
        """As SIGKILL would: nothing is answered any more."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)
        self.waiting = 0
        self._forget_regions()

    async def restart(self) -> None:
        await self.start(int(self.url.rpartition(":")[2]))

    def _forget_regions(self) -> None:
        for region in self.regions.values():
            region.close()
        self.regions.clear()

    # --- what a client asks before it sends pictures ---

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802
        model = self._named(request.name)
        return pb.ModelReadyResponse(ready=model is not None and model.ready)

    async def RepositoryIndex(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        index = pb.RepositoryIndexResponse()
        for model in (self.model, *self.more):
            state = "READY" if model.ready else "UNAVAILABLE"
            index.models.add(
                name=model.name, version=model.version, state=state, reason=model.reason
            )
        return index

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self.loads:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "explicit model load not allowed")
        model = self._named(request.model_name)
        assert model is not None
        model.ready = True
        self.loaded.append(model.name)
        return pb.RepositoryModelLoadResponse()

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = await self._asked(request, context)
        versions = [model.version]
        picture = [model.exactly or -1, *model.picture]
        reply = pb.ModelMetadataResponse(name=model.name, versions=versions, platform="ensemble")
        reply.inputs.add(name="image", datatype=model.dtype, shape=picture)
        for name, dtype, shape in model.outputs:
            reply.outputs.add(name=name, datatype=dtype, shape=[-1, *shape])
        return reply

    async def _asked(self, request: Any, context: Any) -> Deployed:
        model = self._named(request.name)
        if model is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model: '{request.name}'")
        assert model is not None
        return model

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = await self._asked(request, context)
        reply = pb.ModelConfigResponse()
        reply.config.name = model.name
        reply.config.max_batch_size = 0 if model.exactly else model.max_batch_size
        for key, value in model.parameters.items():
            reply.config.parameters[key].string_value = value
        return reply

    async def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self.shares:
            await context.abort(
                grpc.StatusCode.INTERNAL,
                f"Unable to open shared memory region: '{request.key}'",
            )
        if request.name in self.regions:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "already in manager")
        path = Path("/dev/shm") / request.key.strip("/")
        with path.open("r+b") as segment:
            self.regions[request.name] = mmap.mmap(segment.fileno(), request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryStatus(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        reply = pb.SystemSharedMemoryStatusResponse()
        for name, region in self.regions.items():
            reply.regions[name].byte_size = len(region)
        return reply

    async def SystemSharedMemoryUnregister(self, request: Any, _context: Any) -> Any:  # noqa: N802
        region = self.regions.pop(request.name, None)
        if region is not None:
            region.close()
        return pb.SystemSharedMemoryUnregisterResponse()

    # --- inference ---

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.id == TRIAL:  # not in the script: it belongs to connecting
            if request.model_name == self.hangs_in_trial:
                self.is_hanging.set()
                await asyncio.Event().wait()
            await asyncio.sleep(self.trial_s)
            return self._infer(request, Act())
        act = self._next_act(request)
        await asyncio.sleep(act.delay_s)
        if act.hang:
            await asyncio.Event().wait()
        if act.drop or act.end:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "dropped")
        if act.refuse:
            self._count_answer()
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, act.refuse)
        reply = self._infer(request, act)
        self._count_answer()
        return reply

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.streams += 1
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        reader = asyncio.create_task(self._read_eagerly(requests, arrived), name="fake/reader")
        try:
            while (item := await arrived.get()) is not None:
                request, act = item
                await asyncio.sleep(act.delay_s)
                if act.hang:
                    await asyncio.Event().wait()
                if act.end:
                    return
                if act.drop:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "dropped")
                reply = pb.ModelStreamInferResponse()
                if act.refuse:
                    reply.error_message = act.refuse
                else:
                    reply.infer_response.CopyFrom(self._infer(request, act))
                self._count_answer()
                yield reply
                if act.twice:
                    yield reply
        finally:
            reader.cancel()

    async def _read_eagerly(self, requests: Any, arrived: asyncio.Queue[Any]) -> None:
        try:
            async for request in requests:
                arrived.put_nowait((request, self._next_act(request)))
        except (grpc.aio.AbortError, grpc.RpcError, asyncio.CancelledError):
            pass
        finally:
            arrived.put_nowait(None)

    def _next_act(self, request: Any) -> Act:
        act = self.script(self.requests, request.id)
        shape = list(request.inputs[0].shape)
        model = self._named(request.model_name)
        if model is None:
            act = Act(refuse=f"unknown model: '{request.model_name}'")
        elif model.name == self.refuses:
            act = Act(refuse=f"model {model.name} refuses")
        elif (
            shape[1:] != model.picture
            or shape[0] > (model.exactly or model.max_batch_size)
            or shape[0] < model.exactly
        ):
            act = Act(refuse=f"unexpected shape {shape} for input 'image'")
        self.requests += 1
        self.asked[request.model_name] += 1
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        return act

    def _count_answer(self) -> None:
        self.answered += 1
        self.waiting -= 1

    def _infer(self, request: Any, act: Act) -> Any:
        model, sent = self._named(request.model_name), request.inputs[0]
        assert model is not None, request.model_name
        pictures = self._pixels(request, sent).reshape(list(sent.shape))
        outputs = model.answer(pictures)
        reply = pb.ModelInferResponse(
            model_name=model.name, model_version=model.version, id=request.id
        )
        for name, dtype, _shape in model.outputs:
            reply.outputs.add(name=name, datatype=dtype, shape=outputs[name].shape)
            reply.raw_output_contents.append(outputs[name].tobytes())
        if act.edit is not None:
            act.edit(reply)
        return reply

    def _pixels(self, request: Any, sent: Any) -> NDArray[Any]:
        dtype = DTYPES[sent.datatype]
        where = sent.parameters.get("shared_memory_region")
        if where is None:
            return np.frombuffer(request.raw_input_contents[0], dtype)
        self.shared_requests += 1
        region = self.regions[where.string_param]
        size_bytes = sent.parameters["shared_memory_byte_size"].int64_param
        offset_bytes = (
            sent.parameters["shared_memory_offset"].int64_param
            if "shared_memory_offset" in sent.parameters
            else 0
        )
        # A copy, as Triton's own backends make: the client may reuse the memory after the reply.
        return np.frombuffer(region[offset_bytes : offset_bytes + size_bytes], dtype)


@asynccontextmanager
async def serving(fake: FakeTriton, *, from_start: bool = True) -> AsyncIterator[FakeTriton]:
    """The server on a port of its own; not `from_start`: only the port is chosen, `restart` it."""
    await fake.start()
    if not from_start:
        await fake.stop()
    try:
        yield fake
    finally:
        await fake.stop()

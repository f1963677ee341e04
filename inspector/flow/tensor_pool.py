"""The memory of request tensors: private, or shared with a Triton server on this machine."""

from __future__ import annotations

import asyncio
import fcntl
import math
import mmap
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.recipes import ModelName
from inspector.core.records import ModelInput

SHM_DIRECTORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory lives here; Triton opens it by name
SHM_PREFIX = "inspector-"
SLOT_ALIGNMENT_BYTES = 64
"""A cache line; this also aligns every dtype."""
_OF_A_POOL = re.compile(rf"{SHM_PREFIX}\d+-[0-9a-f]{{8}}")
_DTYPES: dict[str, type[np.generic]] = {
    "UINT8": np.uint8,
    "FP16": np.float16,
    "FP32": np.float32,
}


def empty_tensor(model_input: ModelInput, *leading: int) -> NDArray[Any]:
    """Black pictures in this model's format, in an array with these axes before a picture's."""
    return np.zeros((*leading, *model_input.shape), np.dtype(_DTYPES[model_input.dtype]))


class TensorLease:
    """The input tensor of one request, owned until released."""

    __slots__ = ("_array", "_block", "_index", "key", "offset_bytes")

    def __init__(self, block: TensorBlock, index: int, array: NDArray[Any]) -> None:
        self._block: TensorBlock | None = block
        self._index = index
        self._array = array
        self.offset_bytes = index * block.slot_bytes
        self.key = block.key

    @property
    def array(self) -> NDArray[Any]:
        """(max_regions, *input shape), in the model's dtype; the next owner overwrites it."""
        return self._array

    def release(self) -> None:
        """Return the memory; calling twice is a bug and raises. Event loop only."""
        if self._block is None:
            msg = "tensor lease released twice"
            raise RuntimeError(msg)
        block, self._block = self._block, None
        block._take_back(self._index)  # noqa: SLF001 - a lease is part of its block


class TensorBlock:
    """One allocation, cut into slots of equal size; each slot holds the tensor of one request.

    It is a POSIX shared memory segment if one is available, so that each connection, not each
    allocation, decides whether the server reads it directly or gets its bytes. Its memory is freed
    with its last lease, its name with `close`.
    """

    def __init__(self, *, slots: int, slot_bytes: int, shared: bool) -> None:
        self.slot_bytes = slot_bytes
        self.size_bytes = slots * slot_bytes
        self._slots = slots
        self.key: str | None = None
        """Name of the shared segment as `shm_open` takes it (with its slash), or None."""
        self._lock_fd: int | None = None
        self._memory: mmap.mmap | NDArray[np.uint8] | None = None
        if shared:
            self._memory = self._allocate_shared(self.size_bytes)
        if self._memory is None:
            self._memory = np.zeros(self.size_bytes, np.uint8)
        self._free = deque(range(slots))
        self.returned = asyncio.Event()
        """Set whenever a lease was returned; the task that waits for a slot clears it."""
        self.is_home = asyncio.Event()
        """Set while no lease is out."""
        self.is_home.set()

    @property
    def lent(self) -> int:
        """The number of leases in use."""
        return self._slots - len(self._free)

    def _allocate_shared(self, size_bytes: int) -> mmap.mmap | None:
        name = f"{SHM_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        path = SHM_DIRECTORY / name
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError:
            return None
        try:
            # Reserves the pages now: with ftruncate alone a full /dev/shm shows only as a bus error
            # at the first write.
            os.posix_fallocate(fd, 0, size_bytes)
            memory = mmap.mmap(fd, size_bytes)
            # Held until we close it or die: the segment of a running owner is locked, that of a
            # dead one is not, even across process-id namespaces.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            path.unlink()
            return None
        self._lock_fd = fd
        self.key = f"/{name}"
        return memory

    def lease(self, model_input: ModelInput, max_regions: int) -> TensorLease | None:
        """A free slot, shaped for this input; None while all are lent."""
        rows = max(max_regions, model_input.exactly)
        if not self._free or self._memory is None:
            return None
        index = self._free.popleft()
        self.is_home.clear()
        array: NDArray[Any] = np.ndarray(
            (rows, *model_input.shape),
            _DTYPES[model_input.dtype],
            buffer=self._memory,
            offset=index * self.slot_bytes,
        )
        return TensorLease(self, index, array)

    def _take_back(self, index: int) -> None:
        self._free.append(index)
        self.returned.set()
        if not self.lent:
            self.is_home.set()

    def close(self) -> None:
        """Remove the segment's name and lend nothing more; calling twice is harmless."""
        if self.key is not None:
            with suppress(OSError):
                (SHM_DIRECTORY / self.key[1:]).unlink()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
        self.key = self._memory = None


class TensorPool:
    """Input tensors for every model in use, in one block of memory.

    A slot is as large as the largest input needs, so the models take turns with the same slots. A
    model with a larger input needs a larger block, which replaces the old one once the server can
    read it: leases of the old block stay valid, and its memory is freed with the last of them.
    Event loop only.
    """

    def __init__(self, *, tensors: int, max_regions: int, shared: bool) -> None:
        self._tensors = tensors
        self._max_regions = max_regions
        self._want_shared = shared
        self._block: TensorBlock | None = None
        self._retired: list[TensorBlock] = []
        self._inputs: dict[ModelName, ModelInput] = {}
        self._changed = asyncio.Event()
        self._is_awaited = True

    def input_of(self, model: ModelName) -> ModelInput | None:
        """The input for which this model's tensors are shaped; None before the first connection."""
        return self._inputs.get(model)

    @property
    def block(self) -> TensorBlock | None:
        """The block in use; None before the first connection."""
        return self._block

    @property
    def lent(self) -> int:
        """The number of leases in use, of all blocks."""
        blocks = [*self._retired, *([self._block] if self._block else [])]
        return sum(block.lent for block in blocks)

    def form_for(self, inputs: Mapping[ModelName, ModelInput]) -> None:
        """For a new connection: shape tensors for these models and no others from now on.

        The block in use stays if they fit it. Otherwise its leases stay valid as memory, and the
        server gets no more references to it.
        """
        if (larger := self.larger_block_for(inputs.values())) is not None:
            self.put_in_place(larger)
        for old in self._retired:
            old.close()
        self._inputs = {}
        self.add(inputs)

    def larger_block_for(self, inputs: Iterable[ModelInput]) -> TensorBlock | None:
        """A new block if these inputs do not fit the one in use. Nothing is lent from it yet."""
        needed = max((self._slot_bytes(model_input) for model_input in inputs), default=0)
        if needed <= (self._block.slot_bytes if self._block else 0):
            return None
        return TensorBlock(slots=self._tensors, slot_bytes=needed, shared=self._want_shared)

    def _slot_bytes(self, model_input: ModelInput) -> int:
        shape = (max(self._max_regions, model_input.exactly), *model_input.shape)
        size_bytes = math.prod(shape) * np.dtype(_DTYPES[model_input.dtype]).itemsize
        return -(-size_bytes // SLOT_ALIGNMENT_BYTES) * SLOT_ALIGNMENT_BYTES

    def put_in_place(self, block: TensorBlock) -> TensorBlock | None:
        """Lend from this block from now on; returns the one before, whose leases may be in use.

        The caller closes that one, once it `is_home` if a server reads from it.
        """
        before, self._block = self._block, block
        for old in self._retired:
            if not old.lent:
                old.close()
        self._retired = [old for old in self._retired if old.lent]
        if before is not None:
            self._retired.append(before)
            # A task that waits for a slot of the old block gets one of the new.
            before.returned.set()
        return before

    def add(self, inputs: Mapping[ModelName, ModelInput]) -> None:
        """Shape tensors for these models too; they fit the block in use."""
        self._inputs.update(inputs)
        self._changed.set()

    async def wait_for_input(self, model: ModelName) -> None:
        """Return once this model's input is known, or `stop_waiting` was called."""
        while self._is_awaited and model not in self._inputs:
            self._changed.clear()
            await self._changed.wait()

    def stop_waiting(self) -> None:
        """Stop waiting for a model: tasks that wait for its input continue without it."""
        self._is_awaited = False
        self._changed.set()

    async def lease(self, model: ModelName) -> TensorLease | None:
        """Wait for a free tensor; None if the model's input is not known (any more).

        One waiter only.
        """
        while (block := self._block) is not None and (known := self.input_of(model)) is not None:
            if (lease := block.lease(known, self._max_regions)) is not None:
                return lease
            block.returned.clear()
            await block.returned.wait()
        return None

    def close(self) -> None:
        """Remove the shared segments' names; their memory is freed with the last view of it."""
        for block in (*self._retired, *([self._block] if self._block else [])):
            block.close()
            block.returned.set()
        self._retired, self._block, self._inputs = [], None, {}


def remove_segments_of_the_dead(min_age_s: float = 10.0) -> list[str]:
    """Remove segments whose owner was killed before it could; returns their names.

    Only those of pools: our other segments, such as the embedded server's, are not locked, and
    their owner removes them.
    """
    return sorted(
        path.name
        for path in SHM_DIRECTORY.glob(f"{SHM_PREFIX}*")
        if _OF_A_POOL.fullmatch(path.name) and _unlink_if_dead(path, min_age_s)
    )


def give_up_segment_of_the_dead(name: str) -> bool:
    """Whether a segment that a server on this machine has mapped has no owner any more.

    It is removed if it still exists. A server that could map ours has the same /dev/shm, so a name
    that is not in it has no owner.
    """
    if not _OF_A_POOL.fullmatch(name):
        return False
    path = SHM_DIRECTORY / name
    return not path.exists() or _unlink_if_dead(path, min_age_s=0.0)


def _unlink_if_dead(path: Path, min_age_s: float) -> bool:
    with suppress(OSError):  # locked by its owner, owned by another user, or gone meanwhile
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A new one may be between its creation and its lock.
            if time.time() - os.fstat(fd).st_mtime >= min_age_s:
                path.unlink()
                return True
        finally:
            os.close(fd)
    return False

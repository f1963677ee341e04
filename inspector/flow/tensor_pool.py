"""The memory of request tensors: private, or shared with a Triton server on this machine."""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import re
import secrets
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.records import ModelInput

SHM_DIRECTORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory lives here; Triton opens it by name
SHM_PREFIX = "inspector-"
_OF_A_POOL = re.compile(rf"{SHM_PREFIX}\d+-[0-9a-f]{{8}}")
_DTYPES: dict[str, type[np.generic]] = {"UINT8": np.uint8, "FP32": np.float32}


def empty_tensor(model_input: ModelInput, *leading: int) -> NDArray[Any]:
    """Black pictures as this model takes them, in an array with these axes before a picture's."""
    width, height = model_input.width_px, model_input.height_px
    picture = (3, height, width) if model_input.channels_first else (height, width, 3)
    return np.zeros((*leading, *picture), np.dtype(_DTYPES[model_input.dtype]))


class TensorLease:
    """The input tensor of one request, owned until released."""

    __slots__ = ("_array", "_index", "_pool", "offset_bytes")

    def __init__(self, pool: TensorPool, index: int, array: NDArray[Any]) -> None:
        self._pool: TensorPool | None = pool
        self._index = index
        self._array = array
        self.offset_bytes = index * array.nbytes

    @property
    def array(self) -> NDArray[Any]:
        """(max_regions, *input shape), in the model's dtype; the next owner overwrites it."""
        return self._array

    def release(self) -> None:
        """Give the memory back; calling twice is a bug and raises. Event loop only."""
        if self._pool is None:
            msg = "tensor lease released twice"
            raise RuntimeError(msg)
        pool, self._pool = self._pool, None
        pool._take_back(self._index, self._array)  # noqa: SLF001 - a lease is part of its pool


class TensorPool:
    """Equal tensors in one block of memory, allocated when the model's input is known.

    The block is a POSIX shared memory segment when there is one to be had, so that whether the
    server reads it directly or gets its bytes is decided per connection, not per allocation.
    """

    def __init__(self, *, tensors: int, max_regions: int, shared: bool) -> None:
        self._tensors = tensors
        self._max_regions = max_regions
        self._want_shared = shared
        self._memory: mmap.mmap | None = None
        self._lock_fd: int | None = None
        self._free: deque[int] = deque()
        self._arrays: NDArray[Any] | None = None
        self._input: ModelInput | None = None
        self._returned = asyncio.Event()
        self._expected = asyncio.Event()
        self.key: str | None = None
        """Name of the shared segment as `shm_open` takes it (with its slash), or None."""

    @property
    def input(self) -> ModelInput | None:
        """What the tensors are shaped for; None before the first connection."""
        return self._input

    @property
    def size_bytes(self) -> int:
        """Of the whole block."""
        return 0 if self._arrays is None else self._arrays.nbytes

    def shape_for(self, model_input: ModelInput) -> None:
        """Allocate for this input; a model that changed its input gets a new block.

        Leases still out keep the old block alive and are not taken back into the new one.
        """
        if model_input == self._input:
            return
        self.close()
        width, height = model_input.width_px, model_input.height_px
        region = (3, height, width) if model_input.channels_first else (height, width, 3)
        shape = (self._tensors, self._max_regions, *region)
        dtype = np.dtype(_DTYPES[model_input.dtype])
        size_bytes = int(np.prod(shape)) * dtype.itemsize
        if self._want_shared:
            self._memory = self._allocate_shared(size_bytes)
        if self._memory is not None:
            self._arrays = np.frombuffer(self._memory, dtype=dtype).reshape(shape)
        else:
            self._arrays = np.zeros(shape, dtype=dtype)
        self._input = model_input
        self._free = deque(range(self._tensors))
        self._returned.set()
        self._expected.set()

    async def wait_for_input(self) -> None:
        """Return once the model's input is known, or `stop_waiting` was called."""
        await self._expected.wait()

    def stop_waiting(self) -> None:
        """Nobody expects the model any more: what waits for its input goes on without."""
        self._expected.set()

    def _allocate_shared(self, size_bytes: int) -> mmap.mmap | None:
        name = f"{SHM_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        path = SHM_DIRECTORY / name
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError:
            return None
        try:
            # Reserves the pages now: with ftruncate alone a full /dev/shm is found out by a
            # bus error at the first write.
            os.posix_fallocate(fd, 0, size_bytes)
            memory = mmap.mmap(fd, size_bytes)
            # Held until we close it or die: tells a living owner's segment from a dead one's,
            # across process-id namespaces too.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            path.unlink()
            return None
        self._lock_fd = fd
        self.key = f"/{name}"
        return memory

    async def lease(self) -> TensorLease:
        """Wait for a tensor that is free. One waiter only."""
        while not self._free:
            self._returned.clear()
            await self._returned.wait()
        if self._arrays is None:
            msg = "lease before the model's input is known"
            raise RuntimeError(msg)
        index = self._free.popleft()
        return TensorLease(self, index, self._arrays[index])

    def _take_back(self, index: int, array: NDArray[Any]) -> None:
        if self._arrays is not None and np.shares_memory(array, self._arrays[index]):
            self._free.append(index)
            self._returned.set()

    def close(self) -> None:
        """Give the shared segment's name back; its memory goes with the last view of it."""
        if self.key is not None:
            with suppress(OSError):
                (SHM_DIRECTORY / self.key[1:]).unlink()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
        self.key = self._memory = self._arrays = self._input = None
        self._free.clear()


def remove_segments_of_the_dead(min_age_s: float = 10.0) -> list[str]:
    """Remove segments whose owner was killed before it could; returns their names.

    Only those of pools: others of ours, as the embedded server's, nobody locks, and their owner
    takes them away.
    """
    return sorted(
        path.name
        for path in SHM_DIRECTORY.glob(f"{SHM_PREFIX}*")
        if _OF_A_POOL.fullmatch(path.name) and _unlink_if_dead(path, min_age_s)
    )


def give_up_segment_of_the_dead(name: str) -> bool:
    """Whether a segment that a server on this machine has mapped belongs to nobody any more.

    It is removed if it is still there. A server that could map ours has the same /dev/shm, so
    that a name which is not in it has no owner.
    """
    if not _OF_A_POOL.fullmatch(name):
        return False
    path = SHM_DIRECTORY / name
    return not path.exists() or _unlink_if_dead(path, min_age_s=0.0)


def _unlink_if_dead(path: Path, min_age_s: float) -> bool:
    with suppress(OSError):  # locked by its owner, somebody else's, or gone meanwhile
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A young one may be between its creation and its lock.
            if time.time() - os.fstat(fd).st_mtime >= min_age_s:
                path.unlink()
                return True
        finally:
            os.close(fd)
    return False

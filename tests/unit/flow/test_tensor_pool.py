from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.core.records import ModelInput
from inspector.flow import tensor_pool
from inspector.flow.tensor_pool import (
    TensorPool,
    give_up_segment_of_the_dead,
    remove_segments_of_the_dead,
)


def model_input(side_px: int = 8, *, first: bool = False, dtype: str = "UINT8") -> ModelInput:
    return ModelInput(
        name="image",
        width_px=side_px,
        height_px=side_px + 2,
        channels_first=first,
        dtype=dtype,
        rgb=False,
    )


def run(test: Callable[[TensorPool], Coroutine[Any, Any, None]], *, shared: bool = True) -> None:
    async def main() -> None:
        pool = TensorPool(tensors=3, max_regions=2, shared=shared)
        try:
            await test(pool)
        finally:
            pool.close()

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("shared", [True, False])
def test_tensors_have_the_form_of_the_models_input(shared: bool) -> None:  # noqa: FBT001
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input(first=True, dtype="FP32"))
        lease = await pool.lease()
        assert lease.array.shape == (2, 3, 10, 8)
        assert lease.array.dtype == np.float32
        assert (pool.key is not None) == shared

    run(test, shared=shared)


def test_what_is_written_lies_in_the_segment_at_the_offset_told() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        leases = [await pool.lease() for _ in range(3)]
        for number, lease in enumerate(leases, 1):
            lease.array[:] = number
        assert pool.key is not None
        segment = (Path("/dev/shm") / pool.key.strip("/")).read_bytes()
        assert len(segment) >= pool.size_bytes
        for number, lease in enumerate(leases, 1):
            part = segment[lease.offset_bytes : lease.offset_bytes + lease.array.nbytes]
            assert part == bytes([number]) * lease.array.nbytes
        lengths = sorted(lease.offset_bytes for lease in leases)
        assert lengths == [0, leases[0].array.nbytes, 2 * leases[0].array.nbytes]

    run(test)


def test_who_needs_a_tensor_waits_until_one_is_back() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        held = [await pool.lease() for _ in range(3)]
        waiting = asyncio.create_task(pool.lease())
        await asyncio.sleep(0.005)
        assert not waiting.done()
        held[1].release()
        assert (await asyncio.wait_for(waiting, 1)).offset_bytes == held[1].offset_bytes

    run(test)


def test_releasing_twice_raises() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        lease = await pool.lease()
        lease.release()
        with pytest.raises(RuntimeError, match="released twice"):
            lease.release()

    run(test)


def test_a_tensor_of_the_last_model_never_comes_back_as_one_of_the_next() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input(8))
        old = await pool.lease()
        old.array[:] = 7
        pool.shape_for(model_input(16))
        new = [await pool.lease() for _ in range(3)]
        old.release()
        assert (old.array == 7).all()
        assert all(lease.array.shape == (2, 18, 16, 3) for lease in new)
        waiting = asyncio.create_task(pool.lease())
        await asyncio.sleep(0.005)
        assert not waiting.done()
        new[0].release()
        await waiting

    run(test)


def test_who_waited_through_a_change_of_model_gets_a_tensor_of_the_new_one() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input(8))
        for _ in range(3):
            await pool.lease()
        waiting = asyncio.create_task(pool.lease())
        await asyncio.sleep(0)
        pool.shape_for(model_input(16))
        assert (await asyncio.wait_for(waiting, 1)).array.shape == (2, 18, 16, 3)

    run(test)


def test_the_same_input_keeps_the_block() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        key = pool.key
        pool.shape_for(model_input())
        assert pool.key == key

    run(test)


def test_waiting_for_the_input_ends_with_the_model_or_when_nobody_expects_it() -> None:
    async def test(pool: TensorPool) -> None:
        waiting = asyncio.create_task(pool.wait_for_input())
        await asyncio.sleep(0)
        assert not waiting.done()
        pool.stop_waiting()
        await asyncio.wait_for(waiting, 1)
        assert pool.input is None

    run(test)


def test_a_machine_without_room_for_shared_memory_gets_private_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensor_pool, "SHM_DIRECTORY", tmp_path / "none")

    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        assert pool.key is None
        assert (await pool.lease()).array.shape == (2, 10, 8, 3)

    run(test)


def test_closing_gives_the_name_back_and_twice_is_harmless() -> None:
    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        path = Path("/dev/shm") / str(pool.key).strip("/")
        lease = await pool.lease()
        assert path.exists()
        pool.close()
        pool.close()
        assert not path.exists()
        lease.array[:] = 1  # memory goes with its last view, not before
        lease.release()

    run(test)


def test_only_segments_of_the_dead_are_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensor_pool, "SHM_DIRECTORY", tmp_path)

    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        alive = tmp_path / str(pool.key).strip("/")
        dead, young, foreign, of_a_server = (
            tmp_path / name
            for name in (
                "inspector-999-0123abcd",
                "inspector-999-4567abcd",
                "other-1-0123abcd",
                "inspector-triton-4026531836-999-0123abcd-4567abcd-7f36-4a37-82be-d307b4ff4ed3",
            )
        )
        for path in (dead, young, foreign, of_a_server):
            path.touch()
        for path in (alive, dead, foreign, of_a_server):
            os.utime(path, (0, 0))
        assert remove_segments_of_the_dead() == [dead.name]
        for path in (alive, young, foreign, of_a_server):
            assert path.exists()

    run(test)


def test_a_mapped_segment_is_given_up_only_where_its_owner_is_dead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensor_pool, "SHM_DIRECTORY", tmp_path)

    async def test(pool: TensorPool) -> None:
        pool.shape_for(model_input())
        alive = str(pool.key).strip("/")
        dead = tmp_path / "inspector-999-0123abcd"
        dead.touch()
        assert not give_up_segment_of_the_dead(alive)
        assert (tmp_path / alive).exists()
        assert give_up_segment_of_the_dead(dead.name)
        assert not dead.exists()
        assert give_up_segment_of_the_dead(dead.name), "nobody can have what is not there"
        assert not give_up_segment_of_the_dead("somebody-elses")
        assert not give_up_segment_of_the_dead("inspector-../etc")

    run(test)

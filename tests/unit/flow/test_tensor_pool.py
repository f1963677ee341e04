from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.core.recipes import ModelName
from inspector.core.records import ModelInput
from inspector.flow import tensor_pool
from inspector.flow.tensor_pool import (
    TensorLease,
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


ONE, OTHER = ModelName(name="one"), ModelName(name="other")


def only(form: ModelInput) -> dict[ModelName, ModelInput]:
    return {ONE: form}


def key_of(pool: TensorPool) -> str | None:
    return pool.block.key if pool.block else None


async def lent(pool: TensorPool, model: ModelName = ONE) -> TensorLease:
    lease = await pool.lease(model)
    assert lease is not None
    return lease


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
        pool.form_for(only(model_input(first=True, dtype="FP32")))
        lease = await lent(pool)
        assert lease.array.shape == (2, 3, 10, 8)
        assert lease.array.dtype == np.float32
        assert (key_of(pool) is not None) == shared

    run(test, shared=shared)


def test_what_is_written_lies_in_the_segment_at_the_offset_told() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        leases = [await lent(pool) for _ in range(3)]
        for number, lease in enumerate(leases, 1):
            lease.array[:] = number
        assert pool.block is not None
        assert pool.block.key is not None
        segment = (Path("/dev/shm") / pool.block.key.strip("/")).read_bytes()
        assert len(segment) >= pool.block.size_bytes
        for number, lease in enumerate(leases, 1):
            part = segment[lease.offset_bytes : lease.offset_bytes + lease.array.nbytes]
            assert part == bytes([number]) * lease.array.nbytes
        lengths = sorted(lease.offset_bytes for lease in leases)
        assert lengths == [0, pool.block.slot_bytes, 2 * pool.block.slot_bytes]
        assert leases[0].array.nbytes <= pool.block.slot_bytes

    run(test)


def test_who_needs_a_tensor_waits_until_one_is_back() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        held = [await lent(pool) for _ in range(3)]
        waiting = asyncio.create_task(lent(pool))
        await asyncio.sleep(0.005)
        assert not waiting.done()
        held[1].release()
        assert (await asyncio.wait_for(waiting, 1)).offset_bytes == held[1].offset_bytes

    run(test)


def test_releasing_twice_raises() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        lease = await lent(pool)
        lease.release()
        with pytest.raises(RuntimeError, match="released twice"):
            lease.release()

    run(test)


def test_a_tensor_of_the_last_model_never_comes_back_as_one_of_the_next() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input(8)))
        old = await lent(pool)
        old.array[:] = 7
        pool.form_for(only(model_input(16)))
        new = [await lent(pool) for _ in range(3)]
        old.release()
        assert (old.array == 7).all()
        assert all(lease.array.shape == (2, 18, 16, 3) for lease in new)
        waiting = asyncio.create_task(lent(pool))
        await asyncio.sleep(0.005)
        assert not waiting.done()
        new[0].release()
        await waiting

    run(test)


def test_who_waited_through_a_change_of_model_gets_a_tensor_of_the_new_one() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input(8)))
        for _ in range(3):
            await lent(pool)
        waiting = asyncio.create_task(lent(pool))
        await asyncio.sleep(0)
        pool.form_for(only(model_input(16)))
        assert (await asyncio.wait_for(waiting, 1)).array.shape == (2, 18, 16, 3)

    run(test)


def test_the_same_input_keeps_the_block() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        key = key_of(pool)
        pool.form_for(only(model_input()))
        assert key_of(pool) == key

    run(test)


def test_models_take_turns_with_the_same_tensors() -> None:
    """The largest input counts, and the memory is allocated once."""

    async def test(pool: TensorPool) -> None:
        small, large = model_input(8), model_input(16, first=True, dtype="FP32")
        pool.form_for({ONE: small, OTHER: large})
        key, block = key_of(pool), pool.block
        assert block is not None
        assert block.size_bytes == 3 * 2 * 3 * 18 * 16 * 4
        first, second = await lent(pool, ONE), await lent(pool, OTHER)
        first.array[:], second.array[:] = 7, 0.5
        assert first.array.shape == (2, 10, 8, 3)
        assert second.array.shape == (2, 3, 18, 16)
        assert first.array.dtype == np.uint8
        assert second.array.dtype == np.float32
        assert (first.array == 7).all()
        assert (second.array == 0.5).all()
        pool.form_for({OTHER: small})
        assert key_of(pool) == key
        assert pool.input_of(ONE) is None
        first.release()
        second.release()
        assert not pool.lent

    run(test)


def test_a_model_with_two_channels_gets_tensors_of_two() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(replace(model_input(), channels=2)))
        assert (await lent(pool)).array.shape == (2, 10, 8, 2)

    run(test)


def test_a_larger_block_takes_over_while_leases_of_the_old_one_are_out() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input(8)))
        old = [await lent(pool) for _ in range(3)]
        waiting = asyncio.create_task(lent(pool))
        await asyncio.sleep(0)
        larger = pool.larger_block_for([model_input(16)])
        assert larger is not None
        assert pool.block is not larger, "not before the server can read it"
        before = pool.put_in_place(larger)
        pool.add({OTHER: model_input(16)})
        assert before is not None
        assert (await asyncio.wait_for(waiting, 1)).key == larger.key
        assert (await lent(pool, OTHER)).array.shape == (2, 18, 16, 3)
        for lease in old:
            lease.array[:] = 9
            assert lease.key == before.key
            assert not before.is_home.is_set()
            lease.release()
        assert before.is_home.is_set()
        assert pool.lent == 2
        assert pool.larger_block_for([model_input(16), model_input(8)]) is None
        before.close()

    run(test)


def test_a_model_that_is_not_served_any_more_gets_no_tensor_and_holds_nobody_up() -> None:
    async def test(pool: TensorPool) -> None:
        assert await pool.lease(ONE) is None
        pool.form_for(only(model_input()))
        held = [await lent(pool) for _ in range(3)]
        waiting = asyncio.create_task(pool.lease(ONE))
        await asyncio.sleep(0)
        pool.form_for({OTHER: model_input()})
        held[0].release()
        assert await asyncio.wait_for(waiting, 1) is None

    run(test)


def test_waiting_for_the_input_ends_with_the_model_or_when_nobody_expects_it() -> None:
    async def test(pool: TensorPool) -> None:
        waiting = asyncio.create_task(pool.wait_for_input(ONE))
        await asyncio.sleep(0)
        assert not waiting.done()
        pool.stop_waiting()
        await asyncio.wait_for(waiting, 1)
        assert pool.input_of(ONE) is None

    run(test)


def test_a_machine_without_room_for_shared_memory_gets_private_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensor_pool, "SHM_DIRECTORY", tmp_path / "none")

    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        assert key_of(pool) is None
        assert (await lent(pool)).array.shape == (2, 10, 8, 3)

    run(test)


def test_closing_gives_the_name_back_and_twice_is_harmless() -> None:
    async def test(pool: TensorPool) -> None:
        pool.form_for(only(model_input()))
        path = Path("/dev/shm") / str(key_of(pool)).strip("/")
        lease = await lent(pool)
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
        pool.form_for(only(model_input()))
        alive = tmp_path / str(key_of(pool)).strip("/")
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
        pool.form_for(only(model_input()))
        alive = str(key_of(pool)).strip("/")
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

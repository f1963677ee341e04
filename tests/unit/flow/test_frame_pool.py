from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inspector.flow.frame_pool import FrameLease, FramePool
from inspector.settings.types import Size

SIZE = Size(16, 20)


def test_buffers_are_lent_until_none_is_left() -> None:
    pool = FramePool(buffers=3, size=SIZE)
    leases = [pool.lease() for _ in range(3)]
    assert all(leases)
    assert pool.lease() is None
    assert pool.free == 0


def test_a_buffer_that_came_back_is_lent_again() -> None:
    pool = FramePool(buffers=1, size=SIZE)
    first = pool.lease()
    assert first is not None
    first.release()
    assert pool.lease() is not None


def test_a_buffer_has_the_shape_that_was_asked_for() -> None:
    lease = FramePool(buffers=1, size=SIZE).lease()
    assert lease is not None
    assert lease.image.shape == (20, 16, 3)
    assert lease.image.dtype == np.uint8
    assert lease.image.flags.c_contiguous


def test_two_leases_never_share_pixels() -> None:
    pool = FramePool(buffers=2, size=SIZE)
    one, other = pool.lease(), pool.lease()
    assert one is not None
    assert other is not None
    assert not np.shares_memory(one.image, other.image)


def test_releasing_twice_raises_and_frees_nothing() -> None:
    pool = FramePool(buffers=2, size=SIZE)
    lease = pool.lease()
    assert lease is not None
    lease.release()
    with pytest.raises(RuntimeError, match="released twice"):
        lease.release()
    assert pool.free == 2


def test_who_waits_gets_the_buffer_that_another_thread_gives_back() -> None:
    pool = FramePool(buffers=1, size=SIZE)
    held = pool.lease()
    assert held is not None
    threading.Timer(0.02, held.release).start()
    assert pool.lease(timeout_s=5) is not None


def test_waiting_in_vain_ends() -> None:
    pool = FramePool(buffers=1, size=SIZE)
    assert pool.lease() is not None
    assert pool.lease(timeout_s=0.01) is None


class PoolInUse(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pool = FramePool(buffers=4, size=SIZE)
        self.out: list[tuple[FrameLease, int]] = []
        self.stamp = 0

    @rule()
    def take(self) -> None:
        lease = self.pool.lease()
        assert (lease is None) == (len(self.out) == 4)
        if lease is not None:
            self.stamp = (self.stamp + 1) % 256
            lease.image[:] = self.stamp
            self.out.append((lease, self.stamp))

    @precondition(lambda self: self.out)
    @rule()
    def give_back(self) -> None:
        lease, _ = self.out.pop(0)
        lease.release()

    @invariant()
    def what_is_held_is_untouched(self) -> None:
        assert self.pool.free == 4 - len(self.out)
        assert all((lease.image == stamp).all() for lease, stamp in self.out)


TestPoolInUse = PoolInUse.TestCase

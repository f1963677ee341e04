"""Which frames an industrial camera numbered and did not deliver: pure."""

from __future__ import annotations

_LAST_OF_16_BITS = 0xFFFF
_NEAR_THE_END = 1_000
_MOST_MISSING = 10_000


class FrameIds:
    """Reads a camera's frame numbers; one per connection.

    The standards have every frame numbered, one by one, whether it gets through or not: USB3
    Vision and newer GigE Vision cameras with 64 bits, older ones with 16 bits that go from 65535
    to 1. Another number that is lower than the one before is a camera that began to count again.
    """

    def __init__(self) -> None:
        self._id: int | None = None
        self._at_ns = 0

    def missing_before(self, frame_id: int, at_ns: int) -> list[int]:
        """When each frame that is missing before this one was due, spread evenly.

        `at_ns` is when this one came, on whatever clock the answer is wanted.
        """
        before, since_ns = self._id, self._at_ns
        self._id, self._at_ns = frame_id, at_ns
        if before is None:
            return []
        step = frame_id - before
        wraps = before > _LAST_OF_16_BITS - _NEAR_THE_END and frame_id < _NEAR_THE_END
        if step <= 0 and wraps and before <= _LAST_OF_16_BITS:
            step += _LAST_OF_16_BITS  # 0 is no number of a frame there
        if not 1 < step <= _MOST_MISSING:
            return []
        return [since_ns + (at_ns - since_ns) * nth // step for nth in range(1, step)]

"""Which units' pictures are kept: pure."""

from __future__ import annotations

import hashlib

from inspector.core.records import CameraId, Result

_DIGEST_BYTES = 8
_DIGESTS = 1 << (8 * _DIGEST_BYTES)


def is_kept(result: Result, *, camera: CameraId, number: int, passed_share: float) -> bool:
    """Whether a unit's picture is kept: everything that is not PASSED, and a share of what is.

    `number` is the unit's number at its camera. The same unit is kept whenever the same footage
    is replayed, and the share is spread as if by chance: "each fiftieth" would always meet the
    same nest of a fixture.
    """
    if result is not Result.PASSED:
        return True
    digest = hashlib.blake2b(f"{camera}/{number}".encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest) < passed_share * _DIGESTS

"""Decides which units' pictures are kept: pure."""

from __future__ import annotations

import hashlib

from inspector.core.records import CameraId, KeptFor, Result

_DIGEST_BYTES = 8
_DIGESTS = 1 << (8 * _DIGEST_BYTES)


def why_kept(
    result: Result, *, camera: CameraId, number: int, passed_share: float, is_near: bool = False
) -> KeptFor | None:
    """Why a unit's picture is kept, if it is.

    Kept are all units that are not PASSED, a share of those that are, and those near a threshold.
    `number` is the unit's number at its camera. The same unit is drawn whenever the same footage is
    replayed, and the share is spread as if by chance: "each fiftieth" would always meet the same
    nest of a fixture. The draw ignores whether a unit is near a threshold: the sample represents
    all units that PASSED, which is the only way to estimate the number of escapes from it.
    """
    if result is not Result.PASSED:
        return KeptFor.VERDICT
    digest = hashlib.blake2b(f"{camera}/{number}".encode(), digest_size=_DIGEST_BYTES).digest()
    if int.from_bytes(digest) < passed_share * _DIGESTS:
        return KeptFor.SAMPLE
    return KeptFor.NEAR_THRESHOLD if is_near else None

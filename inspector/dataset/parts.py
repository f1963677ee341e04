"""Which pictures a model is trained on, and which it is judged by. Pure."""

from __future__ import annotations

from typing import Literal

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
TEST_SHARE = 0.2
_DIGITS = 16


def part_of(sha256: str) -> Part:
    """The part of a picture: its own hash decides, once and for ever.

    Neither its name, nor when it came, nor what else is there has a say: no export, and no other
    station, ever trains on a picture that another one judges by.
    """
    rank: float = int(sha256[:_DIGITS], 16) / 16**_DIGITS
    return "test" if rank < TEST_SHARE else "train"

"""Divides pictures into those for training and those for evaluation. Pure."""

from __future__ import annotations

from typing import Literal

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
TEST_SHARE = 0.2
_DIGITS = 16


def part_of(sha256: str) -> Part:
    """The part of a picture: its own hash decides, once and for ever.

    It does not depend on its name, its time or other pictures: no export, and no other station,
    ever trains on a picture that another one evaluates on.
    """
    rank: float = int(sha256[:_DIGITS], 16) / 16**_DIGITS
    return "test" if rank < TEST_SHARE else "train"

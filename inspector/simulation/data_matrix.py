"""Draws a serial as Data Matrix ECC 200, in the one size a simulated serial needs: 14x14 modules.

ISO/IEC 16022: ASCII encodation, Reed-Solomon over GF(256), modules in the standard's diagonal
placement. 8 code words carry eight characters, or more where two digits share a word.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MODULES = 14
_INSIDE = MODULES - 2
_WORDS, _CHECK_WORDS = 8, 10
_FIELD_POLYNOMIAL = 0x12D
_PAD = 129

_Place = tuple[int, int]
"""(row, column) inside the finder pattern."""


def encode(text: str) -> NDArray[np.bool_]:
    """Return the (14, 14) modules of an ASCII text, true where dark, without the quiet zone.

    Raises:
        ValueError: the text does not fit.

    """
    words = _words(text)
    words += _check_words(words)
    modules = np.zeros((MODULES, MODULES), np.bool_)
    modules[:, 0] = modules[-1, :] = True
    modules[0, ::2] = modules[1::2, -1] = True
    for word, places in zip(words, _placement(), strict=True):
        for bit, (row, column) in enumerate(places):
            modules[row + 1, column + 1] = word >> (7 - bit) & 1
    return modules


def _words(text: str) -> list[int]:
    words: list[int] = []
    at = 0
    while at < len(text):
        pair = text[at : at + 2]
        if len(pair) == 2 and pair.isdecimal():  # noqa: PLR2004
            words.append(130 + int(pair))
            at += 2
        else:
            words.append(ord(text[at]) + 1)
            at += 1
    if not text.isascii() or len(words) > _WORDS:
        msg = f"{text!r} does not fit a Data Matrix of {MODULES}x{MODULES} modules"
        raise ValueError(msg)
    if len(words) < _WORDS:
        words.append(_PAD)
    while len(words) < _WORDS:
        # Later pads are scattered, or a short text would draw stripes.
        word = _PAD + 149 * (len(words) + 1) % 253 + 1
        words.append(word if word <= 254 else word - 254)  # noqa: PLR2004
    return words


def _check_words(words: list[int]) -> list[int]:
    """Remainder of the message divided by (x - a)(x - a^2)...(x - a^10), where a is 2."""
    generator = [1]
    root = 1
    for _ in range(_CHECK_WORDS):
        root = _times(root, 2)
        shifted, scaled = [*generator, 0], [0, *(_times(term, root) for term in generator)]
        generator = [high ^ low for high, low in zip(shifted, scaled, strict=True)]
    remainder = [0] * _CHECK_WORDS
    for word in words:
        lead = word ^ remainder[0]
        remainder = [
            term ^ _times(lead, factor)
            for term, factor in zip([*remainder[1:], 0], generator[1:], strict=True)
        ]
    return remainder


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = left << 1 ^ (_FIELD_POLYNOMIAL if left & 0x80 else 0)
        right >>= 1
    return product


def _placement() -> list[list[_Place]]:
    """Places of each word's eight bits, the highest first, in the order of the words."""
    last = _INSIDE - 1
    free = np.ones((_INSIDE, _INSIDE), np.bool_)
    words: list[list[_Place]] = []
    for row, column in _walk():
        places: list[_Place] = []
        if (row, column) == (_INSIDE, 0):  # the one corner case of this size
            places = [(last, 0), (last, 1), (last, 2), (0, last - 1)]
            places += [(down, last) for down in range(4)]
        elif 0 <= row <= last and 0 <= column <= last and free[row, column]:
            places = [_wrapped(row + dy, column + dx) for dy, dx in _SHAPE]
        if places:
            words.append(places)
        for place in places:
            free[place] = False
    return words


def _walk() -> Iterator[_Place]:
    """Up and down the diagonals; each turn also steps once beyond the edge."""
    row, column = 4, 0
    while row < _INSIDE or column < _INSIDE:
        while True:
            yield row, column
            row, column = row - 2, column + 2
            if row < 0 or column >= _INSIDE:
                break
        row, column = row + 1, column + 3
        while True:
            yield row, column
            row, column = row + 2, column - 2
            if row >= _INSIDE or column < 0:
                break
        row, column = row + 3, column + 1


_SHAPE = ((-2, -2), (-2, -1), (-1, -2), (-1, -1), (-1, 0), (0, -2), (0, -1), (0, 0))


def _wrapped(row: int, column: int) -> _Place:
    """Bits beyond the top or the left edge go on at the other side, four modules further."""
    if row < 0:
        row, column = row + _INSIDE, column + 4 - (_INSIDE + 4) % 8
    if column < 0:
        row, column = row + 4 - (_INSIDE + 4) % 8, column + _INSIDE
    return row, column

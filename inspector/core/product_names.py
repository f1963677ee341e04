"""Names of products, and of their files: pure.

Names come from an MES, a PLC or a person, and become file names, so nothing in one may lead out of
the products' folder.
"""

from __future__ import annotations

import re
import unicodedata

from inspector.core.part_names import shown

LONGEST_CHARACTERS = 64
_LONGEST_BYTES = 200
"""With an ending it still fits into the 255 bytes of a file's name."""
_UNSAFE = re.compile(r"^\.|[/\\%]")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def product_name(text: str) -> str:
    """The name as it is compared and kept: normalised to Unicode's NFC.

    Raises:
        ValueError: it is none; its text says what was found and expected.

    """
    name = unicodedata.normalize("NFC", text)
    wrong = (
        not name
        or name != name.strip()
        or not name.isprintable()
        or len(name) > LONGEST_CHARACTERS
        or len(name.encode()) > _LONGEST_BYTES
    )
    if wrong:
        msg = (
            f"found {shown(text)}; expected a product's name: 1 to {LONGEST_CHARACTERS} printable"
            " characters without blanks around them"
        )
        raise ValueError(msg)
    return name


def stem_of(name: str) -> str:
    """The name of a product's files, without an ending; `name` is one of `product_name`."""
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", name)


def name_of(stem: str) -> str:
    """The product whose files have this name.

    Raises:
        ValueError: no product's files are.

    """
    name = product_name(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), stem))
    if stem_of(name) != unicodedata.normalize("NFC", stem):
        msg = f"found {shown(stem)}; expected {shown(stem_of(name))}"
        raise ValueError(msg)
    return name

"""Reads the name of one unit from what scanners and code readers deliver: pure.

A scanner appends what ends a line, a PLC fills its STRING up with NULs, and codes hold several
fields: ISO/IEC 15434 envelopes with the data identifiers of ANSI MH10.8.2, and GS1 element strings
(GS1 General Specifications, 3.2 and 7.8). A trigger and a code on the unit are both read here, so
that what is the same is spelled the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inspector.core.errors import ItemError

_GS, _RS, _EOT = "\x1d", "\x1e", "\x04"
_ENVELOPE = "[)>"
_AROUND = " \t\r\n\0\x02\x03\ufeff\u00a0"
"""What senders put around a name: blanks, ends of lines, fill bytes, STX and ETX, a byte order
mark, a no-break space."""
_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9]")
"""The prefix by which a scanner says what it read (ISO/IEC 15424)."""
_GS1_SYMBOLOGIES = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})
_DATA_IDENTIFIER = re.compile(r"(\d{0,3}[A-Z])(.+)", re.DOTALL)
_SERIAL_IDENTIFIERS = ("S", "25S", "18S")
"""A serial given by the supplier; one with the party's id before it; one with its CAGE code."""
_NAMED = {
    "\0": "NUL", "\t": "TAB", "\n": "LF", "\r": "CR", "\x1b": "ESC", "\x1c": "FS", _GS: "GS",
    _RS: "RS", "\x1f": "US", _EOT: "EOT", "\x02": "STX", "\x03": "ETX", "\u00a0": "NBSP",
    "\ufeff": "BOM", "\u202e": "RLO", "\u200b": "ZWSP", "\x7f": "DEL",
}  # fmt: skip
_SHOWN_CHARACTERS = 60

# How long the values of GS1's application identifiers are. The first two digits of those of a
# predefined length end the value without a separator, whatever the table says of others.
_PREDEFINED = {
    "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "11": 8, "12": 8, "13": 8, "14": 8,
    "15": 8, "16": 8, "17": 8, "18": 8, "19": 8, "20": 4, "31": 10, "32": 10, "33": 10,
    "34": 10, "35": 10, "36": 10, "41": 16,
}  # fmt: skip
"""Identifier and value together."""
_AI_DIGITS = {
    **dict.fromkeys(("10", "21", "22", "30", "37", *(f"9{n}" for n in range(10))), 2),
    **dict.fromkeys(("23", "24", "25", "40", "42", "71"), 3),
    **dict.fromkeys(("39", "43", "70", "72", "80", "81", "82"), 4),
    **dict.fromkeys(("31", "32", "33", "34", "35", "36"), 4),
    **dict.fromkeys(("41",), 3),
}
_LONGEST_VALUE = 90


class NameUnusableError(ItemError):
    """The text does not name a unit; the message is one line that says why."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind
        """Which kind of mistake; a closed list."""


def unit_name(text: str, *, longest: int) -> str:
    """The name of the unit in what a scanner, a PLC or a code says.

    What stands around it is taken off. Of an ISO 15434 message, or of fields separated by GS, it is
    the serial; of GS1 element strings all of them, with their identifiers in parentheses.

    Raises:
        NameUnusableError: it has none, is too long, or holds what cannot be shown.

    """
    inner = text.strip(_AROUND)
    is_gs1 = inner.startswith(_GS)  # FNC1 at the first place, as some scanners send it
    prefix = _SYMBOLOGY.match(inner)
    if prefix is not None:
        is_gs1 = prefix[0] in _GS1_SYMBOLOGIES
        inner = inner[prefix.end() :]
    if inner.startswith(_ENVELOPE):
        inner = _of_envelope(inner)
    elif is_gs1 or _GS in inner:
        inner = _of_fields(inner.strip(_GS), is_gs1=is_gs1)
    return _checked(inner.strip(_AROUND), longest)


def shown(text: str) -> str:
    """A text in ASCII quotes, shortened, with characters that cannot be shown escaped."""
    quoted = ascii(text) if any(not c.isprintable() for c in text) else repr(text)
    return quoted if len(quoted) <= _SHOWN_CHARACTERS else quoted[:_SHOWN_CHARACTERS] + "…"


def gs1_readable(data: str) -> str | None:
    """GS1 element strings, separated by GS where they must be, as people read them.

    None where the data are none: an identifier is unknown, a value too short.
    """
    parts: list[str] = []
    rest = data
    while rest:
        head = rest[:2]
        digits = _AI_DIGITS.get(head, 2 if head in _PREDEFINED else 0)
        identifier = rest[:digits]
        if not (digits and len(identifier) == digits and identifier.isascii()):
            return None
        if not identifier.isdigit():
            return None
        length = _PREDEFINED.get(head)
        if length is None:
            value, _gs, rest = rest[digits:].partition(_GS)
        else:
            value, rest = rest[digits:length], rest[length:].removeprefix(_GS)
            if len(value) != length - digits or _GS in value:
                return None
        if not 0 < len(value) <= _LONGEST_VALUE:
            return None
        parts.append(f"({identifier}){value}")
    return "".join(parts) or None


def _of_envelope(message: str) -> str:
    """The serial in an ISO 15434 message: `[)>` RS, then formats that end with RS, then EOT."""
    for block in message[len(_ENVELOPE) :].rstrip(_EOT).split(_RS):
        format_, _gs, data = block.partition(_GS)
        if format_ == "05" and (readable := gs1_readable(data)) is not None:
            return readable
        if format_ == "06" and (serial := _serial_of(data.split(_GS))) is not None:
            return serial
        if format_ == "12" and (serial := _text_element(data.split(_GS))) is not None:
            return serial
    raise NameUnusableError(
        "no_serial", f"is the ISO 15434 message {shown(message)}, in which no field is a serial (S)"
    )


def _of_fields(data: str, *, is_gs1: bool) -> str:
    readable = gs1_readable(data)
    if readable is not None:
        return readable
    if not is_gs1 and (serial := _serial_of(data.split(_GS))) is not None:
        return serial
    fields = "GS1 data" if is_gs1 else "fields separated by GS"
    raise NameUnusableError("no_serial", f"is {shown(data)}: {fields} in which none is a serial")


def _serial_of(fields: Sequence[str]) -> str | None:
    """The value of the one serial among fields with data identifiers."""
    found = [match.groups() for field in fields if (match := _DATA_IDENTIFIER.fullmatch(field))]
    for identifier in _SERIAL_IDENTIFIERS:
        values = {value for name, value in found if name == identifier}
        if len(values) == 1:
            return values.pop()
        if values:
            return None  # two serials are none
    return None


def _text_element(fields: Sequence[str]) -> str | None:
    values = {field[4:] for field in fields if field.startswith("SER ")}
    return values.pop() if len(values) == 1 else None


def _checked(name: str, longest: int) -> str:
    expected = f"expected 1 to {longest} printable characters"
    if not name:
        raise NameUnusableError("empty", f"is '', {expected}")
    if len(name) > longest:
        raise NameUnusableError("too_long", f"is {shown(name)}, {len(name)} characters, {expected}")
    wrong = next((c for c in name if not c.isprintable()), None)
    if wrong is not None:
        called = _NAMED.get(wrong, f"U+{ord(wrong):04X}")
        kind = f"holds {called}" if wrong in _NAMED else "not_printable"
        raise NameUnusableError(kind, f"is {shown(name)}, which holds {called}, {expected}")
    return name

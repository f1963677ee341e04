"""Prints events for people and pipes; no control character gets out, whatever an event holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from inspector.events.consumer import Gap, Gone, ReceivedEvent, SetAside

HEADER = f"{'SEQ':>8}  {'TIME':<32}  {'UNIT':<18} {'RESULT':<13} WHAT"
MOST_CHARACTERS = 200
IDS_SHOWN = 3


def printable(text: str) -> str:
    r"""The text with everything that a terminal could interpret, or hide, written out: `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_line(event: ReceivedEvent) -> str:
    """One event under `HEADER`."""
    unit, result = _short(event.unit_id), _short(event.result)
    line = f"{event.seq:>8}  {_short(event.time):<32}  {unit:<18} {result:<13} {_what(event.body)}"
    return line.rstrip()


def as_json(content: Any) -> str:
    """JSON on one line; its strings have control characters written out."""
    text = orjson.dumps(content).decode()
    if text.isprintable():
        return text
    # What is not printable stands in strings only, where JSON reads \u009b as the character.
    return "".join(c if c.isprintable() else _json_escape(c) for c in text)


def notice(item: Gap | Gone | SetAside) -> str:
    """The line for an item that is not an event."""
    match item:
        case Gap():
            text = f"gap: expected {item.expected_seq}, found {item.found_seq}"
            text += f" ({item.missing} missing)"
            if not item.certain:
                text += "\n  perhaps fewer: Redis does not say how far the group had read"
            return text
        case Gone():
            shown = ", ".join(item.entry_ids[:IDS_SHOWN])
            if len(item.entry_ids) > IDS_SHOWN:
                shown += f", … {item.entry_ids[-1]}"
            return (
                f"gone: {len(item.entry_ids)} entries were taken, never acknowledged, and trimmed"
                f" or deleted since: {printable(shown)}"
            )
        case SetAside():
            return f"set aside: entry {item.entry_id} is no event: {_short(item.why)}"


def _short(text: str) -> str:
    shown = printable(text[: MOST_CHARACTERS + 1])
    return shown if len(shown) <= MOST_CHARACTERS else shown[:MOST_CHARACTERS] + "…"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _what(body: Mapping[str, Any]) -> str:
    defect = body.get("defect")
    if "challenge" in body and "way" in body:
        what = _challenged(body)
    elif "fault" in body:
        what = f"{_word(body['fault'])} {_word(body.get('subject'))}: {_word(body.get('cause'))}"
    elif "unit_event_id" in body and "defect_id" in body:
        what = _word(body.get("code")) or "the unit"
    elif "command" in body:
        what = _changed(body)
    elif isinstance(defect, Mapping):
        confidence = defect.get("confidence")
        what = _word(defect.get("code"))
        what += f" {confidence:.2f}" if isinstance(confidence, float) else ""
    else:
        what = _word(body.get("reason")) or _codes(body.get("defects"))
    return _short(what)


def _challenged(body: Mapping[str, Any]) -> str:
    """`gold, part 2 of 5: open left`, or `gold: why it did not hold`."""
    part = body.get("part")
    if isinstance(part, Mapping):
        which = f"part {part.get('number')} of {part.get('of')}"
        return f"{_word(body.get('set'))}, {which}: {_word(part.get('name'))}"
    problem = _word(body.get("problem"))
    return f"{_word(body.get('set'))}: {problem}" if problem else _word(body.get("set"))


def _changed(body: Mapping[str, Any]) -> str:
    """`set_product: 4711 from top 1042 on`, or why it was refused."""
    product, effective = body.get("product"), body.get("effective")
    what = _word(product.get("name")) if isinstance(product, Mapping) else ""
    if isinstance(effective, Mapping) and effective:
        first = ", ".join(f"{_word(c)} {n}" for c, n in effective.items() if isinstance(n, int))
        what += f" from {first} on"
    return f"{_word(body['command'])}: {_word(body.get('problem')) or what}"


def _codes(defects: object) -> str:
    listed = defects if isinstance(defects, list) else []
    return ", ".join(_word(d.get("code")) for d in listed if isinstance(d, Mapping))


def _word(value: object) -> str:
    """A field that should be a text; other values, written by somebody else, are not printed."""
    return value if isinstance(value, str) else "" if value is None else type(value).__name__

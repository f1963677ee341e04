"""Commands to a running station, read or refused in one sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inspector.core.challenges import Step
from inspector.core.errors import ItemError
from inspector.core.locks import LockKind
from inspector.core.part_names import shown
from inspector.core.product_names import product_name

LONGEST_WORD_CHARACTERS = 128
"""The longest `order`, `lot` or `by`."""
LONGEST_CONTEXT_BYTES = 1024
"""The longest context: an event with it stays under 8 kB."""
MOST_UNITS = 64
LOCKS = tuple(kind.value for kind in LockKind)
STEPS = tuple(step.value for step in Step)
_AROUND = " \t\r\n\0\ufeff"
"""Characters that PLCs and templates put around a value."""
_WHOLE = re.compile(r"\d{1,9}")
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class MalformedCommandError(ItemError):
    """A command that cannot be read; its text is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Data that travels with the units of a job, besides its product."""

    order: str | None = None
    lot: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetProduct:
    """Change the product: from now on the line makes this one."""

    product: str
    said: Said = Said()


@dataclass(frozen=True, slots=True, kw_only=True)
class Teach:
    """Teach: the next units are good, and show what the product looks like."""

    product: str | None
    """None: the one in force, as in the commands below."""
    units: int | None
    """None: as many as the settings say."""
    approve: bool
    """Put it in force at once, without a person having seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Approve a reference that a person has seen."""

    product: str | None
    version: int | None
    """None: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Discard: stop teaching, or forget a reference that was not approved."""

    product: str | None
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """Roll back to the reference that was approved before."""

    product: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Acknowledge locks: a person has dealt with their cause."""

    lock: str | None
    """The kind of locks; None: every one that a person ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Check the station with known parts."""

    step: Step
    set_name: str | None
    """None: the one that is due, or the only one."""


OfReferences = Teach | Approve | Discard | RollBack


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewOptics:
    """Renew the optics: a person found the pictures good, so learn again what is usual."""

    camera: str | None
    """None: those of every camera."""


Command = SetProduct | OfReferences | Acknowledge | RenewOptics | Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it came: each is answered, readable or not."""

    name: str
    """The command as given."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Its fields as given."""
    command: Command | None = None
    """None if it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""
    sender: str = ""
    """The sender by its own account, which is not checked."""


def read_request(fields: Mapping[Any, object]) -> Request:
    """The command in flat fields: those of an entry in the stream of commands, or of a JSON object.

    Names and values may be text or UTF-8 bytes; numbers and truth values may be JSON's own. An
    empty field counts as absent, because templates leave such behind. Never raises: `problem` says
    why it cannot be read.
    """
    texts = {_as_text(name): _as_text(value) for name, value in fields.items()}
    name = texts.pop("command", "").strip(_AROUND)
    told = {key: value for key, value in texts.items() if value.strip(_AROUND)}
    try:
        _require_text(fields)
        read = _reader(name, told)
        sender = _word(told, "by") or ""
        return Request(name=name, fields=texts, command=read(told), sender=sender)
    except MalformedCommandError as malformed:
        return Request(name=name, fields=texts, problem=str(malformed))


def _reader(name: str, told: Mapping[str, str]) -> Callable[[Mapping[str, str]], Command]:
    if name not in _READERS:
        known = ", ".join(_READERS)
        raise MalformedCommandError(f"command is {shown(name)}, expected one of: {known}")
    names, read = _READERS[name]
    expected = (*names, "by")
    for key in told:
        if key not in expected:
            raise MalformedCommandError(
                f"{shown(key)} is no field of {name}, expected one of: {', '.join(expected)}"
            )
    return read


def read_said(fields: Mapping[str, str]) -> Said:
    """The order, the lot and the context of a job.

    Raises:
        MalformedCommandError: one of them is too long, or cannot be shown.

    """
    context = fields.get("context", "").strip(_AROUND) or None
    if context is not None and len(context.encode()) > LONGEST_CONTEXT_BYTES:
        raise MalformedCommandError(
            f"context is {len(context.encode())} bytes long, expected at most "
            f"{LONGEST_CONTEXT_BYTES}"
        )
    return Said(order=_word(fields, "order"), lot=_word(fields, "lot"), context=context)


def read_product(fields: Mapping[str, str]) -> str | None:
    """The named product; None if there is none.

    Raises:
        MalformedCommandError: it cannot be a product's name.

    """
    text = fields.get("product", "").strip(_AROUND)
    if not text:
        return None
    try:
        return product_name(text)
    except ValueError as error:
        raise MalformedCommandError(f"product: {error}") from None


def _set_product(fields: Mapping[str, str]) -> SetProduct:
    product = read_product(fields)
    if product is None:
        raise MalformedCommandError("product is missing, expected the name of one")
    return SetProduct(product=product, said=read_said(fields))


def _teach(fields: Mapping[str, str]) -> Teach:
    units = _whole(fields, "units", most=MOST_UNITS)
    return Teach(product=read_product(fields), units=units, approve=_yes(fields, "approve"))


def _approve(fields: Mapping[str, str]) -> Approve:
    return Approve(product=read_product(fields), version=_whole(fields, "version"))


def _discard(fields: Mapping[str, str]) -> Discard:
    return Discard(product=read_product(fields), version=_whole(fields, "version"))


def _rollback(fields: Mapping[str, str]) -> RollBack:
    return RollBack(product=read_product(fields))


def _acknowledge(fields: Mapping[str, str]) -> Acknowledge:
    lock = _word(fields, "lock")
    if lock is not None and lock not in LOCKS:
        raise MalformedCommandError(f"lock is {shown(lock)}, expected one of: {', '.join(LOCKS)}")
    if _word(fields, "by") is None:
        raise MalformedCommandError(
            "by is missing, expected the name of the person who acknowledges"
        )
    return Acknowledge(lock=lock)


def _challenge(fields: Mapping[str, str]) -> Challenge:
    text = (_word(fields, "step") or Step.BEGIN.value).lower()
    if text not in STEPS:
        raise MalformedCommandError(f"step is {shown(text)}, expected one of: {', '.join(STEPS)}")
    return Challenge(step=Step(text), set_name=_word(fields, "set"))


def _renew_optics(fields: Mapping[str, str]) -> RenewOptics:
    if _word(fields, "by") is None:
        raise MalformedCommandError(
            "by is missing, expected the name of the person who has seen the pictures"
        )
    return RenewOptics(camera=_word(fields, "camera"))


_READERS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, str]], Command]]] = {
    "set_product": (("product", "order", "lot", "context"), _set_product),
    "teach": (("product", "units", "approve"), _teach),
    "approve": (("product", "version"), _approve),
    "discard": (("product", "version"), _discard),
    "rollback": (("product",), _rollback),
    "acknowledge": (("lock",), _acknowledge),
    "challenge": (("set", "step"), _challenge),
    "renew_optics": (("camera",), _renew_optics),
}
COMMANDS: Iterable[str] = tuple(_READERS)
"""Their names."""


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _require_text(fields: Mapping[Any, object]) -> None:
    for key, value in fields.items():
        name = shown(_as_text(key))
        for part in (key, value):
            if isinstance(part, bytes):
                try:
                    part.decode()
                except UnicodeDecodeError:
                    raise MalformedCommandError(f"{name} is not UTF-8, expected text") from None
        if not isinstance(value, str | bytes | bool | int | None):
            kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
            raise MalformedCommandError(f"{name} is {kind}, expected text")


def _word(fields: Mapping[str, str], name: str) -> str | None:
    text = fields.get(name, "").strip(_AROUND)
    if len(text) > LONGEST_WORD_CHARACTERS:
        raise MalformedCommandError(
            f"{name} is {len(text)} characters long, expected at most {LONGEST_WORD_CHARACTERS}"
        )
    if not text.isprintable():
        raise MalformedCommandError(f"{name} is {shown(text)}, expected printable characters")
    return text or None


def _whole(fields: Mapping[str, str], name: str, *, most: int = 999_999_999) -> int | None:
    text = fields.get(name, "").strip(_AROUND)
    if not text:
        return None
    if not (_WHOLE.fullmatch(text) and text.isascii() and 1 <= int(text) <= most):
        raise MalformedCommandError(f"{name} is {shown(text)}, expected a number from 1 to {most}")
    return int(text)


def _yes(fields: Mapping[str, str], name: str) -> bool:
    text = fields.get(name, "").strip(_AROUND).lower()
    if text in _YES:
        return True
    if text in _NO or not text:
        return False
    raise MalformedCommandError(f"{name} is {shown(text)}, expected true or false")

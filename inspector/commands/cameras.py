"""`inspector cameras`: lists the cameras of every kind that this machine can reach."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from inspector.sources.found import FoundCamera
from inspector.sources.genicam import discovery as genicam
from inspector.sources.genicam.library import AravisMissingError
from inspector.sources.registry import parse_source
from inspector.sources.rtsp.probe import Answer, answer_of
from inspector.sources.rtsp.uri import RtspUri
from inspector.sources.v4l2 import discovery as v4l2

_ANSWERS_WITHIN_S = 3.0
_UNAUTHORIZED, _NOT_FOUND, _REDIRECT = 401, 404, 300
_SHOWN_FORMATS = 8


def list_cameras(addresses: Iterable[str], *, as_json: bool, remark: Callable[[str], None]) -> None:
    """Print a row for each camera; `remark` is called with what could not be asked.

    Raises:
        ValueError: an address is none; one sentence.

    """
    asked = [_rtsp(address) for address in addresses]
    found = list(_found(asked, remark))
    if as_json:
        sys.stdout.write(orjson.dumps([asdict(c) for c in found]).decode() + "\n")
        return
    if not found:
        remark("no camera answers")
        return
    table = Table("source", "vendor, model", "serial", "address", "size", "formats", "state")
    for camera in found:
        table.add_row(*_cells(camera))
    Console(highlight=False, markup=False, emoji=False).print(table)


def _found(asked: Iterable[RtspUri], remark: Callable[[str], None]) -> Iterator[FoundCamera]:
    yield from v4l2.found_cameras()
    try:
        yield from genicam.found_cameras()
    except AravisMissingError as missing:
        remark(str(missing))
    for uri in asked:
        yield FoundCamera(
            source=str(uri),
            address=uri.host,
            state=_state(answer_of(uri, timeout_s=_ANSWERS_WITHIN_S)),
        )


def _rtsp(address: str) -> RtspUri:
    """The camera at an address, whose path is not known yet, or that a whole URL names."""
    uri = parse_source(address if "://" in address else f"rtsp://{address}/")
    if not isinstance(uri, RtspUri):
        msg = f"{address!r} is no address of a network camera: expected a host, or rtsp://host/path"
        raise ValueError(msg)  # noqa: TRY004 - what was typed is wrong, not a type of ours
    return uri


def _state(answer: Answer | None) -> str:
    if answer is None:
        return "does not answer RTSP"
    if answer.status == _UNAUTHORIZED:
        logins = ", ".join(answer.logins) or "it does not say how"
        return f"asks for a login ({logins})"
    if answer.status == _NOT_FOUND:
        return "answers; has no stream at this path (its manual says which)"
    if answer.status >= _REDIRECT:
        return f"answers {answer.status} {answer.reason}"
    return "shows its stream to everybody"


def _cells(camera: FoundCamera) -> tuple[str, ...]:
    shown = ", ".join(camera.formats[:_SHOWN_FORMATS])
    more = f", and {len(camera.formats) - _SHOWN_FORMATS} more"
    return (
        camera.source,
        " ".join(filter(None, (camera.vendor, camera.model))),
        camera.serial,
        camera.address,
        "" if camera.size is None else f"{camera.size[0]}x{camera.size[1]}",
        shown + (more if len(camera.formats) > _SHOWN_FORMATS else ""),
        camera.state,
    )

"""Writes a data set of the units that people reviewed, and of others on request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from inspector.core.errors import FatalError, FrameUnreadableError
from inspector.core.records import Judgement
from inspector.dataset.formats import FORMATS, Files
from inspector.dataset.labels import Also, Labelled, LeftOut, Size, is_wanted, labelled
from inspector.dataset.manifest import FILE_NAME, DataSet, Export, Picture, StoredLabel
from inspector.dataset.parts import Part, part_of
from inspector.dataset.station_units import StationUnits, Wanted
from inspector.products.durable import write_file
from inspector.reviews.standing import KeptReview, standing
from inspector.sources.jpeg import read_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to export."""

    wanted: Wanted
    also: frozenset[Also] = frozenset()
    station: str
    at: str
    """The present time, in the form of events."""


@dataclass(slots=True)
class Report:
    """The outcome of an export."""

    added: dict[Part, int] = field(default_factory=lambda: {"train": 0, "test": 0})
    relabelled: int = 0
    unchanged: int = 0
    duplicates: int = 0
    """Units whose picture is identical to another unit's, to the last bit."""
    good: int = 0
    """How many of the found pictures have no defect."""
    defects: int = 0
    false_calls: int = 0
    """Calls that reviews found to be false: they are not labelled."""
    missed: int = 0
    """Defects that the station did not report: they are labelled."""
    claimed: int = 0
    """Pictures whose labels were not checked by a person."""
    left_out: dict[LeftOut, list[str]] = field(default_factory=dict)
    """Names of units, by reason."""
    gone: list[str] = field(default_factory=list)
    """Addresses of pictures that were deleted."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A unit's picture: as read, or as already in the data set."""

    sha256: str
    size: Size
    content: bytes | None


def export(units: StationUnits, data_set: DataSet, folder: Path, request: Request) -> Report:
    """Extend the data set in a folder; pictures already in it never change their part.

    Pictures are written first, then labels, then the manifest: the next export completes one that
    was interrupted.

    Raises:
        FatalError: the folder cannot be written, or the journal cannot be read.

    """
    run = _Run(units, data_set, folder, request)
    run.collect()
    run.merge()
    return run.report


class _Run:
    """One export."""

    def __init__(
        self, units: StationUnits, data_set: DataSet, folder: Path, request: Request
    ) -> None:
        self._units = units
        self._set = data_set
        self._folder = folder
        self._request = request
        self._found: dict[str, Picture] = {}
        self._said_s: dict[str, float] = {}
        self.report = Report()

    def collect(self) -> None:
        """Find the pictures, and copy those that are new."""
        reviews = self._units.reviews()
        for event in self._units.units(self._request.wanted):
            given = reviews.pop(event["id"], ())
            held = standing(given)
            if is_wanted(event, held, self._request.also):
                self._take(event, held)
            elif given and self._known(event) is not None:
                self._take_out(event, given, LeftOut.TAKEN_BACK)
        for event_id, of_unit in reviews.items():
            # Of other times and products, or deleted since.
            if standing(of_unit) and not self._units.has(event_id):
                self._leave_out(LeftOut.UNIT_GONE, event_id)

    def _take(self, event: dict[str, Any], held: Sequence[KeptReview]) -> None:
        shown = self._shown(event)
        if isinstance(shown, LeftOut):
            # A reviewer who was unsure saw the picture: that is the better reason.
            unsure = any(one.judgement is Judgement.UNSURE for one in held)
            self._take_out(event, held, LeftOut.UNSURE if unsure else shown)
            return
        said = self._labelled(event, held, shown)
        if isinstance(said, LeftOut):
            self._take_out(event, held, said)
            return
        picture = _stored(event, shown, said, self._request.station)
        self._put(picture, held)
        if shown.content is not None:
            _write(self._folder, {picture.picture_path: shown.content})

    def _put(self, picture: Picture, said: Sequence[KeptReview]) -> None:
        """Keep one unit per identical picture: the one that was reviewed last.

        A recording that is inspected again shows the same pictures.
        """
        at_s = max((one.seen_s for one in said), default=0.0)
        before_s = self._said_s.get(picture.sha256)
        if before_s is not None:
            self.report.duplicates += 1
        if before_s is None or at_s >= before_s:
            self._said_s[picture.sha256] = at_s
            self._found[picture.sha256] = picture

    def _take_out(self, event: Mapping[str, Any], said: Sequence[KeptReview], why: LeftOut) -> None:
        """Leave a unit out, and its picture too if an earlier export included it."""
        self._leave_out(why, event["unit"]["id"])
        known = self._known(event)
        if known is not None:
            update = {"left_out": why, "labels": (), "unit_event_id": event["id"]}
            self._put(known.model_copy(update=update), said)

    def _known(self, event: Mapping[str, Any]) -> Picture | None:
        evidence = event["evidence"]
        return self._set.pictures.get(evidence[0]["sha256"]) if evidence else None

    def _labelled(
        self, event: dict[str, Any], held: Sequence[KeptReview], shown: _Shown
    ) -> Labelled | LeftOut:
        calls = self._units.calls(event)
        if calls is None:
            return LeftOut.CALLS_GONE
        said = labelled(event, calls, held, shown.size, self._request.also)
        if isinstance(said, Labelled):
            missed = sum(one.judgement is Judgement.MISSED for one in held)
            self.report.missed += missed
            self.report.false_calls += len(calls) + missed - len(said.labels)
            self.report.defects += len(said.labels)
            self.report.good += not said.labels
            self.report.claimed += not said.is_reviewed
        return said

    def _shown(self, event: Mapping[str, Any]) -> _Shown | LeftOut:
        """The unit's picture, if it is byte by byte the one that its event names."""
        if not event["evidence"]:
            return LeftOut.NO_PICTURE
        evidence = event["evidence"][0]
        known = self._known(event)
        if known is not None and (self._folder / known.picture_path).is_file():
            return _Shown(known.sha256, known.size, None)
        content = _read(evidence["uri"])
        if content is None:
            self.report.gone.append(evidence["uri"])
            return LeftOut.PICTURE_GONE
        if hashlib.sha256(content).hexdigest() != evidence["sha256"]:
            return LeftOut.PICTURE_ALTERED
        try:
            size = read_header(content).size
        except FrameUnreadableError:
            return LeftOut.PICTURE_ALTERED
        return _Shown(evidence["sha256"], size, content)

    def _leave_out(self, why: LeftOut, unit: str) -> None:
        self.report.left_out.setdefault(why, []).append(unit)

    def merge(self) -> None:
        """Put the pictures found into the data set, and write all files."""
        for sha256, picture in self._found.items():
            before = self._set.pictures.get(sha256)
            self._set.pictures[sha256] = picture
            if picture.left_out is not None:
                continue
            if before is None:
                self.report.added[picture.part] += 1
            elif (before.labels, before.left_out) != (picture.labels, picture.left_out):
                self.report.relabelled += 1
            else:
                self.report.unchanged += 1
        self._set.add_codes(
            sorted({label.code for picture in self._found.values() for label in picture.labels})
        )
        self._set.exports.append(_noted(self._request, self.report))
        _write(self._folder, FORMATS[self._set.format](self._set))
        self._remove_what_was_taken_out()
        _write(self._folder, {FILE_NAME: self._set.content()})

    def _remove_what_was_taken_out(self) -> None:
        """Remove other pictures: trainers take one without labels for a good unit."""
        for picture in self._set.pictures.values():
            if picture.left_out is not None:
                for path in (picture.picture_path, f"labels/{picture.part}/{picture.name}.txt"):
                    (self._folder / path).unlink(missing_ok=True)


def _stored(event: Mapping[str, Any], shown: _Shown, said: Labelled, station: str) -> Picture:
    return Picture(
        sha256=shown.sha256,
        part=part_of(shown.sha256),
        size=shown.size,
        labels=tuple(StoredLabel.of(label) for label in said.labels),
        is_reviewed=said.is_reviewed,
        station=station,
        camera=event["camera"],
        product=(event.get("product") or {}).get("name"),
        unit_id=event["unit"]["id"],
        unit_event_id=event["id"],
        result=event["result"],
        time=event["time"],
    )


def _noted(request: Request, report: Report) -> Export:
    return Export(
        at=request.at,
        since=request.wanted.since,
        until=request.wanted.until,
        product=request.wanted.product,
        include=tuple(sorted(request.also)),
        added=sum(report.added.values()),
        left_out={why: tuple(units) for why, units in report.left_out.items()},
    )


def _read(uri: str) -> bytes | None:
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    try:
        return Path(unquote(parts.path)).read_bytes()
    except OSError:
        return None


def _write(folder: Path, files: Files) -> None:
    """Write files, except those that are there already with the same content."""
    for name, content in files.items():
        path = folder / name
        try:
            if not path.is_file() or path.read_bytes() != content:
                write_file(path, content)
        except OSError as error:
            raise FatalError(f"{path} cannot be written ({error.strerror})") from error

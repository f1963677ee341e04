"""What `inspector dataset export` does: reads options, writes the data set, prints the result."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console

from inspector.core.errors import ConfigurationError, FatalError
from inspector.dataset.export import Report, Request, export
from inspector.dataset.labels import Also, LeftOut
from inspector.dataset.manifest import DataSet, FormatName
from inspector.dataset.station_units import Wanted, opened
from inspector.pipeline.products import catalogue_of
from inspector.settings.settings import Settings

_AGO = re.compile(r"(\d{1,6})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_END_OF_TIME = "9999"
"""Later than the time of any event."""
NAMED = 20
"""How many of the omitted units are named on the terminal; the manifest has them all."""

_WHY = {
    LeftOut.UNSURE: "somebody was unsure",
    LeftOut.PARTLY_JUDGED: "not every call on them was judged",
    LeftOut.TAKEN_BACK: "what was said of them was taken back",
    LeftOut.NO_PLACE: "a defect has no place on the picture",
    LeftOut.NO_CODE: "a missed defect is of no code",
    LeftOut.OUTSIDE: "a defect lies beyond the border of the picture",
    LeftOut.CALLS_GONE: "some of their defects are no longer in the journal",
    LeftOut.NO_PICTURE: "no picture of them was kept",
    LeftOut.PICTURE_GONE: "their pictures were deleted since",
    LeftOut.PICTURE_ALTERED: "their pictures are not those that their events name",
    LeftOut.UNIT_GONE: "they were reviewed, and are no longer in the journal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """As they were typed."""

    since: str
    until: str | None
    product: str | None
    include: str
    format: FormatName
    out: Path


def export_data_set(settings: Settings, options: ExportOptions) -> None:
    """Write the data set and say what is in it.

    Raises:
        FatalError: there is nothing to write, or it cannot be written.
        ConfigurationError: the journal or the data set of before is not what it should be.

    """
    now = datetime.now(UTC)
    request = Request(
        wanted=Wanted(
            since=_moment(options.since, now, "--since"),
            until=_END_OF_TIME if options.until is None else _moment(options.until, now, "--until"),
            product=options.product,
        ),
        also=_also(options.include),
        station=settings.station.id,
        at=now.isoformat(timespec="seconds"),
    )
    with opened(settings.journal.directory) as units:
        data_set = DataSet.opened(options.out, options.format, _codes(settings, options.product))
        report = export(units, data_set, options.out, request)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True, markup=False, emoji=False)
    for line in told(report, data_set, options.out):
        console.print(line)
    if not data_set.inside:
        raise FatalError(f"{options.out} holds no picture: nobody reviewed a unit that fits")


def told(report: Report, data_set: DataSet, out: Path) -> list[str]:
    """The result, line by line."""
    train, test = data_set.counts()["train"], data_set.counts()["test"]
    lines = [
        f"{out}: {train + test} pictures, {train} to train with and {test} to judge by",
        (
            f"added: {sum(report.added.values())}; labelled anew: {report.relabelled}; "
            f"as before: {report.unchanged}; pictures twice: {report.duplicates}"
        ),
        (
            f"found: {report.defects} defects, {report.missed} of them missed by the station; "
            f"{report.false_calls} false calls left away; {report.good} good units"
        ),
    ]
    if report.claimed:
        lines.append(f"nobody reviewed {report.claimed} of them: their labels are the station's")
    for why, units in report.left_out.items():
        more = f" and {len(units) - NAMED} more" if len(units) > NAMED else ""
        lines.append(f"left out, {_WHY[why]}: {len(units)} ({', '.join(units[:NAMED])}{more})")
    if both := data_set.units_in_both():
        lines.append(
            f"in train and in test are different pictures of {len(both)} units "
            f"({', '.join(both[:NAMED])}): numbers of the test part are a little too good"
        )
    if train + test and not (train and test):
        lines.append("one part is empty: `make train` needs pictures in both; review more units")
    return lines


def _codes(settings: Settings, product: str | None) -> tuple[str, ...]:
    """The classes, in the order of the model."""
    if product is None:
        return settings.inspection.codes
    try:
        return catalogue_of(settings).product(product)[0].inspection.codes
    except ConfigurationError:  # its units may still be there
        return settings.inspection.codes


def _also(text: str) -> frozenset[Also]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in set(Also):
            expected = ", ".join(Also)
            raise typer.BadParameter(f"{name!r}; expected {expected}", param_hint="--include")
    return frozenset(Also(name) for name in names)


def _moment(text: str, now: datetime, option: str) -> str:
    """A time as events say it; without an offset it is this machine's, without a clock midnight."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = "a date (2026-11-30), a time (2026-11-30T06:00) or how long ago (7d, 12h, 90m)"
        raise typer.BadParameter(f"{text!r}; expected {expected}", param_hint=option) from error
    return moment.isoformat(timespec="microseconds")

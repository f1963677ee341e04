"""`inspector dataset`: its commands and their options; what they do is in `dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inspector.ops.log import configure_logging
from inspector.pipeline.loading import load_station
from inspector.settings.sections import LogSettings

DEFAULT_CONFIG = Path("config/inspector.toml")

app = typer.Typer(
    help="The station's own pictures as a data set to train on.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keep `export` a command of its own while it is the only one."""


@app.command()
def export(  # noqa: PLR0917 - options, given by name
    since: Annotated[
        str, typer.Option(help="Units seen from then on: 2026-11-30, 2026-11-30T06:00, 7d, 12h.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The data set's folder; one of before is extended.")
    ],
    format_: Annotated[
        Literal["yolo", "coco"], typer.Option("--format", help="How labels are written.")
    ] = "yolo",
    until: Annotated[str | None, typer.Option(help="And before then; else all.")] = None,
    product: Annotated[str | None, typer.Option(help="Units of this product; else all.")] = None,
    include: Annotated[
        str,
        typer.Option(
            help="Units that nobody reviewed, labelled as the station claims: "
            "failed, near and sample, with commas."
        ),
    ] = "",
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The TOML settings file.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Writes reviewed units as pictures and labels that `make train` takes as they are."""
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.dataset import ExportOptions, export_data_set  # noqa: PLC0415

    options = ExportOptions(
        since=since, until=until, product=product, include=include, format=format_, out=out
    )
    export_data_set(settings, options)

"""`inspector model`: its commands and their options; what they do is in `working`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspector.core.paths import find
from inspector.core.recipes import HEADS, ModelName, Stated, Triple
from inspector.ops.log import configure_logging
from inspector.pipeline.loading import load_station
from inspector.settings.sections import LogSettings

if TYPE_CHECKING:
    from inspector.settings.settings import Settings

DEFAULT_CONFIG = Path("config/inspector.toml")
DEFAULT_REPOSITORY = Path("model_repository")

app = typer.Typer(
    help="The models of a server: bring one in, see what it is and what it finds.",
    short_help="The models of a server.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Its name.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML settings file of the station.")
]
RepositoryOption = Annotated[
    Path | None,
    typer.Option(help="The model repository; else the settings', else ./model_repository."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
PicturesOption = Annotated[
    list[Path] | None,
    typer.Option("--pictures", "-p", help="A picture, or a folder of them; may be given twice."),
]
OutOption = Annotated[
    Path | None, typer.Option(help="Where pictures with boxes go; else ./MODEL-trial.")
]
CodesOption = Annotated[
    str | None, typer.Option(help="Names of its classes in its order, with commas.")
]
ThresholdOption = Annotated[
    float, typer.Option(min=0.01, max=1, help="Findings from this confidence on.")
]


@app.command()
def add(  # noqa: PLR0917 - options, given by name
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The exported model.")],
    name: Annotated[
        str | None, typer.Option(help="A name for the model; else the file's, or its folder's.")
    ] = None,
    pictures: PicturesOption = None,
    codes: CodesOption = None,
    head: Annotated[
        str | None, typer.Option(help=f"The layout of its output: {', '.join(HEADS[1:])}.")
    ] = None,
    good: Annotated[
        str | None, typer.Option(help="Those of its classes that are no defect, with commas.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT, if the file takes any size.")
    ] = None,
    colour: Annotated[str | None, typer.Option(help="rgb or bgr.")] = None,
    pixel_range: Annotated[str | None, typer.Option(help="0..1 or 0..255.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="Subtracted from each channel: red,green,blue.")
    ] = None,
    deviation: Annotated[
        str | None, typer.Option(help="Each channel is divided by it: red,green,blue.")
    ] = None,
    padding: Annotated[
        int | None, typer.Option(min=0, max=255, help="The grey beside a picture.")
    ] = None,
    enlarge: Annotated[
        bool | None,
        typer.Option("--enlarge/--no-enlarge", help="Scale small pictures up to its input."),
    ] = None,
    threshold: ThresholdOption = 0.25,
    out: OutOption = None,
    settings: Annotated[
        Path | None, typer.Option(help="Also write a settings file for these pictures.")
    ] = None,
    repository: RepositoryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Adds an ONNX file to the repository, once it was served, tried on pictures and compared."""
    from inspector.commands.model.adding import Wishes  # noqa: PLC0415 - cv2 and grpc load slowly
    from inspector.commands.model.asking import Reading  # noqa: PLC0415
    from inspector.commands.model.working import add as add_it  # noqa: PLC0415

    station = _station(config)
    stated: dict[str, Any] = {
        "head": _one_of("--head", head, HEADS) or "auto",
        "colour": _one_of("--colour", colour, ("auto", "rgb", "bgr")) or "auto",
        "pixel_range": _one_of("--pixel-range", pixel_range, ("auto", "0..1", "0..255")) or "auto",
        "mean": _triple("--mean", mean),
        "deviation": _triple("--deviation", deviation),
        "padding": padding,
        "good": _codes(good),
    }
    wishes = Wishes(
        name=name or _name_of(file),
        codes=_codes(codes),
        size=_size(size),
        stated=Stated(**stated),
        enlarge=enlarge,
    )
    asyncio.run(
        add_it(
            file,
            wishes,
            repository=_repository(repository, station),
            pictures=pictures or (),
            out=out,
            settings_file=settings,
            reading=Reading(floor=threshold),
            as_json=as_json,
        )
    )


@app.command("list")
def list_(
    repository: RepositoryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Lists every model of the repository, with its input and the names of its classes."""
    from inspector.commands.model.working import print_list  # noqa: PLC0415

    print_list(_repository(repository, _station(config)), as_json=as_json)


@app.command()
def show(
    model: NameArgument,
    repository: RepositoryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Shows one model: its tensors, its classes and its own parameters."""
    from inspector.commands.model.working import show as show_it  # noqa: PLC0415

    show_it(_repository(repository, _station(config)), model, as_json=as_json)


@app.command()
def check(
    model: NameArgument,
    codes: CodesOption = None,
    repository: RepositoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Loads a model, compares it with its codes and has it answer; exit 78 if it does not fit."""
    from inspector.commands.model.working import check as check_it  # noqa: PLC0415

    settings = _serving(repository, _station(config))
    asyncio.run(check_it(settings, ModelName(name=model), _codes(codes)))


@app.command("try")
def try_(  # noqa: PLR0917 - options, given by name
    model: NameArgument,
    pictures: PicturesOption = None,
    codes: CodesOption = None,
    threshold: ThresholdOption = 0.25,
    out: OutOption = None,
    repository: RepositoryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Shows pictures to a model, and prints what it finds in them."""
    from inspector.commands.model.asking import Reading  # noqa: PLC0415
    from inspector.commands.model.working import try_out  # noqa: PLC0415

    asyncio.run(
        try_out(
            _serving(repository, _station(config)),
            ModelName(name=model),
            _codes(codes),
            pictures=pictures or (),
            out=out,
            reading=Reading(floor=threshold),
            as_json=as_json,
        )
    )


@app.command()
def remove(
    model: NameArgument,
    repository: RepositoryOption = None,
    config: ConfigOption = None,
) -> None:
    """Removes a model from the repository, unless the settings or an ensemble name it."""
    from inspector.commands.model.working import remove as remove_it  # noqa: PLC0415

    station = _station(config)
    remove_it(station, _repository(repository, station), model)


@app.command()
def teach(  # noqa: PLR0917 - options, given by name
    product: Annotated[str, typer.Option("--product", help="The product of these units.")],
    units: Annotated[
        int | None,
        typer.Option(
            min=3, help="How many of the next units of the line; else products.teach_units."
        ),
    ] = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            "--pictures",
            "-p",
            help="Pictures of good units, one each, or a folder; instead of the line.",
        ),
    ] = None,
    approve: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--approve", help="Put it in force at once, without a person having seen it."),
    ] = False,
    by: Annotated[str | None, typer.Option(help="The person who says that they are good.")] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The TOML settings file of the station.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Teaches a model from good units, without labels: it reports where a unit looks different."""
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.products import Products, checked_name, whoever  # noqa: PLC0415

    name = checked_name(product)
    if not pictures:
        Products.of(settings).teach(name, units, approve=approve, by=by)
        return
    if units is not None:
        raise typer.BadParameter(
            "it is for units of the line; with pictures all of them are used", param_hint="--units"
        )
    from inspector.commands.model.teaching import teach_from_pictures  # noqa: PLC0415

    asyncio.run(teach_from_pictures(settings, name, pictures, approve=approve, by=by or whoever()))


def _station(config: Path | None) -> Settings | None:
    """The settings, if there are some: the named ones, or those at the usual place."""
    configure_logging(LogSettings(level="error"))
    if config is None and not DEFAULT_CONFIG.is_file():
        return None
    return load_station(config or DEFAULT_CONFIG)


def _repository(repository: Path | None, station: Settings | None) -> Path:
    if repository is not None:
        return repository
    if station is not None:
        return find(station.inference.repository)
    return find(DEFAULT_REPOSITORY)


def _serving(repository: Path | None, station: Settings | None) -> Settings:
    """The station's settings, or those of an embedded server with this repository."""
    from inspector.settings.settings import Settings  # noqa: PLC0415

    if station is not None and repository is None:
        return station
    folder = str(_repository(repository, station).absolute())
    return Settings.model_validate(
        {
            "station": {"site": "trial", "line": "trial", "name": "trial"},
            "cameras": {"trial": {"source": "sim:", "size": "1280x720"}},
            "inference": {"url": "embedded", "repository": folder},
        }
    )


def _name_of(file: Path) -> str:
    """A name by the file, or by its folder: exporters name every file `model.onnx`."""
    stem = file.stem
    if stem in ("model", "weights", "best") and file.absolute().parent.name not in ("", "1"):
        stem = stem if stem == "best" else file.absolute().parent.name
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in stem)


def _one_of(option: str, text: str | None, known: tuple[str, ...]) -> str | None:
    if text is not None and text not in known:
        raise typer.BadParameter(f"{text}: expected one of {', '.join(known)}", param_hint=option)
    return text


def _codes(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{text}: expected WIDTHxHEIGHT", param_hint="--size")
    return int(height), int(width)


def _triple(option: str, text: str | None) -> Triple | None:
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text}: expected three numbers with commas", param_hint=option
        ) from None
    return red, green, blue

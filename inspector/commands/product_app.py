"""`inspector product`: its commands and their options; what they do is in `products`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inspector.ops.log import configure_logging
from inspector.pipeline.loading import load_station
from inspector.settings.sections import LogSettings

if TYPE_CHECKING:
    from inspector.commands.products import Products

DEFAULT_CONFIG = Path("config/inspector.toml")

app = typer.Typer(
    help="The products of a station: their files, revisions and references.",
    short_help="The products of a station.",
    no_args_is_help=True,
)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The TOML settings file.")]
NameArgument = Annotated[str, typer.Argument(metavar="PRODUCT", help="Its name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


def _products(config: Path) -> Products:
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.products import Products  # noqa: PLC0415 - cv2 and grpc load slowly

    return Products.of(settings)


def _name(text: str) -> str:
    from inspector.commands.products import checked_name  # noqa: PLC0415

    return checked_name(text)


@app.command("list")
def list_(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Lists every product with its revision, model and reference."""
    _products(config).print_list(as_json=as_json)


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PRODUCT]...", help="Else every one.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Checks files, references and models; exit 78 with a line for every mistake."""
    _products(config).check([_name(name) for name in names or ()])


@app.command()
def show(
    product: Annotated[
        str, typer.Argument(metavar="PRODUCT[@REVISION]", help="Its name, and a revision of it.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Shows all that its units are judged by, and every revision and reference."""
    _products(config).print_product(_name(product), as_json=as_json)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="PRODUCT[@REVISION]")],
    other: Annotated[
        str | None,
        typer.Argument(metavar="[PRODUCT[@REVISION]]", help="Else what is in its file now."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Shows how two products, or two revisions of one, decide differently."""
    _products(config).print_difference(_name(one), _name(other) if other else None)


@app.command()
def export(
    product: NameArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; else here.")] = None,
    every_reference: Annotated[  # noqa: FBT002
        bool, typer.Option("--all", help="Every reference, not only the one in force.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Packs it into one file for another station."""
    _products(config).export(_name(product), out, every_reference=every_reference)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `export` wrote.")],
    name: Annotated[str | None, typer.Option("--as", help="Another name for it.")] = None,
    replace: Annotated[  # noqa: FBT002
        bool, typer.Option("--replace", help="Where a product of this name is here already.")
    ] = False,
    approve: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--approve", help="Its reference is in force at once, as where it was packed."
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Imports a product that another station packed, or refuses it as a whole."""
    _products(config).take_in(file, _name(name) if name else None, replace=replace, approve=approve)


@app.command()
def teach(
    product: NameArgument,
    units: Annotated[
        int | None, typer.Option(min=3, help="How many; else products.teach_units.")
    ] = None,
    approve: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--approve", help="Put it in force at once, without a person having seen it."),
    ] = False,
    by: Annotated[str | None, typer.Option(help="The person who says that they are good.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Teaches the running service what a good unit looks like, from the next units."""
    _products(config).teach(_name(product), units, approve=approve, by=by)


@app.command()
def approve(
    product: NameArgument,
    reference: Annotated[int | None, typer.Argument(min=1, help="Which; else the newest.")] = None,
    by: Annotated[
        str | None, typer.Option(help="The person who checked it; else the current user.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Puts a reference in force, after a person checked that it shows a good unit."""
    _products(config).approve(_name(product), reference, by)


@app.command()
def rollback(product: NameArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Puts the previous reference in force again."""
    _products(config).roll_back(_name(product))


@app.command()
def forget(
    product: NameArgument,
    reference: Annotated[
        int | None, typer.Option(min=1, help="Only this reference; else the whole product.")
    ] = None,
    sure: Annotated[bool, typer.Option("--yes", help="The whole product.")] = False,  # noqa: FBT002
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Removes a reference, or a product with everything that was learned of it."""
    _products(config).forget(_name(product), reference, sure=sure)

"""What the commands of `inspector model` do, and what they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inspector.commands.model.adding import Understood, Wishes, as_read, understand
from inspector.commands.model.asking import (
    AskedModel,
    Reading,
    embedded_server,
    readable,
    tensor_of,
)
from inspector.commands.model.comparing import (
    LEAST_IOU,
    MOST_SCORE,
    NO_DIFFERENCE,
    Difference,
    difference,
)
from inspector.commands.model.entry import config_text, model_name
from inspector.commands.model.pictures import (
    Shown,
    drawn_pictures,
    read_pictures,
    with_findings,
    write_png,
)
from inspector.commands.model.repository import (
    Listed,
    listed,
    one_listed,
    put_in_place,
    require_free,
    take_out,
    unfinished,
    write_model,
)
from inspector.core.errors import ConfigurationError
from inspector.core.places import Polygon
from inspector.core.recipes import ModelName
from inspector.core.records import Finding, ModelSpec
from inspector.embedded.triton.environment import EmbeddedEnvironment, prepare_environment
from inspector.embedded.triton.onnx_files import run_graph
from inspector.inference.model_check import ModelNeeds
from inspector.settings.sections import InferenceSettings
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED

notes = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
_MOST_ROWS = 30
"""How many findings the table has; the PNG file of a picture shows all of them."""


def report(text: str) -> None:
    """Progress."""
    notes.print(text, style="dim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a model found in one picture."""

    picture: Shown
    findings: tuple[Finding, ...]


# --- add ------------------------------------------------------------------------------------------


async def add(
    file: Path,
    wishes: Wishes,
    *,
    repository: Path,
    pictures: Sequence[Path],
    out: Path | None,
    settings_file: Path | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Bring a model into the repository, once it has been served, shown pictures and compared.

    Raises:
        ConfigurationError: it cannot be; nothing was changed.

    """
    model_name(wishes.name)
    require_free(repository, wishes.name)
    given = read_pictures(pictures)
    environment = await prepare_environment(report)
    report(f"{file.name}: reading it")
    understood = await understand(environment, file, wishes, given)
    if not as_json:
        _say(understood, file)
    shown = given or drawn_pictures(understood.entry.width_px, understood.entry.height_px)
    with unfinished(repository) as folder:
        text = config_text(understood.entry, made_by=f"Made by inspector model add {file.name}")
        write_model(folder / wishes.name, file, text)
        report(f"{wishes.name}: serving it")
        found, compared = await _served(folder, understood, shown, environment, file, reading)
        if not compared.is_none:
            raise ConfigurationError(
                f"{wishes.name}: the server does not find what onnxruntime finds in the same "
                f"pictures: {_difference_told(compared)}; nothing was added"
            )
        put_in_place(folder, repository)
    if as_json:
        say(json.dumps(_added_as_json(understood, found, compared)))
        return
    print_found(found, understood.codes)
    say(f"served and in process: {_difference_told(compared)}")
    _write_pictures(found, understood.codes, out or Path(f"{wishes.name}-trial"))
    say(f"added: {repository / wishes.name}")
    _say_settings(understood, repository, settings_file, pictures, shown)


def _added_as_json(
    understood: Understood, found: Sequence[Found], compared: Difference
) -> dict[str, Any]:
    return {
        "model": understood.entry.name,
        "codes": list(understood.codes),
        "kind": understood.spec.reader.kind,
        "known": list(understood.sure),
        "unsure": list(understood.unsure),
        "findings_alike": compared.pairs,
        "pictures": _as_json(found, understood.codes),
    }


async def _served(  # noqa: PLR0917 - one caller
    folder: Path,
    understood: Understood,
    shown: Sequence[Shown],
    environment: EmbeddedEnvironment,
    file: Path,
    reading: Reading,
) -> tuple[list[Found], Difference]:
    """The server's findings, and how they differ from those of the file in process."""
    name = understood.entry.name
    needs = ModelNeeds(codes=understood.codes, lowest_threshold=1.0)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(embedded_server(folder, [name], report))
        asked = AskedModel(url, InferenceSettings(), needs)
        stack.push_async_callback(asked.close)
        spec = await asked.connect(ModelName(name=name))
        requests = [tensor_of(one.image, spec.input) for one in shown]
        answers = [await asked.answer(rows) for rows in requests]
    raw, _ = await run_graph(environment, file, requests)
    found, compared = [], NO_DIFFERENCE
    for one, served, own in zip(shown, answers, raw, strict=True):
        findings = readable(served, spec, one.image, reading, one.name)
        in_process = readable(as_read(own), spec, one.image, reading, one.name)
        compared += difference(findings, in_process, reading.floor)
        found.append(Found(picture=one, findings=tuple(findings)))
    return found, compared


def _difference_told(compared: Difference) -> str:
    if not compared.pairs and not compared.alone:
        return "both find nothing in these pictures"
    alike = f"{compared.pairs} findings alike (IoU from {compared.least_iou:.4f}, "
    alike += f"scores within {compared.largest_score:.4f})"
    if compared.is_none:
        return alike
    return f"{alike}, {compared.alone} found by one alone; expected {LEAST_IOU:g}, {MOST_SCORE:g}"


def _say(understood: Understood, file: Path) -> None:
    entry = understood.entry
    pictures = f"up to {entry.max_batch_size}" if entry.max_batch_size else str(entry.pictures)
    say(
        f"{file.name}: {entry.picture.dtype} {entry.width_px}x{entry.height_px} pictures in, "
        f"{pictures} at once"
    )
    for text in understood.sure:
        say(f"  known: {text}")
    for text in understood.unsure:
        say(f"  not sure: {text}")


def _say_settings(
    understood: Understood,
    repository: Path,
    settings_file: Path | None,
    pictures: Sequence[Path],
    shown: Sequence[Shown],
) -> None:
    section = _settings_lines(understood, repository)
    if settings_file is None:
        say("\nIn the settings:\n\n" + section)
        return
    source = pictures[0].absolute() if pictures else Path("pictures")
    height_px, width_px = shown[0].image.shape[:2]
    head = (
        '[station]\nsite = "plant1"\nline = "line1"\nname = "aoi"\n\n'
        f'[cameras.top]\nsource = {json.dumps(f"file:{source}")}\nsize = "{width_px}x{height_px}"\n'
        'when_full = "wait"\n\n'
    )
    try:
        with settings_file.open("x", encoding="utf-8") as written:
            written.write(head + section)
    except FileExistsError:
        raise ConfigurationError(
            f"{settings_file}: is there already; the model was added, and its lines are:\n{section}"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{settings_file}: cannot be written: {error.strerror}") from None
    say(f"settings: {settings_file}")
    say(f"the first verdicts: inspector replay {source} -c {settings_file}")


def _settings_lines(understood: Understood, repository: Path) -> str:
    codes = ", ".join(json.dumps(code, ensure_ascii=False) for code in understood.codes)
    return (
        f'[inference]\nurl = "{EMBEDDED}"\nmodel = "{understood.entry.name}"\n'
        f"repository = {json.dumps(str(repository.absolute()))}\n\n"
        f"[inspection]\ncodes = [{codes}]\nthreshold = 0.5\n"
    )


# --- try, check -----------------------------------------------------------------------------------


async def try_out(
    settings: Settings,
    model: ModelName,
    codes: tuple[str, ...],
    *,
    pictures: Sequence[Path],
    out: Path | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Show pictures to a model of the repository or the server, and what it finds."""
    given = read_pictures(pictures)
    async with AsyncExitStack() as stack:
        asked, spec, codes = await _asked(settings, model, codes, stack)
        shown = given or drawn_pictures(spec.input.width_px, spec.input.height_px)
        found = [
            Found(picture=one, findings=tuple(await asked.findings(one, reading))) for one in shown
        ]
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found, codes)) + "\n")
    else:
        print_found(found, codes)
    if out is not None or not as_json:
        _write_pictures(found, codes, out or Path(f"{model.name}-trial"))


async def check(settings: Settings, model: ModelName, codes: tuple[str, ...]) -> None:
    """Load a model, compare it with its codes, have it answer, and print what it is."""
    async with AsyncExitStack() as stack:
        _, spec, codes = await _asked(settings, model, codes, stack)
    picture = spec.input
    say(
        f"ok: {model.name} version {spec.version}: {picture.dtype} {picture.width_px}x"
        f"{picture.height_px} in, {spec.reader.kind}, {len(codes)} classes: {', '.join(codes)}"
    )
    if spec.range_is_assumed:
        say("  not sure: pictures in 0..1; its parameter pixel_range says it")


async def _asked(
    settings: Settings, model: ModelName, codes: tuple[str, ...], stack: AsyncExitStack
) -> tuple[AskedModel, ModelSpec, tuple[str, ...]]:
    inference = settings.inference
    repository = inference.known_repository
    if not codes and repository is not None and (repository / model.name).is_dir():
        codes = one_listed(repository, model.name).classes
    url = inference.url
    if url == EMBEDDED:
        assert repository is not None  # noqa: S101 - the embedded server's is known
        one_listed(repository, model.name)
        url = await stack.enter_async_context(embedded_server(repository, [model.name], report))
    stated = inference.stated if model.name == inference.model else model.stated
    needs = ModelNeeds(
        codes=codes or settings.inspection.codes, lowest_threshold=1.0, stated=stated
    )
    asked = AskedModel(url, inference, needs)
    stack.push_async_callback(asked.close)
    return asked, await asked.connect(replace(model, stated=stated)), needs.codes


# --- list, show, remove ---------------------------------------------------------------------------


def print_list(repository: Path, *, as_json: bool) -> None:
    """Print every model of the repository."""
    models = listed(repository)
    if as_json:
        sys.stdout.write(json.dumps([model.as_dict() for model in models], indent=2) + "\n")
        return
    table = Table(show_lines=False)
    for column in ("model", "versions", "backend", "in", "classes"):
        table.add_column(column, overflow="fold")
    for model in models:
        table.add_row(*map(Text, _row(model)))
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
    else:
        for model in models:
            say("  ".join(_row(model)))


def _row(model: Listed) -> tuple[str, ...]:
    what = model.backend + (f" of {', '.join(model.steps)}" if model.steps else "")
    classes = model.problem or ", ".join(model.classes[:8])
    return model.name, ",".join(model.versions), what, "; ".join(model.inputs), classes


def show(repository: Path, name: str, *, as_json: bool) -> None:
    """Print one model, by its files."""
    model = one_listed(repository, name)
    if as_json:
        sys.stdout.write(json.dumps(model.as_dict(), indent=2) + "\n")
        return
    say(f"{model.name}: {_row(model)[2]}, versions {', '.join(model.versions)}")
    for label, lines in (("in", model.inputs), ("out", model.outputs)):
        for line in lines:
            say(f"  {label}: {line}")
    say(f"  classes: {', '.join(model.classes) or 'not known'}")
    for key, value in model.parameters.items():
        say(f"  {key}: {value}")
    if model.problem:
        raise ConfigurationError(model.problem)


def remove(settings: Settings | None, repository: Path, name: str) -> None:
    """Remove a model, unless the settings name it."""
    inference = settings.inference if settings else None
    if inference is not None and name in (inference.model, inference.golden):
        raise ConfigurationError(
            f'model "{name}" is what the settings inspect with; name another one there first'
        )
    take_out(repository, name)
    say(f"removed: {repository / name}")


# --- what is printed ------------------------------------------------------------------------------


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def print_found(found: Sequence[Found], codes: Sequence[str]) -> None:
    """A table on a terminal, one line per finding in a pipe."""
    rows = [
        (one.picture.name, codes[f.code_index], f"{f.confidence:.3f}", _place_told(f))
        for one in found
        for f in one.findings
    ]
    nothing = [one.picture.name for one in found if not one.findings]
    console = Console(highlight=False)
    if console.is_terminal and rows:
        table = Table(show_lines=False)
        for column in ("picture", "code", "score", "where"):
            table.add_column(column, overflow="fold")
        for row in rows[:_MOST_ROWS]:
            table.add_row(*map(Text, row))
        console.print(table)
    else:
        for row in rows[:_MOST_ROWS]:
            say("  ".join(row))
    if len(rows) > _MOST_ROWS:
        say(f"and {len(rows) - _MOST_ROWS} more")
    if nothing:
        say(f"nothing found in: {', '.join(nothing)}")


def _place_told(finding: Finding) -> str:
    box = finding.box
    if box is None:
        return "the whole picture"
    shape = "area " if isinstance(finding.place, Polygon) else ""
    return (
        f"{shape}{box.left_px:.0f},{box.top_px:.0f} {box.right_px - box.left_px:.0f}x"
        f"{box.bottom_px - box.top_px:.0f}"
    )


def _write_pictures(found: Sequence[Found], codes: Sequence[str], out: Path) -> None:
    for one in found:
        stem = Path(one.picture.name).stem
        write_png(out / f"{stem}.png", with_findings(one.picture.image, one.findings, codes))
    say(f"pictures with what was found: {out}")


def _as_json(found: Sequence[Found], codes: Sequence[str]) -> list[Mapping[str, Any]]:
    return [
        {
            "picture": one.picture.name,
            "findings": [
                {
                    "code": codes[finding.code_index],
                    "confidence": finding.confidence,
                    "box": _corners(finding),
                    "polygon": (
                        [list(point) for point in finding.place.points_px]
                        if isinstance(finding.place, Polygon)
                        else None
                    ),
                }
                for finding in one.findings
            ],
        }
        for one in found
    ]


def _corners(finding: Finding) -> list[float] | None:
    box = finding.box
    return None if box is None else [box.left_px, box.top_px, box.right_px, box.bottom_px]
